#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that are no plain bytes: qemu-nbd and nbdkit are started for them, watched, and
# ended; what they say when they cannot is what people are told.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
. "$(dirname "$0")/lib-torture.sh"
. "$(dirname "$0")/lib-steps.sh"
broken=$PWD/tests/broken-blkback
[ -x "$broken" ] || skip "tests/broken-blkback is not built; make check builds it"
! sanitized || skip "qemu-nbd and nbdkit are started with a sanitizer's environment"
need nbdkit nbdkit
need qemu-nbd qemu-utils
need qemu-img qemu-utils
own_xen "$@"

server_of() { pgrep -P "$daemon" -f "vbd-$1-51712.nbd"; }
no_server() { ! server_of "$1" >/dev/null; }
is_connected() { [ "$(info "$1" server)" = connected ]; }
has_error() { [ -n "$(error_of $g)" ]; }
# put NAME, get NAME: the whole of a disk through a guest; closed again afterwards.
put()
{
	attach_by_hand $g "$1" w
	blkfront $g write --quiet --length 4M <"$tmp/data" || fail "$1: not written: $(tail -n 5 "$tmp/log")"
	back_reaches $g 6
	detach_by_hand $g
	wait_for $wait_s no_server $g || fail "$1: its server is left"
}
get()
{
	attach_by_hand $g "$1" r
	blkfront $g read --quiet --length 4M >"$tmp/out" || fail "$1: not read: $(tail -n 5 "$tmp/log")"
	cmp "$tmp/out" "$tmp/data" || fail "$1: something else was read"
	detach_by_hand $g
}
refused()
{
	attach_by_hand $g "$1" w
	back_reaches $g 6
	error_says $g "$2"
	remove_nodes $g
}

seeded 1 4M >"$tmp/data"
echo secret >"$tmp/key"
qemu-img create -q -f qcow2 "$tmp/base" 16M
qemu-img create -q -f vmdk "$tmp/vmdk" 16M
# Encrypting takes a while to set up: one kind of it here, the other in the long form.
if [ -n "${PV_FULL:-}" ]; then
	qemu-img create -q -f qcow2 --object secret,id=s,file="$tmp/key" \
		-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 "$tmp/crypt" 16M
else
	say "deferred: an encrypted qcow2"
fi
# It measures the CPU first, and gives up where it is too busy for that.
qemu-img create -q -f luks --object secret,id=s,file="$tmp/key" -o key-secret=s,iter-time=10 \
	"$tmp/luks" 16M 2>"$tmp/said" || { rm -f "$tmp/luks"; say "no luks: $(cat "$tmp/said")"; }
# While $tmp/slow is there qemu-nbd takes so many seconds to end once it is told to; while
# $tmp/hold is there those do not begin whose words have what is in it, and with $tmp/barred they
# end.
mkdir "$tmp/bin"
cat >"$tmp/bin/qemu-nbd" <<EOF
#!/bin/sh
while [ -e "$tmp/hold" ]; do
	case "\$*" in *"\$(cat "$tmp/hold")"*) sleep 0.05 ;; *) break ;; esac
done
case "\$*" in *"\$(cat "$tmp/barred" 2>/dev/null || echo nobody)"*) echo barred >&2; exit 1 ;; esac
[ -e "$tmp/slow" ] || exec $(command -v qemu-nbd) "\$@"
trap 'echo told >>"$tmp/told"; sleep \$(cat "$tmp/slow")' TERM
$(command -v qemu-nbd) "\$@" &
wait \$!
kill \$! 2>/dev/null
wait \$!
echo ended >>"$tmp/told"
EOF
chmod +x "$tmp/bin/qemu-nbd"
PATH=$tmp/bin:$PATH
start_daemon
make_guest g && g=$domid
make_guest h && h=$domid
make_guest i && i=$domid
make_guest j && j=$domid

say "formats"
put "qcow2:$tmp/base"
qemu-img compare -q -f raw -F qcow2 "$tmp/data" "$tmp/base" || fail "qcow2 holds something else"
qemu-img check -q "$tmp/base" || fail "qcow2 is damaged"
put "vmdk+cache=writethrough:$tmp/vmdk"
get "vmdk:$tmp/vmdk"
if [ -e "$tmp/luks" ]; then
	put "luks+secret=$tmp/key:$tmp/luks"
	get "luks+secret=$tmp/key:$tmp/luks"
	refused "luks+secret=$tmp/none:$tmp/luks" "$tmp/none"
