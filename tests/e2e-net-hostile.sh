#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that means harm to its net back end, beside two that talk all the time
# through the same switch and must not notice.
#
# Cases of tests/hostile-net, and what each stands for:
#
#   frames          NET-1 sizes and offsets, NET-2 18 and 19 slots, NET-3 lengths that
#                   do not add up, NET-4 GSO of what is not TCP, RING-4 the ring as a
#                   frame; grants ended, of another domain, that never were
#   chain           NET-2 255 slots, and a frame without an end
#   octets          frames of every size arrive whole, and not an octet behind them
#   rx-grants       NET-8 grants to receive into: ended, another's, never, read-only
#   withheld        NET-6 no slot, or one where two are needed
#   ring-jump/-far/-backwards
#                   RING-1 req_prod by ring size + 1, by 2^31, back; tx, rx, control
#   ring-connect    RING-6 impossible indices at connect
#   ring-events     RING-3 req_event and rsp_event lie
#   ring-scribble   RING-2 slots and frames rewritten while they are read
#   grant-data      grants of frames on their way and of offered buffers end
#   grant-ring      RING-5 the grant of a ring ended while mapped
#   sub-page        WORKER-11 a ring that can be copied and not be mapped
#   grant-static    static grants: wrong lists; their grants end while mapped
#   maps            static grants added and deleted without end
#   storm           EV-1 events without requests
#   ports           EV-1 its ports are closed, and their numbers bound again
#   flood           small frames to nobody
#   spam            XS-4 writes of a key that is watched
#   keys            XS-1 values of keys, NET-12 ports that are not its own
#   deleted         XS-3 nodes deleted while connected
#   closing         NET-11 frames while the vif closes, and after
#   killed          LIFE-1 front end gone with frames on their way, pages mapped
#   load            LIFE-1 domain destroyed under load
# and tests/state-storm: XS-2 states in any order at any speed.
# The quick run: asan
. "$(dirname "$0")/lib-net.sh"
hostile=$PWD/tests/hostile-net
storm=$PWD/tests/state-storm
for tool in "$hostile" "$storm"; do
	[ -x "$tool" ] || skip "$tool is not built; make check builds it"
done
own_xen "$@"
start_daemon

# attach NAME ADDRESS...: a guest with interfaces on bridge s; $domid.
attach()
{
	make_guest "$1"
	shift
	for mac in "$@"; do
		give_nic "$domid" bridge=s mac="$mac"
	done
}

# ---- the bystanders --------------------------------------------------------------

attach east 00:16:3e:00:00:01
east=$domid
attach west 00:16:3e:00:00:02
west=$domid
guest "$east" "$netfront" bench tx --mac 00:16:3e:00:00:02 --size 1000 --seconds 3600 \
	--timeout 60 >"$tmp/east" 2>&1 &
talker=$!

# listens SECONDS: how many frames a second arrive in west, in $rate.
listens()
{
	guest "$west" "$netfront" bench rx --seconds "$1" --timeout 60 --json \
		>"$tmp/west" 2>"$tmp/west-errors" || fail "west: $(cat "$tmp/west-errors")"
	rate=$(sed -n 's/.*"frames_per_s":\([0-9]*\).*/\1/p' "$tmp/west")
	[ "${rate:-0}" -gt 0 ] || fail "nothing arrives in west: $(cat "$tmp/west" "$tmp/log" | tail -5)"
}

# unhurt: frames arrive, and the daemon and its worker live.
unhurt()
{
	listens 1
	gone $talker && fail "east: $(cat "$tmp/east")"
	gone "$daemon" && fail "the daemon ended: $(tail -3 "$tmp/log")"
	out=$(grep -E "ended by signal|exited with status|$mistakes|does not answer|is killed" \
		"$tmp/log") && fail "a worker died: $out"
	return 0
}

# ---- the other -------------------------------------------------------------------

# plays ARGUMENT...: of hostile-net, in guest $domid.
plays()
{
	guest "$domid" "$hostile" "$@" >"$tmp/out" 2>&1 ||
		fail "hostile-net $*: $(cat "$tmp/out"; tail -3 "$tmp/log")"
	sed "s/^/$name:   /" "$tmp/out"
	wait_for $wait_s nothing_held "$domid" || fail "held after $*: $("$LOCALXEN" status)"
}

# stops TEXT CASE...: the vif closes and says why; then it is there again.
stops()
{
	text=$1
	shift
	plays "$@"
	error_says "$domid" "$text"
	plays good
}

attach hostile 00:16:3e:00:00:03 00:16:3e:00:00:04
unhurt

say "frames"
plays frames octets
stops "a frame has 20 slots" chain
unhurt

say "the rings"
for case in ring-jump ring-far ring-backwards; do
	stops "the control ring's producer is impossible" $case
done
stops "control ring" ring-connect
plays ring-events ring-scribble ports good
unhurt

say "grants"
plays rx-grants grant-data grant-ring grant-static
stops "cannot map" sub-page
unhurt

say "sudden death of the front end"
guest "$domid" "$hostile" killed >"$tmp/out" 2>&1
[ $? = 137 ] || fail "hostile-net killed: $(cat "$tmp/out")"
plays good
unhurt

say "the store"
plays keys deleted closing
front=$(front_dir "$domid")
guest "$domid" "$storm" "$front/state" 1000 1000 1 || fail "the storm ended early"
guest "$domid" xenstore-write "$front/state" 6
back_reaches "$domid" 6
guest "$domid" xenstore-write "$front/state" 1
back_reaches "$domid" 2
plays good
unhurt

# ---- what the bystanders keep ------------------------------------------------------

# rates CASE...: frames that arrive beside each attack, against those in turns between them.
rates()
{
	quiet=0 beside=0 turns=0
	for case in "$@"; do
		listens 2
		quiet=$((quiet + rate))
		guest "$domid" "$hostile" --seconds 4 $case >"$tmp/out" 2>&1 &
		io=$!
		back_reaches "$domid" 4
		before=$rate
		listens 2
		say "  $case: $((100 * rate / before)) % of the turn before"
		beside=$((beside + rate))
		turns=$((turns + 1))
		wait $io || fail "hostile-net $case: $(cat "$tmp/out")"
		sed "s/^/$name:   /" "$tmp/out"
		unhurt
	done
	say "$((quiet / turns)) frames a second without an attack, $((beside / turns)) beside one"
	# One busy process more has its share of two CPUs, and the switch serves it too: this sees
	# that nobody starves. What a storm costs others beyond being busy is e2e-storm.sh's.
	[ $((beside * 8)) -gt "$quiet" ] || fail "that is less than an eighth"
}

attacks="withheld maps storm flood spam"
if sanitized; then
	say "attacks without end, for a second each"
	plays --seconds 1 $attacks
	unhurt
else
	say "the others' rate"
	rates $attacks
fi

say "sudden death of the domain"
guest "$domid" "$hostile" load >"$tmp/out" 2>&1 &
io=$!
wait_for $wait_s has_line "in flight" "$tmp/out" || fail "no load: $(cat "$tmp/out")"
back_reaches "$domid" 4
"$LOCALXEN" destroy "$domid" || fail "destroy"
wait $io
unhurt

# ---- nothing is left ----------------------------------------------------------------

# The destroyed one's nodes are the tool stack's to remove.
xenstore-rm "$(back_dir "$domid")" "$(back_dir "$domid" 1)" 2>/dev/null
for guest in $east $west; do
	detach_nic "$guest" 0
done
wait $talker || fail "east: $(cat "$tmp/east")"
nothing_left
end_back
