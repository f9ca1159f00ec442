#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that grows and shrinks under a connected front end: noticed without a
# word, or by paravane resize; the new end is what requests are held against.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
own_xen "$@"

paravane() { PARAVANE_RUNDIR=$tmp/run "${abs_top_builddir:-$PWD}/paravane" "$@"; }
truncate -s 16M "$tmp/disk"
make_guest g && g=$domid
attach_by_hand $g "$tmp/disk" w
expect 1 paravane resize g xvda 2>"$tmp/said"
grep -q "published nothing" "$tmp/said" || fail "resize without a daemon: $(cat "$tmp/said")"
start_daemon
expect 4 paravane resize g xvdb 2>"$tmp/said"
expect 2 paravane resize g 2>"$tmp/said"

guest $g sh -c 'echo $$ >"$1"; exec "$2" info --watch --json' sh "$tmp/pid" "$blkfront" \
	>"$tmp/watch" 2>"$tmp/watch.log" &
watcher=$!
back_reaches $g 4
front_reaches $g 4
sees() { [ "$(sed -n "s/.*\"size_bytes\":\([0-9]*\),.*/\1/p" "$tmp/watch" | tail -n 1)" = "$1" ]; }
wait_for $wait_s sees 16777216 || fail "info: $(cat "$tmp/watch" "$tmp/watch.log")"

say "grows by itself, grows and shrinks when told"
truncate -s 24M "$tmp/disk"
wait_for $wait_s sees 25165824 || fail "the front end does not see it grow: $(cat "$tmp/watch")"
truncate -s 32M "$tmp/disk"
reads "xvda of g (domain $g): 33554432 bytes" paravane resize g xvda --wait $wait_s
wait_for $wait_s sees 33554432 || fail "the front end does not see paravane resize"
reads '{"domid": '$g', "device": "xvda", "devid": 51712, "kind": "vbd", "backend_domid": 0, "size_bytes": 33554432}' \
	paravane resize g xvda --wait $wait_s --json
truncate -s 8388700 "$tmp/disk"
wait_for $wait_s sees 8388608 || fail "the front end does not see it shrink: $(cat "$tmp/watch")"
node_is "$(back_dir $g)/state" 4 || fail "the back end left Connected"
kill "$(cat "$tmp/pid")"
wait $watcher
back_reaches $g 6

say "a killed worker's successor serves the odd size; the new end is the limit"
truncate -s 8M "$tmp/disk"
use_disk $g
truncate -s 20971000 "$tmp/disk"
reads "xvda of g (domain $g): 20970496 bytes" paravane resize g xvda --wait $wait_s
pid=$(worker_of $g)
kill -9 "$pid"
has_successor() { now=$(worker_of $g) && [ -n "$now" ] && [ "$now" != "$pid" ]; }
wait_for $wait_s has_successor || fail "no successor: $(tail -3 "$tmp/log")"
kill -INT "$(pgrep -P $io)"
wait "$io"
back_reaches $g 6
truncate -s 20970496 "$tmp/disk"
seeded 1 512 >"$tmp/last"
blkfront $g write --quiet --offset 20969984 "$tmp/last" || fail "the last sector is not written"
expect 2 blkfront $g read --quiet --offset 20970496 --length 512 >/dev/null 2>&1
reads 40958 xenstore-read "$(back_dir $g)/sectors"
dd if="$tmp/disk" bs=512 skip=40957 count=1 2>/dev/null | cmp - "$tmp/last" || fail "the last sector differs"
detach_by_hand $g

say "a block device"
if loop=$(losetup -f --show "$tmp/disk" 2>/dev/null); then
	trap 'losetup -d $loop' EXIT
	attach_by_hand $g "$loop" w
	use_disk $g
	truncate -s 28M "$tmp/disk"
	losetup -c "$loop"
	wait_for $wait_s node_is "$(back_dir $g)/sectors" 57344 || fail "a device that grew is not noticed"
	detach_by_hand $g
	wait "$io"
else
	echo "deferred: a block device that grows (no loop device here)"
fi
end_back
