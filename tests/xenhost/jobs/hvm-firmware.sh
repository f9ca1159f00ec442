# SPDX-License-Identifier: LGPL-2.1-or-later
# about: HVM whose firmware, GRUB, kernel and root file system all come from a disk of ours, by xl and the script
# needs: paravane-blkback
# timeout: 600
# boot: vcpus=1

# Counting time: on a busy machine the BIOS's timer ticks come faster than the emulated
# BIOS can handle them.
[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
file=$(image hvm 64)
system_disk "$file" 64
start=$SECONDS
guest_create hvm hvm memory=400 kernel=none ramdisk=none disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid hvm)
check "libxl gives QEMU the path that the script wrote" \
	eval "pgrep -af '[q]emu.*-xen-domid $domid ' | grep -o 'file=$file[^ ]*'"
guest_ready hvm 480
say "from xl create to the command loop: $((SECONDS - start)) s"
check "the firmware booted GRUB from the disk" grep -a "GRUB reads the disk" "$XH_RESULTS/serial-hvm.log"
check "GRUB booted this kernel" guest_run hvm 'grep by_grub_pc /proc/cmdline'
guest_run hvm 'dmesg | grep -iE "unplug|Hypervisor detected|blkfront|xvda|Xen HVM callback|ata[0-9]"' || true
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
