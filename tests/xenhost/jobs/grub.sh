# SPDX-License-Identifier: LGPL-2.1-or-later
# about: GRUB's own block front ends (64-bit PV, 32-bit PVH) boot a guest from a disk
# needs: paravane-blkback
# boot: vcpus=1
# stores: one
# timeout: 1000

# An unpartitioned ext4 disk with what GRUB looks for and what it boots.
make_boot_disk()
{
	local tree=$xh_run/grub-tree

	mkdir -p $tree/boot/grub
	cp $xh_boot/vmlinuz $tree/boot/
	gzip -1 <$xh_boot/guest.cpio >$tree/boot/guest.cpio.gz
	cat >$tree/boot/grub/grub.cfg <<-END
		set timeout=0
		menuentry guest {
			linux (xen/xvda)/boot/vmlinuz console=hvc0 mitigations=off quiet panic=1 by_grub
			initrd (xen/xvda)/boot/guest.cpio.gz
		}
	END
	# GRUB 2.06 reads neither metadata checksums nor 64-bit block numbers.
	PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -O ^metadata_csum,^64bit -d $tree "$1"
	rm -r $tree
}

# try_grub TYPE IMAGE: the guest that comes up was loaded through our disk.
try_grub()
{
	local type=$1 loader=$XH_PACKAGES/root/usr/lib/grub-xen/$2

	[ -e "$loader" ] || die "no $loader"
	cp "$loader" $xh_boot/
	guest_create "gr-$type" "$type" memory=512 kernel="$xh_boot/$2" ramdisk=none paused=1
	served_disk "gr-$type" xvda "$file"
	xl unpause "gr-$type"
	guest_ready "gr-$type" 200
	check "$type: GRUB booted it" guest_run "gr-$type" 'grep by_grub /proc/cmdline'
	check "$type: Linux has the disk after GRUB" disk_connected "gr-$type" xvda $served
	check "$type: and reads it" guest_run "gr-$type" 'mkdir -p /mnt && mount -t ext4 -o ro /dev/xvda /mnt && gunzip -t /mnt/boot/guest.cpio.gz && umount /mnt'
	check "$type: the disk goes" disk_detach "gr-$type" xvda $served
	guest_stop "gr-$type"
}

file=$(image grub 48)
make_boot_disk "$file"
try_grub pv grub-x86_64-xen.bin
try_grub pvh grub-i386-xen_pvh.bin
