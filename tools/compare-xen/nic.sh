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
iperf_streams=1 netback_options= nic_be= nic_fe=
# A driver that finds work each time it looks never goes back to its interrupts, all through
# one stream; all through the next it does. The two ends of a connection fall into one step or
# into another in the same way. That is two figures, a quarter or half apart, and not one with
# noise. So streams are counted apart by how fast they were: so many at least, and more while
# one has been like no other.
streams_min=4 streams_max=8
apart_percent=15	# faster than the next slower one; alike, they differ by 1 or 2
# A window in which one changed its step is taken again (count.sh). It may do so between its
# windows, too: then what the second was traced for is not of the rate that the first had.

# A reason why there are none is kept for the parts that want them.
no_taps=
has_taps() { no_taps=; module_load tun || { no_taps=$reason; return 1; }; }

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
	module_load bridge || return
	ip link add $bridge type bridge || because "the bridge $bridge cannot be made" || return
	bridge_is_there=yes
	ip address add $host_address/24 dev $bridge
	ip link set $bridge up
	daemon_kept iperf3 -s -B $host_address -p 5177
}

# The guest's interface by its driver, with an address. Sets nic.
nic=
nic_setup()
{
	local said

	said=$(guest_run "for i in /sys/class/net/*; do
			case \$(readlink -f \$i/device/driver) in */${driver_of[$model]}) nic=\${i##*/} ;; esac
		done
		[ -n \"\$nic\" ] || { echo no interface; exit 1; }
		ip addr flush dev \$nic; ip addr add $guest_address/24 dev \$nic && ip link set \$nic up &&
		for i in \$(seq 200); do ping -c 1 -W 2 $host_address >/dev/null 2>&1 && { echo \$nic; exit 0; }; sleep 0.1; done
		echo no answer from dom0; ip addr; exit 1") ||
		because "the card does not work in the guest: $said" || return
	nic=$said
}

# nic_attach: on $back_end, as vif 0, a port of the bridge.
nic_attach()
{
	nic_be=/local/domain/0/backend/vif/$guest_domid/0
	nic_fe=/local/domain/$guest_domid/device/vif/0
	back_end_pids=
	[ $back_end != paravane ] || netback_begin || return
	device_attach "$nic_be" "$nic_fe" type=vif handle=0 mac=00:16:3e:77:00:03 bridge=pvcmp script=/bin/true \
		hotplug-status="" front:mac=00:16:3e:77:00:03 front:handle=0
	[ $back_end = paravane ] || nic_join "vif$guest_domid.0" || return
	xenstore-write "$nic_be/hotplug-status" connected
	device_await "$nic_be" "$nic_fe" 4 ||
		because "the interface on back end $back_end did not connect: states $(state_of "$nic_be"), $(state_of "$nic_fe")" ||
		return
	[ $back_end = paravane ] || return 0
	nic_join pvcmp-up || return
	back_end_pids=$(pgrep -P "$daemon_pid" | tr '\n' ' ')
	return 0
}

switch_is_there=
netback_begin()
{
	daemon paravane-netback --rundir="$work/run" $netback_options || return
	switch_is_there=yes
	paravane bridge uplink add pvcmp pvcmp-up bridge=$bridge >/dev/null ||
		because "paravane-netback takes no uplink"
}

# nic_join DEVICE: it appears soon.
nic_join()
{
	local deadline=$((SECONDS + patience_s))

	until [ -e "/sys/class/net/$1" ]; do
		[ "$SECONDS" -lt "$deadline" ] || because "there is no interface $1" || return
		sleep 0.2
	done
	ip link set "$1" master $bridge up || because "$1 does not go into the bridge"
}

# Before the device goes, and its daemon.
nic_give_back()
{
	if [ -n "$nic" ] && guest_answers; then
		guest_run "ip addr flush dev $nic; ip link set $nic down" >/dev/null
	fi
	nic=
	[ -n "$switch_is_there" ] || return 0
	device_give_back
	paravane bridge reset pvcmp >/dev/null 2>&1
	switch_is_there=
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

# load_line OPERATION
load_line()
{
	local command=${load_of[$1]}

	[[ $command != iperf3* ]] || command="$command -P $iperf_streams"
	echo "$command"
}

# load_begin OPERATION: in the guest, until load_end. The other end may not have done with
# the last one.
load_begin()
{
	local command

	command=$(load_line "$1")
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
	local interrupts_before before interrupts_after after try

	for ((try = 0; try < windows_max; try++)); do
		before=$(bridge_operations "$2")
		interrupts_before=$(nic_interrupts)
		window_once "$@" || return
		after=$(bridge_operations "$2")
		interrupts_after=$(nic_interrupts)
		[ -z "$steady" ] || break
	done
	window_add
	total_add irqs $((interrupts_after - interrupts_before)) irq_ops $((after - before))
}

# nic_stream OPERATION MS: one of the streams that are counted together.
nic_stream()
{
	local said status=0 windows_max=4

	# of which so few go in a window that one more or less is much
	[ "$1" != ping ] || windows_max=1
	load_begin "$1" || because "the guest does not start it" || return
	sleep 0.5
	nic_windows "$2" "${operations_of[$1]}" || status=$?
	! guest_answers || said=$(load_end)
	[ $status = 0 ] || reason="$reason${said:+: $said}"
	return $status
}

# nic_windows MS OPERATIONS: fails when nothing of it crosses the bridge.
nic_windows()
{
	window_once "$@" || return
	[ "$(awk '{ print ($4 < 1) }' <<<"$figures")" = 0 ] || absent "nothing of it crosses the bridge" || return
	nic_window "$@" || return
	traced_window $(($1 * 3 / 2)) "$2"
}

# ping_times: "MEAN_US P50_US P99_US" of 1000.
ping_times()
{
	guest_run "ping -c 1000 -i 0.005 $host_address >/tmp/out || { cat /tmp/out; exit 1; }
		sed -n 's/.*time=\\([0-9.]*\\) ms/\\1/p' /tmp/out | sort -n |
		awk '{ t[NR] = \$1 * 1000; sum += t[NR] } END { print sum / NR, t[int((NR + 1) / 2)], t[int(NR * 0.99 + 0.5)] }'"
}

# One packet in 10 ms leaves time for other things, which are not told apart.
ping_said=
say_of_ping()
{
	[ -n "$ping_said" ] ||
		note "Of ping a packet goes every 10 ms: its counts and CPU times hold what the guest and dom0 do besides in that time."
	ping_said=yes
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

# nic_unequal OPERATION CHANGED: how a card's way differs, besides being another. A TAP device
# of QEMU's has no offloads for these two models; Paravane's has. What the guest cuts itself is
# joined by Paravane's switch, and by nobody else.
nic_unequal()
{
	case $model,$back_end,$1,$2 in
	xen-pv,paravane,send,*checksums*)
		echo "segments that come together are checked and become one packet for dom0; looks for work for up to 50 us before it sleeps" ;;
	xen-pv,paravane,send,tso*)
		echo "segments that come together become one packet for dom0; looks for work for up to 50 us before it sleeps" ;;
	xen-pv,paravane,*) echo "a switch before dom0's bridge; looks for work for up to 50 us before it sleeps" ;;
	xen-pv,*,send,tso*) echo "each segment is a packet for dom0" ;;
	xen-pv,*) ;;
	*,send,) echo "the device model cuts segments and computes checksums; each is a packet for dom0" ;;
	*,send,*checksums*) echo "each segment is a packet for dom0" ;;
	*,send,*) echo "the device model computes checksums; each segment is a packet for dom0" ;;
	*,receive,*) echo "dom0's kernel cuts segments and computes checksums for the TAP device: it has no offloads" ;;
	esac
}

