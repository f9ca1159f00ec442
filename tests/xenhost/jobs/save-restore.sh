# SPDX-License-Identifier: LGPL-2.1-or-later
# about: xl save and xl restore of a guest with its disk under I/O
# needs: paravane-blkback
# timeout: 750

case $XH_BACKEND in
ours)	our_backend vbd ;;
kernel)	modprobe loop; modprobe xen-blkback ;;
*)	skip "xl attaches $XH_BACKEND disks without a script" ;;
esac
file=$(image save 48)
guest_start sr pv disk="format=raw,vdev=xvda,access=rw,script=block-paravane,target=$file"
check "the disk connects" disk_connected sr xvda vbd
guest_writes sr xvda
for round in 1 2; do
	check "the guest writes ($round)" wait_for 60 guest_run sr '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 500 ]'
	old=$(guest_domid sr)
	check "xl saves ($round)" xl save sr $xh_run/images/saved
	check "nothing of the saved domain's disk is left ($round)" wait_for 20 eval "! xenstore-exists /local/domain/0/backend/vbd/$old/51712/state"
	check "xl restores ($round)" xl restore $xh_run/images/saved
	xl domid sr >$xh_run/guest-sr.domid
	rm $xh_run/images/saved
	check "the disk connects again ($round)" disk_connected sr xvda vbd
	check "the guest answers ($round)" guest_run sr true
done
check "fio verified everything" guest_writes_end sr
check "the guest saw no I/O error" guest_run sr '! dmesg | grep -iE "I/O error"'
guest_stop sr