fi
if [ -e "$tmp/crypt" ]; then
	put "qcow2+secret=$tmp/key+cache=writethrough:$tmp/crypt"
	get "qcow2+cache=none+secret=$tmp/key:$tmp/crypt"
	refused "qcow2:$tmp/crypt" "encrypt.key-secret"
fi

say "a backing file, which stays as it is"
qemu-img create -q -f qcow2 -b "$tmp/base" -F qcow2 "$tmp/top"
before=$(sum <"$tmp/base")
get "qcow2:$tmp/top"
seeded 2 4M >"$tmp/data"
put "qcow2:$tmp/top"
[ "$(sum <"$tmp/base")" = "$before" ] || fail "the backing file was written"
get "qcow2:$tmp/top"

say "nbdkit, and TLS through it"
put "nbdkit:file $tmp/vmdk"
get "nbdkit:file $tmp/vmdk"
mkdir "$tmp/psk"
printf 'alice:00112233445566778899aabbccddeeff\n' >"$tmp/psk/keys"
nbdkit --foreground --unix "$tmp/tls" --tls=require --tls-psk="$tmp/psk/keys" file "$tmp/vmdk" >"$tmp/tls.log" 2>&1 &
tls=$!
trap 'kill -9 $tls 2>/dev/null' EXIT
if nbdkit --dump-config | grep -qx tls=yes; then
	wait_for $wait_s test -S "$tmp/tls" || fail "nbdkit does not come up: $(cat "$tmp/tls.log")"
	get "nbds+unix://alice@/?socket=$tmp/tls&tls-psk-file=$tmp/psk/keys"
fi
kill $tls

say "what cannot be"
refused "qcow2:$tmp/none" "$tmp/none"
refused "qcow2:$tmp/data" "Image is not in qcow2 format"
refused "qcow2+cache=fast:$tmp/base" "expected cache=none, writethrough or writeback"
refused "qcow2:relative" "expected an absolute path after qcow2:"
refused "nbdkit:nosuchplugin" "nosuchplugin"

say "refused, and asked again when its front end begins again"
attach_by_hand $g "qcow2:$tmp/late" w
back_reaches $g 6
qemu-img create -q -f qcow2 "$tmp/late" 4M
# Nobody says that its 6 has been seen.
begins_again()
{
	xenstore-write "$(front_dir $g)/state" 6
	sleep 0.3
	xenstore-write "$(front_dir $g)/state" 1
	wait_for 20 node_is "$(back_dir $g)/state" 2
}
wait_for $wait_s begins_again || fail "it is not asked again: $(tail -n 5 "$tmp/log")"
detach_by_hand $g

say "a medium behind a server, in a drive that nobody uses yet"
qemu-img convert -f raw -O qcow2 "$tmp/data" "$tmp/medium"
truncate -s 1M "$tmp/plain"
attach_by_hand $g "$tmp/plain" r "$(back_dir $g)/device-type" cdrom
back_reaches $g 2
node_is "$(back_dir $g)/sectors" 2048 || fail "no medium"
xenstore-write "$(back_dir $g)/params" "qcow2:$tmp/medium"
wait_for $wait_s node_is "$(back_dir $g)/sectors" 8192 ||
	fail "the drive is at $(xenstore-read "$(back_dir $g)/state"): $(tail -n 3 "$tmp/log")"
blkfront $g read --quiet >"$tmp/out" || fail "not read: $(tail -n 5 "$tmp/log")"
cmp "$tmp/out" "$tmp/data" || fail "something else was read"
remove_nodes $g

