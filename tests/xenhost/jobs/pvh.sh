# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a guest of the type PVH, its disk by xl and the script
# needs: paravane-blkback
# boot: vcpus=1
# timeout: 750
# stores: one

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
seq_disk='seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvda conv=fsync; dd if=/dev/xvda bs=$(stat -c %s /tmp/a) count=1 | cmp - /tmp/a'

file=$(image pvh 16)
guest_start pvh pvh disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid pvh)
check "the disk connects" disk_connected pvh xvda vbd
guest_run pvh 'dmesg | grep -E "xvda|Hypervisor|Booting para"'
check "the disk holds what was written" guest_run pvh "$seq_disk"
check "grants are held while it is connected" eval '[ $(grants_held pvh) -gt 0 ]'
before=$(grants_held pvh)
check "xl detaches" xl block-detach pvh xvda
check "fewer grants" eval '[ $(grants_held pvh) -lt '"$before"' ]'
guest_stop pvh
check "nothing is left" eval "domain_gone $domid && nothing_left $domid"
