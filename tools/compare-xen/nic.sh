# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Network cards: which models and back ends there are, how each comes to the guest, and
# the figures of iperf3 and ping. The other end is dom0: a Linux bridge with an address,
# to which the device model's TAP, the kernel's vif and Paravane's uplink belong alike.
# Sourced by compare-xen.

bridge=pvcmp0
host_address=10.254.77.1 guest_address=10.254.77.2
declare -A driver_of=([e1000]=e1000 [rtl8139]=8139cp [xen-pv]=vif)

# An operation of a TCP row is so much payload: one segment at the usual MTU, whether or not
# it crosses as a frame of its own.
segment_bytes=1448
iperf_streams=1 netback_options=
# So many one after another are counted together (count.sh).
streams=4

emulated_nics()
{
	cat <<-END
	'-netdev','tap,id=net0,ifname=pvcmp-e1000,script=no,downscript=no','-device','e1000,netdev=net0,mac=00:16:3e:77:00:01',
	'-netdev','tap,id=net1,ifname=pvcmp-rtl8139,script=no,downscript=no','-device','rtl8139,netdev=net1,mac=00:16:3e:77:00:02'
	END
}

bridge_make()
{
	[ -z "$bridge_is_there" ] || return 0
	module_load bridge
	ip link add $bridge type bridge || fail "cannot make the bridge $bridge"
	bridge_is_there=yes
	ip address add $host_address/24 dev $bridge
	ip link set $bridge up
	daemon_kept iperf3 -s -B $host_address -p 5177
}

# The guest's interface by its driver, with an address; prints its name.
nic_setup()
{
	guest_run "for i in /sys/class/net/*; do
			case \$(readlink -f \$i/device/driver) in */${driver_of[$model]}) nic=\${i##*/} ;; esac
		done
		[ -n \"\$nic\" ] || { echo no interface; exit 1; }
		ip addr flush dev \$nic; ip addr add $guest_address/24 dev \$nic && ip link set \$nic up &&
		for i in \$(seq 200); do ping -c 1 -W 2 $host_address >/dev/null 2>&1 && { echo \$nic; exit 0; }; sleep 0.1; done
		echo no answer from dom0; ip addr; exit 1"
}

# nic_attach BACK_END: as vif 0, a port of the bridge.
nic_attach()
{
	nic_be=/local/domain/0/backend/vif/$guest_domid/0
	nic_fe=/local/domain/$guest_domid/device/vif/0
	back_end_pids=
	case $1 in
	linux)	module_load xen-netback ;;
	paravane) module_load tun
		daemon paravane-netback --rundir="$work/run" $netback_options
		paravane bridge uplink add pvcmp pvcmp-up bridge=$bridge >/dev/null ||
			fail "paravane-netback takes no uplink" ;;
	esac
	device_attach "$nic_be" "$nic_fe" type=vif handle=0 mac=00:16:3e:77:00:03 bridge=pvcmp script=/bin/true \
		hotplug-status="" front:mac=00:16:3e:77:00:03 front:handle=0
	case $1 in
	linux)	nic_join "vif$guest_domid.0" ;;
	esac
	xenstore-write "$nic_be/hotplug-status" connected
	device_await "$nic_be" "$nic_fe" 4 ||
		fail "the interface on back end $1 did not connect: states $(state_of "$nic_be"), $(state_of "$nic_fe")"
	[ "$1" != paravane ] || nic_join pvcmp-up
	[ "$1" != paravane ] || back_end_pids=$(pgrep -P "$daemon_pid" | tr '\n' ' ')
}

# nic_join DEVICE: it appears soon.
nic_join()
{
	local deadline=$((SECONDS + patience_s))

	until [ -e "/sys/class/net/$1" ]; do
		[ "$SECONDS" -lt "$deadline" ] || fail "there is no interface $1"
		sleep 0.2
	done
	ip link set "$1" master $bridge up || fail "$1 does not go into the bridge"
}

