# SPDX-License-Identifier: LGPL-2.1-or-later
# about: QEMU's block back end and Debian's front end: the tier itself, no program of ours
# timeout: 600
# stores: one

file=$(image qdisk 64)
guest_start qd pv
qdisk qd xvda "$file"
check "the disk connects" disk_connected qd xvda qdisk
guest_run qd 'dmesg | grep xvda'
check "fio writes and verifies" guest_run qd 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k \
	--size=16m --number_ios=2000 --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1' 120
check "the disk goes" disk_detach qd xvda qdisk
guest_stop qd
