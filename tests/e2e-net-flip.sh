#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# One switch, a guest that receives by page transfer and one that is copied into: what
# arrives is what was sent, over a million packets; no page is lost and none is left,
# whatever fails, and whoever dies.
. "$(dirname "$0")/lib-net.sh"
need_namespaces
need python3 python3
! sanitized ||
	skip "its floods, built with sanitizers, leave other tests of the machine no time"

# ---- hosts that cannot: one line says why, and copies are made --------------------

# cannot TEXT OPTION...: of localxen run.
cannot()
{
	text=$1
	shift
	log=$(mktemp) && run=$(mktemp -d) || fail mktemp
	"$LOCALXEN" run "$@" -- sh -c "
		'$PWD/paravane-netback' --rundir '$run' --page-flip 2>'$log' & d=\$!
		i=0
		until grep -q ready: '$log' || [ \$i = 300 ]; do sleep 0.1; i=\$((i + 1)); done
		kill \$d; wait \$d"
	grep -q "page flip is off: .*$text" "$log" || { cat "$log"; fail "not said: $text"; }
	! grep -q "page flip is offered" "$log" || fail "offered with $*"
	rm -rf "$log" "$run"
}
if [ -z "${OWN_XEN:-}" ]; then
	cannot "only a PV domain can" --pvh
	cannot "gnttab=transfer" --gnttab=no-transfer
	cannot "dom0_mem=" --extra-pages=0
fi
own_xen "$@"

# ---- helpers -----------------------------------------------------------------------

frames=1000000 size=1500
mac_b=00:16:3e:00:00:0b mac_c=00:16:3e:00:00:0c

heap_of() { "$LOCALXEN" status --json | sed -n "s/.*\"domid\": $1, \"name\".*\"heap_pages\": \([0-9]*\).*/\1/p"; }
heap_is() { [ "$(heap_of "$1")" = "$2" ]; }
# pages_are_back TEXT: no interface is in use, so the guests have none, and dom0 the
# helper's page of zeros.
pages_are_back()
{
	for i in $a $b $c; do
		wait_for $wait_s heap_is $i 0 || fail "$*: domain $i keeps $(heap_of $i) pages"
	done
	wait_for $wait_s heap_is 0 1 || fail "$*: dom0 has $(heap_of 0) pages"
}

# of JSON_FILE KEY
of() { sed -n "s/.*\"$2\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$1"; }

# sends DOMID MAC: its bench, until stop_sending DOMID.
sends()
{
	"$LOCALXEN" exec $1 -- "$netfront" bench tx --mac "$2" --size $size --seconds 0 >/dev/null \
		2>"$tmp/said-$1" &
	eval "tx_$1=\$!"
}
stop_sending()
{
	eval "tx=\$tx_$1"
	kill -INT "$tx"
	wait "$tx"
}
# receives DOMID NUMBER [OPTION]...: into $tmp/rx-DOMID
receives()
{
	of=$1 nr=$2
	shift 2
	guest "$of" "$netfront" bench rx --size $size --frames "$nr" --verify --json "$@" \
		>"$tmp/rx-$of" 2>"$tmp/said-$of"
}
# flips NUMBER TEXT: domain b receives so many from a.
flips()
{
	sends $a $mac_b
	receives $b "$1" --flip || fail "$2: b: $(cat "$tmp/said-$b" "$tmp/rx-$b")"
	stop_sending $a
	[ "$(of "$tmp/rx-$b" wrong)" = 0 ] || fail "$2: $(cat "$tmp/rx-$b")"
}
ended() { xenstore-read "$(back_dir $b)/rx-flip-ended" 2>/dev/null; }
rule() { "$LOCALXEN" fail "$@" >/dev/null || fail "localxen fail $*"; }
clear_rules() { "$LOCALXEN" fail --clear; }

# ---- without the helper ------------------------------------------------------------

make_guest a; a=$domid
make_guest b; b=$domid
make_guest c; c=$domid
make_guest d; other=$domid
start_daemon
give_nic $b bridge=br0 mac=$mac_b
guest $b "$netfront" info --flip >"$tmp/info" 2>"$tmp/said" || fail "$(cat "$tmp/said")"
grep -q "copied, though --flip .* does not offer it" "$tmp/said" || fail "$(cat "$tmp/said")"
grep -q "received by *copy" "$tmp/info" || fail "$(cat "$tmp/info")"
detach_nic $b
kill "$daemon"
wait "$daemon" || fail "the daemon ended with $?"

