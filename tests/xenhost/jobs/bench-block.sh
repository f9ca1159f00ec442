# SPDX-License-Identifier: LGPL-2.1-or-later
# about: speed of block back ends side by side in one guest (tools/bench-xen)
# needs: paravane-blkback
# timeout: 3600
# boot: own clock=count
#
# Writes lines "TABLE DISK ROW OPERATIONS MS" to figures, in the order measured. TURN=N
# lets another disk go first; TABLES, DISKS and ROWS select; TSC is the guest's
# tsc_mode; OURS holds options of our daemon. Time limits are this clock's seconds,
# which run fast while the machine waits for a busy disk underneath.

mib=256
console=$xh_run/consoles/guest-bench.log
rows=${ROWS:-"randread-4k randwrite-4k read-128k write-128k"}

# fio_row DISK ROW: prints operations and milliseconds of the guest's clock.
fio_row()
{
	local rw=${2%-*} bs=${2#*-} depth=32 nr=20000

	[ "$bs" = 4k ] || { depth=8; nr=5000; }
	guest_send bench "fio --name=b --filename=/dev/$1 --rw=$rw --bs=$bs --iodepth=$depth --number_ios=$nr \
		--size=${mib}m --io_size=100g --ioengine=libaio --direct=1 --minimal"
	guest_said 3000
	awk -F';' -v nr=$nr -v n="$guest_number" 'index($0, "@" n "| ") == 1 && /;/ { print nr, $9 + $50; exit }' "$console"
}

# guest_said SECONDS: waits for the answer to what was sent, asleep in the kernel. dom0
# shares the one CPU with what is measured, and a shell that looks five times a second
# starts processes: 4 % of all instructions.
guest_said()
{
	local tail status=0

	exec 9< <(exec tail -n +1 -f "$console")
	tail=$!
	timeout "$1" grep -aqm1 "^@$guest_number= " <&9 || status=$?
	exec 9<&-
	kill $tail
	return $status
}

# turns WORDS: the words, beginning with another one in each boot.
turns()
{
	local words=($*) n=$#

	n=$((${TURN:-0} % n))
	echo "${words[@]:$n}" "${words[@]:0:$n}"
}

# measure TABLE NAME DISK KIND: all rows on a connected disk, then detaches it.
measure()
{
	local row figures

	check "$1: $2 connects" disk_connected bench "$3" "$4" 120
	for row in $rows; do
		figures=$(fio_row "$3" "$row")
		say "$1 $2 $row: $figures"
		echo "$1 $2 $row $figures" >>"$XH_RESULTS/figures"
	done
	check "$1: $2 goes" disk_detach bench "$3" "$4" 60
}

# serve_vbd3 OPTION...: our daemon for kind vbd3, anew with these options.
serve_vbd3()
{
	[ -z "${our_pid[vbd3]}" ] || stop_daemon "${our_pid[vbd3]}"
	our_backend vbd3 "$@"
}

# attach_file NAME DISK: in the page cache of dom0's memory.
attach_file()
{
	case $1 in
	blkback) kernel_disk bench "$2" "$file"; measure cached blkback "$2" vbd ;;
	qdisk)	qdisk bench "$2" "$file"; measure cached qdisk "$2" qdisk ;;
	ours)	serve_vbd3 $OURS; our_disk bench "$2" "$file" vbd3; measure cached ours "$2" vbd3 ;;
	null)	serve_vbd3 $OURS --engine=null; our_disk bench "$2" "$file" vbd3; measure cached null "$2" vbd3 ;;
	esac
}

# attach_device NAME DISK: on the block device $device, past the page cache.
attach_device()
{
	case $1 in
	blkback)
		modprobe xen-blkback
		disk_attach bench "$2" vbd params="$device" hotplug-status=connected physical-device-path="$device" \
			physical-device="$(printf '%x:%x' $(stat -c '0x%t 0x%T' "$device"))"
		measure direct blkback "$2" vbd ;;
	ours)
		serve_vbd3 $OURS
		our_disk bench "$2" "$device" vbd3
		measure direct ours "$2" vbd3 ;;
	esac
}

for table in ${TABLES:-cached direct}; do
	guest_start bench pv memory=400 extra="tsc_mode='${TSC:-default}'"
	letters=(xvda xvdb xvdc xvdd)
	n=0
	case $table in
	cached)
		file=$(image bench $mib)
		for name in $(turns ${DISKS:-blkback qdisk ours null}); do
			attach_file "$name" "${letters[n++]}"
		done
		rm "$file" ;;
	direct)
		modprobe brd rd_nr=1 rd_size=$((mib * 1024))
		device=/dev/ram0
		dd if=/dev/zero of=$device bs=1M count=$mib oflag=direct status=none
		for name in $(turns blkback ours); do
			attach_device "$name" "${letters[n++]}"
		done
		rmmod brd || true ;;
	esac
	guest_stop bench
done
