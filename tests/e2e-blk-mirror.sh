#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks are mirrored under guests that know what they must hold (torture-blk.c): the guest goes
# on with the target, or the target is a copy of one moment, and nothing is lost, misordered
# or torn; workers, what copies and the daemon are killed meanwhile, targets fail; who asks
# is told what became of it, and the guest never is.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-faults.sh"
. "$(dirname "$0")/lib-torture.sh"
paravane=$PWD/paravane
rounds=2
[ -z "${PV_FULL:-}" ] || rounds=40
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
[ -n "${PV_FULL:-}" ] || say "deferred: 40 rounds of pivots and kills ($rounds here)"

own_images
fs=
trap '[ -z "$fs" ] || kill -9 "$fs"; umount -l "$tmp/mnt" 2>/dev/null; rm -rf "$images"' EXIT
start_daemon

# ---- guests, and what becomes of them ------------------------------------------------------------

# begins CACHE UNITS BYTES OPTION...: a guest, $g, that writes all the time; its process, $guest.
begins()
{
	cache=$1
	shift
	make_guest "t$1" && g=$domid
	truncate -s 16M "$images/$g"
	attach_by_hand "$g" "$images/$g" w "$(back_dir "$g")/cache" "$cache"
	back_reaches "$g" 2
	torture_begins "$g" "$@"
	guest=$guest_pid
	torture_is_served "$g"
}
goes_on() { torture_goes_on "$g" "$guest" "$what"; }
ends() { torture_ends "$g" "$guest" "$what"; }

mirror() { "$paravane" mirror "$g" xvda "$@"; }
# mirrors STATUS TEXT ARGUMENT...: what the command says and ends with.
mirrors()
{
	status=$1 text=$2
	shift 2
	mirror "$@" >"$tmp/out" 2>&1
	got=$?
	[ $got = "$status" ] || fail "$what: mirror $* ended with $got, expected $status: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
	grep -q -- "$text" "$tmp/out" || fail "$what: mirror $* said '$(cat "$tmp/out")', expected '$text'"
}
mirror_file() { sed -n "s/^$1=//p" "$tmp/run/blkback/vbd-$g-51712.mirror" 2>/dev/null; }
has_status() { [ "$(mirror_file status)" = "$1" ]; }
image_is() { [ "$(xenstore-read "$(back_dir "$g")/params")" = "$1" ] && [ "$(info "$g" image)" = "$1" ]; }
wish_gone() { ! xenstore-exists "$(back_dir "$g")/mirror"; }
helper() { pgrep -P "$daemon" -f "mirror-vbd-$g-51712"; }
helper_gone() { ! helper >/dev/null; }

# ---- pivots ---------------------------------------------------------------------------------------

n=0
pivots()
{
	n=$((n + 1))
	mirrors 0 "goes on with $images/new-$n; its guest waited" "$images/new-$n" --pivot --wait $wait_s
	sed -n 's/.*waited \([0-9.]*\) ms/\1/p' "$tmp/out" >>"$tmp/pauses"
	image_is "$images/new-$n" || fail "$what: the image is $(info "$g" image), $(xenstore-read "$(back_dir "$g")/params")"
	wait_for $wait_s wish_gone || fail "$what: the wish is there yet"
	goes_on
}

what="pivots, by the page cache"
begins writeback 4096 4096
first=$g first_guest=$guest
for round in $(seq $rounds); do pivots; done
last=$images/new-$n
truncate -s 20M "$images/larger"
mirrors 0 "goes on with" "$images/larger" --pivot --wait $wait_s
wait_for $wait_s node_is "$(back_dir "$g")/sectors" 40960 || fail "$what: a larger target's size is not told"
what="pivots, past the page cache"
begins $direct 256 65536 queues no-persistent
for round in $(seq $rounds); do pivots; done

# ---- whatever is killed -----------------------------------------------------------------------------

what="a worker is killed"
for round in $(seq $rounds); do
	n=$((n + 1))
	mirrors 0 "" "$images/new-$n" --no-wait --rate 40
	kill -9 "$(worker_of "$g")" || fail "no worker"
	sleep 0.2
	mirrors 0 "" --rate 0 --wait $wait_s
	# Before its end, in it or after it.
	mirror --pivot --wait $wait_s >"$tmp/pivot" 2>&1 &
	pivoting=$!
	sleep "0.0$((round * 37 % 60 / 10))"
	kill -9 "$(worker_of "$g")" 2>/dev/null
	wait $pivoting || fail "$what: $(cat "$tmp/pivot"; tail -n 5 "$tmp/log")"
	grep -q "goes on with $images/new-$n" "$tmp/pivot" || fail "$what: $(cat "$tmp/pivot")"
	goes_on
