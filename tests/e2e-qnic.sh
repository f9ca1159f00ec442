#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Our network front end against QEMU's qnic, a back end that nobody here wrote: what
# it offers, and that it takes what we send. This QEMU gives qnic no network to send
# frames on to, so nothing comes back.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-disk.sh"
find_qemu
own_xen "$@"
: "${NETFRONT:=${abs_top_builddir:-$PWD}/paravane-netfront}"

g=$("$LOCALXEN" domain) || fail "no domain"
be=/local/domain/0/backend/qnic/$g/0
fe=/local/domain/$g/device/vif/0
xenstore-write $fe/backend $be $fe/backend-id 0 $fe/state 1 $fe/handle 0 \
	$fe/mac 00:16:3e:00:00:01 $be/frontend $fe $be/frontend-id $g $be/online 1 \
	$be/handle 0 $be/mac 00:16:3e:00:00:01 $be/state 1
xenstore-chmod -r $be n0 r$g
xenstore-chmod -r $fe n$g r0
start_qemu $g

netfront() { guest $g "$NETFRONT" "$@"; }

netfront info --json >"$tmp/info" || fail "info; QEMU says: $(cat "$tmp/qemu.log")"
grep -q '"backend":"/local/domain/0/backend/qnic/' "$tmp/info" || fail "not qnic: $(cat "$tmp/info")"
grep -q '"sg":0,"gso_tcpv4":0,"gso_tcpv6":0,' "$tmp/info" || fail "features: $(cat "$tmp/info")"
# Again and again on the same rings' places, small and as large as one slot.
for size in 60 1514 4096; do
	netfront bench tx --seconds 0.5 --size $size --json >"$tmp/tx" || fail "bench tx, $size bytes"
	grep -q '"send_errors":0,' "$tmp/tx" || fail "frames were refused: $(cat "$tmp/tx")"
	say "$size bytes: $(sed 's/.*"frames_per_s":\([0-9]*\).*/\1/' "$tmp/tx") frames/s"
done
expect 3 netfront ping --address 10.0.0.1 10.0.0.2 --wait-ms 200 2>"$tmp/said"
grep -q "nobody says that it is 10.0.0.2" "$tmp/said" || fail "ping said: $(cat "$tmp/said")"
expect 3 netfront ping --mac 00:16:3e:00:00:02 --count 2 --interval-ms 0 --wait-ms 100 --json \
	>"$tmp/said"
grep -q '^{"peer":"peer","sent":2,"answered":0,' "$tmp/said" || fail "JSON: $(cat "$tmp/said")"

# As a TAP device in a network namespace of its own, which is a guest's own IP stack.
if [ -c /dev/net/tun ] && unshare -n true 2>/dev/null; then
	cat >"$tmp/in-namespace" <<-'END'
	ip -o link show $ifname | grep -q "mtu 1500 .*link/ether 00:16:3e:00:00:01" || exit 1
	ip address add 10.0.0.1/24 dev $ifname
	ip neighbour replace 10.0.0.2 lladdr 00:16:3e:00:00:02 dev $ifname
	i=0
	while [ $((i += 1)) -le 200 ]; do
		echo $i >/dev/udp/10.0.0.2/9
	done
	until [ "$(awk -v d="$ifname:" '$1 == d { print $11 }' /proc/net/dev)" -ge 200 ]; do
		sleep 0.05
	done
	exit 7
	END
	guest $g unshare -n "$NETFRONT" tap --ifname guest0 --run "bash $tmp/in-namespace" \
		2>"$tmp/said"
	[ $? = 7 ] || fail "tap: $(cat "$tmp/said")"
	sent=$(sed -n 's/.*tap: \([0-9]*\) frames sent, 0 refused.*/\1/p' "$tmp/said")
	[ "${sent:-0}" -ge 200 ] || fail "tap sent $sent frames: $(cat "$tmp/said")"
else
	say "no TAP devices or namespaces here: tap was not tried"
fi

# What cannot be.
expect 2 netfront bench 2>/dev/null
expect 2 netfront bench latency 2>/dev/null
expect 2 netfront ping 2>/dev/null
expect 2 netfront bench tx --size 10 2>/dev/null
expect 2 netfront tap --ifname a-name-that-is-too-long 2>"$tmp/said"
expect 1 netfront info --vif 7 --timeout 1 2>"$tmp/said"
grep -q "attach the device" "$tmp/said" || fail "no interface: $(cat "$tmp/said")"

kill $qemu_pid
wait $qemu_pid
nothing_left
say ok
