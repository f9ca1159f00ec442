# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Disks: which models and back ends there are, how each comes to the guest, and fio's
# figures. The images are files in dom0's memory, fully written. Sourced by compare-xen.

image_mib=64 fio_jobs=1 disk_be= disk_fe=
declare -A disk_of=([ide]=sda [ahci]=sdb [nvme]=nvme0n1)
declare -A irq_of=([ide]=ata_piix [ahci]=ahci [nvme]=nvme0q1 [xen-pv]=blkif)

# The workloads: TABLE|LABEL|RW|BLOCK|DEPTH
disk_workloads="4 KiB random read, depth 1|randread|4096|1
4 KiB random read, depth 32|randread|4096|32
4 KiB random write, depth 32|randwrite|4096|32
128 KiB random read, depth 8|randread|131072|8"

image() { dd if=/dev/zero of="$work/$1.img" bs=1M count=$image_mib status=none; }

# Lines for guest_create: three disks of the device model.
emulated_disks()
{
	local name

	for name in ide ahci nvme; do image $name; done
	cat <<-END
	'-drive','file=$work/ide.img,if=ide,index=0,format=raw,cache=writeback',
	'-device','ich9-ahci,id=ahci0','-drive','file=$work/ahci.img,if=none,id=ahci,format=raw,cache=writeback',
	'-device','ide-hd,drive=ahci,bus=ahci0.0',
	'-drive','file=$work/nvme.img,if=none,id=nvme,format=raw,cache=writeback','-device','nvme,drive=nvme,serial=1',
	END
}

# disk_attach: on $back_end, as xvda. Sets disk_be, disk_fe, back_end_pids.
disk_attach()
{
	local kind words=()

	case $back_end in
	linux)	kind=vbd
		loop=$(losetup -f --show "$work/pv.img") ||
			because "no loop device: $work/pv.img" || return
		words=(params="$loop" hotplug-status=connected physical-device-path="$loop"
			physical-device="$(printf '%x:%x' $(stat -c '0x%t 0x%T' "$loop"))") ;;
	qdisk)	kind=qdisk
		words=(params="aio:$work/pv.img") ;;
	paravane) kind=vbd3
		daemon paravane-blkback --kind=vbd3 --rundir="$work/run" $blkback_options || return
		words=(params="aio:$work/pv.img") ;;
	esac
	disk_be=/local/domain/0/backend/$kind/$guest_domid/51712
	disk_fe=/local/domain/$guest_domid/device/vbd/51712
	device_attach "$disk_be" "$disk_fe" removable=0 bootable=0 dev=xvda type=$kind mode=w device-type=disk \
		front:virtual-device=51712 front:device-type=disk "${words[@]}"
	[ $back_end != qdisk ] || qdisk_serve || return
	device_await "$disk_be" "$disk_fe" 4 ||
		because "the disk on back end $back_end did not connect: states $(state_of "$disk_be"), $(state_of "$disk_fe")" ||
		return
	guest_run 'until [ -b /dev/xvda ]; do sleep 0.1; done'
	back_end_pids=
	case $back_end in
	paravane) back_end_pids=$(pgrep -P "$daemon_pid" | tr '\n' ' ') ;;
	qdisk) back_end_pids=${qdisk_pid:-$(device_model_pid)} ;;
	esac
	return 0
}

# An HVM guest's device model is its qdisk back end; a PV guest gets one.
qdisk_serve()
{
	qdisk_pid=
	[ "$guest_type" = pv ] || return 0
	daemon "$qemu" -xen-domid "$guest_domid" -xen-attach -M xenpv -nodefaults -nographic \
		-no-user-config -serial none -monitor none -m 16 || return
	qdisk_pid=$daemon_pid
}

disk_give_back()
{
	[ -z "$loop" ] || losetup -d "$loop"
	loop=
}

