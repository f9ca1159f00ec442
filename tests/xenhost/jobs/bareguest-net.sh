# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our net front end in a guest without an operating system, on our back end: every byte of frames from and to another such guest and Debian
# needs: tests/bareguest/bareguest tests/verified-udp paravane-netback
# timeout: 1250
# stores: one

udp=$XH_BUILD/tests/verified-udp
served_bridge net0

# The address of a bare guest is made of its number, and numbers are given in order.
next_domid() { echo $(($(guest_domid last) + 1)); }
bare_create last "idle 0"
check "a guest that does nothing ends" bare_passes last

# between NR BYTES [WORD]: from one bare guest to another.
between()
{
	local first=$(next_domid) received

	bare_create br "net 0 receive $1 10.9.0.$((first + 1))" vif="$(served_vif net0 mtu=9000)"
	bare_create bs "net 0 send $1 $2 10.9.0.$first $3" vif="$(served_vif net0 mtu=9000)"
	check "they have the numbers that they were told" equal "$first $((first + 1))" \
		"$(guest_domid br) $(guest_domid bs)"
	check "$1 datagrams of $2 bytes $3: the sender hears of all" bare_passes bs 300
	check "the receiver has seen each" bare_passes br 100
	bare_log br | grep -a '^net: '
	cp $xh_run/guest-bs.domid $xh_run/guest-last.domid
}
between 20000 1472
between 5000 22
between 2000 4096
between 500 60000 gso

guest_start nd pv memory=256 files="$udp" vif="$(served_vif net0 mtu=9000)"
check "Debian's connects" nic_up nd 0 "$(guest_domid nd)"
debian=10.9.0.$(guest_domid nd)
bare=10.9.0.$(($(guest_domid nd) + 1))
bare_create br "net 0 receive 20000 $debian; net 0 receive 2000 $debian" vif="$(served_vif net0 mtu=9000)"
check "Debian sends, and hears of all" guest_run nd "$udp send $bare 20000 1472" 300
check "and shorter ones, to its next command" guest_run nd "$udp send $bare 2000 1000" 300
check "the receiver has seen each" bare_passes br 100
bare_log br | grep -a '^net: '
bare=10.9.0.$(($(guest_domid br) + 1))
guest_background nd receive "$udp receive $bare 20000"
bare_create bs "net 0 send 20000 1472 $debian" vif="$(served_vif net0 mtu=9000)"
check "a bare guest sends to Debian, and hears of all" bare_passes bs 300
check "Debian has seen each" guest_wait nd receive
guest_stop nd
