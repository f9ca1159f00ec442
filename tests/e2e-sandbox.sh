#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A worker that a guest has taken over: everything it tries beyond its work is refused, by
# the list of system calls, by its io_uring's restrictions, and without the list by where
# and who it is. Its guest is served on. Then what a worker is, seen from outside.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-torture.sh"
for p in tests/intruder-blkback tests/intruder-netback; do
	[ -x "$PWD/$p" ] || skip "$p is not built; make check builds it"
done
! ldd "$PWD/tests/intruder-blkback" | grep -q -e libasan -e libtsan ||
	skip "a sanitizer's worker keeps its system calls"
own_xen "$@"
own_images
trap 'rm -rf "$images"' EXIT
truncate -s 16M "$images/disk"

# status_field PID NAME
status_field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# all_refused COUNT: the intruder has made so many attempts, at least, and none succeeded.
all_refused()
{
	line=$(grep '^intruder: .* succeeded$' "$tmp/log" | tail -n 1)
	[ -n "$line" ] || fail "no intruder; $(tail "$tmp/log")"
	say "${line#intruder: }"
	[ $kind = vif ] || [ "$(grep -c "intruder: bind a third domain's port: Permission denied" "$tmp/log")" = 1 ] ||
		fail "a third domain's port: $(grep 'third' "$tmp/log")"
	! grep '^intruder: .*SUCCEEDED' "$tmp/log" || fail "see above"
	list=${line#intruder: } list=${list%% *}
	[ "$list" -ge "$1" ] || fail "the list refused $list attempts, expected $1 at least"
}

# is_served: the intruder's guest is, and the worker that it was in is the one.
is_served()
{
	guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
}

start_disk()
{
	: >"$tmp/log"
	start_daemon "$@"
	attach_by_hand "$domid" "$images/disk" w
	back_reaches "$domid" 2
}

stop_disk()
{
	detach_by_hand "$domid"
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
}

# offers_port: a third domain whose front end waits for a back end that there is not.
offers_port()
{
	make_guest third --domid=9
	third=$domid b=/local/domain/0/backend/none/$domid/51712 f=$(front_dir "$domid")
	xenstore-write "$b/frontend" "$f" "$b/frontend-id" "$third" "$b/state" 2 "$b/sectors" 8 \
		"$b/sector-size" 512 "$b/info" 0
	xenstore-write "$f/backend" "$b" "$f/backend-id" 0 "$f/virtual-device" 51712 \
		"$f/device-type" disk "$f/state" 1
	xenstore-chmod -r "$b" n0 "r$third"
	xenstore-chmod -r "$f" "n$third" r0
	guest "$third" "$blkfront" info --timeout 3600 >"$tmp/third" 2>&1 &
	waiting=$!
	wait_for $wait_s xenstore-exists "$f/event-channel" || fail "no port: $(cat "$tmp/third")"
	export INTRUDE_DOMID="$third" INTRUDE_PORT="$(xenstore-read "$f/event-channel")"
}

# listens: a server of the host's that takes whoever comes.
listens()
{
	python3 -c '
import socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1], "w").write(str(s.getsockname()[1]))
while True:
    s.accept()' "$tmp/tcp" &
	wait_for $wait_s test -s "$tmp/tcp" || fail "nobody listens"
}
need python3 python3
listens
echo precious >"$tmp/precious"
chmod 666 "$tmp/precious"
export INTRUDE_TCP="$(cat "$tmp/tcp")" INTRUDE_FILE="$tmp/precious"

# WORKER-6: event channels too are those of its guest alone.
offers_port
make_guest g1
daemon_program=tests/intruder-blkback

say "a disk's worker, page cache"
start_disk --engine=buffered
is_served
all_refused 55
stop_disk

say "a disk's worker, io_uring"
start_disk --engine=direct
is_served
if grep -q 'goes through the page cache' "$tmp/log"; then
	# Neither fails for want of it, nor passes without.
	no_ring=$(sed -n 's/.*: \(.*\); its I\/O goes through the page cache$/\1/p' "$tmp/log" | tail -n 1)
	say "no io_uring here: $no_ring"
else
	all_refused 55
	[ "$(grep -c '^intruder: io_uring' "$tmp/log")" = 9 ] || fail "$(grep uring "$tmp/log")"
fi
stop_disk

# As a wrong option: systemd starts nothing again.
expect 2 "$blkback" --rundir "$tmp/run" --user nobody-has-this-name 2>"$tmp/said"
[ "$(id -u)" != 0 ] || grep -q "there is no such user; make it" "$tmp/said" || fail "$(cat "$tmp/said")"