# mbit_per_s OPERATIONS NANOSECONDS
mbit_per_s() { awk -v ops="$1" -v ns="$2" -v each=$segment_bytes 'BEGIN { printf "%.2f\n", ops * each * 8e3 / ns }'; }

# nic_groups: of the streams, by their operations a second in $rates. Sets the array members:
# the numbers of those in each group, the slowest group first.
nic_groups()
{
	local rate nr last=0 group=-1

	members=()
	while read -r rate nr; do
		[ $group -ge 0 ] && [ $((rate * 100)) -le $((last * (100 + apart_percent))) ] || group=$((group + 1))
		members[group]+="${members[group]:+ }$nr"
		last=$rate
	done < <(for nr in "${!rates[@]}"; do echo "${rates[nr]} $nr"; done | sort -n)
}

# nic_loners: how many have been like no other.
nic_loners()
{
	local group nr=0

	for group in "${members[@]}"; do
		case $group in *" "*) ;; *) nr=$((nr + 1)) ;; esac
	done
	echo $nr
}

# nic_strays: the numbers of the streams that were traced at another rate than they had, by
# the array slowed: what tracing takes is much the same for all.
nic_strays()
{
	local nr

	for nr in "${!slowed[@]}"; do echo "${slowed[nr]} $nr"; done | sort -n | awk -v percent=$apart_percent '
		{ each[NR] = $1; stream[NR] = $2 }
		END {
			middle = each[int((NR + 1) / 2)]
			for (i = 1; i <= NR; i++)
				if (each[i] * 100 > middle * (100 + percent) || each[i] * (100 + percent) < middle * 100)
					print stream[i]
		}'
}

