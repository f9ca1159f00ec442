# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our net front end in a Linux guest on Debian's netback: ping, TCP both ways, offloads, queues
# needs: paravane-netfront
# timeout: 1000

front=$(command -v paravane-netfront)
# Without the kernel's front end: it would take the interfaces.
guest_start nf pv memory=320 vcpus=2 files="$front $(command -v iperf3)" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs,tun"
before=$(grants_held nf)

modprobe xen-netback max_queues=2
kernel_nic nf 0 10.9.0.1/24
check "opens" guest_run nf "$front info --timeout 40" 100
check "the features of netback" guest_run nf "$front info --json --timeout 40 | grep -q '\"sg\":1,\"gso_tcpv4\":1,\"gso_tcpv6\":1,\"ipv6_checksum\":1,\"split_event_channels\":1'"  100
check "pings dom0" guest_run nf "$front ping --timeout 40 --address 10.9.0.2 10.9.0.1 --count 5 --wait-ms 20000" 120
check "pings with frames of 1,400 bytes" guest_run nf \
	"$front ping --timeout 40 --address 10.9.0.2 10.9.0.1 --count 3 --size 1400 --wait-ms 20000 --no-split --no-rx-notify" 120
check "sends frames that netback takes" guest_run nf "$front bench tx --timeout 40 --seconds 2 --json" 120

guest_background nf serve "$front ping --serve --address 10.9.0.3 --timeout 40"
check "dom0 pings it" wait_for 60 busybox ping -c 2 -W 10 10.9.0.3
guest_run nf 'killall paravane-netfront'
guest_wait nf serve 60 || true

# tap OPTION...: the guest's own TCP stack on a TAP device, and iperf3 in dom0.
iperf3 -s -D -I $xh_run/iperf3.pid --logfile /dev/null
tap()
{
	guest_background nf tap "$front tap --timeout 40 $*"
	check "tap $*: comes up" wait_for 60 guest_run nf '[ -e /sys/class/net/pv0 ]'
	guest_run nf 'ip addr add 10.9.0.2/24 dev pv0'
	check "tap $*: pings dom0" wait_for 60 guest_run nf 'ping -c 1 -W 10 10.9.0.1'
}
# stream OPTIONS: of iperf3; its status, and the end of what it says
stream() { guest_run nf "iperf3 $1 >/tmp/iperf 2>&1 || { cat /tmp/iperf; exit 1; }; tail -n 4 /tmp/iperf" 200; }
tap_ends()
{
	guest_run nf 'killall paravane-netfront'
	guest_wait nf tap 60
}
tap
check "GSO leaves the guest whole" stream "-c 10.9.0.1 -n 16M"
check "and comes in whole" stream "-c 10.9.0.1 -n 16M -R"
check "UDP" stream "-c 10.9.0.1 -u -b 20M -n 4M -l 1400"
check "dom0 saw frames above the MTU" test "$(cat /sys/class/net/"$nic_dev"/statistics/rx_bytes)" -gt \
	$((2000 * $(cat /sys/class/net/"$nic_dev"/statistics/rx_packets)))
check "ends" tap_ends
tap --no-gso --no-checksum --no-sg --queues 2
check "without offloads, two queues" stream "-c 10.9.0.1 -n 4M -R -P 2"
check "sends all the same" stream "-c 10.9.0.1 -n 4M -P 2"
check "ends" tap_ends
check "netback hashes by our control ring" guest_run nf \
	"$front info --hash --queues 2 --timeout 40 --json | grep -q '\"queues\":2,.*\"ctrl_ring\":1'" 100
check "netback keeps no pages mapped, and says so" equal 1 \
	"$(guest_run nf "$front info --static-grants --timeout 40 >/dev/null 2>&1; echo \$?" 100)"
tap --hash --queues 2
check "two queues chosen by hash" stream "-c 10.9.0.1 -n 16M -R -P 4"
check "the interface goes while in use" nic_detach nf 0 60
guest_wait nf tap 60
check "no grant is held" equal "$before" "$(grants_held nf)"
kill "$(tr -d '\0' <$xh_run/iperf3.pid)"
guest_stop nf
