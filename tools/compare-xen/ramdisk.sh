# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A Linux guest that has nothing but its initial RAM disk: programs and modules of this
# machine's own Debian packages, and guest-init, which obeys commands from the Xen
# console. Hides what has to be copied for a program to run. Does not know what the
# guest is for or who boots it. Sourced.

# base_tree DIR: directories and busybox, which every RAM disk starts from.
base_tree()
{
	mkdir -p "$1"/{bin,dev,etc,lib/modules,mnt,proc,run,sys,tmp,var/lock} &&
	cp "$(command -v busybox)" "$1/bin/busybox" &&
	ln -s busybox "$1/bin/sh"
}

# copy_modules DIR ROOT KERNEL MODULE...: the modules of ROOT/lib/modules/KERNEL and what
# they depend on, in the order to load them in DIR/modules.list, and the index that
# modprobe wants.
copy_modules()
{
	local dir=$1 root=$2 kernel=$3 module path
	shift 3

	for module in "$@"; do
		modprobe -d "${root:-/}" -S "$kernel" --show-depends "$module"
	done | awk '/^insmod/ && !seen[$2]++ { print $2 }' >"$dir/modules.paths" || return 1
	while read -r path; do
		path=$(readlink -f "$path")
		path=lib/modules/${path##*/lib/modules/}	# /lib may be a link
		install -D -m 644 "$root/$path" "$dir/$path" || return 1
		echo "/$path"
	done <"$dir/modules.paths" >"$dir/modules.list"
	rm "$dir/modules.paths"
	cp "$root/lib/modules/$kernel"/modules.{order,builtin} \
		"$root/lib/modules/$kernel/modules.builtin.modinfo" "$dir/lib/modules/$kernel/"
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

# guest_ramdisk_tree DIR ROOT KERNEL MODULES PROGRAMS: all that a guest has; guest-init is
# beside this file.
guest_ramdisk_tree()
{
	local dir=$1 program

	base_tree "$dir" && copy_modules "$dir" "$2" "$3" $4 &&
	install -m 755 "${BASH_SOURCE%/*}/guest-init" "$dir/init" || return 1
	for program in $5; do
		if [ "$program" = fio ] && command -v gcc >/dev/null; then
			copy_fio "$dir"
		else
			copy_program "$dir" "$program"
		fi || return 1
	done
}
