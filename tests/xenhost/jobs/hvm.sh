# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a guest of the type HVM with its root file system on a disk of ours, by xl and the script; the emulated disk is unplugged
# needs: paravane-blkback
# timeout: 500

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
# Its kernel by QEMU's -kernel: reading it by the emulated BIOS's port I/O takes minutes here.
file=$(image hvm 64)
system_disk "$file" 64
root_initrd $xh_boot/root-initrd
guest_create hvm hvm memory=400 ramdisk=$xh_boot/root-initrd disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid hvm)
check "libxl gives QEMU the path that the script wrote" \
	eval "pgrep -af '[q]emu.*-xen-domid $domid ' | grep -o 'file=$file[^ ]*'"
guest_ready hvm 360
guest_run hvm 'dmesg | grep -iE "unplug|Hypervisor detected|blkfront|xvda|callback vector|ata[0-9]|EXT4"' || true
check "the emulated disk has been unplugged" guest_run hvm 'dmesg | grep -i "unplug emulated disks"; [ -z "$(ls -d /sys/block/[sh]d* 2>/dev/null)" ]'
check "the disk is connected" disk_connected hvm xvda vbd
check "the root file system is on it" guest_run hvm 'grep "^/dev/xvda1 / ext4 rw" /proc/mounts'
check "the worker holds its grants" eval '[ $(grants_held hvm) -gt 0 ]'
check "files" guest_run hvm 'seq 100000 >/numbers; echo written-by-the-hvm-guest >/proof; sync; echo 3 >/proc/sys/vm/drop_caches; seq 100000 | cmp - /numbers'
guest_send hvm 'mount -o remount,ro /; poweroff -f'
check "shuts itself down" wait_for 90 guest_gone hvm
check "nothing is left" eval "domain_gone $domid && nothing_left $domid"
check "no QEMU" eval "! pgrep -f '[q]emu.*-xen-domid $domid '"
check "its root file system is clean" /sbin/e2fsck -fn "$file?offset=1048576"
check "and has its file" grep -aq written-by-the-hvm-guest "$file"
