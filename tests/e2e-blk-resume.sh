#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the running daemon tolerates of a disk in use (an image of an odd size or of none, nodes that
# are nonsense, a run directory without room), the next daemon and the next version do too. What
# could not be gone on with stops an upgrade before anybody is asked to end.
. "$(dirname "$0")/lib-blk.sh"
paravane=$PWD/paravane
own_xen "$@"
mkdir "$tmp/room" "$tmp/run"
if mount -t tmpfs -o size=1M,mode=700 tmpfs "$tmp/room" 2>/dev/null; then
	rmdir "$tmp/run" && ln -s room "$tmp/run"
	trap 'umount -l "$tmp/room" 2>/dev/null' EXIT
	has_room=yes
else
	chmod 700 "$tmp/run"
	has_room=
	echo "deferred: a run directory without room (no tmpfs may be mounted here)"
fi
export PARAVANE_RUNDIR="$tmp/run"
start_daemon
make_guest g && g=$domid
back=$(back_dir $g)

another_worker() { has_worker $g && [ "$(worker_of $g)" != "$old" ]; }
# Without I/O: there may be nothing to read.
hold_disk()
{
	: >"$tmp/watch"
	# shellcheck disable=SC2016
	guest $g sh -c 'echo $$ >"$1"; exec "$2" info --watch --json' sh "$tmp/pid" "$blkfront" \
		>"$tmp/watch" 2>"$tmp/watch.log" &
	io=$!
	back_reaches $g 4
	wait_for $wait_s has_worker $g || fail "no worker"
}
sees() { [ "$(sed -n "s/.*\"size_bytes\":\([0-9]*\),.*/\1/p" "$tmp/watch" | tail -n 1)" = "$1" ]; }
let_go()
{
	kill -INT "$(pgrep -P $io)" 2>/dev/null
	wait "$io"
	back_reaches $g 6
	detach_by_hand $g
}

# another HOW: daemon or version; the disk is served by it, and its guest was not told.
another()
{
	old=$(worker_of $g)
	case $1 in
	restart)
		kill -TERM "$daemon"
		wait "$daemon" || fail "stopped, it ended with status $?"
		start_daemon
		;;
	upgrade)
		"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
		grep -q 'xvda .* vbd ' "$tmp/out" || fail "upgraded, without the disk: $(cat "$tmp/out")"
		;;
	esac
	wait_for $wait_s another_worker || fail "$2, $1: its guest waits: $(tail -n 5 "$tmp/log")"
	node_is "$back/state" 4 || fail "$2, $1: its guest was told"
	kill -0 $io 2>/dev/null || fail "$2, $1: its guest has ended: $(cat "$tmp/io-$g" "$tmp/watch.log")"
	[ -n "$complains" ] || wait_for $wait_s no_error $g || fail "$2, $1: $(error_of $g)"
}
complains=

say "an image of an odd size"
truncate -s 16M "$tmp/image"
attach_by_hand $g "$tmp/image" w
hold_disk
wait_for $wait_s sees 16777216 || fail "info: $(cat "$tmp/watch" "$tmp/watch.log")"
reads 4096 xenstore-read "$back/physical-sector-size"
printf x >>"$tmp/image"
another restart "a byte more"
truncate -s 8388700 "$tmp/image"
wait_for $wait_s sees 8388608 || fail "cut: $(cat "$tmp/watch")"
another upgrade "a part of a sector"
# What the front end was told stays.
reads 4096 xenstore-read "$back/physical-sector-size"
say "and of none"
truncate -s 0 "$tmp/image"
wait_for $wait_s sees 0 || fail "cut to nothing: $(cat "$tmp/watch")"
another upgrade "of no size"
another restart "of no size"
truncate -s 1000 "$tmp/image"
wait_for $wait_s sees 512 || fail "it does not grow again: $(cat "$tmp/watch")"
let_go
say "which is refused anew"
attach_by_hand $g "$tmp/image" w
wait_for $wait_s node_is "$back/state" 6 || fail "an odd size is attached"
error_says $g "$tmp/image: its size of 1000 bytes is not a multiple"
remove_nodes $g
truncate -s 16M "$tmp/image"

