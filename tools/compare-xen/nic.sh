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
		daemon paravane-netback --rundir="$work/run"
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

# iperf_command BYTES OPTION...: prints "BITS_PER_SECOND INTERRUPTS RETRANSMITS".
iperf_command()
{
	local bytes=$1
	shift

	nic_counted "timeout 30 iperf3 -c $host_address -p 5177 -n $bytes -f k --connect-timeout 30000 $* >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }" \
		"awk '/sender\$/ { for (i = 1; i < NF; i++) if (\$i ~ /bits\\/sec/) retr = \$(i + 1) }
		/receiver\$/ { for (i = 1; i < NF; i++) if (\$i ~ /bits\\/sec/) kbit = \$(i - 1) }
		END { print kbit * 1000, n, retr }' n=\$n /tmp/out"
}

# ping_command COUNT: prints "MEAN_US INTERRUPTS P50_US P99_US".
ping_command()
{
	nic_counted "ping -c $1 -i 0.01 $host_address >/tmp/out || { cat /tmp/out; exit 1; }" \
		"sed -n 's/.*time=\\([0-9.]*\\) ms/\\1/p' /tmp/out | sort -n |
		awk '{ t[NR] = \$1 * 1000; sum += t[NR] } END { print sum / NR, n, t[int((NR + 1) / 2)], t[int(NR * 0.99 + 0.5)] }' n=\$n"
}

# nic_counted COMMAND PRINT: n is the interrupts meanwhile.
nic_counted()
{
	local name=$nic

	[ "$model" != xen-pv ] || name=vif0
	cat <<-END
	irqs() { awk -v name='$name' '\$NF ~ "^" name "(-|\$)" { n += \$2 } END { print n + 0 }' /proc/interrupts; }
	before=\$(irqs)
	$1
	n=\$((\$(irqs) - before))
	$2
	END
}

# How much gives about half a second, by model.
nic_bytes()
{
	local mib

	case $model in rtl8139) mib=4 ;; e1000) mib=8 ;; *) mib=48 ;; esac
	echo $((mib * scale * 1024 * 1024))
}

# nic_row TABLE LABEL OPERATION CHANGED NOT_EQUAL
nic_row()
{
	local bytes few ops runs field got counts

	wanted "$1" "$2" || return 0
	progress "$1: $2"
	bytes=$(nic_bytes)
	[ -z "$4" ] || bytes=$((bytes / 4))
	# what an emulated card receives is slow, and its cost does not depend on the amount
	[ "$3$back_end" != "receivedevice model" ] || bytes=$((bytes / 4))
	few=$bytes
	case $3 in
	send)	runs=("$(iperf_command $few)" "$(iperf_command $bytes)" "$(iperf_command 1000)") ;;
	receive) runs=("$(iperf_command $few -R)" "$(iperf_command $bytes -R)" "$(iperf_command 1000 -R)") ;;
	ping)	few=50 bytes=$((200 * segment_bytes))
		runs=("$(ping_command 50)" "$(ping_command 200)" "$(ping_command 1)")
		few=$((few * segment_bytes)) ;;
	esac
	if ! guest_run "${runs[0]}" >"$work/failed"; then
		warn "left out: $3 does not get to its end: $(tail -n 1 "$work/failed")"
		return 0
	fi
	baseline_of "${runs[2]}"
	counted_run "${runs[1]}"
	got=($run_output)	# figures is count.sh's
	traced_run "${runs[0]}"
	ops=$((bytes / segment_bytes))
	if [ "$3" = ping ]; then
		counts="frame_bytes=98 $(awk -v v="${got[*]}" 'BEGIN { split(v, f, " ")
			printf "ops_per_s=%.1f latency_mean_ns=%.0f latency_p50_ns=%.0f latency_p99_ns=%.0f", 1e6 / f[1], f[1] * 1000, f[3] * 1000, f[4] * 1000 }')"
	else
		counts="frame_bytes=1514 $(awk -v bits="${got[0]}" -v bytes=$bytes -v each=$segment_bytes 'BEGIN {
			printf "mbit_per_s=%.2f ops_per_s=%.1f wall_ns=%.0f", bits / 1e6, bits / 8 / each, bytes * 8e9 / bits }')"
		counts="$counts retransmits=${got[2]:--}"
	fi
	row table="$1" label="$2" device=nic guest="$guest_type" model="$model" back_end="$back_end" \
		operation="$3" changed="$4" not_equal="$5" ops=$ops $counts interrupts="${got[1]}" \
		$(for field in $cpu_fields; do echo "$field=$(net_cost $field 1 1)"; done) \
		$(for field in $trace_fields; do echo "$field=$(net_cost $field $bytes $few)"; done)
}

# nic_rows LABEL NOT_EQUAL: the tables, for the interface that is there.
nic_rows()
{
	nic_row "TCP, guest to dom0" "$1" send "" "$2"
	# Seen not to end within minutes in a guest of the host under QEMU.
	if [ "$model" = rtl8139 ]; then
		warn "left out: TCP, dom0 to guest, rtl8139"
	else
		nic_row "TCP, dom0 to guest" "$1" receive "" "$2"
	fi
	nic_row "ping" "$1" ping "" "$2"
	if guest_run "ethtool -K $nic tso off gso off gro off >/dev/null 2>&1"; then
		nic_row "TCP, guest to dom0, no segmentation offload" "$1" send "tso, gso, gro off" "$2"
		guest_run "ethtool -K $nic sg off tx off >/dev/null 2>&1" &&
			nic_row "TCP, guest to dom0, no offload" "$1" send "tso, gso, gro, sg, checksums off" "$2"
	fi
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

has_nic_back_end()
{
	[ $back_end = paravane ] || return 0
	command -v paravane-netback >/dev/null || { warn "paravane-netback is not there: left out"; return 1; }
	! pgrep -f '[p]aravane-netback' >/dev/null ||
		{ warn "a paravane-netback runs already: Paravane's cards are left out"; return 1; }
	[ ! -d /sys/module/xen_netback ] || { warn "the kernel's xen-netback is loaded and takes every interface: Paravane's is left out"; return 1; }
}
