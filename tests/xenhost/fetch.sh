# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the build machine must have, and the packages that are only unpacked:
# the hypervisor, a kernel, GRUB's guest images. Hides where they come from and
# how they are cached; knows nothing of what is booted. Sourced by run.

# The cache is keyed by package versions. A directory is built under a temporary
# name and renamed when it is whole, so that a half-made one is never used.
xh_cache=${PARAVANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/paravane}/xenhost

# need PROGRAM PACKAGE: notes a missing program for need_report.
need()
{
	command -v "$1" >/dev/null || missing="$missing
    $1 (Debian package $2)"
}

# Ends with status 77, which the test tools count as skipped.
check_machine()
{
	local missing= dir

	need qemu-system-x86_64 qemu-system-x86
	need apt-get apt
	need dpkg dpkg
	need busybox busybox-static
	need cpio cpio
	need modprobe kmod
	need xz xz-utils
	need gcc gcc
	need ldd libc-bin
	need fio fio
	need mkfs.ext4 e2fsprogs
	need genisoimage genisoimage
	need iperf3 iperf3
	need ethtool ethtool
	need xenstore-ls xenstore-utils
	need xl xen-utils-common
	need flock util-linux
	xen_version=
	for dir in /usr/lib/xen-4.*; do
		if [ -x "$dir/bin/xl" ]; then xen_version=${dir#/usr/lib/xen-}; fi
	done
	[ -n "$xen_version" ] || missing="$missing
    xenstored and xl for this machine (Debian package xen-utils-4.17)"
	if [ -n "$missing" ]; then
		skip "these programs are missing:$missing
  install them with apt-get install PACKAGE..."
	fi
	if ldd "$(command -v busybox)" >/dev/null 2>&1; then
		skip "busybox is not static: apt-get install busybox-static"
	fi
}

# Prints PACKAGE=VERSION lines: what this machine's package lists offer now.
package_versions()
{
	local kernel name version

	kernel=$(apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	[ -n "$kernel" ] || return 1
	for name in "$kernel" "xen-hypervisor-$xen_version-amd64" grub-xen-bin grub-xen-host grub-pc-bin grub-common; do
		version=$(apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')
		if [ -z "$version" ] || [ "$version" = "(none)" ]; then return 1; fi
		echo "$name=$version"
	done
}

# Sets $packages: the directory with the unpacked packages.
fetch_packages()
{
	local versions key temp newest

	mkdir -p "$xh_cache" || die "cannot create the cache $xh_cache; set PARAVANE_CACHE to a directory of yours"
	if ! versions=$(package_versions); then
		newest=$(ls -dt "$xh_cache"/packages-* 2>/dev/null | head -n 1)
		[ -n "$newest" ] || skip "apt knows no kernel or hypervisor package here: run apt-get update (as root) and try again"
		packages=$newest
		return
	fi
	key=$(echo "$versions" | sha256sum | cut -c 1-16)
	packages=$xh_cache/packages-$key
	[ ! -d "$packages" ] || return 0

	say "fetching $(echo $versions)"
	temp=$(mktemp -d "$xh_cache/temp.XXXXXX")
	at_exit "$temp"
	(cd "$temp" && mkdir debs root && cd debs &&
		apt-get download $versions >../log 2>&1) ||
		skip "apt-get download failed: $(grep '^E:' "$temp/log" | head -n 1)
  if the version is gone from the mirror, run apt-get update (as root) and try again"
	unpack_packages "$temp" || die "cannot unpack the packages in $temp"
	echo "$versions" >"$temp/versions"
	rm -r "$temp/debs"
	mv -T "$temp" "$packages" 2>/dev/null || [ -d "$packages" ]
}

# unpack_packages DIR: root/ from debs/, and the two kernels in the form needed.
unpack_packages()
{
	local deb

	for deb in "$1"/debs/*.deb; do
		dpkg -x "$deb" "$1/root" || return 1
	done
	cp "$1"/root/boot/vmlinuz-* "$1/vmlinuz" &&
	zcat "$1"/root/boot/xen-"$xen_version"-amd64.gz >"$1/xen" &&
	unpack_kernel "$1/vmlinuz" "$1/vmlinux" &&
	depmod -b "$1/root" "$(ls "$1/root/lib/modules")"
}

# unpack_kernel BZIMAGE ELF: the ELF file inside a bzImage. Neither Xen nor xl
# then unpacks XZ under emulation, which takes seconds for each domain.
unpack_kernel()
{
	local offset

	for offset in $(LC_ALL=C grep -aob $'\xfd7zXZ' "$1" | cut -d : -f 1); do
		tail -c +$((offset + 1)) "$1" | xz -dc --single-stream >"$2" 2>/dev/null
		# xz stops at what follows the stream; the file tells if it is whole.
		if readelf -h "$2" >/dev/null 2>&1 && readelf -n "$2" 2>/dev/null | grep -q Xen; then
			return 0
		fi
	done
	return 1
}

# apt_apart DIR PROGRAM ARGUMENT...: one of apt's programs with lists of its own, in DIR, from
# where DIR/sources says; needs no privilege.
apt_apart()
{
	local dir=$1 program=$2
	shift 2
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" || return 1
	"$program" -q -o Dir::Etc::SourceList="$dir/sources" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir" -o APT::Sandbox::User=root "$@"
}
