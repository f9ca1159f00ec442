#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane(1) with network interfaces: the words of attach-nic, exit statuses,
# messages that name the thing, JSON, hotplug scripts as xl runs them, and that
# nothing is left in XenStore. In a local Xen of its own; the back end here is this
# script, which writes what one would publish.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
if [ -z "${E2E_TOOLS_INSIDE:-}" ]; then
	[ -x "$top/tools/localxen/localxen" ] || { echo "no localxen in $top/tools/localxen"; exit 77; }
	E2E_TOOLS_INSIDE=1 exec "$top/tools/localxen/localxen" run -- bash "$0"
fi

PATH=$top:$top/tools/localxen:$PATH
work=$(mktemp -d) || exit 1
export PARAVANE_RUNDIR=$work/run
trap 'rm -rf "$work"' EXIT	# local Xen ends the processes
trap 'exit 1' INT TERM
cd "$work" || exit 1
mkdir -p run/netback

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

for guest in guest1 guest2; do
	localxen domain --name=$guest >/dev/null || { echo "no domain"; exit 1; }
done
domid=$(xenstore-list /local/domain | sort -n | sed -n 2p)
other=$((domid + 1))
back() { echo "/local/domain/0/backend/vif/$domid/$1"; }
front() { echo "/local/domain/$domid/device/vif/$1"; }
# is VALUE NODE
is() { expect 0 "$1" xenstore-read "$2"; [ "$(cat out)" = "$1" ] || bad "$2 is $(cat out), expected $1"; }
absent() { ! xenstore-exists "$1" || bad "$1 exists"; }

# publish N: what a back end offers, InitWait
publish()
{
	local b

	b=$(back "$1")
	xenstore-write "$b/feature-sg" 1 "$b/feature-gso-tcpv4" 1 "$b/feature-gso-tcpv6" 1 \
		"$b/feature-rx-copy" 1 "$b/feature-split-event-channels" 1 \
		"$b/feature-ipv6-csum-offload" 1 "$b/multi-queue-max-queues" 2 "$b/state" 2
}

# connect N: both ends, with one queue
connect()
{
	local f

	publish "$1"
	f=$(front "$1")
	xenstore-write "$f/tx-ring-ref" 8 "$f/rx-ring-ref" 9 "$f/event-channel-tx" 4 \
		"$f/event-channel-rx" 5 "$f/request-rx-copy" 1 "$f/feature-rx-notify" 1 \
		"$f/feature-sg" 1 "$f/feature-gso-tcpv4" 1 "$f/state" 4
	xenstore-write "$(back "$1")/state" 4
}

# closing N: a back end that closes when it is told to
closing()
{
	( until [ "$(xenstore-read "$(back "$1")/state" 2>/dev/null)" = 5 ]; do sleep 0.02; done
	xenstore-write "$(back "$1")/state" 6 ) &
}

# ---- wrong words are refused at once, by name, and leave nothing -----------------

