# SPDX-License-Identifier: LGPL-2.1-or-later
# about: grant modes, and many disks on a host with few maptrack entries: no I/O error, idle pages go back
# needs: paravane-blkback
# stores: one
# timeout: 750
# boot: own xen:gnttab_max_maptrack_frames=1 xen:gnttab_max_frames=4

# One frame is 256 entries, and dom0 as a PV domain needs two for each page: 128 pages.
# One disk with 32 requests of 128 KiB in flight wants 1056. The guest's own table has
# 2048 entries, and wants more than that too. (With fewer than 4 frames no guest can be
# made, and with 1 dom0's Linux does not boot.)
[ "$XH_BACKEND" = ours ] || skip "it is about the options of our back end"
disks="xvda xvdb xvdc xvdd"
log=$XH_RESULTS/paravane-blkback-vbd.log

# mode_is DISK WORD: what the guest's kernel says about persistent grants.
mode_is()
{
	guest_run gg "dmesg | grep 'blkfront: $1:.*persistent grants: $2;'" >/dev/null
}

# write_all NAME OPTION...: verified writes to all disks at a time.
write_all()
{
	guest_run gg "set --; for d in $disks; do set -- \"\$@\" --name=\$d --filename=/dev/\$d; done
		fio --rw=randwrite --bs=128k --size=20m --io_size=6m --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c \
		--verify_fatal=1 --minimal $* \"\$@\" >/tmp/fio || { cat /tmp/fio; dmesg | tail -n 20; exit 1; }" 200
}

# What is left are the rings: four disks of two queues.
idle_pages_are_back()
{
	[ "$(grants_held gg)" -le $((before + 8)) ]
}

our_backend vbd --persistent-idle=5
guest_start gg pv vcpus=2 extra='max_grant_frames=4'
before=$(grants_held gg)
for mode in auto persistent map copy; do
	disk=$(echo "$disks" | cut -d ' ' -f 1)
	disks="${disks#* } $disk"
	our_disk gg "$disk" "$(image "$mode" 24)" grant-mode=$mode
	check "$disk connects with grant-mode $mode" disk_connected gg "$disk" vbd
done
check "auto offers persistent grants" mode_is xvda enabled
check "persistent offers them" mode_is xvdb enabled
check "map does not" mode_is xvdc disabled
check "copy does not" mode_is xvdd disabled
check "all four verify" write_all
for disk in xvdc xvdd; do
	check "$disk goes" disk_detach gg $disk vbd
	our_disk gg $disk "$(image $disk 24)"
	check "$disk connects" disk_connected gg $disk vbd
done
check "four disks with persistent grants verify" write_all
check "the back end says what ran out" grep -q 'no maptrack entries left.*gnttab_max_maptrack_frames' "$log"
check "the guest had no I/O error" guest_run gg '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)|WARN"'
check "nor did the back end answer one" sh -c "! grep -iE 'refused|failed' '$log'"
check "unused pages go back to the guest" wait_for 60 idle_pages_are_back
check "and come again" write_all --time_based --runtime=2
for disk in $disks; do
	check "$disk goes" disk_detach gg "$disk" vbd
done
check "no grant is held" equal "$before" "$(grants_held gg)"
guest_stop gg

# Rings alone can take them all: four queues of 16 pages each are 128 entries. (With
# persistent grants the guest would need 68 MiB for each such queue.)
waits()
{
	grep -q 'no maptrack entries left to map its rings (64 pages)' "$log"
}
guest_start gr pv vcpus=4 cmdline="xen_blkfront.max_queues=4 xen_blkfront.max_ring_page_order=4" extra='max_grant_frames=4'
our_disk gr xvda "$(image first 24)" grant-mode=map
check "a disk with 64 pages of rings connects" disk_connected gr xvda vbd
our_disk gr xvdb "$(image second 24)" grant-mode=map
check "a second one waits" wait_for 60 waits
check "it is not refused" equal 2 "$(xs "$(disk_be gr xvdb vbd)/state")"
check "the first goes on" guest_run gr 'dd if=/dev/xvda of=/dev/null bs=1M count=8 iflag=direct'
check "the first goes" disk_detach gr xvda vbd
check "then the second connects" disk_connected gr xvdb vbd
check "and works" guest_run gr 'dd if=/dev/zero of=/dev/xvdb bs=1M count=8 oflag=direct && dd if=/dev/xvdb of=/dev/null bs=1M iflag=direct'
check "it goes" disk_detach gr xvdb vbd
guest_stop gr
