# SPDX-License-Identifier: LGPL-2.1-or-later
# about: PVH; HVM with its root file system on a disk of ours, by xl and the script
# needs: paravane-blkback
# timeout: 500

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
seq_disk='seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvda conv=fsync; dd if=/dev/xvda bs=$(stat -c %s /tmp/a) count=1 | cmp - /tmp/a'

# ---- PVH -----------------------------------------------------------------------

file=$(image pvh 16)
guest_start pvh pvh disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid pvh)
check "PVH: the disk connects" disk_connected pvh xvda vbd
guest_run pvh 'dmesg | grep -E "xvda|Hypervisor|Booting para"'
check "PVH: the disk holds what was written" guest_run pvh "$seq_disk"
check "PVH: grants are held while it is connected" eval '[ $(grants_held pvh) -gt 0 ]'
before=$(grants_held pvh)
check "PVH: xl detaches" xl block-detach pvh xvda
check "PVH: fewer grants" eval '[ $(grants_held pvh) -lt '"$before"' ]'
guest_stop pvh
check "PVH: nothing is left" eval "domain_gone $domid && nothing_left $domid"

# ---- HVM -----------------------------------------------------------------------

# Its kernel by QEMU's -kernel; the firmware's way is the job hvm-firmware.
file=$(image hvm 64)
system_disk "$file" 64
root_initrd $xh_boot/root-initrd
guest_create hvm hvm memory=400 ramdisk=$xh_boot/root-initrd disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid hvm)
check "HVM: libxl gives QEMU the path that the script wrote" \
	eval "pgrep -af '[q]emu.*-xen-domid $domid ' | grep -o 'file=$file[^ ]*'"
guest_ready hvm 360
guest_run hvm 'dmesg | grep -iE "unplug|Hypervisor detected|blkfront|xvda|callback vector|ata[0-9]|EXT4"' || true
check "HVM: the emulated disk has been unplugged" guest_run hvm 'dmesg | grep -i "unplug emulated disks"; [ -z "$(ls -d /sys/block/[sh]d* 2>/dev/null)" ]'
check "HVM: the disk is connected" disk_connected hvm xvda vbd
check "HVM: the root file system is on it" guest_run hvm 'grep "^/dev/xvda1 / ext4 rw" /proc/mounts'
check "HVM: the worker holds its grants" eval '[ $(grants_held hvm) -gt 0 ]'
check "HVM: files" guest_run hvm 'seq 100000 >/numbers; echo written-by-the-hvm-guest >/proof; sync; echo 3 >/proc/sys/vm/drop_caches; seq 100000 | cmp - /numbers'
guest_send hvm 'mount -o remount,ro /; poweroff -f'
check "HVM: shuts itself down" wait_for 90 guest_gone hvm
check "HVM: nothing is left" eval "domain_gone $domid && nothing_left $domid"
check "HVM: no QEMU" eval "! pgrep -f '[q]emu.*-xen-domid $domid '"
check "HVM: its root file system is clean" /sbin/e2fsck -fn "$file?offset=1048576"
check "HVM: and has its file" grep -aq written-by-the-hvm-guest "$file"
