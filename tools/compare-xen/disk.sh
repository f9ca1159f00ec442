# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Disks: which models and back ends there are, how each comes to the guest, and fio's
# figures. The images are files in dom0's memory, fully written. Sourced by compare-xen.

image_mib=64 fio_jobs=1
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

# disk_attach BACK_END: as xvda. Sets disk_be, disk_fe, back_end_pids.
disk_attach()
{
	local kind words=()

	case $1 in
	linux)	kind=vbd
		module_load loop; module_load xen-blkback
		loop=$(losetup -f --show "$work/pv.img") || fail "no loop device: $work/pv.img"
		words=(params="$loop" hotplug-status=connected physical-device-path="$loop"
			physical-device="$(printf '%x:%x' $(stat -c '0x%t 0x%T' "$loop"))") ;;
	qdisk)	kind=qdisk
		words=(params="aio:$work/pv.img") ;;
	paravane) kind=vbd3
		daemon paravane-blkback --kind=vbd3 --rundir="$work/run" $blkback_options
		words=(params="aio:$work/pv.img") ;;
	esac
	disk_be=/local/domain/0/backend/$kind/$guest_domid/51712
	disk_fe=/local/domain/$guest_domid/device/vbd/51712
	device_attach "$disk_be" "$disk_fe" removable=0 bootable=0 dev=xvda type=$kind mode=w device-type=disk \
		front:virtual-device=51712 front:device-type=disk "${words[@]}"
	[ "$1" != qdisk ] || qdisk_serve
	device_await "$disk_be" "$disk_fe" 4 ||
		fail "the disk on back end $1 did not connect: states $(state_of "$disk_be"), $(state_of "$disk_fe")"
	guest_run 'until [ -b /dev/xvda ]; do sleep 0.1; done'
	back_end_pids=
	case $1 in
	paravane) back_end_pids=$(pgrep -P "$daemon_pid" | tr '\n' ' ') ;;
	qdisk) back_end_pids=${qdisk_pid:-$(device_model_pid)} ;;
	esac
}

# An HVM guest's device model is its qdisk back end; a PV guest gets one.
qdisk_serve()
{
	qdisk_pid=
	[ "$guest_type" = pv ] || return 0
	daemon "$qemu" -xen-domid "$guest_domid" -xen-attach -M xenpv -nodefaults -nographic \
		-no-user-config -serial none -monitor none -m 16
	qdisk_pid=$daemon_pid
}

disk_detach()
{
	device_detach "$disk_be" "$disk_fe"
	daemons_stop
	[ -z "${loop:-}" ] || { losetup -d "$loop"; loop=; }
}

# fio_command DISK RW BLOCK DEPTH OPERATIONS: prints "RUNTIME_MS MEAN_US P50_US P99_US
# INTERRUPTS", from fio's terse output, version 3.
fio_command()
{
	cat <<-END
	irqs() { awk -v name='${irq_of[$model]}' 'index(\$0, name) { for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i } END { print n + 0 }' /proc/interrupts; }
	before=\$(irqs)
	fio --name=b --filename=/dev/$1 --rw=$2 --bs=$3 --iodepth=$4 --number_ios=$((($5 + fio_jobs - 1) / fio_jobs)) \
		--numjobs=$fio_jobs --group_reporting --size=${image_mib}m \
		--io_size=100g --ioengine=libaio --direct=1 --randseed=1 --random_generator=tausworthe64 \
		--thread --lat_percentiles=1 --clat_percentiles=0 --minimal >/tmp/fio 2>&1 || { cat /tmp/fio; exit 1; }
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

# disk_row TABLE LABEL RW BLOCK DEPTH CHANGED NOT_EQUAL: measures and emits it. What a run costs
# besides its operations is known from one that has just enough of them to use each buffer.
disk_row()
{
	local ops few least warm times disk=${disk_of[$model]:-xvda} runtime mean p50 p99 irqs field

	wanted "$1" "$2" || return 0
	progress "$1: $2"
	ops=$(disk_operations "$4" "$5")
	few=$ops
	[ "$model" != xen-pv ] || few=$((ops / 4))
	warm=$(guest_run "$(fio_command "$disk" "$3" "$4" "$5" $few)") ||
		fail "fio failed in the guest: $(tail -n 3 <<<"$warm")"
	[[ $warm =~ ^[0-9]+\  ]] || fail "fio's output is not understood: \"$warm\" for a time and others"
	times=$(disk_times "${warm%% *}" "$ops" $few)
	ops=$((ops * times)) few=$((few * times))
	least=$(($5 * fio_jobs))
	baseline_of "$(fio_command "$disk" "$3" "$4" "$5" $least)"
	counted_run "$(fio_command "$disk" "$3" "$4" "$5" "$ops")"
	read -r runtime mean p50 p99 irqs <<<"$run_output"
	traced_run "$(fio_command "$disk" "$3" "$4" "$5" $few)"
	row table="$1" label="$2" device=disk guest="$guest_type" model="$model" back_end="$back_end" \
		operation="${3#rand}" changed="$6" not_equal="$7" block_bytes="$4" depth="$5" ops="$ops" \
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
	back_end="device model" back_end_pids=$(device_model_pid)
	model=ide; disk_workload_rows "HVM, IDE" "one command at a time, whatever the depth"
	model=ahci; disk_workload_rows "HVM, AHCI" ""
	model=nvme; disk_workload_rows "HVM, NVMe" ""
}

# pv_disk_rows GUEST: on each back end that is there.
pv_disk_rows()
{
	local note

	model=xen-pv
	for back_end in paravane linux qdisk; do
		wants_any "$1, PV disk, $back_end" || continue
		has_disk_back_end || continue
		disk_attach $back_end
		note=
		[ $back_end != linux ] || note="a loop device between image and back end"
		disk_workload_rows "$1, PV disk, $back_end" "$note"
		disk_detach
	done
}

has_disk_back_end()
{
	case $back_end in
	paravane) command -v paravane-blkback >/dev/null || { warn "paravane-blkback is not there: left out"; return 1; }
		! pgrep -f '[p]aravane-blkback.*--kind[= ]vbd3' >/dev/null ||
			{ warn "a paravane-blkback serves vbd3 already: Paravane's is left out"; return 1; } ;;
	qdisk) [ -x "$qemu" ] || { warn "$qemu is not there (Debian package qemu-system-xen): qdisk left out"; return 1; } ;;
	esac
}

