#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Servers that go away and come back, or do not, or are slow or wrong, under guests that
# know what their disks must hold (torture-blk.c); and workers that go away.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
. "$(dirname "$0")/lib-torture.sh"
! sanitized || skip "the servers are started with a sanitizer's environment"
need nbdkit nbdkit
need qemu-nbd qemu-utils
kills=2
[ -z "${PV_FULL:-}" ] || kills=100
own_xen "$@"
[ -n "${PV_FULL:-}" ] || say "deferred: 100 kills of servers and workers ($kills here), and an upgrade that loses a server"
trap 'kill -9 $(cat "$tmp"/*.pid) 2>/dev/null' EXIT

# serve NAME COMMAND...: a server at $tmp/NAME. nbdkit 1.32 may abort when a connection
# breaks while it answers there ("raw_send_socket: Assertion"): then it is started again.
serve()
{
	server_name=$1
	shift
	rm -f "$tmp/$server_name.pid" "$tmp/$server_name.ends"
	while rm -f "$tmp/$server_name"; do
		sh -c 'echo $$ >"$0"; exec "$@"' "$tmp/$server_name.pid" "$@"
		[ $? = 134 ] && [ ! -e "$tmp/$server_name.ends" ] || break
	done >>"$tmp/$server_name.log" 2>&1 &
	echo $! >"$tmp/$server_name.loop"
}
file_server() { serve file nbdkit --foreground --unix "$tmp/file" ${1:-} file "$tmp/disk" ${2:-}; }
qemu_server()
{
	serve qemu qemu-nbd --persistent --shared 0 --socket "$tmp/qemu" --format raw "$tmp/disk2"
}
kill_server()
{
	: >"$tmp/$1.ends"
	while kill -0 "$(cat "$tmp/$1.loop")" 2>/dev/null; do
		kill -9 "$(cat "$tmp/$1.pid")" 2>/dev/null
		sleep 0.01
	done
	wait "$(cat "$tmp/$1.loop")"
}
uri() { echo "nbd+unix:///?socket=$tmp/$1"; }
is_connected() { [ "$(info "$1" server)" = connected ]; }
is_away() { case $(info "$1" server) in away*) ;; *) return 1 ;; esac; }

# begins DOMID OPTION...: $guest_pid.
begins()
{
	torture_begins "$1" 256 65536 ${2:-}
	back_reaches "$1" 4
	wait_for $wait_s is_connected "$1" || fail "no connection: $(info "$1" server)"
}
ends()
{
	torture_ends "$@"
	detach_by_hand "$1"
}

truncate -s 16M "$tmp/disk" "$tmp/disk2"
start_daemon
make_guest g && g=$domid
make_guest h && h=$domid
make_guest i && i=$domid

file_server
qemu_server
wait_for 20 test -S "$tmp/file" -a -S "$tmp/qemu" || fail "no servers"
attach_by_hand $g "$(uri file)" w
attach_by_hand $h "$(uri qemu)" w
begins $g queues && pid_g=$guest_pid
begins $h && pid_h=$guest_pid
n=0
while [ $n -lt $kills ]; do
	n=$((n + 1))
	kill_server file
	kill_server qemu
	wait_for $wait_s is_away $g || fail "its end is not noticed: $(info $g server), $(tail -n 3 "$tmp/log")"
	sleep 0.2
	file_server
	qemu_server
	wait_for $wait_s is_connected $g || fail "no connection again: $(info $g server)"
	wait_for $wait_s is_connected $h || fail "no connection again: $(info $h server)"
	sleep 0.3
	kill -9 "$(worker_of $g)"
	# five deaths in ten seconds would be given up
	sleep $([ $kills -lt 5 ] && echo 0.3 || echo 2.5)
done
grep -q "the server is there again" "$tmp/log" || fail "it is not said"