nic_detach()
{
	guest_run "ip link set $nic down" >/dev/null
	device_detach "$nic_be" "$nic_fe"
	[ "$back_end" != paravane ] || paravane bridge reset pvcmp >/dev/null 2>&1
	daemons_stop
}

# What crosses is seen by the bridge, by its port's whole packets less their headers:
# Ethernet's (gone already in what it receives), IP's, TCP's with time stamps.
declare -A operations_of=(
	[send]="(n[\"rx_bytes\"] - 52 * n[\"rx_packets\"]) / $segment_bytes"
	[receive]="(n[\"tx_bytes\"] - 66 * n[\"tx_packets\"]) / $segment_bytes"
	[ping]="n[\"rx_packets\"]"
)

# Of a stream a window is measured: iperf3 looks without pause (pselect) from its last
# octet until the other end has answered that, and for how long is chance.
declare -A load_of=(
	[send]="iperf3 -c $host_address -p 5177 -t 86400 --connect-timeout 30000"
	[receive]="iperf3 -c $host_address -p 5177 -t 86400 --connect-timeout 30000 -R"
	[ping]="ping -i 0.01 $host_address"
)

# load_begin OPERATION: in the guest, until load_end. The other end may not have done with
# the last one.
load_begin()
{
	local command=${load_of[$1]}

	[[ $command != iperf3* ]] || command="$command -P $iperf_streams"
	guest_run "(for i in \$(seq 20); do $command; sleep 0.2; done >/tmp/out 2>&1) & echo \$! >/tmp/load" >/dev/null
}

load_end() { guest_run 'kill -9 $(cat /tmp/load); killall -9 iperf3 ping; tail -n 1 /tmp/out; rm -f /tmp/out /tmp/load'; }

# window_ms OPERATION: of a stream's on one CPU.
window_ms()
{
	case $model,$1 in
	*,ping) echo $((1000 * scale)) ;;
	xen-pv,*) echo $((200 * scale)) ;;
	*) echo $((500 * scale)) ;;
	esac
}

nic_interrupts()
{
	local name=$nic

	[ "$model" != xen-pv ] || name=vif0
	guest_run "awk -v name='$name' '\$NF ~ \"^\" name \"(-|\$)\" { for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i } END { print n + 0 }' /proc/interrupts"
}

# bridge_operations OPERATIONS: so far.
bridge_operations()
{
	awk 'BEGIN {
		split("rx_bytes rx_packets tx_bytes tx_packets", names)
		for (i in names) getline n[names[i]] <("/sys/class/net/'$bridge'/statistics/" names[i])
		printf "%.0f", '"$1"'
	}'
}

# nic_window MS OPERATIONS: a counted window, and interrupts: adds to the totals of irqs and irq_ops.
nic_window()
{
	local interrupts_before before interrupts_after after

	before=$(bridge_operations "$2")
	interrupts_before=$(nic_interrupts)
	counted_window "$@"
	after=$(bridge_operations "$2")
	interrupts_after=$(nic_interrupts)
	total_add irqs $((interrupts_after - interrupts_before)) irq_ops $((after - before))
}

# nic_stream OPERATION MS: one of the streams that are counted together; fails when nothing
# of it crosses the bridge.
nic_stream()
{
	local operations=${operations_of[$1]} said

	load_begin "$1"
	sleep 0.5
	window_once "$2" "$operations"
	if [ "$(awk '{ print ($4 < 1) }' <<<"$figures")" = 1 ]; then
		said=$(load_end)
		warn "left out: nothing of it crosses the bridge: $said"
		return 1
	fi
	nic_window "$2" "$operations"
	traced_window $(($2 * 3 / 2)) "$operations"
	load_end >/dev/null
	return 0
}

# ping_times: "MEAN_US P50_US P99_US" of 1000.
ping_times()
{
	guest_run "ping -c 1000 -i 0.005 $host_address >/tmp/out || { cat /tmp/out; exit 1; }
		sed -n 's/.*time=\\([0-9.]*\\) ms/\\1/p' /tmp/out | sort -n |
		awk '{ t[NR] = \$1 * 1000; sum += t[NR] } END { print sum / NR, t[int((NR + 1) / 2)], t[int(NR * 0.99 + 0.5)] }'"
}

