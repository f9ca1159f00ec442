#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rarer half of the block protocol between our two ends: requests of up to 4096
# pages, in every way and through a crash; disks with sectors of 4096 bytes; secure
# discard; a block device by direct I/O.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
loop=
drop_loop() { [ -z "$loop" ] || losetup -d "$loop"; loop=; }
trap drop_loop EXIT
own_xen "$@"

g=$("$LOCALXEN" domain --name=g --gntalloc-limit=30000) || fail "no guest"
says() { blkfront $g info "$@" >"$tmp/info" && grep -q "$text" "$tmp/info" || fail "info $*: no '$text': $(cat "$tmp/info")"; }
bench() { blkfront $g bench --verify --overwrite --quiet "$@" >"$tmp/out" || fail "bench $*: $(cat "$tmp/out"; tail -4 "$tmp/log")"; }
detach()
{
	detach_by_hand $g
	wait_for $wait_s has_no_run_files || fail "left: $(ls "$tmp/run/blkback")"
}

say "4096 pages in a request"
truncate -s 64M "$tmp/disk"
start_daemon --indirect-segments=4096
attach_by_hand $g "$tmp/disk" w
text="up to 4096 pages, indirect"
says --segments 4096 --pool-pages 9000
for way in "" --no-persistent --copy-data; do
	bench --pattern mixed --bs 16M --depth 4 --ops 20 --segments 4096 --pool-pages 18000 $way
	bench --pattern mixed --bs 3M --depth 7 --ops 60 --segments 4096 --pool-pages 9000 $way
	bench --pattern mixed --bs 1052672 --depth 40 --ops 200 --segments 4096 --pool-pages 12000 $way
done
bench --pattern mixed --bs 16M --depth 2 --ops 10 --segments 4096 --fresh-grants

say "through a crash, with more in flight than there is room for"
use_disk $g --verify --overwrite --pattern mixed --bs 8M --depth 6 --segments 2000 --pool-pages 14000
has_successor() { now=$(worker_of $g) && [ -n "$now" ] && [ "$now" != "$pid" ]; }
for n in 1 2 3; do
	pid=$(worker_of $g)
	kill -9 "$pid"
	wait_for $wait_s has_successor || fail "no successor: $(tail -5 "$tmp/log")"
done
detach
wait $io
grep -q 'verified *yes' "$tmp/io-$g" || fail "verify: $(cat "$tmp/io-$g"; tail -5 "$tmp/log")"

say "the limit is the disk's, not the guest's"
attach_by_hand $g "$tmp/disk" w "$(back_dir $g)/max-indirect-segments" 20
text="up to 20 pages, indirect"
says --segments 4096
bench --pattern mixed --bs 300K --depth 5 --ops 50 --segments 4096
detach

say "sectors of 4096 bytes"
seeded 3 16M >"$tmp/disk"
cp "$tmp/disk" "$tmp/want"
attach_by_hand $g "$tmp/disk" w "$(back_dir $g)/logical-block-size" 4096
text="sector *4096 bytes, physical 4096"
says
text="size *16777216 bytes"
says
blkfront $g verify --quiet "$tmp/want" || fail "verify"
blkfront $g read --offset 1234567 --length 1000001 >"$tmp/out" || fail "read"
tail -c +1234568 "$tmp/want" | head -c 1000001 | cmp - "$tmp/out" || fail "an odd range was read wrongly"
seeded 4 1000001 >"$tmp/part"
blkfront $g write --quiet --offset 409600 "$tmp/part" || fail "write"
dd if="$tmp/part" of="$tmp/want" bs=4096 seek=100 conv=notrunc 2>/dev/null
cmp "$tmp/want" "$tmp/disk" || fail "the rest of a last sector was not kept"
blkfront $g copy out --quiet "$tmp/out" && cmp "$tmp/out" "$tmp/disk" || fail "copy out"
seeded 5 16M >"$tmp/want"
blkfront $g copy in --quiet "$tmp/want" && cmp "$tmp/want" "$tmp/disk" || fail "copy in"
for way in "" --no-indirect --copy-data; do
	bench --pattern mixed --bs 4096 --depth 5 --ops 300 $way
	bench --pattern mixed --bs 53248 --depth 5 --ops 200 $way
done
expect 2 blkfront $g write --quiet --offset 512 "$tmp/part" 2>"$tmp/said"
grep -q "sector" "$tmp/said" || fail "an offset inside a sector: $(cat "$tmp/said")"
detach

say "a size that does not fit the sectors is refused by name"
truncate -s 1049088 "$tmp/odd"
attach_by_hand $g "$tmp/odd" w "$(back_dir $g)/logical-block-size" 4096
refused() { xenstore-read "/local/domain/0/error/backend/vbd/$g/51712/error" >"$tmp/said" 2>/dev/null; }
wait_for $wait_s refused || fail "no error node"
error_says $g "not a multiple of the sector of 4096 bytes"
remove_nodes $g

say "secure discard of a file"
seeded 6 16M >"$tmp/disk"
cp "$tmp/disk" "$tmp/want"
truncate -s 16M "$tmp/sparse"
attach_by_hand $g "$tmp/disk" w
expect 1 blkfront $g copy in --quiet --holes erase --offset 4M --length 8M "$tmp/sparse" 2>"$tmp/said"
grep -q "no secure discard" "$tmp/said" || fail "not offered: $(cat "$tmp/said")"
cmp "$tmp/want" "$tmp/disk" || fail "the disk has changed"
detach
attach_by_hand $g "$tmp/disk" w "$(back_dir $g)/discard-secure-enable" 1
text="secure too"
says
blkfront $g copy in --quiet --holes erase --offset 4M --length 8M "$tmp/sparse" || fail "erase"
dd if=/dev/zero of="$tmp/want" bs=1M seek=4 count=8 conv=notrunc 2>/dev/null
cmp "$tmp/want" "$tmp/disk" || fail "erase: the image differs"
[ "$(stat -c %b "$tmp/disk")" -le $((8 * 2048 + 64)) ] || fail "erase left no holes"
detach

say "a block device with sectors of 4096 bytes, past the page cache"
seeded 7 16M >"$tmp/file"
if loop=$(losetup -f --show -b 4096 "$tmp/file" 2>"$tmp/said"); then
	attach_by_hand $g "$loop" w
	text="sector *4096 bytes"
	says
	blkfront $g verify --quiet "$tmp/file" || fail "verify"
	bench --pattern mixed --bs 4096 --depth 32 --ops 500
	bench --pattern mixed --bs 1M --depth 5 --ops 60 --no-persistent
	use_disk $g
	engine=$(info $g engine)
	detach
	wait $io
	attach_by_hand $g "$loop" w
	case $engine in
	direct*) ;;
	*) echo "deferred: direct I/O to a block device ($engine; $(grep -m 1 'page cache' "$tmp/log"))" ;;
	esac
	blkfront $g copy in --quiet --holes discard "$tmp/sparse" || fail "discard"
	[ "$(stat -c %b "$tmp/file")" -le 64 ] || fail "the device discarded nothing: $(stat -c %b "$tmp/file") blocks"
	detach
	drop_loop
else
	echo "deferred: a block device (losetup: $(head -n 1 "$tmp/said"))"
fi
end_back