done
what="what copies is killed"
mirrors 3 "the mirror goes on" "$images/killed" --rate 1 --wait 0.3
kill -9 "$(helper)" || fail "nothing copies"
wait_for $wait_s has_status failed || fail "$what: $(mirror_file status)"
mirrors 0 "has failed: the process that copied was ended by signal 9" --status
"$paravane" explain "$g" xvda | grep -q 'the last one failed' || fail "explain: $("$paravane" explain "$g" xvda)"
goes_on
image_is "$images/new-$n" || fail "$what: the image is $(info "$g" image)"
pivots
what="the daemon is killed"
mirrors 3 "the mirror goes on" "$images/killed-2" --rate 1 --pivot --wait 0.3
"$paravane" list | grep -q "(mirror to $images/killed-2: copying, " || fail "list: $("$paravane" list)"
kill -9 "$daemon"
wait "$daemon"
start_daemon
wait_for $wait_s has_status failed || fail "$what: $(mirror_file status)"
mirrors 0 "the daemon that ran it has ended" --status
wait_for $wait_s wish_gone || fail "$what: the wish is there yet"
goes_on
image_is "$images/new-$n" || fail "$what: the image is $(info "$g" image)"
pivots
kill -9 "$daemon"
wait "$daemon"
start_daemon
goes_on
image_is "$images/new-$n" || fail "$what after a pivot: the image is $(info "$g" image)"

# ---- a copy of one moment ----------------------------------------------------------------------------

what="a copy while it is written"
mirrors 0 "is copied to $images/moment; its guest waited" "$images/moment" --stop-at-sync --wait $wait_s
image_is "$images/new-$n" || fail "$what: the image is $(info "$g" image)"
goes_on
# Units of 64 KiB: each sector has its unit, the number of its write, a seed and a sum.
python3 - "$images/moment" "$g" <<'EOP' || fail "$what: see above"
import struct, sys
data, seed, written = open(sys.argv[1], 'rb').read(), int(sys.argv[2]), 0
for unit in range(256):
    heads = {struct.unpack_from('<QQQ', data, unit * 65536 + s * 512) for s in range(128)}
    assert len(heads) == 1, f'unit {unit} is torn: {heads}'
    (whose, number, by), = heads
    assert (whose, by) == (unit, seed) or (whose, number, by) == (0, 0, 0), f'unit {unit}: {heads}'
    written += number > 0
assert written > 200, written
EOP

# ---- a guest that cannot be served after its pivot --------------------------------------------------

what="no worker after the pivot"
n=$((n + 1))
mirrors 0 "has what the disk has" "$images/new-$n" --wait $wait_s
mv "$tmp/run/blkback/vbd-$g-51712.info" "$tmp/info"
# Or it would be written again.
mkdir -p "$tmp/run/blkback/vbd-$g-51712.info/taken"
mirrors 0 "" --pivot --no-wait
alone() { grep -q "vbd $g/51712: .*left to whom they belong" "$tmp/log"; }
wait_for $wait_s alone || fail "$what: $(tail -n 5 "$tmp/log")"
rm -r "$tmp/run/blkback/vbd-$g-51712.info"
mv "$tmp/info" "$tmp/run/blkback/vbd-$g-51712.info"
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "$what: no other version may try: $(cat "$tmp/out")"
goes_on
image_is "$images/new-$n" || fail "$what: the image is $(info "$g" image)"
has_status pivoted || fail "$what: $(mirror_file status)"

# ---- rates, changes, JSON --------------------------------------------------------------------------

what="a rate"
mirrors 3 "the mirror goes on" "$images/slow" --rate 2 --wait 1
[ "$(mirror_file copied)" -le 8388608 ] || fail "$what: $(mirror_file copied) bytes at 2 MiB a second"
mirrors 5 "a mirror runs already" "$images/slow-2"
refused "a mirror to $images/slow runs" "$paravane" upgrade blkback
mirrors 0 "" --rate 0 --wait $wait_s
wait_for $wait_s has_status following || fail "$what: $(mirror_file status)"
mirrors 0 "has what the disk has, but for" --status
mirrors 0 "is cancelled" --cancel --wait $wait_s
mirrors 4 "no mirror runs" --cancel
wait_for $wait_s helper_gone || fail "what copies is left"
mirror "$images/json" --json --pivot --wait $wait_s >"$tmp/json" || fail "$what: $(cat "$tmp/json")"
python3 - "$tmp/json" "$images/json" <<'EOP' || fail "--json: $(cat "$tmp/json")"
import json, sys
all = [json.loads(line) for line in open(sys.argv[1])]
assert all[-1]['status'] == 'pivoted' and all[-1]['target'] == sys.argv[2], all[-1]
assert all[-1]['pause_us'] > 0 and all[-1]['reason'] == '' and all[-1]['bytes'] == 16 << 20, all[-1]
EOP
goes_on

