#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon is upgraded again and again under a TCP stream and pings, with two bridges, one
# of which has an uplink: the stream arrives as it was sent, the kernel's bridge sees no
# change, and the pauses are said. An upgrade that cannot be leaves all as it was.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
# The uplink's bridge is in a namespace that the daemon shares, and nobody else.
[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare -n /bin/sh "$0" "$@"
broken=$PWD/tests/broken-netback hostile=$PWD/tests/hostile-net
[ -x "$broken" ] || skip "tests/broken-netback is not built; make check builds it"
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
start_daemon
for guest in a b p q; do
	make_guest $guest
	eval "$guest=$domid"
	case $guest in
	a|b) give_nic "$domid" bridge=br0 ;;
	*) give_nic "$domid" bridge=other ;;
	esac
	boot_net "$domid"
done
meets() { pings "$1" "$2" -W 1 -c 1; }
wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" || fail "the guests do not talk"

# A third host, behind a bridge of the kernel's.
host=
if ip link add lan0 type bridge 2>/dev/null; then
	ip link set lan0 up
	ip address add 10.0.0.99/24 dev lan0
	"$paravane" bridge uplink add other up0 bridge=lan0 || fail "no uplink"
	wait_for $wait_s meets "$p" 99 || fail "the uplink's host is not reached: $(tail -3 "$tmp/log")"
	host=99
	port=$(ip -o link show dev up0)
fi

others_talk()
{
	eval "pid=\$inside_$p"
	nsenter -t "$pid" -n ping -q -n -i 0.02 "10.0.0.${host:-$q}" >"$tmp/others" 2>&1 &
	pinging=$!
}

mib=60 upgrades=0
[ -z "${PV_FULL:-}" ] || mib=1000
[ -n "${PV_FULL:-}" ] || say "deferred: upgrades under a stream of 1,000 MiB ($mib here)"
xenstore-write "$(back_dir "$a")/rate" 1000000,50000
wait_for $wait_s grep -q "vif $a/0: limited" "$tmp/log" || fail "no rate"
others_talk
say "upgrades under a TCP stream"
compares "$a" "$b" $mib &
comparing=$!
sleep 0.3
# From outside the device is the one that it was: its number, its bridge, its state.
same_port() { [ -z "$host" ] || [ "$(ip -o link show dev up0)" = "$port" ]; }
while kill -0 $comparing 2>/dev/null; do
	before="$(info "$a" pid) $(info "$p" pid)"
	"$paravane" upgrade netback >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	[ "$(grep -c ' vif0 .* vif ' "$tmp/out")" = 4 ] || fail "upgrade: $(cat "$tmp/out")"
	awk '/vif0/ { print $4 }' "$tmp/out" >>"$tmp/pauses"
	upgrades=$((upgrades + 1))
	for worker in $before; do
		process_gone "$worker" || fail "worker $worker of before runs yet"
	done
	for guest in $a $b $p $q; do
		node_is "$(back_dir "$guest")/state" 4 || fail "guest $guest was told"
	done
	same_port || fail "the uplink has changed: $(ip -o link show dev up0), was $port"
	sleep 0.4
done
wait $comparing || fail "the stream did not survive: $(tail -5 "$tmp/log")"
kill -INT $pinging
wait $pinging
[ $upgrades -ge 2 ] || fail "it was over after $upgrades upgrades"
say "$upgrades upgrades"
sort -n "$tmp/pauses" | awk -v name="$name" '{ p[NR] = $1 }
	END { printf "%s: %d pauses: median %.1f ms, longest %.1f ms (under 100 ms: %s)\n", name, NR,
		p[int((NR + 1) / 2)], p[NR], p[NR] < 100 ? "met" : "not met" }'
say "others: $(grep transmitted "$tmp/others")"

