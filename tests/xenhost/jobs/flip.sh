# SPDX-License-Identifier: LGPL-2.1-or-later
# about: frames by page transfer through our switch: 100,000 from Debian and from a bare guest, each byte checked; nothing leaks; hostile guests
# needs: tests/bareguest/bareguest tests/verified-udp paravane-netback paravane-flip
# stores: one
# timeout: 2250

udp=$XH_BUILD/tests/verified-udp
own=$(pages_of 0)
memory=$(xl list 0 | awk 'NR == 2 { print $3 }')
our_netback --page-flip

# What the helper keeps for the bridge's worker, up to 256, and its page of zeros.
pages_wait()
{
	waiting=$(($(pages_of 0) - own))
	[ $waiting -ge 1 ] && [ $waiting -le 257 ] || { echo "dom0 has $waiting pages more than before"; return 1; }
}
pages_are() { equal "$1" "$(pages_of 0)"; }
flips() { bare_log "$1" | sed -n 's/^net: by flip 1, \([0-9]*\) pages.*/\1/p'; }

guest_start nd pv memory=256 files="$udp" vif="$(served_vif net0 mtu=9000)"
check "Debian's connects" nic_up nd 0 "$(guest_domid nd)"
held=$(grants_held nd)
debian=10.9.0.$(guest_domid nd)
bare=10.9.0.$(($(guest_domid nd) + 1))

bare_create fr "net 0 receive 100000 $debian flip" vif="$(served_vif net0 mtu=9000)"
check "Debian sends 100,000, and hears of all" guest_run nd "$udp send $bare 100000 1472" 600
check "each has come" bare_passes fr 100
bare_log fr | grep -a '^net: '
check "by flip" test "$(flips fr)" -ge 100000
check "dom0 has no more than the helper keeps to give" pages_wait
say "$waiting pages wait"

# between NR BYTES [WORD]: from one bare guest to another, by flip.
last=fr
between()
{
	local first=$(($(guest_domid $last) + 1))

	bare_create br "net 0 receive $1 10.9.0.$((first + 1)) flip" vif="$(served_vif net0 mtu=9000)"
	bare_create bs "net 0 send $1 $2 10.9.0.$first $3" vif="$(served_vif net0 mtu=9000)"
	last=bs
	check "$1 of $2 bytes $3: the sender hears of all" bare_passes bs 600
	check "each has come" bare_passes br 100
	bare_log br | grep -a '^net: '
	check "by flip" test "$(flips br)" -ge "$1"
}
between 100000 1472
between 5000 22
between 2000 4096
between 300 60000 gso

check "dom0 has no more than the helper keeps" pages_wait

# hostile HOW: a guest that costs pages; what Debian sends to another arrives meanwhile.
hostile()
{
	local first=$(($(guest_domid $last) + 1))

	bare_create good "net 0 receive 20000 $debian flip" vif="$(served_vif net0 mtu=9000)"
	bare_create bad "net 0 receive 5000 10.9.0.$((first + 2)) $1" vif="$(served_vif net0 mtu=9000)"
	bare_create bs "net 0 send 5000 1472 10.9.0.$((first + 1))" vif="$(served_vif net0 mtu=9000)"
	last=bs
	check "$1: Debian's to another guest arrive" guest_run nd "$udp send 10.9.0.$first 20000 1472" 600
	check "each, by flip" bare_passes good 100
	check "$1: by flip" test "$(flips good)" -ge 20000
	check "$1: its sender ends" bare_says bs '^bareguest: [01] passed' 300
	check "$1: it ends" bare_passes bad 200
	bare_log bad | grep -a '^net: '
	check "$1: what came in the end is right" bare_said bad '^net: 5000 wanted, [1-9][0-9]* right, 0 wrong, 0 doubled'
	check "$1: dom0 has no fewer pages, nor more than wait" pages_wait
}
for how in full access other unstable; do
	hostile $how
done
grep flip "$XH_RESULTS/paravane-netback.log"

check "no grant of Debian's but its rings' is held" equal "$held" "$(grants_held nd)"
guest_stop nd
stop_daemon "$netback_pid"
check "without the daemon dom0 has as many pages as before it" wait_for 20 pages_are "$own"
check "xl list says the same" equal "$memory" "$(xl list 0 | awk 'NR == 2 { print $3 }')"
