# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a front end of several queues and rings of several pages
# needs: paravane-blkback
# timeout: 600
# stores: one

# try_rings QUEUES ORDER: one guest with as many queues and 2^ORDER pages a ring.
try_rings()
{
	local queues=$1 order=$2 fe

	guest_start qu pv vcpus=2 cmdline="xen_blkfront.max_queues=$queues xen_blkfront.max_ring_page_order=$order"
	served_disk qu xvda "$file"
	check "$queues queues of $((1 << order)) pages: connects" disk_connected qu xvda $served
	fe=$(disk_fe qu xvda)
	check "the front end uses $queues queues" equal "$queues" "$(xenstore-read "$fe/multi-queue-num-queues" 2>/dev/null || echo 1)"
	check "and $((1 << order)) pages" equal "$order" "$(xenstore-read "$fe/ring-page-order" 2>/dev/null || echo 0)"
	check "fio verifies" guest_run qu 'fio --filename=/dev/xvda --rw=randwrite --bsrange=4k-64k --size=24m --offset_increment=24m \
		--numjobs=2 --io_size=8m --ioengine=libaio --direct=1 --iodepth=64 --verify=crc32c --verify_fatal=1 --name=v --minimal \
		>/tmp/fio || { cat /tmp/fio; exit 1; }' 120
	check "the disk goes" disk_detach qu xvda $served
	guest_stop qu
}

file=$(image queues 48)
try_rings 2 0
try_rings 1 4
try_rings 2 3