expect 2 'arguments are missing' paravane attach-nic
expect 2 '"br0": WORD=VALUE is expected' paravane attach-nic guest1 br0
expect 2 '"model=e1000": WORD=VALUE' paravane attach-nic guest1 model=e1000
expect 2 'mac="00:16:3e"' paravane attach-nic guest1 mac=00:16:3e
expect 2 'mac="01:00:5e:00:00:01"' paravane attach-nic guest1 mac=01:00:5e:00:00:01
expect 2 'rate="10"' paravane attach-nic guest1 rate=10
expect 2 'rate="10Mb/s@fast"' paravane attach-nic guest1 rate=10Mb/s@fast
expect 2 'rate="400Gb/s": at most 2147483648 bytes in an interval, which is 343Gb/s' paravane attach-nic guest1 rate=400Gb/s
expect 2 'vlan="4095"' paravane attach-nic guest1 vlan=4095
expect 2 'mtu="67": a number from 68 to 65521' paravane attach-nic guest1 mtu=67
expect 2 'queues="17"' paravane attach-nic guest1 queues=17
expect 2 'bridge="a b"' paravane attach-nic guest1 "bridge=a b"
expect 2 'bridge=""' paravane attach-nic guest1 bridge=
expect 2 'isolated="yes"' paravane attach-nic guest1 isolated=yes
expect 2 'type="ioemu"' paravane attach-nic guest1 type=ioemu
expect 2 'devid="-1"' paravane attach-nic guest1 devid=-1
expect 2 '--kind "vbd": vif or qnic' paravane attach-nic guest1 --kind vbd
expect 2 '--idempotent: mac=' paravane attach-nic guest1 --idempotent
expect 4 'no domain "nobody"' paravane attach-nic nobody
expect 4 'no domain "nobody"' paravane attach-nic guest1 backend=nobody
expect 4 'has no network interface vif0' paravane detach guest1 vif0
expect 4 'has no network interface 00:16:3e:00:00:01' paravane explain guest1 00:16:3e:00:00:01
expect 4 'has no network interface vif3.x' paravane explain guest1 vif3.x
expect 2 'device "eth0"' paravane explain guest1 eth0
expect 0 '' paravane detach guest1 vif0 --idempotent
expect 0 'no disks, no network interfaces' paravane list
expect 0 '[]' paravane list --json --kind vif
expect 0 'Usage: paravane attach-nic' paravane help attach-nic

# ---- nodes -----------------------------------------------------------------------

expect 0 'vif0 of guest1' paravane attach-nic guest1 --no-wait
grep -q '^00:16:3e:[0-7]' <<<"$(xenstore-read "$(back 0)/mac")" ||
	bad "the default address is $(xenstore-read "$(back 0)/mac")"
is "$(xenstore-read "$(back 0)/mac")" "$(front 0)/mac"
is 1 "$(back 0)/state"
is "vif$domid.0" "$(back 0)/vifname"
for key in bridge rate vlan script hotplug-status max-queues isolated mtu; do absent "$(back 0)/$key"; done
absent /libxl
expect 0 'vif1 of guest1' paravane attach-nic guest1 bridge=br1 mac=00:16:3e:00:00:01 \
	rate=10Mb/s vlan=10,20-29 mtu=9000 queues=2 isolated=1 any-source=1 vifname=web ip=10.0.0.2 \
	--no-wait
is 62500,50000 "$(back 1)/rate"
is 10,20-29 "$(back 1)/vlan"
is 9000 "$(front 1)/mtu"
is 2 "$(back 1)/max-queues"
is 1 "$(back 1)/any-source"
is 10.0.0.2 "$(back 1)/ip"

# The address on one switch once; elsewhere it is another network's.
expect 6 'vif1 of guest1' paravane attach-nic guest2 bridge=br1 mac=00:16:3e:00:00:01 --no-wait
expect 6 'on switch br1' paravane attach-nic guest1 bridge=br1 mac=00:16:3e:00:00:01 --no-wait
expect 0 'vif0 of guest2' paravane attach-nic guest2 bridge=br2 mac=00:16:3e:00:00:01 --no-wait
expect 0 'vif5 of guest1' paravane attach-nic guest1 bridge=br3 mac=00:16:3e:00:00:01 devid=5 --no-wait
expect 0 'detached' paravane detach guest1 vif5 --force --no-wait
expect 0 'detached' paravane detach guest2 vif0 --force --no-wait
expect 5 'vif1 of guest1' paravane attach-nic guest1 devid=1 --no-wait
expect 0 'was there already' paravane attach-nic guest1 bridge=br1 \
	mac=00:16:3E:00:00:01 --idempotent --no-wait
