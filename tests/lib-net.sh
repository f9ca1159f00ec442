# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-net.sh - a net back end, and guests that are network namespaces: paravane-netfront
# makes the vif a TAP device in there, and the kernel's own TCP/IP is the guest's.
# Sourced first; brings lib-back.sh. After own_xen: start_daemon, then what the test is
# about, then end_back.

program=netback
kind=vif
. "$(dirname "$0")/lib-back.sh"
paravane=$PWD/paravane
netfront=$PWD/paravane-netfront

need_namespaces()
{
	[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no network namespaces can be made (needs root)"
	need ip iproute2
}

back_dir() { echo "/local/domain/0/backend/vif/$1/${2:-0}"; }
front_dir() { echo "/local/domain/$1/device/vif/${2:-0}"; }
info() { sed -n "s/^$2=//p" "$tmp/run/netback/vif-$1-${3:-0}.info" 2>/dev/null; }

back_reaches()
{
	wait_for $wait_s node_is "$(back_dir "$1")/state" "$2" ||
		fail "back end of $1 is $(xenstore-read "$(back_dir "$1")/state"), expected $2; $(tail -3 "$tmp/log")"
}
front_reaches()
{
	wait_for $wait_s node_is "$(front_dir "$1")/state" "$2" ||
		fail "front end of $1 is $(xenstore-read "$(front_dir "$1")/state"), expected $2"
}

# give_nic DOMID [WORD=VALUE]...: an interface, its front end yet to come.
give_nic() { "$paravane" attach-nic "$@" --no-wait --no-libxl >"$tmp/attached" || fail "attach-nic"; }

# boot_net DOMID [OPTION]...: a guest with its interface as a TAP device eth0 in a
# namespace of its own, which holds until halt_net; addresses 10.0.0.DOMID and
# fd00::DOMID. OPTION: of paravane-netfront tap.
boot_net()
{
	d=$1
	shift
	rm -f "$tmp/up-$d"
	guest "$d" unshare -n "$netfront" tap --ifname eth0 "$@" --run "sh -c '
		ip link set lo up
		ip address add 10.0.0.$d/24 dev eth0
		ip -6 address add fd00::$d/64 dev eth0 nodad
		echo \$\$ >$tmp/up-$d.new; mv $tmp/up-$d.new $tmp/up-$d
		exec sleep infinity'" 2>"$tmp/netfront-$d" &
	eval "front_$d=\$!"
	wait_for $wait_s test -e "$tmp/up-$d" || fail "guest $d: $(cat "$tmp/netfront-$d"); $(tail -3 "$tmp/log")"
	eval "inside_$d=\$(cat \"$tmp/up-$d\")"
}

# inside DOMID COMMAND...: in that guest's namespace.
inside()
{
	eval "pid=\$inside_$1"
	shift
	nsenter -t "$pid" -n "$@"
}

# halt_net DOMID: its front end closes the interface, and ends as what ran in it does.
halt_net()
{
	eval "pid=\$inside_$1 front=\$front_$1"
	kill "$pid"
	wait "$front"
	[ $? = 143 ] || fail "guest $1: $(cat "$tmp/netfront-$1")"
}

# compares CLIENT SERVER SIZE_MIB [ADDRESS]: a file over TCP arrives as it was sent.
compares()
{
	client=$1 server=$2 mib=$3 address=${4:-10.0.0.$2}
	head -c "${mib}M" /dev/urandom >"$tmp/sent"
	inside "$server" python3 -c "
import socket, sys
s = socket.create_server(('::', 7), family=socket.AF_INET6, dualstack_ipv6=True)
open('$tmp/listens', 'w')
c = s.accept()[0]
with open('$tmp/got', 'wb') as f:
    while d := c.recv(1 << 16):
        f.write(d)" &
	receiver=$!
	wait_for $wait_s test -e "$tmp/listens" || fail "nobody listens"
	inside "$client" python3 -c "
import socket
c = socket.create_connection(('$address', 7))
c.sendfile(open('$tmp/sent', 'rb'))" || fail "$client cannot send to $address"
	wait "$receiver"
	rm "$tmp/listens"
	cmp "$tmp/sent" "$tmp/got" || fail "what $address got is not what $client sent"
}

# detach_nic DOMID [DEVID]: as xl does; returns when nothing is left.
detach_nic() { "$paravane" detach "$1" "vif${2:-0}" || fail "detach of $1"; }

# pings DOMID DOMID [OPTION]...
pings()
{
	from=$1 to=$2
	shift 2
	inside "$from" ping -q -c 3 -i 0.05 -W 10 "$@" "10.0.0.$to" >"$tmp/ping" 2>&1
}

# iperf CLIENT SERVER OPTION...: prints the sum that the receiver has, in bits/s.
iperf()
{
	client=$1 server=$2
	shift 2
	inside "$server" iperf3 -s -1 >"$tmp/iperf-server" 2>&1 &
	iperf_pid=$!
	wait_for $wait_s sh -c "nsenter -t $(cat "$tmp/up-$server") -n ss -ltn | grep -q :5201" ||
		fail "iperf3 does not listen"
	inside "$client" iperf3 -J -c "10.0.0.$server" "$@" >"$tmp/iperf" ||
		fail "iperf3 $*: $(grep '"error"' "$tmp/iperf")"
	wait "$iperf_pid"
	python3 -c "
import json, sys
e = json.load(open('$tmp/iperf'))['end']
print(int((e.get('sum_received') or e['sum'])['bits_per_second']))"
}