# fio_line DISK RW BLOCK DEPTH OPERATIONS
fio_line()
{
	echo "fio --name=b --filename=/dev/$1 --rw=$2 --bs=$3 --iodepth=$4 --number_ios=$((($5 + fio_jobs - 1) / fio_jobs))" \
		"--numjobs=$fio_jobs --group_reporting --size=${image_mib}m" \
		"--io_size=100g --ioengine=libaio --direct=1 --randseed=1 --random_generator=tausworthe64" \
		"--thread --lat_percentiles=1 --clat_percentiles=0 --minimal"
}

# fio_command DISK RW BLOCK DEPTH OPERATIONS: prints "RUNTIME_MS MEAN_US P50_US P99_US
# INTERRUPTS", from fio's terse output, version 3.
fio_command()
{
	cat <<-END
	irqs() { awk -v name='${irq_of[$model]}' 'index(\$0, name) { for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i } END { print n + 0 }' /proc/interrupts; }
	before=\$(irqs)
	$(fio_line "$@") >/tmp/fio 2>&1 || { cat /tmp/fio; exit 1; }
	awk -F';' -v irqs=\$((\$(irqs) - before)) '\$1 == 3 { o = \$9 ? 0 : 41
		for (i = 18 + o; i < 38 + o; i++) { split(\$i, p, "%="); at[p[1] + 0] = p[2] }
		print \$(9 + o), \$(40 + o), at[50], at[99], irqs }' /tmp/fio
	END
}

# disk_operations BLOCK DEPTH: how many give some tenths of a second on a slow host, by model.
disk_operations()
{
	local n

	case $model in
	ide)	n=400 ;;
	ahci)	n=800 ;;
	nvme)	n=1500 ;;
	*)	n=10000
		[ "$2" -gt 1 ] || n=2000
		[ "$1" -le 4096 ] || n=2000 ;;
	esac
	echo $((n * scale))
}

# disk_times MS OPERATIONS FEW: how many times OPERATIONS make a run that is long enough for
# fio's clock, which counts whole milliseconds, when FEW took MS: a power of two.
disk_times()
{
	local ms=$(($1 * $2 / $3)) times=1

	while [ $((ms * times)) -lt 150 ] && [ $times -lt 256 ]; do times=$((times * 2)); done
	echo $times
}

# disk_copies CHANGED: how often an octet is copied on its way, by what each program does:
# a device model reads into the guest's memory; qdisk reads into its own and has Xen copy
# that; on persistent grants a back end reads into pages of which the guest's driver copies.
disk_copies()
{
	case $model,$back_end,$1 in
	xen-pv,qdisk,*) echo 2 ;;
	xen-pv,*,no-persistent) echo 1 ;;
	xen-pv,*) echo 2 ;;
	*) echo 1 ;;
	esac
}

# disk_row TABLE LABEL RW BLOCK DEPTH CHANGED NOT_EQUAL
disk_row() { measurement "$1" "$2" disk_measure "$@"; }

# The same, measured and emitted. What a run costs besides its operations is known from one
# that has just enough of them to use each buffer.
disk_measure()
{
	local ops few least warm times disk=${disk_of[$model]:-xvda} runtime mean p50 p99 irqs field

	ops=$(disk_operations "$4" "$5")
	few=$ops
	[ "$model" != xen-pv ] || few=$((ops / 4))
	warm=$(guest_run "$(fio_command "$disk" "$3" "$4" "$5" $few)") ||
		because "fio failed in the guest: $(tail -n 3 <<<"$warm")" || return
	[[ $warm =~ ^[0-9]+\  ]] ||
		because "fio's output is not understood: \"$warm\" for a time and others" || return
	times=$(disk_times "${warm%% *}" "$ops" $few)
	ops=$((ops * times)) few=$((few * times))
	least=$(($5 * fio_jobs))
	baseline_of "$(fio_command "$disk" "$3" "$4" "$5" $least)" || return
	counted_run "$(fio_command "$disk" "$3" "$4" "$5" "$ops")" || return
	read -r runtime mean p50 p99 irqs <<<"$run_output"
	traced_run "$(fio_command "$disk" "$3" "$4" "$5" $few)" || return
	row table="$1" label="$2" device=disk guest="$guest_type" model="$model" back_end="$back_end" \
		operation="${3#rand}" changed="$6" not_equal="$7" \
		command="$(fio_line "$disk" "$3" "$4" "$5" "$ops")" block_bytes="$4" depth="$5" ops="$ops" \
		$(awk -v n="$ops" -v bytes="$4" -v ms="$runtime" -v mean="$mean" -v p50="$p50" -v p99="$p99" 'BEGIN {
			printf "ops_per_s=%.1f mib_per_s=%.2f wall_ns=%d000000 latency_mean_ns=%.0f latency_p50_ns=%d000 latency_p99_ns=%d000",
				n * 1000 / ms, n * bytes / 1048.576 / ms, ms, mean * 1000, p50, p99 }') \
		interrupts="$irqs" bytes_copied_per_byte="$(disk_copies "$6")" \
		$(for field in $cpu_fields; do echo "$field=$(net_cost $field "$ops" $((ops - least)))"; done) \
		$(for field in $trace_fields; do echo "$field=$(net_cost $field "$ops" $((few - least)))"; done)
}