say "a medium whose server a new daemon waits for, and that is changed for one that cannot be had"
attach_by_hand $g "qcow2:$tmp/medium" r "$(back_dir $g)/device-type" cdrom
guest $g sh -c 'echo $$ >"$1"; exec "$2" info --watch' sh "$tmp/pid" "$blkfront" >"$tmp/watch" 2>&1 &
watcher=$!
back_reaches $g 4
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
kill -9 "$daemon"
wait "$daemon"
echo "vbd-$g-51712" >"$tmp/barred"
start_daemon
wait_for $wait_s has_error || fail "nobody is told"
xenstore-write "$(back_dir $g)/params" "$tmp/none"
has_medium() { [ "$(info $g image)" = "$1" ]; }
wait_for $wait_s has_medium "(no medium)" || fail "it has $(info $g image): $(tail -n 3 "$tmp/log")"
node_is "$(back_dir $g)/state" 4 || fail "the drive is at $(xenstore-read "$(back_dir $g)/state")"
xenstore-write "$(back_dir $g)/params" "$tmp/plain"
wait_for $wait_s has_medium "$tmp/plain" || fail "it has $(info $g image): $(tail -n 3 "$tmp/log")"
rm "$tmp/barred"
kill "$(cat "$tmp/pid")"
wait $watcher
detach_by_hand $g

say "refused when its server was asked: it is not for another image"
truncate -s 4M "$tmp/plain"
before=$(sum <"$tmp/top")
attach_by_hand $g "qcow2:$tmp/top" w "$(back_dir $g)/limit" nonsense
back_reaches $g 6
error_says $g nonsense
wait_for $wait_s no_server $g || fail "its server is left: $(server_of $g)"
xenstore-rm "$(back_dir $g)/limit"
xenstore-write "$(back_dir $g)/params" "$tmp/plain" "$(back_dir $g)/state" 1
back_reaches $g 2
blkfront $g write --quiet --length 4M <"$tmp/data" || fail "not written: $(tail -n 5 "$tmp/log")"
cmp "$tmp/plain" "$tmp/data" || fail "something else was written, or elsewhere"
[ "$(sum <"$tmp/top")" = "$before" ] || fail "the image before was written"
remove_nodes $g

say "a server that leaves a child, and no word of its end"
cat >"$tmp/plugin" <<'END'
#!/bin/sh
[ "$1" != load ] || { sleep 600 <&- >&- 2>&- & echo $! >"${0%plugin}child"; }
exit 1
END
chmod +x "$tmp/plugin"
refused "nbdkit:sh $tmp/plugin" "nbdkit"
kill -0 "$(cat "$tmp/child")" || fail "the child is not there: nothing is tested"
get "qcow2:$tmp/top"
kill "$(cat "$tmp/child")"

say "a server that is killed, under load"
qemu-img create -q -f qcow2 "$tmp/torture" 16M
attach_by_hand $g "qcow2:$tmp/torture" w
torture_begins $g 256 65536
torture_is_served $g
for round in 1 2 3; do
	wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
	sleep 0.3
	server=$(server_of $g)
	[ -n "$server" ] || fail "no server"
	[ $round = 3 ] || kill -9 "$server"
	# The successor of a worker has a server of its own: that is its fence. The one before may
	# have more to say than a socket holds.
	[ $round != 3 ] || { kill -STOP "$(worker_of $g)"; sleep 0.3; kill -9 "$(worker_of $g)"; }
	wait_for $wait_s process_gone "$server" || fail "the server is still there"
done
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
! grep "did not end" "$tmp/log" >"$tmp/said" || fail "a server was killed: $(cat "$tmp/said")"

# 512 writes, one after the other, of 20 ms each: the server has its time for each of them.
say "what a killed server had answered takes longer to write again than a request may"
truncate -s 16M "$tmp/slowly"
attach_by_hand $h "nbdkit:file $tmp/slowly --filter=delay wdelay=20ms" w "$(back_dir $h)/io-timeout" 3
steps_begin $h
sees "write ok" write 0 2097152 1
kill -9 "$(server_of $h)"
sees "read ok" read 0 4096 1
steps_end
back_reaches $h 6
remove_nodes $h

say "told to end while its server is away: the server's next one is waited for"
: >"$tmp/hold"
kill -9 "$(server_of $g)"
is_away() { ! is_connected $g; }
wait_for $wait_s is_away || fail "its end is not noticed"
kill "$daemon"
sleep 1
rm "$tmp/hold"
wait "$daemon" || fail "the daemon ended with $?"
! grep -n "did not end\|does not end" "$tmp/log" >"$tmp/said" || fail "its worker was killed: $(cat "$tmp/said" "$tmp/log")"
start_daemon
torture_is_served $g
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"

