#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages that change owner in local Xen: reservations, GNTTABOP_transfer, its receiver.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
export LOCALXEN
t=${abs_top_builddir:-$PWD}/test-localxen-transfer
"$LOCALXEN" run -- "$t" || fail "see above"
"$LOCALXEN" run --gnttab=no-transfer -- "$t" no-transfer || fail "--gnttab=no-transfer"
"$LOCALXEN" run --pvh -- "$t" pvh || fail "--pvh"
"$LOCALXEN" run --extra-pages=0 -- "$t" no-headroom || fail "--extra-pages=0"
say ok