# disk_workload_rows LABEL NOT_EQUAL: the first tables, for the disk that is there.
disk_workload_rows()
{
	local table rw block depth

	while IFS='|' read -r table rw block depth; do
		disk_row "$table" "$1" "$rw" "$block" "$depth" "" "$2"
	done <<<"$disk_workloads"
}

emulated_disk_rows()
{
	part emulated_disk ide "HVM, IDE" "one command at a time, whatever the depth"
	part emulated_disk ahci "HVM, AHCI" ""
	part emulated_disk nvme "HVM, NVMe" ""
}

# emulated_disk MODEL LABEL NOT_EQUAL
emulated_disk()
{
	local model=$1 back_end="device model" back_end_pids

	back_end_pids=$(act device_model_pid)
	disk_workload_rows "$2" "$3"
}

# pv_disk_rows GUEST: on each back end.
pv_disk_rows()
{
	local back_end

	for back_end in paravane linux qdisk; do part pv_disk "$1, PV disk, $back_end"; done
}

# pv_disk LABEL
pv_disk()
{
	local model=xen-pv

	act disk_back_end || return
	act disk_attach || return
	disk_workload_rows "$1" "$(disk_unequal)"
}

# How a paravirtual disk's way differs, besides being another.
disk_unequal()
{
	case $back_end in
	paravane) echo "looks at the ring for up to 50 us before it sleeps" ;;
	linux)	echo "a loop device between image and back end, which sleeps at once" ;;
	qdisk)	echo "looks at the ring for up to 32 us before it sleeps (QEMU's poll-max-ns)" ;;
	esac
}

# It can be used, until give_back.
disk_back_end()
{
	case $back_end in
	paravane) command -v paravane-blkback >/dev/null || absent "there is no paravane-blkback" || return
		! blkback_serves vbd3 || absent "a paravane-blkback serves vbd3 already" || return
		nobody_elses vbd3 ;;
	linux)	! blkback_serves vbd || absent "a paravane-blkback serves vbd, as the kernel's would" || return
		kernel_serves xen-blkback vbd && module_load loop ;;
	qdisk)	[ -x "$qemu" ] || absent "there is no $qemu (Debian package qemu-system-xen)" ;;
	esac
}

# blkback_serves KIND: somebody's daemon; vbd, unless it is told something else.
blkback_serves()
{
	pgrep -af '(^|/)(lt-)?paravane-blkback( |$)' | awk -v kind="$1" '
		{ serves = "vbd"
		  for (i = 1; i <= NF; i++) {
			if ($i ~ /^--kind=/) serves = substr($i, 8)
			if ($i == "--kind") serves = $(i + 1)
		  }
		  found = found || serves == kind }
		END { exit !found }'
}

