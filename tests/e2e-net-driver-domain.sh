#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The net back end in a domain of its own, with that domain's rights only: it serves two
# guests, does what a tool stack in its domain would have done, and outlives a guest that
# takes the right to read its nodes away (XS-6).
. "$(dirname "$0")/lib-net.sh"
need_namespaces
own_xen "$@"
make_driver_domain
make_guest a; a=$domid
make_guest b; b=$domid
back_dir() { echo "/local/domain/$dd/backend/vif/$1/0"; }

start_in_dd --driver-domain

attach()
{
	give_nic "$1" backend="$dd" bridge=br0 script=/etc/xen/scripts/vif-bridge
	back_reaches "$1" 2
}

# As libxl: asks, and waits until the driver domain has removed its directory.
detach()
{
	xenstore-write "$(back_dir "$1")/online" 0 "$(back_dir "$1")/state" 5
	wait_for $wait_s nic_gone "$1" || fail "the directory stays: $(xenstore-ls -f "$(back_dir "$1")")"
	xenstore-rm "$(front_dir "$1")" 2>/dev/null
}
nic_gone() { ! xenstore-exists "$(back_dir "$1")"; }

say "two guests served, one comes back, one is detached"
attach "$a"
attach "$b"
boot_net "$a"
boot_net "$b"
wait_for $wait_s pings "$a" "$b" -c 1 || fail "no ping: $(tail -3 "$tmp/log")"
halt_net "$a"
back_reaches "$a" 6
boot_net "$a"
wait_for $wait_s pings "$a" "$b" -c 1 || fail "no ping: $(tail -3 "$tmp/log")"

# ---- permission denied ------------------------------------------------------------------

# hides DOMID KEY: the guest lets nobody but itself (and dom0) read it; shows: again.
hides() { guest "$1" xenstore-chmod "$(front_dir "$1")/$2" "n$1"; }
shows() { guest "$1" xenstore-chmod "$(front_dir "$1")/$2" "n$1" "r$dd"; }

say "its state is hidden while it is connected: as if it had gone"
lines=$(wc -l <"$tmp/log")
hides "$a" state
guest "$a" xenstore-write "$(front_dir "$a")/state" 4
xenstore-write "$(back_dir "$a")/poke" 1
back_reaches "$a" 6
eval "wait \$front_$a"
[ $(($(wc -l <"$tmp/log") - lines)) -lt 20 ] || fail "that is a lot to say: $(tail -20 "$tmp/log")"

say "it can be seen again, and is served"
shows "$a" state
guest "$a" xenstore-write "$(front_dir "$a")/state" 1
back_reaches "$a" 2
boot_net "$a"
wait_for $wait_s pings "$a" "$b" -c 1 || fail "no ping: $(tail -3 "$tmp/log")"
halt_net "$a"
back_reaches "$a" 6

say "keys that are hidden: refused with a reason"
for key in tx-ring-ref event-channel-tx request-rx-copy feature-sg; do
	guest "$a" xenstore-write "$(front_dir "$a")/state" 1
	back_reaches "$a" 2
	guest "$a" xenstore-write "$(front_dir "$a")/tx-ring-ref" 8 "$(front_dir "$a")/rx-ring-ref" 9 \
		"$(front_dir "$a")/event-channel-tx" 5 "$(front_dir "$a")/event-channel-rx" 6 \
		"$(front_dir "$a")/request-rx-copy" 1 "$(front_dir "$a")/feature-sg" 1
	hides "$a" $key
	guest "$a" xenstore-write "$(front_dir "$a")/state" 4
	back_reaches "$a" 6
	error_says "$a" "$key"
	guest "$a" xenstore-rm "$(front_dir "$a")/$key"
	guest "$a" xenstore-write "$(front_dir "$a")/state" 6
done
guest "$a" xenstore-write "$(front_dir "$a")/state" 1
back_reaches "$a" 2
boot_net "$a"
wait_for $wait_s pings "$a" "$b" -c 1 || fail "no ping: $(tail -3 "$tmp/log")"

# ---- the end ------------------------------------------------------------------------------

say "a client dies; the other is detached"
"$LOCALXEN" destroy "$a" || fail "destroy"
detach "$a"
node_is "$(back_dir "$b")/state" 4 || fail "the other suffers"
halt_net "$b"
detach "$b"
wait_for $wait_s has_no_run_files || fail "left: $(ls "$tmp/run/netback")"
! xenstore-exists "/local/domain/$dd/error/backend" || fail "errors stay: $(xenstore-ls -f "/local/domain/$dd/error")"
stop_in_dd
nothing_left
! grep -E "$mistakes" "$tmp/log" || fail "see above"
say passed
