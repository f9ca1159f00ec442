# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-disk.sh - disks for the end-to-end scripts, sourced after lib.sh: a vbd's
# nodes as the tool stack writes them, QEMU's qdisk, and our front end in a guest.

: "${BLKFRONT:=${abs_top_builddir:-$PWD}/paravane-blkfront}"
: "${PARAVANE:=${abs_top_builddir:-$PWD}/paravane}"

find_qemu()
{
	qemu=
	for q in /usr/libexec/xen-qemu-system-i386 /usr/lib/xen/bin/qemu-system-i386; do
		[ -x $q ] && qemu=$q && break
	done
	[ -n "$qemu" ] || skip "no xen-qemu-system-i386 (Debian package qemu-system-xen)"
}

# make_disk DOMAIN KIND PARAMS [KEY VALUE]...: xvda; more keys for the back end's side.
make_disk()
{
	dom=$1 kind=$2 params=$3
	shift 3
	be=/local/domain/0/backend/$kind/$dom/51712
	fe=/local/domain/$dom/device/vbd/51712
	xenstore-write $fe/backend $be $fe/backend-id 0 $fe/state 1 \
		$fe/virtual-device 51712 $fe/device-type disk \
		$be/frontend $fe $be/frontend-id $dom $be/online 1 $be/removable 0 \
		$be/bootable 1 $be/dev xvda $be/type $kind $be/mode w $be/device-type disk \
		$be/discard-enable 1 $be/params "$params" || fail "cannot write the disk's nodes"
	while [ $# -gt 1 ]; do
		xenstore-write "$be/$1" "$2"
		shift 2
	done
	xenstore-write $be/state 1
	xenstore-chmod -r $be n0 r$dom
	xenstore-chmod -r $fe n$dom r0
}

# start_qemu DOMAIN: $qemu_pid serves its qdisks.
start_qemu()
{
	"$qemu" -xen-domid $1 -xen-attach -M xenpv -nodefaults -nographic -no-user-config \
		-serial none -monitor none -m 16 </dev/null >"$tmp/qemu.log" 2>&1 &
	qemu_pid=$!
}

# blkfront DOMAIN ARGUMENTS...: our front end in a guest.
blkfront()
{
	front_dom=$1
	shift
	guest $front_dom "$BLKFRONT" "$@"
}

sum() { sha256sum | cut -d" " -f1; }

# seeded SEED BYTES: text that differs everywhere and from every other seed's.
seeded()
{
	seq -f "$1 %.0f" 1 100000000 | head -c $2
}

# status_clean: nothing granted, bound or mapped is left.
status_clean()
{
	"$LOCALXEN" status --check || fail "localxen status --check: something is left"
}
