# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a disk that grows and shrinks under a running guest; a detach while it is mounted
# needs: paravane-blkback
# timeout: 750

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"

sectors_are() { [ "$(guest_run rs "cat /sys/block/$1/size")" = $(($2 * 2048)) ]; }

modprobe loop
file=$(image grows 32)
behind=$(image behind 16)
loop=$(losetup -f --show "$behind")
guest_start rs pv
our_disk rs xvda "$file"
our_disk rs xvdb "$loop"
check "both connect" eval "disk_connected rs xvda vbd && disk_connected rs xvdb vbd"

# Grows while a mounted file system of it is written to.
check "a file system on it" guest_run rs 'mkfs.ext4 -q /dev/xvda && mkdir -p /mnt && mount -t ext4 /dev/xvda /mnt && seq 100000 >/mnt/numbers'
guest_background rs load 'fio --name=l --filename=/mnt/load --rw=randwrite --bs=4k --size=8m --io_size=24m --ioengine=libaio --iodepth=8 \
	--direct=1 --verify=crc32c --verify_fatal=1 --minimal >/dev/null'
truncate -s 64M "$file"
check "the guest sees the file grow" wait_for 30 sectors_are xvda 64
guest_run rs 'dmesg | grep -i "capacity"'
check "the guest's kernel says so" guest_run rs 'dmesg | grep -E "xvda: detected capacity change from 65536 to 131072"'
check "the file system grows, mounted" guest_run rs 'resize2fs /dev/xvda >/tmp/resize 2>&1 || { cat /tmp/resize; exit 1; }' 120
check "its load saw no error" guest_wait rs load 120
check "it is larger than the disk was, and whole" guest_run rs '[ $(df -k /mnt | awk "END { print \$2 }") -gt 40000 ] && seq 100000 | cmp - /mnt/numbers &&
	dd if=/dev/zero of=/mnt/fill bs=1M count=40 conv=fsync && rm /mnt/fill && umount /mnt && e2fsck -fn /dev/xvda' 120

truncate -s 24M "$behind"
losetup -c "$loop"
check "the guest sees a block device grow" wait_for 30 sectors_are xvdb 24
truncate -s 16M "$file"
check "paravane resize says the smaller size" paravane resize rs xvda --wait 30
check "the guest sees it shrink" wait_for 30 sectors_are xvda 16
check "behind the new end there is nothing" equal 0 "$(guest_run rs 'dd if=/dev/xvda bs=1M skip=20 count=1 iflag=direct 2>/dev/null | wc -c')"
check "before it there is" guest_run rs 'dd if=/dev/xvda of=/dev/null bs=1M count=16 iflag=direct'
check "the block device's disk goes" disk_detach rs xvdb vbd

# A detach while the disk is mounted: since Linux 5.14 the guest gives it away at once
# (detach-busy has an older one, which refuses).
check "mounted again" guest_run rs 'mkfs.ext4 -q /dev/xvda && mount -t ext4 /dev/xvda /mnt && seq 1000 >/mnt/numbers && sync'
check "this kernel gives even a mounted disk away" paravane detach rs xvda --wait 30
check "no node is left" eval "! xenstore-exists $(disk_be rs xvda vbd)/state"
check "what was synced is in the image" eval "debugfs -R 'cat /numbers' $file 2>/dev/null | cmp - <(seq 1000)"
guest_run rs 'umount -l /mnt' || true
guest_stop rs