# One thing changed at a time, in the PV guest, on Paravane's back end and on the kernel's:
# by the daemon's options, the kernel's modules', or the guest's driver's.
disk_changes()
{
	local table big ring

	model=xen-pv
	for back_end in paravane linux; do
		disk_change_tables
		has_disk_back_end || continue
		disk_depths $([ $back_end = linux ] && echo 1 8 || echo 1 2 4 8 16)
		case $back_end in
		paravane)
			disk_change "$table" "$big" "no persistent grants" no-persistent daemon --persistent-pages=0
			disk_change "$table" "" "no polling" no-polling daemon --poll-us=0
			disk_change "" "$big" "no indirect requests" no-indirect daemon --indirect-segments=0 ;;
		linux)
			module_load xen-blkback
			disk_change "$table" "$big" "no persistent grants" no-persistent module xen_blkback feature_persistent 0
			disk_change "" "$big" "no indirect requests" no-indirect driver max_indirect_segments=0 ;;
		esac
		disk_rings
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
	local depth

	wants_row "$table" "depth 32" "${@/#/depth }" || wanted "$big" "depth 8" || return 0
	disk_attach $back_end
	disk_row "$table" "depth 32" randread 4096 32 "" ""
	for depth in "$@"; do
		disk_row "$table" "depth $depth" randread 4096 $depth "depth" ""
	done
	disk_row "$big" "depth 8" randread 131072 8 "" ""
	disk_detach
}

# Debian's blkfront takes one page of ring unless it is told otherwise; both back ends offer 16.
disk_rings()
{
	local order label

	for order in 0 2; do
		label="$((1 << order)) page$([ $order = 0 ] || echo s)"
		wanted "$ring" "$label" || continue
		guest_driver xen-blkfront max_ring_page_order=$order
		disk_attach $back_end
		disk_row "$ring" "$label" randread 4096 128 "$([ $order = 0 ] || echo pages-of-ring)" ""
		disk_detach
	done
	guest_driver xen-blkfront
}

# disk_change TABLE BIG LABEL CHANGED HOW ARGUMENT...: a row of either table with
# something else; HOW: daemon OPTION, module MODULE PARAMETER VALUE, driver PARAMETER=VALUE.
disk_change()
{
	local small=$1 large=$2 label=$3 changed=$4 how=$5
	shift 5

	{ [ -n "$small" ] && wanted "$small" "$label"; } || { [ -n "$large" ] && wanted "$large" "$label"; } || return 0
	case $how in
	daemon) blkback_options=$1 ;;
	module) module_option "$@" ;;
	driver) guest_driver xen-blkfront "$@" ;;
	esac
	disk_attach $back_end
	[ -z "$small" ] || disk_row "$small" "$label" randread 4096 32 "$changed" ""
	[ -z "$large" ] || disk_row "$large" "$label" randread 131072 8 "$changed" ""
	disk_detach
	blkback_options=
	module_options_restore
	[ "$how" != driver ] || guest_driver xen-blkfront
}

disk_queue_table() { disk_table "queues: 4 KiB random read, 2 CPUs, depth 16 each"; }

# In a guest with two CPUs, each with a program of its own: one queue, and two.
disk_queues()
{
	local table label nr

	model=xen-pv fio_jobs=2
	for back_end in paravane linux; do
		table=$(disk_queue_table)
		has_disk_back_end || continue
		for nr in 1 2; do
			label="$nr queue$([ $nr = 1 ] || echo s)"
			wanted "$table" "$label" || continue
			[ $back_end = paravane ] || { module_load xen-blkback; module_option xen_blkback max_queues $nr; }
			guest_driver xen-blkfront max_queues=$nr
			disk_attach $back_end
			if [ "$(queues_of "$disk_fe")" = $nr ]; then
				disk_row "$table" "$label" randread 4096 16 "$([ $nr = 1 ] || echo queues)" ""
			else
				warn "left out: $label: the disk on back end $back_end has $(queues_of "$disk_fe")"
			fi
			disk_detach
			module_options_restore
		done
	done
	fio_jobs=1
}

# Dom0 on the guest's own CPU, and beside it.
disk_cores()
{
	local table cpu label

	model=xen-pv
	for back_end in paravane linux; do
		table=$(disk_table "where the back end runs: 4 KiB random read, depth 32")
		has_disk_back_end && wants_row "$table" "same CPU" "own CPU" || continue
		disk_attach $back_end
		for cpu in 0 1; do
			label=$([ $cpu = 0 ] && echo "same CPU" || echo "own CPU")
			cores_bind 0 $cpu
			disk_row "$table" "$label" randread 4096 32 "$([ $cpu = 0 ] || echo own-cpu)" ""
		done
		cores_restore
		disk_detach
	done
}
