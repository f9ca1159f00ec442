#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What an administrator sees of a disk whose image's server does not answer, and then is
# away: a stall, and not an idle guest. In a local Xen of its own.
. "$(dirname "$0")/lib-blk.sh"
! sanitized || skip "the server is started with a sanitizer's environment"
need nbdkit nbdkit
need python3 python3
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
paravane=$PWD/paravane
tests=$(cd "$(dirname "$0")" && pwd)
trap 'kill -9 $server 2>/dev/null' EXIT

# says EXPRESSION COMMAND...: true of o, the last JSON object that it prints; within the deadline.
says()
{
	expression=$1
	shift
	wait_for $wait_s says_now "$@" || fail "never: $expression: $(cat "$tmp/out"), $(tail -n 3 "$tmp/log")"
}
says_now()
{
	"$paravane" "$@" >"$tmp/out" || fail "$*"
	python3 -c "
import json, sys
o = json.loads(open('$tmp/out').readlines()[-1])
sys.exit(not ($expression))"
}
topics="[f['topic'] for f in o['findings']]"
stalled="[f['is'] for f in o['findings'] if f['topic'] == 'stalled']"
start_server()
{
	rm -f "$tmp/nbd"
	nbdkit --foreground --unix "$tmp/nbd" file "$tmp/disk" >>"$tmp/nbd.log" 2>&1 &
	server=$!
	wait_for 20 test -S "$tmp/nbd" || fail "no nbdkit: $(cat "$tmp/nbd.log")"
}
# connected 0|1: the disk, as the metrics have it.
connected()
{
	"$paravane" metrics --once >"$tmp/metrics"
	grep -q '^paravane_disk_server_connected{.*device="xvda"} '"$1"'$' "$tmp/metrics"
}

truncate -s 16M "$tmp/disk"
start_server
start_daemon
make_guest busy
attach_by_hand "$domid" "nbd+unix:///?socket=$tmp/nbd" w
use_disk "$domid" --depth 128 --ring-order 2 --rate 4000
wait_for $wait_s connected 1 || fail "not connected: $(cat "$tmp/metrics")"
python3 "$tests/metrics.py" "$tmp/metrics" "$srcdir/docs/metrics.md" || fail "metrics"
says "'stalled' not in $topics" why busy xvda --seconds 1 --json

say "the server stands still"
"$paravane" trace busy xvda -o "$tmp/chrome" 2>/dev/null &
trace=$!
wait_for $wait_s test -s "$tmp/chrome" || fail "nothing is traced"
kill -STOP $server
says "$stalled and 'server is connected' in $stalled[0] and 'guest' not in $topics" \
	why busy xvda --seconds 1 --json
says "o['devices'][0]['operations_per_s'] == 0 and o['devices'][0]['depth_mean'] == 128" \
	top --json -n 1 -d 0.5

kill -CONT $server
says "'stalled' not in $topics" why busy xvda --seconds 1 --json
kill -INT $trace
wait $trace || fail "trace ended with $?"
# However many were on their way, what is on one track does not overlap.
python3 -c "
import collections, json
e = json.load(open('$tmp/chrome'))['traceEvents']
tracks = collections.defaultdict(list)
for x in e:
    tracks[x['tid']].append((x['ts'], x['dur']))
assert len(tracks) >= 128, len(tracks)
for on in tracks.values():
    on.sort()
    assert all(a + d <= b + 1 for (a, d), (b, _) in zip(on, on[1:])), on" || fail "the trace for a viewer"

say "the server is away"
kill -9 $server
wait $server
says "$stalled and 'server is away: ' in $stalled[0]" why busy xvda --seconds 1 --json
connected 0 || fail "the metrics do not say it: $(cat "$tmp/metrics")"

say "it is back"
start_server
wait_for $wait_s connected 1 || fail "not connected again: $(cat "$tmp/metrics")"
says "'stalled' not in $topics" why busy xvda --seconds 1 --json

say "XenStore does not answer: names are missing, and figures are not"
store=$(pgrep -P "$PPID" -x xenstored)
[ -n "$store" ] || fail "which process is the store?"
kill -STOP "$store"
timeout 60 "$paravane" top --json -n 1 -d 0.5 >"$tmp/top" && timeout 60 "$paravane" metrics --once >"$tmp/metrics"
status=$?
kill -CONT "$store"
[ $status = 0 ] || fail "no figures without the store: $status"
python3 -c "
import json
o = json.load(open('$tmp/top'))['devices'][0]
assert o['domain'] == '$domid' and o['operations_per_s'] > 0, o" || fail "top"
grep -q "^paravane_disk_requests_taken_total{domid=\"$domid\",domain=\"$domid\"," "$tmp/metrics" || fail "metrics: $(cat "$tmp/metrics")"
says "o['devices'][0]['domain'] == 'busy'" top --json -n 1 -d 0.1

detach_by_hand "$domid"
wait "$io"
end_back
