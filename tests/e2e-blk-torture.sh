#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers, and now and then their supervisor, are killed at random instants under guests
# that know what their disks must hold (torture-blk.c): nothing is lost, misordered or torn,
# no request fails. Half of the disks by the cache, half directly, by either engine; with
# and without persistent grants, indirect requests, several ring pages and queues.
. "$(dirname "$0")/lib-blk.sh"
torture=$PWD/tests/torture-blk
[ -x "$torture" ] || skip "tests/torture-blk is not built; make check builds it"
disks=8 kills=32 supervisors=2
! sanitized || kills=16
if [ -n "${PV_FULL:-}" ]; then
	kills=1000 supervisors=10
fi
own_xen "$@"
wait_s=60
[ -n "${PV_FULL:-}" ] || say "deferred: 1,000 kills of workers ($kills here)"

# Beside the build, since a tmpfs takes no direct requests.
images=$(mktemp -d "$PWD/torture.XXXXXX") || exit 1
trap 'rm -rf "$images"' EXIT
direct=none
dd if=/dev/zero of="$images/probe" bs=4096 count=1 oflag=direct 2>/dev/null || direct=writeback

start_daemon
options_of()
{
	case $1 in
	1|5) echo ;;
	2|6) echo no-persistent one-page ;;
	3|7) echo queues ;;
	4|8) echo no-indirect ;;
	esac
}
i=0
while [ $i -lt $disks ]; do
	i=$((i + 1))
	truncate -s 16M "$images/$i"
	make_guest "t$i"
	cache=writeback
	[ $i -le $((disks / 2)) ] || cache=$direct
	attach_by_hand "$domid" "$images/$i" w "$(back_dir "$domid")/cache" $cache
	back_reaches "$domid" 2
	# 4 KiB, or 64 KiB in 16 segments.
	units=4096 bytes=4096
	[ $((i % 2)) = 0 ] || { units=256 bytes=65536; }
	# shellcheck disable=SC2046
	"$LOCALXEN" exec "$domid" -- "$torture" 51712 $units $bytes 16 $i $(options_of $i) >"$tmp/torture-$i" 2>&1 &
	eval "pid_$i=\$! dom_$i=$domid"
done
i=0
while [ $i -lt $disks ]; do
	i=$((i + 1))
	eval "domid=\$dom_$i"
	back_reaches "$domid" 4
	wait_for $wait_s has_worker "$domid" || fail "no worker for disk $i"
done

# random N: from 0 to N - 1.
random() { echo $(($(od -An -N2 -tu2 /dev/urandom) % $1)); }

# Each disk in turn, so that none has five crashes in ten seconds.
killed=0 turn=0 deaths=0
while [ $killed -lt $kills ]; do
	i=$((turn % disks + 1))
	turn=$((turn + 1))
	eval "domid=\$dom_$i guest_pid=\$pid_$i"
	kill -0 "$guest_pid" 2>/dev/null || fail "the guest of disk $i has ended: $(cat "$tmp/torture-$i")"
	worker=$(worker_of "$domid")
	[ -n "$worker" ] && kill -9 "$worker" 2>/dev/null && killed=$((killed + 1))
	sleep "0.$((28 + $(random 8)))"
	if [ $((killed * supervisors / kills)) -gt $deaths ]; then
		deaths=$((deaths + 1))
		kill -9 "$daemon"
		wait "$daemon"
		start_daemon
	fi
	[ $((killed % 100)) != 0 ] || say "$killed of $kills"
done
say "$killed workers and $deaths supervisors killed"
i=0
while [ $i -lt $disks ]; do
	i=$((i + 1))
	eval "domid=\$dom_$i guest_pid=\$pid_$i"
	kill "$guest_pid"
	wait "$guest_pid" || fail "disk $i: $(cat "$tmp/torture-$i"; grep "vbd $domid/" "$tmp/log" | tail -5)"
	say "disk $i: $(cat "$tmp/torture-$i")"
	back_reaches "$domid" 6
	detach_by_hand "$domid"
done
end_back
