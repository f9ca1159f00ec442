#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Maps, batched copies and the cache of persistent grants, on local Xen.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
export LOCALXEN
"$LOCALXEN" run -- "${abs_top_builddir:-$PWD}/tests/test-grant" || fail "see above"
say ok
