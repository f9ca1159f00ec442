# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A disk that a PC's firmware can boot, for jobs with HVM guests. Hides its layout.
# Sourced by dom0-lib.sh.

# root_initrd FILE: a RAM disk that goes on with the root on the guest's first disk. It
# holds no more than that takes, for firmware reads it a word at a time.
root_initrd()
{
	local dir=$xh_run/initrd module path

	mkdir -p $dir/{proc,sys,dev,new,bin,modules}
	cp "$(command -v busybox)" $dir/bin/busybox
	for module in xen-blkfront ext4; do
		modprobe --show-depends $module
	done | awk '/^insmod/ && !seen[$2]++ { print $2 }' >$dir/paths
	while read -r path; do
		cp "$path" $dir/modules/
		echo "insmod /modules/${path##*/}"
	done <$dir/paths >$dir/load-modules
	cat >$dir/init <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		. /load-modules
		while [ ! -b /dev/xvda1 ]; do sleep 0.2; done
		mount -t ext4 /dev/xvda1 /new
		umount /proc /sys /dev
		exec switch_root /new /init
	END
	chmod +x $dir/init
	(cd $dir && find . | cpio --quiet -o -H newc) | gzip -9 >"$1"
	rm -r $dir
}

# system_disk FILE MIB: partitioned, GRUB for the BIOS in front, one ext4 with all that
# the common RAM disk has.
system_disk()
{
	local tree=$xh_run/tree grub=$XH_PACKAGES/root/usr/lib/grub/i386-pc PATH=$PATH:/sbin:/usr/sbin n

	mkdir -p $tree/boot/grub
	(cd $tree && cpio --quiet -idm <$xh_boot/guest.cpio)
	cp $xh_boot/vmlinuz $tree/boot/
	root_initrd $tree/boot/initrd.gz
	cat >$tree/boot/grub/grub.cfg <<-END
		serial --unit=0 --speed=115200
		terminal_output serial
		echo "GRUB reads the disk"
		linux /boot/vmlinuz console=hvc0 mitigations=off quiet panic=1 by_grub_pc
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
	n=$((($2 - 1) * 2048))
	printf "$(printf '\\x%02x' $((n & 255)) $((n >> 8 & 255)) $((n >> 16 & 255)) $((n >> 24)))" |
		dd of="$1" bs=1 seek=458 conv=notrunc status=none
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
	rm -r $tree $xh_run/core.img
}
