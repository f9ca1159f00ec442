#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Data through our front end and our back end: every way of moving it, small and
# large, on and off page boundaries, judged by the image file itself; discard,
# flush, read-only; an ext4 file system in and out.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
own_xen "$@"

make_guest g && g=$domid
seeded 0 16M >"$tmp/disk"
cp "$tmp/disk" "$tmp/want"

# ways TEXT: what info must say. Then options of the front end.
check()
{
	blkfront $g info "$@" >"$tmp/info" || fail "info $*"
	n=$((n + 1))
	seeded $n 3333333 >"$tmp/part"
	blkfront $g write --quiet --offset 1234432 "$@" "$tmp/part" || fail "write $*"
	dd if="$tmp/part" of="$tmp/want" bs=64k oflag=seek_bytes seek=1234432 conv=notrunc \
		2>/dev/null
	cmp "$tmp/want" "$tmp/disk" || fail "write $*: the image differs"
	blkfront $g read "$@" | cmp - "$tmp/want" || fail "read $*"
	blkfront $g read --offset 1234567 --length 1000001 "$@" >"$tmp/out" || fail "read $*"
	tail -c +1234568 "$tmp/want" | head -c 1000001 | cmp - "$tmp/out" || fail "read $*"
}
says() { grep -q "$1" "$tmp/info" || fail "info does not say '$1': $(cat "$tmp/info")"; }

n=0
all_ways()
{
	check
	says "indirect"
	check --no-indirect
	says "up to 11 pages, direct"
	check --no-persistent
	says "persistent grants no"
	check --no-persistent --no-indirect
	check --segments 1 --depth 3
	check --segments 256 --pool-pages 700
	says "up to 256 pages"
	check --ring-order 0
	says "32 slots"
	check --ring-order 4 --poll-us 0
	says "512 slots"
	check --pool-pages 5
	says "data pages  *5"
	blkfront $g bench --fresh-grants --quiet --pattern mixed --verify --overwrite \
		--offset 8M --length 2M --ops 300 --bs 100K >/dev/null || fail "fresh grants"
	blkfront $g read --offset 8M --length 2M >"$tmp/part"
	dd if="$tmp/part" of="$tmp/want" bs=1M seek=8 conv=notrunc 2>/dev/null
}

start_daemon
attach_by_hand $g "$tmp/disk" w
all_ways

# Sizes and offsets, each operation checked, in three ways.
for bs in 512 1536 4096 45056 45568 131072 1M 4M; do
	for way in "" --copy-data --no-persistent; do
		blkfront $g bench --pattern mixed --verify --overwrite --bs $bs --depth 5 \
			--offset 512 --length 9437184 --ops 200 --quiet $way >"$tmp/out" ||
			fail "bench --bs $bs $way: $(cat "$tmp/out"; tail -4 "$tmp/log")"
	done
done
seeded 1 16M >"$tmp/want"
blkfront $g copy in "$tmp/want" --quiet || fail "copy in"
# No more than asked for, however fast the machine.
blkfront $g bench --rate 400 --depth 4 --seconds 1 --json >"$tmp/out" || fail "bench --rate: $(cat "$tmp/out")"
iops=$(sed -n 's/.*"iops":\([0-9]*\).*/\1/p' "$tmp/out")
[ "$iops" -gt 0 ] && [ "$iops" -le 410 ] || fail "$iops operations a second at --rate 400"
say "$iops operations a second at --rate 400"
# A stall is seen in all that were due meanwhile, though one at a time is under way; also that
# part of it which lies behind the warm-up.
for warmup in 0 1; do
	blkfront $g bench --rate 100 --depth 1 --warmup $warmup --seconds 5 --json >"$tmp/out" 2>&1 &
	io=$!
	back_reaches $g 4
	worker=$(worker_of $g)
	kill -STOP "$worker"
	sleep $((warmup + 1))
	kill -CONT "$worker"
	wait $io || fail "bench --rate: $(cat "$tmp/out")"
	python3 - "$tmp/out" <<'END' || fail "a stall of a second after $warmup is not seen: $(cat "$tmp/out")"
import json, sys
d = json.load(open(sys.argv[1]))
assert d['rate'] == 100 and d['ops'] + d['missed'] > 450 and d['latency_us']['p90'] > 100000, d
END
done
expect 2 blkfront $g bench --rate 100 --batch 4 2>/dev/null

# Discard leaves holes where the file had them, and nothing else changes.
truncate -s 16M "$tmp/sparse"
for at in 1 7 15; do
	seeded $at 1M | dd of="$tmp/sparse" bs=1M seek=$at conv=notrunc 2>/dev/null
done
blkfront $g copy in "$tmp/sparse" --quiet --holes discard || fail "copy in, discard"
cmp "$tmp/sparse" "$tmp/disk" || fail "discard: the image differs"
[ "$(stat -c %b "$tmp/disk")" -le $((3 * 2048 + 64)) ] ||
	fail "discard left no holes: $(stat -c %b "$tmp/disk") blocks"
blkfront $g copy out "$tmp/out" --quiet || fail "copy out"
cmp "$tmp/sparse" "$tmp/out" || fail "copy out differs"
[ "$(stat -c %b "$tmp/out")" -le $((3 * 2048 + 64)) ] || fail "copy out is not sparse"