# WORKER-7, WORKER-9, WORKER-11.
# meanwhile HOW TEXT: a guest does that while an old version serves it; the upgrade comes, and
# its interface, and no other, is closed for that reason.
make_guest mean
mean=$domid
not_connected() { ! node_is "$(back_dir "$mean")/state" 4; }
meanwhile()
{
	give_nic "$mean" bridge=br0
	case $1 in
	take-*)
		: >"$tmp/io"
		guest "$mean" "$hostile" "$1-back" >"$tmp/io" 2>&1 &
		io=$!
		wait_for $wait_s grep -q 'taken back' "$tmp/io" || fail "$1: $(cat "$tmp/io")"
		;;
	*)
		boot_net "$mean"
		eval "front=\$(ps -o ppid= -p \$inside_$mean)" ;;
	esac
	node_is "$(back_dir "$mean")/state" 4 || fail "$1: it is not served"
	case $1 in
	renames) guest "$mean" xenstore-write "$(front_dir "$mean")/tx-ring-ref" 9 ;;
	forgets-copy*) guest "$mean" xenstore-rm "$(front_dir "$mean")/request-rx-copy" ;;
	esac
	[ "$1" != forgets-copy-deaf ] || kill -STOP $front
	so_far=$(grep -c "$2" "$tmp/log")
	"$paravane" upgrade netback >"$tmp/out" 2>&1 || fail "a guest that $1: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	wait_for $wait_s not_connected || fail "a guest that $1 is served: $(tail -5 "$tmp/log")"
	error_says "$mean" "$2"
	[ $(($(grep -c "$2" "$tmp/log") - so_far)) = 1 ] || fail "a guest that $1 is refused again and again: $(tail -5 "$tmp/log")"
	wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" ||
		fail "a guest that $1: the others do not talk any more: $(tail -5 "$tmp/log")"
	case $1 in
	take-*) wait "$io" || fail "$1: $(cat "$tmp/io")" ;;
	*)
		kill -CONT $front
		eval "kill \$inside_$mean; wait \$front_$mean" ;;
	esac
	detach_nic "$mean"
}
say "a guest that loses its rings stops no upgrade"
meanwhile renames "not those that it connected with"
meanwhile forgets-copy "request-rx-copy is 0 or missing"
# It stays at 4, whatever it is told.
meanwhile forgets-copy-deaf "request-rx-copy is 0 or missing"
meanwhile take-ring "cannot map"
meanwhile take-port "cannot bind"
meanwhile take-map "cannot map"

# in_gap: what standard input says is done after the old version's last look, and before the
# new one's first; then all is back with the version that is installed.
cp "$broken" "$tmp/netback-gap"
in_gap()
{
	cat >"$tmp/netback-gap.sh"
	"$paravane" upgrade netback --program "$tmp/netback-gap" >"$tmp/out" 2>&1 ||
		fail "upgrade: $(cat "$tmp/out"; tail -5 "$tmp/log")"
}
back_from_gap()
{
	"$paravane" upgrade netback --program "$PWD/paravane-netback" >"$tmp/out" 2>&1 ||
		fail "upgrade: $(cat "$tmp/out"; tail -5 "$tmp/log")"
}

say "an interface is to be on another bridge, meanwhile"
is_on() { [ "$(info "$1" bridge)" = "$2" ]; }
in_gap <<END
xenstore-write $(back_dir "$b")/bridge other $(back_dir "$p")/bridge alone
END
wait_for $wait_s is_on "$b" other && wait_for $wait_s is_on "$p" alone || fail "they do not move: $(tail -5 "$tmp/log")"
for guest in $a $b $p $q; do
	node_is "$(back_dir "$guest")/state" 4 || fail "guest $guest was told: $(grep "vif $guest/0" "$tmp/log" | tail -5)"
done
wait_for $wait_s meets "$b" "$q" || fail "b is not on its new bridge"
xenstore-write "$(back_dir "$b")/bridge" br0
xenstore-write "$(back_dir "$p")/bridge" other
wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" || fail "they do not come back"
back_from_gap

if [ -n "$host" ]; then
	say "its uplink is to be in another bridge, or somebody took it out, meanwhile"
	in_lan() { ip -o link show dev up0 | grep -q "mtu $2 .*master $1 "; }
	ip link add lan1 type bridge && ip link set lan1 up || fail "no bridge"
	in_gap <<END
xenstore-write /local/domain/0/paravane-bridge/other/uplink/up0/bridge lan1
xenstore-write /local/domain/0/paravane-bridge/other/uplink/up0/mtu 1400
END
	wait_for $wait_s in_lan lan1 1400 || fail "the uplink is elsewhere: $(ip -o link show dev up0)"
	back_from_gap
	wait_for $wait_s in_lan lan1 1400 || fail "the uplink is elsewhere: $(ip -o link show dev up0)"
	in_gap <<END
ip link set up0 nomaster
xenstore-write /local/domain/0/paravane-bridge/other/uplink/up0/mtu 1500
END
	wait_for $wait_s in_lan lan1 1500 || fail "the uplink is in none: $(ip -o link show dev up0)"
	back_from_gap
	"$paravane" bridge uplink add other up0 bridge=lan0 || fail "no uplink"
	wait_for $wait_s in_lan lan0 1500 && wait_for $wait_s meets "$p" 99 ||
		fail "the uplink does not come back: $(ip -o link show dev up0)"
	port=$(ip -o link show dev up0)
fi

refuses()
{
	"$paravane" upgrade netback --program "$2" >"$tmp/out" 2>&1
	[ $? = 1 ] || fail "$2 was taken: $(cat "$tmp/out")"
	grep -q "goes on as it was: .*$1" "$tmp/out" || fail "$2: $(cat "$tmp/out"), expected '$1'"
	[ "$(readlink "/proc/$daemon/exe")" = "$PWD/paravane-netback" ] || fail "the daemon is another"
	wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" ||
		fail "the guests do not talk any more: $(tail -5 "$tmp/log")"
	[ -z "$host" ] || wait_for $wait_s meets "$p" 99 || fail "the uplink's host is not reached"
	same_port || fail "the uplink has changed: $(ip -o link show dev up0), was $port"
}
say "to what cannot take over"
for how in worker port journal uplink tap; do
	cp "$broken" "$tmp/broken-$how"
