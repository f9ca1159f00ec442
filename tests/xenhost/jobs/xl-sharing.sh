# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a second writer under xl is refused, at once and without a trace; readers share; shared: overrides
# needs: paravane-blkback
# timeout: 750

[ "$XH_BACKEND" = ours ] || skip "xl attaches $XH_BACKEND disks without our script"

# refused WHAT TEXT COMMAND...: fails soon, and xl's words hold TEXT.
refused()
{
	local what=$1 text=$2 start=$SECONDS
	shift 2
	! "$@" >$xh_run/said 2>&1 || die "$what: not refused"
	sed 's/^/    /' $xh_run/said
	grep -qF "$text" $xh_run/said || die "$what: xl did not say '$text'"
	say "ok: $what ($((SECONDS - start)) s)"
}

# As soon as what an attempt before left has gone.
attach()
{
	nothing_left "$(guest_domid "$1")" "$(disk_number "$2")" && xl block-attach "$1" "$(xl_disk "$2" "$3" "$4")"
}

# As xl would begin it, of a domain that is not there: the kernel's back end looks away.
beside_the_kernel()
{
	local dir=/local/domain/0/backend/vbd/99/51712

	modprobe xen-blkback || return
	xenstore-write $dir/frontend /local/domain/99/device/vbd/51712 $dir/params "$1" $dir/mode w
	! XENBUS_PATH=backend/vbd/99/51712 /etc/xen/scripts/block-paravane add || return
	xenstore-read $dir/hotplug-error | grep -q "xen-blkback is loaded.*rmmod" || return
	xenstore-rm "${dir%/*}" && rmmod xen-blkback
}

image=$(image written 16)
check "beside the kernel's back end nothing is attached" beside_the_kernel "$image"
our_backend vbd
other=$(image read 16)
guest_start wa pv disk="$(xl_disk xvda rw "$image")"
guest_start wb pv disk="$(xl_disk xvda ro "$other")"
wb=$(guest_domid wb)
check "both are connected" eval "disk_connected wa xvda vbd && disk_connected wb xvda vbd"
before=$(grants_held wb)

refused "block-attach of an image that another guest writes" "in use: xvda of guest wa (domain $(guest_domid wa)), mode w;" \
	attach wb xvdb rw "$image"
refused "the same to read" "in use: xvda of guest wa" attach wb xvdb ro "$image"
refused "a writer of an image that another guest reads" "in use: xvda of guest wb (domain $wb), mode r;" attach wa xvdb rw "$other"
refused "no such file" "$image.none: no such file" attach wb xvdb rw "$image.none"
refused "a directory" "is a directory" attach wb xvdb rw /run
check "nothing is left of them" nothing_left "$wb" "$(disk_number xvdb)"
check "no grant" wait_for 20 eval '[ $(grants_held wb) -le '"$before"' ]'
check "the guest saw no disk" guest_run wb '[ ! -e /sys/block/xvdb ]'

last=$(xl list | awk 'END { print $2 }')
refused "xl create of a second writer" "in use: xvda of guest wa" \
	guest_create wc pv disk="$(xl_disk xvda rw "$image")"
check "no domain is left" equal "$last" "$(xl list | awk 'END { print $2 }')"
check "no node and no process" nothing_left $((last + 1))

check "a second reader is taken" attach wa xvdb ro "$other"
check "and connected" disk_connected wa xvdb vbd
check "read-only" guest_run wa '[ $(cat /sys/block/xvdb/ro) = 1 ]'
check "a second writer is taken when it says shared:" attach wb xvdb rw "shared:$image"
check "and connected (shared:)" disk_connected wb xvdb vbd
check "what it writes" guest_run wb 'seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync'
check "the other reads" guest_run wa 'seq 1000 >/tmp/a; dd if=/dev/xvda iflag=direct bs=4k count=1 | head -c $(stat -c %s /tmp/a) | cmp - /tmp/a'
check "the first still writes" guest_run wa 'dd if=/tmp/a of=/dev/xvda conv=fsync'
check "xl detaches it" xl block-detach wb xvdb
check "nothing of it is left" nothing_left "$wb" "$(disk_number xvdb)"
check "both daemon and disks live" eval '! process_gone ${our_pid[vbd]} && guest_run wa "dd if=/dev/xvda of=/dev/null bs=64k" && guest_run wb "dd if=/dev/xvda of=/dev/null bs=64k"'
