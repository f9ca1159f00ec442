# SPDX-License-Identifier: LGPL-2.1-or-later
# about: scratch
# needs: paravane-netfront
# timeout: 400
front=$(command -v paravane-netfront)
guest_start nf pv memory=320 vcpus=2 files="$front $(command -v iperf3)" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs,tun"
kernel_nic nf 0 10.9.0.1/24
iperf3 -s -D -I $xh_run/iperf3.pid --logfile /dev/null
tap()
{
	guest_background nf tap "$front tap --timeout 40 $*"
	check "tap $*: comes up" wait_for 60 guest_run nf '[ -e /sys/class/net/pv0 ]'
	guest_run nf 'ip addr add 10.9.0.2/24 dev pv0'
	wait_for 60 guest_run nf 'ping -c 1 -W 10 10.9.0.1' >/dev/null
	for i in 1 2 3; do
	guest_run nf "iperf3 -c 10.9.0.1 -n 32M | grep -E 'sender|receiver'" 200
	done
	guest_run nf "iperf3 -c 10.9.0.1 -n 32M -R| grep -E 'sender|receiver'" 200
	guest_run nf 'killall paravane-netfront'
	guest_wait nf tap 60
}
tap
tap --tx-pages 50
tap --poll-us 50
kill "$(tr -d '\0' <$xh_run/iperf3.pid)"
guest_stop nf
