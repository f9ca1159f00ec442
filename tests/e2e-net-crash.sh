#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What ends without goodbye while guests talk, beside two on another switch that must not
# lose a frame by it: a worker with pages mapped (LIFE-2), which its guests must not notice,
# alone and together with its daemon; a worker that dies again and again; a domain whose number another
# has afterwards while its vif's nodes linger (XS-5), a domain that is saved and restored
# as another (LIFE-3; local Xen has no save, so that domain is stopped, destroyed as xl
# does it, and made anew).
. "$(dirname "$0")/lib-net.sh"
need_namespaces
own_xen "$@"
export PARAVANE_RUNDIR="$tmp/run"
start_daemon
make_guest a; a=$domid
make_guest b; b=$domid
mac=00:16:3e:0c:00:01 peer=00:16:3e:0c:00:02

held() { ! nothing_held "$1"; }
meets() { pings "$1" "$2" -W 1 -c 1; }

# ---- the others --------------------------------------------------------------------

make_guest p; p=$domid
make_guest q; q=$domid
for guest in $p $q; do
	give_nic "$guest" bridge=other
	boot_net "$guest"
done
wait_for $wait_s meets "$p" "$q" || fail "the others do not talk"
others=$(info "$p" pid)

# others_talk, then others_lost_nothing: not over the death of their own worker, or of the
# daemon, in which frames may be lost.
others_talk()
{
	eval "pid=\$inside_$p"
	nsenter -t "$pid" -n ping -q -n -i 0.02 "10.0.0.$q" >"$tmp/others" 2>&1 &
	pinging=$!
}
others_lost_nothing()
{
	kill -INT $pinging
	wait $pinging
	# The last may have been on its way when ping was told to end.
	awk '/transmitted/ { n++; lost = $1 - $4 } END { exit !n || lost > 1 }' "$tmp/others" ||
		fail "the others: $(cat "$tmp/others")"
	say "the others: $(grep transmitted "$tmp/others")"
}
others_talk

# ---- a worker is killed ---------------------------------------------------------------

# streams DOMID tx|rx [OPTION]...: until its vif closes, its pages mapped for ever.
streams()
{
	streamer=$1
	shift
	guest "$streamer" "$netfront" bench "$@" --seconds 3600 --static-grants --timeout 60 \
		>"$tmp/stream-$streamer" 2>&1
}

# succeeded GUEST...: each has a worker that is not the one before, and pages are mapped.
succeeded()
{
	for guest; do
		now=$(info "$guest" pid)
		[ -n "$now" ] && [ "$now" != "$worker" ] && held "$guest" || return 1
	done
}

# kills [COMMAND]: the worker of a and b, and what COMMAND says; both go on in state 4.
kills()
{
	worker=$(info "$a" pid)
	[ "$worker" = "$(info "$b" pid)" ] && [ "$worker" != "$others" ] || fail "workers: $worker, $others"
	kill -9 "$worker"
	"$@"
	wait_for $wait_s succeeded "$a" "$b" || fail "no successor: $(tail -5 "$tmp/log")"
	for guest in $a $b; do
		node_is "$(back_dir "$guest")/state" 4 || fail "$guest has seen it: $(tail -3 "$tmp/log")"
	done
	node_is "$(back_dir "$p")/state" 4 || fail "the others suffer"
}

give_nic "$a" bridge=br0 mac=$mac
give_nic "$b" bridge=br0 mac=$peer
streams "$b" rx & receiver=$!
back_reaches "$b" 4
streams "$a" tx --mac $peer --size 1500 & sender=$!
back_reaches "$a" 4
wait_for $wait_s held "$a" && wait_for $wait_s held "$b" || fail "nothing is mapped"
for turn in 1 2 3; do
	say "a worker is killed with pages mapped ($turn)"
	kills true
	sleep 0.$turn
done
kill -0 $sender && kill -0 $receiver || fail "a front end has ended: $(cat "$tmp/stream-$a" "$tmp/stream-$b")"

say "its successor finds no maptrack entry"
no_room() { xenstore-read "/local/domain/0/error/backend/vif/$1/0/error" 2>/dev/null | grep -q "cannot map the tx ring"; }
"$LOCALXEN" fail map --status=no_device_space --domain=0 --count=0 >/dev/null || fail "localxen fail"
kill -9 "$(info "$a" pid)"
for guest in $a $b; do
	wait_for $wait_s no_room "$guest" || fail "no reason: $(tail -5 "$tmp/log")"
