# SPDX-License-Identifier: LGPL-2.1-or-later
# about: the back end in a guest of its own serves another: gntdev, evtchn and xenbus devices are all it has
# needs: paravane-blkback
# timeout: 1000

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
guest_start driver pv memory=400 cmdline=guest_modules=xen-evtchn,xen-gntdev \
	files="$(command -v paravane-blkback)" extra="$(printed_text "driver xl.cfg")"
driver=$(guest_domid driver)
be() { echo "/local/domain/$driver/backend/vbd/$(guest_domid "$1")/$(disk_number "$2")"; }
connected() { wait_for 60 eval "[ \"\$(xs $(be "$1" "$2")/state)\" = 4 ] && [ \"\$(xs $(disk_fe "$1" "$2")/state)\" = 4 ]"; }

check "it has no privcmd" guest_run driver 'umount /proc/xen; rmmod xenfs xen_privcmd; ls /dev/xen; [ ! -e /dev/xen/privcmd ]'
check "the driver domain has images" guest_run driver 'mkdir /images && dd if=/dev/zero of=/images/web.img bs=1M count=48 && dd if=/dev/zero of=/images/more.img bs=1M count=8'
guest_run driver "ln -s $(command -v paravane-blkback) /bin/"
printed_in driver "driver disks"
check "the daemon is ready" wait_for 30 guest_run driver 'grep ready: /tmp/blkback.log'

disk=$(printed_text "driver guest" disk)
guest_start web pv disk="$disk"
domid=$(guest_domid web)
check "the disk of xl.cfg is connected" connected web xvda
guest_run web 'dmesg | grep xvda'
check "verified writes" guest_run web 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k --size=32m --io_size=8m --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c --minimal' 200
check "the driver domain holds the guest's grants" eval '[ $(grants_held web) -gt 0 ]'
check "a process of its own serves it" guest_run driver 'grep -l -a worker /proc/[0-9]*/cmdline'

check "it has what a driver domain has" guest_run driver '
	ls -l $(for pid in $(pidof paravane-blkback); do echo /proc/$pid/fd; done) | grep -o "/dev/xen.*" | sort | uniq -c
	lsmod; [ ! -e /dev/xen/privcmd ] && [ ! -e /run/xenstored ]'
printed "driver attach"
check "it connects" connected web xvdb
check "it works" guest_run web 'seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync'
check "the data is in the driver domain's file" guest_run driver 'seq 1000 >/tmp/a; head -c $(stat -c %s /tmp/a) /images/more.img | cmp - /tmp/a'
start=$SECONDS
printed "driver detach"
say "in $((SECONDS - start)) s"
check "nothing of it is left" nothing_left "$domid" "$(disk_number xvdb)"
check "the guest has no xvdb any more" wait_for 10 guest_run web '[ ! -e /sys/block/xvdb ]'

start=$SECONDS
check "an image that is in use is refused" eval '! xl block-attach web "${disk/xvda/xvdb}"'
say "in $((SECONDS - start)) s; the driver domain says: $(xs "/local/domain/$driver/error/backend/vbd/$domid/$(disk_number xvdb)/error")"
check "with a reason" eval "xs /local/domain/$driver/error/backend/vbd/$domid/$(disk_number xvdb)/error | grep -q 'in use by vbd $domid/51712'"
check "xl detaches what it left" xl block-detach web xvdb
check "nothing of that is left" nothing_left "$domid" "$(disk_number xvdb)"

guest_writes web xvda
check "the guest writes" wait_for 30 guest_run web '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 100 ]'
start=$SECONDS
check "xl destroys it under I/O" timeout 60 xl destroy web
say "in $((SECONDS - start)) s"
check "Xen holds nothing of the guest" domain_gone "$domid"
check "nothing of its disk is left" nothing_left "$domid"
check "no worker is left in the driver domain" wait_for 20 guest_run driver '! grep -l -a -e --worker /proc/[0-9]*/cmdline 2>/dev/null'

guest_start gh pv disk="$disk"
check "the next guest is served" connected gh xvda
guest_stop gh
check "nothing of it is left" nothing_left "$(guest_domid gh)"
guest_run driver 'cat /tmp/blkback.log'
