#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Local Xen's fault rules.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
export LOCALXEN
"$LOCALXEN" run -- "${abs_top_builddir:-$PWD}/test-localxen-fail" || fail "see above"
say ok
