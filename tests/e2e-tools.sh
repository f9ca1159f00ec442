#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane(1) as a dom0 script uses it: exit statuses, messages that name the
# thing and what to do, JSON, and that nothing is left in XenStore. Runs in a
# local Xen of its own with the real back and front ends.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
if [ -z "${E2E_TOOLS_INSIDE:-}" ]; then
	[ -x "$top/tools/localxen/localxen" ] || { echo "no localxen in $top/tools/localxen"; exit 77; }
	E2E_TOOLS_INSIDE=1 exec "$top/tools/localxen/localxen" run -- bash "$0"
fi

PATH=$top:$top/tools/localxen:$PATH
work=$(mktemp -d) || exit 1
export PARAVANE_RUNDIR=$work/run
pids=()
trap 'rm -rf "$work"' EXIT	# local Xen ends the processes
trap 'exit 1' INT TERM
cd "$work" || exit 1
mkdir run

failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

# expect STATUS TEXT COMMAND...: TEXT (if not empty) is part of the output
expect()
{
	local want=$1 text=$2 status

	shift 2
	"$@" >out 2>&1
	status=$?
	[ $status = "$want" ] || bad "$*: exit status $status, not $want: $(cat out)"
	[ -z "$text" ] || grep -qF -- "$text" out || bad "$*: does not say \"$text\": $(cat out)"
}

# front GUEST DEVICE DEVID: a front end that takes the disk up when it comes, and
# holds it: it reads into a pipe that nobody empties. Sets front_pid.
mkfifo pipe
exec 9<>pipe
front()
{
	localxen exec "$1" -- bash -c 'until xenstore-exists "device/vbd/$1/backend"; do sleep 0.05; done
		exec paravane-blkfront read --device "$0" --timeout 60' "$2" "$3" \
		>pipe 2>"front-$1-$2.log" </dev/null &
	front_pid=$!
	pids+=($front_pid)
}
# It ends when it has read all.
end_front()
{
	local drain

	cat <&9 >/dev/null &
	drain=$!
	wait "$1"
	kill $drain
	wait $drain 2>/dev/null
}

for guest in guest1 guest2; do
	localxen domain --name=$guest >/dev/null || { echo "no domain"; exit 1; }
done
domid=$(xenstore-list /local/domain | sort -n | sed -n 2p)
for i in a b c d e; do truncate -s 8M $i.img; done

# ---- what is wrong is refused at once, by name, and leaves nothing ---------------

mkdir directory.img
: >empty.img
head -c 1000 /dev/zero >odd.img
mkfifo fifo.img
expect 2 'lists them' paravane frobnicate
expect 2 'arguments are missing' paravane attach-disk
expect 2 'too many arguments' paravane detach guest1 xvda xvdb
expect 2 'unknown option "--bogus"' paravane list --bogus
expect 2 '--mode "x"' paravane attach-disk guest1 a.img --mode x
expect 2 '--wait "soon"' paravane attach-disk guest1 a.img --wait soon
expect 2 '--wait "nan"' paravane attach-disk guest1 a.img --wait nan
expect 2 '--kind "vif"' paravane attach-disk guest1 a.img --kind vif
expect 2 'device "disk1"' paravane attach-disk guest1 a.img disk1
expect 2 'device ""' paravane attach-disk guest1 a.img ''
expect 2 'image ""' paravane attach-disk guest1 ''
expect 2 'image "aio:"' paravane attach-disk guest1 aio:
expect 2 'read-only' paravane attach-disk guest1 a.img --cdrom --mode w
expect 4 'no domain "nobody"' paravane attach-disk nobody a.img
expect 4 'no domain "4711"' paravane attach-disk 4711 a.img
expect 4 'no domain "nobody"' paravane attach-disk guest1 a.img --backend nobody
expect 4 'no domain "nobody"' paravane list nobody
expect 1 "$work/none.img" paravane attach-disk guest1 none.img
expect 1 "$work/directory.img" paravane attach-disk guest1 directory.img
expect 1 "$work/empty.img" paravane attach-disk guest1 empty.img
expect 1 "$work/odd.img" paravane attach-disk guest1 odd.img
expect 1 "$work/fifo.img" paravane attach-disk guest1 fifo.img
expect 1 "/dev/null" paravane attach-disk guest1 /dev/null
expect 4 'guest1 (domain' paravane detach guest1 xvda
expect 4 'has no disk xvda' paravane detach guest1 xvda
expect 0 '' paravane detach guest1 xvda --idempotent
expect 2 '--force' paravane detach guest1 xvda --no-wait
expect 0 'no disks' paravane list
expect 0 '[]' paravane list --json
expect 0 'Usage: paravane detach' paravane help detach
expect 0 'Usage: paravane detach' paravane detach --help