done
sleep 2.5
for guest in $a $b; do
	node_is "$(back_dir "$guest")/state" 4 || fail "$guest is closed for it: $(tail -3 "$tmp/log")"
	[ "$(grep -c "vif $guest/0: cannot map the tx ring.* it is tried again" "$tmp/log")" = 1 ] ||
		fail "not said once: $(grep "cannot map" "$tmp/log")"
done
worker=0
"$LOCALXEN" fail --clear
wait_for $wait_s succeeded "$a" "$b" || fail "nobody goes on: $(tail -5 "$tmp/log")"
has_room() { ! no_room "$1"; }
for guest in $a $b; do
	wait_for $wait_s has_room "$guest" || fail "$guest: its reason stays"
done
kill -0 $sender && kill -0 $receiver || fail "a front end has ended: $(cat "$tmp/stream-$a" "$tmp/stream-$b")"

say "it dies again and again"
gave_up() { node_is "$(back_dir "$a")/state" 6 && node_is "$(back_dir "$b")/state" 6; }
dies_again() { kill -9 "$(info "$a" pid)" 2>/dev/null; gave_up; }
wait_for $wait_s dies_again || fail "nobody gives up"
for guest in $a $b; do
	error_says "$guest" "gave up after 5 crashes in 10 s: bridge br0: the worker was ended by signal 9"
done
wait $sender $receiver
for guest in $a $b; do
	nothing_held "$guest" || fail "held of $guest: $("$LOCALXEN" status)"
done
node_is "$(back_dir "$p")/state" 4 && [ "$(info "$p" pid)" = "$others" ] || fail "the others suffer"

others_lost_nothing
guest "$a" "$netfront" info >"$tmp/out" 2>&1 || fail "it does not connect again: $(cat "$tmp/out")"
back_reaches "$a" 6
detach_nic "$a"
detach_nic "$b"

# ---- a TCP stream goes on ------------------------------------------------------------------

say "a TCP stream goes through the deaths of its worker, and of its daemon"
give_nic "$a" bridge=br0 mac=$mac
give_nic "$b" bridge=br0 mac=$peer
boot_net "$a"
boot_net "$b"
wait_for $wait_s meets "$a" "$b" || fail "a and b do not talk"
# Bytes per 50 ms: 20 MB/s, so that it lasts.
xenstore-write "$(back_dir "$a")/rate" 1000000,50000
wait_for $wait_s grep -q "vif $a/0: limited" "$tmp/log" || fail "no rate"
again() { kill -9 "$daemon"; wait "$daemon"; start_daemon; others=$(info "$p" pid); }
mib=80
[ -z "${PV_FULL:-}" ] || mib=1000
[ -n "${PV_FULL:-}" ] || say "deferred: deaths under a stream of 1,000 MiB (of $mib here)"
compares "$a" "$b" $mib &
comparing=$!
deaths=0
sleep 0.5
while kill -0 $comparing 2>/dev/null; do
	case $((deaths % 3)) in
	1) kills again ;;
	*) kills true ;;
	esac
	deaths=$((deaths + 1))
	# Five in ten seconds would be too often.
	sleep 2.1
done
wait $comparing || fail "the stream did not survive: $(tail -5 "$tmp/log")"
[ $deaths -ge 2 ] || fail "it was over after $deaths deaths"
say "$deaths deaths"
halt_net "$a"
back_reaches "$a" 6
halt_net "$b"
back_reaches "$b" 6

# ---- a domain's number is used again -------------------------------------------------------

# dies: a, while it sends; its nodes stay.
dies()
{
	boot_net "$b"
	streams "$a" tx --mac $peer --size 1500 & sender=$!
	back_reaches "$a" 4
	wait_for $wait_s held "$a" || fail "nothing is mapped"
	# The store removes what the dead one owned; stores of other hosts do not.
	xenstore-chmod -r "$(front_dir "$a")" n0 "b$a"
	"$@"
	"$LOCALXEN" destroy --keep-nodes "$a" || fail "destroy"
	wait $sender
}

# new_life: another domain a of the same number; xl makes its front end's nodes.
new_life()
{
	make_guest a --domid="$a"
	f=$(front_dir "$a")
	xenstore-rm "$f" 2>/dev/null
	xenstore-write "$f/backend" "$(back_dir "$a")" "$f/backend-id" 0 "$f/handle" 0 \
		"$f/mac" $mac "$f/state" 1 || fail "no nodes"
	xenstore-chmod -r "$f" "n$a" r0
	# The store does not let it read what the dead one might.
	xenstore-chmod -r "$(back_dir "$a")" n0 "r$a"
	boot_net "$a"
	wait_for $wait_s meets "$a" "$b" || fail "the next domain $a: $(tail -3 "$tmp/log")"
	wait_for $wait_s meets "$b" "$a" || fail "nobody reaches the next domain $a"
	halt_net "$a"
	back_reaches "$a" 6
	halt_net "$b"
	back_reaches "$b" 6
}

