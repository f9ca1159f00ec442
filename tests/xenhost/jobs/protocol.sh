# SPDX-License-Identifier: LGPL-2.1-or-later
# about: the rarer half of the protocol: 4096 segments, sectors of 4096 bytes, barriers, secure discard, block devices
# needs: paravane-blkback
# timeout: 1500
# stores: one

# counter DISK NAME: of the disk's worker.
counter()
{
	paravane list --json | awk -v devid="\"devid\": $(disk_number "$1")," -v name="\"$2\": " '
		index($0, devid) { mine = 1 }
		mine && (at = index($0, name)) { print substr($0, at + length(name)) + 0; exit }'
}

# more DISK NAME BEFORE: the counter has grown.
more()
{
	local now

	now=$(counter "$1" "$2")
	[ "$now" -gt "$3" ] || { echo "$2 of $1: $now, was $3"; return 1; }
}

# queue DISK FILE: what the guest's kernel made of what we published.
queue()
{
	guest_run pr "cat /sys/block/$1/queue/$2"
}

published()
{
	xenstore-read "$(disk_be pr "$1" vbd)/$2"
}

silent_dom0()
{
	! dmesg | grep -E 'BUG:|WARNING:|Bad page|Oops'
}

# Verified fio on a disk: fio_on DISK OPTIONS.
fio_on()
{
	guest_run pr "fio --name=v --filename=/dev/$1 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
		$2 --minimal >/tmp/fio || { cat /tmp/fio; exit 1; }" 150
}

[ "$XH_BACKEND" = ours ] || skip "keys and counters of our back end"
guest_start pr pv cmdline="xen_blkfront.max_indirect_segments=4096 xen_blkfront.feature_persistent=0" \
	files="/sbin/blkdiscard"

# ---- 4096 segments ----

large=$(image large 64)
our_disk pr xvda "$large" max-indirect-segments=4096 discard-secure-enable=1
check "a disk that takes 4096 segments connects" disk_connected pr xvda vbd
check "the guest takes 4096 segments" equal 4096 "$(queue xvda max_segments)"
guest_run pr 'cat /sys/block/xvda/queue/max_hw_sectors_kb >/sys/block/xvda/queue/max_sectors_kb'
check "fio verifies in 8 MiB" fio_on xvda "--rw=rw --bs=8m --size=64m --iodepth=4"
requests=$(($(counter xvda reads) + $(counter xvda writes)))
say "$(counter xvda segments) segments in $requests requests"
check "requests have more than 256 segments" test "$(($(counter xvda segments) / requests))" -gt 256
check "fio verifies in sizes from 4 KiB to 8 MiB" fio_on xvda "--rw=randrw --bsrange=4k-8m --size=64m --io_size=96m --iodepth=8"
check "no request failed" equal 0 "$(counter xvda errors)"

# ---- secure discard ----

check "the file has data all over" test "$(du -k "$large" | cut -f 1)" -gt 65000
discards=$(counter xvda discards)
check "the guest erases 16 MiB" guest_run pr '/sbin/blkdiscard --secure --offset 8M --length 16M /dev/xvda'
check "by discards" more xvda discards "$discards"
check "nothing of it can be read" equal 0 "$(dd if="$large" bs=1M skip=8 count=16 status=none | tr -d '\0' | wc -c)"
check "it is a hole" test "$(du -k "$large" | cut -f 1)" -le 49200
# How image.c asks a device: xvda is one with secure erase, here.
check "a device that can says so before it is tried" guest_run pr 'busybox blkdiscard -s -o 1 -l 1 /dev/xvda 2>&1 | grep "Invalid argument"'
check "what lies around it is there" test "$(dd if="$large" bs=4k skip=2047 count=1 status=none | tr -d '\0' | wc -c)" -gt 0
check "the disk goes" disk_detach pr xvda vbd

# ---- sectors of 4096 bytes, barriers ----

