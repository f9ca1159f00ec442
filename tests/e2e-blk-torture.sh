#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers, and now and then their supervisor, are killed at random instants under guests
# that know what their disks must hold (torture-blk.c): nothing is lost, misordered or torn,
# no request fails. Half of the disks by the cache, half directly, by either engine; with
# and without persistent grants, indirect requests, several ring pages and queues.
# The quick run: plain
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-torture.sh"
# A short form's kills are too few to be too many; in the long form none of eight disks
# may have five crashes in ten seconds.
disks=8 kills=32 supervisors=2 pause=28
! sanitized || kills=16
if [ -n "${PV_FULL:-}" ]; then
	kills=1000 supervisors=10 pause=42
fi
own_xen "$@"
[ -n "${PV_FULL:-}" ] || say "deferred: 1,000 kills of workers ($kills here)"

own_images
trap 'rm -rf "$images"' EXIT
start_daemon
begins()
{
	case $i in
	1|5) options= ;;
	2|6) options="no-persistent one-page" ;;
	3|7) options=queues ;;
	4|8) options=no-indirect ;;
	esac
	cache=writeback
	[ $i -le $((disks / 2)) ] || cache=$direct
	# 4 KiB, or 64 KiB in 16 segments.
	units=4096 bytes=4096
	[ $((i % 2)) = 0 ] || { units=256 bytes=65536; }
	# shellcheck disable=SC2086
	disk_begins $cache $units $bytes $options
}
each_disk begins
each_disk disk_is_served

# random N: from 0 to N - 1.
random() { echo $(($(od -An -N2 -tu2 /dev/urandom) % $1)); }

# Each disk in turn.
killed=0 turn=0 deaths=0
while [ $killed -lt $kills ]; do
	i=$((turn % disks + 1))
	turn=$((turn + 1))
	eval "domid=\$dom_$i guest_pid=\$pid_$i"
	kill -0 "$guest_pid" 2>/dev/null || fail "the guest of disk $i has ended: $(cat "$tmp/torture-$domid")"
	worker=$(worker_of "$domid")
	[ -n "$worker" ] && kill -9 "$worker" 2>/dev/null && killed=$((killed + 1))
	sleep "0.$((pause + $(random 8)))"
	if [ $((killed * supervisors / kills)) -gt $deaths ]; then
		deaths=$((deaths + 1))
		kill -9 "$daemon"
		wait "$daemon"
		start_daemon
	fi
	[ $((killed % 100)) != 0 ] || say "$killed of $kills"
done
say "$killed workers and $deaths supervisors killed"
each_disk disk_ends
end_back