expect 6 'vif1 of guest1' paravane attach-nic guest1 bridge=br2 mac=00:16:3e:00:00:01 --idempotent --no-wait
again() { paravane attach-nic guest1 bridge=br1 mac=00:16:3e:00:00:01 "$@" --idempotent --no-wait; }
expect 0 'was there already' again rate=10Mb/s vlan=10,20-29 mtu=9000 queues=2 isolated=1 any-source=1 \
	vifname=web ip=10.0.0.2
# Said in other words, but the same.
expect 0 'was there already' again rate=1250KB/s@20ms vlan=20-29,10
expect 5 'vlan is 10,20-29, not 10; isolated is 1, not 0' again vlan=10 isolated=0 mtu=9000
grep -qF "\"paravane bridge port $domid vif1 vlan=10 isolated=0\"" out || bad "how: $(cat out)"
expect 0 '' paravane bridge port guest1 vif1 vlan=10 isolated=0
expect 0 'was there already' again vlan=10 isolated=0
expect 0 '' paravane bridge port guest1 vif1 vlan=10,20-29 isolated=1 rate=20Mb/s
expect 5 'rate is 20000000b/s, not 10Mb/s' again rate=10Mb/s
expect 0 '' paravane bridge port guest1 vif1 rate=10Mb/s
expect 0 'was there already' again rate=10Mb/s
expect 5 'mtu is 9000, not 1500' again mtu=1500
grep -qF "\"paravane detach $domid vif1\" first" out || bad "how: $(cat out)"
expect 5 'vifname is web, not other' again vifname=other --dry-run
expect 5 'gatewaydev is none, not lo' again gatewaydev=lo
expect 5 'limit is none, not tx-bytes-per-second=1000000' again --limit tx-bytes-per-second=1M
grep -qF "\"paravane limit $domid vif1 tx-bytes-per-second=1M\"" out || bad "how: $(cat out)"
expect 0 '' paravane limit guest1 vif1 tx-bytes-per-second=1M rx-bytes-per-second=1M --no-wait
expect 0 'was there already' again --limit tx-bytes-per-second=1M
expect 0 '' paravane limit guest1 vif1 none --no-wait

# Found by number, address and name.
expect 0 'web' paravane explain guest1 vif1
expect 0 'vif1 of guest1' paravane explain guest1 00:16:3e:00:00:01
expect 0 'vif1 of guest1' paravane explain guest1 web
expect 2 'has no size' paravane resize guest1 vif1

# ---- which end waits for what ---------------------------------------------------------

expect 0 'paravane-netback is not running here' paravane explain guest1 vif0
expect 0 'served by nobody yet' paravane explain guest1 vif0
publish 0
expect 0 'is the guest running, with a Xen network driver?' paravane explain guest1 vif0
expect 0 'offer, which no front end has answered' paravane explain guest1 vif0
expect 0 'served by another back end' paravane explain guest1 vif0
echo $$ >run/netback/vif.lock
expect 0 'served by paravane-netback' paravane explain guest1 vif0
expect 3 'it stays attached' paravane attach-nic guest2 --wait 0.2
expect 0 '' paravane detach guest2 vif0 --force --no-wait

# ---- connected ---------------------------------------------------------------------------

connect 1
xenstore-write "$(front 1)/feature-ipv6-csum-offload" 1
expect 0 'connected' paravane attach-nic guest1 bridge=br1 mac=00:16:3e:00:00:01 --idempotent
expect 0 'br1, vlan 10,20-29' paravane explain guest1 vif1
expect 0 '10 Mbit/s' paravane explain guest1 vif1
expect 0 'sends IPv4 and IPv6, receives IPv4' paravane explain guest1 vif1
expect 0 'br1, vlan 10,20-29, isolated' paravane list guest1
expect 0 'taken: copy sg gso4 csum4 csum6 split 1 queue' paravane list guest1 --long
expect 0 'vif1' paravane list --kind vif
expect 0 'no disks, no network interfaces' paravane list --kind vbd
if command -v python3 >/dev/null; then
	paravane list --json >list.json || bad "list --json"
	paravane explain guest1 vif1 --json >explain.json || bad "explain --json"
	paravane attach-nic guest1 bridge=br1 mac=00:16:3e:00:00:01 --idempotent --json >attach.json ||
		bad "attach-nic --json"
	python3 - "$domid" <<'END' || bad "JSON is not as documented"