say "upgraded: the worker has a successor, and so has the server"
for round in 1 2 3; do
	server=$(server_of $g) worker=$(worker_of $g)
	PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 ||
		fail "upgrade $round: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
	[ "$(worker_of $g)" != "$worker" ] || fail "the same worker"
	[ "$(server_of $g)" != "$server" ] || fail "the same server"
	process_gone "$server" || fail "the server of the version before is still there"
	wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
	sleep 0.3
done
say "to a version that fails: back to the one before"
cp "$broken" "$tmp/broken-worker"
! PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback --program "$tmp/broken-worker" >"$tmp/said" 2>&1 ||
	fail "it was taken: $(cat "$tmp/said")"
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
[ "$(pgrep -P "$daemon" -c -f 'qemu-nbd')" = 1 ] || fail "servers: $(pgrep -a -P "$daemon")"
rm -f "$tmp/run/blkback/vbd.upgrade"
sleep 0.3
# One of the two at least waits for another's turn then, and nobody takes its connections. They
# only read: what a server has not flushed would be lost with it and the worker of before.
say "servers that die while the next version takes over"
cp "$broken" "$tmp/broken-slow"
attach_by_hand $h "qcow2:$tmp/base" r
use_disk $h
attach_by_hand $j "qcow2:$tmp/base" r
use_disk $j
so_far=$(grep -c 'takes over$' "$tmp/log") killed="$(server_of $h) $(server_of $j)"
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback --program "$tmp/broken-slow" >"$tmp/said" 2>&1 &
upgrading=$!
wait_for $wait_s has_lines $((so_far + 1)) 'takes over$' || fail "no upgrade"
kill -9 $killed
# Nor does anybody wait for one that is new.
echo "vbd-$i-51712" >"$tmp/hold"
attach_by_hand $i "qcow2:$tmp/late" w
wait $upgrading || fail "not taken over: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
! node_is "$(back_dir $i)/state" 6 || fail "the upgrade has waited for a server that does not begin"
rm "$tmp/hold"
detach_by_hand $i
for d in $g $h $j; do
	wait_for $wait_s is_connected $d || fail "no connection: $(info $d server)"
done
detach_by_hand $h
detach_by_hand $j
rm -f "$tmp/run/blkback/vbd.upgrade"
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback --program "$blkback" >"$tmp/said" 2>&1 || fail "not back: $(cat "$tmp/said")"
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
say "no upgrade while a daemon that was started anew waits for its server"
kill -9 "$daemon"
wait "$daemon"
echo "vbd-$g-51712" >"$tmp/barred"
start_daemon
wait_for $wait_s has_error || fail "nobody is told"
error_says $g barred
! PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 || fail "it was upgraded: $(cat "$tmp/said")"
grep -q "its image's server is away" "$tmp/said" || fail "not said why: $(cat "$tmp/said")"
say "what it waits for is its own, and the file that it has named"
attach_by_hand $h "$tmp/torture" w
back_reaches $h 6
error_says $h "in use by vbd $g/51712"
remove_nodes $h
rm "$tmp/barred"
wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
rm -f "$tmp/run/blkback/vbd.upgrade"
torture_ends $g $guest_pid "the guest"
detach_by_hand $g
echo "vbd-$g-51712" >"$tmp/hold"
qemu-img create -q -f qcow2 "$tmp/next" 32M
truncate -s %4096 "$tmp/next"
attach_by_hand $g "qcow2:$tmp/late" w
begins() { server_of $g >/dev/null; }
wait_for $wait_s begins || fail "no server"
mv "$tmp/next" "$tmp/late"
rm "$tmp/hold"
back_reaches $g 2
attach_by_hand $h "$tmp/late" w
back_reaches $h 6
error_says $h "in use by vbd $g/51712"
remove_nodes $h
detach_by_hand $g

say "and is given another image while the next one is asked for"
echo "vbd-$g-51712" >"$tmp/hold"
qemu-img create -q -f qcow2 "$tmp/next" 32M
truncate -s %4096 "$tmp/next"
truncate -s 3M "$tmp/plain"
attach_by_hand $g "qcow2:$tmp/late" w
wait_for $wait_s begins || fail "no server"
mv "$tmp/next" "$tmp/late"
echo 2 >"$tmp/slow"
rm "$tmp/hold"
is_told() { grep -q told "$tmp/told" 2>/dev/null; }
wait_for $wait_s is_told || fail "its server is not told to end"
xenstore-write "$(back_dir $g)/params" "$tmp/plain"
wait_for $wait_s node_is "$(back_dir $g)/sectors" 6144 || fail "not opened: $(tail -n 5 "$tmp/log")"
node_is "$(back_dir $g)/state" 2 || fail "it is at $(xenstore-read "$(back_dir $g)/state")"
rm "$tmp/slow" "$tmp/told"
detach_by_hand $g
# A qemu that is killed leaks clusters (3), and no more.
qemu-img check -q "$tmp/torture" >"$tmp/said" 2>&1
case $? in 0|3) ;; *) fail "qcow2 is damaged: $(cat "$tmp/said")" ;; esac

