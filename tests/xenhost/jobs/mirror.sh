# SPDX-License-Identifier: LGPL-2.1-or-later
# about: disks move to other images under Debian's front end doing verified I/O: files, a block device, a disk of xl's; a copy of one moment
# needs: paravane-blkback
# timeout: 2250

[ "$XH_BACKEND" = ours ] || skip "only our back end has mirrors"
modprobe loop
images=$xh_run/images
guest_start mi pv
our_disk mi xvda "$(image moves 48)"
check "it connects" disk_connected mi xvda vbd
truncate -s 48M "$images/behind"
loop=$(losetup -f --show "$images/behind")

image_is() { equal "$1" "$(xs "$(disk_be mi "$2" vbd)/params")"; }
completed() { guest_run mi 'awk "{ print \$5 }" /sys/block/xvda/stat'; }
progress() { [ "$(completed)" -gt "$1" ]; }

guest_writes mi xvda
for target in "$images/one" "$loop" "$images/two"; do
	check "the guest writes" wait_for 60 progress "$(completed)"
	check "it moves to $target" paravane mirror mi xvda "$target" --pivot --wait 200
	check "$target is its image" image_is "$target" xvda
	check "states stay connected" disk_states mi xvda vbd 4 4
done
check "a copy of one moment" paravane mirror mi xvda "$images/moment" --stop-at-sync --wait 200
check "the guest has its image yet" image_is "$images/two" xvda
check "a mirror begins" paravane mirror mi xvda "$images/three" --rate 8 --no-wait
kill -9 "$(sed -n 's/^pid=//p' /run/paravane/blkback/vbd-*-51712.info)"
check "its worker is killed, and it goes on to its end" paravane mirror mi xvda --pivot --wait 200
check "the guest writes on" wait_for 60 progress "$(completed)"
check "fio verified everything" guest_writes_end mi
check "the guest saw no error" guest_run mi '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
guest_run mi 'sync; echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/xvda' | tee $xh_run/seen
check "guest and target agree" equal "$(sha256sum <"$images/three" | cut -d' ' -f1)" "$(grep -oE '[0-9a-f]{64}' $xh_run/seen)"

say "a disk of xl's"
domid=$(guest_domid mi)
number=$(disk_number xvdb)
check "xl attaches" xl block-attach mi "$(xl_disk xvdb rw "$(image xls 16)")"
check "it connects" disk_connected mi xvdb vbd
check "a pattern" guest_run mi 'seq 100000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync'
check "it moves" paravane mirror mi xvdb "$images/xls-new" --pivot --wait 100
check "the script's node names the target" equal "$images/xls-new" "$(xs "$(disk_be mi xvdb vbd)/physical-device-path")"
xenstore-ls "/libxl/$domid/device/vbd/$number" | grep -E 'params|target' || true
check "libxl's copy does" eval "xenstore-ls /libxl/$domid/device/vbd/$number | grep -q '$images/xls-new'"
check "the guest has its data" guest_run mi 'echo 3 >/proc/sys/vm/drop_caches; head -c $(stat -c %s /tmp/a) /dev/xvdb | cmp - /tmp/a'
check "xl detaches" xl block-detach mi "$number"
check "its nodes are gone" nothing_left "$domid" "$number"
check "xvda goes" disk_detach mi xvda vbd
guest_stop mi
losetup -d "$loop"
