#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests with the kernel's own TCP/IP talk through one switch: ping, TCP both ways,
# UDP, IPv6, jumbo frames, three of them, without offloads; and nothing is left.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
need iperf3 iperf3
own_xen "$@"
start_daemon

# offload DOMID on|off
offload()
{
	inside "$1" ethtool -K eth0 tx "$2" rx "$2" gso "$2" tso "$2" gro "$2" >/dev/null 2>&1 ||
		fail "ethtool"
}

make_guest a; a=$domid
make_guest b; b=$domid
make_guest c; c=$domid
for d in $a $b $c; do
	give_nic $d bridge=br0 mtu=9000
	# One as Linux's front end is, whose pages are not kept mapped.
	boot_net $d $([ $d != $b ] || echo --no-static-grants)
done
workers=$(pgrep -c -P "$daemon")
[ "$workers" = 1 ] || fail "$workers workers for one bridge"

for to in $b $c; do
	pings $a $to || fail "ping $a to $to: $(cat "$tmp/ping")"
done
pings $b $c || fail "ping $b to $c: $(cat "$tmp/ping")"
inside $a ping -q -c 3 -i 0.05 -W 10 fd00::$b >/dev/null || fail "IPv6"
# 9000 octets in one frame, unfragmented.
pings $a $b -s 8972 -M do || fail "jumbo frame: $(cat "$tmp/ping")"

compares $a $b 32
compares $b $a 32
compares $a $c 8 fd00::$c
offload $a off
compares $a $b 8
compares $b $a 8
compares $a $b 8 fd00::$b
offload $b off
compares $a $b 8
compares $b $a 8
offload $a on
offload $b on

# streams NAME ITS-FIGURE: fail in a $() ends only that
streams() { [ "$2" -gt 0 ] 2>/dev/null && say "$1: $2 bit/s" || fail "$1: $2"; }
streams TCP "$(iperf $a $b -t 1)"
streams "TCP, reverse" "$(iperf $a $b -t 1 -R)"
streams "UDP, of 200M" "$(iperf $a $b -u -b 200M -t 1)"

for d in $a $b $c; do
	halt_net $d
	back_reaches $d 6
	detach_nic $d
done
end_back
