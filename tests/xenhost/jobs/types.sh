# SPDX-License-Identifier: LGPL-2.1-or-later
# about: PVH; HVM whose firmware, GRUB, kernel and root file system all come from a disk of ours, by xl and the script
# needs: paravane-blkback
# timeout: 500

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
PATH=$PATH:/sbin:/usr/sbin
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

# What the kernel starts with: finds the root on the disk that GRUB came from.
make_initrd()
{
	local dir=$xh_run/initrd

	mkdir -p $dir/{proc,sys,dev,new,bin}
	(cd $dir && cpio --quiet -idm 'bin/busybox' 'lib/modules/*' <$xh_boot/guest.cpio)
	cat >$dir/init <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		echo /bin/modprobe >/proc/sys/kernel/modprobe
		modprobe xen-blkfront
		modprobe ext4
		while [ ! -b /dev/xvda1 ]; do sleep 0.2; done
		mount -t ext4 /dev/xvda1 /new
		umount /proc /sys /dev
		exec switch_root /new /init
	END
	chmod +x $dir/init
	(cd $dir && find . | cpio --quiet -o -H newc) | gzip -1 >"$1"
	rm -r $dir
}

# make_system_disk FILE MIB: partitioned, GRUB for the BIOS in front, one ext4.
make_system_disk()
{
	local tree=$xh_run/tree grub=$XH_PACKAGES/root/usr/lib/grub/i386-pc

	mkdir -p $tree/boot/grub
	(cd $tree && cpio --quiet -idm <$xh_boot/guest.cpio)
	cp $xh_boot/vmlinuz $tree/boot/
	make_initrd $tree/boot/initrd.gz
	cat >$tree/boot/grub/grub.cfg <<-END
		serial --unit=0 --speed=115200
		terminal_output serial
		echo "GRUB reads the disk"
		linux /boot/vmlinuz console=ttyS0 console=hvc0 mitigations=off quiet panic=1 by_grub_pc
		initrd /boot/initrd.gz
		boot
	END
	"$XH_PACKAGES/root/usr/bin/grub-mkimage" -d "$grub" -O i386-pc -o $xh_run/core.img -p '(hd0,msdos1)/boot/grub' \
		biosdisk part_msdos ext2 normal linux serial terminal echo boot
	mkfs.ext4 -q -F -O ^metadata_csum,^64bit -d $tree -E offset=1048576 "$1" $(($2 - 1))M
	dd if="$grub/boot.img" of="$1" bs=440 count=1 conv=notrunc status=none
	dd if=$xh_run/core.img of="$1" seek=1 conv=notrunc status=none
	# One entry: active, Linux, from sector 2048; then the signature.
	printf '\200\040\041\000\203\376\377\377\000\010\000\000' | dd of="$1" bs=1 seek=446 conv=notrunc status=none
	printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((n = ($2 - 1) * 2048, n & 255)) $((n >> 8 & 255)) $((n >> 16 & 255)) $((n >> 24)))" |
		dd of="$1" bs=1 seek=458 conv=notrunc status=none
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
	rm -r $tree $xh_run/core.img
}

file=$(image hvm 64)
make_system_disk "$file" 64
start=$SECONDS
guest_create hvm hvm memory=400 kernel=none ramdisk=none disk="$(xl_disk xvda rw "$file")"
domid=$(guest_domid hvm)
check "HVM: libxl gives QEMU the path that the script wrote" \
	eval "pgrep -af '[q]emu.*-xen-domid $domid ' | grep -o 'file=$file[^ ]*'"
guest_ready hvm 360
say "from xl create to the command loop: $((SECONDS - start)) s"
check "HVM: the firmware booted GRUB from the disk" grep -a "GRUB reads the disk" "$XH_RESULTS/serial-hvm.log"
check "HVM: GRUB booted this kernel" guest_run hvm 'grep by_grub_pc /proc/cmdline'
guest_run hvm 'dmesg | grep -iE "unplug|Hypervisor detected|blkfront|xvda|Xen HVM callback|ata[0-9]"' || true
check "HVM: the emulated disk has been unplugged" guest_run hvm 'dmesg | grep -i "unplug emulated disks"; [ -z "$(ls -d /sys/block/[sh]d* 2>/dev/null)" ]'
check "HVM: the disk is connected" disk_connected hvm xvda vbd
check "HVM: the root file system is on it" guest_run hvm 'grep "^/dev/xvda1 / ext4 rw" /proc/mounts'
check "HVM: the worker holds its grants" eval '[ $(grants_held hvm) -gt 0 ]'
check "HVM: files" guest_run hvm 'seq 100000 >/numbers; echo written-by-the-hvm-guest >/proof; sync; echo 3 >/proc/sys/vm/drop_caches; seq 100000 | cmp - /numbers'
guest_send hvm 'mount -o remount,ro /; poweroff -f'
check "HVM: shuts itself down" wait_for 90 guest_gone hvm
check "HVM: nothing is left" eval "domain_gone $domid && nothing_left $domid"
check "HVM: no QEMU" eval "! pgrep -f '[q]emu.*-xen-domid $domid '"
check "HVM: its root file system is clean" e2fsck -fn "$file?offset=1048576"
check "HVM: and has its file" grep -aq written-by-the-hvm-guest "$file"