# nic_untraced: how many rates have no stream that was traced at it.
nic_untraced()
{
	local group stream nr=0 strays

	strays=" $(nic_strays | tr '\n' ' ')"
	for group in "${members[@]}"; do
		case $group in *" "*) ;; *) continue ;; esac
		nr=$((nr + 1))
		for stream in $group; do
			case $strays in *" $stream "*) ;; *) nr=$((nr - 1)); break ;; esac
		done
	done
	echo $nr
}

# nic_streams OPERATION: what is counted of each goes into the arrays streams, mbits, irqs,
# rates and slowed, and into members.
nic_streams()
{
	local nr

	for ((nr = 0; nr < streams_max; nr++)); do
		[ $nr -lt $streams_min ] || [ "$(nic_loners)" -gt 0 ] || [ "$(nic_untraced)" -gt 0 ] || break
		total=()
		nic_stream "$1" "$(window_ms "$1")" || return
		streams[nr]=$(for field in "${!total[@]}"; do echo "$field ${total[$field]}"; done)
		mbits[nr]=$(mbit_per_s "${total[ops]}" "${total[wall_ns]}") irqs[nr]=${total[irqs]}
		rates[nr]=$((total[ops] * 1000000000 / total[wall_ns]))
		[ "${total[traced_ns]:-0}" = 0 ] || slowed[nr]=$(awk -v ops="${total[ops]}" -v ns="${total[wall_ns]}" \
			-v traced_ops="${total[traced_ops]}" -v traced_ns="${total[traced_ns]}" \
			'BEGIN { printf "%.4f\n", traced_ops / traced_ns * ns / ops }')
		nic_groups
	done
}

# nic_drop_strays: of each that was traced at another rate, what it was traced for.
nic_drop_strays()
{
	local nr field

	for nr in $(nic_strays); do
		for field in $trace_fields traced_ops traced_ns; do
			streams[nr]=$(grep -v "^$field " <<<"${streams[nr]}")
		done
	done
}

# nic_row TABLE LABEL OPERATION CHANGED NOT_EQUAL
nic_row() { measurement "$1" "$2" nic_measure "$@"; }

