# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-torture.sh - guests that write all the time and know what their disks must hold
# (torture-blk.c). Sourced after lib-blk.sh.

torture=$PWD/tests/torture-blk
[ -x "$torture" ] || skip "tests/torture-blk is not built; make check builds it"

# own_images: $images, a directory beside the build, since a tmpfs takes no direct requests;
# the caller removes it. $direct: the cache mode of images there that go past the page cache.
own_images()
{
	images=$(mktemp -d "$PWD/$name.XXXXXX") || exit 1
	direct=none
	dd if=/dev/zero of="$images/probe" bs=4096 count=1 oflag=direct 2>/dev/null ||
		direct=writeback
}

# torture_begins DOMID UNITS BYTES OPTION...: on xvda; $guest_pid.
torture_begins()
{
	of=$1 units=$2 bytes=$3
	shift 3
	"$LOCALXEN" exec "$of" -- "$torture" 51712 "$units" "$bytes" 16 "$of" "$@" \
		>"$tmp/torture-$of" 2>&1 &
	guest_pid=$!
}

torture_is_served()
{
	back_reaches "$1" 4
	wait_for $wait_s has_worker "$1" ||
		fail "no worker for domain $1: $(tail -n 30 "$tmp/log"; cat "$tmp"/run/blkback/vbd-"$1"-*.info)"
}

# torture_goes_on DOMID PID WHAT: nothing has gone wrong so far, and the guest was not told.
torture_goes_on()
{
	kill -0 "$2" 2>/dev/null || fail "$3: the guest has ended: $(cat "$tmp/torture-$1")"
	node_is "$(back_dir "$1")/state" 4 || fail "$3: the guest was told"
	torture_is_served "$1"
}

# torture_ends DOMID PID WHAT: it has read all that it wrote; its disk is closed.
torture_ends()
{
	kill "$2"
	wait "$2" || fail "$3: $(cat "$tmp/torture-$1"; grep "vbd $1/" "$tmp/log" | tail -n 5)"
	say "$3: $(cat "$tmp/torture-$1")"
	back_reaches "$1" 6
}

# waits_for IMAGE: a worker waits for a lock on it, so another's writes are under way, or may be.
waits_for() { grep -q -- "-> OFDLCK .*:$(stat -c %i "$1") " /proc/locks; }

# ---- several: $disks of them, disk N of domain $dom_N with the process $pid_N --------------

# each_disk COMMAND...: with $i, $domid, $guest_pid.
each_disk()
{
	i=0
	while [ $i -lt $disks ]; do
		i=$((i + 1))
		eval "domid=\${dom_$i:-} guest_pid=\${pid_$i:-}"
		"$@"
	done
}

# disk_begins CACHE UNITS BYTES OPTION...: disk $i, of a new guest.
disk_begins()
{
	cache=$1
	shift
	truncate -s 16M "$images/$i"
	make_guest "t$i"
	attach_by_hand "$domid" "$images/$i" w "$(back_dir "$domid")/cache" "$cache"
	back_reaches "$domid" 2
	torture_begins "$domid" "$@"
	eval "dom_$i=$domid pid_$i=$guest_pid"
}
disk_is_served() { torture_is_served "$domid"; }
disk_goes_on() { torture_goes_on "$domid" "$guest_pid" "disk $i"; }
disk_ends()
{
	torture_ends "$domid" "$guest_pid" "disk $i"
	detach_by_hand "$domid"
}
