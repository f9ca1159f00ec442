# SPDX-License-Identifier: LGPL-2.1-or-later
# about: qcow2 images under xl: qemu-nbd is started, killed under writes, started again; an overlay on a backing file
# needs: paravane-blkback
# timeout: 1000
# stores: one

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null || skip "no qemu-nbd here (Debian package qemu-utils)"
mkdir -p $xh_run/images
base=$xh_run/images/base.qcow2 over=$xh_run/images/over.qcow2
server_of() { pgrep -f "^qemu-nbd .*$1"; }
writes() { guest_run gg 'awk "{ print \$5 }" /sys/block/xvda/stat'; }
more_writes() { [ "$(writes)" -ge "$1" ]; }
# The guest's first MiB, as it reads it.
guest_sum() { guest_run gg "dd if=/dev/$1 bs=1M count=1 iflag=direct 2>/dev/null | md5sum"; }

check "an image is made" qemu-img create -q -f qcow2 $base 64M
our_backend vbd
guest_start gg pv disk="$(xl_disk xvda rw qcow2:$base)"
domid=$(guest_domid gg)
check "the disk of xl.cfg is connected" disk_connected gg xvda vbd
check "it is as large as what is in the image" equal $((64 << 11)) "$(guest_run gg 'cat /sys/block/xvda/size')"
check "a server has the image" server_of base.qcow2
check "a second writer is refused" eval '! xl block-attach gg "$(xl_disk xvdb rw qcow2:$base)"'
check "nothing of that is left" nothing_left "$domid" "$(disk_number xvdb)"
check "verified writes" guest_run gg 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k --size=32m --io_size=8m --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c --minimal' 200

guest_writes gg xvda
check "the guest writes" wait_for 60 more_writes $(($(writes) + 200))
for death in 1 2; do
	old=$(server_of base.qcow2)
	kill -9 $old
	check "death $death: another server comes" wait_for 60 eval "new=\$(server_of base.qcow2) && [ \"\$new\" != $old ]"
	check "death $death: the guest goes on" wait_for 60 more_writes $(($(writes) + 200))
done
check "what it wrote is right" guest_writes_end gg
check "no I/O error" guest_run gg '! dmesg | grep -i "i/o error"'

check "the guest fills a part" guest_run gg 'dd if=/dev/urandom of=/dev/xvda bs=1M count=1 oflag=direct conv=fsync'
sum=$(guest_sum xvda)
check "xl detaches it" xl block-detach gg xvda
check "nothing of it is left" nothing_left "$domid" "$(disk_number xvda)"
check "nor its server" wait_for 20 eval '! server_of base.qcow2'
check "the image is whole" qemu-img check -q $base

check "an overlay is made" qemu-img create -q -f qcow2 -b $base -F qcow2 $over
before=$(md5sum <$base)
check "xl attaches it" xl block-attach gg "$(xl_disk xvdb rw qcow2:$over)"
check "it connects" disk_connected gg xvdb vbd
check "what is below shows through" equal "$sum" "$(guest_sum xvdb)"
check "the guest writes to it" guest_run gg 'seq 100000 | head -c 512k >/tmp/a; dd if=/tmp/a of=/dev/xvdb bs=512k oflag=direct conv=fsync'
sum=$(guest_sum xvdb)
check "xl detaches it" xl block-detach gg xvdb
check "nothing of it is left" nothing_left "$domid" "$(disk_number xvdb)"
check "the overlay is whole" qemu-img check -q $over
check "its first MiB is read" qemu-img dd -f qcow2 -O raw bs=1M count=1 if=$over of=$over.raw
check "the overlay has what the guest wrote" equal "$sum" "$(md5sum <$over.raw)"
check "what is below is as it was" equal "$before" "$(md5sum <$base)"
guest_stop gg
