# SPDX-License-Identifier: LGPL-2.1-or-later
# about: Debian's own block back end and front end: the tier itself, no program of ours
# timeout: 600
# stores: one

file=$(image kernel 64)
guest_start kb pv
before=$(grants_held kb)
kernel_disk kb xvda "$file"
check "the disk connects" disk_connected kb xvda vbd
guest_run kb 'dmesg | grep xvda'
check "fio writes and verifies" guest_run kb 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k \
	--size=16m --number_ios=2000 --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1' 120
check "the disk goes" disk_detach kb xvda vbd
check "no grant is held" equal "$before" "$(grants_held kb)"
guest_stop kb
