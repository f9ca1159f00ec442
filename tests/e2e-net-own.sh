#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What our two ends have and no other, frame by frame (tests/net-own): static grants,
# Toeplitz, the multicast filter, and the filter switched while connected. The job
# netback-own does the same on a real Xen.
. "$(dirname "$0")/lib-net.sh"
own=$PWD/tests/net-own
[ -x "$own" ] || skip "$own is not built; make check builds it"
own_xen "$@"
start_daemon

make_guest own
give_nic "$domid" bridge=s
give_nic "$domid" bridge=s
for case in static-grants hash multicast dynamic; do
	guest "$domid" "$own" $case >"$tmp/out" 2>&1 ||
		fail "net-own $case: $(cat "$tmp/out"; tail -3 "$tmp/log")"
	sed "s/^/$name:   /" "$tmp/out"
done
detach_nic "$domid" 0
detach_nic "$domid" 1
nothing_left
end_back
