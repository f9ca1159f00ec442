#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk's life: attached by hand, connected by our front end, detached, coming
# back, vanishing, and the domain dying under it.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
truncate -s 64M "$tmp/image"
start_daemon
make_guest g1

say "attach, connect, close, come back"
attach_by_hand "$domid" "aio:$tmp/image" w
back_reaches "$domid" 2
reads 131072 xenstore-read "$(back_dir "$domid")/sectors"
for turn in 1 2 3; do
	guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 ||
		fail "turn $turn: $(cat "$tmp/out")"
	back_reaches "$domid" 6
done

say "a killed front end, and the next one in the same domain"
use_disk "$domid"
kill -9 "$(pgrep -P $io)"
guest "$domid" xenstore-write "$(front_dir "$domid")/state" 6
back_reaches "$domid" 6
guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"

say "detach under I/O"
use_disk "$domid"
[ "$(info "$domid" image)" = "$tmp/image" ] || fail "info file: image"
[ "$(info "$domid" restarts)" = 0 ] || fail "info file: restarts"
detach_by_hand "$domid"
wait "$io"
wait_for $wait_s has_no_run_files || fail "run files left"

say "nodes vanish under I/O"
attach_by_hand "$domid" "$tmp/image" w
use_disk "$domid"
pid=$(worker_of "$domid")
remove_nodes "$domid"
wait_for $wait_s process_gone "$pid" || fail "the worker stays"
xenstore-read "$(back_dir "$domid")/state" 2>/dev/null && fail "the node came back"
wait "$io"

say "detach of a front end that never came"
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2
detach_by_hand "$domid"

say "the domain dies under I/O, and its number is used again"
attach_by_hand "$domid" "$tmp/image" w
use_disk "$domid"
pid=$(worker_of "$domid")
"$LOCALXEN" destroy --keep-nodes "$domid" || fail "destroy"
wait_for $wait_s process_gone "$pid" || fail "the worker stays"
back_reaches "$domid" 6
remove_nodes "$domid"
make_guest g2 --domid="$domid"
attach_by_hand "$domid" "$tmp/image" r
back_reaches "$domid" 2
reads 4 xenstore-read "$(back_dir "$domid")/info"
guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach_by_hand "$domid"
end_back
