# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Virtual network interfaces for jobs (dom0-device.sh), and the kernel's back end.
# Sourced by dom0-lib.sh.

# The two directories of a nic: nic_be GUEST NUMBER, nic_fe GUEST NUMBER.
nic_be()
{
	echo "/local/domain/0/backend/vif/$(guest_domid "$1")/$2"
}

nic_fe()
{
	echo "/local/domain/$(guest_domid "$1")/device/vif/$2"
}

# nic_mac GUEST NUMBER: an address of its own for each.
nic_mac()
{
	printf '00:16:3e:00:%02x:%02x' "$(guest_domid "$1")" "$2"
}

# nic_attach GUEST NUMBER [KEY=VALUE...]
nic_attach()
{
	local guest=$1 number=$2 mac
	shift 2

	mac=$(nic_mac "$guest" "$number")
	device_attach "$guest" "$(nic_be "$guest" "$number")" "$(nic_fe "$guest" "$number")" \
		type=vif handle="$number" mac="$mac" hotplug-status="" \
		front:mac="$mac" front:handle="$number" "$@"
}

# nic_detach GUEST NUMBER [SECONDS]
nic_detach()
{
	device_detach "vif $2 of $1" "$(nic_be "$1" "$2")" "$(nic_fe "$1" "$2")" "${3:-30}"
}

# kernel_nic GUEST NUMBER ADDRESS [KEY=VALUE...]: by the kernel's netback, which wants a
# script named though it runs none; its end of the interface in dom0 gets ADDRESS
# (10.0.0.1/24). Sets $nic_dev.
kernel_nic()
{
	local guest=$1 number=$2 address=$3
	shift 3

	modprobe xen-netback
	nic_attach "$guest" "$number" script=/bin/true "$@"
	nic_dev=vif$(guest_domid "$guest").$number
	wait_for 30 test -e "/sys/class/net/$nic_dev" || die "netback made no $nic_dev"
	ip address add "$address" dev "$nic_dev"
	ip link set "$nic_dev" up
	xenstore-write "$(nic_be "$guest" "$number")/hotplug-status" connected
}

# The interfaces of jobs that test our back end: run --backend says who serves them,
# so that a job can be tried against the kernel's to tell its own faults from ours.

# served_bridge NAME [OPTION...]: a bridge, and who serves it; options are our daemon's.
served_bridge()
{
	local name=$1
	shift

	case $XH_BACKEND in
	ours)	our_netback "$@" ;;
	*)	modprobe bridge
		# As many queues for a guest as a guest here may have CPUs.
		modprobe xen-netback max_queues=2
		linux_bridge "$name" ;;
	esac
}

# linux_bridge NAME: the kernel's, in dom0.
linux_bridge()
{
	[ -e "/sys/class/net/$1" ] || ip link add "$1" type bridge
	ip link set "$1" mtu 9000 up
}

# our_netback [OPTION...]: paravane-netback for all of dom0's interfaces, once. The
# kernel's would take every vif: its module must not be there.
our_netback()
{
	if [ -d /sys/module/xen_netback ]; then
		rmmod xen-netback || die "xen-netback is loaded and would take our interfaces"
	fi
	if [ -n "$netback_pid" ] && ! process_gone "$netback_pid"; then return 0; fi
	start_daemon paravane-netback paravane-netback "$@"
	netback_pid=$daemon_pid
}

# served_vif BRIDGE [KEY=VALUE...]: a vif= of xl; $nic_script may name another script.
served_vif()
{
	local script=${nic_script:-vif-paravane} words=bridge=$1 word
	shift

	[ "$XH_BACKEND" = ours ] || script=vif-kernel
	for word in script=$script "$@"; do words=$words,$word; done
	echo "$words"
}

# nic_connected GUEST NUMBER [SECONDS]: waits until both ends are.
nic_connected()
{
	device_connected "vif $2 of $1" "$(nic_be "$1" "$2")" "$(nic_fe "$1" "$2")" "${3:-60}"
}

# nic_up GUEST NUMBER N: waits for the interface of Debian's netfront in the guest and
# gives it 10.9.NUMBER.N and fd09:NUMBER::N.
nic_up()
{
	nic_connected "$1" "$2" || return 1
	guest_run "$1" "echo 0 >/proc/sys/net/ipv6/conf/eth$2/accept_dad; ip link set eth$2 up &&
		ip addr add 10.9.$2.$3/24 dev eth$2 && ip addr add fd09:$2::$3/64 dev eth$2"
}

# pings GUEST ADDRESS [OPTION...]: soon.
pings()
{
	local guest=$1 address=$2
	shift 2

	wait_for 60 guest_run "$guest" "ping -c 2 -W 5 $* $address >/tmp/ping 2>&1 || { cat /tmp/ping; exit 1; }" 100
}

# iperf_serve GUEST: for iperf, until the guest ends.
iperf_serve()
{
	guest_run "$1" 'iperf3 -s -D --logfile /tmp/iperf3.log'
}

