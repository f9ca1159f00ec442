# SPDX-License-Identifier: LGPL-2.1-or-later
# about: interfaces that cannot be are refused under xl with a reason, at once and without a trace
# needs: paravane-netback
# timeout: 750

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND interfaces without our script"

# refused WHAT TEXT WORD...: xl network-attach fails soon, and says TEXT.
refused()
{
	local what=$1 text=$2 start=$SECONDS
	shift 2
	wait_for 30 no_nic_left "$va" 1 || die "$what: something is left of an attempt before"
	! xl network-attach va "$@" >$xh_run/said 2>&1 || die "$what: not refused"
	sed 's/^/    /' $xh_run/said
	grep -qF "$text" $xh_run/said || die "$what: xl did not say '$text'"
	say "ok: $what ($((SECONDS - start)) s)"
}

served_bridge net0
mac=00:16:3e:0b:0c:0d
guest_start va pv memory=256 vif="$(served_vif net0 mac=$mac)"
va=$(guest_domid va)
check "a guest connects" nic_connected va 0
before=$(grants_held va)

refused "an address that is in use" "address $mac is in use on switch net0: vif 0 of guest va (domain $va)" \
	$(served_vif net0 mac=$mac | tr , ' ')
refused "xl's own script, which wants a kernel's bridge" "Could not find bridge device net0" \
	bridge=net0 script=vif-bridge
wait_for 30 no_nic_left "$va" 1 || {
	xl network-detach va 1
	check "what xl left of it can be detached" wait_for 30 no_nic_left "$va" 1
}
check "the address on another switch is taken" xl network-attach va $(served_vif net1 mac=$mac | tr , ' ')
check "and connected" nic_connected va 1
check "xl lists it" eval "xl network-list va | grep -q '^1 '"
paravane explain va vif1 | tee $xh_run/said
check "explain knows it" grep -q "switch     net1" $xh_run/said
check "paravane takes away what xl attached" paravane detach va vif1 --wait 60
check "nothing is left of it" no_nic_left "$va" 1
check "paravane attaches one" paravane attach-nic va bridge=net0 --wait 60
check "xl knows it" eval "xl network-list va | grep -q '^1 '"
check "xl takes it away" xl network-detach va 1
check "nothing is left of that either" wait_for 20 no_nic_left "$va" 1
check "its grants are returned" wait_for 20 eval '[ $(grants_held va) -le '"$before"' ]'
check "the first interface lives" nic_up va 0 1
guest_stop va