# One thing changed at a time, in the PV guest, on Paravane's back end and on the kernel's:
# by the daemon's options, the kernel's modules', or the guest's driver's.
disk_changes()
{
	local back_end table big ring

	for back_end in paravane linux; do
		disk_change_tables
		part disk_depths $([ $back_end = linux ] && echo 1 8 || echo 1 2 4 8 16)
		case $back_end in
		paravane)
			part disk_change "$table" "$big" "no persistent grants" no-persistent daemon --persistent-pages=0
			part disk_change "$table" "" "no polling" no-polling daemon --poll-us=0
			part disk_change "" "$big" "no indirect requests" no-indirect daemon --indirect-segments=0 ;;
		linux)
			part disk_change "$table" "$big" "no persistent grants" no-persistent module xen_blkback feature_persistent 0
			part disk_change "" "$big" "no indirect requests" no-indirect driver max_indirect_segments=0 ;;
		esac
		part disk_ring 0 "1 page" ""
		part disk_ring 2 "4 pages" pages-of-ring
	done
}

# disk_table WHAT: a table that is one back end's.
disk_table() { echo "PV disk$([ $back_end = paravane ] || echo ", xen-blkback"), $1"; }

# Sets the names of the back end's tables.
disk_change_tables()
{
	table=$(disk_table "one thing changed at a time: 4 KiB random read")
	big=$(disk_table "large requests: 128 KiB random read")
	ring=$(disk_table "pages of the ring: 4 KiB random read, depth 128")
}

# disk_depths DEPTH...: the first rows, and what the depth does.
disk_depths()
{
	local model=xen-pv depth

	act disk_back_end || return
	act disk_attach || return
	disk_row "$table" "depth 32" randread 4096 32 "" ""
	for depth in "$@"; do
		disk_row "$table" "depth $depth" randread 4096 $depth "depth" ""
	done
	disk_row "$big" "depth 8" randread 131072 8 "" ""
}

# disk_ring ORDER LABEL CHANGED: Debian's blkfront takes one page of ring unless it is told
# otherwise; both back ends offer 16.
disk_ring()
{
	local model=xen-pv

	act disk_back_end || return
	act guest_driver xen-blkfront max_ring_page_order=$1 || return
	act disk_attach || return
	disk_row "$ring" "$2" randread 4096 128 "$3" ""
}

# disk_change TABLE BIG LABEL CHANGED HOW ARGUMENT...: a row of either table with
# something else; HOW: daemon OPTION, module MODULE PARAMETER VALUE, driver PARAMETER=VALUE.
disk_change()
{
	local small=$1 large=$2 label=$3 changed=$4 how=$5 model=xen-pv blkback_options=
	shift 5

	act disk_back_end || return
	case $how in
	daemon) blkback_options=$1 ;;
	module) act module_option "$@" || return ;;
	driver) act guest_driver xen-blkfront "$@" || return ;;
	esac
	act disk_attach || return
	[ -z "$small" ] || disk_row "$small" "$label" randread 4096 32 "$changed" ""
	[ -z "$large" ] || disk_row "$large" "$label" randread 131072 8 "$changed" ""
}

# In a guest with two CPUs, each with a program of its own: one queue, and two.
disk_queues()
{
	local back_end

	for back_end in paravane linux; do
		part disk_queue 1 "1 queue" ""
		part disk_queue 2 "2 queues" queues
	done
}

# disk_queue NUMBER LABEL CHANGED
disk_queue()
{
	local model=xen-pv fio_jobs=2

	act disk_back_end || return
	[ $back_end = paravane ] || act module_option xen_blkback max_queues $1 || return
	act guest_driver xen-blkfront max_queues=$1 || return
	act disk_attach || return
	act queues_are "$disk_fe" $1 || return
	disk_row "$(disk_table "queues: 4 KiB random read, 2 CPUs, depth 16 each")" "$2" randread 4096 16 "$3" ""
}

# Dom0 on the guest's own CPU, and beside it.
disk_cores()
{
	local back_end

	for back_end in paravane linux; do
		part disk_core 0 "same CPU" ""
		part disk_core 1 "own CPU" own-cpu
	done
}

# disk_core CPU LABEL CHANGED
disk_core()
{
	local model=xen-pv

	act two_cpus || return
	act disk_back_end || return
	act disk_attach || return
	act cores_bind 0 $1 || return
	disk_row "$(disk_table "where the back end runs: 4 KiB random read, depth 32")" "$2" randread 4096 32 "$3" ""
}
