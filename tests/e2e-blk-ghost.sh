#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fence: direct writes of a killed worker go on landing for seconds, since the kernel
# has throttled them. Its successor must wait for the last of them; if it replayed at once,
# the guest would overwrite the same units, and the dead worker's data come after that
# (torture-blk.c calls it misordered). So must the worker of another guest that is given the
# image when the daemon has died as well, and its lock with it. The guests do not flush: a
# thread of the worker's would wait in that, behind the writes, and until it has ended the
# worker has no successor, which then need not wait.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-torture.sh"
own_xen "$@"

# ---- a device that can be throttled ----------------------------------------------------

own_images
# Of cgroups the blkio controller of version 1, or version 2's io.
group=/sys/fs/cgroup/blkio/paravane-ghost-$$ v2=
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	group=/sys/fs/cgroup/paravane-ghost-$$ v2=1
	grep -qw io /sys/fs/cgroup/cgroup.controllers || skip "cgroups here have no io controller"
	grep -qw io /sys/fs/cgroup/cgroup.subtree_control ||
		echo +io 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control ||
		skip "the io controller of cgroups cannot be switched on"
fi
loop=
clean()
{
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$images"
	rmdir "$group" 2>/dev/null
}
trap clean EXIT
[ $direct = none ] ||
	skip "the file system of $PWD takes no direct writes"
mkdir "$group" 2>/dev/null || skip "the cgroup $group cannot be made"
# The whole disk of what the images are on.
device=$(stat -c '%Hd:%Ld' "$images/probe" 2>/dev/null)
[ ! -e "/sys/dev/block/$device/partition" ] || device=$(cat "/sys/dev/block/$device/../dev")
# throttle DEVICE BYTES_PER_SECOND: 0 ends it.
throttle()
{
	if [ -n "$v2" ]; then
		[ "$2" = 0 ] && set -- "$1" max
		echo "$1 wbps=$2" >"$group/io.max"
	else
		echo "$1 $2" >"$group/blkio.throttle.write_bps_device"
	fi
} 2>/dev/null
# 16 writes of 64 KiB at a time are ten seconds of this.
throttle "$device" 100000 || skip "the device of $PWD, $device, cannot be throttled"

# ---- the guest -----------------------------------------------------------------------

truncate -s 16M "$images/disk"
start_daemon
make_guest g
attach_by_hand "$domid" "$images/disk" w "$(back_dir "$domid")/cache" none
back_reaches "$domid" 2
torture_begins "$domid" 16 65536 no-flush
torture_is_served "$domid"

# slow_down WORKER: from now on its writes last for seconds.
slow_down()
{
	if [ -n "$v2" ]; then	# all of its tasks
		echo "$1" >"$group/cgroup.procs" || skip "a process cannot join $group"
		sleep 1
		return
	fi
	for task in /proc/"$1"/task/*; do
		echo "${task##*/}" >"$group/tasks" || skip "a task cannot join $group"
	done
	sleep 1
}

ms_since() { echo $((($(date +%s%N) - $1) / 1000000)); }

successor() { now=$(worker_of "$domid") && [ -n "$now" ] && [ "$now" != "$worker" ]; }
for turn in 1 2; do
	sleep 0.5
	worker=$(worker_of "$domid")
	slow_down "$worker"
	kill -9 "$worker"
	started=$(date +%s%N)
	# The order that counts: nobody serves while the dead one's writes are under way, which is
	# where the lock is.
	wait_for $wait_s waits_for "$images/disk" || fail "turn $turn: its successor waits for nobody: $(tail -3 "$tmp/log")"
	! successor || fail "turn $turn: it serves while it waits"
	wait_for $wait_s successor || fail "no successor; $(tail -3 "$tmp/log")"
	! waits_for "$images/disk" || fail "turn $turn: it serves before the dead one's writes have ended"
	waited_ms=$(ms_since "$started")
	say "turn $turn: the successor served after $waited_ms ms"
	[ $waited_ms -le ${longest_ms:-0} ] || longest_ms=$waited_ms