# ---- no back end, then no front end: the message tells them apart ------------------

expect 3 'paravane-blkback is not running' paravane attach-disk guest1 a.img xvda --wait 0.2
expect 0 'served by nobody yet' paravane explain guest1 xvda
expect 0 'Initialising' paravane list guest1
expect 3 '--force' paravane detach guest1 xvda --wait 0.2
# Nobody has refused what nobody has looked at: it stays, with a script too.
expect 0 'detached' paravane detach guest1 xvda --force --wait 0.1
expect 3 'it stays attached' paravane attach-disk guest1 a.img xvda --script /bin/true --wait 0.2
expect 3 'is not running' paravane attach-disk guest1 a.img xvda --script /bin/true --idempotent --wait 0.2
expect 2 '--no-wait does not wait' paravane attach-disk guest1 a.img xvdb --script /bin/true --no-wait
expect 0 'Initialising' paravane list guest1
expect 0 'detached' paravane detach guest1 xvda --force --wait 0.1
expect 0 'no disks' paravane list

# What a guest left that has gone is in nobody's way once it is closed, and can be removed.
gone=/local/domain/0/backend/vbd/4711/51728
xenstore-write $gone/frontend /local/domain/4711/device/vbd/51728 $gone/frontend-id 4711 \
	$gone/params "aio:$work/a.img" $gone/mode w $gone/online 0 $gone/state 4
expect 6 'xvdb of domain 4711' paravane attach-disk guest1 a.img xvda --no-wait
xenstore-write $gone/state 6
expect 0 '' paravane attach-disk guest1 a.img xvda --no-wait
expect 0 'detached' paravane detach guest1 xvda --force --no-wait
expect 4 'domain 4711 has no disk xvda' paravane detach 4711 xvda
expect 0 'xvdb of domain 4711: detached' paravane detach 4711 xvdb --idempotent
expect 4 'no domain "4711"' paravane detach 4711 xvdb
expect 0 'no disks' paravane list

paravane-blkback >blkback.log 2>&1 </dev/null &
pids+=($!)
expect 3 'front end in guest1' paravane attach-disk guest1 a.img xvda --wait 5
expect 3 'has not answered' paravane attach-disk guest1 a.img xvda --wait 0.3 --idempotent
expect 0 'InitWait' paravane list guest1
expect 0 '    waits: the front end in guest1' paravane list guest1
expect 0 'has not answered' paravane explain guest1 xvda
expect 0 'offer, which no front end has answered' paravane explain guest1 xvda
expect 0 'served by paravane-blkback' paravane explain guest1 xvda

# ---- connected -------------------------------------------------------------------

front guest1 xvda 51712
expect 0 'connected' paravane attach-disk guest1 a.img xvda --idempotent
expect 5 'exists with this image' paravane attach-disk guest1 a.img xvda
expect 5 'another image' paravane attach-disk guest1 b.img xvda
expect 5 'another image' paravane attach-disk guest1 b.img xvda --idempotent
expect 0 'was there already' paravane attach-disk guest1 aio:"$work/a.img" --idempotent
expect 6 'xvda of guest1' paravane attach-disk guest2 a.img xvda
expect 6 'xvda of guest1' paravane attach-disk guest2 ../"${work##*/}"/a.img xvda --mode r
ln -s a.img link.img
expect 6 "--mode 'w!'" paravane attach-disk guest2 link.img xvda
expect 0 'not waited for' paravane attach-disk guest2 a.img xvda --mode 'w!' --no-wait
expect 0 '' paravane detach guest2 xvda
expect 0 'persistent' paravane list guest1 --long
expect 0 'requests in flight at most' paravane explain guest1 51712
expect 0 'cache mode writeback' paravane explain "$domid" xvda --kind vbd --backend 0
expect 4 'has no disk xvda' paravane explain guest1 xvda --kind qdisk
expect 4 'has no disk xvdb' paravane explain guest1 xvdb
expect 4 'no domain "nobody"' paravane explain nobody xvda
expect 2 'argument is missing' paravane explain guest1
expect 2 'too many arguments' paravane explain guest1 xvda xvdb

if command -v python3 >/dev/null; then
	paravane list --json >list.json || bad "list --json"
	python3 - "$work/a.img" "$domid" <<'END' || bad "list --json is not as documented"
import json, sys
disks = json.load(open("list.json"))
assert len(disks) == 1, disks
d = disks[0]
want = {"domain": "guest1", "domid": int(sys.argv[2]), "device": "xvda", "devid": 51712,
        "kind": "vbd", "backend_domid": 0, "backend_state": "Connected",
        "frontend_state": "Connected", "image": sys.argv[1], "mode": "w",
        "cache": "writeback", "cdrom": False, "size_bytes": 8 << 20,
        "sector_bytes": 512, "waits_for": None}