import json, sys
nics = json.load(open("list.json"))
assert [n["device"] for n in nics] == ["vif0", "vif1"], nics
n = nics[1]
want = {"domain": "guest1", "domid": int(sys.argv[1]), "device": "vif1", "devid": 1,
        "kind": "vif", "backend_domid": 0, "backend_state": "Connected",
        "frontend_state": "Connected", "mac": "00:16:3e:00:00:01", "bridge": "br1",
        "vifname": "web", "vlan": "10,20-29", "mtu_bytes": 9000,
        "rate_bits_per_s": 10000000, "isolated": True, "any_source": True,
        "hotplug": "connected", "carrier": True, "waits_for": None}
for key, value in want.items():
    assert n[key] == value, (key, n[key], value)
assert n["offered"]["max_queues"] == 2 and n["offered"]["ctrl_ring"] is False, n
assert n["negotiated"] == {"sg": True, "gso_tcpv4": True, "gso_tcpv6": False, "csum": True,
    "ipv6_csum": True, "rx_copy": True, "rx_flip": False, "rx_notify": True, "split_event_channels": True,
    "multicast_control": False, "ctrl_ring": False, "queues": 1}, n["negotiated"]
assert "negotiated" not in nics[0] and nics[0]["waits_for"], nics[0]
e = json.load(open("explain.json"))
for key, value in n.items():
    assert e[key] == value, (key, e[key], value)
assert e["agreed"] is True
told = {t["topic"]: t for t in e["explanation"]}
assert len(told) == len(e["explanation"]) and "gso" in told and "rate" in told, told
assert json.load(open("attach.json")) == n
END
else
	echo "python3 is not here: JSON was not parsed"
fi

# A disk and a network interface in one list.
truncate -s 8M a.img
expect 0 '' paravane attach-disk guest1 a.img --no-wait --json
paravane list >out
[ "$(awk '{ print $3 }' out | paste -sd' ')" = "DEVICE xvda  DEVICE vif0 vif1" ] ||
	[ "$(grep -cE 'xvda|vif0|vif1|DEVICE' out)" = 5 ] || bad "list: $(cat out)"
expect 0 '' paravane detach guest1 xvda --force --no-wait

# ---- detach ----------------------------------------------------------------------------------

expect 3 'the front end in guest1' paravane detach guest1 vif1 --wait 0.2
xenstore-write "$(back 1)/state" 4
closing 1
expect 0 'vif1 of guest1' paravane detach guest1 00:16:3e:00:00:01
absent "$(back 1)"
absent "$(front 1)"
expect 0 'detached' paravane detach guest1 vif0 --force --wait 0.1

# ---- two that change one switch, and one uplink, at a time ---------------------------------------

lan=/local/domain/0/paravane-bridge/lan
for i in $(seq 20); do
	paravane bridge set lan ageing-ms=$((1000 + i)) &
	paravane bridge set lan move-ms=$i
	wait $!
	paravane bridge uplink add lan tap0 vlan=$i &
	paravane bridge uplink add lan tap0 mtu=$((1000 + i))
	wait $!
	now=$(for key in ageing-ms move-ms uplink/tap0/vlan uplink/tap0/mtu; do xenstore-read "$lan/$key"; done | paste -sd' ')
	[ "$now" = "$((1000 + i)) $i $i $((1000 + i))" ] || { bad "one change is lost: $now, of $i"; break; }
done
expect 0 '' paravane bridge reset lan

# ---- what a guest left that has gone -------------------------------------------------------------

