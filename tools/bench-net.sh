#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The net part of tools/bench, which reads it: guests on our switch beside network
# namespaces on Linux's bridge by veth pairs. Small frames: paravane-netfront bench
# beside AF_PACKET (packet-flood); streams: iperf3 from namespace to namespace, where
# ours have a TAP device at each end that veth pairs do without. Also what rest
# costs, and what happens when more guests are busy than there are CPUs. Must not
# know: what makes it fast.

. "$src/namespaces.sh"
frame_bytes=64 bridge=pv-bench
front=()	# options of our front ends

# new_guest NAME NUMBER
new_guest()
{
	localxen domain --name="$1" >"$work/$1.log" 2>&1 || fail "no domain" "$work/$1.log"
	paravane attach-nic "$1" bridge=$bridge mac="$(mac_number "$2")" --no-wait \
		>"$work/$1.log" 2>&1 || fail "an interface cannot be attached" "$work/$1.log"
}

mac_number() { printf '00:16:3e:00:00:%02x' "$1"; }

start_switch()
{
	background netback paravane-netback
	netback_pid=$last_pid
	new_guest net1 1
	new_guest net2 2
}

# A namespace for each end, and a switch port where unknown addresses end, as on ours.
start_peer()
{
	ip link add $bridge type bridge && ip link set $bridge up &&
	veth_guest $bridge veth1 10.99.1.1/24 && veth_guest $bridge veth2 10.99.1.2/24 &&
	ip link set veth1 type bridge_slave flood off && ip link set veth2 type bridge_slave flood off ||
		fail "no veth pairs with a bridge: are the kernel's modules bridge and veth there?"
	# it learns who is where, as our switch knows from the start
	ip netns exec veth2 bash -c 'echo >/dev/udp/10.99.1.1/9'
	peer_mac=$(mac_of veth2)
}

seconds_and() { awk -v s="$seconds" -v m="$1" 'BEGIN { print s + m }'; }

# netfront_bench GUEST FILE ARGUMENT...: its frames per second
netfront_bench()
{
	timeout 60 localxen exec "$1" -- paravane-netfront bench "${@:3}" "${front[@]}" --size $frame_bytes --timeout 30 --json \
		>"$work/$2" 2>"$work/$2.log" || fail "bench in $1" "$work/$2.log"
	number frames_per_s "$work/$2"
}

ours_into() { netfront_bench net1 into tx --mac "$(mac_number 99)" --seconds "$seconds"; }

ours_through()
{
	local sender

	netfront_bench net1 tx tx --mac "$(mac_number 2)" --seconds "$(seconds_and 0.5)" >/dev/null &
	sender=$!
	netfront_bench net2 rx rx --seconds "$seconds"
	wait $sender
}

flood() { ip netns exec veth1 packet-flood send eth0 "$1" $frame_bytes "$2"; }

peer_into() { flood "$(mac_number 99)" "$seconds"; }

peer_through()
{
	local sender

	flood "$peer_mac" "$(seconds_and 0.5)" >/dev/null &
	sender=$!
	ip netns exec veth2 packet-flood count eth0 $frame_bytes "$seconds"
	wait $sender
}

# What veth and bridge carry when nobody reads at the other end: the interface counts.
peer_unread()
{
	local counter=/sys/class/net/eth0/statistics/rx_packets before after

	before=$(ip netns exec veth2 cat $counter)
	flood "$peer_mac" "$seconds" >/dev/null
	after=$(ip netns exec veth2 cat $counter)
	awk -v n=$((after - before)) -v s="$seconds" 'BEGIN { printf "%.0f\n", n / s }'
}

# stream FROM TO ADDRESS: Mbit/s of one TCP connection, as received
stream()
{
	local server

	ip netns exec "$2" iperf3 -s -1 >"$work/iperf3-server.log" 2>&1 </dev/null &
	server=$!
	until ip netns exec "$2" ss -Hlt 'sport = :5201' | grep -q .; do
		kill -0 $server 2>/dev/null || fail "iperf3's server" "$work/iperf3-server.log"
		sleep 0.02
	done
	ip netns exec "$1" iperf3 -c "$3" -t "$(awk -v s="$seconds" 'BEGIN { print int(s + 0.99) }')" -J \
		>"$work/iperf3.json" 2>&1 || fail "iperf3 from $1" "$work/iperf3.json"
	wait $server
	awk '/"sum_received"/ { on = 1 } on && /"bits_per_second"/ { gsub(/[^0-9.e+]/, "", $2); printf "%.0f\n", $2 / 1e6; exit }' \
		"$work/iperf3.json"
}

ours_stream() { stream tap1 tap2 10.99.2.2; }
peer_stream() { stream veth1 veth2 10.99.1.2; }
ours_reverse() { stream tap2 tap1 10.99.2.1; }
peer_reverse() { stream veth2 veth1 10.99.1.1; }

taps_up()
{
	local i

	for i in 1 2; do
		tap_guest net$i tap$i 10.99.2.$i/24 "$work/tap$i.log" "${front[@]}" ||
			fail "no TAP guest" "$work/tap$i.log"
		taps[i]=$tap_pid
	done
}

taps_down()
{
	kill "${taps[@]}"
	wait "${taps[@]}"
	ip netns del tap1
	ip netns del tap2
	taps=()
}

