# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our block front end in a Linux guest on Debian's blkback, QEMU's qdisk and our back end
# quick: yes
# needs: paravane-blkfront paravane-blkback
# timeout: 750

front=$(command -v paravane-blkfront)
# Without the kernel's front end: it would take the disks.
guest_start bf pv memory=256 files="$front" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs"
before=$(grants_held bf)

# try_peer KIND DISK: everything our front end does, on one back end.
try_peer()
{
	local kind=$1 disk=$2 file
	local device="--device $disk --timeout 60"

	file=$(image "front-$kind" 16)
	dd if=/dev/urandom of="$file" bs=1M count=4 conv=notrunc status=none
	case $kind in
	vbd)	kernel_disk bf "$disk" "$file" ;;
	qdisk)	qdisk bf "$disk" "$file" ;;
	vbd3)	our_disk bf "$disk" "$file" vbd3 ;;
	esac
	check "$kind: opens" guest_run bf "$front info $device"
	check "$kind: reads the disk" guest_run bf "$front copy out /tmp/out $device --quiet" 120
	check "$kind: what it read is right" equal "$(sha256sum <"$file")" "$(guest_run bf 'sha256sum </tmp/out')"
	check "$kind: writes the disk" guest_run bf "dd if=/dev/urandom of=/tmp/in bs=1M count=5 2>/dev/null; truncate -s 16M /tmp/in
		$front copy in /tmp/in $device --quiet" 120
	check "$kind: what it wrote is right" equal "$(guest_run bf 'sha256sum </tmp/in')" "$(sha256sum <"$file")"
	check "$kind: verifies" guest_run bf "$front verify /tmp/in $device" 120
	check "$kind: sees a difference" equal 3 "$(
		printf x | dd of="$file" bs=1 seek=5000000 conv=notrunc status=none
		sync "$file"; echo 1 >/proc/sys/vm/drop_caches
		guest_run bf "$front verify /tmp/in $device" >/dev/null 120 || echo $?)"
	check "$kind: reads at random" guest_run bf "$front bench $device --ops 2000 --quiet" 120
	check "$kind: writes at random, checked" guest_run bf \
		"$front bench $device --pattern mixed --bs 16K --ops 1000 --verify --overwrite --quiet" 120
	check "$kind: the disk goes" disk_detach bf "$disk" "$kind"
}

modprobe loop
modprobe xen-blkback
for peer in vbd3:xvda qdisk:xvdb vbd:xvdc; do
	try_peer "${peer%:*}" "${peer#*:}"
done
check "no grant is held" equal "$before" "$(grants_held bf)"
guest_stop bf