# ---- with it -------------------------------------------------------------------------

start_daemon --page-flip
grep -q "page flip is offered" "$tmp/log" || fail "$(cat "$tmp/log")"
give_nic $a bridge=br0 mtu=9000
give_nic $b bridge=br0 mtu=9000 mac=$mac_b
give_nic $c bridge=br0 mtu=9000 mac=$mac_c
give_nic $other bridge=br0

# TCP of all shapes by the kernels' own stacks.
boot_net $a
boot_net $b --flip
boot_net $c
compares $a $b 32
compares $c $b 8
compares $b $a 8
compares $b $c 8
inside $a ethtool -K eth0 tx off gso off tso off >/dev/null 2>&1
compares $a $b 8
pings $a $b -s 8972 -M do || fail "jumbo frame: $(cat "$tmp/ping")"
for i in $a $b $c; do
	halt_net $i
done
pages_are_back "after TCP"

# ---- a million by flip, and as many by copy, at once ------------------------------------

sends $a $mac_b
sends $other $mac_c
receives $c $frames &
copier=$!
receives $b $frames --flip &
flipper=$!
most=0
while kill -0 $flipper 2>/dev/null; do
	now=$(heap_of $b)
	[ "${now:-0}" -le $most ] || most=$now
	sleep 0.1
done
wait $flipper || fail "b: $(cat "$tmp/said-$b" "$tmp/rx-$b")"
wait $copier || fail "c: $(cat "$tmp/said-$c" "$tmp/rx-$c")"
stop_sending $a
stop_sending $other
# What is on the ring, and what was read and not yet given back.
[ "$most" -le 512 ] || fail "b had up to $most pages"
[ "$(of "$tmp/rx-$b" rx_path) $(of "$tmp/rx-$c" rx_path)" = "flip copy" ] ||
	fail "$(cat "$tmp/rx-$b" "$tmp/rx-$c")"
[ "$(of "$tmp/rx-$b" flipped_pages)" -ge $frames ] || fail "$(cat "$tmp/rx-$b")"
[ "$(of "$tmp/rx-$b" wrong) $(of "$tmp/rx-$c" wrong)" = "0 0" ] || fail "frames are wrong"
pages_are_back "after a million"
say "by flip $(of "$tmp/rx-$b" frames_per_s)/s, by copy $(of "$tmp/rx-$c" frames_per_s)/s, at most $most pages"

# ---- each status, a few times: the frames are lost, the path is not -------------------------

for status in bad_page general_error bad_domain permission_denied address_too_big; do
	rule transfer --domain 0 --status $status --nth 100 --count 20
	flips 20000 "$status"
	clear_rules
	[ "$(of "$tmp/rx-$b" rx_path)" = flip ] || fail "$status: $(cat "$tmp/rx-$b")"
	[ "$(of "$tmp/rx-$b" receive_errors)" = 20 ] || fail "$status: $(cat "$tmp/rx-$b")"
	[ "$(ended)" = 0 ] || fail "$status ended it"
	pages_are_back $status
done

# ---- for good: frames go on, as copies, without a new connection ----------------------------

# falls_back TEXT RULE...
falls_back()
{
	text=$1
	shift
	rule "$@" --domain 0 --count 0
	flips 20000 "$text"
	clear_rules
	[ "$(of "$tmp/rx-$b" rx_path) $(ended)" = "copy 1" ] ||
		fail "$text: $(cat "$tmp/rx-$b"); ended: $(ended)"
	pages_are_back "$text"
	flips 20000 "after: $text"
	[ "$(of "$tmp/rx-$b" rx_path) $(ended)" = "flip 0" ] || fail "after: $text"
}
falls_back "no page is taken" transfer --status general_error
falls_back "the pages were ours" transfer --status bad_page
falls_back "the hypercall fails" transfer --errno EFAULT
falls_back "no pages are to be had" increase --errno ENOMEM

# ---- sudden ends ---------------------------------------------------------------------------