for key, value in want.items():
    assert d[key] == value, (key, d[key], value)
assert d["negotiated"]["ring_pages"] >= 1 and d["negotiated"]["queues"] == 1, d
assert d["offered"]["flush"] is True, d
assert d["engine"] and d["worker_pid"] > 0 and d["worker_restarts"] == 0, d
assert d["counters"]["errors"] == 0, d
END
	paravane explain guest1 xvda --json >explain.json || bad "explain --json"
	python3 - <<'END' || bad "explain --json is not as documented"
import json
d = json.load(open("explain.json"))
for key, value in json.load(open("list.json"))[0].items():
    assert key == "counters" or d[key] == value, (key, d[key], value)
pages, queues = d["negotiated"]["ring_pages"], d["negotiated"]["queues"]
assert d["agreed"] is True, d
assert d["requests_in_flight_max"] == 32 * pages * queues, d
assert d["request_bytes_max"] == 4096 * d["offered"]["max_indirect_segments"], d
told = {e["topic"]: e for e in d["explanation"]}
assert len(told) == len(d["explanation"]) == 11, told
assert told["engine"]["is"] == "buffered, cache mode writeback", told
assert told["sandbox"]["is"] in ("whole", "not whole; it has: capabilities") or "calls" in told["sandbox"]["is"], told
assert told["grants"]["is"].startswith("persistent"), told
assert all(e["is"] for e in told.values()), told
END
else
	echo "python3 is not here: JSON was not parsed"
fi

end_front "$front_pid"
expect 0 'detached' paravane detach guest1 xvda
expect 4 'has no disk' paravane detach guest1 xvda

# ---- names that JSON has to escape -------------------------------------------------

odd=$(printf 'a"b\\c\303\244\377\001.img')
truncate -s 1M "$odd"
expect 0 '' paravane attach-disk guest1 "$odd" xvdz --no-wait
paravane list --json >list.json
if command -v python3 >/dev/null; then
	python3 -c 'import json; d = json.load(open("list.json"))
assert d[0]["image"].endswith("a\"b\\c\u00e4\ufffd\u0001.img"), d' || bad "JSON escapes"
fi
expect 0 '' paravane detach guest1 xvdz

# ---- devices are named one after the other; r is shared ----------------------------

expect 0 'xvda of guest1' paravane attach-disk guest1 a.img --mode r --no-wait
expect 0 'xvdb of guest1' paravane attach-disk guest1 b.img --no-wait
expect 0 'xvdc of guest1' paravane attach-disk guest1 a.img --mode r --no-wait
expect 0 'xvda of guest2' paravane attach-disk guest2 a.img --mode r --no-wait
expect 0 'xvdb of guest2' paravane attach-disk guest2 c.img --mode r --idempotent --no-wait xvdb
for dev in xvda xvdb xvdc; do expect 0 '' paravane detach guest1 $dev; done
for dev in xvda xvdb; do expect 0 '' paravane detach guest2 $dev; done

# ---- two that change one disk's limits -----------------------------------------------

expect 0 '' paravane attach-disk guest1 a.img xvda --no-wait
for i in $(seq 20); do
	paravane limit guest1 xvda iops=$((100 + i)) --no-wait >/dev/null &
	paravane limit guest1 xvda bytes-per-second=$((5000 + i)) --no-wait >/dev/null
	wait $!
	limit=$(xenstore-read "/local/domain/0/backend/vbd/$domid/51712/limit")
	[ "$limit" = "iops=$((100 + i)),bytes-per-second=$((5000 + i))" ] ||
		{ bad "one limit is lost: $limit"; break; }
done
expect 0 'no limit' paravane limit guest1 xvda none
expect 0 '' paravane detach guest1 xvda

# ---- hotplug scripts, as xl runs them ------------------------------------------------

cat >good-script <<'END'
#!/bin/sh
echo "$1 $XENBUS_PATH $XENBUS_TYPE" >>script.log
case $1 in
add)
	xenstore-write "$XENBUS_PATH/physical-device-path" "$(xenstore-read "$XENBUS_PATH/params")"
	xenstore-write "$XENBUS_PATH/hotplug-status" connected ;;
esac
END
printf '#!/bin/sh\nexit 3\n' >bad-script
chmod +x good-script bad-script
front guest1 xvda 51712
expect 0 'connected' paravane attach-disk guest1 "$work/a.img" xvda --script "$work/good-script"
end_front "$front_pid"
expect 0 'detached' paravane detach guest1 xvda
grep -q "^add backend/vbd/$domid/51712 vbd$" script.log || bad "script add: $(cat script.log)"
grep -q "^remove backend/vbd/$domid/51712 vbd$" script.log || bad "script remove: $(cat script.log)"
expect 1 'exit status 3' paravane attach-disk guest1 a.img xvda --script "$work/bad-script"
expect 0 'no disks' paravane list

