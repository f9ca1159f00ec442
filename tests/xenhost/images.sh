# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The two initial RAM disks: dom0's, which only finds the build machine's root,
# and the guests', which is all that a guest has. Hides what is inside them; does
# not know how anything is booted. Sourced by run.

# mkfs.ext4 and not mke2fs: busybox, which is the shell, has one of its own.
guest_programs="fio mkfs.ext4 e2fsck resize2fs iperf3 ethtool"
guest_modules="xen-blkfront xen-netfront xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs ext4 isofs loop tun 8021q"
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
		cat "$xh_dir"/images.sh "$xh_dir"/dom0-init "$xh_dir"/guest-init "$xh_dir"/udp-send.c
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
		[ -e "$1$file" ] || install -D -m 755 "$file" "$1$file" || return 1
	done
}

# fio drags in 80 MB of storage clients that no guest here uses. The nine libraries
# it names are replaced by stubs that define what fio wants, under the versions it
# wants, so that the loader is content; calling such a function ends the program.
copy_fio()
{
	local dir=$1 fio lib file

	fio=$(command -v fio)
	install -D -m 755 "$fio" "$dir$fio" || return 1
	for lib in $(readelf -dW "$fio" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p') ld-linux-x86-64.so.2; do
		file=$(ldd "$fio" | awk -v lib="$lib" '$1 == lib { print $3 } $1 ~ "/" lib "$" { print $1 }')
		case $lib in
		libc.*|libm.*|libz.*|libaio.*|libnuma.*|ld-*)
			install -D -m 755 "$file" "$dir$file" ;;
		*)
			mkdir -p "$dir${file%/*}" && stub_library "$fio" "$lib" "$dir$file" ;;
		esac || return 1
	done
}

# stub_library PROGRAM SONAME FILE: defines every symbol that the program wants of
# this library, and those it wants of no library by name.
stub_library()
{
	local versions

	versions=$(readelf -VW "$1" | awk -v lib="$2" '
		/ File: / { mine = / File: / && index($0, "File: " lib " ") }
		mine && / Name: / { sub(/.*Name: /, ""); print $1 }')
	nm -D --undefined-only "$1" | awk -v versions="$versions" -v map="$3.map" '
		BEGIN { n = split(versions, v, "\n"); for (i = 1; i <= n; i++) mine[v[i]] = 1
			print "extern void abort(void);" }
		$1 != "U" { next }
		{ split($2, at, "@") }
		at[2] == "" || at[2] in mine { print "void " at[1] "(void) { abort(); }" }
		at[2] in mine { of[at[2]] = of[at[2]] " " at[1] ";" }
		END { for (i in mine) print i " { global:" of[i] " };" >map }' >"$3.c"
	[ -s "$3.map" ] || echo '{ global: *; };' >"$3.map"
	gcc -w -shared -fPIC -nostdlib -fno-builtin -Wl,-soname,"$2" \
		-Wl,--version-script="$3.map" -o "$3" "$3.c" && rm "$3.c" "$3.map"
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
	gcc -O2 -Wall -o "$dir/bin/udp-send" "$xh_dir/udp-send.c" && copy_fio "$dir" || return 1
	for program in $guest_programs; do
		[ "$program" = fio ] || copy_program "$dir" "$program" || return 1
	done
	pack "$dir" >"$1/guest.cpio"
}