# for_ever: domain b receives by flip until something ends it.
for_ever()
{
	"$LOCALXEN" exec $b -- "$netfront" bench rx --flip --size $size --verify --json \
		--seconds 0 >"$tmp/rx-$b" 2>&1 &
	flipper=$!
	wait_for $wait_s has_pages || fail "nothing arrives"
}
has_pages() { [ "$(heap_of $b)" -gt 0 ]; }

sends $a $mac_b
for i in 1 2 3; do
	for_ever
	kill -9 $flipper
	wait $flipper
	wait_for $wait_s heap_is $b 0 || fail "a dead front end keeps $(heap_of $b) pages"
done
for_ever
"$LOCALXEN" destroy $b || fail "destroy"
wait $flipper
stop_sending $a
xenstore-rm "$(back_dir $b)"
b=
pages_are_back "a guest was destroyed"

for i in $a $c $other; do
	detach_nic $i
done
end_back

# ---- the helper dies: copies, and pages again when it runs again ---------------------------
# What it had is lost to dom0, as on Xen; so this comes last.

ended_it() { [ "$(ended)" = 1 ]; }
b=$c mac_b=$mac_c
start_daemon --page-flip
give_nic $a bridge=br0
give_nic $b bridge=br0 mac=$mac_b
offered=$(grep -c "page flip is offered" "$tmp/log")
sends $a $mac_b
for_ever
kill -9 "$(pgrep -P "$daemon" paravane-flip)"
wait_for $wait_s ended_it || fail "the front end is not told that the helper has died"
sleep 0.2
kill -INT $flipper
wait $flipper
stop_sending $a
[ "$(of "$tmp/rx-$b" rx_path) $(of "$tmp/rx-$b" wrong)" = "copy 0" ] || fail "$(cat "$tmp/rx-$b")"
wait_for $wait_s has_lines $((offered + 1)) "page flip is offered" || fail "$(tail -5 "$tmp/log")"
flips 20000 "the helper runs again"
[ "$(of "$tmp/rx-$b" rx_path)" = flip ] || fail "$(cat "$tmp/rx-$b")"

# end_here TEXT
end_here()
{
	for i in $a $b; do
		detach_nic $i
	done
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
	say "$1"
	exit 0
}
[ -n "${PV_FULL:-}" ] || {
	echo "deferred: the helper stopped for a while, and the next daemon, under a stream"
	end_here "passed, the helper's death too"
}

# ---- the helper stops: the switch waits a moment, not for ever -----------------------------

sends $a $mac_b
for_ever
helper=$(pgrep -P "$daemon" paravane-flip)
kill -STOP "$helper"
wait_for $wait_s ended_it || fail "the front end is not told that the helper does not answer"
sleep 0.2
kill -CONT "$helper"
kill -INT $flipper
wait $flipper
stop_sending $a
[ "$(of "$tmp/rx-$b" rx_path) $(of "$tmp/rx-$b" wrong)" = "copy 0" ] || fail "$(cat "$tmp/rx-$b")"

# ---- the next daemon takes the rings up, and the entries that are on them --------------------

# next_daemon TEXT [OPTION]...: while domain b receives from a.
next_daemon()
{
	text=$1
	shift
	sends $a $mac_b
	receives $b 3000000 --flip &
	flipper=$!
	wait_for $wait_s has_pages || fail "$text: nothing arrives"
	kill "$daemon"
	wait "$daemon" || fail "$text: the daemon ended with $?"
	kill -0 $flipper 2>/dev/null || fail "$text: it was all received before"
	start_daemon "$@"
	wait $flipper || fail "$text: $(cat "$tmp/said-$b" "$tmp/rx-$b")"
	stop_sending $a
	[ "$(of "$tmp/rx-$b" wrong)" = 0 ] || fail "$text: $(cat "$tmp/rx-$b")"
}
next_daemon "the same again" --page-flip
[ "$(of "$tmp/rx-$b" rx_path) $(ended)" = "flip 0" ] || fail "$(cat "$tmp/rx-$b")"
next_daemon "one that gives no pages"
[ "$(of "$tmp/rx-$b" rx_path) $(ended)" = "copy 1" ] || fail "$(cat "$tmp/rx-$b"), ended: $(ended)"
end_here "passed, with the next daemon"
