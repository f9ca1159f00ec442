#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# An interface's life: attached, looked at, changed while it is in use, its daemon ended
# and killed under it, detached; and a thousand of them come and go with nothing left.
# The quick run: plain
. "$(dirname "$0")/lib-net.sh"
need_namespaces
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
cycles=100
! sanitized || cycles=30
[ -z "${PV_FULL:-}" ] || cycles=1000
cycles=${NET_CYCLES:-$cycles}
[ "$cycles" -ge 1000 ] || say "deferred: 1,000 cycles of attach and detach ($cycles were run)"
start_daemon
make_guest a; a=$domid
make_guest b; b=$domid

says() { grep -qF -- "$2" "$1" || fail "'$2' is not in: $(cat "$1")"; }
# set DOMID KEY VALUE: in the back end's directory, while it is in use
set_key() { xenstore-write "$(back_dir "$1")/$2" "$3"; }
reaches() { pings "$@" -W 1 -c 1; }
soon() { wait_for $wait_s "$@"; }
cut_off() { ! reaches "$@"; }
serving() { pid=$(info "$1" pid) && [ -n "$pid" ] && [ -d "/proc/$pid" ]; }

say "attached, looked at, detached"
give_nic "$a" bridge=br0 mac=00:16:3e:0a:00:01 mtu=9000 queues=2 rate=100Gb/s
back_reaches "$a" 2
"$paravane" explain "$a" vif0 >"$tmp/out"
says "$tmp/out" "has not answered"
reads 2 xenstore-read "$(back_dir "$a")/multi-queue-max-queues"
boot_net "$a" --queues 4
"$paravane" list >"$tmp/out"
says "$tmp/out" "Connected     Connected     00:16:3e:0a:00:01  br0"
"$paravane" explain "$a" vif0 >"$tmp/out"
says "$tmp/out" "served by paravane-netback"
says "$tmp/out" "2, of 2 offered"
says "$tmp/out" "9000 bytes"
"$paravane" attach-nic "$a" bridge=br0 mac=00:16:3e:0a:00:01 --idempotent >"$tmp/out" || fail "idempotent"
says "$tmp/out" "was there already, connected"
inside "$a" ip -o link show eth0 >"$tmp/out"
says "$tmp/out" "mtu 9000"
says "$tmp/out" "00:16:3e:0a:00:01"
halt_net "$a"
back_reaches "$a" 6
for turn in 1 2 3; do
	guest "$a" "$netfront" info >"$tmp/out" 2>&1 || fail "turn $turn: $(cat "$tmp/out")"
	back_reaches "$a" 6
done
detach_nic "$a"
wait_for $wait_s has_no_workers || fail "a worker stays without a vif"

say "changed while in use"
for d in $a $b; do
	give_nic "$d" bridge=br0
	boot_net "$d"
done
soon reaches "$a" "$b" || fail "no ping: $(cat "$tmp/ping")"
set_key "$b" bridge br1
soon cut_off "$a" "$b" || fail "b is still on br0"
soon eval '[ "$(info $b bridge)" = br1 ]' || fail "info: $(info "$b" bridge)"
set_key "$a" bridge br1
soon reaches "$a" "$b" || fail "no ping on br1"
set_key "$a" vlan 10
soon cut_off "$a" "$b" || fail "VLAN 10 reaches none"
set_key "$b" vlan 10
soon reaches "$a" "$b" || fail "no ping in VLAN 10"
set_key "$a" vlan 5000
soon grep -q "vlan is '5000'.*nothing is changed" "$tmp/log" || fail "no complaint: $(tail -3 "$tmp/log")"
soon reaches "$a" "$b" || fail "a bad key does harm"
reads 4 xenstore-read "$(back_dir "$a")/state"
set_key "$a" vlan 10