say "a domain dies, its number is used again, its nodes linger"
dies true
back_reaches "$a" 6
opened() { grep -c "vif $a/0: Closed -> InitWait" "$tmp/log"; }
before=$(opened)
make_guest x --domid="$a"
reads 4 xenstore-read "$(front_dir "$a")/state"
xenstore-write "$(front_dir "$a")/state" 4
sleep 0.5
[ "$(opened)" = "$before" ] || fail "the dead domain's rings are taken for the next one's: $(tail -3 "$tmp/log")"
nothing_held "$a" || fail "pages of the next domain are mapped"
"$LOCALXEN" destroy --keep-nodes "$a" || fail "destroy"
new_life

say "the same, and nobody looked"
stop_daemon() { kill -9 "$daemon"; wait "$daemon"; }
dies stop_daemon
make_guest x --domid="$a"
start_daemon
back_reaches "$a" 6
nothing_held "$a" || fail "pages of the next domain are mapped"
"$LOCALXEN" destroy --keep-nodes "$a" || fail "destroy"
new_life
detach_nic "$a"

# ---- saved, and restored as another --------------------------------------------------------

say "saved and restored"
wait_for $wait_s meets "$p" "$q" || fail "the others do not talk any more"
others_talk
boot_net "$b"
inside "$b" ip neigh replace 10.0.0.200 lladdr $mac nud permanent dev eth0
for turn in 1 2 3; do
	give_nic "$a" bridge=br0 mac=$mac
	boot_net "$a"
	inside "$a" ip address add 10.0.0.200/24 dev eth0
	wait_for $wait_s meets "$b" 200 || fail "turn $turn: not reached: $(tail -3 "$tmp/log")"
	wait_for $wait_s held "$a" || fail "nothing is mapped"
	# A domain that is stopped answers nothing; xl takes its nodes away, and then itself.
	eval "front=\$front_$a pid=\$inside_$a"
	kill -STOP "$(ps -o ppid= -p "$pid")"
	xenstore-rm "$(front_dir "$a")"
	xenstore-write "$(back_dir "$a")/online" 0 "$(back_dir "$a")/state" 5
	back_reaches "$a" 6
	nothing_held "$a" || fail "held of $a: $("$LOCALXEN" status)"
	xenstore-rm "$(back_dir "$a")"
	"$LOCALXEN" destroy "$a" || fail "destroy"
	wait "$front"
	node_is "$(back_dir "$b")/state" 4 || fail "who stayed suffers"
	make_guest a; a=$domid
done

# ---- restored while the old one is there yet ------------------------------------------------

say "its next self comes before it has gone"
make_guest n; n=$domid
give_nic "$a" bridge=br0 mac=$mac
boot_net "$a"
wait_for $wait_s meets "$b" "$a" || fail "a is not reached"
give_nic "$n" bridge=br0
xenstore-write "$(back_dir "$n")/mac" $mac "$(front_dir "$n")/mac" $mac
waits() { xenstore-read "/local/domain/0/error/backend/vif/$n/0/error" 2>/dev/null | grep -q "vif $a/0's.*waits"; }
{
	wait_for $wait_s waits && node_is "$(back_dir "$n")/state" 2 &&
		"$paravane" detach "$a" vif0 && touch "$tmp/detached"
} >"$tmp/detach" 2>&1 &
detaching=$!
boot_net "$n"
wait $detaching
[ -e "$tmp/detached" ] || fail "it did not wait: $(cat "$tmp/detach"); $(tail -5 "$tmp/log")"
eval "wait \$front_$a"
grep -q "vif $n/0: its address $mac is vif $a/0's on bridge br0: waits" "$tmp/log" || fail "nothing is said"
wait_for $wait_s meets "$b" "$n" || fail "the next one is not reached: $(tail -5 "$tmp/log")"
! waits || fail "it is said to wait yet"
halt_net "$n"
back_reaches "$n" 6
detach_nic "$n"

# ---- nothing is left ------------------------------------------------------------------------

others_lost_nothing
for guest in $b $p $q; do
	halt_net "$guest"
	back_reaches "$guest" 6
	detach_nic "$guest"
done
nothing_left
end_back
