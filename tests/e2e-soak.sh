#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks and interfaces come, are used and go, again and again, in four guests at a time:
# memory, descriptors and nodes stay as many as they were, and nothing is held at the end.
# SOAK_CYCLES, SOAK_SECONDS: how many in all, and for how long (whatever is reached first);
# "make soak TIME=SECONDS" sets the latter.
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

held() { echo "descriptors $(fds "$blkback") and $(fds "$netback"), $(xenstore-ls -f / | wc -l) nodes, $(ls "$tmp/run/blkback" "$tmp/run/netback" | wc -l) run files"; }
idle() { [ -z "$(ps -o pid= --ppid "$blkback")$(ps -o pid= --ppid "$netback")" ]; }
show() { say "$1: $(held); memory $(rss_kib "$blkback") and $(rss_kib "$netback") KiB"; }

until=$(($(date +%s) + seconds))
: >"$tmp/done"
# What is had once is no leak.
all 3
wait_for $wait_s idle || fail "workers are left"
before=$(held) memory=$(($(rss_kib "$blkback") + $(rss_kib "$netback")))
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
[ "$(held)" = "$before" ] || fail "before $before, after $(held)"
after=$(($(rss_kib "$blkback") + $(rss_kib "$netback")))
# AddressSanitizer keeps what was freed.
grep -q libasan "/proc/$blkback/maps" || [ "$after" -lt $((memory + 2048)) ] ||
	fail "memory grew from $memory to $after KiB"
nothing_left
kill "$blkback" "$netback"
wait "$blkback" && wait "$netback" || fail "a daemon ended badly: $(cat "$tmp/blkback" "$tmp/netback")"
say passed
