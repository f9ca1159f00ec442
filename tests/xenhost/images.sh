# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The two initial RAM disks: dom0's, which only finds the build machine's root,
# and the guests', which is all that a guest has. Hides what is inside them; does
# not know how anything is booted. Sourced by run.

guest_programs="fio mke2fs e2fsck"
guest_modules="xen-blkfront xen-netfront xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs ext4 loop"
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
		cat "$xh_dir"/images.sh "$xh_dir"/dom0-init "$xh_dir"/guest-init
		for program in busybox $guest_programs; do
			sha256sum "$(PATH=$PATH:/sbin:/usr/sbin command -v $program)"
		done
		sha256sum "$(ldd "$(command -v fio)" | awk '/libc.so/ { print $3 }')"
	} | sha256sum | cut -c 1-16
}

# base_tree DIR: directories and busybox, which every RAM disk starts from.
base_tree()
{
	mkdir -p "$1"/{bin,dev,etc,lib/modules,mnt,proc,run,sys,tmp,var/lock} &&
	cp "$(command -v busybox)" "$1/bin/busybox" &&
	ln -s busybox "$1/bin/sh"
}

# copy_modules DIR MODULE...: the modules and what they depend on, in the order to
# load them in DIR/modules.list, and the index that modprobe wants.
copy_modules()
{
	local dir=$1 kernel module path
	shift

	kernel=$(ls "$packages/root/lib/modules")
	for module in "$@"; do
		modprobe -d "$packages/root" -S "$kernel" --show-depends "$module"
	done | awk '/^insmod/ && !seen[$2]++ { print $2 }' >"$dir/modules.paths" || return 1
	while read -r path; do
		path=$(readlink -f "$path")
		install -D -m 644 "$path" "$dir/${path#"$packages/root/"}" || return 1
		echo "/${path#"$packages/root/"}"
	done <"$dir/modules.paths" >"$dir/modules.list"
	rm "$dir/modules.paths"
	cp "$packages/root/lib/modules/$kernel"/modules.{order,builtin} \
		"$packages/root/lib/modules/$kernel/modules.builtin.modinfo" "$dir/lib/modules/$kernel/"
	depmod -b "$dir" "$kernel"
}

# copy_program DIR PROGRAM: a program and its shared libraries at their own places.
copy_program()
{
	local path file

	path=$(PATH=$PATH:/sbin:/usr/sbin command -v "$2") || return 1
	for file in $path $(ldd "$path" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'); do
		case $file in
		*/libicudata*|*/librbd*|*/librados*|*/libceph*|*/libgfapi*|*/libpmem*|*/libibverbs*|*/librdmacm*|*/libnbd*)
			continue ;;	# stub_libraries
		esac
		[ -e "$1$file" ] || install -D -m 755 "$file" "$1$file" || return 1
	done
}

# fio drags in 80 MB of storage clients that no guest here uses. Their direct
# dependencies are replaced by a stub which defines every symbol fio wants, so
# that the loader is content; calling one ends the program.
copy_fio()
{
	local dir=$1 fio have stubs lib

	fio=$(command -v fio)
	stubs=$(ldd "$fio" | awk '$1 ~ /^lib(rbd|rados|gfapi|pmem|pmemblk|ibverbs|rdmacm|nbd)\.so/ { print $1 }')
	install -D -m 755 "$fio" "$dir$fio" || return 1
	have=$(for lib in $(ldd "$fio" | awk '$1 ~ /^lib(c|m|z|aio|numa)\.so/ { print $3 } $1 ~ /^\// { print $1 }'); do
		install -D -m 755 "$lib" "$dir$lib"
		nm -D --defined-only "$lib" | awk '{ sub(/@.*/, "", $3); print $3 }'
	done | sort -u)
	nm -D --undefined-only "$fio" | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u |
		comm -23 - <(echo "$have") |
		awk 'BEGIN { print "extern void abort(void);" } { print "void " $1 "(void) { abort(); }" }' >"$dir/../stub.c"
	for lib in $stubs; do
		gcc -w -shared -fPIC -nostdlib -fno-builtin -Wl,-soname,"$lib" -o "$dir/lib/x86_64-linux-gnu/$lib" "$dir/../stub.c" || return 1
	done
	rm "$dir/../stub.c"
}

# pack DIR: a cpio archive on stdout, everything owned by root.
pack()
{
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0)
}

make_dom0_image()
{
	local dir=$1/dom0

	base_tree "$dir" && copy_modules "$dir" $dom0_modules &&
	install -m 755 "$xh_dir/dom0-init" "$dir/init" &&
	pack "$dir" | gzip -1 >"$1/dom0.cpio.gz"
}

# Not compressed: unpacking under emulation costs more than reading.
make_guest_image()
{
	local dir=$1/guest program

	base_tree "$dir" && copy_modules "$dir" $guest_modules &&
	install -m 755 "$xh_dir/guest-init" "$dir/init" &&
	copy_fio "$dir" || return 1
	for program in $guest_programs; do
		[ "$program" = fio ] || copy_program "$dir" "$program" || return 1
	done
	pack "$dir" >"$1/guest.cpio"
}