# The same, measured and emitted.
nic_measure()
{
	local times group label=$2
	local -a streams=() mbits=() irqs=() rates=() slowed=() members=()

	[ "$3" != ping ] || say_of_ping
	[ "$3" != ping ] || times=($(ping_times)) || because "ping: ${times[*]}" || return
	nic_streams "$3" || return
	nic_drop_strays
	# all are: then there are no rates, but noise
	[ "$(nic_loners)" -lt ${#rates[@]} ] || members=("${!rates[*]}")
	for group in "${members[@]}"; do
		case $group in
		*" "*) nic_emit "$group" "$1" "$label" "${@:3}"; label="$label, faster" ;;
		*) note "$1: $2: one of ${#rates[@]} streams is left out, being like no other: ${rates[group]} operations a second." ;;
		esac
	done
}

# nic_emit NUMBERS TABLE LABEL OPERATION CHANGED NOT_EQUAL: the streams of these numbers.
nic_emit()
{
	local -A all=()
	local ops wall_ns counts nr each_mbits= each_irqs= of_each=()

	for nr in $1; do
		add_to all ${streams[nr]}
		each_mbits+="${each_mbits:+ }${mbits[nr]}" each_irqs+="${each_irqs:+ }${irqs[nr]}"
	done
	ops=${all[ops]} wall_ns=${all[wall_ns]}
	if [ "$4" = ping ]; then
		counts="frame_bytes=98 $(awk -v mean="${times[0]}" -v p50="${times[1]}" -v p99="${times[2]}" 'BEGIN {
			printf "ops_per_s=%.1f latency_mean_ns=%.0f latency_p50_ns=%.0f latency_p99_ns=%.0f", 1e6 / mean, mean * 1000, p50 * 1000, p99 * 1000 }')"
	else
		counts="frame_bytes=$segment_bytes wall_ns=$wall_ns mbit_per_s=$(mbit_per_s "$ops" "$wall_ns")
			ops_per_s=$(awk -v ops="$ops" -v ns="$wall_ns" 'BEGIN { printf "%.1f\n", ops * 1e9 / ns }')"
		of_each=("streams_mbit_per_s=$each_mbits" "streams_interrupts=$each_irqs")
	fi
	row table="$2" label="$3" device=nic guest="$guest_type" model="$model" back_end="$back_end" \
		operation="$4" changed="$5" not_equal="$6" command="$(load_line "$4")" ops=$ops $counts "${of_each[@]}" \
		interrupts="$(sum_of all irqs irq_ops)" bytes_copied_per_byte="$(nic_copies "$4" "$5")" \
		$(for field in $cpu_fields; do echo "$field=${all[$field]}"; done) \
		$(for field in $trace_fields; do echo "$field=$(sum_of all $field traced_ops)"; done)
}

# nic_offloads SETTINGS: by ethtool, in the guest.
nic_offloads()
{
	local answer

	answer=$(guest_run "ethtool -K $nic $1 2>&1") ||
		absent "ethtool does not set \"$1\": $(tail -n 1 <<<"$answer")"
}

# nic_rows LABEL: the tables, for the interface that is there.
nic_rows()
{
	nic_table_row "TCP, guest to dom0" "$1" send ""
	nic_table_row "TCP, dom0 to guest" "$1" receive ""
	nic_table_row "ping" "$1" ping ""
	act nic_offloads "tso off gso off gro off" || return
	nic_table_row "TCP, guest to dom0, no segmentation offload" "$1" send "tso, gso, gro off"
	act nic_offloads "sg off tx off" || return
	nic_table_row "TCP, guest to dom0, no offload" "$1" send "tso, gso, gro, sg, checksums off"
}

# nic_table_row TABLE LABEL OPERATION CHANGED: of a table that all cards have.
nic_table_row() { nic_row "$@" "$(nic_unequal "$3" "$4")"; }

emulated_nic_rows()
{
	local model

	for model in e1000 rtl8139; do part emulated_nic; done
}