our_disk pr xvdb "$(image sectors 48)" logical-block-size=4096 physical-block-size=16384
our_disk pr xvdc "$(image barriers 48)" flush-enable=0
check "a disk of large sectors connects" disk_connected pr xvdb vbd
check "a disk with barriers only connects" disk_connected pr xvdc vbd
check "logical sectors have 4096 bytes" equal 4096 "$(queue xvdb logical_block_size)"
check "physical sectors have 16384 bytes" equal 16384 "$(queue xvdb physical_block_size)"
check "sectors counts in 512 bytes" equal $((48 * 2048)) "$(published xvdb sectors)"
check "and so does the guest" equal $((48 * 2048)) "$(guest_run pr 'cat /sys/block/xvdb/size')"
check "secure discard is not offered" equal 0 "$(published xvdb discard-secure)"
check "and refused by the guest" guest_run pr '! /sbin/blkdiscard --secure --length 1M /dev/xvdb'
check "which shows before it is tried" guest_run pr 'busybox blkdiscard -s -o 1 -l 1 /dev/xvdb 2>&1 | grep "not supported"'
check "fio verifies on large sectors" fio_on xvdb "--rw=randrw --bsrange=4k-256k --size=40m --io_size=24m --iodepth=16"
check "no smaller request is possible" guest_run pr \
	'! fio --name=s --filename=/dev/xvdb --ioengine=libaio --direct=1 --rw=read --bs=512 --size=4k --minimal >/tmp/fio 2>&1'
check "a file system lives on large sectors" guest_run pr '
	set -e
	mkfs.ext4 -q /dev/xvdb; mount -t ext4 /dev/xvdb /mnt
	seq 200000 >/mnt/numbers; sync; umount /mnt
	e2fsck -fn /dev/xvdb; mount -t ext4 /dev/xvdb /mnt; seq 200000 | cmp - /mnt/numbers; umount /mnt' 120
check "no request failed" equal 0 "$(counter xvdb errors)"

check "the guest knows barriers only" guest_run pr 'dmesg | grep "xvdc: barrier: enabled"'
check "fio verifies with an fsync every 5 writes" fio_on xvdc "--rw=randwrite --bs=4k --size=32m --number_ios=500 --iodepth=8 --fsync=5"
check "a journal is committed by barriers" guest_run pr '
	set -e
	mkfs.ext4 -q /dev/xvdc; mount -t ext4 /dev/xvdc /mnt
	for i in 1 2 3 4 5; do seq 20000 >/mnt/$i; sync; done; umount /mnt; e2fsck -fn /dev/xvdc' 120
say "$(counter xvdc barriers) barriers, $(counter xvdc flushes) flushes"
check "the flushes were barriers" more xvdc barriers 100
check "and no flush came" equal 0 "$(counter xvdc flushes)"
check "no barrier failed" equal "0 0" "$(counter xvdc errors) $(counter xvdc unsupported)"
check "the disks go" disk_detach pr xvdb vbd
check "both" disk_detach pr xvdc vbd

# ---- block devices: direct I/O, discards, what their queues say ----

# device_disk DISK DEVICE: verified I/O and discards; the device is named as a script
# does. The discard begins where a granule of scsi_debug's begins: it is the guest that
# leaves out parts of granules, by what we published.
device_disk()
{
	local disk=$1 device=$2 sys=/sys/block/${2#/dev/}

	our_disk pr "$disk" "$device" physical-device-path="$device"
	check "$device connects" disk_connected pr "$disk" vbd
	check "its I/O is direct" grep -q '^engine=direct' /run/paravane/blkback/vbd-"$(guest_domid pr)-$(disk_number "$disk")".info
	check "the guest has its logical sectors" equal "$(cat "$sys/queue/logical_block_size")" "$(queue "$disk" logical_block_size)"
	check "its physical ones" equal "$(cat "$sys/queue/physical_block_size")" "$(queue "$disk" physical_block_size)"
	check "its discard granularity" equal "$(cat "$sys/queue/discard_granularity")" "$(published "$disk" discard-granularity)"
	check "its discard alignment" equal "$(cat "$sys/discard_alignment")" "$(published "$disk" discard-alignment)"
	check "and no secure discard, which it lacks" equal 0 "$(published "$disk" discard-secure)"
	check "fio verifies" fio_on "$disk" "--rw=randrw --bsrange=4k-128k --size=24m --io_size=16m --iodepth=16 --fsync=50"
	check "the guest writes and discards" guest_run pr "
		head -c 4194304 /dev/zero | tr '\\0' x >/tmp/x && dd if=/tmp/x of=/dev/$disk bs=64k conv=fsync 2>/dev/null &&
		/sbin/blkdiscard --offset $((1048576 + 4096)) --length 2M /dev/$disk"
	check "discarded data are gone, their neighbours not" equal "1048576 1048576" "$(
		dd if="$device" bs=1M count=1 iflag=direct status=none | tr -d '\0' | wc -c) $(
		dd if="$device" bs=1M count=3 skip=1 iflag=direct status=none | tr -d '\0' | wc -c)"
	check "no request failed" equal "0 0" "$(counter "$disk" errors) $(counter "$disk" unsupported)"
	check "the disk goes" disk_detach pr "$disk" vbd
}

