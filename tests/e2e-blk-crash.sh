#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Nothing is lost when a worker or the daemon dies under verified I/O.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
truncate -s 256M "$tmp/image"
start_daemon
make_guest g1
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2

# Writes a pattern over the disk and reads it back.
verify()
{
	guest "$domid" "$blkfront" verify --pattern-test --overwrite --depth 8 \
		--segments 4 --progress "$@" >"$tmp/out" 2>&1
	echo $? >"$tmp/status"
}

# start_verify OPTION...: and returns when the first data has gone to the disk. A
# verify may be over before one looks: what it has said stays.
start_verify()
{
	rm -f "$tmp/status" "$tmp/out"
	verify "$@" &
	io=$!
	wait_for $wait_s has_begun || fail "verify does not begin; $(tail -3 "$tmp/log")"
}

has_begun() { grep -q 'MiB' "$tmp/out"; } 2>/dev/null

verify_ends()
{
	wait "$io"
	[ "$(cat "$tmp/status")" = 0 ] || fail "verify: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	back_reaches "$domid" 6
}

verified() { [ -s "$tmp/status" ]; } 2>/dev/null

say "one worker after the other is killed"
kills=0 turn=0
while [ $kills -lt 6 ] && [ $turn -lt 12 ]; do
	turn=$((turn + 1))
	start_verify --seed $turn
	# Five crashes in ten seconds would end it.
	n=0
	while [ $n -lt 3 ] && ! verified; do
		sleep 0.0$((turn % 5 + n))
		pid=$(worker_of "$domid")
		[ -n "$pid" ] && kill -9 "$pid" 2>/dev/null && n=$((n + 1))
	done
	kills=$((kills + n))
	verify_ends
done
[ $kills -ge 4 ] || fail "only $kills workers were killed"
say "$kills workers killed"

# Its lock, for which the successor waits, may go a moment before its event channel.
say "a worker at rest is killed, and its channel is not free at once"
use_disk "$domid" --depth 1
pid=$(worker_of "$domid")
"$LOCALXEN" fail bind --domain 0 --count 3 --errno EINVAL >"$tmp/rule" || fail "no rule"
kill -9 "$pid"
has_successor() { now=$(worker_of "$domid") && [ -n "$now" ] && [ "$now" != "$pid" ]; }
wait_for $wait_s has_successor || fail "no successor: $(tail -3 "$tmp/log")"
node_is "$(back_dir "$domid")/state" 4 || fail "the front end was told"
"$LOCALXEN" fail --list >"$tmp/rule"
grep -q 'failed 3$' "$tmp/rule" || fail "it was free at once: $(cat "$tmp/rule")"
"$LOCALXEN" fail --clear
detach_by_hand "$domid"
wait "$io"
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2

say "the daemon is stopped and started"
for signal in TERM KILL; do
	start_verify --seed 9
	kill -$signal "$daemon"
	wait "$daemon"
	verified && say "note: verify was over before SIG$signal"
	start_daemon
	verify_ends
done
say "$(grep -c 'goes on with its rings' "$tmp/log") resumed"
detach_by_hand "$domid"
end_back
