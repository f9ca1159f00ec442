#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The flip helper, and workers that do as they like.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
export LOCALXEN
cd "${abs_top_builddir:-$PWD}" || fail "no build directory"
"$LOCALXEN" run -- "$PWD/tests/test-flip-helper" || fail "see above"
say ok
