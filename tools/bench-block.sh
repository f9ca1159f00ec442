#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The block part of tools/bench, which reads it: one front end, one image in the
# page cache, served by our back end and by QEMU's qdisk. The limit, fio on the
# same file without any ring, is in the same table. Also what rest costs: CPU time,
# memory, time from attach to connected. Must not know: what makes it fast.

find_qemu()
{
	local q

	for q in /usr/libexec/xen-qemu-system-i386 /usr/lib/xen/bin/qemu-system-i386 \
		 "$(command -v qemu-system-i386)"; do
		[ -x "$q" ] && { echo "$q"; return; }
	done
	return 1
}

# Two guests, one served by each back end, both of the same image.
start_both()
{
	local qemu domid

	head -c "${size_mib}M" /dev/urandom >"$work/image" || fail "no room for $size_mib MiB in $work"
	localxen domain --name=ours >"$work/ours.log" 2>&1 || fail "no domain" "$work/ours.log"
	localxen domain --name=qdisk >"$work/qdisk.log" 2>&1 || fail "no domain" "$work/qdisk.log"
	background blkback paravane-blkback
	blkback_pid=$last_pid
	paravane attach-disk ours "$work/image" xvda --mode 'w!' --no-wait >"$work/attach.log" 2>&1 ||
		fail "the disk cannot be attached" "$work/attach.log"
	qemu=$(find_qemu) || { no_qemu="no QEMU with Xen's qdisk (Debian package qemu-system-xen)"; return; }
	domid=$(xenstore-list /local/domain | while read -r d; do
		[ "$(xenstore-read "/local/domain/$d/name" 2>/dev/null)" = qdisk ] && echo "$d"; done)
	paravane attach-disk qdisk "aio:$work/image" xvda --kind qdisk --mode 'w!' --no-wait \
		>"$work/attach.log" 2>&1 || fail "the qdisk cannot be attached" "$work/attach.log"
	background qemu "$qemu" -xen-domid "$domid" -xen-attach -M xenpv -nodefaults -nographic \
		-no-user-config -serial none -monitor none -m 16
}
no_qemu=''

# one SIDE PATTERN BLOCKSIZE DEPTH [OPTION...]: prints IOPS
one()
{
	localxen exec "$1" -- paravane-blkfront bench --device xvda --pattern "$2" --bs "${3^^}" \
		--overwrite --depth "$4" --seconds "$seconds" --json "${@:5}" \
		>"$work/one.json" 2>"$work/one.log" || fail "$1: $2 $3 depth $4" "$work/one.log"
	number iops "$work/one.json"
}

# limit ENGINE RW BLOCKSIZE: fio's IOPS on the file itself
limit()
{
	local ms

	ms=$(awk -v s="$seconds" 'BEGIN { printf "%d", s * 1000 }')
	fio --name=limit --filename="$work/image" --size="${size_mib}M" --ioengine="$1" --rw="$2" \
		--bs="$3" --iodepth=32 --iodepth_batch=8 --time_based --runtime="${ms}ms" --output-format=json \
		--norandommap --randrepeat=0 --allow_mounted_write=1 >"$work/fio.json" 2>"$work/fio.log" || return 1
	# the side that did nothing has 0
	sed -n 's/^ *"iops" : \([0-9.]*\).*/\1/p' "$work/fio.json" | sort -n | tail -n 1
}

# show PATTERN BLOCKSIZE IOPS: MiB/s for large blocks
show()
{
	case $2 in
	*k) awk -v i="$3" -v k="${2%k}" 'BEGIN {
		if (k > 16) printf "%.0f MiB/s", i * k / 1024; else printf "%.0f IOPS", i }' ;;
	esac
}

# measure TEXT PATTERN BLOCKSIZE DEPTH GOAL
measure()
{
	local text=$1 pattern=$2 bs=$3 depth=$4 goal=$5 i side ours qdisk r met=''

	: >"$work/ours.iops"
	: >"$work/qdisk.iops"
	for ((i = 0; i < rounds; i++)); do
		# each goes first in every second round
		for side in $([ $((i % 2)) = 0 ] && echo ours qdisk || echo qdisk ours); do
			[ "$side" = qdisk ] && [ -n "$no_qemu" ] && continue
			one "$side" "$pattern" "$bs" "$depth" >>"$work/$side.iops" || exit 1
		done
	done
	ours=$(median <"$work/ours.iops")
	qdisk=0
	[ -n "$no_qemu" ] || qdisk=$(median <"$work/qdisk.iops")
	r=$(ratio "$ours" "$qdisk")
	if [ "$goal" = - ] || [ -n "$no_qemu" ] || [ $quick = 1 ]; then
		goal=''
	else
		at_least "$r" "$goal" && met=met || met='not met'
		goal=">= $goal"
	fi
	printf '%-26s %16s %16s %7s %8s  %s\n' "$text" "$(show "$pattern" "$bs" "$ours")" \
		"$(show "$pattern" "$bs" "$qdisk")" "$r" "$goal" "$met"
	printf '    {"pattern": "%s", "block_bytes": %d, "depth": %d, "ours_iops": %s, "qdisk_iops": %s, "ratio": %s, "goal": "%s", "result": "%s", "ours_rounds": [%s], "qdisk_rounds": [%s]}\n' \
		"$pattern" $((${bs%k} * 1024)) "$depth" "$ours" "$qdisk" "$r" "$goal" "$met" \
		"$(paste -sd, "$work/ours.iops")" "$(paste -sd, "$work/qdisk.iops")" >>"$work/rows"
}

