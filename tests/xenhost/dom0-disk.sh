# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Virtual disks for jobs (dom0-device.sh), and the two back ends of others: the
# kernel's and QEMU's. Sourced by dom0-lib.sh.

# image NAME MIB: a file of zeros, fully written, in dom0's memory. Prints its path.
image()
{
	mkdir -p $xh_run/images
	dd if=/dev/zero of=$xh_run/images/"$1" bs=1M count="$2" status=none
	echo $xh_run/images/"$1"
}

# disk_number xvdX: the number that names it in XenStore.
disk_number()
{
	local letter=${1#xvd}

	case $1 in
	xvd[a-p]) echo $((202 * 256 + 16 * ($(printf %d "'$letter") - 97))) ;;
	*[!0-9]*) die "disk_number: $1? (xvda to xvdp, or a number)" ;;
	*) echo "$1" ;;
	esac
}

# The two directories of a disk: disk_be GUEST DISK KIND, disk_fe GUEST DISK.
disk_be()
{
	echo "/local/domain/0/backend/$3/$(guest_domid "$1")/$(disk_number "$2")"
}

disk_fe()
{
	echo "/local/domain/$(guest_domid "$1")/device/vbd/$(disk_number "$2")"
}

# disk_attach GUEST DISK KIND [KEY=VALUE...]: KIND is vbd, vbd3 or qdisk.
disk_attach()
{
	local guest=$1 disk=$2 kind=$3
	shift 3

	device_attach "$guest" "$(disk_be "$guest" "$disk" "$kind")" "$(disk_fe "$guest" "$disk")" \
		removable=0 bootable=0 dev="$disk" type="$kind" mode=w device-type=disk \
		front:virtual-device="$(disk_number "$disk")" front:device-type=disk "$@"
}

# disk_connected GUEST DISK KIND [SECONDS]
disk_connected()
{
	device_connected "$2 of $1" "$(disk_be "$1" "$2" "$3")" "$(disk_fe "$1" "$2")" "${4:-60}"
}

# disk_states GUEST DISK KIND BACKEND-STATE FRONTEND-STATE
disk_states()
{
	device_states "$(disk_be "$1" "$2" "$3")" "$(disk_fe "$1" "$2")" "$4" "$5"
}

# disk_detach GUEST DISK KIND [SECONDS]
disk_detach()
{
	device_detach "$2 of $1" "$(disk_be "$1" "$2" "$3")" "$(disk_fe "$1" "$2")" "${4:-30}"
}

# kernel_disk GUEST DISK FILE [KEY=VALUE...]: by the kernel's blkback over a loop device.
kernel_disk()
{
	local guest=$1 disk=$2 file=$3 loop
	shift 3

	modprobe loop
	modprobe xen-blkback
	loop=$(losetup -f --show "$file")
	disk_attach "$guest" "$disk" vbd params="$file" \
		physical-device="$(printf '%x:%x' $(stat -c '0x%t 0x%T' "$loop"))" \
		physical-device-path="$loop" hotplug-status=connected "$@"
}

# qdisk GUEST DISK FILE [KEY=VALUE...]: by a QEMU for this guest.
qdisk()
{
	local guest=$1 disk=$2 file=$3 domid
	shift 3

	domid=$(guest_domid "$guest")
	disk_attach "$guest" "$disk" qdisk params="aio:$file" "$@"
	if [ ! -e $xh_run/guest-$guest.qemu ]; then
		start_daemon "qemu-$guest" $xh_qemu -xen-domid "$domid" -xen-attach -M xenpv \
			-nodefaults -nographic -no-user-config -serial none -monitor none -m 16
		echo "$daemon_pid" >$xh_run/guest-$guest.qemu
	fi
}

# The disks of jobs that test our back end: run --backend says who serves them, so
# that a job can be tried against the kernel's or QEMU's to tell its own faults from
# ours. served_disk GUEST DISK FILE [KEY=VALUE...]; $served is the kind.
case $XH_BACKEND in qdisk) served=qdisk ;; *) served=vbd ;; esac

served_disk()
{
	case $XH_BACKEND in
	ours)	our_disk "$@" ;;
	kernel)	kernel_disk "$@" ;;
	qdisk)	qdisk "$@" ;;
	esac
}

# our_disk GUEST DISK FILE [KIND] [KEY=VALUE...]: by paravane-blkback, which it starts.
our_disk()
{
	local guest=$1 disk=$2 file=$3 kind=vbd
	shift 3

	case $1 in vbd*) kind=$1; shift ;; esac
	our_backend "$kind"
	disk_attach "$guest" "$disk" "$kind" params="aio:$file" "$@"
}

declare -A our_pid

# our_backend KIND [OPTION...]: paravane-blkback for all of dom0's disks of this kind,
# once. The kernel's would take every vbd: its module must not be there.
our_backend()
{
	local kind=$1
	shift

	if [ "$kind" = vbd ] && [ -d /sys/module/xen_blkback ]; then
		rmmod xen-blkback || die "xen-blkback is loaded and would take our disks"
	fi
	if [ -n "${our_pid[$kind]}" ] && ! process_gone "${our_pid[$kind]}"; then return 0; fi
	start_daemon "paravane-blkback-$kind" paravane-blkback --kind="$kind" "$@"
	our_pid[$kind]=$daemon_pid
}

