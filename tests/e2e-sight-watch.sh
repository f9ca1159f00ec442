#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane watch as a dom0 script uses it: which events come, in which order, with which
# members; filters, deadlines, exit statuses. In a local Xen of its own.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
need python3 python3
export PARAVANE_RUNDIR="$tmp/run"
paravane=$PWD/paravane

# events EXPRESSION: true of e, the events so far, and n, their names without states.
events()
{
	python3 -c "
import json, sys
e = [json.loads(l) for l in open('$tmp/events')]
n = [x['event'] for x in e if x['event'] != 'state']
sys.exit(not ($1))"
}
comes() { wait_for $wait_s events "$1" || fail "not so: $1: $(cat "$tmp/events")"; }
# A guest that is only looked at by others.
is_ready() { [ -s "$tmp/$1" ]; }

truncate -s 16M "$tmp/disk"
start_daemon
make_guest one
one=$domid
expect 3 "$paravane" watch --timeout 0.2
expect 4 "$paravane" watch nobody --timeout 0.2
expect 2 "$paravane" watch --event appeared,nonsense
expect 2 "$paravane" watch --timeout never

"$paravane" watch >"$tmp/events" &
watch=$!
"$paravane" watch one xvda --until error,connected --event connected --timeout 500 >"$tmp/until" &
until=$!
"$paravane" watch one xvdb --event appeared --timeout 500 >"$tmp/other" &
other=$!
attach_by_hand "$one" "$tmp/disk" w
comes "n[:1] == ['appeared']"
comes "(e[0]['domain'], e[0]['device'], e[0]['kind']) == ('one', 'xvda', 'vbd')"
use_disk "$one" --depth 8 --rate 2000
comes "n == ['appeared', 'connected']"
comes "[x for x in e if x['event'] in ('appeared', 'state')][-1]['frontend_state'] == 'Connected'"
wait $until || fail "--until ended with $?"
[ "$(wc -l <"$tmp/until")" = 1 ] || fail "$(cat "$tmp/until")"

old=$(worker_of "$one")
kill -9 "$old"
comes "n[2:] == ['worker-died', 'worker-went-on']"
comes "[x['worker_pid'] for x in e if x['event'] == 'worker-died'] == [$old]"
comes "[x['worker_restarts'] for x in e if x['event'] == 'worker-went-on'] == [1]"

"$paravane" limit one xvda iops=50 >/dev/null 2>"$tmp/limited" || fail "no limit: $(cat "$tmp/limited")"
comes "n[4:5] == ['throttled']"
# What was limited once is so no more: no news for who comes later.
"$paravane" limit one xvda none >/dev/null 2>"$tmp/limited" || fail "no limit: $(cat "$tmp/limited")"
comes "n[5:] == ['unthrottled']"
expect 3 "$paravane" watch one xvda --event throttled --until throttled --timeout 3

# One that was there before is told as the others.
"$paravane" watch --number 2 --timeout 500 >"$tmp/late" || fail "--number ended with $?"
[ "$(grep -c '"event":"appeared"\|"event":"connected"' "$tmp/late")" = 2 ] || fail "$(cat "$tmp/late")"

detach_by_hand "$one"
wait "$io"
comes "n[-2:] == ['closed', 'disappeared']"
comes "[x['reason'] for x in e if x['event'] == 'closed'] == [None]"

# Refused, with the reason.
attach_by_hand "$one" "$tmp/nothing" w
comes "any(x['event'] == 'error' and 'nothing' in x['text'] and x['end'] == 'back' for x in e)"
comes "'nothing' in ([x['reason'] for x in e if x['event'] == 'closed'][-1] or '')"
remove_nodes "$one"
comes "n[-1] == 'disappeared'"
kill $watch $other
wait $watch || fail "watch ended with $?"
wait $other || fail "watch ended with $?"
[ ! -s "$tmp/other" ] || fail "events of another device: $(cat "$tmp/other")"

# An interface by each of its names; one that is not there yet by those that say its number.
"$paravane" attach-nic one mac=00:16:3e:00:00:05 vifname=lan0 --no-wait --no-libxl >/dev/null || fail "attach-nic"
for nic in vif0 "vif$one.0" 00:16:3e:00:00:05 lan0; do
	"$paravane" watch one $nic --number 1 --timeout 500 >"$tmp/late" || fail "watch one $nic ended with $?"
	grep -q '"device":"vif0"' "$tmp/late" || fail "watch one $nic: $(cat "$tmp/late")"
done
expect 3 "$paravane" watch one "vif$one.1" --timeout 0.2
expect 4 "$paravane" watch one 00:16:3e:00:00:06 --timeout 0.2
expect 2 "$paravane" watch one nonsense --timeout 0.2
"$paravane" detach one lan0 --force --no-wait || fail "detach"
end_back
