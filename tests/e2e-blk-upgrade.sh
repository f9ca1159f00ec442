#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon is upgraded again and again under guests that know what their disks must hold
# (torture-blk.c): no request fails, nothing is lost; the pauses are said. Then upgrades that
# cannot be: the version that runs goes on, and the command says why.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-torture.sh"
paravane=$PWD/paravane broken=$PWD/tests/broken-blkback hostile=$PWD/tests/hostile-blk
[ -x "$broken" ] || skip "tests/broken-blkback is not built; make check builds it"
disks=4 upgrades=6
if [ -n "${PV_FULL:-}" ]; then
	upgrades=100
fi
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
[ -n "${PV_FULL:-}" ] || say "deferred: 100 upgrades ($upgrades here)"

own_images
trap 'rm -rf "$images"' EXIT
start_daemon
begins()
{
	cache=writeback options=
	[ $((i % 2)) = 0 ] || cache=$direct
	[ $i -le 2 ] || options="queues no-persistent"
	# shellcheck disable=SC2086
	disk_begins $cache 4096 4096 $options
}
each_disk begins
each_disk disk_is_served

# workers: all of them, by their process ids.
workers() { for i in 1 2 3 4; do eval "worker_of \$dom_$i"; done | sort | xargs; }
# Each guest goes on, and none was told.
served() { each_disk disk_goes_on; }

say "$upgrades upgrades under load"
n=0
while [ $n -lt $upgrades ]; do
	n=$((n + 1))
	before=$(workers)
	"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "upgrade $n: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	[ "$(grep -c ' xvda .* vbd ' "$tmp/out")" = $disks ] || fail "upgrade $n: $(cat "$tmp/out")"
	awk '/xvda/ { print $4 }' "$tmp/out" >>"$tmp/pauses"
	served
	for worker in $before; do
		process_gone "$worker" || fail "worker $worker of before runs yet"
	done
	[ "$(readlink "/proc/$daemon/exe")" = "$blkback" ] || fail "the daemon is another process"
	sleep "0.$((n % 4))"
done
sort -n "$tmp/pauses" | awk -v name="$name" '{ p[NR] = $1 }
	END { printf "%s: %d pauses: median %.1f ms, longest %.1f ms (under 100 ms: %s)\n", name, NR,
		p[int((NR + 1) / 2)], p[NR], p[NR] < 100 ? "met" : "not met" }'
"$paravane" upgrade --json >"$tmp/json" || fail "--json: $(cat "$tmp/json")"
python3 - "$tmp/json" $disks <<'EOF' || fail "--json: $(cat "$tmp/json")"
import json, sys
d, = json.load(open(sys.argv[1]))
assert d['daemon'] == 'paravane-blkback' and d['status'] == 'upgraded' and d['reason'] == '', d
assert len(d['devices']) == int(sys.argv[2]) and all(v['pause_us'] > 0 for v in d['devices']), d
EOF

# WORKER-7, WORKER-9, WORKER-11.
# meanwhile HOW TEXT: a guest does that while an old version serves it; the upgrade comes, and
# its disk, and no other, is closed for that reason.
truncate -s 16M "$tmp/mean"
make_guest mean
mean=$domid
meanwhile()
{
	attach_by_hand "$mean" "$tmp/mean" w
	back_reaches "$mean" 2
	case $1 in
	take-*)
		: >"$tmp/io-$mean"
		guest "$mean" "$hostile" "$1-back" >"$tmp/io-$mean" 2>&1 &
		io=$!
		wait_for $wait_s grep -q 'taken back' "$tmp/io-$mean" || fail "$1: $(cat "$tmp/io-$mean")"
		;;
	*) use_disk "$mean" ;;
	esac
	node_is "$(back_dir "$mean")/state" 4 || fail "$1: it is not served"
	case $1 in
	renames) guest "$mean" xenstore-write "$(front_dir "$mean")/ring-ref" 9 ;;
	forgets) guest "$mean" xenstore-rm "$(front_dir "$mean")/event-channel" ;;
	esac
	"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "a guest that $1 its ring: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	wait_for $wait_s not_connected || fail "a guest that $1 its ring is served: $(tail -5 "$tmp/log")"
	error_says "$mean" "$2"
	served
	case $1 in
	take-*) wait "$io" || fail "$1: $(cat "$tmp/io-$mean")" ;;
	# It ends by itself; of what is killed the guest's process may go on.
	*) wait "$io" ;;
	esac
	detach_by_hand "$mean"
}
not_connected() { ! node_is "$(back_dir "$mean")/state" 4; }
say "a guest that loses its ring stops no upgrade"
meanwhile renames "not those that it connected with"
meanwhile forgets "not those that it connected with"
meanwhile take-ring "cannot map the ring"
meanwhile take-port "cannot bind"
meanwhile take-map "cannot map the ring"

