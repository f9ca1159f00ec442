#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What an interface may do in a second, both directions: at attach and live, kept by the
# bridge's next worker and the next daemon. Only "not more than" is looked at.
. "$(dirname "$0")/lib-net.sh"
need python3 python3
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
start_daemon

make_guest a; a=$domid
make_guest b; b=$domid
give_nic $a mac=00:16:3e:0a:00:01 --limit tx-packets-per-second=2k,tx-packets-burst=100
give_nic $b mac=00:16:3e:0a:00:02

# sends FROM MAC: frames for a second, counted in $tmp/json.
sends()
{
	timeout 60 "$LOCALXEN" exec "$1" -- "$netfront" bench tx --mac "$2" --size 500 --seconds 1 --json --quiet \
		>"$tmp/json" 2>"$tmp/err" || fail "bench tx: $(cat "$tmp/err"); $(tail -n 3 "$tmp/log")"
}
# at_most FRAMES_PER_S SAVED
at_most()
{
	python3 -c "
import json, sys
j = json.load(open('$tmp/json'))
most = $1 * j['seconds'] * 1.05 + $2
print('$name: %d frames in %.2f s, at most %d' % (j['frames'], j['seconds'], most))
sys.exit(not 0 < j['frames'] <= most)" || fail "not so: $(cat "$tmp/json")"
}
limit() { "$paravane" limit "$@" >/dev/null || fail "limit $*"; }

say "what a guest sends"
sends $a 00:16:3e:0a:00:02
# What was answered before the end was taken then; a ring full of others may be.
at_most 2000 356
hold() { "$LOCALXEN" exec "$1" -- "$netfront" bench echo --quiet >/dev/null 2>&1 & }
hold $b; echo=$!
wait_for $wait_s node_is "$(back_dir $b)/state" 4 || fail "no guest b"

say "what a guest gets"
limit b vif0 rx-bytes-per-second=500k rx-bytes-burst=50k
limit a vif0 none
reads "vif0 of b (domain $b): in force: rx-bytes-per-second=500000 rx-bytes-burst=50000" "$paravane" limit b vif0
counted() { "$paravane" bridge show default --json | python3 -c "
import json, sys
print(next(p['out_bytes'] for p in json.load(sys.stdin)['ports'] if p['port'] == 'b/vif0'))"; }
before=$(counted) from=$(date +%s%N)
sends $a 00:16:3e:0a:00:02
after=$(counted) to=$(date +%s%N)
[ $(((after - before))) -le $(((to - from) / 1000 * 525 / 1000 + 60000)) ] ||
	fail "$((after - before)) bytes in $(((to - from) / 1000000)) ms"
[ "$after" -gt "$before" ] || fail "nothing arrives"
say "$((after - before)) bytes in $(((to - from) / 1000000)) ms"

# While two send all they can to a third, weights of 1000 and 10, to and fro. What they get
# of the machine's CPUs varies more than that: the proportion is test-netback-rates.c's.
# Others go before these floods, XenStore above all.
say "who may send how much, by weight"
make_guest c; c=$domid
give_nic $c mac=00:16:3e:0a:00:03
limit a vif0 none
limit b vif0 none
kill $echo
wait $echo
nice "$LOCALXEN" exec $c -- "$netfront" bench rx --seconds 3600 --quiet >/dev/null 2>&1 & floods=$!
for guest in $a $b; do
	nice "$LOCALXEN" exec $guest -- "$netfront" bench tx --mac 00:16:3e:0a:00:03 --size 60 --seconds 3600 --quiet >/dev/null 2>&1 &
	floods="$floods $!"
done
for guest in $a $b $c; do
	wait_for $wait_s node_is "$(back_dir $guest)/state" 4 || fail "a guest does not connect"
done
python3 - "$paravane" <<-'EOF' || fail "a guest gets nothing; $(standing; tail -n 5 "$tmp/log")"
	import json, subprocess, sys, time

	def paravane(*words):
	    return subprocess.run([sys.argv[1], *words], check=True, stdout=subprocess.PIPE).stdout

	def sent():
	    ports = json.loads(paravane("bridge", "show", "default", "--json"))["ports"]
	    return [p["in_frames"] for g in "ab" for p in ports if p["port"] == g + "/vif0"]

	for weights in (1000, 10), (10, 1000):
	    for guest, weight in zip("ab", weights):
	        paravane("limit", guest, "vif0", f"weight={weight}")
	    before = sent()
	    time.sleep(0.5)
	    part = [now - then + 1 for now, then in zip(sent(), before)]
	    print("weights", weights, "frames", part)
	    if min(part) < 2:
	        sys.exit(1)
EOF
"$paravane" list a --long | grep -q 'limits: weight=10' || fail "list does not show it"
"$paravane" explain b vif0 | grep -q 'weight=1000' || fail "explain does not show it"
limit a vif0 none
limit b vif0 none
kill $floods
wait $floods
hold $b; echo=$!
wait_for $wait_s node_is "$(back_dir $b)/state" 4 || fail "no guest b"

say "the next worker, the next daemon"
limit a vif0 packets-per-second=1k packets-burst=50
kill -9 "$(info $b pid)"
sends $a 00:16:3e:0a:00:02
at_most 1000 306
kill "$daemon"
wait "$daemon"
start_daemon
sends $a 00:16:3e:0a:00:02
at_most 1000 306
refused "limit such as rx-packets" "$paravane" limit b vif0 iops=5

kill $echo
wait $echo
detach_nic $a
detach_nic $b
detach_nic $c
end_back
