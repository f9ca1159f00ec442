#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fence: direct writes of a killed worker go on landing for seconds, since the kernel
# has throttled them. Its successor must wait for the last of them; if it replayed at once,
# the guest would overwrite the same units, and the dead worker's data come after that
# (torture-blk.c calls it misordered).
. "$(dirname "$0")/lib-blk.sh"
torture=$PWD/tests/torture-blk
[ -x "$torture" ] || skip "tests/torture-blk is not built; make check builds it"
own_xen "$@"
wait_s=60

# ---- a device that can be throttled ----------------------------------------------------

images=$(mktemp -d "$PWD/ghost.XXXXXX") || exit 1
group=/sys/fs/cgroup/blkio/paravane-ghost-$$
clean() { rm -rf "$images"; rmdir "$group" 2>/dev/null; }
trap clean EXIT
dd if=/dev/zero of="$images/probe" bs=4096 count=1 oflag=direct 2>/dev/null ||
	skip "the file system of $PWD takes no direct writes"
mkdir "$group" 2>/dev/null || skip "no cgroup of the blkio controller (version 1) can be made"
device=$(stat -c '%Hd' "$images/probe" 2>/dev/null):0
# throttle BYTES_PER_SECOND: 0 ends it.
throttle() { echo "$device $1" >"$group/blkio.throttle.write_bps_device"; } 2>/dev/null
throttle 400000 || skip "the device of $PWD, $device, cannot be throttled"

# ---- the guest -----------------------------------------------------------------------

truncate -s 16M "$images/disk"
start_daemon
make_guest g
attach_by_hand "$domid" "$images/disk" w "$(back_dir "$domid")/cache" none
back_reaches "$domid" 2
"$LOCALXEN" exec "$domid" -- "$torture" 51712 16 65536 16 1 >"$tmp/torture" 2>&1 &
guest_pid=$!
back_reaches "$domid" 4
wait_for $wait_s has_worker "$domid" || fail "no worker"

successor() { now=$(worker_of "$domid") && [ -n "$now" ] && [ "$now" != "$worker" ]; }
for turn in 1 2; do
	sleep 0.5
	worker=$(worker_of "$domid")
	for task in /proc/"$worker"/task/*; do
		echo "${task##*/}" >"$group/tasks" || skip "a task cannot join $group"
	done
	# What is under way by now lasts for seconds.
	sleep 1
	kill -9 "$worker"
	started=$(date +%s%N)
	wait_for $wait_s successor || fail "no successor; $(tail -3 "$tmp/log")"
	say "turn $turn: the successor served after $((($(date +%s%N) - started) / 1000000)) ms"
done
# The last of what a dead worker could have written has landed by now.
sleep 3
kill "$guest_pid"
wait "$guest_pid" || fail "$(cat "$tmp/torture"; tail -3 "$tmp/log")"
say "$(cat "$tmp/torture")"
back_reaches "$domid" 6
detach_by_hand "$domid"
end_back