# A server that does not end is killed after ten seconds.
lost_with_server()
{
	rm -f "$tmp/go"
	attach_by_hand $g "qcow2:$tmp/torture" w
	back_reaches $g 2
	{ until [ -e "$tmp/go" ]; do sleep 0.05; done; head -c 4096 /dev/zero; } |
		blkfront $g write --quiet --length 4K >"$tmp/io" 2>&1 &
	io=$!
	back_reaches $g 4
	wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
	kill -STOP "$(server_of $g)"
	kill -9 "$(worker_of $g)"
	was_lost() { grep -q "answered and not flushed may be lost" "$tmp/log"; }
	wait_for $wait_s was_lost || fail "nobody says so: $(tail -n 5 "$tmp/log")"
	wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
	: >"$tmp/go"
	! wait $io || fail "its flush succeeded"
	remove_nodes $g
}
# The worker cannot end, since the server does not answer, and is killed at its deadline; so is the
# server at its own.
upgrade_begins()
{
	PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 ||
		fail "upgrade: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
	rm -f "$tmp/run/blkback/vbd.upgrade"
}
restart()
{
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
	start_daemon "$@"
}
upgrade_without_server()
{
	n=$(grep -c "of the version before has not ended" "$tmp/log")
	upgrade_begins &
	upgrading=$!
	wait_for $wait_s has_lines $((n + 1)) "of the version before has not ended" || fail "it has ended"
	kill -9 "$(server_of $g)"
	wait $upgrading || fail "see above"
}
# lost_with_killed WORDS ACTION...: said by whom knows, and to the guest.
lost_with_killed()
{
	words=$1
	shift
	rm -f "$tmp/go" "$tmp/fed"
	so_far=$(grep -c "$words" "$tmp/log")
	attach_by_hand $g "qcow2:$tmp/torture" w
	back_reaches $g 2
	{
		cat "$tmp/data"
		: >"$tmp/fed"
		until [ -e "$tmp/go" ]; do sleep 0.05; done
		cat "$tmp/data"
	} | blkfront $g write --quiet >"$tmp/io" 2>&1 &
	io=$!
	wait_for $wait_s test -e "$tmp/fed" || fail "nothing is written: $(cat "$tmp/io")"
	kill -STOP "$(server_of $g)"
	: >"$tmp/go"
	sleep 1
	"$@"
	wait_for $wait_s has_lines $((so_far + 1)) "$words" ||
		fail "nobody says so: $(tail -n 5 "$tmp/log")"
	! wait $io || fail "its flush succeeded"
	detach_by_hand $g
}
lost="answered and not flushed may be lost"
say "a server that dies in an upgrade: the worker of before does not wait for another"
killed=$(grep -c "which took too long" "$tmp/log")
lost_with_killed "the server is gone, and with it perhaps writes" upgrade_without_server
[ "$(grep -c "which took too long" "$tmp/log")" = "$killed" ] || fail "it was killed"
if [ -n "${PV_FULL:-}" ]; then
	say "a server that has to be killed, and whose worker is dead"
	lost_with_server
	restart --stop-timeout 2
	say "and is killed for an upgrade"
	lost_with_killed "$lost" upgrade_begins
	say "and at the daemon's end"
	lost_with_killed "$lost" restart --stop-timeout 2
	restart
else
	say "deferred: a server that has to be killed, and whose worker is dead, or is killed"
fi

