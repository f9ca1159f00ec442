#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl's hotplug script for network interfaces: what it says to go on with, what it
# refuses with a reason, and that nothing of what it refused stays.
. "$(dirname "$0")/lib-net.sh"
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
script=${abs_top_srcdir:-$srcdir}/tools/vif-paravane
start_daemon

# give_scripted DOMID [WORD=VALUE]... devid=N: with a script that is yet to run, which
# paravane does not leave to others; the back end sees it with the rest.
give_scripted()
{
	kill -STOP "$daemon"
	give_nic "$@"
	for last in "$@"; do :; done
	xenstore-write "/local/domain/0/backend/vif/$1/${last#devid=}/script" "$script"
	kill -CONT "$daemon"
}

# attach DOMID [WORD=VALUE]...: as libxl: nodes, then it waits for state 2.
attach()
{
	d=$1
	give_scripted "$@" devid=0
	back_reaches "$d" 2
	b=$(back_dir "$d")
}

# script_online DOMID: in a process of its own, as xl is to its script; $tmp/status and
# $tmp/error are what it wrote.
script_online()
{
	(
		XENBUS_PATH=backend/vif/$1/0 XENBUS_TYPE=vif XENBUS_BASE_PATH=backend \
			vif="vif$1.0" "$script" online type_if=vif
		rc=$?
		xenstore-read "$(back_dir "$1")/hotplug-status" >"$tmp/status"
		xenstore-read "$(back_dir "$1")/hotplug-error" >"$tmp/error" 2>&1
		exit $rc
	)
}

no_nodes()
{
	! xenstore-exists "$(back_dir "$1")" && ! xenstore-exists "$(front_dir "$1")" &&
		! xenstore-exists "/local/domain/0/error/backend/vif/$1/0"
}

# refuses DOMID STATUS TEXT: and nothing of the interface stays.
refuses()
{
	! script_online "$1" || fail "the script takes it"
	reads "$2" cat "$tmp/status"
	grep -qF "$3" "$tmp/error" || fail "hotplug-error is '$(cat "$tmp/error")', expected '$3'"
	wait_for $wait_s no_nodes "$1" || fail "left: $(xenstore-ls -f / | grep "/vif/$1\|/$1/device/vif")"
}

make_guest g1; g1=$domid
make_guest g2; g2=$domid

say "the back end waits for the script"
attach "$g1" bridge=br0 mac=00:16:3e:00:00:01
guest "$g1" "$netfront" info >"$tmp/out" 2>&1 &
front=$!
front_reaches "$g1" 4
sleep 0.3
back_reaches "$g1" 2
script_online "$g1" || fail "online: $(cat "$tmp/error")"
reads connected cat "$tmp/status"
wait "$front" || fail "$(cat "$tmp/out")"

say "what cannot be is refused"
attach "$g2" bridge=br1 mac=00:16:3e:00:00:02
xenstore-write "$b/bridge" br0 "$b/mac" 00:16:3E:00:00:01
refuses "$g2" busy "address 00:16:3e:00:00:01 is in use on switch br0: vif 0 of guest g1 (domain $g1)"
attach "$g2"
xenstore-write "$b/vlan" 4095
refuses "$g2" error "refused by paravane-netback: the tool stack's vlan is '4095'"
attach "$g2"
xenstore-write "$b/bridge" "two words"
refuses "$g2" error "refused by paravane-netback: the tool stack's bridge is 'two words'"
# Of another network the same address is somebody else's.
attach "$g2" bridge=br1 mac=00:16:3e:00:00:01
script_online "$g2" || fail "online: $(cat "$tmp/error")"
XENBUS_PATH=backend/vif/$g2/0 "$script" offline type_if=vif || fail "offline"
detach_nic "$g2"

say "a guest that moves within the host is two domains for a while"
# same_address DOMID: an interface with g1's, on its switch; paravane itself gives none.
same_address()
{
	attach "$1" bridge=br1 mac=00:16:3e:00:00:01
	xenstore-write "$b/bridge" br0
}
make_guest g1-incoming; g3=$domid
xenstore-write "/local/domain/$g1/vm" /vm/1 "/local/domain/$g3/vm" /vm/2
same_address "$g3"
refuses "$g3" busy "address 00:16:3e:00:00:01 is in use on switch br0: vif 0 of guest g1 (domain $g1)"
xenstore-write "/local/domain/$g3/vm" /vm/1
same_address "$g3"
script_online "$g3" || fail "the same guest is refused: $(cat "$tmp/error")"
detach_nic "$g3"
# Two of one domain's are none.
give_scripted "$g1" bridge=br1 mac=00:16:3e:00:00:01 devid=1
two=backend/vif/$g1/1
wait_for $wait_s node_is "/local/domain/0/$two/state" 2 || fail "not taken up"
xenstore-write "/local/domain/0/$two/bridge" br0
! XENBUS_PATH=$two "$script" online type_if=vif || fail "one address twice in one guest is taken"
reads busy xenstore-read "/local/domain/0/$two/hotplug-status"
wait_for $wait_s eval "! xenstore-exists /local/domain/0/$two" || fail "$two is left"

say "an emulated interface is not ours"
INTERFACE=vif$g1.0-emu "$script" add type_if=tap || fail "add"
INTERFACE=vif$g1.0-emu "$script" remove type_if=tap || fail "remove"
expect 2 env XENBUS_PATH=backend/vif/$g1/0 "$script" frobnicate 2>/dev/null

say "one that has gone does not come back, and what is left of one has no address"
expect 1 env XENBUS_PATH=backend/vif/$g2/0 "$script" online type_if=vif
no_nodes "$g2" || fail "back: $(xenstore-ls -f "$(back_dir "$g2")")"
attach "$g2" bridge=br0 mac=00:16:3e:00:00:09
xenstore-write "/local/domain/0/backend/vif/$g1/7/mac" 00:16:3e:00:00:09 "/local/domain/0/backend/vif/$g1/7/bridge" br0
script_online "$g2" || fail "an interface that is not there has its address: $(cat "$tmp/error")"
detach_nic "$g2"
xenstore-rm "/local/domain/0/backend/vif/$g1/7"

say "as paravane runs it"
guest "$g2" "$netfront" bench echo >"$tmp/out" 2>&1 &
front=$!
"$paravane" attach-nic "$g2" script="$script" || fail "attach-nic"
detach_nic "$g2"
wait "$front"

say "nobody serves"
detach_nic "$g1"
wait_for $wait_s has_no_workers || fail "workers left"
attach "$g1"
kill "$daemon"
wait "$daemon"
! script_online "$g1" || fail "the script takes it"
reads error cat "$tmp/status"
grep -q "paravane-netback is not running" "$tmp/error" || fail "error: $(cat "$tmp/error")"
start_daemon
wait_for $wait_s no_nodes "$g1" || fail "left: $(xenstore-ls -f / | grep "/vif/")"
end_back
