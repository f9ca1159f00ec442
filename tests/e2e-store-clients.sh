#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many clients share a guest's one ring: none sees another's ids, watches or
# transactions, and one that dies or misbehaves takes nothing with it.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need xenstore-watch xenstore-utils
peer=${abs_top_builddir:-$PWD}/store-peer
own_xen "$@"

g=$("$LOCALXEN" domain) || fail "no domain"
k=data/k
in_guest() { guest $g "$peer" "$@"; }

say "request ids, cut messages, garbage"
expect 0 in_guest ids
expect 0 in_guest cut
expect 0 in_guest garbage length
expect 0 in_guest garbage type
expect 0 in_guest ids

say "one path and one token in many clients"
guest $g xenstore-write $k v
expect 0 in_guest same $k token 50
# Stock programs do just that: xenstore-watch's token is the path.
for i in 1 2 3; do
	"$LOCALXEN" exec $g -- xenstore-watch -n 2 $k >"$tmp/w$i" &
	eval "w$i=$!"
done
for i in 1 2 3; do
	wait_for 30 has_line $k "$tmp/w$i" || fail "watcher $i: no first event"
done
guest $g xenstore-write $k new
for i in 1 2 3; do
	eval "wait \$w$i" || fail "watcher $i failed"
	reads "$(printf '%s\n%s' $k $k)" cat "$tmp/w$i"
done

say "clients killed inside a transaction, and with watches"
before=$(in_guest quota)
[ "$before" -gt 0 ] && [ "$before" -lt 200 ] || fail "$before transactions can be open"
expect 0 in_guest kill-transactions 200 $k
reads new guest $g xenstore-read $k
reads "$before" in_guest quota
reads "$before" in_guest quota
expect 0 in_guest commit $k committed
expect 0 in_guest kill-watches 20 100 $k
expect 0 in_guest same $k token 50
# A client killed from outside, in the middle of its work.
for i in 1 2 3 4 5; do
	"$LOCALXEN" exec $g -- "$peer" storm data 100000 &
	storm=$!
	sleep 0.1
	kill -9 $storm
	wait $storm 2>/dev/null
done
expect 0 in_guest commit $k "after the storms"

say "clients that do not read"
"$LOCALXEN" exec $g -- "$peer" slow data >"$tmp/slow" &
slow=$!
"$LOCALXEN" exec $g -- "$peer" stuck >"$tmp/stuck" &
stuck=$!
wait_for 60 has_line ready "$tmp/slow" || fail "the slow client is not there"
wait_for 60 has_line ready "$tmp/stuck" || fail "the stuck client is not there"
expect 0 in_guest storm data 4000
wait $slow || fail "the slow client was not disconnected"
expect 0 in_guest ids
expect 0 in_guest commit $k "after the slow ones"
kill $stuck
wait $stuck 2>/dev/null
grep -q "does not read its watch events" "$LOCALXEN_DIR/xenbus-$g.log" ||
	fail "the log does not name the slow client"

say "what a client had sent when it went is done"
has_all() { [ "$(guest $g xenstore-list data/left | wc -l)" = 500 ]; }
expect 0 in_guest leave data/left 500
wait_for 60 has_all || fail "of 500 nodes there are $(guest $g xenstore-list data/left | wc -l)"

say "a client for whom there was no descriptor gets one when there is"
xenbus_pid()
{
	for pid in $(pgrep -x localxen-xenbus); do
		tr '\0' '\n' <"/proc/$pid/environ" | grep -qxF "LOCALXEN_DIR=$LOCALXEN_DIR" &&
			tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--domid $g " && echo "$pid"
	done
}
pid=$(xenbus_pid)
[ -n "$pid" ] || fail "no xenbus process of domain $g"
limit=$(ulimit -n)
"$LOCALXEN" exec $g -- xenstore-watch $k >"$tmp/w1" &
first=$!
wait_for 60 has_line $k "$tmp/w1" || fail "the first client gets no event"
# The lowest that is free is the limit: no more than there are.
free=0
while [ -e "/proc/$pid/fd/$free" ]; do free=$((free + 1)); done
prlimit --pid "$pid" --nofile="$free:" || fail "no limit could be set"
"$LOCALXEN" exec $g -- xenstore-watch $k >"$tmp/w2" &
second=$!
sleep 1
! has_line $k "$tmp/w2" || fail "the limit was none"
prlimit --pid "$pid" --nofile="$limit:"
wait_for 60 has_line $k "$tmp/w2" || fail "the second client was never accepted"
kill $first $second
wait $first $second 2>/dev/null

say "so it is with the hypervisor's, which has as many as it may"
hv=
for pid in $(pgrep -x localxen-hv); do
	! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF " hypervisor $LOCALXEN_DIR " || hv=$pid
done
[ -n "$hv" ] || fail "no hypervisor process"
limits=$(prlimit --pid "$hv" --nofile --noheadings --output SOFT,HARD)
[ "${limits% *}" -eq "${limits#* }" ] || fail "its limit is $limits"
cpu_ticks() { sed 's/.*) //' "/proc/$hv/stat" | { read -r line; set -- $line; echo $((${12} + ${13})); }; }
free=0
while [ -e "/proc/$hv/fd/$free" ]; do free=$((free + 1)); done
prlimit --pid "$hv" --nofile="$free:" || fail "no limit could be set"
"$LOCALXEN" status >"$tmp/status" &
client=$!
before=$(cpu_ticks)
sleep 1
[ $(($(cpu_ticks) - before)) -lt 30 ] || fail "it waits busily"
[ ! -s "$tmp/status" ] || fail "the limit was none"
prlimit --pid "$hv" --nofile="$limit:"
wait $client || fail "the client ended with $?"
[ -s "$tmp/status" ] || fail "the client was never accepted"

say "all at once"
pids=
for i in 1 2 3 4 5 6 7 8; do
	"$LOCALXEN" exec $g -- "$peer" storm data/s$i 300 &
	pids="$pids $!"
done
for pid in $pids; do
	wait $pid || fail "a client among eight failed"
done
nothing_left
say ok
