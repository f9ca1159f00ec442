#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Processes killed at random instants inside local Xen's calls leave nothing.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
export LOCALXEN
if [ -n "${PV_FULL:-}" ]; then
	export LOCALXEN_KILLS=10000
else
	say "deferred: 10,000 kills (300 done)"
fi
"$LOCALXEN" run -- "${abs_top_builddir:-$PWD}/test-localxen-kill" || fail "see above"
say ok