# iperf GUEST ADDRESS OPTION...: runs iperf3 there; prints what the receiver got as
# "MBIT_PER_SECOND RETRANSMITS", and for UDP "MBIT_PER_SECOND LOST/ALL".
iperf()
{
	local guest=$1 address=$2
	shift 2

	guest_run "$guest" "iperf3 -c $address -f k --connect-timeout 30000 $* >/tmp/iperf 2>&1 || { cat /tmp/iperf; exit 1; }; cat /tmp/iperf" \
		"${iperf_seconds:-200}" >$xh_run/iperf || { cat $xh_run/iperf >&2; return 1; }
	awk '
		/sender$/ { for (i = 1; i < NF; i++) if ($i ~ /bits\/sec/) retr = $(i + 1) }
		/receiver$/ {
			for (i = 1; i < NF; i++) if ($i ~ /bits\/sec/) mbit = $(i - 1) / 1000
			for (i = 1; i < NF; i++) if ($i ~ /^[0-9]+\/[0-9]+$/) retr = $i
		}
		END { if (!mbit) exit 1; print mbit, retr }' $xh_run/iperf || { cat $xh_run/iperf >&2; return 1; }
}

# frame_sizes FROM TO DEVICE COMMAND...: runs the command; prints how many octets a frame
# had on average that the one guest sent and the other received meanwhile.
frame_sizes()
{
	local before after

	before=$(counters "$1" "$3" tx; counters "$2" "$3" rx)
	"${@:4}" >&2 || return 1
	after=$(counters "$1" "$3" tx; counters "$2" "$3" rx)
	echo $before $after | awk '{ for (i = 1; i < 4; i += 2)
		printf "%d ", ($(i + 5) > $(i + 1) ? ($(i + 4) - $i) / ($(i + 5) - $(i + 1)) : 0) }'
}

# counters GUEST DEVICE rx|tx: its octets and packets so far.
counters()
{
	guest_run "$1" "cd /sys/class/net/$2/statistics; echo \$(cat $3_bytes $3_packets)"
}

# file_crosses FROM TO ADDRESS [MIB]: TO fetches a random file from FROM, which has the
# address, and gets it as it is.
file_crosses()
{
	guest_run "$1" "mkdir -p /tmp/www && dd if=/dev/urandom of=/tmp/www/file bs=1M count=${4:-4} 2>/dev/null
		pidof httpd >/dev/null || httpd -p 80 -h /tmp/www" || return 1
	case $3 in *:*) set -- "$1" "$2" "[$3]" ;; esac
	guest_run "$2" "wget -q -O /tmp/got http://$3/file" 100 || return 1
	equal "$(guest_run "$1" 'md5sum </tmp/www/file')" "$(guest_run "$2" 'md5sum </tmp/got')"
}

# Two guests of a bridge, the second of which fetches a file from the first by TCP, again
# and again, while whoever serves them dies or is replaced. stream_start [BRIDGE]: guests
# na and nb.
stream_start()
{
	served_bridge "${1:-net0}"
	guest_start na pv memory=256 vif="$(served_vif "${1:-net0}")"
	guest_start nb pv memory=256 vif="$(served_vif "${1:-net0}")"
	stream_flow
}

# stream_flow: the same of guests that are there.
stream_flow()
{
	check "the first connects" nic_up na 0 1
	check "the second connects" nic_up nb 0 2
	check "ping" pings na 10.9.0.2
	# Long enough that most of what happens happens in the middle of one.
	guest_run na 'mkdir -p /tmp/www && dd if=/dev/urandom of=/tmp/www/file bs=1M count=24 2>/dev/null; httpd -p 80 -h /tmp/www' ||
		die "nothing to fetch"
	stream_sum=$(guest_run na 'md5sum </tmp/www/file') || die "no sum"
	guest_background nb fetch 'while [ ! -e /tmp/stop ]; do wget -q -O - http://10.9.0.1/file | md5sum; done'
	check "it streams" stream_goes_on
}

# stream_octets: that nb has received.
stream_octets()
{
	guest_run nb 'cat /sys/class/net/eth0/statistics/rx_bytes'
}

stream_more()
{
	[ "$(stream_octets)" -gt $(($1 + 1000000)) ]
}

# stream_goes_on: from now on.
stream_goes_on()
{
	wait_for 60 stream_more "$(stream_octets)"
}

# stream_states: both ends of both.
stream_states()
{
	echo $(for g in na nb; do xs "$(nic_be $g 0)/state"; xs "$(nic_fe $g 0)/state"; done)
}

# stream_end: no connection broke, and no octet was wrong. Prints how many files crossed.
stream_end()
{
	local fetched

	guest_run nb 'touch /tmp/stop'
	fetched=$(guest_wait nb fetch) || die "it does not end"
	check "every file arrived as it was" equal "$stream_sum" "$(echo "$fetched" | sort -u)"
	stream_files=$(echo "$fetched" | wc -l)
	guest_stop na
	guest_stop nb
}

# netback_worker: the process that serves the only bridge.
netback_worker()
{
	pgrep -P "$netback_pid" | head -n 1
}

# nics_left DOMID [NUMBER]: what is left of a guest's interfaces.
nics_left()
{
	local nodes

	nodes=$(xenstore-ls -f /) || { echo "XenStore does not answer"; return; }
	grep <<<"$nodes" -E "^/(local/domain/[0-9]+(/error)?/backend/vif/$1|local/domain/$1/(error/)?device/vif|libxl/$1/device/vif)/${2:-[0-9]}" || true
}

# no_nic_left DOMID [NUMBER]: soon.
no_nic_left()
{
	wait_for 20 eval "[ -z \"\$(nics_left $*)\" ]" || { nics_left "$@"; return 1; }
}