# Their guests wait, and the upgrade does not: there may be room only when others have come.
say "nor does a host without room for rings"
"$LOCALXEN" fail map --domain 0 --status GNTST_no_device_space --count 0 >"$tmp/rule" || fail "no rule"
so_far=$(grep -c 'no maptrack entries left to map its rings' "$tmp/log")
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "no room: $(cat "$tmp/out"; tail -5 "$tmp/log")"
wait_for $wait_s has_lines $((so_far + disks)) 'no maptrack entries left to map its rings' ||
	fail "they do not wait: $(tail -5 "$tmp/log")"
# Who is slow is named after 10 s: its own image's user is the worker itself.
sleep 6
! grep 'its image is still used by process' "$tmp/log" || fail "see above"
"$LOCALXEN" fail --clear || fail "rules stay"
served

# WORKER-10: each of its disks has a worker that looks for the port, at nearly any time.
say "nor one that connects again and again, in vain"
for i in 1 2 3; do
	truncate -s 16M "$tmp/mean-$i"
	"$paravane" attach-disk "$mean" "$tmp/mean-$i" "xvd$(echo $i | tr 123 bcd)" --no-wait \
		--no-libxl >"$tmp/out" 2>&1 || fail "attach-disk: $(cat "$tmp/out")"
	guest "$mean" "$hostile" --device $((51712 + 16 * i)) no-port >"$tmp/io-$i" 2>&1 &
	eval "io_$i=\$!"
done
wait_for $wait_s has_lines 3 "vbd $mean/.*cannot bind event channel" || fail "no worker looks for a port"
for i in 1 2 3; do
	"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "connects in vain: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	served
done
guest "$mean" xenstore-write data/stop 1
for i in 1 2 3; do
	eval "wait \$io_$i" || fail "$(cat "$tmp/io-$i")"
	"$paravane" detach "$mean" "xvd$(echo $i | tr 123 bcd)" --force >"$tmp/out" 2>&1 || fail "detach: $(cat "$tmp/out")"
done

say "while another is asked for"
request=$tmp/run/blkback/vbd.upgrade-request
kill -STOP "$daemon"
: >"$request"
expect 6 "$paravane" upgrade --wait 1 --json >"$tmp/json" 2>"$tmp/out"
kill -CONT "$daemon"
python3 -c 'import json, sys; assert json.load(open(sys.argv[1])) == []' "$tmp/json" || fail "--json: $(cat "$tmp/json")"
# By one that was killed before it told the daemon.
: >"$request"
expect 0 "$paravane" upgrade >"$tmp/out" 2>&1
# One that is killed while it writes; its request would be taken up, without its number.
(ulimit -c 0; ulimit -f 0; exec "$paravane" upgrade) 2>/dev/null
[ ! -e "$request" ] || fail "half a request: $(od -c "$request")"
rm -f "$request".*
# Two, of which the second comes while the first is under way, and sleeps when it is done.
so_far=$(grep -c 'upgrade: asks' "$tmp/log")
"$paravane" upgrade blkback >"$tmp/first" 2>&1 &
first=$!
wait_for $wait_s has_lines $((so_far + 1)) 'upgrade: asks' || fail "no upgrade"
kill -STOP "$first"
"$paravane" upgrade >"$tmp/out" 2>&1 &
second=$!
sleep 1
kill -CONT "$first"
wait "$first" || fail "the first of two upgrades: $(cat "$tmp/first")"
wait "$second" || fail "the second of two upgrades: $(cat "$tmp/out")"
served

