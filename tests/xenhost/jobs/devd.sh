# SPDX-License-Identifier: LGPL-2.1-or-later
# about: both back ends in a driver domain whose "xl devd" runs the scripts and clears away, as docs/operations.md prints it
# needs: paravane-blkback paravane-netback
# timeout: 1000

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
xl=/usr/lib/xen-$XH_XEN_VERSION/bin/xl
scripts=$(echo /etc/xen/scripts/{block-paravane,vif-paravane,paravane-hotplug.sh})
guest_start driver pv memory=512 cmdline=guest_modules=xen-evtchn,xen-gntdev,xen-privcmd \
	files="$(command -v paravane-blkback) $(command -v paravane-netback) $xl /etc/xen/xl.conf $scripts
		$(command -v flock) $(ls /usr/bin/xenstore-{read,write,ls,rm,exists})" \
	extra="$(printed_text "driver xl.cfg")"
driver=$(guest_domid driver)
back() { echo "/local/domain/$driver/backend/$2/$(guest_domid "$1")/$3"; }
front() { echo "/local/domain/$(guest_domid "$1")/device/$2/$3"; }
# connected GUEST KIND NUMBER
connected() { wait_for 60 eval "[ \"\$(xs $(back "$@")/state)\" = 4 ] && [ \"\$(xs $(front "$@")/state)\" = 4 ]"; }
is_gone() { wait_for 30 eval "! xenstore-exists $(back "$@") && ! xenstore-exists $(front "$@")"; }

check "it has programs and images" guest_run driver "ln -s $(command -v paravane-blkback) $(command -v paravane-netback) $xl /bin/ &&
	mkdir -p /var/log/xen /var/run /run/xen /var/lib/xen /images &&
	dd if=/dev/zero of=/images/web.img bs=1M count=48 && dd if=/dev/zero of=/images/more.img bs=1M count=8"
printed_in driver "devd daemons"
check "the daemons are ready" wait_for 30 guest_run driver 'grep ready: /tmp/blkback.log && grep ready: /tmp/netback.log'
check "xl devd runs" wait_for 30 guest_run driver 'pidof xl'

guest_start web pv disk="$(printed_text "devd guest" disk)" vif="$(printed_text "devd guest" vif)"
check "the disk of xl.cfg is connected" connected web vbd 51712
check "and the interface" connected web vif 0
check "the script was run" equal connected "$(xs "$(back web vbd 51712)/hotplug-status")"
check "that of the interface, too" equal connected "$(xs "$(back web vif 0)/hotplug-status")"
check "verified writes" guest_run web 'fio --name=v --filename=/dev/xvda --rw=randwrite --bs=4k --size=32m --io_size=8m --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c --minimal' 200

printed "devd attach"
check "the second disk connects" connected web vbd 51728
check "the second interface connects" connected web vif 1
printed "devd detach"
check "nothing of that disk is left" is_gone web vbd 51728
check "nor of that interface" is_gone web vif 1

disk=$(printed_text "devd guest" disk)
# xl does not wait for scripts elsewhere.
xl block-attach web "${disk/xvda/xvdb}" || true
check "the script refuses an image that is in use" wait_for 30 eval "xs $(back web vbd 51728)/hotplug-error | grep 'in use: xvda of guest'"
check "the disk is not there" guest_run web '[ ! -e /sys/block/xvdb ]'
xl block-detach web xvdb || true
check "nothing of that is left" is_gone web vbd 51728

guest_writes web xvda
check "the guest writes" wait_for 30 guest_run web '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 100 ]'
check "xl destroys it under I/O" timeout 60 xl destroy web
check "Xen holds nothing of the guest" domain_gone "$(guest_domid web)"
check "nothing of its disk is left" is_gone web vbd 51712
check "nor of its interface" is_gone web vif 0
guest_start next pv disk="$disk"
check "the next guest is served" connected next vbd 51712
guest_stop next
check "nothing of it is left" is_gone next vbd 51712
guest_run driver 'cat /tmp/*.log /var/log/xen/*'
