#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks and interfaces come, are used and go, again and again, in four guests at a time, beside
# a fifth that stays on their bridge, and so keeps its worker: memory, descriptors and nodes of
# the daemons and of that worker stay as many as they were, and nothing is held at the end.
# SOAK_CYCLES, SOAK_SECONDS: how many in all, and for how long (whatever is reached first);
# "make soak TIME=SECONDS" sets the latter.
# The quick run: plain
. "$(dirname "$0")/lib.sh"
cycles=${SOAK_CYCLES:-60} seconds=${SOAK_SECONDS:-1000000}
[ -z "${PV_FULL:-}" ] || cycles=${SOAK_CYCLES:-2000}
! sanitized || cycles=${SOAK_CYCLES:-28}
guests=4
own_xen "$@"
[ -n "${PV_FULL:-}${SOAK_CYCLES:-}" ] || say "deferred: 2,000 cycles ($cycles here; make soak goes on for as long as is wanted)"
paravane=$PWD/paravane
wait_s=150

# ---- two daemons ------------------------------------------------------------------------

export PARAVANE_RUNDIR="$tmp/run"
mkdir -m 700 "$tmp/run"
for kind in blkback netback; do
	"$PWD/paravane-$kind" --log-level=warning 2>"$tmp/$kind" &
	eval "$kind=\$!"
	wait_for $wait_s test -e "$tmp/run/$kind" || fail "$kind: $(cat "$tmp/$kind")"
done

# ---- guests -----------------------------------------------------------------------------

i=0
while [ $i -lt $guests ]; do
	i=$((i + 1))
	eval "dom_$i=\$(\"$LOCALXEN\" domain --name=s$i)"
	truncate -s 8M "$tmp/image-$i"
done

# Who stays: the bridge's worker lives as long.
stay=$("$LOCALXEN" domain --name=stay)
"$paravane" attach-nic "$stay" bridge=s --no-wait --no-libxl >"$tmp/stay" 2>&1 || fail "$(cat "$tmp/stay")"
guest "$stay" "$PWD/paravane-netfront" bench echo --timeout 600 --quiet >"$tmp/stay" 2>&1 &
stayer=$!
stays() { [ "$(xenstore-read "/local/domain/0/backend/vif/$stay/0/state")" = 4 ]; }
wait_for $wait_s stays || fail "the guest that stays does not connect: $(cat "$tmp/stay" "$tmp/netback")"
bridge=$(pgrep -P "$netback")

# quietly COMMAND...: its words only if it fails.
quietly() { "$@" >"$tmp/out-$me" 2>&1 || fail "guest $me: $*: $(cat "$tmp/out-$me" "$tmp/blkback" "$tmp/netback" | tail -8)"; }

# cycle DOMID: one disk and one interface.
cycle()
{
	quietly "$paravane" attach-disk "$1" "$tmp/image-$me" xvda --no-wait --no-libxl
	quietly "$paravane" attach-nic "$1" bridge=s --no-wait --no-libxl
	quietly guest "$1" "$PWD/paravane-blkfront" bench --ops 200 --pattern mixed --overwrite --verify --depth 8
	quietly guest "$1" "$PWD/paravane-netfront" bench tx --size 200 --seconds 0.02
	quietly "$paravane" detach "$1" xvda
	quietly "$paravane" detach "$1" vif0
}

# rounds ME CYCLES: until the time is over, too.
rounds()
{
	me=$1
	eval "domid=\$dom_$1"
	n=0
	while [ $n -lt "$2" ] && [ "$(date +%s)" -lt "$until" ]; do
		cycle "$domid"
		n=$((n + 1))
		echo >>"$tmp/done"
	done
}

# all CYCLES: in each guest.
all()
{
	pids=
	for g in $(seq $guests); do
		rounds "$g" "$1" &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || fail "see above"; done
}

# ---- what is held -----------------------------------------------------------------------

# But for the event descriptors of others' handles, of which local Xen's library keeps one for each
# of as many as there have been at once; of ours the worker has none for an interface.
fds_but_events() { ls -l "/proc/$1/fd" | grep -vc 'anon_inode:.eventfd'; }
held() { echo "descriptors $(fds "$blkback"), $(fds "$netback") and $(fds_but_events "$bridge"), $(xenstore-ls -f / | wc -l) nodes, $(ls "$tmp/run/blkback" "$tmp/run/netback" | wc -l) run files"; }
idle() { [ -z "$(ps -o pid= --ppid "$blkback")" ] && [ "$(xenstore-list /local/domain/0/backend/vif)" = "$stay" ]; }
memory() { echo $(($(own_kib "$blkback") + $(own_kib "$netback") + $(own_kib "$bridge"))); }
mappings() { echo $(($(wc -l <"/proc/$blkback/maps") + $(wc -l <"/proc/$netback/maps") + $(wc -l <"/proc/$bridge/maps"))); }
show() { say "$1: $(held); memory $(own_kib "$blkback"), $(own_kib "$netback") and $(own_kib "$bridge") KiB, $(mappings) mappings"; }

until=$(($(date +%s) + seconds))
: >"$tmp/done"
# What is had once is no leak.
all 3
wait_for $wait_s idle || fail "workers are left"
before=$(held) memory=$(memory) mappings=$(mappings)
show "after $(wc -l <"$tmp/done") cycles"
each=$((cycles / guests - 3))
step=$((each / 4 + 1))
while [ $each -gt 0 ] && [ "$(date +%s)" -lt "$until" ]; do
	[ $step -lt $each ] || step=$each
	all $step
	each=$((each - step))
	wait_for $wait_s idle || fail "workers are left"
	show "after $(wc -l <"$tmp/done") cycles"
done
wait_for $wait_s eval '[ "$(held)" = "$before" ]' || fail "before $before, after $(held)"
[ "$(pgrep -P "$netback")" = "$bridge" ] || fail "the bridge's worker is another one: $(cat "$tmp/netback")"
after=$(memory)
# AddressSanitizer keeps what was freed.
grep -q libasan "/proc/$blkback/maps" || [ "$after" -lt $((memory + 512)) ] ||
	fail "memory grew from $memory to $after KiB"
[ "$(mappings)" -lt $((mappings + 24)) ] || fail "mappings: $mappings before, $(mappings) after"
"$paravane" detach "$stay" vif0 >"$tmp/out" 2>&1 || fail "detach: $(cat "$tmp/out")"
wait $stayer || fail "who stayed: $(cat "$tmp/stay")"
nothing_left
kill "$blkback" "$netback"
wait "$blkback" && wait "$netback" || fail "a daemon ended badly: $(cat "$tmp/blkback" "$tmp/netback")"
say passed