done
refuses 'journals of the running version are of format 1, expected 2' "$tmp/broken-journal"
refuses 'ended by signal 9' "$tmp/broken-worker"
refuses 'ended by signal 4' "$tmp/broken-port"
[ -z "$host" ] || refuses 'uplink up0: Cannot allocate memory' "$tmp/broken-uplink"
[ -z "$host" ] || refuses 'uplink up0: no room for up0' "$tmp/broken-tap"

if [ -n "$host" ]; then
	say "its uplink's words are bad, and its worker dies"
	words=/local/domain/0/paravane-bridge/other/uplink/up0 bad="uplink up0: .*'4096', expected"
	xenstore-write "$words/vlan" 4096
	wait_for $wait_s grep -q "$bad" "$tmp/log" || fail "nobody is told: $(tail -3 "$tmp/log")"
	before=$(info "$p" pid)
	kill -9 "$before"
	is_served_anew() { [ "$(info "$p" pid)" != "$before" ]; }
	wait_for $wait_s is_served_anew && wait_for $wait_s meets "$p" 99 ||
		fail "the uplink's host is not reached: $(tail -5 "$tmp/log")"
	same_port || fail "the uplink has changed: $(ip -o link show dev up0), was $port"
	[ "$(grep -c "$bad" "$tmp/log")" = 1 ] || fail "it is said again and again: $(tail -5 "$tmp/log")"
	refuses "$bad" "$PWD/paravane-netback"
	xenstore-rm "$words/vlan"
fi

# Its workers are replaced by such as die while those of before have their rings yet, and there
# is no version to go back to any more.
say "a worker dies before the one that it is to succeed"
cp "$broken" "$tmp/netback-once"
"$paravane" upgrade netback --program "$tmp/netback-once" >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out")"
: >"$tmp/netback-once.once"
expect 1 "$paravane" upgrade netback --program "$tmp/broken-worker" >"$tmp/out" 2>&1
[ ! -e "$tmp/netback-once.once" ] || fail "no worker has died"
wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" ||
	fail "the guests do not talk any more: $(tail -5 "$tmp/log")"
for guest in $a $b $p $q; do
	node_is "$(back_dir "$guest")/state" 4 || fail "guest $guest was told: $(grep "vif $guest/0" "$tmp/log" | tail -5)"
done

# And then by such as cannot begin: what was there serves on until one can.
say "workers cannot begin beside those that they are to succeed"
cp "$broken" "$tmp/netback-poor"
"$paravane" upgrade netback --program "$tmp/netback-poor" >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out")"
wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" || fail "the guests do not talk any more"
so_far=$(grep -c "netback: no switch" "$tmp/log")
before="$(info "$a" pid) $(info "$p" pid)"
: >"$tmp/netback-poor.poor"
expect 1 "$paravane" upgrade netback --program "$tmp/broken-worker" >"$tmp/out" 2>&1
have_failed() { [ $(($(grep -c "netback: no switch" "$tmp/log") - so_far)) -ge 14 ]; }
wait_for $wait_s have_failed || fail "no worker has failed: $(tail -5 "$tmp/log")"
meets "$a" "$b" && meets "$p" "${host:-$q}" || fail "what served the guests is gone: $(tail -5 "$tmp/log")"
same_port || fail "the uplink has changed: $(ip -o link show dev up0), was $port"
rm "$tmp/netback-poor.poor"
for worker in $before; do
	wait_for $wait_s process_gone "$worker" || fail "worker $worker of before runs yet"
done
wait_for $wait_s meets "$a" "$b" && wait_for $wait_s meets "$p" "$q" ||
	fail "the guests do not talk any more: $(tail -5 "$tmp/log")"
[ -z "$host" ] || wait_for $wait_s meets "$p" 99 || fail "the uplink's host is not reached"
for guest in $a $b $p $q; do
	node_is "$(back_dir "$guest")/state" 4 || fail "guest $guest was told: $(grep "vif $guest/0" "$tmp/log" | tail -5)"
done

for guest in $a $b $p $q; do
	halt_net "$guest"
	back_reaches "$guest" 6
	detach_nic "$guest"
done
if [ -n "$host" ]; then
	say "an uplink alone"
	"$paravane" upgrade netback >"$tmp/out" 2>&1 || fail "upgrade: $(cat "$tmp/out"; tail -5 "$tmp/log")"
	same_port || fail "the uplink has changed: $(ip -o link show dev up0), was $port"
fi
[ -z "$host" ] || "$paravane" bridge reset other || fail "bridge reset"
rm -f "$tmp/run/netback/vif.upgrade"
end_back
