# SPDX-License-Identifier: LGPL-2.1-or-later
# about: xl block-attach, block-list, block-detach; xl destroy under I/O; a disk in xl.cfg
# quick: yes
# needs: paravane-blkback
# timeout: 240

spec() { echo "format=raw,vdev=$1,access=$2,script=$XH_DIR/hotplug,target=$3"; }
fio_forever='fio --name=w --filename=/dev/xvda --rw=randwrite --bs=4k --ioengine=libaio --direct=1 --iodepth=16 --time_based --runtime=600'

case $XH_BACKEND in
ours)	our_backend vbd ;;
kernel)	modprobe loop; modprobe xen-blkback ;;
*)	skip "xl attaches $XH_BACKEND disks without a script" ;;
esac

first=$(image first 32)
second=$(image second 16)
guest_start xa pv disk="$(spec xvda rw "$first")"
check "the disk of xl.cfg is connected" disk_connected xa xvda vbd
before=$(grants_held xa)
check "xl attaches" xl block-attach xa "$(spec xvdb rw "$second")"
check "the attached disk connects" disk_connected xa xvdb vbd
xl block-list xa | tee $xh_run/list
check "xl lists both as connected" equal 2 "$(awk 'NR > 1 && $4 == 4' $xh_run/list | wc -l)"
check "the attached disk works" guest_run xa 'seq 10000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync && head -c $(stat -c %s /tmp/a) /dev/xvdb | cmp - /tmp/a'
check "the data is in the file" equal "$(seq 100)" "$(head -n 100 "$second")"
number=$(disk_number xvdb)
be=$(disk_be xa xvdb vbd)
check "xl detaches" xl block-detach xa "$number"
check "the back end's directory is gone" wait_for 10 eval "! xenstore-exists $be/state"
check "the guest has no xvdb any more" wait_for 10 guest_run xa '[ ! -e /sys/block/xvdb ]'
check "the detached disk's grants are returned" wait_for 10 eval '[ $(grants_held xa) -le '"$before"' ]'

for round in 1 2 3; do
	check "xl attaches again ($round)" xl block-attach xa "$(spec xvdb rw "$second")"
	check "it connects ($round)" disk_connected xa xvdb vbd
	check "xl detaches ($round)" xl block-detach xa xvdb
done

guest_background xa io "$fio_forever"
check "the guest writes" wait_for 30 guest_run xa '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 100 ]'
domid=$(guest_domid xa)
check "xl destroys under I/O" xl destroy xa
check "Xen holds nothing of the domain" wait_for 20 eval '! xl list | awk "{ print \$2 }" | grep -qx '"$domid"
check "nothing of the back end is left" wait_for 10 eval "[ -z \"\$(xenstore-list /local/domain/0/backend/vbd/$domid 2>/dev/null)\" ]"
if [ "$XH_BACKEND" = ours ]; then
	check "the back end lives" eval '! process_gone ${our_pid[vbd]}'
	guest_start xb pv disk="$(spec xvda rw "$first")"
	check "and serves the next guest" disk_connected xb xvda vbd
	guest_stop xb
fi