# json EXPECTED STATUS WORD...: the object that is printed, but for its seconds.
json()
{
	want=$1 status=$2
	shift 2
	expect "$status" blkfront $g "$@" --json >"$tmp/json" 2>"$tmp/said"
	[ "$(sed -n 's/,"seconds":[0-9.]*}$/}/p' "$tmp/json")" = "{\"device\":\"xvda\",$want}" ] ||
		fail "$* --json: $(cat "$tmp/json" "$tmp/said")"
}
json '"direction":"in","bytes":16777216' 0 copy in "$tmp/want"
json '"direction":"out","bytes":1000001' 0 copy out "$tmp/out" --offset 512 --length 1000001
json '"same":1,"bytes":16777216,"first_difference_offset":null' 0 verify "$tmp/want"
cp "$tmp/want" "$tmp/out"
printf x | dd of="$tmp/out" bs=1 seek=5000000 conv=notrunc 2>/dev/null
json '"same":0,"bytes":5000000,"first_difference_offset":5000000' 3 verify "$tmp/out"
grep -q 'at offset 5000000' "$tmp/said" || fail "verify --json: $(cat "$tmp/said")"
json '"same":0,"bytes":0,"first_difference_offset":null' 3 verify "$tmp/want" --offset 1M
json '"same":1,"bytes":1048576,"first_difference_offset":null' 0 verify --pattern-test --overwrite \
	--offset 2M --length 1M

# A file system, in and out.
if command -v mke2fs >/dev/null; then
	mkdir "$tmp/files"
	seeded 5 4M >"$tmp/files/large"
	cp "$0" "$tmp/files/script"
	mke2fs -q -t ext4 -d "$tmp/files" "$tmp/ext4" 15M || fail "mke2fs"
	blkfront $g copy in "$tmp/ext4" --quiet || fail "copy in, ext4"
	e2fsck -fn "$tmp/disk" >"$tmp/fsck" 2>&1 || fail "e2fsck: $(cat "$tmp/fsck")"
	blkfront $g verify --quiet "$tmp/ext4" || fail "verify, ext4"
	blkfront $g copy out --length 15M "$tmp/out" --quiet || fail "copy out, ext4"
	cmp "$tmp/ext4" "$tmp/out" || fail "ext4 came back changed"
else
	echo "deferred: ext4 (no mke2fs; Debian package e2fsprogs)"
fi

# A signal ends a read whose output nobody takes, in order.
read_is_over() { ! [ -d "/proc/$(cat "$tmp/pid")" ]; }
ends_by_signal()
{
	wait_for $wait_s read_is_over || fail "the read goes on after a SIGTERM $1"
	wait $!
	status=$?
	[ $status = 130 ] || fail "the read interrupted $1 ended with $status"
	node_is "$(front_dir $g)/state" 6 ||
		fail "the read interrupted $1 did not close the device: $(cat "$tmp/said")"
}

# read_into_pipe PREFIX...: a read with these words before its own; not waited for.
has_pid() { [ -s "$tmp/pid" ]; }
read_into_pipe()
{
	: >"$tmp/pid"
	"$LOCALXEN" exec $g -- sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$tmp/pid" "$@" \
		"$BLKFRONT" read >"$tmp/pipe" 2>"$tmp/said" &
	wait_for $wait_s has_pid || fail "no read starts"
}

mkfifo "$tmp/pipe"
sleep 1000 <"$tmp/pipe" &
reader=$!
read_into_pipe env LD_PRELOAD="$PWD/tests/signal-write.so" \
	ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0"
ends_by_signal "before it writes"
read_into_pipe env
pipe_is_full() { grep -q pipe_write "/proc/$(cat "$tmp/pid")/wchan"; }
wait_for $wait_s pipe_is_full || fail "the read does not fill the pipe"
kill "$(cat "$tmp/pid")"
ends_by_signal "while it writes"
kill $reader
wait $reader 2>/dev/null

# The other way for the back end to reach our pages.
stop_serving()
{
	# Who connects in order may do so as often as he likes.
	grep "without end" "$tmp/log" && fail "the daemon takes a front end for a storm"
	detach_by_hand $g
	wait_for $wait_s has_no_run_files || fail "left: $(ls "$tmp/run/blkback")"
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
}
stop_serving
seeded 0 16M >"$tmp/disk"
cp "$tmp/disk" "$tmp/want"
start_daemon --grant-mode=copy
attach_by_hand $g "$tmp/disk" w
all_ways
stop_serving

# Read-only: refused here, and nothing reaches the disk.
start_daemon
attach_by_hand $g "$tmp/disk" r
cp "$tmp/disk" "$tmp/before"
expect 1 blkfront $g write --quiet "$tmp/part" 2>"$tmp/said"
grep -q "read-only" "$tmp/said" || fail "read-only: $(cat "$tmp/said")"
blkfront $g verify --quiet "$tmp/before" || fail "verify, read-only"
cmp "$tmp/before" "$tmp/disk" || fail "a refused write reached the image"
detach_by_hand $g
end_back
