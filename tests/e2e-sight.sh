#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What an administrator sees of disks: figures that go on when a worker dies and leave it
# alone, paravane top as a screen and as JSON. In a local Xen of its own.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
need python3 python3
export PARAVANE_RUNDIR="$tmp/run"
paravane=$PWD/paravane
tests=$(cd "$(dirname "$0")" && pwd)

# json EXPRESSION: true of o, what the command before printed into $tmp/out.
json()
{
	python3 -c "
import json, sys
o = [json.loads(l) for l in open('$tmp/out')]
sys.exit(not ($1))" || fail "not so: $1: $(cat "$tmp/out")"
}
top_json() { "$paravane" top --json "$@" >"$tmp/out" || fail "top --json"; }
counter() { "$paravane" list --json | python3 -c "
import json, sys
print(json.load(sys.stdin)[0]['counters']['$1'])"; }

truncate -s 16M "$tmp/disk" "$tmp/extra"
start_daemon
top_json -n 1 -d 0.1
json "o[0]['devices'] == []"
make_guest busy
busy=$domid
attach_by_hand "$busy" "$tmp/disk" w
use_disk "$busy" --depth 8 --bs 4K --rate 2000

# ---- JSON -----------------------------------------------------------------------------

top_json -n 2 -d 0.5
json "len(o) == 2 and all(len(s['devices']) == 1 for s in o)"
d="o[1]['devices'][0]"
json "$d['domain'] == 'busy' and $d['device'] == 'xvda' and $d['image'] == '$tmp/disk'"
json "$d['worker_pid'] == $(worker_of "$busy")"
json "$d['operations_per_s'] > 0 and $d['reads_per_s'] == $d['operations_per_s']"
json "abs($d['read_bytes_per_s'] / $d['reads_per_s'] - 4096) < 1"
json "0 < $d['latency_p50_us'] <= $d['latency_p99_us'] <= $d['latency_p999_us']"
# Little's law, whatever the machine does: no more on their way than the ring's user has.
json "0 < $d['depth_mean'] <= 8.1 and 0 <= $d['in_flight'] <= 8"
json "0 < $d['worker_cpu'] < 1.5"
json "0 < $d['notifications_per_operation'] <= 1"
"$paravane" top -b -n 1 -d 0.2 --sort p99 >"$tmp/out" || fail "top --batch"
grep -q '^busy/xvda .*[0-9]' "$tmp/out" || fail "$(cat "$tmp/out")"
[ "$(sed -n 2p "$tmp/out" | wc -c)" = 81 ] || fail "the table is not 80 wide: $(cat "$tmp/out")"
top_json -n 1 -d 0.1 --filter "no such disk"
json "o[0]['devices'] == []"
refused 'a column is expected' "$paravane" top --sort nonsense
refused 'this is no terminal' "$paravane" top

# ---- metrics --------------------------------------------------------------------------

"$paravane" metrics --once >"$tmp/metrics" || fail "metrics --once"
python3 "$tests/metrics.py" "$tmp/metrics" "$srcdir/docs/metrics.md" || fail "metrics"
grep -q '^paravane_disk_requests_total{domid="'"$busy"'",domain="busy",device="xvda",op="read"} [1-9]' \
	"$tmp/metrics" || fail "no reads: $(cat "$tmp/metrics")"
# up: the kinds that a daemon serves.
up() { "$paravane" metrics --once | sed -n 's/^paravane_backend_up{kind="\(.*\)"} 1$/\1/p' | tr '\n' ' '; }
are_up() { [ "$(up)" = "$1" ]; }
are_up "vbd " || fail "up: $(up)"
"$PWD/paravane-blkback" --rundir "$tmp/run" --kind vbd3 2>"$tmp/log3" &
vbd3=$!
wait_for $wait_s grep -q ' ready:' "$tmp/log3" || fail "no daemon of vbd3: $(cat "$tmp/log3")"
are_up "vbd vbd3 " || fail "up: $(up); $(cat "$tmp/log3")"
kill $vbd3
wait $vbd3 || fail "the daemon of vbd3 ended with $?: $(cat "$tmp/log3")"
are_up "vbd " || fail "up: $(up)"
if command -v promtool >/dev/null; then
	promtool check metrics <"$tmp/metrics" || fail "promtool"
fi
# As docs/metrics.md has it for a proxy: the group is the directory's.
mode=755
[ "$(id -u)" != 0 ] || mode='2750 -g daemon'
# shellcheck disable=SC2086
install -d -m $mode "$tmp/for-proxy"
"$paravane" metrics --listen "unix:$tmp/for-proxy/socket" &
metrics=$!
wait_for $wait_s test -S "$tmp/for-proxy/socket" || fail "no socket"
[ "$(id -u)" != 0 ] || [ "$(stat -c %a:%G "$tmp/for-proxy/socket")" = 660:daemon ] ||
	fail "the proxy's group has not the socket: $(stat -c %a:%G "$tmp/for-proxy/socket")"
# ask PATH: over the socket; the body, after the status line.
ask()
{
	python3 -c "
import http.client, socket, sys
c = http.client.HTTPConnection('localhost')
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect('$tmp/for-proxy/socket')
c.request('GET', '$1')
r = c.getresponse()
print(r.status)
sys.stdout.write(r.read().decode())"
}
# Who says nothing is not waited for for ever.
python3 -c "
import socket, time
s = socket.socket(socket.AF_UNIX)
s.connect('$tmp/for-proxy/socket')
open('$tmp/silent', 'w')
time.sleep(600)" &
silent=$!
wait_for 60 test -e "$tmp/silent" || fail "nobody is silent"
ask /metrics >"$tmp/asked" || fail "no answer"
kill $silent
[ "$(head -n 1 "$tmp/asked")" = 200 ] || fail "$(head -n 1 "$tmp/asked")"
sed 1d "$tmp/asked" >"$tmp/metrics"
python3 "$tests/metrics.py" "$tmp/metrics" "$srcdir/docs/metrics.md" || fail "metrics"
[ "$(ask / | sed -n 1p)" = 404 ] || fail "another path is answered"
refused 'serves there already' "$paravane" metrics --listen "unix:$tmp/for-proxy/socket"
refused 'is expected' "$paravane" metrics --listen 0.0.0.0:9000
kill $metrics
wait $metrics || fail "metrics ended with $?"
[ ! -e "$tmp/for-proxy/socket" ] || fail "its socket is left"
# What is no socket stays; one that a killed server left makes room.
echo precious >"$tmp/file"
ln -s "$tmp/file" "$tmp/link"
for at in file link; do
	refused 'is no socket' timeout 60 "$paravane" metrics --listen "unix:$tmp/$at"
done
[ -L "$tmp/link" ] && [ "$(cat "$tmp/file")" = precious ] || fail "metrics --listen took a file away"
"$paravane" metrics --listen "unix:$tmp/for-proxy/socket" &
metrics=$!
wait_for $wait_s ask /metrics >"$tmp/asked" 2>&1 || fail "no answer"
kill -9 $metrics
wait $metrics
[ -S "$tmp/for-proxy/socket" ] || fail "it took its socket along"
"$paravane" metrics --listen "unix:$tmp/for-proxy/socket" &
metrics=$!
wait_for $wait_s ask /metrics >"$tmp/asked" 2>&1 || fail "a socket that was left is in the way"
kill $metrics
wait $metrics || fail "metrics ended with $?"

# ---- why, and what each request did ------------------------------------------------------

"$paravane" why busy xvda --seconds 1 --json >"$tmp/out" || fail "why"
json "o[0]['operations_per_s'] > 0 and 0 < o[0]['depth_mean'] <= 8.1"
json "'size' in [f['topic'] for f in o[0]['findings']] or o[0]['operations_per_s'] <= 500"
json "'idle' not in [f['topic'] for f in o[0]['findings']]"
"$paravane" top --json --number 1 --delay 0.5 --filter busy/xvda >"$tmp/top" || fail "top"
python3 - "$tmp/out" "$tmp/top" <<'EOF' || fail "why --json has other members than top: $(cat "$tmp/out" "$tmp/top")"
import json, sys
why, top = (json.load(open(f)) for f in sys.argv[1:])
assert set(why) == set(top['devices'][0]) | {'agreed', 'findings'}
EOF
"$paravane" why busy xvda --seconds 1 | grep -q '^agreed: 1 queue of 1 page' || fail "why, as text"

# used: the file's memory; its rings have none until somebody traces.
used() { du -k "$tmp/run/blkback/vbd-$busy-51712.figures" | cut -f 1; }
small=$(used)
[ "$small" -lt 100 ] || fail "$small KiB of figures for an idle ring"
"$paravane" trace busy xvda -n 200 --json >"$tmp/out" 2>"$tmp/said" || fail "trace"
json "len(o) == 200 and all(r['operation'] == 'read' and r['bytes'] == 4096 for r in o)"
json "all(r['status'] == 'ok' and r['sector'] < 32768 and r['segments'] == 1 for r in o)"
json "all(r['submitted_us'] <= r['completed_us'] <= r['published_us'] + 1 for r in o)"
json "all(a['taken_s'] <= b['taken_s'] + 1 for a, b in zip(o, o[1:]))"
grep -q '^paravane: 200 requests, [0-9]* more were lost' "$tmp/said" || fail "$(cat "$tmp/said")"
"$paravane" trace busy xvda -n 50 -o "$tmp/chrome" 2>/dev/null || fail "trace -o"
refused '/dev/full: No space left' "$paravane" trace busy xvda -n 50 -o /dev/full
! "$paravane" trace busy xvda -n 50 >/dev/full 2>"$tmp/said" || fail "a table that is lost is a success"
grep -q 'standard output: No space left' "$tmp/said" || fail "$(cat "$tmp/said")"
"$paravane" trace busy xvda 2>"$tmp/said" | head -n 3 >/dev/null
! grep -q 'standard output' "$tmp/said" || fail "$(cat "$tmp/said")"
python3 -c "
import json
e = json.load(open('$tmp/chrome'))['traceEvents']
assert len(e) == 50 and all(x['ph'] == 'X' and x['dur'] >= 0 and x['name'] == 'read' for x in e)
# What is on one track does not overlap.
for t in {x['tid'] for x in e}:
    on = sorted((x['ts'], x['dur']) for x in e if x['tid'] == t)
    assert all(a + d <= b + 1 for (a, d), (b, _) in zip(on, on[1:])), on" || fail "no trace for a viewer"
# It is off again: nothing is written that nobody reads.
heads() { od -A n -t u8 -j "$1" -N 8 "$tmp/run/blkback/vbd-$busy-51712.figures"; }
ring=$(($(stat -c %s "$tmp/run/blkback/vbd-$busy-51712.figures") - 4096 - 8192 * 64))
before=$(heads $ring) reads=$(counter reads)
read_on() { [ "$(counter reads)" -gt "$reads" ]; }
wait_for $wait_s read_on || fail "no reads"
reads=$(counter reads)
wait_for $wait_s read_on || fail "no reads"
after=$(heads $ring)
reads=$(counter reads)
wait_for $wait_s read_on || fail "no reads"
[ "$after" = "$(heads $ring)" ] && [ "$before" -gt 0 ] || fail "records are still written: $before, $after"
expect 4 "$paravane" trace busy xvdz 2>/dev/null

# ---- the worker dies ----------------------------------------------------------------------

before=$(counter reads) old=$(worker_of "$busy")
kill -9 "$old"
worker_is_another() { new=$(worker_of "$busy") && [ "$new" != "$old" ] && has_worker "$busy"; }
wait_for $wait_s worker_is_another || fail "no successor"
read_more() { [ "$(counter reads)" -gt "$before" ]; }
wait_for $wait_s read_more || fail "the figures began anew: $(counter reads), were $before"
top_json -n 1 -d 0.5
d="o[0]['devices'][0]"
json "$d['worker_restarts'] == 1 and $d['worker_pid'] == $new"
# A worker in a guest's hands cuts its file short: an end of its figures, not of the reader.
cp "$tmp/run/blkback/vbd-$busy-51712.figures" "$tmp/whole"
truncate -s 5000 "$tmp/whole"
mkdir -p "$tmp/other/blkback"
cp "$tmp/run/blkback/vbd-$busy-51712.info" "$tmp/other/blkback"
cp "$tmp/whole" "$tmp/other/blkback/vbd-$busy-51712.figures"
PARAVANE_RUNDIR=$tmp/other top_json -n 1 -d 0.1
json "o[0]['devices'] == []"

# ---- the screen ---------------------------------------------------------------------------

make_guest extra
extra=$domid
cat >"$tmp/appear" <<END
. "$tests/lib-blk.sh"
tmp=$tmp
attach_by_hand $extra "$tmp/extra" w
guest $extra "$blkfront" bench --pattern randread --seconds 600 --rate 2000 >"$tmp/io-extra" 2>&1 </dev/null &
echo \$! >"$tmp/extra.pid"
back_reaches $extra 4
END
cat >"$tmp/vanish" <<END
. "$tests/lib-blk.sh"
tmp=$tmp
detach_by_hand $extra
END
python3 "$tests/top-screen.py" "$paravane" busy/xvda "sh -c '. $tmp/appear' $tests/appear" "sh -c '. $tmp/vanish' $tests/vanish" ||
	fail "the screen"

detach_by_hand "$busy"
wait "$io"
end_back