say "the daemon is upgraded: what is on its way ends before there is another connection"
# What is known of both servers, for who wonders.
servers()
{
	tail -n 12 "$tmp/log" "$tmp"/*.log
	for server_name in file qemu; do
		cat "/proc/$(cat "$tmp/$server_name.pid")/status" 2>&1 | head -n 3
	done
}
upgrade() { PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1; }
# Once more, if it was refused since nbdkit had just aborted.
upgrade_served()
{
	upgrade && return
	grep -q 'raw_send_socket: Assertion' "$tmp/file.log" && : >"$tmp/file.log" &&
		wait_for $wait_s is_connected $g && upgrade
}
# both_served: by other workers than before, with connections.
both_served()
{
	wait_for $wait_s is_connected $g && wait_for $wait_s is_connected $h ||
		fail "no connection after an upgrade: $(info $g server), $(info $h server)"
	[ "$(worker_of $g)" != "$worker_g" ] && [ "$(worker_of $h)" != "$worker_h" ] || fail "the same workers"
}
for n in 1 2 3; do
	worker_g=$(worker_of $g) worker_h=$(worker_of $h)
	if [ $n = 3 ]; then	# one of them ends with requests on their way
		upgrade &
		kill -9 "$worker_g"
		wait $!
		# It may be away for a moment: its connections are ended first.
		wait_for $wait_s is_connected $g || fail "no connection after a death: $(servers)"
	fi
	upgrade_served || fail "upgrade $n: $(cat "$tmp/said"; servers)"
	both_served
	sleep 0.2
done
kill_server qemu
wait_for $wait_s is_away $h || fail "its end is not noticed"
! upgrade && grep -q 'server is away: upgrade when it is there again' "$tmp/said" ||
	fail "upgraded while a server is away: $(cat "$tmp/said")"
rm -f "$tmp/run/blkback/vbd.upgrade"
qemu_server
wait_for $wait_s is_connected $h || fail "no connection again: $(info $h server)"
ends $g $pid_g "nbdkit, with its worker"
ends $h $pid_h qemu-nbd
kill_server file
kill_server qemu

say "a daemon that is started while a server is away"
qemu_server
wait_for 20 test -S "$tmp/qemu" || fail "no server"
attach_by_hand $h "$(uri qemu)" w
begins $h && pid_h=$guest_pid
kill_server qemu
wait_for $wait_s is_away $h || fail "its end is not noticed"
kill -9 "$daemon"
wait "$daemon"
start_daemon
has_error() { [ -n "$(error_of $h)" ]; }
wait_for $wait_s has_error || fail "nobody is told: $(tail -n 3 "$tmp/log")"
error_says $h "away since"
node_is "$(back_dir $h)/state" 4 || fail "the guest was told"
qemu_server
wait_for $wait_s is_connected $h || fail "no connection again: $(info $h server), $(tail -n 3 "$tmp/log")"
no_error $h || fail "the reason stands: $(error_of $h)"
ends $h $pid_h "one whose daemon came before its server"
kill_server qemu

# loses_server: a server to which there is no way any more, which nobody knows before an upgrade
# needs one. It is the version before that goes on, without it; others' disks come and go.
loses_server()
{
	serve one qemu-nbd --persistent --socket "$tmp/one" --format raw "$tmp/disk2"
	wait_for 20 test -S "$tmp/one" || fail "no server"
	attach_by_hand $h "$(uri one)" w
	begins $h && pid_h=$guest_pid
	rm "$tmp/one"
	so_far=$(grep -c 'takes over$' "$tmp/log")
	PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback --wait 600 >"$tmp/said" 2>&1 &
	upgrading=$!
	wait_for $wait_s has_lines $((so_far + 1)) 'takes over$' || fail "no upgrade"
	wait_for $wait_s is_away $h || fail "its server is there yet"
	attach_by_hand $g "$tmp/disk" w
	torture_begins $g 256 65536 && pid_g=$guest_pid
	back_reaches $g 4
	ends $g $pid_g "one that came meanwhile"
	! wait $upgrading && grep -q 'was not taken over in time' "$tmp/said" || fail "upgrade: $(cat "$tmp/said")"
	kill_server one
	serve one qemu-nbd --persistent --socket "$tmp/one" --format raw "$tmp/disk2"
	wait_for $wait_s is_connected $h || fail "no connection again: $(info $h server)"
	ends $h $pid_h "one that lost its server"
	kill_server one
	rm -f "$tmp/run/blkback/vbd.upgrade"
}
if [ -n "${PV_FULL:-}" ]; then
	say "a server that takes no other connection"
	loses_server
fi

# What the server had been asked before a worker died is done before its successor asks
# anything: nbdkit's log has connections and writes by time.
say "a slow server, and its worker killed"
serve slow nbdkit --foreground --unix "$tmp/slow" --filter=log --filter=delay memory 16M \
	wdelay=1 logfile="$tmp/slow.requests"
wait_for 20 test -S "$tmp/slow" || fail "no server"
attach_by_hand $i "$(uri slow)" w
begins $i one-page && pid_i=$guest_pid
has_writes() { grep -q ' Write ' "$tmp/slow.requests"; }
wait_for $wait_s has_writes || fail "no writes"
kill -9 "$(worker_of $i)"
again() { grep -q "requests of a predecessor were replayed" "$tmp/log"; }
wait_for $wait_s again || fail "nothing was replayed"
ends $i $pid_i "slow nbdkit"
# No write of a later connection begins while one of an earlier is on its way.
awk '{ c = ""; for (f = 1; f <= NF; f++) if ($f ~ /^connection=/) c = substr($f, 12) + 0 }
	/ Write id=/ { for (k in open) if (k + 0 < c && open[k] > 0) { print; bad = 1 }
		open[c]++; if (c > first) { if (first) later++; else first = c } }
	/\.\.\.Write id=/ { open[c]-- }
	END { exit bad || !later }' "$tmp/slow.requests" ||
	fail "a write overtook: $(grep Write "$tmp/slow.requests" | head -n 40)"
kill_server slow

say "time is up"
file_server
wait_for 20 test -S "$tmp/file" || fail "no server"
attach_by_hand $g "$(uri file)" w "$(back_dir $g)/io-timeout" 1
back_reaches $g 2
{ until [ -e "$tmp/go" ]; do sleep 0.05; done; head -c 65536 /dev/zero; } | blkfront $g write --quiet --length 64K >"$tmp/io" 2>&1 &
io=$!
back_reaches $g 4
wait_for $wait_s is_connected $g || fail "no connection"
kill_server file
: >"$tmp/go"
expect_failure() { ! wait $io; }
expect_failure || fail "a write to no server succeeded"
grep -q "Connection timed out" "$tmp/log" || fail "the log does not say why: $(tail -n 5 "$tmp/log")"
back_reaches $g 6
remove_nodes $g

say "a server's errors are the guest's, and no others"
file_server --filter=error "error-pwrite=EIO error-pwrite-rate=100% error-pwrite-file=$tmp/wrong"
wait_for 20 test -S "$tmp/file" || fail "no server"
attach_by_hand $g "$(uri file)" w
: >"$tmp/wrong"
head -c 65536 /dev/zero | blkfront $g write --quiet --length 64K 2>"$tmp/said" && fail "an error is lost"
rm "$tmp/wrong"
remove_nodes $g
attach_by_hand $g "$(uri file)" w
head -c 65536 /dev/zero | blkfront $g write --quiet --length 64K || fail "an error stays"
remove_nodes $g
kill_server file
end_back