# refuses STATUS TEXT PROGRAM: and everything goes on as it was.
refuses()
{
	before=$(workers)
	"$paravane" upgrade blkback --program "$2" >"$tmp/out" 2>&1
	[ $? = 1 ] || fail "$2 was taken: $(cat "$tmp/out")"
	grep -q "goes on as it was: .*$1" "$tmp/out" || fail "$2: $(cat "$tmp/out"), expected '$1'"
	[ "$(readlink "/proc/$daemon/exe")" = "$blkback" ] || fail "the daemon is $(readlink "/proc/$daemon/exe")"
	served
}

say "to what cannot take over"
refuses 'cannot be started: No such file' "$tmp/missing"
[ "$before" = "$(workers)" ] || fail "workers have changed"
printf '#!/bin/sh\necho no library >&2; exit 3\n' >"$tmp/fails"
printf '#!/bin/sh\nkill -SEGV $$\n' >"$tmp/dies"
printf '#!/bin/sh\necho hello\n' >"$tmp/other"
chmod +x "$tmp/fails" "$tmp/dies" "$tmp/other"
refuses 'status 3): no library' "$tmp/fails"
refuses 'signal 11' "$tmp/dies"
refuses 'is no version of this program' "$tmp/other"
cp "$broken" "$tmp/broken-journal"
refuses 'journals of the running version are of format 1, expected 2' "$tmp/broken-journal"
[ "$before" = "$(workers)" ] || fail "workers have changed"

say "to what says that it can, and cannot"
for how in crash exit open worker; do
	cp "$broken" "$tmp/broken-$how"
done
refuses 'the new version crashed: SIGSEGV' "$tmp/broken-crash"
refuses 'the new version ended' "$tmp/broken-exit"
refuses 'cannot start: Input/output error' "$tmp/broken-open"
refuses 'the worker was ended by signal 9' "$tmp/broken-worker"

# All are dead when the new version looks for them, and none may be forgotten.
say "workers that die in the moment of the takeover have successors"
cp "$broken" "$tmp/broken-late"
"$paravane" upgrade blkback --program "$tmp/broken-late" >"$tmp/out" 2>&1 ||
	fail "not taken over: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
served
"$paravane" upgrade blkback --program "$blkback" >"$tmp/out" 2>&1 || fail "not back: $(cat "$tmp/out")"
served

# It would have to be sent back: a mirror that runs is not handed over.
say "a mirror that is asked for meanwhile begins afterwards"
cp "$broken" "$tmp/broken-slow"
so_far=$(grep -c 'takes over$' "$tmp/log")
"$paravane" upgrade blkback --program "$tmp/broken-slow" >"$tmp/out" 2>&1 &
upgrading=$!
wait_for $wait_s has_lines $((so_far + 1)) 'takes over$' || fail "no upgrade"
for i in 1 2 3 4; do
	eval "\"\$paravane\" mirror \"\$dom_$i\" xvda \"$images/target-$i\" --rate 1 --no-wait" >"$tmp/mirror-$i" 2>&1 &
	eval "mirror_$i=\$!"
done
wait $upgrading || fail "not taken over: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
for i in 1 2 3 4; do
	eval "wait \$mirror_$i" || fail "mirror: $(cat "$tmp/mirror-$i")"
	eval "\"\$paravane\" mirror \"\$dom_$i\" xvda --cancel" >"$tmp/mirror-$i" 2>&1 || fail "mirror --cancel: $(cat "$tmp/mirror-$i")"
done
served
"$paravane" upgrade blkback --program "$blkback" >"$tmp/out" 2>&1 || fail "not back: $(cat "$tmp/out")"
served

say "one that is killed in the middle"
for whom in daemon worker; do
	so_far=$(grep -c 'takes over$' "$tmp/log")
	"$paravane" upgrade blkback >"$tmp/out" 2>&1 &
	upgrading=$!
	case $whom in
	daemon)
		wait_for $wait_s has_lines $((so_far + 1)) 'takes over$' || fail "no upgrade"
		kill -9 "$daemon"
		wait "$daemon"
		start_daemon ;;
	worker)
		eval "kill -9 \$(worker_of \$dom_1)" ;;
	esac
	wait $upgrading
	served
	say "killed $whom: $(tail -1 "$tmp/out")"
