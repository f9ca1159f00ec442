#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A front end that writes any state in any order at any speed harms nobody but
# itself, and leaves nothing behind.
# The quick run: plain
. "$(dirname "$0")/lib-blk.sh"
storm=$PWD/tests/state-storm
[ -x "$storm" ] || skip "tests/state-storm is not built; make check builds it"
own_xen "$@"
truncate -s 16M "$tmp/image"
truncate -s 16M "$tmp/other"
writes=20000
[ -z "${PV_FULL:-}" ] || writes=100000
[ "$writes" -ge 100000 ] || say "deferred: 100,000 states as fast as the store takes them ($writes were written)"
start_daemon
make_guest bystander
bystander=$domid
attach_by_hand "$bystander" "$tmp/other" w
back_reaches "$bystander" 2
make_guest g2
f=$(front_dir "$domid")

# bystander_is_served: while the storm goes on.
bystander_is_served()
{
	guest "$bystander" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 ||
		fail "the bystander: $(cat "$tmp/out")"
}

# recovers: an orderly front end after the storm.
recovers()
{
	guest "$domid" xenstore-write "$f/state" 6
	back_reaches "$domid" 6
	guest "$domid" xenstore-write "$f/state" 1
	back_reaches "$domid" 2
	guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 ||
		fail "$(cat "$tmp/out")"
	back_reaches "$domid" 6
}

attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2

say "states at 1 kHz, with keys that cannot work"
guest "$domid" xenstore-write "$f/ring-ref" 8 "$f/event-channel" 9
guest "$domid" "$storm" "$f/state" 2000 1000 1 &
io=$!
bystander_is_served
bystander_is_served
wait $io || fail "the storm ended early"
recovers

say "states at 1 kHz under a front end that works"
use_disk "$domid"
front=$io
guest "$domid" "$storm" "$f/state" 1000 1000 2 || fail "the storm ended early"
bystander_is_served
guest "$domid" xenstore-write "$f/state" 6
back_reaches "$domid" 6
kill "$front" 2>/dev/null
wait "$front"
recovers

say "states as fast as the store takes them"
before=$(own_kib "$daemon")
guest "$domid" "$storm" "$f/state" $writes 0 3 || fail "the storm ended early"
bystander_is_served
recovers
after=$(own_kib "$daemon")
say "daemon's memory: $before KiB before, $after KiB after $writes writes"
# AddressSanitizer keeps what was freed.
grep -q libasan "/proc/$daemon/maps" || [ "$after" -lt $((before + 4096)) ] ||
	fail "memory grew"
log=$(wc -l <"$tmp/log")
say "$log lines of log"

say "nodes removed and made again under a storm"
guest "$domid" "$storm" "$f/state" 3000 1000 4 &
io=$!
n=0
while [ $n -lt 20 ]; do
	remove_nodes "$domid"
	attach_by_hand "$domid" "$tmp/image" w
	n=$((n + 1))
done
wait $io
recovers
detach_by_hand "$domid"
detach_by_hand "$bystander"
end_back
