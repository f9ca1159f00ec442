#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Our block front end against QEMU's qdisk, a back end that nobody here wrote:
# all ring sizes, split requests, unaligned ranges, images in and out; what
# arrived is judged by the image file itself.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-disk.sh"
find_qemu
own_xen "$@"

g=$("$LOCALXEN" domain) || fail "no domain"
truncate -s 24M "$tmp/disk"
make_disk $g qdisk "aio:$tmp/disk"
start_qemu $g

blkfront $g info >"$tmp/info" || fail "info; QEMU says: $(cat "$tmp/qemu.log")"
grep -q "^size  *25165824 bytes" "$tmp/info" || fail "wrong size: $(cat "$tmp/info")"
grep -q "^request .*direct" "$tmp/info" || fail "not direct: $(cat "$tmp/info")"

# A back end that nobody here wrote is explained by what it publishes.
mkfifo "$tmp/pipe"
blkfront $g read >"$tmp/pipe" 2>"$tmp/said" &
reading=$!
sleep 1000 <"$tmp/pipe" &
holder=$!
explains() { "$PARAVANE" explain $g xvda >"$tmp/explained" && grep -q Agreed "$tmp/explained"; }
wait_for 30 explains || fail "explain: $(cat "$tmp/explained" "$tmp/said")"
for words in "served by QEMU" "no indirect requests are offered" "1; the back end offers no more" \
	"not persistent: the back end does not offer" "QEMU has the data"; do
	grep -q "$words" "$tmp/explained" || fail "no '$words' in $(cat "$tmp/explained")"
done
kill $holder
wait $reading

for order in 0 1 2 3 4; do
	seeded $order 24M >"$tmp/image"
	blkfront $g write --quiet --ring-order $order "$tmp/image" || fail "write, order $order"
	cmp "$tmp/image" "$tmp/disk" || fail "order $order: the image differs"
	[ "$(blkfront $g read --ring-order $order | sum)" = "$(sum <"$tmp/image")" ] ||
		fail "order $order: what was read differs"
done

# Parts: anywhere on a sector going in, anywhere at all coming out.
seeded 77 100000 >"$tmp/part"
blkfront $g write --quiet --offset 1536 "$tmp/part" || fail "write of a part"
{ head -c 1536 "$tmp/image"; cat "$tmp/part"; tail -c +101537 "$tmp/image"; } >"$tmp/new"
cmp "$tmp/new" "$tmp/disk" || fail "a part went elsewhere"
blkfront $g read --offset 1000 --length 54321 >"$tmp/out" || fail "read of a part"
tail -c +1001 "$tmp/disk" | head -c 54321 | cmp - "$tmp/out" || fail "a part read wrong"

# Verify sees one wrong byte, and says where.
blkfront $g verify --quiet "$tmp/new" || fail "verify"
printf x | dd of="$tmp/new" bs=1 seek=7654321 conv=notrunc 2>/dev/null
expect 3 blkfront $g verify --quiet "$tmp/new" 2>"$tmp/said"
grep -q "offset 7654321 " "$tmp/said" || fail "verify said: $(cat "$tmp/said")"

# Out, sparse; and discard in between.
blkfront $g verify --quiet --pattern-test --overwrite --poll-us 0 --length 8M ||
	fail "pattern test without polling"
blkfront $g verify --quiet --pattern-test --overwrite --fresh-grants --length 8M ||
	fail "pattern test with fresh grants"
truncate -s 0 "$tmp/hole"
truncate -s 24M "$tmp/hole"
blkfront $g copy in "$tmp/hole" --quiet --holes discard || fail "copy in"
blkfront $g copy out "$tmp/out" --quiet || fail "copy out"
cmp "$tmp/hole" "$tmp/out" || fail "discarded disk differs"
[ "$(stat -c %b "$tmp/out")" -lt 64 ] || fail "copy out wrote zeros"
[ "$(stat -c %b "$tmp/disk")" -lt 64 ] || fail "discard left no hole"

# What cannot be.
expect 2 blkfront $g write --offset 100 "$tmp/part" 2>/dev/null
expect 1 blkfront $g write --offset 23M "$tmp/image" 2>"$tmp/said"
grep -q "room for" "$tmp/said" || fail "too large an image: $(cat "$tmp/said")"
expect 1 blkfront $g info --timeout 1 --device xvdz 2>"$tmp/said"
grep -q "attach the device" "$tmp/said" || fail "no device: $(cat "$tmp/said")"

blkfront $g bench --ops 20000 --pattern mixed --verify --overwrite --json >"$tmp/bench" ||
	fail "bench"
grep -q '"verified":1' "$tmp/bench" || fail "bench: $(cat "$tmp/bench")"

kill $qemu_pid
wait $qemu_pid
status_clean
say ok