# ---- what cannot be ------------------------------------------------------------------------------------

what="refusals"
truncate -s 15M "$images/small"
mirrors 1 "small: has 15728640 bytes, expected 16777216 or more" "$images/small"
mirrors 1 "nowhere/x: no such directory" "$images/nowhere/x"
mirrors 1 "json: is the disk's own image" "$images/json"
mirrors 1 "larger: in use by vbd $first/51712" "$images/larger"
# One that has no lock, since others may write to it.
truncate -s 16M "$images/shared"
make_guest sharing
attach_by_hand "$domid" "$images/shared" 'w!'
back_reaches "$domid" 2
mirrors 1 "shared: in use by vbd $domid/51712" "$images/shared"
detach_by_hand "$domid"
mirrors 2 "a path is expected that begins with /" "qcow2:$images/x"
mirrors 1 "is a directory, expected a file or block device" "$images"
mirrors 0 "would be copied to $images/dry (which would be made); then the guest goes on with it" "$images/dry" --pivot --dry-run
[ ! -e "$images/dry" ] || fail "a dry run made its target"
mirrors 1 "expected 16777216 or more" "$images/small" --dry-run
mirrors 2 "exclude each other" "$images/dry" --pivot --stop-at-sync
expect 4 "$paravane" mirror "$g" xvdb "$images/dry" 2>/dev/null
goes_on

if can_mount; then
	what="a target that fails"
	truncate -s 16M "$tmp/data"
	mounts
	faults "write ENOSPC 8192 12288"
	mirrors 1 "has failed: writing the target at byte .*: No space left on device; the guest goes on with $images/json" "$tmp/mnt/image" --pivot --wait $wait_s
	faults "fsync EIO 0 16777216"
	mirrors 1 "has failed: making the target durable: Input/output error" "$tmp/mnt/image" --pivot --wait $wait_s
	faults
	mirrors 0 "has what the disk has" "$tmp/mnt/image" --wait $wait_s
	faults "fsync EIO 0 16777216"
	wait_for $wait_s has_status failed || fail "$what: $(mirror_file status)"
	wait_for $wait_s wish_gone || fail "$what: the wish is there yet"
	mirrors 4 "no mirror runs" --pivot
	goes_on
	image_is "$images/json" || fail "$what: the image is $(info "$g" image)"
	faults
	mirrors 0 "is copied to $tmp/mnt/image" "$tmp/mnt/image" --stop-at-sync --wait $wait_s
fi

# ---- the end: all is there, also for who comes anew -----------------------------------------------------

what="with its guest"
target=$images/left
[ -z "$fs" ] || target=$tmp/mnt/image
mirrors 3 "goes on" "$target" --rate 1 --wait 0.2
copier=$(helper)
# What copies cannot end while its target hangs, and holds nobody else up.
[ -z "$fs" ] || kill -STOP "$fs"
ends
remove_nodes "$g"
if [ -n "$fs" ]; then
	make_guest other
	truncate -s 1M "$images/other"
	attach_by_hand "$domid" "$images/other" w
	back_reaches "$domid" 2
	detach_by_hand "$domid"
	! process_gone "$copier" || fail "$what: nothing hangs"
	kill -CONT "$fs"
fi
wait_for $wait_s process_gone "$copier" || fail "what copies outlives its disk"
if [ -n "$fs" ]; then
	wait_for $wait_s umount "$tmp/mnt" 2>/dev/null || fail "the target is in use yet"
	wait "$fs"
	fs=
fi
g=$first guest=$first_guest what="the first"
goes_on
ends
"$LOCALXEN" exec "$g" -- "$blkfront" read >"$tmp/read" 2>"$tmp/read.err" &
reader=$!
wait $reader || fail "anew: $(cat "$tmp/read.err")"
cmp -n 16777216 "$tmp/read" "$images/larger" || fail "who comes anew reads something else"
back_reaches "$g" 6
detach_by_hand "$g"
sort -n "$tmp/pauses" | awk -v name="$name" '{ p[NR] = $1 }
	END { printf "%s: %d pauses: median %.1f ms, longest %.1f ms\n", name, NR, p[int((NR + 1) / 2)], p[NR] }'
rm -f "$tmp/run/blkback/vbd.upgrade"
end_back