if [ "$(id -u)" = 0 ]; then
	say "without a list, where and who it is"
	export INTRUDE=place
	start_disk --seccomp=off
	is_served
	all_refused 0
	[ "$(grep -c '^intruder: ' "$tmp/log")" -ge 38 ] || fail "$(cat "$tmp/log")"
	grep -q 'not whole here (it has: user files network capabilities)' "$tmp/log" ||
		fail "the log does not say what is missing: $(cat "$tmp/log")"
	stop_disk
fi

say "the end that belongs to it"
export INTRUDE=die
start_disk
guest "$domid" "$blkfront" bench --ops 10 >"$tmp/out" 2>&1 &
io=$!
wait_for $wait_s grep -q 'gave up after 5 crashes' "$tmp/log" || fail "$(cat "$tmp/log")"
grep -q 'vbd 1/51712: .*ended by its sandbox: it called openat (257)' "$tmp/log" ||
	[ "$(uname -m)" != x86_64 ] || fail "the call is not named: $(cat "$tmp/log")"
wait $io
unset INTRUDE
xenstore-write "$(front_dir "$domid")/state" 6
stop_disk

say "a bridge's worker"
program=netback kind=vif daemon_program=tests/intruder-netback
: >"$tmp/log"
# As under a service manager: where the log is a plain file, files can be written.
mkfifo "$tmp/pipe"
cat "$tmp/pipe" >>"$tmp/log" &
log_to=$tmp/pipe
start_daemon
make_guest g2
for d in 1 2; do
	"$PWD/paravane" attach-nic $d --no-wait --no-libxl >"$tmp/attached" || fail "attach-nic"
done
guest 1 "$PWD/paravane-netfront" ping --address 10.0.0.1 --serve >"$tmp/served" 2>&1 &
wait_for $wait_s grep -q 'vif 1/0: InitWait -> Connected' "$tmp/log" || fail "$(tail -n 5 "$tmp/log")"
guest 2 "$PWD/paravane-netfront" ping --address 10.0.0.2 10.0.0.1 >"$tmp/out" 2>&1 ||
	fail "nobody answers: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
all_refused 55
worker=$(ps -o pid= --ppid "$daemon" | head -n 1 | tr -d ' ')
[ -n "$worker" ] || fail "the bridge has no worker"
[ "$(grep -c 'intruder: .*a journal.*: refused by the list' "$tmp/log")" = 2 ] &&
	[ "$(grep -c 'intruder: .*a journal.*: File too large' "$tmp/log")" = 2 ] ||
	fail "what comes with an interface: $(grep 'a journal' "$tmp/log")"

say "what it is"
[ "$(status_field "$worker" Seccomp)" = 2 ] || fail "Seccomp is $(status_field "$worker" Seccomp)"
[ "$(status_field "$worker" NoNewPrivs)" = 1 ] || fail "it may get new privileges"
[ "$(status_field "$worker" CapEff)$(status_field "$worker" CapPrm)" = \
	00000000000000000000000000000000 ] || fail "it has capabilities"
if [ "$(id -u)" = 0 ]; then
	[ "$(status_field "$worker" Uid)" != "$(status_field "$daemon" Uid)" ] ||
		fail "its user is the supervisor's"
	[ "$(status_field "$worker" Uid | cut -f1)" = $((0x70000000 + worker)) ] ||
		fail "its user is $(status_field "$worker" Uid)"
	for ns in mnt net ipc uts; do
		[ "$(readlink "/proc/$worker/ns/$ns")" != "$(readlink "/proc/$daemon/ns/$ns")" ] ||
			fail "its $ns namespace is the supervisor's"
	done
	[ -z "$(ls -A "/proc/$worker/root/")" ] || fail "its root is $(ls -A "/proc/$worker/root/")"
	[ "$(wc -l <"/proc/$worker/mountinfo")" = 1 ] || fail "$(cat "/proc/$worker/mountinfo")"
	grep -q ' / / ro,nosuid,nodev,noexec' "/proc/$worker/mountinfo" ||
		fail "$(cat "/proc/$worker/mountinfo")"
fi
kill "$daemon"
wait "$daemon"
[ -e "$tmp/precious" ] || fail "a file has been removed"
[ -z "${no_ring:-}" ] || skip "the nine attempts through io_uring ($no_ring); all others were refused"
say passed
