# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-blk.sh - a block back end, and tool stacks and front ends by hand. Sourced
# first; brings lib-back.sh. After own_xen: start_daemon, then what the test is about,
# then end_back.

program=blkback
kind=vbd
. "$(dirname "$0")/lib-back.sh"
blkback=$PWD/paravane-blkback
blkfront=$PWD/paravane-blkfront

back_dir() { echo "/local/domain/0/backend/vbd/$1/51712"; }
front_dir() { echo "/local/domain/$1/device/vbd/51712"; }

# attach_by_hand DOMID PARAMS MODE [KEY VALUE]...: as a script in dom0 does it.
attach_by_hand()
{
	b=$(back_dir "$1") f=$(front_dir "$1") d=$1 params=$2 mode=$3
	shift 3
	xenstore-write "$f/backend" "$b" "$f/backend-id" 0 "$f/state" 1 \
		"$f/virtual-device" 51712 "$f/device-type" disk || fail "no nodes"
	xenstore-chmod "$f" "n$d" r0
	for key in backend backend-id state virtual-device device-type; do
		xenstore-chmod "$f/$key" "n$d" r0
	done
	# In one transaction: the daemon sees all of it or nothing.
	xenstore-write "$b/frontend" "$f" "$b/frontend-id" "$d" "$b/online" 1 \
		"$b/params" "$params" "$b/mode" "$mode" "$b/state" 1 "$@" ||
		fail "no nodes"
	xenstore-chmod -r "$b" n0 "r$d"
}

# detach_by_hand DOMID: as xl does; returns when the back end is closed.
detach_by_hand()
{
	xenstore-write "$(back_dir "$1")/online" 0 "$(back_dir "$1")/state" 5
	back_reaches "$1" 6
	remove_nodes "$1"
}

remove_nodes() { xenstore-rm "$(back_dir "$1")" "$(front_dir "$1")"; }

# back_reaches DOMID STATE, front_reaches: within the deadline.
back_reaches()
{
	wait_for $wait_s node_is "$(back_dir "$1")/state" "$2" ||
		fail "back end of $1 is $(xenstore-read "$(back_dir "$1")/state"), expected $2; $(ends_of "$1")"
}

# ends_of DOMID: why its back end may be where it is, for a person to read.
ends_of()
{
	echo "the front end's state is $(xenstore-read "$(front_dir "$1")/state" 2>&1)"
	tail -n 3 "$tmp/log" "$tmp/io-$1" 2>/dev/null
	for p in $(worker_of "$1") $(pgrep -f "$blkfront"); do
		echo "$p $(tr '\0' ' ' <"/proc/$p/cmdline") $(grep State "/proc/$p/status") $(cat "/proc/$p/wchan")"
	done 2>/dev/null
}

front_reaches()
{
	wait_for $wait_s node_is "$(front_dir "$1")/state" "$2" ||
		fail "front end of $1 is $(xenstore-read "$(front_dir "$1")/state"), expected $2"
}

# back_stays DOMID STATE: also when there was time for more.
back_stays()
{
	sleep 0.3
	node_is "$(back_dir "$1")/state" "$2" ||
		fail "back end of $1 went to $(xenstore-read "$(back_dir "$1")/state"), expected $2"
}

info() { sed -n "s/^$2=//p" "$tmp/run/blkback/vbd-$1-51712.info" 2>/dev/null; }
worker_of() { info "$1" pid; }
has_worker() { pid=$(worker_of "$1") && [ -n "$pid" ] && [ -d "/proc/$pid" ]; }

# use_disk DOMID OPTION...: a front end that reads at random until it is closed or
# sent SIGINT; $io is its pid, $tmp/io-DOMID what it says.
use_disk()
{
	d=$1
	shift
	guest "$d" "$blkfront" bench --pattern randread --seconds 600 "$@" \
		>"$tmp/io-$d" 2>&1 &
	io=$!
	back_reaches "$d" 4
	wait_for $wait_s has_worker "$d" || fail "no worker"
}
