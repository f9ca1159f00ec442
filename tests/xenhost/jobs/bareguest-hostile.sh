# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a bare guest that means harm to its disk and its interfaces: its grant table, its ports, its end
# needs: tests/bareguest/bareguest paravane-blkback paravane-netback
# stores: one
# timeout: 3000

[ "$XH_BACKEND" = ours ] || skip "it is about our back ends"
our_backend vbd --log-level=debug
our_netback --log-level=debug
bystander_start ok

# attack NAME COMMANDS: of a bare guest with a disk and two interfaces of a bridge.
attack()
{
	bare_create "$1" "$2" paused=1
	our_disk "$1" xvda "$image"
	nic_attach "$1" 0 bridge=evil hotplug-status=connected
	nic_attach "$1" 1 bridge=evil hotplug-status=connected
	xl unpause "$1"
}

# gone_whole NAME: the domain is no zombie, and no node or process of its devices stays.
gone_whole()
{
	local domid=$(guest_domid "$1")

	bare_gone "$1" || return 1
	xenstore-rm "/local/domain/0/backend/vbd/$domid" 2>/dev/null || true
	xenstore-rm "/local/domain/0/backend/vif/$domid" 2>/dev/null || true
	nothing_left "$domid" && no_nic_left "$domid"
}

image=$(image bare 12)
attack bh "hostile disk 51712 1 grants; disk 51712 1; hostile disk 51712 1 ports; hostile disk 51712 1 storm; disk 51712 1"
check "a disk's grants that change all the time, ports, events: all is answered, and then it works" bare_passes bh 300
bare_log bh | grep -a '^hostile: '
check "some were refused" bare_said bh '^hostile: disk: [0-9]+ requests answered, [1-9]'
check "nothing of it is left" gone_whole bh
check "the other does not notice" bystander_unhurt ok

attack bn "hostile net 0 1 grants; hostile net 0 1 ports; hostile net 0 1 storm; hostile net 0 1 grants; disk 51712 1"
check "the same of two interfaces" bare_passes bn 300
bare_log bn | grep -a '^hostile: '
check "nothing of it is left" gone_whole bn
check "the other does not notice" bystander_unhurt ok

# Xen copies such a ring for us and does not map it, which a host without room for maps does
# to all: whose fault it is must be told apart, or one guest would be waited for for ever.
attack bs "hostile disk 51712 1 sub-page; disk 51712 1; hostile net 0 1 sub-page; hostile net 0 1 storm"
check "rings that can be copied and not be mapped: refused, and honest ones work then" bare_passes bs 300
bare_log bs | grep -a '^hostile: '
for log in "$XH_RESULTS/paravane-blkback-vbd.log" "$XH_RESULTS/paravane-netback.log"; do
	check "the reason is in $(basename "$log")" grep 'cannot map' "$log"
	check "nobody waits for room" sh -c "! grep -E 'left to map its rings|it is tried again' '$log'"
done
check "nothing of it is left" gone_whole bs
check "the other does not notice" bystander_unhurt ok

attack bd "hostile disk 51712 1 die"
check "it dies in the middle of requests to its disk, and all of it goes" gone_whole bd
attack be "hostile net 0 1 die"
check "and in the middle of frames" gone_whole be
check "the other does not notice" bystander_unhurt ok

# The next guest, whatever number it has, with the same image and the same bridge.
attack good "disk 51712 2"
check "the next guest's disk works" bare_passes good
check "it goes" gone_whole good
bystander_end ok