say "its own address only"
mac=$(xenstore-read "$(back_dir "$a")/mac")
# spoofs: a guest with another address, as everybody else knows by ARP
spoofs()
{
	inside "$a" ip link set eth0 down && inside "$a" ip link set eth0 address "$1" &&
		inside "$a" ip link set eth0 up && inside "$b" ip neighbour flush dev eth0
}
spoofs 02:00:00:00:00:01
cut_off "$a" "$b" || fail "another address is taken"
set_key "$a" any-source 1
soon reaches "$a" "$b" || fail "any-source has no effect: $(tail -5 "$tmp/log")"
set_key "$a" any-source 0
spoofs "$mac"
soon reaches "$a" "$b" || fail "its own address is not taken any more"
make_guest c; c=$domid
give_nic "$c" bridge=br1
set_key "$c" mac "$mac"
guest "$c" "$netfront" info --timeout 60 >"$tmp/out" 2>&1 & front=$!
its_error() { xenstore-read "/local/domain/0/error/backend/vif/$c/0/error" 2>/dev/null; }
soon eval 'its_error | grep -qF "vif $a/0'"'"'s on bridge br1: waits"' || fail "no word of waiting: $(its_error)"
reads 2 xenstore-read "$(back_dir "$c")/state"
# Not for ever.
wait $front && fail "one address twice"
back_reaches "$c" 6
its_error >"$tmp/out" || fail "no reason"
says "$tmp/out" "its address $mac is vif $a/0's on bridge br1"
soon reaches "$a" "$b" || fail "who had it suffers"
detach_nic "$c"

say "the daemon ends and begins again under them"
kill "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
cut_off "$a" "$b" || fail "there is no daemon, and frames go"
start_daemon
soon reaches "$a" "$b" || fail "after SIGTERM: $(tail -5 "$tmp/log")"
for d in $a $b; do
	reads 4 xenstore-read "$(back_dir "$d")/state"
	reads 4 xenstore-read "$(front_dir "$d")/state"
done

say "it is killed"
for turn in 1 2 3; do
	soon serving "$a" || fail "no worker"
	kill -9 "$daemon"
	wait "$daemon"
	start_daemon
	soon reaches "$a" "$b" || fail "after SIGKILL $turn: $(tail -5 "$tmp/log")"
	soon reaches "$b" "$a" || fail "after SIGKILL $turn, back"
done

say "what was changed meanwhile"
kill -9 "$daemon"
wait "$daemon"
set_key "$a" bridge br2
start_daemon
soon eval '[ "$(info $a bridge)" = br2 ]' || fail "it joins $(info "$a" bridge)"
soon cut_off "$a" "$b" || fail "b is reached over br2"
set_key "$a" bridge br1
soon reaches "$a" "$b" || fail "it does not come back"
for d in $a $b; do
	halt_net "$d"
	back_reaches "$d" 6
	detach_nic "$d"
done

say "a limit, and another while in use"
# sends SECONDS: bits per second of what a guest sends, in $tmp/bits.
sends()
{
	guest "$a" "$netfront" bench tx --size 1514 --seconds "$1" --json >"$tmp/out" 2>"$tmp/err" ||
		fail "bench: $(cat "$tmp/err")"
	python3 -c "import json; print(int(json.load(open('$tmp/out'))['frames_per_s'] * 1514 * 8))" >"$tmp/bits"
}
give_nic "$a" bridge=br0 rate=2MB/s
sends 1
bits=$(cat "$tmp/bits")
[ "$bits" -le 32000000 ] || fail "$bits bit/s through a limit of 16 Mbit/s"
[ "$bits" -ge 1000000 ] || fail "$bits bit/s is far below its limit"
limited=$bits
back_reaches "$a" 6
# Long enough for a mean that is far above the limit, however late the limit goes.
sends 8 &
sender=$!
back_reaches "$a" 4
set_key "$a" rate-bits 0
wait $sender || exit 1
bits=$(cat "$tmp/bits")
say "$limited bit/s with a limit of 16 Mbit/s, $bits without"
[ "$bits" -ge 64000000 ] || fail "the limit stays: $bits bit/s"
back_reaches "$a" 6
detach_nic "$a"

say "two interfaces of one guest on two switches"
give_nic "$a" bridge=br0
give_nic "$a" bridge=br1
give_nic "$b" bridge=br1
boot_net "$b"
boot_net "$a"
guest "$a" "$netfront" ping --vif 1 --address 10.0.0.77 "10.0.0.$b" >"$tmp/out" 2>&1 ||
	fail "its second: $(cat "$tmp/out")"
