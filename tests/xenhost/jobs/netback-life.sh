# SPDX-License-Identifier: LGPL-2.1-or-later
# about: interfaces come and go: xl network-attach and -detach, a PVH guest, save and restore, destroy under load
# needs: paravane-netback
# boot: vcpus=1
# timeout: 1250

served_bridge net0
guest_start la pv memory=256 vif="$(served_vif net0)"
guest_start lb pvh memory=256 vif="$(served_vif net0)"
check "a PV guest connects" nic_up la 0 1
check "a PVH guest connects" nic_up lb 0 2
check "they see each other" pings la 10.9.0.2
iperf_serve lb
check "TCP" iperf la 10.9.0.2 -n 8M
check "TCP, reverse" iperf la 10.9.0.2 -n 8M -R

before=$(grants_held la)
for round in 1 2 3; do
	check "xl attaches ($round)" xl network-attach la $(served_vif net0 | tr , " ")
	check "it connects ($round)" nic_connected la 1
	check "xl detaches ($round)" xl network-detach la 1
	check "its nodes are gone ($round)" no_nic_left "$(guest_domid la)" 1
	check "the guest's interface too ($round)" wait_for 20 guest_run la '[ ! -e /sys/class/net/eth1 ]'
done
check "its grants are returned" wait_for 10 eval '[ $(grants_held la) -le '"$before"' ]'
for guest in la lb; do
	check "xl attaches a second one to $guest" xl network-attach $guest $(served_vif net0 | tr , " ")
done
check "it connects" nic_up la 1 1
check "it connects" nic_up lb 1 2
check "the second ones see each other" pings la 10.9.1.2

# A stream through all that follows, as long as its connection lives.
guest_background la stream 'iperf3 -c 10.9.0.2 -t 3600'
sent() { [ "$(guest_run la 'cat /sys/class/net/eth0/statistics/tx_bytes')" -gt "$1" ]; }
flows() { wait_for 60 sent $((10#$(guest_run la 'cat /sys/class/net/eth0/statistics/tx_bytes') + 4000000)); }
check "a stream flows" flows
check "the second interface goes meanwhile" xl network-detach lb 1
for round in 1 2; do
	old=$(guest_domid la)
	check "xl saves its sender ($round)" xl save la $xh_run/saved
	check "nothing of the saved domain is left ($round)" no_nic_left "$old"
	check "xl restores ($round)" xl restore $xh_run/saved
	xl domid la >$xh_run/guest-la.domid
	rm $xh_run/saved
	check "it connects again ($round)" nic_connected la 0
	check "the stream flows on ($round)" flows
done
domid=$(guest_domid lb)
check "xl destroys the receiver under load" timeout 60 xl destroy lb
check "Xen holds nothing of it" domain_gone "$domid"
check "nothing of its interfaces is left" no_nic_left "$domid"
guest_start lc pv memory=256 vif="$(served_vif net0)"
check "the next guest connects" nic_up lc 0 3
check "and reaches the other" pings la 10.9.0.3
iperf_serve lc
guest_background la more 'iperf3 -c 10.9.0.3 -t 3600'
check "a stream to it flows" flows
domid=$(guest_domid la)
check "xl destroys the sender under load" timeout 60 xl destroy la
check "Xen holds nothing of it" domain_gone "$domid"
check "nothing of its interfaces is left" no_nic_left "$domid"
[ -z "$netback_pid" ] || check "the back end lives" eval '! process_gone $netback_pid'
guest_stop lc
