#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The store is replaced under its clients (a live update), and then it breaks for good: data
# keeps flowing in both daemons, also when a worker dies meanwhile, the log says it once, the
# tools say it. When it is back, with what was in it, upgraded daemons take their devices up.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
. "$(dirname "$0")/lib-torture.sh"
control=$XENBIN/xenstore-control
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"

start_daemon
net_daemon=$daemon
make_guest a; a=$domid
make_guest b; b=$domid
for guest in $a $b; do
	give_nic "$guest" bridge=br0
	boot_net "$guest"
done
meets() { pings "$1" "$2" -W 1 -c 1; }
wait_for $wait_s meets "$a" "$b" || fail "the guests do not talk"

# A disk in the same world; from here on log, program and kind are the disk's.
net_log=$tmp/net-log
mv "$tmp/log" "$net_log"
program=blkback kind=vbd
vbd=/local/domain/0/backend/vbd
start_daemon
make_guest t; t=$domid
truncate -s 16M "$tmp/image" "$tmp/other" "$tmp/third"
"$paravane" attach-disk "$t" "$tmp/image" xvda --no-wait --no-libxl >"$tmp/out" 2>&1 || fail "attach: $(cat "$tmp/out")"
"$LOCALXEN" exec "$t" -- "$torture" 51712 4096 4096 16 7 >"$tmp/torture" 2>&1 &
torturing=$!
connected() { node_is "$vbd/$t/51712/state" 4; }
wait_for $wait_s connected || fail "the disk does not connect: $(tail -3 "$tmp/log")"

disk_worker() { sed -n 's/^pid=//p' "$tmp/run/blkback/vbd-$t-51712.info"; }
# writes_go_on: of the guest, as the journal's counters have it.
image_sum() { md5sum <"$tmp/image"; }
writes_go_on()
{
	before=$(image_sum)
	wait_for $wait_s changed || fail "the disk's guest is not served"
	kill -0 $torturing || fail "the disk's guest has ended: $(cat "$tmp/torture")"
	wait_for $wait_s meets "$a" "$b" || fail "the guests do not talk any more: $(tail -3 "$net_log")"
}
changed() { [ "$(image_sum)" != "$before" ]; }
said() { [ "$(grep -c 'connection to XenStore has broken' "$1")" = 1 ]; }

store=$(pgrep -P "$PPID" -x xenstored)
[ -n "$store" ] || fail "which process is the store?"

# Local Xen's store does not hear its guests any more when it has been updated: they must
# have no need of it.
writes_go_on
say "the store is updated"
# A program of Xen's that asks nothing of it but the store.
env -u LD_LIBRARY_PATH "$control" live-update "$XENBIN/xenstored" >"$tmp/out" 2>&1 || fail "live-update: $(cat "$tmp/out")"
tr '\0' ' ' <"/proc/$store/cmdline" | grep -q -e ' -U' || fail "no update: $(tr '\0' ' ' <"/proc/$store/cmdline")"
writes_go_on
"$paravane" attach-disk "$t" "$tmp/other" xvdc --no-wait --no-libxl >"$tmp/out" 2>&1 || fail "attach: $(cat "$tmp/out")"
wait_for $wait_s node_is "$vbd/$t/51744/state" 2 || fail "the daemon does not hear the store any more"
"$paravane" upgrade >"$tmp/out" 2>&1 || fail "upgrade after a live update: $(cat "$tmp/out")"
connected || fail "the guest was told"

say "the store dies"
xenstore-ls -f >"$tmp/tree"
kill -9 "$store"
wait_for $wait_s said "$tmp/log" && wait_for $wait_s said "$net_log" || fail "the log does not say it: $(tail -3 "$tmp/log" "$net_log")"
writes_go_on
say "workers die, too"
for pid in $(disk_worker) $(info "$a" pid); do
	kill -9 "$pid"
