#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Switches as their administrator sees them, while guests talk: VLANs apart and changed
# live, isolation, counters, captures that tcpdump reads meanwhile, an uplink into a
# Linux bridge with a third host behind it; clients that lie or hang, and bad words.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
need tcpdump tcpdump
need python3 python3
# The uplink's bridge is in a namespace that the daemon shares, and nobody else.
[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare -n /bin/sh "$0" "$@"
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
start_daemon

# Frames of a switch without any history: no answer within a second is none.
apart() { ! inside "$1" ping -q -c 2 -i 0.2 -W 1 "10.0.0.$2" >"$tmp/ping" 2>&1; }
meets() { inside "$1" ping -q -c 1 -W 1 "10.0.0.$2" >"$tmp/ping" 2>&1; }
# shows EXPRESSION: of the bridge's JSON object b, and port(NAME).
shows()
{
	"$paravane" bridge show br0 --json >"$tmp/show" || fail "bridge show"
	python3 -c "
import json, sys
b = json.load(open('$tmp/show'))
port = lambda name: next(p for p in b['ports'] if p['port'] == name)
sys.exit(not ($1))" || { cat "$tmp/show"; fail "not so: $1"; }
}
bridge() { "$paravane" bridge "$@" || fail "bridge $*"; }

make_guest a; a=$domid
make_guest b; b=$domid
give_nic $a bridge=br0 vlan=10
give_nic $b bridge=br0 vlan=20
boot_net $a --no-static-grants
boot_net $b --no-static-grants

# ---- VLANs, live ----------------------------------------------------------------

apart $a $b || fail "VLAN 10 and 20 are not apart"
shows "port('a/vif0')['vlan'] == '10' and port('b/vif0')['vlan'] == '20'"
inside $a iperf3 -s -D --pidfile "$tmp/iperf-pid" >/dev/null
bridge port b vif0 vlan=10
wait_for $wait_s meets $a $b || fail "not together in VLAN 10"
# A connection that is being used while its VLAN, its rate and its neighbours change.
inside $b iperf3 -J -c 10.0.0.$a -t 4 >"$tmp/iperf" &
stream=$!
wait_for $wait_s sh -c "nsenter -t $(cat "$tmp/up-$a") -n ss -tn | grep -q :5201" || fail "no connection"
for vlan in 30 10 30 none; do
	bridge port a vif0 vlan=$vlan
	bridge port b vif0 vlan=$vlan
done
bridge port a vif0 rate=500Mb/s
bridge port a vif0 rate=none
bridge set br0 ageing-ms=60000 move-ms=0
wait $stream || fail "the connection was lost: $(grep '"error"' "$tmp/iperf")"
kill "$(tr -d '\0' <"$tmp/iperf-pid")"
shows "b['bridge'] == 'br0' and port('a/vif0')['vlan'] == '' and len(b['ports']) == 2"
shows "port('b/vif0')['in_frames'] > 100 and port('a/vif0')['out_bytes'] > 100000"
shows "len([x for x in b['addresses'] if x['fixed']]) == 2"
"$paravane" bridge list --json | python3 -c "
import json, sys
[b] = json.load(sys.stdin)
assert b['bridge'] == 'br0' and b['ports'] == 2 and b['running'], b
assert b['ageing_ms'] == 60000 and b['move_ms'] == 0 and b['worker_pid'] > 0, b" || fail "list"

# ---- isolation ---------------------------------------------------------------------

bridge port a vif0 isolated=1
bridge port b vif0 isolated=1
wait_for $wait_s apart $a $b || fail "isolated ports talk"
shows "port('a/vif0')['isolated'] and port('b/vif0')['dropped']['nowhere'] > 0"
bridge port a vif0 isolated=0
wait_for $wait_s meets $a $b || fail "one isolated port is kept from one that is not"

# ---- a link that is said to be down ----------------------------------------------------

bridge port a vif0 disconnect=1
reads 1 guest $a xenstore-read device/vif/0/disconnect
bridge port a vif0 disconnect=0
reads 0 guest $a xenstore-read device/vif/0/disconnect
wait_for $wait_s meets $a $b || fail "a word to the guest stops frames"

# ---- captures -----------------------------------------------------------------------

# What tcpdump says of the stream while it goes on.
"$paravane" capture br0 2>"$tmp/capture-end" | tcpdump -l -n -r - 2>"$tmp/tcpdump-log" >"$tmp/tcpdump" &
reader=$!
wait_for $wait_s grep -q 'reading from file' "$tmp/tcpdump-log" || fail "tcpdump: $(cat "$tmp/tcpdump-log")"
pings $a $b || fail "ping while captured"
wait_for $wait_s grep -q "IP 10.0.0.$b > 10.0.0.$a: ICMP echo reply" "$tmp/tcpdump" ||
	fail "tcpdump has seen: $(cat "$tmp/tcpdump")"
# One interface into a file, read while it grows, ended by a signal.
"$paravane" capture a/vif0 -w "$tmp/a.pcap" -s 100 2>"$tmp/a-end" &
capture=$!
wait_for $wait_s test -s "$tmp/a.pcap" || fail "no file"
pings $b $a || fail "ping while captured twice"
seen() { tcpdump -n -r "$tmp/a.pcap" icmp 2>/dev/null | grep -c echo; }
six() { [ "$(seen)" -ge 6 ]; }
wait_for $wait_s six || fail "$(seen) of 6 frames are in the file"
kill $capture
wait $capture || fail "capture ended with $?: $(cat "$tmp/a-end")"
grep -q ' 0 lost$' "$tmp/a-end" || fail "$(cat "$tmp/a-end")"
kill $reader
wait $reader
# Nobody reads: the capture goes, though no frame comes.
no_capture() { ! pgrep -P $$ -f 'paravane capture' >/dev/null; }
wait_for $wait_s no_capture || fail "a capture without a reader stays"
# A reader that sleeps slows nobody.
"$paravane" capture br0 2>/dev/null | { until [ -e "$tmp/streamed" ]; do sleep 0.1; done; cat >/dev/null; } &
inside $a iperf3 -s -1 >/dev/null 2>&1 &
wait_for $wait_s sh -c "nsenter -t $(cat "$tmp/up-$a") -n ss -ltn | grep -q :5201" || fail "iperf3"
inside $b timeout 60 iperf3 -c 10.0.0.$a -n 40M >"$tmp/iperf" || fail "a slow reader: $(cat "$tmp/iperf")"
: >"$tmp/streamed"

# ---- an uplink -----------------------------------------------------------------------

ip link add lan0 type bridge || skip "this kernel has no bridges"
ip link set lan0 up
ip link add wire type veth peer name eth0
ip link set wire up master lan0
unshare -n sleep infinity &
host=$!
wait_for $wait_s sh -c "[ \$(readlink /proc/$host/ns/net) != \$(readlink /proc/$$/ns/net) ]" || fail "namespace"
ip link set eth0 netns $host
nsenter -t $host -n sh -c 'ip link set eth0 up; ip address add 10.0.0.99/24 dev eth0'
# Its bridge is not there yet when it is asked for.
bridge uplink add br0 up0 bridge=nolan
wait_for $wait_s grep -q 'uplink up0: there is no bridge nolan' "$tmp/log" || fail "no complaint"
expect 3 "$paravane" bridge uplink add br0 up0 --wait 0.5 2>"$tmp/said"
grep -q 'uplink up0 is set, and after 0.5 s it is no port of bridge br0' "$tmp/said" || fail "$(cat "$tmp/said")"
bridge uplink add br0 up0 bridge=lan0 --wait $wait_s
in_lan() { ip -o link show dev up0 2>/dev/null | grep -q 'master lan0'; }
in_lan || fail "the uplink is not in lan0: $(tail -3 "$tmp/log")"
wait_for $wait_s meets $a 99 || fail "a cannot reach the host behind the uplink"
wait_for $wait_s meets $b 99 || fail "b cannot reach the host behind the uplink"
nsenter -t $host -n ping -q -c 2 -i 0.1 -W 10 10.0.0.$b >/dev/null || fail "the host cannot reach b"
shows "port('uplink up0')['in_frames'] > 2 and port('uplink up0')['out_frames'] > 2"
shows "any(x['port'] == 'uplink up0' and not x['fixed'] for x in b['addresses'])"
# The next daemon makes it again, and has the same rings.
kill $daemon
wait $daemon || fail "the daemon ended with $?"
no_up0() { ! ip link show dev up0 >/dev/null 2>&1; }
no_up0 || fail "the TAP outlives its back end"
start_daemon
wait_for $wait_s meets $a 99 || fail "a lost the host behind the uplink: $(tail -3 "$tmp/log")"
# Its VLAN changes, live; then it leaves and the TAP goes.
bridge uplink add br0 up0 vlan=p7,8 --wait $wait_s
vlan7() { "$paravane" bridge show br0 | grep -q '^uplink up0 *p7,8 '; }
vlan7 || fail "the uplink's VLANs are as before"
wait_for $wait_s apart $a 99 || fail "a reaches VLAN 7"
bridge uplink remove br0 up0
wait_for $wait_s no_up0 || fail "the TAP stays"

# ---- names that XenStore has no letters for ----------------------------------------------

ip link add lan0.5 type bridge
ip link set lan0.5 up
ip link set wire master lan0.5
make_guest c; c=$domid
give_nic $c bridge=br0.100
boot_net $c
bridge set br0.100 ageing-ms=7000
bridge uplink add br0.100 up0.7 bridge=lan0.5
wait_for $wait_s meets $c 99 || fail "c cannot reach the host behind up0.7: $(tail -3 "$tmp/log")"
"$paravane" bridge show br0.100 >"$tmp/show" || fail "bridge show br0.100"
grep -q '^uplink up0.7 ' "$tmp/show" && grep -q '^c/vif0 ' "$tmp/show" || fail "$(cat "$tmp/show")"
"$paravane" bridge list --json | python3 -c "
import json, sys
[b] = [b for b in json.load(sys.stdin) if b['bridge'] == 'br0.100']
assert b['ports'] == 2 and b['ageing_ms'] == 7000, b" || fail "list of br0.100"
reads 7000 xenstore-read /local/domain/0/paravane-bridge/br0@2e100/ageing-ms
kill -9 $daemon
wait $daemon
start_daemon
wait_for $wait_s meets $c 99 || fail "c lost the host behind up0.7: $(tail -3 "$tmp/log")"
bridge uplink remove br0.100 up0.7
wait_for $wait_s sh -c '! ip link show dev up0.7 >/dev/null 2>&1' || fail "the TAP up0.7 stays"
bridge reset br0.100
halt_net $c
detach_nic $c

# ---- as docs/operations.md has it ----------------------------------------------------------

"$(dirname "$0")/doc-block" "$(dirname "$0")/../docs/operations.md" "local uplink" >"$tmp/uplink" || fail "no block"
PATH=$(dirname "$paravane"):$PATH sh -e "$tmp/uplink" || fail "the page's uplink: $(cat "$tmp/uplink")"
in_xenbr0() { ip -o link show dev tap-lan 2>/dev/null | grep -q 'master xenbr0'; }
wait_for $wait_s in_xenbr0 || fail "the page's uplink is not in its bridge: $(tail -3 "$tmp/log")"
bridge reset lan

# ---- what is refused -------------------------------------------------------------------

refused 'a VLAN (1 to 4094)' "$paravane" bridge port a vif0 vlan=4095
refused 'is expected' "$paravane" bridge port a vif0 isolated=maybe
refused 'at most 343Gb/s' "$paravane" bridge port a vif0 rate=400Gb/s
! node_is "$(back_dir "$a")/rate-bits" 400000000000 || fail "a rate that is none was written"
refused 'means nothing here' "$paravane" bridge set br0 mtu=5
refused 'a number from 1' "$paravane" bridge set br0 ageing-ms=0
refused 'cannot be configured' "$paravane" bridge set br0/x move-ms=1
refused 'at most 15 letters' "$paravane" bridge uplink add br0 a-name-far-too-long
refused 'has no uplink up0' "$paravane" bridge uplink remove br0 up0
refused 'no bridge br9' "$paravane" bridge show br9
refused 'list, show, set' "$paravane" bridge paint br0
refused 'no bridge br9' "$paravane" capture br9 -w "$tmp/x"
refused 'has no network interface' "$paravane" capture a/vif7 -w "$tmp/x"
refused 'octets are expected' "$paravane" capture br0 -s 0
expect 4 "$paravane" bridge reset br9 2>/dev/null
# Clients that lie, hang, or come in crowds: the next one is served, and frames go on.
python3 - "$tmp/run/netback/control" <<'END' || fail "odd clients"
import os, socket, sys
def client():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    return s
for junk in b'', b'x', bytes(4), os.urandom(5000), b'\1\0\0\0\x63' + bytes(3000):
    s = client()
    s.send(junk or b'\0')
    s.settimeout(20)
    while s.recv(1 << 16):
        pass
crowd = [client() for i in range(50)]
END
[ "$(stat -c %a "$tmp/run/netback/control")" = 600 ] || fail "the socket is open to others"
shows "len(b['ports']) == 2"
wait_for $wait_s meets $a $b || fail "ping after odd clients"

kill $host
for d in $a $b; do
	halt_net $d
	detach_nic $d
done
bridge reset br0
reads '' "$paravane" bridge list
end_back

# ---- what XenStore has, without a daemon ------------------------------------------------

for n in $(seq 30); do
	xenstore-write "/local/domain/0/paravane-bridge/br9/uplink/an-uplink-of-$n/bridge" lan
done
xenstore-write '/local/domain/0/paravane-bridge/br9/uplink/a@22b/bridge' lan
"$paravane" bridge list --json | python3 -c "
import json, sys
[b] = json.load(sys.stdin)
assert len(b['uplinks']) == 31 and 'a\"b' in b['uplinks'] and 'an-uplink-of-30' in b['uplinks'], b" || fail "uplinks of br9"
"$paravane" bridge list | grep -q ',an-uplink-of-9$' || fail "$("$paravane" bridge list)"