# nic_copies OPERATION CHANGED: how often an octet is copied between the guest's memory and
# dom0's stack, by what each program does. A device model has a buffer of its own, and moves
# what it cuts into segments for the rtl8139; Paravane's copies from and to the guest by
# grant, and from and to the TAP device; of a small frame it has one copy more. The kernel's
# maps what the guest sends and copies that for a receiver in dom0.
nic_copies()
{
	case $model,$back_end,$1,$2 in
	rtl8139,*,send,) echo 3 ;;
	xen-pv,paravane,send,tso*) echo 3 ;;
	xen-pv,linux,*) echo 1 ;;
	*) echo 2 ;;
	esac
}

# nic_row TABLE LABEL OPERATION CHANGED NOT_EQUAL
nic_row()
{
	local i ops wall_ns counts times

	wanted "$1" "$2" || return 0
	progress "$1: $2"
	[ "$3" != ping ] || times=($(ping_times)) || fail "ping: ${times[*]}"
	total=()
	for ((i = 0; i < streams; i++)); do nic_stream "$3" "$(window_ms "$3")" || return 0; done
	ops=${total[ops]} wall_ns=${total[wall_ns]}
	if [ "$3" = ping ]; then
		counts="frame_bytes=98 $(awk -v mean="${times[0]}" -v p50="${times[1]}" -v p99="${times[2]}" 'BEGIN {
			printf "ops_per_s=%.1f latency_mean_ns=%.0f latency_p50_ns=%.0f latency_p99_ns=%.0f", 1e6 / mean, mean * 1000, p50 * 1000, p99 * 1000 }')"
	else
		counts="frame_bytes=$segment_bytes wall_ns=$wall_ns $(awk -v ops="$ops" -v ns="$wall_ns" -v each=$segment_bytes 'BEGIN {
			printf "mbit_per_s=%.2f ops_per_s=%.1f", ops * each * 8e3 / ns, ops * 1e9 / ns }')"
	fi
	row table="$1" label="$2" device=nic guest="$guest_type" model="$model" back_end="$back_end" \
		operation="$3" changed="$4" not_equal="$5" ops=$ops $counts interrupts="$(total_of irqs irq_ops)" \
		bytes_copied_per_byte="$(nic_copies "$3" "$4")" \
		$(for field in $cpu_fields; do echo "$field=${total[$field]}"; done) \
		$(for field in $trace_fields; do echo "$field=$(total_of $field traced_ops)"; done)
}

# nic_offloads SETTINGS LABEL: by ethtool, in the guest.
nic_offloads()
{
	local answer

	answer=$(guest_run "ethtool -K $nic $1 2>&1") ||
		{ warn "left out: $2 with $1: ethtool says: $(tail -n 1 <<<"$answer")"; return 1; }
}

# nic_rows LABEL NOT_EQUAL: the tables, for the interface that is there.
nic_rows()
{
	nic_row "TCP, guest to dom0" "$1" send "" "$2"
	nic_row "TCP, dom0 to guest" "$1" receive "" "$2"
	nic_row "ping" "$1" ping "" "$2"
	nic_offloads "tso off gso off gro off" "$1" &&
		nic_row "TCP, guest to dom0, no segmentation offload" "$1" send "tso, gso, gro off" "$2" &&
		nic_offloads "sg off tx off" "$1" &&
		nic_row "TCP, guest to dom0, no offload" "$1" send "tso, gso, gro, sg, checksums off" "$2"
}

emulated_nic_rows()
{
	local label

	back_end="device model" back_end_pids=$(device_model_pid)
	for model in e1000 rtl8139; do
		label="HVM, $model"
		wants_any "$label" || continue
		bridge_make
		nic_join "pvcmp-$model"
		nic=$(nic_setup) || fail "$model: $nic"
		nic_rows "$label" ""
		guest_run "ip addr flush dev $nic; ip link set $nic down" >/dev/null
	done
}

