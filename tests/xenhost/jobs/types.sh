# SPDX-License-Identifier: LGPL-2.1-or-later
# about: guests of the types PVH and HVM, which the other jobs build on
# needs: paravane-blkback
# timeout: 450

for type in pvh hvm; do
	file=$(image $type 16)
	guest_start $type $type
	served_disk $type xvda "$file"
	check "the disk connects" disk_connected $type xvda $served
	guest_run $type 'dmesg | grep -E "xvda|Hypervisor|Booting para"'
	check "the disk holds what was written" guest_run $type \
		'seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvda conv=fsync; dd if=/dev/xvda bs=$(stat -c %s /tmp/a) count=1 | cmp - /tmp/a'
	say "grants held while connected: $(grants_held $type)"
	check "the disk goes" disk_detach $type xvda $served
	say "grants held after: $(grants_held $type)"
	guest_stop $type
done