emulated_nic()
{
	local back_end="device model" back_end_pids

	[ -z "$no_taps" ] || absent "$no_taps" || return
	back_end_pids=$(act device_model_pid)
	act bridge_make || return
	act nic_join "pvcmp-$model" || return
	act nic_setup || return
	nic_rows "HVM, $model"
}

# pv_nic_rows GUEST: Paravane's first: the kernel's takes every interface once it is there.
pv_nic_rows()
{
	local back_end

	for back_end in paravane linux; do part pv_nic "$1, PV card, $back_end"; done
}

# pv_nic LABEL
pv_nic()
{
	local model=xen-pv

	act nic_back_end || return
	act nic_begin || return
	nic_rows "$1"
}

nic_begin() { bridge_make && nic_attach && nic_setup; }

# It can be used, until give_back. There is one kind of interface for both.
nic_back_end()
{
	! pgrep -f '(^|/)(lt-)?paravane-netback( |$)' >/dev/null ||
		absent "a paravane-netback runs already and takes every interface" || return
	case $back_end in
	paravane) command -v paravane-netback >/dev/null || absent "there is no paravane-netback" || return
		[ ! -d /sys/bus/xen-backend/drivers/vif ] ||
			absent "the kernel's xen-netback is loaded and takes every interface" || return
		nobody_elses vif && module_load tun ;;
	linux)	kernel_serves xen-netback vif ;;
	esac
}

# One thing changed at a time. What offloads are worth is told by the tables of all cards.
nic_changes()
{
	local back_end table

	for back_end in paravane linux; do
		table=$(nic_table "one thing changed at a time: TCP, guest to dom0")
		part nic_change "as it comes" ""
		case $back_end in
		paravane) part nic_change "no polling" no-polling daemon --poll-us=0 ;;
		linux)	part nic_change "one event channel" one-event-channel module separate_tx_rx_irq 0 ;;
		esac
	done
}

# nic_change LABEL CHANGED [HOW ARGUMENT...]: a row of $table; HOW: daemon OPTION, module
# PARAMETER VALUE.
nic_change()
{
	local label=$1 changed=$2 model=xen-pv netback_options=
	shift 2

	act nic_back_end || return
	case ${1:-} in
	daemon) netback_options=$2 ;;
	module) act module_option xen_netback "$2" "$3" || return ;;
	esac
	act nic_begin || return
	nic_row "$table" "$label" send "$changed" ""
}

# nic_table WHAT: a table that is one back end's.
nic_table() { echo "PV card$([ $back_end = paravane ] || echo ", netback"), $1"; }

# In a guest with two CPUs: one queue, and two.
nic_queues()
{
	local back_end

	for back_end in paravane linux; do
		part nic_queue 1 "1 queue" ""
		part nic_queue 2 "2 queues" queues
	done
}

# nic_queue NUMBER LABEL CHANGED
nic_queue()
{
	local model=xen-pv iperf_streams=2 netback_options=--max-queues=$1

	act nic_back_end || return
	[ $back_end = paravane ] || act module_option xen_netback max_queues $1 || return
	act nic_begin || return
	act queues_are "$nic_fe" $1 || return
	nic_row "$(nic_table "queues: TCP, guest to dom0, 2 CPUs, 2 streams")" "$2" send "$3" ""
}

# Dom0 on the guest's own CPU, and beside it.
nic_cores()
{
	local back_end

	for back_end in paravane linux; do
		part nic_core 0 "same CPU" ""
		part nic_core 1 "own CPU" own-cpu
	done
}

# nic_core CPU LABEL CHANGED
nic_core()
{
	local model=xen-pv

	act two_cpus || return
	act nic_back_end || return
	act cores_bind 0 $1 || return
	act nic_begin || return
	nic_row "$(nic_table "where the back end runs: TCP, guest to dom0")" "$2" send "$3" ""
}
