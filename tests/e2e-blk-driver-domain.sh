#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The back end in a domain of its own, with that domain's rights only: it serves
# another guest, and does what a tool stack in its domain would have done.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
paravane=$PWD/paravane
truncate -s 32M "$tmp/image"
make_driver_domain
make_guest g1
back_dir() { echo "/local/domain/$dd/backend/vbd/$1/51712"; }

# A disk with xl's script, which nobody in the driver domain runs.
attach()
{
	"$paravane" attach-disk "$domid" "$tmp/image" xvda --backend "$dd" --no-wait \
		--script /etc/xen/scripts/block "$@" || fail "attach"
}

disk_gone() { ! xenstore-exists "$(back_dir "$domid")"; }

# As libxl: asks, and waits until the driver domain has removed its directory.
detach()
{
	xenstore-write "$(back_dir "$domid")/online" 0 "$(back_dir "$domid")/state" 5
	wait_for $wait_s disk_gone || fail "the directory stays: $(xenstore-ls -f "$(back_dir "$domid")")"
	xenstore-rm "$(front_dir "$domid")"
}

start_in_dd --driver-domain

say "served, detached"
attach
guest "$domid" "$blkfront" bench --ops 1000 --pattern randwrite --overwrite >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
back_reaches "$domid" 6
detach

say "detached before it was used; an error is said in the driver domain"
attach
detach
mv "$tmp/image" "$tmp/away"
"$paravane" attach-disk "$domid" "$tmp/image" xvda --backend "$dd" --no-wait || fail "attach"
back_reaches "$domid" 6
error_says "$domid" "no such file"
mv "$tmp/away" "$tmp/image"
detach
error_gone() { ! xenstore-exists "/local/domain/$dd/error/backend"; }
wait_for $wait_s error_gone || fail "its error stays"

say "the client dies"
attach
use_disk "$domid"
pid=$(worker_of "$domid")
"$LOCALXEN" destroy "$domid" || fail "destroy"
# The guest's own nodes go with it; the tool stack says the rest.
xenstore-write "$(back_dir "$domid")/online" 0 "$(back_dir "$domid")/state" 5
wait_for $wait_s disk_gone || fail "the directory stays"
wait_for $wait_s process_gone "$pid" || fail "the worker stays"
make_guest g2
attach
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach

# hides KEY: XS-6, the guest lets nobody but itself (and dom0) read it; shows: again.
hides() { guest "$domid" xenstore-chmod "$(front_dir "$domid")/$1" "n$domid"; }
shows() { guest "$domid" xenstore-chmod "$(front_dir "$domid")/$1" "n$domid" "r$dd"; }

say "its state is hidden while it is connected: as if it had gone"
attach
use_disk "$domid"
hides state
guest "$domid" xenstore-write "$(front_dir "$domid")/state" 4
xenstore-write "$(back_dir "$domid")/poke" 1
back_reaches "$domid" 6
wait "$io"
shows state
guest "$domid" xenstore-write "$(front_dir "$domid")/state" 1
back_reaches "$domid" 2

say "keys that are hidden: refused with a reason"
for key in ring-ref event-channel protocol; do
	guest "$domid" xenstore-write "$(front_dir "$domid")/state" 1
	back_reaches "$domid" 2
	guest "$domid" xenstore-write "$(front_dir "$domid")/ring-ref" 8 \
		"$(front_dir "$domid")/event-channel" 5 "$(front_dir "$domid")/protocol" x86_64-abi
	hides $key
	guest "$domid" xenstore-write "$(front_dir "$domid")/state" 3
	back_reaches "$domid" 6
	error_says "$domid" "$key"
	guest "$domid" xenstore-rm "$(front_dir "$domid")/$key"
	guest "$domid" xenstore-write "$(front_dir "$domid")/state" 6
done
guest "$domid" xenstore-write "$(front_dir "$domid")/state" 1
back_reaches "$domid" 2
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "it is not served again: $(cat "$tmp/out")"
back_reaches "$domid" 6
detach

say "without --driver-domain another does both"
stop_in_dd
start_in_dd
attach
back_reaches "$domid" 2
back_stays "$domid" 2
xenstore-write "$(back_dir "$domid")/hotplug-status" connected
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach_by_hand "$domid"
stop_in_dd

say "it dies under a guest's I/O, is started again, and the disk comes back"
start_in_dd --driver-domain
attach
use_disk "$domid"
old=$(back_dir "$domid")
"$LOCALXEN" destroy "$dd" || fail "destroy"
wait "$daemon"
wait_for $wait_s process_gone "$(worker_of "$domid")" || fail "its worker outlives it"
# What it left in its run directory is the next one's, too: the same directory here.
served=$domid
make_driver_domain 2>"$tmp/out"
domid=$served
[ "$(back_dir "$domid")" != "$old" ] || fail "the next one is the same domain"
start_in_dd --driver-domain
# As xl does with a device whose back end has gone: its nodes go, and it is attached anew.
kill -9 "$io" 2>/dev/null
wait "$io"
xenstore-rm "$old" 2>"$tmp/out"
xenstore-rm "$(front_dir "$domid")" || fail "the front end's nodes have gone"
attach
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "it does not come back: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
detach
stop_in_dd
! grep -E "$mistakes" "$tmp/log" || fail "see above"
say passed
