# SPDX-License-Identifier: LGPL-2.1-or-later
# about: VLANs and isolation changed under guests that talk, captures, an uplink into a Linux bridge of dom0's
# needs: paravane-netback
# timeout: 1000

[ "$XH_BACKEND" = ours ] || skip "this is about our back end's bridges"
modprobe bridge
modprobe tun
served_bridge net0
guest_start ba pv memory=256 vif="$(served_vif net0)"
guest_start bb pv memory=256 vif="$(served_vif net0)"
check "the first connects" nic_up ba 0 1
check "the second connects" nic_up bb 0 2
check "they see each other" pings ba 10.9.0.2
iperf_serve bb

# answers GUEST ADDRESS, apart GUEST ADDRESS: now.
answers() { guest_run "$1" "ping -c 1 -W 5 $2 >/tmp/ping 2>&1"; }
apart() { ! answers "$@"; }

check "ba goes to VLAN 10" paravane bridge port ba vif0 vlan=10
check "they are apart" wait_for 20 apart ba 10.9.0.2
check "bb follows" paravane bridge port bb vif0 vlan=10
check "they are together" pings ba 10.9.0.2
guest_background ba stream 'iperf3 -c 10.9.0.2 -t 3600'
sent() { [ "$(guest_run ba 'cat /sys/class/net/eth0/statistics/tx_bytes')" -gt "$1" ]; }
flows() { wait_for 60 sent $((10#$(guest_run ba 'cat /sys/class/net/eth0/statistics/tx_bytes') + 4000000)); }
check "a stream flows" flows
both() { paravane bridge port ba vif0 "$1" && paravane bridge port bb vif0 "$1"; }
check "both change their VLAN under it" both vlan=20
check "it flows on" flows
check "out of VLANs" both vlan=none
check "it flows on" flows

# Read by tcpdump while it is written.
paravane capture ba/vif0 -s 100 >$xh_run/pcap 2>$xh_run/captured &
capture=$!
check "it is captured" wait_for 30 test -s $xh_run/pcap
check "it flows on" flows
kill $capture
check "the capture ends" wait $capture
say "$(cat $xh_run/captured)"
tcpdump -n -r $xh_run/pcap >$xh_run/frames 2>/dev/null || true
check "both directions are in it" eval 'grep -q "10.9.0.1.* > 10.9.0.2.5201" $xh_run/frames && grep -q "10.9.0.2.5201 > 10.9.0.1" $xh_run/frames'
guest_run ba 'killall iperf3' || true
check "both are isolated" both isolated=1
check "they are apart" wait_for 20 apart ba 10.9.0.2
paravane bridge show net0

# The uplink is not isolated: dom0 is there for both.
linux_bridge lan0
ip address add 10.9.0.100/24 dev lan0
check "an uplink" paravane bridge uplink add net0 up0 bridge=lan0
check "it is in the bridge" wait_for 20 test -e /sys/class/net/lan0/brif/up0
check "ba reaches dom0" pings ba 10.9.0.100
check "bb reaches dom0" pings bb 10.9.0.100
check "and not ba" apart bb 10.9.0.1
iperf3 -s -D --pidfile $xh_run/iperf-pid >/dev/null
# What is known of a stream that does not end.
stuck() { paravane bridge show net0; ss -tanoi; ping -c 2 10.9.0.1; paravane bridge show net0; die "$1"; }
got=$(iperf ba 10.9.0.100 -n 16M) || stuck "TCP to dom0"
say "ok: TCP to dom0: $got"
got=$(iperf ba 10.9.0.100 -n 16M -R) || stuck "TCP from dom0"
say "ok: TCP from dom0: $got"
kill "$(tr -d '\0' <$xh_run/iperf-pid)"
frames=$(cat /sys/class/net/up0/statistics/tx_packets /sys/class/net/up0/statistics/tx_bytes | xargs)
check "large packets cross the uplink whole" eval 'set -- $frames; [ $(($2 / $1)) -gt 3000 ]'
check "the uplink goes" paravane bridge uplink remove net0 up0
check "the device too" wait_for 20 eval '[ ! -e /sys/class/net/up0 ]'
check "dom0 is not there any more" apart ba 10.9.0.100
guest_stop ba
guest_stop bb
