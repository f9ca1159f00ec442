# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The two initial RAM disks: dom0's, which only finds the build machine's root,
# and the guests', which is all that a guest has. Hides what is inside them; does
# not know how anything is booted. Sourced by run.

. "$xh_dir/../../tools/compare-xen/ramdisk.sh"

# mkfs.ext4 and not mke2fs: busybox, which is the shell, has one of its own.
guest_programs="fio mkfs.ext4 e2fsck resize2fs iperf3 ethtool"
guest_modules="ata_piix ahci nvme sd_mod e1000 8139cp xen-blkfront xen-netfront xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs ext4 isofs loop tun 8021q"
dom0_modules="virtio_pci 9pnet_virtio 9p overlay"

# Sets $images: the directory with dom0.cpio.gz and guest.cpio.
make_images()
{
	local key temp

	key=$(images_key)
	images=$xh_cache/images-$key
	[ ! -d "$images" ] || return 0

	say "making the RAM disks"
	temp=$(mktemp -d "$xh_cache/temp.XXXXXX")
	at_exit "$temp"
	make_dom0_image "$temp" || die "cannot make dom0's RAM disk in $temp"
	make_guest_image "$temp" || die "cannot make the guests' RAM disk in $temp"
	rm -r "$temp/dom0" "$temp/guest"
	mv -T "$temp" "$images" 2>/dev/null || [ -d "$images" ]
	# Only the newest few are of use; the packages are not touched.
	ls -dt "$xh_cache"/images-* | tail -n +6 | xargs -r rm -rf
}

# Everything the images are made of: packages, our files, the programs copied in.
images_key()
{
	{
		cat "$packages/versions"
		cat "$xh_dir"/images.sh "$xh_dir"/dom0-init "$xh_dir"/udp-send.c "$xh_dir"/../../tools/compare-xen/{guest-init,ramdisk.sh}
		for program in busybox $guest_programs; do
			sha256sum "$(PATH=$PATH:/sbin:/usr/sbin command -v $program)"
		done
		sha256sum "$(ldd "$(command -v fio)" | awk '/libc.so/ { print $3 }')"
	} | sha256sum | cut -c 1-16
}

make_dom0_image()
{
	local dir=$1/dom0

	base_tree "$dir" && copy_modules "$dir" "$packages/root" "$(ls "$packages/root/lib/modules")" $dom0_modules &&
	install -m 755 "$xh_dir/dom0-init" "$dir/init" &&
	pack "$dir" | gzip -1 >"$1/dom0.cpio.gz"
}

# Not compressed: unpacking under emulation costs more than reading.
make_guest_image()
{
	local dir=$1/guest

	guest_ramdisk_tree "$dir" "$packages/root" "$(ls "$packages/root/lib/modules")" \
		"$guest_modules" "$guest_programs" &&
	gcc -O2 -Wall -o "$dir/bin/udp-send" "$xh_dir/udp-send.c" &&
	pack "$dir" >"$1/guest.cpio"
}