say "nodes that are nonsense"
attach_by_hand $g "$tmp/image" r "$back/limit" iops=5000 "$back/grant-mode" copy "$back/cache" writethrough \
	"$back/max-indirect-segments" 16
use_disk $g
reads iops=5000 xenstore-read "$back/limit-in-force"
is_as_before()
{
	reads "copy r writethrough 16 $tmp/image" echo "$(info $g grants) $(info $g mode) $(info $g cache) $(info $g indirect-segments) $(info $g image)"
	reads iops=5000 xenstore-read "$back/limit-in-force"
	reads 16 xenstore-read "$back/feature-max-indirect-segments"
}
for word in limit grant-mode cache mode max-indirect-segments removable online; do
	was=$(xenstore-read "$back/$word" 2>/dev/null)
	xenstore-write "$back/$word" nonsense
	wait_for $wait_s grep -q "$word is 'nonsense'.* stay" "$tmp/log" || fail "$word: nothing is said"
	for how in restart upgrade; do
		another $how "$word"
		is_as_before
	done
	if [ -n "$was" ]; then
		xenstore-write "$back/$word" "$was"
	else
		xenstore-rm "$back/$word"
	fi
done
xenstore-rm "$back/mode"
another restart "no mode"
is_as_before
xenstore-write "$back/mode" r
say "but for the image, which is not guessed"
xenstore-rm "$back/params"
another upgrade "no params"
kill -TERM "$daemon"
wait "$daemon"
start_daemon
has_error() { [ -n "$(error_of $g)" ]; }
wait_for $wait_s has_error || fail "an image is guessed: $(tail -n 5 "$tmp/log")"
error_says $g "params is missing"
xenstore-write "$back/params" "$tmp/image"
wait_for $wait_s another_worker || fail "it does not go on: $(tail -n 5 "$tmp/log")"
wait_for $wait_s no_error $g || fail "the reason stands: $(error_of $g)"

# refuses TEXT: no upgrade, and nothing is begun of one.
refuses()
{
	lines=$(grep -c 'takes over$' "$tmp/log")
	"$paravane" upgrade blkback >"$tmp/out" 2>&1 && fail "upgraded, $1: $(cat "$tmp/out")"
	grep -q "goes on as it was: .*$1" "$tmp/out" || fail "expected '$1': $(cat "$tmp/out")"
	[ "$(grep -c 'takes over$' "$tmp/log")" = "$lines" ] || fail "$1: another version was begun"
}

say "an info file that has gone is written again, and one that cannot be stops an upgrade"
file=$tmp/run/blkback/vbd-$g-51712.info
rm "$file"
mkdir -p "$file/taken"
refuses "vbd $g/51712: its info file in "
rm -r "$file"
old=
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
grep -q 'xvda .* vbd ' "$tmp/out" || fail "its disk is forgotten: $(cat "$tmp/out")"
wait_for $wait_s another_worker || fail "upgraded, and nobody serves it"
say "one without a process, as when there was no room, says whose the rings are all the same"
first=$g first_io=$io
truncate -s 16M "$tmp/other"
make_guest h
attach_by_hand "$domid" "$tmp/other" w
use_disk "$domid"
second=$domid second_io=$io
io=$first_io
handed_over() { has_lines $((so_far + 1)) "vbd $1/51712: the worker of the version before:"; }
so_far=$(grep -c "vbd $first/51712: the worker of the version before:" "$tmp/log")
sed -i '/^pid=/d; /^started=/d' "$tmp"/run/blkback/vbd-*-51712.info
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
[ "$(grep -c 'xvda .* vbd ' "$tmp/out")" = 2 ] || fail "a disk is forgotten: $(cat "$tmp/out")"
# Neither was told to end before its turn had come.
wait_for $wait_s handed_over "$first" || fail "the first worker ended too early: $(grep "vbd $first" "$tmp/log" | tail)"
so_far=0
wait_for $wait_s handed_over "$second" || fail "the second worker ended too early: $(grep "vbd $second" "$tmp/log" | tail)"
wait_for $wait_s has_worker $g && old=$(worker_of $g)
io=$second_io
kill -INT "$(pgrep -P $io)"
wait "$io"
back_reaches "$second" 6
detach_by_hand "$second"
io=$first_io
rm "$file"
kill -TERM "$daemon"
wait "$daemon"
start_daemon
wait_for $wait_s another_worker || fail "its disk is forgotten: $(tail -n 5 "$tmp/log")"
kill -0 $io 2>/dev/null || fail "its guest has ended"
let_go

