#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fence: direct writes of a killed worker go on landing for seconds, since the kernel
# has throttled them. Its successor must wait for the last of them; if it replayed at once,
# the guest would overwrite the same units, and the dead worker's data come after that
# (torture-blk.c calls it misordered).
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-torture.sh"
own_xen "$@"
wait_s=60

# ---- a device that can be throttled ----------------------------------------------------

own_images
group=/sys/fs/cgroup/blkio/paravane-ghost-$$
clean() { rm -rf "$images"; rmdir "$group" 2>/dev/null; }
trap clean EXIT
[ $direct = none ] ||
	skip "the file system of $PWD takes no direct writes"
mkdir "$group" 2>/dev/null || skip "no cgroup of the blkio controller (version 1) can be made"
# The whole disk of what the images are on.
device=$(stat -c '%Hd:%Ld' "$images/probe" 2>/dev/null)
[ ! -e "/sys/dev/block/$device/partition" ] || device=$(cat "/sys/dev/block/$device/../dev")
# throttle BYTES_PER_SECOND: 0 ends it.
throttle() { echo "$device $1" >"$group/blkio.throttle.write_bps_device"; } 2>/dev/null
throttle 400000 || skip "the device of $PWD, $device, cannot be throttled"

# ---- the guest -----------------------------------------------------------------------

truncate -s 16M "$images/disk"
start_daemon
make_guest g
attach_by_hand "$domid" "$images/disk" w "$(back_dir "$domid")/cache" none
back_reaches "$domid" 2
torture_begins "$domid" 16 65536
torture_is_served "$domid"

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
	waited_ms=$((($(date +%s%N) - started) / 1000000))
	say "turn $turn: the successor served after $waited_ms ms"
	[ $waited_ms -le ${longest_ms:-0} ] || longest_ms=$waited_ms
done
[ "${longest_ms:-0}" -ge 300 ] || fail "nothing was under way when the workers were killed: they had successors after $longest_ms ms"
# The last of what a dead worker could have written has landed by now.
sleep 3
torture_ends "$domid" "$guest_pid" "its disk"
detach_by_hand "$domid"
end_back
