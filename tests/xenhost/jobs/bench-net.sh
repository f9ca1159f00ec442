# SPDX-License-Identifier: LGPL-2.1-or-later
# about: speed between two Debian guests, and of one with dom0, on one net back end (tools/bench-xen net)
# needs: paravane-netback
# timeout: 3600
# boot: own clock=count
#
# The kernel's back end takes every vif, so a boot has one back end: --backend=kernel
# or ours. Writes lines "ROW VALUE NOTE" to figures. ROWS selects; MIB is how much a
# TCP row sends; OURS holds options of our daemon. Time limits are this clock's
# seconds, which run fast while the machine waits for nothing.

mib=${MIB:-128}
iperf_seconds=3000

# flood ADDRESS: datagrams of 1,400 octets; prints how many a second the guest got rid of.
flood()
{
	guest_run na "udp-send $1 1400 50000" 3000
}

# round_trips ADDRESS: the shortest in milliseconds, and the mean.
round_trips()
{
	guest_run na "ping -c 200 -i 0.01 -q $1" 600 |
		awk -F'[ /]' '/^round-trip/ { print $(NF - 3), $(NF - 2) }'
}

measure()
{
	local before after pps

	case $1 in
	tcp)	iperf na 10.9.0.2 -n "${mib}M" ;;
	reverse) iperf na 10.9.0.2 -n "${mib}M" -R ;;
	nogso)	guest_run na 'ethtool -K eth0 tso off gso off sg off' >&2
		iperf na 10.9.0.2 -n "$((mib / 4))M" || return 1
		guest_run na 'ethtool -K eth0 sg on tso on gso on' >&2 ;;
	ping)	round_trips 10.9.0.2 ;;
	udp)	before=$(counters nb eth0 rx)
		pps=$(flood 10.9.0.2)
		after=$(counters nb eth0 rx)
		echo "$pps $(((${after#* } - ${before#* }) / 500))%" ;;
	# Nobody has this address: each frame is taken and answered, and goes nowhere.
	null)	guest_run na 'arp -i eth0 -s 10.9.0.99 00:16:3e:ff:ff:fe'
		echo "$(flood 10.9.0.99) -" ;;
	dom0)	iperf na 10.9.0.100 -n "${mib}M" ;;
	fromdom0) iperf na 10.9.0.100 -n "${mib}M" -R ;;
	pingdom0) round_trips 10.9.0.100 ;;
	esac
}

# Makes dom0 the third on their bridge, with ours by an uplink into one of the kernel's.
dom0_joins()
{
	local bridge=net0

	if [ "$XH_BACKEND" = ours ]; then
		bridge=lan0
		modprobe bridge
		modprobe tun
		linux_bridge $bridge
		check "an uplink" paravane bridge uplink add net0 up0 bridge=$bridge
		check "it is in the bridge" wait_for 20 test -e /sys/class/net/$bridge/brif/up0
	fi
	ip address add 10.9.0.100/24 dev $bridge
	check "ping of dom0" pings na 10.9.0.100
	iperf3 -s -D >/dev/null
	: >$xh_run/joined
}

nic_script=vif-kernel
served_bridge net0 $OURS
for guest in na nb; do
	guest_start $guest pv memory=400 vif="$(served_vif net0)"
done
check "the first connects" nic_up na 0 1
check "the second connects" nic_up nb 0 2
check "ping" pings na 10.9.0.2
iperf_serve nb
for row in ${ROWS:-tcp reverse nogso ping udp null dom0 fromdom0 pingdom0}; do
	case $row in *dom0) [ -e $xh_run/joined ] || dom0_joins ;; esac
	figures=$(measure "$row") && [ -n "${figures%% *}" ] || die "$row was not measured"
	say "$row: $figures"
	echo "$row $figures" >>"$XH_RESULTS/figures"
done
