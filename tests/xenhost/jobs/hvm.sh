# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a guest of the type HVM boots from our disk by firmware and GRUB, unplugs the emulated disk and comes to us
# needs: paravane-blkback
# boot: vcpus=1
# stores: one
# timeout: 2750

# One CPU: QEMU 7.2 delivers an interrupt that Xen injected into an HVM guest a second
# time when it turns to another CPU before the guest's next exit. docs/xenhost.md.
[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
file=$(image hvm 64)
system_disk "$file" 64
guest_create hvm hvm memory=256 kernel=none ramdisk=none disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid hvm)
check "libxl gives QEMU the path that the script wrote" \
	eval "pgrep -af '[q]emu.*-xen-domid $domid ' | grep -o 'file=$file[^ ]*'"
check "GRUB comes from the disk" wait_for 200 grep -aq "GRUB reads the disk" "$XH_RESULTS/serial-hvm.log"
say "GRUB reads kernel and RAM disk by emulated port I/O"
guest_ready hvm 700
check "its kernel is the one that GRUB loaded" guest_run hvm 'grep by_grub_pc /proc/cmdline'
check "the emulated disk has been unplugged" guest_run hvm 'dmesg | grep -i "unplug emulated disks"; [ -z "$(ls -d /sys/block/[sh]d* 2>/dev/null)" ]'
check "the disk is connected" disk_connected hvm xvda vbd
guest_run hvm 'dmesg | grep -E "Hypervisor detected|blkfront: xvda"'
check "the root file system is on it" guest_run hvm 'grep "^/dev/xvda1 / ext4 rw" /proc/mounts'
check "the worker holds its grants" eval '[ $(grants_held hvm) -gt 0 ]'
check "files" guest_run hvm 'seq 100000 >/numbers; echo written-by-the-hvm-guest >/proof; sync; echo 3 >/proc/sys/vm/drop_caches; seq 100000 | cmp - /numbers'
check "verified random writes" guest_run hvm 'fio --name=v --filename=/data --rw=randwrite --bs=4k --size=4m --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 --minimal >/dev/null' 200
guest_send hvm 'mount -o remount,ro /; poweroff -f'
check "shuts itself down" wait_for 90 guest_gone hvm
check "nothing is left" eval "domain_gone $domid && nothing_left $domid"
check "no QEMU" wait_for 20 eval "! pgrep -f '[q]emu.*-xen-domid $domid '"
check "its root file system is clean" /sbin/e2fsck -fn "$file?offset=1048576"
check "and has its file" grep -aq written-by-the-hvm-guest "$file"