say "a server that takes long to end: nobody else waits for it, and its image's next one does"
truncate -s 4M "$tmp/raw"
echo 4 >"$tmp/slow"
was_told() { [ "$(grep -c told "$tmp/told" 2>/dev/null)" = "$1" ]; }
has_ended() { grep -q ended "$tmp/told"; }
attach_by_hand $g "qcow2:$tmp/base" w
back_reaches $g 2
xenstore-write "$(back_dir $g)/online" 0 "$(back_dir $g)/state" 5
wait_for $wait_s was_told 1 || fail "its server is not told to end"
attach_by_hand $h "$tmp/raw" w
back_reaches $h 2
! has_ended || fail "another device has waited for it"
detach_by_hand $h
! node_is "$(back_dir $g)/state" 6 || fail "it is closed, and its server runs"
attach_by_hand $h "qcow2:$tmp/base" w
remove_nodes $g
attach_by_hand $g "qcow2:$tmp/torture" w
back_reaches $h 2
has_ended || fail "two servers have the image"
back_reaches $g 2

say "all are told at once when the daemon ends, and each has its ten seconds"
rm "$tmp/told"
echo 7 >"$tmp/slow"
kill "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
[ "$(cat "$tmp/told")" = "told
told
ended
ended" ] || fail "the servers' ends: $(cat "$tmp/told")"
rm "$tmp/slow"
# The states of before stay: what the next daemon knows of its servers is to be read from a node
# that it writes.
for d in $g $h; do xenstore-rm "$(back_dir $d)/feature-flush-cache"; done
start_daemon
for d in $g $h; do
	wait_for $wait_s node_is "$(back_dir $d)/feature-flush-cache" 1 || fail "no server: $(tail -n 5 "$tmp/log")"
	back_reaches $d 2
done

say "upgraded while no guest uses them yet, and one has begun anew"
before=$(server_of $g)
kill -9 "$before"
has_another() { now=$(server_of $g) && [ "$now" != "$before" ]; }
wait_for $wait_s has_another || fail "no other server"
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 ||
	fail "upgrade: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
servers() { [ "$(pgrep -P "$daemon" -c -f 'qemu-nbd')" = 2 ]; }
wait_for $wait_s servers || fail "servers: $(pgrep -a -P "$daemon")"
say "and while the tool stack names another image"
qemu-img create -q -f qcow2 "$tmp/other" 16M
before=$(server_of $g)
xenstore-write "$(back_dir $g)/params" "qcow2:$tmp/other" "$(back_dir $h)/mode" r
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 ||
	fail "upgrade: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
rm -f "$tmp/run/blkback/vbd.upgrade"
wait_for $wait_s process_gone "$before" || fail "the server of the image before is used"
pgrep -P "$daemon" -f "vbd-$h-51712.nbd.*--read-only" >/dev/null ||
	fail "a server that may write: $(pgrep -af "vbd-$h-51712.nbd")"
blkfront $g write --quiet --length 4M <"$tmp/data" || fail "not written: $(tail -n 5 "$tmp/log")"
detach_by_hand $g
wait_for $wait_s no_server $g || fail "its server is left"
qemu-img compare -q -f raw -F qcow2 "$tmp/data" "$tmp/other" || fail "another image was written"
say "its name becomes another file's: its server is not started for that"
feeds()
{
	rm -f "$tmp/go"
	attach_by_hand $g "qcow2:$tmp/other" w
	{ until [ -e "$tmp/go" ]; do sleep 0.05; done; cat "$tmp/data"; } |
		blkfront $g write --quiet --length 4M >"$tmp/io" 2>&1 &
	io=$!
	back_reaches $g 4
	wait_for $wait_s is_connected $g || fail "no connection: $(info $g server)"
}
seeded 4 4M >"$tmp/data"
qemu-img create -q -f qcow2 "$tmp/stranger" 16M
before=$(sum <"$tmp/stranger")
feeds
mv "$tmp/other" "$tmp/ours"
mv "$tmp/stranger" "$tmp/other"
! PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 || fail "it was upgraded: $(cat "$tmp/said")"
grep -q "name is another file's" "$tmp/said" || fail "not said why: $(cat "$tmp/said")"
rm -f "$tmp/run/blkback/vbd.upgrade"
kill -9 "$(server_of $g)"
: >"$tmp/go"
wait_for $wait_s has_error || fail "nobody is told: $(tail -n 5 "$tmp/log")"
error_says $g "$tmp/other is another file by now"
[ "$(sum <"$tmp/other")" = "$before" ] || fail "the file that has its name now was written"
mv "$tmp/other" "$tmp/stranger"
mv "$tmp/ours" "$tmp/other"
wait $io || fail "not written: $(cat "$tmp/io"; tail -n 5 "$tmp/log")"
no_error $g || fail "it is not taken back: $(error_of $g)"
detach_by_hand $g
wait_for $wait_s no_server $g || fail "its server is left"
qemu-img compare -q -f raw -F qcow2 "$tmp/data" "$tmp/other" || fail "another image was written"

say "but not of a guest that has it: that goes on with what it has, in its mode"
seeded 3 4M >"$tmp/data"
qemu-img create -q -f qcow2 "$tmp/never" 16M
before=$(sum <"$tmp/never")
feeds
xenstore-write "$(back_dir $g)/params" "qcow2:$tmp/never" "$(back_dir $g)/mode" r
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" 2>&1 ||
	fail "upgrade: $(cat "$tmp/said"; tail -n 5 "$tmp/log")"
rm -f "$tmp/run/blkback/vbd.upgrade"
[ "$(info $g image)" = "qcow2:$tmp/other" ] || fail "it has $(info $g image)"
: >"$tmp/go"
wait $io || fail "not written: $(cat "$tmp/io"; tail -n 5 "$tmp/log")"
detach_by_hand $g
wait_for $wait_s no_server $g || fail "its server is left"
qemu-img compare -q -f raw -F qcow2 "$tmp/data" "$tmp/other" || fail "another image was written"
[ "$(sum <"$tmp/never")" = "$before" ] || fail "an image was written that it never had"
attach_by_hand $g "qcow2:$tmp/torture" w
for d in $g $h; do
	blkfront $d read --quiet --length 4M >"$tmp/out" || fail "not read: $(tail -n 5 "$tmp/log")"
	detach_by_hand $d
done

say "a compressed image: read as it is, and written beside what is compressed"
seeded 3 4M >"$tmp/data"
qemu-img convert -q -c -f raw -O qcow2 "$tmp/data" "$tmp/packed"
[ "$(stat -c %s "$tmp/packed")" -lt $((3 << 20)) ] || fail "it is not compressed: nothing is tested"
get "qcow2:$tmp/packed"
seeded 4 4M >"$tmp/data"
put "qcow2:$tmp/packed"
get "qcow2:$tmp/packed"
qemu-img check -q "$tmp/packed" || fail "it is damaged"

say "a snapshot inside an image: taken, and gone back to, while no guest has it"
seeded 5 4M >"$tmp/before"
cp "$tmp/before" "$tmp/data"
qemu-img create -q -f qcow2 "$tmp/inside" 4M
put "qcow2:$tmp/inside"
qemu-img snapshot -c before "$tmp/inside" || fail "no snapshot"
seeded 6 4M >"$tmp/data"
put "qcow2:$tmp/inside"
attach_by_hand $g "qcow2:$tmp/inside" w
back_reaches $g 2
! qemu-img snapshot -a before "$tmp/inside" 2>"$tmp/said" || fail "it went back under a guest"
grep -q 'Failed to get "write" lock' "$tmp/said" || fail "refused, but not for the guest: $(cat "$tmp/said")"
detach_by_hand $g
get "qcow2:$tmp/inside"
qemu-img snapshot -a before "$tmp/inside" || fail "it does not go back"
cp "$tmp/before" "$tmp/data"
get "qcow2:$tmp/inside"

say "a snapshot by an overlay: what is below stays, is nobody's to write, and takes it in again"
qemu-img create -q -f qcow2 -b "$tmp/inside" -F qcow2 "$tmp/over"
seeded 7 4M >"$tmp/data"
put "qcow2:$tmp/over"
qemu-img create -q -f qcow2 -b "$tmp/inside" -F qcow2 "$tmp/beside"
attach_by_hand $h "qcow2:$tmp/over" w
back_reaches $h 2
refused "qcow2:$tmp/inside" "Is another process using the image"
mv "$tmp/data" "$tmp/after"
cp "$tmp/before" "$tmp/data"
get "qcow2:$tmp/beside"
detach_by_hand $h
wait_for $wait_s no_server $h || fail "its server is left"
qemu-img commit -q "$tmp/over" || fail "it is not taken in"
mv "$tmp/after" "$tmp/data"
get "qcow2:$tmp/inside"
end_back