done
# As one does whose storage holds its last writes.
if [ -n "${PV_FULL:-}" ]; then
	say "one that stops when it is asked for, and does not end, is named"
	make_guest slow
	truncate -s 16M "$images/slow"
	attach_by_hand "$domid" "$images/slow" w
	use_disk "$domid"
	stopped=$(worker_of "$domid")
	kill -STOP "$stopped"
	guest "$domid" xenstore-write "$(front_dir "$domid")/state" 6
	expect 1 "$paravane" upgrade blkback >"$tmp/out" 2>&1
	grep -q "now it is vbd $domid/51712; paravane why" "$tmp/out" || fail "not named: $(cat "$tmp/out")"
	kill -CONT "$stopped"
	back_reaches "$domid" 6
	kill "$io" 2>/dev/null
	wait "$io"
	detach_by_hand "$domid"
	served
else
	say "deferred: an upgrade that one device holds up (15 s)"
fi
say "a worker that does not end holds up nobody but its guest"
before=$(workers)
stopped=$(worker_of "$dom_1")
kill -STOP "$stopped"
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "one worker stops it: $(cat "$tmp/out"; tail -n 5 "$tmp/log")"
process_gone "$stopped" && fail "the worker that was stopped has gone: $(tail -n 5 "$tmp/log")"
for i in 2 3 4; do
	eval "domid=\$dom_$i guest_pid=\$pid_$i"
	disk_goes_on
	case " $before " in *" $(worker_of "$domid") "*) fail "disk $i has the worker of before" ;; esac
done
kill -CONT "$stopped"
wait_for $wait_s process_gone "$stopped" || fail "it does not end"
first_has_come() { now=$(worker_of "$dom_1") && [ "$now" != "$stopped" ]; }
wait_for $wait_s first_has_come || fail "no successor of it: $(tail -n 5 "$tmp/log")"
served
say "nor the daemon's stop"
stopped=$(worker_of "$dom_1")
kill -STOP "$stopped"
kill -TERM "$daemon"
wait "$daemon" || fail "stopped, it ended with status $?: $(tail -n 5 "$tmp/log")"
grep -q "vbd $dom_1/51712: its worker does not end" "$tmp/log" || fail "it waited for the worker that does not end"
start_daemon
served
say "a daemon that is started before an image is there waits for it"
kill -TERM "$daemon"
wait "$daemon" || fail "stopped, it ended with status $?: $(tail -n 5 "$tmp/log")"
mv "$images/1" "$images/away"
start_daemon
has_error() { [ -n "$(error_of "$dom_1")" ]; }
wait_for $wait_s has_error
error_says "$dom_1" "no such file"
for i in 2 3 4; do
	eval "domid=\$dom_$i guest_pid=\$pid_$i"
	disk_goes_on
done
node_is "$(back_dir "$dom_1")/state" 4 || fail "the guest was told"
mv "$images/away" "$images/1"
served
[ "$(grep -c 'no such file.*its guest waits' "$tmp/log")" = 1 ] || fail "said more than once: $(grep 'no such file' "$tmp/log")"
wait_for $wait_s no_error "$dom_1" || fail "the reason stands: $(error_of "$dom_1")"
# WORKER-5: the next daemon starts another, and both would wait for the same lock.
say "a successor that waits for its turn dies with its daemon"
former=$(worker_of "$dom_1")
successor() { pgrep -P "$daemon" -f "vbd-$dom_1-" | grep -vx "$former"; }
kill -STOP "$former"
"$paravane" upgrade blkback >"$tmp/out" 2>&1 &
upgrading=$!
wait_for $wait_s waits_for "$images/1" || fail "nobody waits: $(tail -n 3 "$tmp/log")"
late=$(successor)
[ -n "$late" ] || fail "which is the successor? $(pgrep -af "vbd-$dom_1-")"
kill -9 "$daemon"
wait "$daemon"
wait_for $wait_s process_gone "$late" || fail "it outlives its daemon, and waits: $late"
kill -CONT "$former"
start_daemon
wait $upgrading
served
"$paravane" upgrade blkback >"$tmp/out" 2>&1 || fail "the last upgrade: $(cat "$tmp/out"; tail -5 "$tmp/log")"

each_disk disk_ends
rm -f "$tmp/run/blkback/vbd.upgrade"
end_back
