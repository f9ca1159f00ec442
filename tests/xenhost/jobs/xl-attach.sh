# SPDX-License-Identifier: LGPL-2.1-or-later
# about: xl create, block-attach, block-list, block-detach; guest shutdown; xl destroy under I/O; nothing is left
# quick: yes
# needs: paravane-blkback
# timeout: 750

fio_forever='fio --name=w --filename=/dev/xvda --rw=randwrite --bs=4k --ioengine=libaio --direct=1 --iodepth=16 --time_based --runtime=600'

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"
our_backend vbd
first=$(image first 32)
second=$(image second 16)
guest_start xa pv disk="$(xl_disk xvda rw "$first")"
domid=$(guest_domid xa)
check "the disk of xl.cfg is connected" disk_connected xa xvda vbd
check "the script told libxl the path" equal "$first" "$(xs "$(disk_be xa xvda vbd)/physical-device-path")"
before=$(grants_held xa)
check "xl attaches" xl block-attach xa "$(xl_disk xvdb rw "$second")"
check "the attached disk connects" disk_connected xa xvdb vbd
xl block-list xa | tee $xh_run/list
check "xl lists both as connected" equal 2 "$(awk 'NR > 1 && $4 == 4' $xh_run/list | wc -l)"
check "the attached disk works" guest_run xa 'seq 10000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync && head -c $(stat -c %s /tmp/a) /dev/xvdb | cmp - /tmp/a'
check "the data is in the file" equal "$(seq 100)" "$(head -n 100 "$second")"
number=$(disk_number xvdb)
check "a process serves it" eval "left_of $domid $number | grep -q worker"
check "xl detaches" xl block-detach xa "$number"
check "its nodes and its process are gone" nothing_left "$domid" "$number"
check "the guest has no xvdb any more" wait_for 10 guest_run xa '[ ! -e /sys/block/xvdb ]'
check "the detached disk's grants are returned" wait_for 10 eval '[ $(grants_held xa) -le '"$before"' ]'

for round in 1 2 3; do
	check "xl attaches again ($round)" xl block-attach xa "$(xl_disk xvdb rw "$second")"
	check "it connects ($round)" disk_connected xa xvdb vbd
	check "xl detaches ($round)" xl block-detach xa xvdb
done
check "nothing of it is left" nothing_left "$domid" "$number"

guest_background xa io "$fio_forever"
check "the guest writes" wait_for 30 guest_run xa '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 100 ]'
check "xl destroys under I/O" timeout 30 xl destroy xa
check "Xen holds nothing of the domain" domain_gone "$domid"
check "nothing of its disk is left" nothing_left "$domid"
check "the back end lives" eval '! process_gone ${our_pid[vbd]}'

guest_start xb pv disk="$(xl_disk xvda rw "$first")"
domid=$(guest_domid xb)
check "the next guest's disk is connected" disk_connected xb xvda vbd
guest_send xb 'dd if=/dev/zero of=/dev/xvda bs=4k count=100; sync; poweroff -f'
check "a guest that shuts itself down goes" wait_for 60 guest_gone xb
check "Xen holds nothing of it" domain_gone "$domid"
check "nothing of its disk is left" nothing_left "$domid"
check "the back end lives yet" eval '! process_gone ${our_pid[vbd]}'
