#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a disk may do in a second: set at attach, by the key, changed live; one budget of all
# queues; kept by a worker after a kill and by the next daemon; without a CPU that spins.
# Only "not more than" is looked at, which no slow machine can break.
. "$(dirname "$0")/lib-blk.sh"
need python3 python3
own_xen "$@"
export PARAVANE_RUNDIR=$tmp/run
paravane() { "${abs_top_builddir:-$PWD}/paravane" "$@"; }
start_daemon
make_guest g && g=$domid
truncate -s 64M "$tmp/disk"

# bench OPTION...: in $tmp/json.
bench()
{
	timeout 120 "$LOCALXEN" exec "$g" -- "$blkfront" bench --quiet --json --pattern randread \
		--bs 4K --depth 32 --ring-order 0 "$@" >"$tmp/json" 2>"$tmp/bench-log" ||
		fail "bench: $(cat "$tmp/bench-log"); $(tail -n 3 "$tmp/log")"
}
# keeps UNITS_PER_S SAVED UNITS: so many took as long as they had to.
keeps()
{
	python3 -c "
import json, sys
j = json.load(open('$tmp/json'))
took, least = j['seconds'], ($3 - ($2)) / $1
print('$name: $3 at $1 a second with $2 saved: %.2f s, at least %.2f' % (took, least))
sys.exit(took < least * .98)" || fail "too fast: $(cat "$tmp/json")"
}
# limit_is TEXT: what paravane limit prints behind the device's name.
limit_is() { reads "xvda of g (domain $g): $1" paravane limit g xvda; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

say "at attach; one budget of all queues"
paravane attach-disk g "$tmp/disk" xvda --no-wait --limit iops=400,iops-burst=100 >/dev/null || fail attach
bench --ops 700 --warmup 0
keeps 400 100 700
bench --ops 500 --warmup 0 --queues 4
keeps 400 100 500
reads iops=400,iops-burst=100 xenstore-read "$(back_dir "$g")/limit"

say "a limited disk costs no CPU"
"$LOCALXEN" exec "$g" -- "$blkfront" bench --quiet --pattern write --overwrite --bs 4K --depth 32 --seconds 3600 >/dev/null 2>&1 &
load=$!
back_reaches "$g" 4
wait_for $wait_s has_worker "$g" || fail "no worker"
# Whoever is killed, and succeeded, goes on with the limit.
limit_is "in force: iops=400 iops-burst=100"
before=$(worker_of "$g")
kill -9 "$before"
other() { new=$(worker_of "$g") && [ "$new" != "$before" ]; }
wait_for $wait_s other || fail "no successor"
paravane limit g xvda iops=1 iops-burst=none >/dev/null || fail "limit"
pid=$(worker_of "$g") at=$(cpu_ticks "$pid")
sleep 2
[ $(($(cpu_ticks "$pid") - at)) -lt 100 ] || fail "$(($(cpu_ticks "$pid") - at)) of 200 ticks with one request a second"

say "live, and by the next daemon"
paravane limit g xvda none >/dev/null || fail "none"
limit_is "in force: no limit"
kill $load
wait $load
bench --ops 2000
paravane limit g xvda bytes-per-second=4MiB bytes-burst=1MiB read-iops=100k >/dev/null || fail "bytes"
bench --ops 48 --bs 64K --warmup 0
keeps 4194304 "1048576 + 65536" "48 * 65536"
kill "$daemon"
wait "$daemon"
# Written while nobody serves; a request of more than 4096 counts as 16.
paravane limit g xvda none >/dev/null || fail "none without a daemon"
paravane limit g xvda iops=200 iops-size-bytes=4Ki iops-burst=32 >/dev/null || fail "without a daemon"
start_daemon
bench --ops 30 --bs 64K --warmup 0 --batch 1
keeps 200 48 "30 * 16"
paravane limit g xvda --json | python3 -c "
import json, sys
j = json.load(sys.stdin)
assert j['limit'] == {'iops': 200, 'iops_burst': 32, 'iops_size_bytes': 4096}, j
assert j['devid'] == 51712 and j['domid'] == $g and j['kind'] == 'vbd', j" || fail "JSON"

say "words that are none"
refused "limit such as iops=500" paravane limit g xvda iops=many
refused "limit such as iops=500" paravane limit g xvda tx-bytes-per-second=1M
refused "nothing is saved up" paravane limit g xvda write-iops-burst=5
expect 2 paravane limit g xvda iops=-1 2>/dev/null
expect 4 paravane limit g xvdb iops=1 2>/dev/null
# In use it changes nothing; before, it is refused with the reason.
"$LOCALXEN" exec "$g" -- "$blkfront" info --watch --quiet >/dev/null 2>&1 &
holder=$!
back_reaches "$g" 4
xenstore-write "$(back_dir "$g")/limit" iops=
wait_for $wait_s grep -q "limit is 'iops='.*stay as they are" "$tmp/log" || fail "$(tail -3 "$tmp/log")"
reads iops=200,iops-burst=32,iops-size-bytes=4096 xenstore-read "$(back_dir "$g")/limit-in-force"
paravane limit g xvda iops=5k 2>/dev/null >&2 || fail "a bad limit cannot be mended"
kill $holder
wait $holder
paravane detach g xvda >/dev/null || fail detach
end_back
