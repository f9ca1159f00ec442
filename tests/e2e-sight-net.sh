#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What an administrator sees of network interfaces: frames, drops by reason and latency in
# figures that outlive the bridge's worker. In a local Xen of its own, with guests that are
# network namespaces.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
own_xen "$@"
need python3 python3
need ping iputils-ping
export PARAVANE_RUNDIR="$tmp/run"
tests=$(cd "$(dirname "$0")" && pwd)

# nic DOMID: its object of a look at half a second, as o, for json.
look()
{
	"$paravane" top --json -n 1 -d 0.5 --kind vif >"$tmp/out" || fail "top --json"
}
json()
{
	python3 -c "
import json, sys
d = {x['domain']: x for x in json.load(open('$tmp/out'))['devices']}
sys.exit(not ($1))" || fail "not so: $1: $(cat "$tmp/out")"
}
# metric DOMAIN NAME LABEL: its value.
metric()
{
	"$paravane" metrics --once | sed -n "s/^$2{domid=\"[0-9]*\",domain=\"$1\",device=\"vif0\"${3:+,$3}} //p"
}

start_daemon
make_guest left
left=$domid
make_guest right
right=$domid
give_nic "$left" bridge=lan
give_nic "$right" bridge=lan
boot_net "$left"
boot_net "$right"
pings "$left" "$right" || fail "no ping: $(cat "$tmp/ping")"

sent=paravane_nic_frames_total
before=$(metric left $sent 'direction="sent"') there=$(metric right $sent 'direction="received"')
inside "$left" ping -q -c 150 -i 0.02 -s 1000 "10.0.0.$right" >"$tmp/ping" 2>&1 &
pinging=$!
look
wait $pinging || fail "$(cat "$tmp/ping")"
after=$(metric left $sent 'direction="sent"')
[ "$after" -ge $((before + 150)) ] || fail "$after frames sent, were $before"
[ "$(metric right $sent 'direction="received"')" -ge $((there + 150)) ] || fail "not all received"
json "set(d) == {'left', 'right'} and all(x['bridge'] == 'lan' for x in d.values())"
json "d['left']['worker_pid'] == d['right']['worker_pid'] == $(info "$left" pid)"
json "d['left']['sent_frames_per_s'] > 0 and d['right']['received_frames_per_s'] > 0"
json "d['left']['sent_bytes_per_s'] / d['left']['sent_frames_per_s'] > 500"
json "0 < d['left']['latency_p50_us'] <= d['left']['latency_p999_us']"
json "d['left']['drops_per_s'] == 0"
"$paravane" metrics --once >"$tmp/metrics" || fail "metrics"
python3 "$tests/metrics.py" "$tmp/metrics" "$srcdir/docs/metrics.md" || fail "metrics"

# A frame that lies about its sender is dropped, and the reason counted.
dropped=paravane_nic_dropped_frames_total
[ "$(metric left $dropped 'reason="spoofed"')" = 0 ] || fail "spoofed before any was"
inside "$left" python3 -c "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
s.send(bytes.fromhex('ffffffffffff' '00163e999999' '88b5') + bytes(60))"
is_counted() { [ "$(metric left $dropped 'reason="spoofed"')" = 1 ]; }
wait_for $wait_s is_counted || fail "not counted: $(metric left $dropped 'reason="spoofed"')"

# The bridge's worker dies: figures go on.
before=$(metric left $sent 'direction="sent"') old=$(info "$left" pid)
kill -9 "$old"
is_another() { new=$(info "$left" pid) && [ -n "$new" ] && [ "$new" != "$old" ]; }
wait_for $wait_s is_another || fail "no successor"
answers() { pings "$left" "$right"; }
wait_for $wait_s answers || fail "no ping: $(cat "$tmp/ping")"
[ "$(metric left $sent 'direction="sent"')" -gt "$before" ] || fail "the figures began anew"
[ "$(metric left $dropped 'reason="spoofed"')" = 1 ] || fail "the drop is forgotten"

halt_net "$left"
halt_net "$right"
detach_nic "$left"
detach_nic "$right"
end_back