gone=/local/domain/0/backend/vif/4711/0
xenstore-write $gone/frontend /local/domain/4711/device/vif/0 $gone/frontend-id 4711 \
	$gone/mac 00:16:3e:00:00:11 $gone/bridge br0 $gone/online 0 $gone/state 5
expect 6 'vif0 of domain 4711' paravane attach-nic guest1 mac=00:16:3e:00:00:11 bridge=br0 --no-wait
xenstore-write $gone/state 6
expect 0 '' paravane attach-nic guest1 mac=00:16:3e:00:00:11 bridge=br0 --no-wait
expect 0 'vif0 of domain 4711: detached' paravane detach 4711 00:16:3e:00:00:11
expect 4 'no domain "4711"' paravane detach 4711 vif0
expect 0 'detached' paravane detach guest1 vif0 --force --no-wait

# ---- hotplug scripts, as xl runs them ----------------------------------------------------------

cat >good-script <<'END'
#!/bin/sh
echo "$* $XENBUS_PATH $XENBUS_TYPE $vif" >>script.log
case $1 in
online) xenstore-write "$XENBUS_PATH/hotplug-status" connected ;;
esac
END
printf '#!/bin/sh\necho $1 >>bad.log\nxenstore-write "$XENBUS_PATH/hotplug-error" "no such switch"\nexit 1\n' >bad-script
chmod +x good-script bad-script
( until xenstore-exists "$(back 0)/state"; do sleep 0.02; done
publish 0
until [ "$(xenstore-read "$(back 0)/hotplug-status")" = connected ]; do sleep 0.02; done
connect 0 ) &
expect 0 'connected' paravane attach-nic guest1 script="$work/good-script"
closing 0
expect 0 'detached' paravane detach guest1 vif0
grep -qx "online type_if=vif backend/vif/$domid/0 vif vif$domid.0" script.log || bad "online: $(cat script.log)"
grep -qx "offline type_if=vif backend/vif/$domid/0 vif vif$domid.0" script.log || bad "offline: $(cat script.log)"
# Nobody could run it; who comes again does.
expect 3 'it stays attached' paravane attach-nic guest1 mac=00:16:3e:00:00:07 script="$work/good-script" --wait 0.2
publish 0
( until [ "$(xenstore-read "$(back 0)/hotplug-status" 2>/dev/null)" = connected ]; do sleep 0.02; done
connect 0 ) &
expect 0 'was there already, connected' paravane attach-nic guest1 mac=00:16:3e:00:00:07 \
	script="$work/good-script" --idempotent
kill $! 2>/dev/null
expect 0 'detached' paravane detach guest1 vif0 --force --wait 0.1
( until xenstore-exists "$(back 0)/state"; do sleep 0.02; done; publish 0
closing 0; wait ) &
expect 1 'no such switch' paravane attach-nic guest1 script="$work/bad-script"
wait
[ "$(paste -sd' ' bad.log)" = "online offline" ] || bad "what a script began is not undone: $(cat bad.log)"
expect 0 'no disks, no network interfaces' paravane list

# ---- libxl ---------------------------------------------------------------------------------------

xenstore-write "/libxl/$domid" ''
expect 0 '' paravane attach-nic guest1 bridge=br0 --no-wait
is br0 "/libxl/$domid/device/vif/0/bridge"
# xl runs a script when it takes an interface away, and gives up without one.
is /etc/xen/scripts/vif-paravane "$(back 0)/script"
is connected "$(back 0)/hotplug-status"
expect 0 '' paravane detach guest1 vif0 --force --no-wait
expect 0 'xl does not know this network interface' paravane attach-nic guest2 --no-wait
expect 0 '' paravane detach "$other" vif0 --force --no-wait

left=$(xenstore-ls -f / | grep -E '/(backend|device|error)/(vif|backend|device)')
[ -z "$left" ] || bad "nodes are left: $left"
localxen status --check || bad "local Xen holds something yet"

if [ $failures != 0 ]; then
	echo "$failures expectations failed"
	exit 1
fi
echo "all as expected"
