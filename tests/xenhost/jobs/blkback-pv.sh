# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our block back end, Debian's front end in a PV guest: features, files, fio, discard, read-only, detach
# quick: yes
# needs: paravane-blkback paravane
# timeout: 600

file=$(image pv 96)
fixed=$(image fixed 4)
echo "not to be written" | dd of="$fixed" conv=notrunc status=none
guest_start bp pv
before=$(grants_held bp)
served_disk bp xvda "$file"
check "the disk connects" disk_connected bp xvda $served

features=$(served_features bp xvda)
echo "$features"
if [ "$XH_BACKEND" = ours ]; then
	check "flush is agreed on" grep -q 'flush diskcache: enabled' <<<"$features"
	check "persistent grants are agreed on" grep -q 'persistent grants: enabled' <<<"$features"
	check "indirect requests are agreed on" grep -q 'indirect descriptors: enabled' <<<"$features"
	check "the front end believes in discard" test "$(guest_run bp 'cat /sys/block/xvda/queue/discard_max_bytes')" -gt 0
fi
paravane explain bp xvda --kind $served | tee explained
check "explain finds both ends agreed" grep -q '^Agreed' explained
check "explain says how many requests can be in flight" grep -q '32 requests in flight at most' explained
case $XH_BACKEND in
ours)	check "explain knows our engine" grep -qE 'engine +buffered' explained ;;
kernel)	check "explain knows what it does not know" grep -qE 'engine +not known' explained ;;
qdisk)	check "explain knows QEMU" grep -qE 'request +up to 44 KiB' explained ;;
esac
check "the size is right" equal $((96 * 2048)) "$(guest_run bp 'cat /sys/block/xvda/size')"

check "a file system keeps files" guest_run bp '
	set -e
	mkfs.ext4 -q /dev/xvda
	mkdir -p /mnt; mount -t ext4 /dev/xvda /mnt
	cp -r /lib/modules /mnt/; seq 100000 >/mnt/numbers; sync
	(cd / && find lib/modules -type f | sort | xargs sha256sum) >/tmp/sums
	umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 /dev/xvda /mnt
	cd /mnt; sed "s| lib/| ./|" /tmp/sums | sha256sum -c >/tmp/check || { grep -v OK /tmp/check; exit 1; }
	seq 100000 | cmp - numbers; cd /; rm -r /mnt/modules; sync; fstrim /mnt || true; umount /mnt
	e2fsck -fn /dev/xvda' 120
check "fio writes and verifies in 4k" guest_run bp 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k \
	--size=32m --number_ios=3000 --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c --verify_fatal=1 \
	--minimal >/tmp/fio || { cat /tmp/fio; exit 1; }' 120
check "fio writes and verifies in mixed sizes" guest_run bp 'fio --name=v --filename=/dev/xvda --rw=randrw --bsrange=512-256k \
	--size=48m --io_size=24m --ioengine=libaio --direct=1 --iodepth=8 --verify=crc32c --verify_fatal=1 \
	--fsync=50 --minimal >/tmp/fio || { cat /tmp/fio; exit 1; }' 120
if guest_run bp '[ $(cat /sys/block/xvda/queue/discard_max_bytes) -gt 0 ]'; then
	before_kib=$(du -k "$file" | cut -f 1)
	check "discard works" guest_run bp 'blkdiscard /dev/xvda && cat /sys/block/xvda/queue/discard_max_bytes'
	say "image: $before_kib KiB before, $(du -k "$file" | cut -f 1) KiB after discard"
	check "discard made holes" test "$(du -k "$file" | cut -f 1)" -lt "$before_kib"
fi

served_disk bp xvdb "$fixed" mode=r
check "the read-only disk connects" disk_connected bp xvdb $served
check "the guest sees it as read-only" equal 1 "$(guest_run bp 'cat /sys/block/xvdb/ro')"
check "it reads" equal "not to be written" "$(guest_run bp 'head -n 1 /dev/xvdb')"
check "the guest's dmesg shows no error" guest_run bp '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)|WARN"'
# Persistent pages of a PV guest, a PV dom0: what direct I/O stages.
if [ "$XH_BACKEND" = ours ]; then
	modprobe loop
	our_disk bp xvdc "$(losetup -f --show "$(image device 32)")"
	check "a block device connects" disk_connected bp xvdc vbd
	check "its I/O is direct" grep -q '^engine=direct' /run/paravane/blkback/vbd-"$(guest_domid bp)-$(disk_number xvdc)".info
	check "fio writes and verifies past the page cache" guest_run bp 'fio --name=v --filename=/dev/xvdc --rw=randrw --bsrange=512-256k \
		--size=32m --io_size=16m --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 \
		--minimal >/tmp/fio || { cat /tmp/fio; exit 1; }' 120
	check "the block device goes" disk_detach bp xvdc vbd
fi

check "the read-only disk goes" disk_detach bp xvdb $served
check "the disk goes" disk_detach bp xvda $served
check "no grant is held" equal "$before" "$(grants_held bp)"
guest_stop bp
