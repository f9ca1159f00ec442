# SPDX-License-Identifier: LGPL-2.1-or-later
# about: two Debian guests by xl's vif=[]: TCP both ways, UDP, IPv6, jumbo frames, offloads on and off, two queues
# quick: yes
# needs: paravane-netback
# timeout: 1000

served_bridge net0
guest_start na pv memory=256 vcpus=2 paused=1 vif="$(served_vif net0 mtu=9000)"
guest_start nb pv memory=256 vcpus=2 vif="$(served_vif net0 mtu=9000)"
xl unpause na
guest_ready na
check "the first connects" nic_up na 0 1
check "the second connects" nic_up nb 0 2
held=$(grants_held nb)
for guest in na nb; do
	check "$guest has two queues" equal 2 "$(xs "$(nic_fe $guest 0)/multi-queue-num-queues")"
done
check "ping" pings na 10.9.0.2
check "ping, IPv6" pings na fd09:0::2
iperf_serve nb

# tcp WHAT OPTION...: must reach something, and says what.
tcp()
{
	local got

	got=$(iperf na "${@:2}") || die "$1"
	say "ok: $1: $got"
}

# sizes_between COMMAND LEAST MOST LEAST MOST: octets of a frame that na sends and nb gets.
sizes_between()
{
	local sizes

	sizes=$(frame_sizes na nb eth0 "$1") || return 1
	echo "$sizes" | awk -v a=$2 -v b=$3 -v c=$4 -v d=$5 '{ exit $1 < a || $1 > b || $2 < c || $2 > d }' ||
		{ echo "octets of a frame that is sent, received: $sizes"; return 1; }
}
whole() { tcp "TCP" 10.9.0.2 -n 16M -P 2; }
check "large packets are sent, and arrive whole" sizes_between whole 3000 65600 3000 65600
tcp "TCP, reverse" 10.9.0.2 -n 16M -R
tcp "TCP over IPv6" fd09:0::2 -n 8M
tcp "TCP over IPv6, reverse" fd09:0::2 -n 8M -R
check "a file arrives as it was" file_crosses na nb 10.9.0.1
check "both queues were used" guest_run nb "awk '/vif0-q[01]-rx/ && \$2 + \$3 > 0 { n++ } END { exit n != 2 }' /proc/interrupts || { cat /proc/interrupts; exit 1; }"

# udp ADDRESS OPTION...: nearly all of it arrives.
udp()
{
	local got

	got=$(iperf na "$@" -u -b 20M -n 2M) || return 1
	say "UDP: $got"
	echo "$got" | awk '{ split($2, n, "/"); exit n[1] > n[2] / 4 }'
}
check "UDP" udp 10.9.0.2 -l 1400
check "UDP in fragments, IPv6" udp fd09:0::2 -l 8000

# offloads GUEST STATE FEATURE...
offloads() { guest_run "$1" "ethtool -K eth0 $(printf "%s $2 " "${@:3}")"; }
check "na sends packet by packet" offloads na off tso tx-tcp6-segmentation gso sg
one_by_one() { tcp "TCP, no GSO" 10.9.0.2 -n 4M; }
# Which come together, and are joined where the guest takes large ones.
check "no packet is larger than the MTU, but for who takes them" \
	sizes_between one_by_one 1000 1514 2000 65600
check "na completes checksums itself" offloads na off tx-checksum-ipv6
tcp "TCP over IPv6, no offload" fd09:0::2 -n 4M
check "a file arrives as it was" file_crosses na nb fd09:0::1
check "na takes them back" offloads na on sg tx-checksum-ipv6 tso tx-tcp6-segmentation gso
check "large packets again" sizes_between whole 3000 65600 3000 65600

for guest in na nb; do
	check "$guest: MTU 9000" guest_run $guest 'ip link set eth0 mtu 9000'
done
jumbo() { pings na 10.9.0.2 -s 8900; }
check "jumbo frames arrive in one piece" sizes_between jumbo 4000 9014 4000 9014
check "no GSO again" offloads na off tso gso
jumbo_tcp() { tcp "TCP in jumbo frames" 10.9.0.2 -n 8M; }
check "of jumbo frames" sizes_between jumbo_tcp 4000 9014 4000 9014
check "a file arrives as it was" file_crosses nb na 10.9.0.2
check "no grant but the rings' stays with us" equal "$held" "$(grants_held nb)"
guest_stop na
guest_stop nb