# pv_nic_rows GUEST: Paravane's first: the kernel's takes every interface once it is there.
pv_nic_rows()
{
	model=xen-pv
	for back_end in paravane linux; do
		wants_any "$1, PV card, $back_end" || continue
		has_nic_back_end || continue
		bridge_make
		nic_attach $back_end
		nic=$(nic_setup) || fail "PV card on $back_end: $nic"
		nic_rows "$1, PV card, $back_end" ""
		nic_detach
		[ $back_end != linux ] || module_unload xen-netback
	done
}

# One thing changed at a time. What offloads are worth is told by the tables of all cards.
nic_changes()
{
	local table label

	model=xen-pv
	for back_end in paravane linux; do
		table=$(nic_table "one thing changed at a time: TCP, guest to dom0")
		label="no polling"
		[ $back_end = paravane ] || label="one event channel"
		has_nic_back_end && wants_row "$table" "as it comes" "$label" || continue
		nic_change "as it comes" ""
		case $back_end in
		paravane) netback_options=--poll-us=0
			nic_change "$label" no-polling
			netback_options= ;;
		linux)	module_load xen-netback
			module_option xen_netback separate_tx_rx_irq 0
			nic_change "$label" one-event-channel
			module_options_restore
			module_unload xen-netback ;;
		esac
	done
}

# nic_change LABEL CHANGED: a row of $table.
nic_change()
{
	wanted "$table" "$1" || return 0
	bridge_make
	nic_attach $back_end
	nic=$(nic_setup) || fail "PV card on $back_end: $nic"
	if [ "$2" = queues ] && [ "$(queues_of "$nic_fe")" != 2 ]; then
		warn "left out: $1: the interface on back end $back_end has $(queues_of "$nic_fe")"
	else
		nic_row "$table" "$1" send "$2" ""
	fi
	nic_detach
}

# nic_table WHAT: a table that is one back end's.
nic_table() { echo "PV card$([ $back_end = paravane ] || echo ", netback"), $1"; }

nic_queue_table() { nic_table "queues: TCP, guest to dom0, 2 CPUs, 2 streams"; }

# In a guest with two CPUs: one queue, and two.
nic_queues()
{
	local table nr

	model=xen-pv iperf_streams=2
	for back_end in paravane linux; do
		table=$(nic_queue_table)
		has_nic_back_end || continue
		for nr in 1 2; do
			[ $back_end = paravane ] || { module_load xen-netback; module_option xen_netback max_queues $nr; }
			netback_options=--max-queues=$nr
			nic_change "$nr queue$([ $nr = 1 ] || echo s)" "$([ $nr = 1 ] || echo queues)"
			module_options_restore
		done
		[ $back_end != linux ] || module_unload xen-netback
	done
	iperf_streams=1 netback_options=
}

# Dom0 on the guest's own CPU, and beside it.
nic_cores()
{
	local table

	model=xen-pv
	for back_end in paravane linux; do
		table=$(nic_table "where the back end runs: TCP, guest to dom0")
		has_nic_back_end || continue
		cores_bind 0 0
		nic_change "same CPU" ""
		cores_bind 0 1
		nic_change "own CPU" own-cpu
		cores_restore
		[ $back_end != linux ] || module_unload xen-netback
	done
}

has_nic_back_end()
{
	[ $back_end = paravane ] || return 0
	command -v paravane-netback >/dev/null || { warn "paravane-netback is not there: left out"; return 1; }
	! pgrep -f '[p]aravane-netback' >/dev/null ||
		{ warn "a paravane-netback runs already: Paravane's cards are left out"; return 1; }
	[ ! -d /sys/module/xen_netback ] || { warn "the kernel's xen-netback is loaded and takes every interface: Paravane's is left out"; return 1; }
}