# guest_writes GUEST DISK: random writes in the background, each turn of the loop
# verifies what it wrote. They go on until guest_writes_end, so that a job has load for
# as long as it needs it, on a machine of any speed.
guest_writes()
{
	guest_background "$1" writes 'rm -f /tmp/writes.stop; while [ ! -e /tmp/writes.stop ]; do
		fio --name=v --filename=/dev/'"$2"' --rw=randwrite --bs=4k --size=16m --ioengine=libaio --direct=1 \
			--iodepth=32 --verify=crc32c --verify_fatal=1 --minimal >/tmp/fio || { cat /tmp/fio; exit 1; }
	done'
}

# guest_writes_end GUEST: lets the turn that runs verify; returns fio's status.
guest_writes_end()
{
	guest_run "$1" 'touch /tmp/writes.stop'
	guest_wait "$1" writes 200
}

# A bystander: a guest with a disk of ours that verifies what it writes, beside others
# that mean harm. Its figures go to $bystander_served.

# bystander_start GUEST
bystander_start()
{
	guest_start "$1" pv
	our_disk "$1" xvda "$(image "$1" 48)"
	check "the bystander's disk connects" disk_connected "$1" xvda vbd
	guest_writes "$1" xvda
	bystander_served=0
}

# disk_completed GUEST [DISK]: requests that the guest has seen done; for a part of its
# turn guest_writes only reads.
disk_completed()
{
	guest_run "$1" 'awk "{ print \$1 + \$5 }" /sys/block/'"${2:-xvda}"'/stat'
}

# disk_progress GUEST FROM: more than so many.
disk_progress()
{
	[ "$(disk_completed "$1")" -gt "$2" ]
}

# bystander_unhurt GUEST: it is served on since the last time, and nobody of ours has died.
bystander_unhurt()
{
	! process_gone "${our_pid[vbd]}" || return 1
	[ -z "$netback_pid" ] || ! process_gone "$netback_pid" || return 1
	wait_for 60 disk_progress "$1" "$bystander_served" || return 1
	bystander_served=$(disk_completed "$1")
	! grep -hE 'ended by signal|exited with status|Assertion|system call' "$XH_RESULTS"/paravane-*back*.log
}

# bystander_end GUEST: all was right, to the end; then it goes.
bystander_end()
{
	check "the bystander verified everything" guest_writes_end "$1"
	check "it saw no error" guest_run "$1" '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
	check "its disk goes" disk_detach "$1" xvda vbd
	guest_stop "$1"
	check "no domain is left" equal "" "$(xl list | awk 'NR > 1 && $2 != 0')"
}

# served_features GUEST DISK: what the front end and the back end agreed on.
served_features()
{
	xenstore-ls "$(disk_be "$1" "$2" "$served")" | grep -E 'feature|max|sector|info|discard' || true
	guest_run "$1" "dmesg | grep 'blkfront: $2:'" || true
}

# grants_held GUEST: how many of the guest's grants are in use by others now.
grants_held()
{
	local domid

	domid=$(guest_domid "$1")
	xl dmesg -c >/dev/null
	xl debug-keys g
	wait_for 60 grant_dump_whole || { echo "Xen's list of grants does not come to its end" >&2; return 1; }
	awk -v header="grant-table for remote d$domid " '
		/grant-table for remote/ { mine = index($0, header) > 0 }
		mine && /\(XEN\) \[ *(0x)?[0-9a-f]+\]/ { n++ }
		END { print n + 0 }' $xh_run/grants
}

grant_dump_whole()
{
	xl dmesg >$xh_run/grants
	grep -q 'gnttab_usage_print_all \] done' $xh_run/grants
}

# xl_disk DISK ACCESS FILE: a disk= of xl for paravane-blkback, by the script that
# comes with it.
xl_disk()
{
	echo "format=raw,vdev=$1,access=$2,script=block-paravane,target=$3"
}

# left_of DOMID [NUMBER]: what is left of a guest, or of one disk of it: nodes of its
# disks wherever tool stacks and back ends put them, and workers.
left_of()
{
	local nodes

	nodes=$(xenstore-ls -f /) || { echo "XenStore does not answer"; return; }
	grep <<<"$nodes" -E "^/(local/domain/[0-9]+(/error)?/backend/[a-z0-9]+/$1|local/domain/$1/(error/)?device/vbd|libxl/$1/device/vbd)/${2:-[0-9]}" || true
	pgrep -af "[p]aravane-blkback --worker .*[ -]$1[/-]${2:-[0-9]}" || true
}

# nothing_left DOMID [NUMBER]: soon.
nothing_left()
{
	wait_for 20 eval "[ -z \"\$(left_of $*)\" ]" || { left_of "$@"; return 1; }
}

# domain_gone DOMID: Xen has let go of it, which it does not while a page is mapped.
domain_gone() { wait_for 30 domain_is_gone "$1" || { xl list; return 1; }; }

domain_is_gone()
{
	local list

	list=$(xl list) || return 1
	! awk '{ print $2 }' <<<"$list" | grep -qx "$1"
}
