#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Local Xen's event channels: states, masks, no event lost.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
if [ -n "${PV_FULL:-}" ]; then
	export LOCALXEN_EVENTS=10000000
else
	say "deferred: 10,000,000 events each way (200,000 sent)"
fi
export LOCALXEN
"$LOCALXEN" run -- "${abs_top_builddir:-$PWD}/test-localxen-evtchn" || fail "see above"
say ok
