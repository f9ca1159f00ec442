#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that means harm to its block back end, beside one that does verified
# I/O all the time and must not notice.
#
# Cases of tests/hostile-blk, and what each stands for:
#
#   requests        BLK-1 segment counts, BLK-2 sectors of a segment, BLK-3 range
#                   and overflow, BLK-4 indirect, BLK-5 twice, BLK-7 operations,
#                   BLK-8 grefs (never, no longer, to another, read-only), BLK-9
#                   discard, RING-4 ring page as data; in every ABI, persistent
#                   grants and not
#   read-only       BLK-6 write, barrier, indirect write, discard of a read-only disk
#   flood           8,000 refusals, a dozen lines of log
#   ring-jump/-far/-backwards
#                   RING-1 req_prod by ring size + 1, by 2^31, back
#   ring-connect    RING-6 impossible indices at connect
#   ring-self       RING-4 disk data over the ring's own indices
#   ring-wrap       legal: indices that begin just below 2^32
#   ring-rsp-prod   RING-1 rsp_prod overwritten under load
#   ring-events     RING-3 req_event and rsp_event lie
#   ring-scribble   RING-2 slots rewritten while requests run
#   grant-list      BLK-4 an indirect list rewritten while it is used
#   grant-data      BLK-8 grants of data pages ended in flight, and while mapped
#   grant-ring      RING-5 the grant of the ring ended while mapped
#   sub-page        WORKER-11 a ring that can be copied and not be mapped
#   store-ring      BLK-8 the grant of the guest's XenStore ring as data
#   storm           EV-1 events without requests
#   ports           EV-1 the port closed under load, its number bound again
#   killed          front end gone with 32 requests in flight
#   load            LIFE-1 domain destroyed with 32 requests in flight
. "$(dirname "$0")/lib-blk.sh"
hostile=$PWD/tests/hostile-blk
[ -x "$hostile" ] || skip "tests/hostile-blk is not built; make check builds it"
own_xen "$@"
for image in image other locked; do
	truncate -s 16M "$tmp/$image"
done
start_daemon

# ---- the bystander ---------------------------------------------------------------

make_guest bystander
bystander=$domid
attach_by_hand "$bystander" "$tmp/other" w
back_reaches "$bystander" 2
: >"$tmp/turns"

bystander_runs()
{
	while [ ! -e "$tmp/stop" ]; do
		guest "$bystander" "$blkfront" bench --verify --overwrite --length 4M \
			--pattern mixed --seconds 0.3 --warmup 0 --timeout 60 >"$tmp/bystander" 2>&1 ||
			break
		echo >>"$tmp/turns"
	done
}
bystander_runs &
bystander_io=$!

turns() { wc -l <"$tmp/turns"; }
has_turned() { [ "$(turns)" -gt "$1" ] || gone $bystander_io; }

# unhurt: a whole turn of verified I/O since the call, and the daemon lives.
unhurt()
{
	wait_for 120 has_turned $(($(turns) + 1)) || fail "the bystander stands still"
	gone $bystander_io && fail "the bystander: $(cat "$tmp/bystander")"
	gone "$daemon" && fail "the daemon ended: $(tail -3 "$tmp/log")"
	out=$(grep -E "ended by signal|exited with status|$mistakes" "$tmp/log") &&
		fail "a worker died: $out"
	return 0
}

# ---- the other -------------------------------------------------------------------

# plays ARGUMENT...: of hostile-blk, in guest $domid.
plays()
{
	guest "$domid" "$hostile" "$@" >"$tmp/out" 2>&1 ||
		fail "hostile-blk $*: $(cat "$tmp/out"; tail -3 "$tmp/log" \
			"$LOCALXEN_DIR/xenbus-$domid.log")"
	sed "s/^/$name:   /" "$tmp/out"
}

# stops ARGUMENT...: the device closes and says why; then it is there again.
stops()
{
	plays "$@"
	error_says "$domid" "the ring's request producer is impossible"
	plays good
}

make_guest hostile
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2

say "requests that no front end should send"
plays --log "$tmp/log" requests flood
plays --persistent requests
for abi in x86_32 x86_64; do
	plays --abi $abi requests
	plays --persistent --abi $abi requests
done
unhurt
# 0xee is what refused writes held.
n=$(tr -dc '\356' <"$tmp/image" | wc -c)
[ "$n" = 0 ] || fail "$n bytes of refused writes are in the image"

say "the ring"
for abi in native x86_32 x86_64; do
	stops --abi $abi ring-jump
	stops --abi $abi ring-far
	stops --abi $abi ring-backwards
	stops --abi $abi ring-connect
	stops --abi $abi ring-self
	plays --abi $abi ring-wrap
done
unhurt
plays ring-rsp-prod ring-events
plays --abi x86_32 ring-rsp-prod
unhurt
plays ring-scribble
plays --persistent --abi x86_32 ring-scribble
unhurt

say "grants"
plays grant-list grant-data grant-ring
plays --persistent grant-list grant-data grant-ring
plays sub-page
error_says "$domid" "cannot map the ring"
plays good
unhurt

say "events without requests"
cpu_us() { awk '{ printf "%d", $1 / 1000 }' "/proc/$1/schedstat"; }
guest "$domid" "$hostile" storm >"$tmp/out" 2>&1 &
io=$!
wait_for $wait_s has_worker "$domid" || fail "no worker: $(cat "$tmp/out")"
pid=$(worker_of "$domid")
before=$(cpu_us "$pid") && sleep 1 && after=$(cpu_us "$pid") &&
	say "the worker used $(((after - before) / 1000)) ms of CPU in a second"
wait $io || fail "storm: $(cat "$tmp/out")"
sed "s/^/$name:   /" "$tmp/out"
unhurt

plays ports
unhurt

say "sudden death of the front end"
for option in --abi=native --abi=x86_32 --persistent; do
	guest "$domid" "$hostile" $option killed >"$tmp/out" 2>&1
	[ $? = 137 ] || fail "hostile-blk killed: $(cat "$tmp/out")"
	plays good
done
unhurt
detach_by_hand "$domid"

say "a read-only disk"
before=$(sha256sum <"$tmp/locked")
attach_by_hand "$domid" "$tmp/locked" r
back_reaches "$domid" 2
plays --log "$tmp/log" read-only
plays --persistent read-only
for abi in x86_32 x86_64; do
	plays --abi $abi read-only
done
[ "$(sha256sum <"$tmp/locked")" = "$before" ] || fail "the read-only image has changed"
detach_by_hand "$domid"

say "a guest that reads a disk into its own XenStore ring"
other=$domid
make_guest storeless
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2
guest "$domid" "$hostile" store-ring >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
"$LOCALXEN" destroy "$domid" || fail "destroy"
detach_by_hand "$domid" 2>/dev/null
unhurt
domid=$other

say "sudden death of the domain"
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2
guest "$domid" "$hostile" load >"$tmp/out" 2>&1 &
io=$!
wait_for $wait_s has_line "in flight" "$tmp/out" || fail "no load: $(cat "$tmp/out")"
pid=$(worker_of "$domid")
"$LOCALXEN" destroy "$domid" || fail "destroy"
wait_for $wait_s gone "$pid" || fail "the worker stays"
wait $io
remove_nodes "$domid" 2>/dev/null
unhurt

: >"$tmp/stop"
wait $bystander_io
say "the bystander did $(turns) turns of verified I/O"
guest "$bystander" "$blkfront" verify --pattern-test --overwrite --timeout 60 \
	>"$tmp/out" 2>&1 || fail "the bystander: $(cat "$tmp/out")"
detach_by_hand "$bystander"
nothing_left
end_back