cut_off "$a" "$b" || fail "its first reaches the other switch"
[ "$(pgrep -c -P "$daemon")" = 2 ] || fail "$(pgrep -c -P "$daemon") workers for two switches"
wait_for $wait_s node_is "$(back_dir "$a" 1)/state" 6 || fail "its second does not close"
detach_nic "$a" 1
reads 4 xenstore-read "$(back_dir "$a")/state"
halt_net "$a"
back_reaches "$a" 6
detach_nic "$a"

say "$cycles cycles, beside one that stays"
# cycle DOMID NUMBER: b stays, so that the switch and its worker do.
cycle()
{
	n=0
	while [ $n -lt "$2" ]; do
		guest "$1" "$netfront" bench echo --timeout 60 --quiet >"$tmp/front-$1" 2>&1 &
		front=$!
		"$paravane" attach-nic "$1" bridge=br1 >"$tmp/at-$1" 2>&1 &&
			"$paravane" detach "$1" vif0 >>"$tmp/at-$1" 2>&1 ||
			{ cat "$tmp/at-$1" "$tmp/front-$1"; kill $front; return 1; }
		# It may have seen Closing before it saw Connected, which it says.
		wait $front || [ $? = 1 ] || { cat "$tmp/front-$1"; return 1; }
		n=$((n + 1))
	done
}

both()
{
	cycle "$e" "$1" & one=$!
	cycle "$f" "$1" & two=$!
	wait $one && wait $two || fail "a cycle failed: $(tail -5 "$tmp/log")"
}

# held: descriptors of the daemon and its worker, nodes.
held()
{
	echo "$(fds "$daemon") descriptors of the daemon, $(fds "$worker") of the worker," \
		"$(xenstore-ls -f / | wc -l) nodes"
}
make_guest e; e=$domid
make_guest f; f=$domid
worker=$(pgrep -P "$daemon")
# What is had once for each domain is no leak: its memory from the first grant on, its
# event channels from the first answer.
for d in $e $f; do
	give_nic "$d" bridge=br1
	guest "$d" "$netfront" ping --address 10.0.0.250 "10.0.0.$b" --count 1 --wait-ms 20000 \
		--timeout 60 >"$tmp/out" 2>&1 || fail "guest $d reaches nobody: $(cat "$tmp/out")"
	detach_nic "$d"
done
both 1
before=$(held)
memory=$(($(own_kib "$daemon") + $(own_kib "$worker")))
echo >"$tmp/looking"
# CVE-2026-100080: counters are read while the ports that they are of come and go.
(
	nr=0
	while [ -e "$tmp/looking" ]; do
		"$paravane" bridge show br1 --json >"$tmp/shown" 2>&1 || { echo failed >>"$tmp/shown"; exit 1; }
		nr=$((nr + 1))
		echo $nr >"$tmp/looks"
	done
) &
looks=$!
start=$(date +%s%N)
both $((cycles / 2))
rm "$tmp/looking"
wait $looks || fail "bridge show: $(cat "$tmp/shown")"
say "its counters were read $(cat "$tmp/looks") times"
say "$(($(date +%s%N) / 1000000 - start / 1000000)) ms"
soon eval '[ "$(held)" = "$before" ]' || { ls -l "/proc/$worker/fd"; fail "before $before, after $(held)"; }
[ "$worker" = "$(pgrep -P "$daemon")" ] || fail "the worker is another one"
after=$(($(own_kib "$daemon") + $(own_kib "$worker")))
say "memory: $memory KiB before, $after KiB after"
# AddressSanitizer keeps what was freed.
grep -q libasan "/proc/$daemon/maps" || [ "$after" -lt $((memory + 1024)) ] || fail "memory grew"
halt_net "$b"
back_reaches "$b" 6
detach_nic "$b"
! xenstore-ls -f / | grep -E '/(backend|device|error)/(vif|backend|device)' || fail "nodes are left"
end_back
