# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our net front end's frames to a Debian guest through our back end: static grants, hash, a multicast filter, no offloads
# needs: paravane-netback paravane-netfront
# timeout: 1250
# stores: one

[ "$XH_BACKEND" = ours ] || skip "the kernel's back end has no static grants (job netfront-netback)"
front=$(command -v paravane-netfront)
served_bridge net0
guest_start nd pv memory=256 vcpus=2 vif="$(served_vif net0)"
# Without the kernel's front end: it would take the interface.
guest_start nf pv memory=256 vcpus=2 files="$front" vif="$(served_vif net0)" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs,tun"
before=$(grants_held nf)
check "Debian's connects" nic_up nd 0 1
iperf_serve nd

# All hosts: a group that Linux is in without having to say so.
guest_run nd 'ip route add 224.0.0.0/4 dev eth0'
guest_run nf 'echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts'
groups_pass() { pings nd 224.0.0.1; }
groups_rest() { guest_run nd '! ping -c 2 -W 3 224.0.0.1'; }
groups=pass

# tap OPTION...: the guest's own TCP on a TAP device.
tap()
{
	guest_background nf tap "$front tap --timeout 60 $*"
	check "tap $*: comes up" wait_for 60 guest_run nf '[ -e /sys/class/net/pv0 ]'
	guest_run nf 'ip addr add 10.9.0.2/24 dev pv0'
	check "tap $*: pings Debian's" pings nf 10.9.0.1
	check "tap $*: and is pinged" pings nd 10.9.0.2
	check "tap $*: TCP" iperf nf 10.9.0.1 -n 4M
	check "tap $*: TCP, reverse" iperf nf 10.9.0.1 -n 4M -R
	check "tap $*: a group that nobody joined" groups_$groups
	guest_run nf 'killall paravane-netfront'
	check "tap $*: ends" guest_wait nf tap 60
}
tap --static-grants --hash --queues 2
groups=rest
tap --multicast-control
groups=pass
tap --no-gso --no-checksum --no-sg --no-split --no-rx-notify
check "no grant is held" wait_for 20 eval '[ $(grants_held nf) -le '"$before"' ]'
guest_stop nf
guest_stop nd