# persistent Y or N: for disks that are attached from now on.
persistent()
{
	guest_run pr "echo $1 >/sys/module/xen_blkfront/parameters/feature_persistent"
}

modprobe loop
persistent Y
device_disk xvdd "$(losetup -f --show -b 4096 "$(image device 24)")"
check "pages stayed mapped" guest_run pr 'dmesg | grep "xvdd: .*persistent grants: enabled"'
persistent N
modprobe sd_mod
modprobe scsi_debug dev_size_mb=24 physblk_exp=3 lowest_aligned=0 lbpu=1 lbprz=1 unmap_granularity=16 unmap_alignment=8
scsi_disk()
{
	grep -l scsi_debug /sys/block/sd*/device/model 2>/dev/null
}
check "scsi_debug made a disk" wait_for 20 scsi_disk
device_disk xvde "/dev/$(basename "$(dirname "$(dirname "$(grep -l scsi_debug /sys/block/sd*/device/model | head -n 1)")")")"

# ---- secure erase by the device ----

# A device with that command, in dom0: a disk of our own, by the kernel's front end.
erasable()
{
	local file=$1

	modprobe xen-blkfront
	echo 0 >$xh_run/guest-dom0.domid
	our_disk dom0 xvdp "$file" vbd3 discard-secure-enable=1
	check "dom0's kernel connects to a disk of ours" disk_connected dom0 xvdp vbd3
	check "it is a block device" wait_for 20 test -b /dev/xvdp
	[ -d $tracing/events ] || mount -t tracefs tracefs $tracing
	echo 1 >$tracing/events/block/block_rq_issue/enable
}

# DE: a secure erase, in the kernel's trace of what it asks of devices.
tracing=/sys/kernel/tracing
erased_securely()
{
	grep -m 1 " $((0xca)),$((15 * 16)) DE" $tracing/trace
}

file=$(image erasable 24)
erasable "$file"
our_disk pr xvdf /dev/xvdp physical-device-path=/dev/xvdp
check "a disk on a device with secure erase connects" disk_connected pr xvdf vbd
check "its I/O is direct" grep -q '^engine=direct' /run/paravane/blkback/vbd-"$(guest_domid pr)-$(disk_number xvdf)".info
check "secure discard is offered unasked" equal 1 "$(published xvdf discard-secure)"
check "the guest writes and erases" guest_run pr '
	head -c 8388608 /dev/zero | tr "\\0" x >/tmp/x && dd if=/tmp/x of=/dev/xvdf bs=64k conv=fsync 2>/dev/null &&
	/sbin/blkdiscard --secure --offset 2M --length 4M /dev/xvdf'
check "by the device's own command" erased_securely
echo 0 >$tracing/events/block/block_rq_issue/enable
check "no request failed" equal "0 0" "$(counter xvdf errors) $(counter xvdf unsupported)"
check "the erasure reached the device's own file" equal "2097152 0 2097152" "$(
	for part in "0 2" "2 4" "6 2"; do
		dd if="$file" bs=1M skip="${part% *}" count="${part#* }" status=none | tr -d '\0' | wc -c
	done | xargs)"
check "the disk goes" disk_detach pr xvdf vbd
check "and the device" disk_detach dom0 xvdp vbd3

# Direct I/O to pages that are unmapped too early shows here (blkback-data.c).
check "dom0's kernel found nothing wrong" silent_dom0
check "the guest's dmesg shows no error" guest_run pr '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)|WARN"'
guest_stop pr
rmmod scsi_debug || true
rmmod xen-blkfront || true