done
# No measure of ours, but of what was under way: the throttle lets no more through.
[ "${longest_ms:-0}" -ge 5000 ] || fail "too little was under way when the workers were killed: they had successors after $longest_ms ms"
# The last of what a dead worker could have written has landed by now.
sleep 12
torture_ends "$domid" "$guest_pid" "its disk"
detach_by_hand "$domid"

# ---- the daemon comes back while the storage holds one image's writes ------------------------

# That guest waits, for as long as we like; the others of the host do not.
throttle "$device" 20000
disks=2
begins() { disk_begins none 16 65536 no-flush; }
each_disk begins
each_disk disk_is_served
sleep 0.5
# The first one: the daemon comes to it before the other.
eval "slow=\$dom_1 other=\$dom_2"
held=$(worker_of "$slow")
slow_down "$held"
domid=$other worker=$(worker_of "$other")
kill -9 "$daemon" "$held" "$worker"
wait "$daemon"
start_daemon
wait_for $wait_s successor || fail "the other guest's disk does not come back: $(tail -3 "$tmp/log")"
wait_for $wait_s waits_for "$images/1" || fail "the other guest had to wait for what the first one's storage holds"
throttle "$device" 0
each_disk disk_is_served
each_disk disk_goes_on
each_disk disk_ends

# ---- the image goes to another guest -------------------------------------------------------

# second_has_its_own WHOSE: another guest is given $loop, and its writes are the last.
second_has_its_own()
{
	make_guest second
	attach_by_hand "$domid" "$loop" w "$(back_dir "$domid")/cache" none
	back_reaches "$domid" 2
	head -c 1M /dev/urandom >"$tmp/content"
	guest "$domid" "$blkfront" write "$tmp/content" >"$tmp/out" 2>&1 &
	io=$!
	wait_for $wait_s waits_for "$loop" || fail "the second guest's worker waits for nobody: $(tail -3 "$tmp/log")"
	throttle "$device" 0
	wait "$io" || fail "the second guest cannot write: $(cat "$tmp/out")"
	# Time for what comes late.
	sleep 2
	dd if="$loop" of="$tmp/found" bs=1M count=1 iflag=direct 2>/dev/null
	cmp "$tmp/found" "$tmp/content" || fail "what $1 wrote came after what the second guest did"
	detach_by_hand "$domid"
	"$LOCALXEN" destroy "$domid"
}

loop=$(losetup -f --show "$images/disk" 2>"$tmp/said") || {
	echo "deferred: the image goes to another guest (losetup: $(head -n 1 "$tmp/said"))"
	end_back
	exit 0
}
device=$(stat -c '%Hr:%Lr' "$loop")
throttle "$device" 20000 || fail "$loop cannot be throttled"
make_guest first
attach_by_hand "$domid" "$loop" w "$(back_dir "$domid")/cache" none
back_reaches "$domid" 2
torture_begins "$domid" 16 65536 no-flush
torture_is_served "$domid"
sleep 0.5
worker=$(worker_of "$domid")
slow_down "$worker"
kill -9 "$daemon" "$worker"
wait "$daemon"
"$LOCALXEN" destroy "$domid"
remove_nodes "$domid" 2>/dev/null
start_daemon
second_has_its_own "the first guest"

# ---- the target of a mirror goes to another guest ------------------------------------------------

make_guest mirrored
head -c 16M /dev/urandom >"$images/disk"
attach_by_hand "$domid" "$images/disk" w "$(back_dir "$domid")/cache" none
back_reaches "$domid" 2
torture_begins "$domid" 16 65536 no-flush
torture_is_served "$domid"
# What the daemon starts is slow as well.
throttle "$device" 20000
slow_down "$daemon"
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" mirror "$domid" xvda "$loop" --no-wait >"$tmp/out" 2>&1 ||
	fail "the mirror does not begin: $(cat "$tmp/out"; tail -3 "$tmp/log")"
helper=$(pgrep -P "$daemon" -f "mirror-vbd-$domid-51712") || fail "nobody copies: $(tail -3 "$tmp/log")"
sleep 0.5
kill -9 "$daemon" "$helper" "$(worker_of "$domid")"
wait "$daemon"
"$LOCALXEN" destroy "$domid"
remove_nodes "$domid" 2>/dev/null
start_daemon
second_has_its_own "what copied for a mirror"
end_back