done
writes_go_on
sleep 3
said "$tmp/log" && said "$net_log" || fail "it is said again and again"
[ "$(wc -l <"$tmp/log")" -lt 200 ] || fail "the log has $(wc -l <"$tmp/log") lines"

say "what tools can say"
out=$("$paravane" list 2>&1) && fail "list succeeded: $out"
for words in 'cannot reach XenStore' 'paravane-netback (vif) has lost' 'paravane-blkback (vbd) has lost' "$t .*xvda .*vbd .*$tmp/image" "$a .*vif0 .*vif .*br0"; do
	echo "$out" | grep -q "$words" || fail "list does not say '$words': $out"
done
out=$("$paravane" bridge show br0 2>&1) || fail "bridge show: $out"
echo "$out" | grep -q "$a/vif0" || fail "bridge show: $out"
out=$("$paravane" explain "$t" xvda 2>&1) && fail "explain succeeded: $out"
echo "$out" | grep -q 'cannot reach XenStore' || fail "explain: $out"
# have_store 0|1: both daemons, as the metrics have it.
have_store() { [ "$("$paravane" metrics --once | grep -c "^paravane_backend_store_connected{.*} $1\$")" = 2 ]; }
have_store 0 || fail "the metrics do not say it: $("$paravane" metrics --once)"
out=$("$paravane" upgrade 2>&1) && fail "upgrade without a store: $out"
echo "$out" | grep -q 'XenStore cannot be reached' || fail "upgrade: $out"
writes_go_on

say "it is back"
env XENSTORED_ROOTDIR="$LOCALXEN_DIR/store" XENSTORED_RUNDIR="$LOCALXEN_DIR/store" \
	LD_PRELOAD="$(dirname "$LOCALXEN")/lib/localxen-procxen.so" \
	"$XENBIN/xenstored" --no-fork --internal-db >"$tmp/xenstored" 2>&1 &
new_store=$!
wait_for $wait_s xenstore-write /local/domain/0/domid 0 2>/dev/null || fail "no store: $(cat "$tmp/xenstored")"
# Its contents, as a tool stack that knows its guests would write them.
python3 - "$tmp/tree" <<'EOF' | while read -r path value; do xenstore-write "$path" "$value"; done
import re, sys
for line in open(sys.argv[1]):
    m = re.match(r'(/\S+) = "(.*)"', line)
    if m and not m.group(1).startswith('/tool'):
        print(m.group(1), m.group(2))
EOF
out=$("$paravane" list 2>&1)
echo "$out" | grep -q 'paravane upgrade' || fail "list does not say what to do: $out"
"$paravane" upgrade >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -n 5 "$tmp/log" "$net_log")"
[ "$(grep -c -e xvda -e vif0 "$tmp/out")" = 3 ] || fail "not all were taken up: $(cat "$tmp/out")"
! "$paravane" list 2>&1 | grep -q 'paravane upgrade' || fail "list says yet that the store is lost"
have_store 1 || fail "the metrics say yet that the store is lost: $("$paravane" metrics --once)"
writes_go_on
connected || fail "the back end's state is $(xenstore-read "$vbd/$t/51712/state")"
say "it is served by the store again"
"$paravane" attach-disk "$t" "$tmp/third" xvdb --no-wait --no-libxl >"$tmp/out" 2>&1
wait_for $wait_s grep -q "vbd $t/51728" "$tmp/log" || fail "a new disk is not seen"

# The guests' own store has gone with the old one: nothing can be closed in good order.
kill $torturing
wait_for $wait_s grep -q 'longest' "$tmp/torture" || fail "the disk's guest does not end"
kill -9 $torturing
wait $torturing
grep -q 'lost 0, misordered 0, torn 0, foreign 0, errors 0' "$tmp/torture" || fail "the disk: $(cat "$tmp/torture")"
say "disk: $(grep writes "$tmp/torture")"
kill "$daemon" "$net_daemon"
wait "$daemon" || fail "the disks' daemon ended with $?"
wait "$net_daemon" || fail "the interfaces' daemon ended with $?"
kill $new_store
say passed