say "a medium that has gone stops an upgrade"
truncate -s 2M "$tmp/medium"
attach_by_hand $g "$tmp/medium" r "$back/device-type" cdrom
use_disk $g
mv "$tmp/medium" "$tmp/away"
refuses "vbd $g/51712: $tmp/medium: no such file"
mv "$tmp/away" "$tmp/medium"
another upgrade "a medium"
let_go

say "one that could not be had, and whose drive is empty, does not"
attach_by_hand $g "$tmp/medium" r "$back/device-type" cdrom
hold_disk
wait_for $wait_s sees 2097152 || fail "info: $(cat "$tmp/watch" "$tmp/watch.log")"
xenstore-write "$back/params" "$tmp/missing"
wait_for $wait_s sees 0 || fail "a missing medium: $(tail -n 5 "$tmp/log")"
complains=yes
another restart "no medium"
another upgrade "no medium"
complains=
error_says $g "$tmp/missing"
xenstore-write "$back/params" "$tmp/medium"
wait_for $wait_s sees 2097152 || fail "after a missing one: $(tail -n 5 "$tmp/log")"
let_go

[ -n "$has_room" ] || { end_back; exit; }
say "a run directory without room"
pages() { df --block-size=4096 --output="$1" "$tmp/room" | tail -n 1 | tr -d ' '; }
attach_by_hand $g "$tmp/image" w
back_reaches $g 2
before=$(pages used)
use_disk $g
needs=$(($(pages used) - before))
let_go
# full FEWER: a disk connects, and finds that many pages less than it takes.
full()
{
	attach_by_hand $g "$tmp/image" w
	back_reaches $g 2
	dd if=/dev/zero of="$tmp/room/filler" bs=4096 count=$(($(pages avail) - needs + $1)) 2>/dev/null
	guest "$g" "$blkfront" bench --pattern randread --seconds 600 >"$tmp/io-$g" 2>&1 &
	io=$!
}
knows_rings() { [ -n "$(info $g ring)" ]; }
for how in upgrade restart; do
	full 0
	back_reaches $g 4
	knows_rings || fail "served, and its rings are noted nowhere: $(tail -n 5 "$tmp/log")"
	! has_worker $g || fail "there was room"
	rm "$tmp/room/filler"
	wait_for $wait_s has_worker $g || fail "its file is not written again: $(tail -n 5 "$tmp/log")"
	another $how "no room"
	let_go
done
say "and none for the next daemon"
full 0
back_reaches $g 4
so_far=$(grep -c "vbd $g/51712: goes on" "$tmp/log")
kill -TERM "$daemon"
wait "$daemon"
start_daemon
wait_for $wait_s has_lines $((so_far + 1)) "vbd $g/51712: goes on" || fail "its disk is left alone: $(tail -n 5 "$tmp/log")"
rm "$tmp/room/filler"
wait_for $wait_s has_worker $g || fail "nobody serves it: $(tail -n 5 "$tmp/log")"
kill -0 $io 2>/dev/null || fail "its guest has ended: $(cat "$tmp/io-$g")"
let_go
say "nor for a note of its rings, without which nobody serves them"
for fewer in 1 "$needs"; do
	full "$fewer"
	wait_for $wait_s has_error || fail "served, and its rings are noted nowhere: $(tail -n 5 "$tmp/log")"
	error_says $g "No space left"
	rm "$tmp/room/filler"
	wait $io
	detach_by_hand $g
done
end_back