# A script that nobody could run, since no back end was there, is run by who comes again.
: >script.log
kill -STOP "${pids[0]}"
expect 3 'it stays attached' paravane attach-disk guest1 "$work/a.img" xvda --script "$work/good-script" --wait 0.2
kill -CONT "${pids[0]}"
front guest1 xvda 51712
expect 0 'was there already, connected' paravane attach-disk guest1 "$work/a.img" xvda \
	--script "$work/good-script" --idempotent
expect 0 'was there already, connected' paravane attach-disk guest1 "$work/a.img" xvda \
	--script "$work/good-script" --idempotent
end_front "$front_pid"
expect 0 'detached' paravane detach guest1 xvda
[ "$(cut -d' ' -f1 script.log | paste -sd' ')" = "add remove" ] || bad "run again: $(cat script.log)"
# Two that detach: the second one's script ends when the next disk is there already.
cat >slow-script <<'END'
#!/bin/sh
case $1 in
add) xenstore-write "$XENBUS_PATH/physical-device-path" "$(xenstore-read "$XENBUS_PATH/params")" \
	"$XENBUS_PATH/hotplug-status" connected ;;
remove)
	[ -z "${AGAIN:-}" ] || exit 0
	export AGAIN=1
	paravane detach guest1 xvda && paravane attach-disk guest1 b.img xvda --no-wait ;;
esac
END
chmod +x slow-script
expect 3 'it stays attached' paravane attach-disk guest1 a.img xvda --script "$work/slow-script" --wait 1
expect 0 'another has been attached since' paravane detach guest1 xvda
expect 0 b.img paravane list guest1
expect 0 'detached' paravane detach guest1 xvda
# What an end refuses after the script is taken away with it.
: >script.log
( until grep -q '^add' script.log; do sleep 0.02; done
xenstore-write "/local/domain/$domid/device/vbd/51712/state" 6 ) &
expect 1 'is not connected' paravane attach-disk guest1 "$work/a.img" xvda --script "$work/good-script"
wait $!
[ "$(cut -d' ' -f1 script.log | paste -sd' ')" = "add remove" ] || bad "refused later: $(cat script.log)"
expect 0 'no disks' paravane list
# And what it has made until it fails.
sed 's/^esac/esac; [ "$1" = remove ]/' good-script >half-script
chmod +x half-script
: >script.log
expect 1 'exit status 1' paravane attach-disk guest1 "$work/a.img" xvda --script "$work/half-script"
[ "$(cut -d' ' -f1 script.log | paste -sd' ')" = "add remove" ] || bad "failed: $(cat script.log)"
expect 0 'no disks' paravane list
# A disk that is closed is refused before.
: >script.log
( until xenstore-exists "/local/domain/0/backend/vbd/$domid/51712/state"; do sleep 0.02; done
xenstore-write "/local/domain/0/backend/vbd/$domid/51712/online" 0 "/local/domain/0/backend/vbd/$domid/51712/state" 6 ) &
kill -STOP "${pids[0]}"
( sleep 3; kill -CONT "${pids[0]}" ) &
expect 1 'is Closed' paravane attach-disk guest1 "$work/a.img" xvda --script "$work/good-script"
wait $!
[ ! -s script.log ] || bad "a closed disk's script: $(cat script.log)"
expect 0 'no disks' paravane list

# ---- libxl ---------------------------------------------------------------------------

expect 0 '' paravane attach-disk guest1 a.img xvda --libxl --no-wait
expect 0 'xvda' xenstore-read "/libxl/$domid/device/vbd/51712/dev"
expect 0 '' paravane detach guest1 xvda
xenstore-write "/libxl/$domid" ''
expect 0 '' paravane attach-disk guest1 a.img xvda --no-wait
expect 0 'xvda' xenstore-read "/libxl/$domid/device/vbd/51712/dev"
expect 0 '' paravane detach guest1 xvda
expect 0 'xl does not know this disk' paravane attach-disk guest2 a.img xvda --no-wait
expect 0 '' paravane detach guest2 xvda

# ---- nothing is left -------------------------------------------------------------------

left=$(xenstore-ls -f / | grep -E '/(backend|device|error)/(vbd|backend|device)')
[ -z "$left" ] || bad "nodes are left: $left"
kill "${pids[0]}" && wait "${pids[0]}" || bad "the back end ended with $?: $(tail -n 20 blkback.log)"
localxen status --check || bad "local Xen holds something yet"

if [ $failures != 0 ]; then
	echo "$failures expectations failed; the back end said:"
	cat blkback.log
	exit 1
fi
echo "all as expected"