# The same reads without a ring, in turn with ours.
limits()
{
	local engine iops best=0 i ours

	for ((i = 0; i < rounds; i++)); do
		for engine in psync io_uring; do
			limit $engine randread 4k >>"$work/$engine.limit"
		done
		one ours randread 4k 32 >>"$work/ours.limit" || exit 1
	done
	ours=$(median <"$work/ours.limit")
	for engine in psync io_uring; do
		iops=$(grep -v '^0*\.*0*$' "$work/$engine.limit" | median)
		if [ -z "$iops" ]; then
			printf '%-26s %16s\n' "fio $engine, no ring" "not available"
			continue
		fi
		at_least "$iops" "$best" && best=$iops
		printf '%-26s %16s\n' "fio $engine, no ring" "$(show randread 4k "$iops")"
		printf '    {"engine": "%s", "iops": %s}\n' "$engine" "$iops" >>"$work/limits"
	done
	[ "$best" != 0 ] || return
	limit_ratio=$(ratio "$ours" "$best")
	printf '%-26s %16s %16s %7s %8s  %s\n' 'depth 32 against the limit' "$(show randread 4k "$ours")" '' \
		"$limit_ratio" '>= 0.4' "$(at_least "$limit_ratio" 0.4 && echo met || echo 'not met')"
}

# With both ends on one CPU a look at the ring never pays: how much time do both
# ends spend looking, and what does it cost against not looking at all?
one_cpu_polling()
{
	local i with without share

	for ((i = 0; i < rounds; i++)); do
		one ours randread 4k 1 >>"$work/with" || exit 1
		number spin_share "$work/one.json" >>"$work/share"
		one ours randread 4k 1 --poll-us 0 >>"$work/without" || exit 1
	done
	with=$(median <"$work/with") without=$(median <"$work/without") share=$(median <"$work/share")
	printf '\n%-40s %s against %s without: %s; %s %% of the time\n' 'front end polling on one CPU' \
		"$(show randread 4k "$with")" "$(show randread 4k "$without")" "$(ratio "$with" "$without")" \
		"$(awk -v s="$share" 'BEGIN { printf "%.1f", s * 100 }')"
}

# ---- at rest --------------------------------------------------------------------

at_rest()
{
	local pid front before after pss i t

	for ((i = 0; i < rounds; i++)); do
		rm -f "$work/nbd"
		localxen exec rest -- bash -c \
			'until xenstore-exists device/vbd/51712/backend; do sleep 0.002; done
			 exec paravane-blkfront nbd --device xvda --socket "$0" --timeout 30' "$work/nbd" \
			>"$work/nbd.log" 2>&1 </dev/null &
		front=$!
		sleep 0.3
		t=$(date +%s%N)
		paravane attach-disk rest "$work/small" xvda >"$work/attach.log" 2>&1 ||
			fail "attach" "$work/attach.log"
		echo $((($(date +%s%N) - t) / 1000)) >>"$work/attach_us"
		if [ $i = 0 ]; then
			pid=$(paravane list rest --json | sed -n 's/.*"worker_pid": \([0-9]*\).*/\1/p')
			sleep 0.5
			before=$(cpu_ticks "$pid")
			sleep 2
			after=$(cpu_ticks "$pid")
			idle_ms=$(((after - before) * 1000 / $(getconf CLK_TCK)))
			pss_kib=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")
		fi
		kill $front 2>/dev/null
		wait $front 2>/dev/null
		paravane detach rest xvda >"$work/attach.log" 2>&1 || fail "detach" "$work/attach.log"
	done
	attach_ms=$(median <"$work/attach_us" | awk '{ printf "%.1f", $1 / 1000 }')
	printf '\n'
	printf '%-40s %9s ms %11s  %s\n' 'attach-disk to Connected' "$attach_ms" '< 50' \
		"$(at_least "$attach_ms" 50 && echo 'not met' || echo met)"
	printf '%-40s %9s ms %11s  %s\n' 'CPU time of a worker over 2 s at rest' "$idle_ms" '0' \
		"$([ "$idle_ms" -le 10 ] && echo met || echo 'not met')"
	printf '%-40s %8s KiB %11s  %s\n' 'memory of a worker at rest (PSS)' "$pss_kib" '< 3072' \
		"$([ "$pss_kib" -lt 3072 ] && echo met || echo 'not met')"
}

json_block()
{
	printf '    "image_mib": %d,\n    "rows": [\n%s\n    ],\n' "$size_mib" "$(json_rows "$work/rows")"
	printf '    "limits": [\n%s\n    ],\n' "$(json_rows "$work/limits")"
	printf '    "depth32_of_limit": %s, "attach_ms": %s, "idle_cpu_ms": %s, "worker_pss_kib": %s\n' \
		"${limit_ratio:-null}" "${attach_ms:-null}" "${idle_ms:-null}" "${pss_kib:-null}"
}

bench_block()
{
	start_both
	[ -z "$no_qemu" ] || printf 'bench: %s: only our own figures\n' "$no_qemu" >&2
	printf '%-26s %16s %16s %7s %8s\n' '' 'paravane-blkback' 'QEMU qdisk' 'ratio' \
		"$([ $quick = 1 ] || echo goal)"
	measure '4k random read, depth 1' randread 4k 1 3
	measure '4k random read, depth 32' randread 4k 32 5
	measure '128k read, depth 8' read 128k 8 2
	if [ $quick = 0 ]; then
		measure '4k random write, depth 1' randwrite 4k 1 -
		measure '4k random write, depth 32' randwrite 4k 32 -
		measure '128k write, depth 8' write 128k 8 -
		limits
		localxen domain --name=rest >"$work/rest.log" 2>&1 || fail "no domain" "$work/rest.log"
		truncate -s 64M "$work/small"
		at_rest
		[ $one_cpu = 0 ] || one_cpu_polling
	fi
}