# net_row TEXT UNIT GOAL OF_GOAL: medians of $work/ours.net and peer.net; the goal is for
# the ratio or for ours
net_row()
{
	local ours peer r of goal=$3 met=''

	ours=$(median <"$work/ours.net") peer=$(median <"$work/peer.net")
	ours=$(printf %.0f "$ours") peer=$(printf %.0f "$peer") r=$(ratio "$ours" "$peer")
	[ "$4" = ratio ] && of=$r || of=$ours
	if [ "$goal" = - ] || [ $quick = 1 ]; then
		goal=''
	else
		at_least "$of" "$goal" && met=met || met='not met'
		goal=">= $goal"
	fi
	printf '%-40s %16s %16s %7s %10s  %s\n' "$1" "$ours $2" "$peer $2" "$r" "$goal" "$met"
	printf '      {"what": "%s", "unit": "%s", "ours": %s, "peer": %s, "ratio": %s, "goal": "%s", "result": "%s", "ours_rounds": [%s], "peer_rounds": [%s]}\n' \
		"$1" "$2" "$ours" "$peer" "$r" "$goal" "$met" "$(paste -sd, "$work/ours.net")" \
		"$(paste -sd, "$work/peer.net")" >>"$work/net.rows"
}

# versus TEXT UNIT OURS PEER GOAL OF_GOAL: rounds in turn, each first every second time
versus()
{
	local i side

	: >"$work/ours.net"
	: >"$work/peer.net"
	for ((i = 0; i < rounds; i++)); do
		for side in $([ $((i % 2)) = 0 ] && echo ours peer || echo peer ours); do
			if [ $side = ours ]; then "$3"; else "$4"; fi >>"$work/$side.net" || exit 1
		done
	done
	net_row "$1" "$2" "$5" "$6"
}

# The daemon's and its worker's CPU time while two guests have nothing to say.
net_at_rest()
{
	local p before=0 after=0 all

	sleep 1
	all="$netback_pid $(pgrep -P $netback_pid)"
	for p in $all; do before=$((before + $(cpu_ticks "$p"))); done
	sleep 2
	for p in $all; do after=$((after + $(cpu_ticks "$p"))); done
	net_idle_ms=$(((after - before) * 1000 / $(getconf CLK_TCK)))
	printf '%-40s %13s ms %41s  %s\n' 'CPU time over 2 s at rest' "$net_idle_ms" 0 \
		"$([ "$net_idle_ms" -le 10 ] && echo met || echo 'not met')"
}

# More senders than CPUs, all to one receiver: does each get through?
net_crowd()
{
	local nr=$((2 * $(nproc) + 1)) i senders=()

	for ((i = 3; i < nr + 3; i++)); do
		new_guest net$i $i
		netfront_bench net$i crowd$i tx --mac "$(mac_number 2)" --seconds "$(seconds_and 2)" \
			>"$work/crowd-$i.rate" &
		senders+=($!)
	done
	crowd_rate=$(netfront_bench net2 crowd rx --seconds "$(seconds_and 0.5)") || exit 1
	wait "${senders[@]}"
	crowd_least=$(cat "$work"/crowd-*.rate | sort -n | head -n 1)
	crowd_mean=$(cat "$work"/crowd-*.rate | awk '{ n += $1 } END { printf "%.0f", n / NR }')
	crowd_senders=$nr
	printf '%-40s %12s f/s, the slowest sender at %s of the mean  %s\n' \
		"$nr busy guests on $(nproc) CPUs, to one" "$crowd_rate" "$(ratio "$crowd_least" "$crowd_mean")" \
		"$(at_least "$crowd_rate" 1 && at_least "$(ratio "$crowd_least" "$crowd_mean")" 0.25 && echo met || echo 'not met')"
}

json_net()
{
	printf '    "rows": [\n%s\n    ],\n' "$(json_rows "$work/net.rows")"
	printf '    "idle_cpu_ms": %s, "crowd_senders": %s, "crowd_frames_per_s": %s, "crowd_slowest": %s, "crowd_mean": %s\n' \
		"${net_idle_ms:-null}" "${crowd_senders:-null}" "${crowd_rate:-null}" \
		"${crowd_least:-null}" "${crowd_mean:-null}"
}

# Front ends whose pages the back end does not keep mapped, as Linux's are: grant copies.
without_static_grants()
{
	front=(--no-static-grants)
	versus "no static grants: $frame_bytes bytes, to a guest" f/s ours_through peer_through - ratio
	taps_up
	versus 'no static grants: TCP, one stream' Mbit/s ours_stream peer_stream - ratio
	taps_down
	front=()
}

bench_net()
{
	start_switch
	start_peer
	printf '%-40s %16s %16s %7s %10s\n' '' 'paravane-netback' 'veth + bridge' 'ratio' \
		"$([ $quick = 1 ] || echo goal)"
	if [ $quick = 0 ]; then
		versus "$frame_bytes-byte frames into the switch" f/s ours_into peer_into 5000000 ours
	fi
	versus "$frame_bytes-byte frames, guest to guest" f/s ours_through peer_through 10 ratio
	if [ $quick = 0 ]; then
		versus '... the peer'"'"'s read by nobody' f/s ours_through peer_unread - ratio
	fi
	taps_up
	versus 'TCP, one stream' Mbit/s ours_stream peer_stream 0.6 ratio
	if [ $quick = 0 ]; then
		versus 'TCP, reverse' Mbit/s ours_reverse peer_reverse 0.6 ratio
		net_at_rest
	fi
	taps_down
	[ $quick = 1 ] || without_static_grants
	[ $quick = 1 ] || net_crowd
}
