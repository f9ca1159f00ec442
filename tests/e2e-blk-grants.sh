#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Grant modes, and a dom0 with few maptrack entries: several devices move verified
# data without an error, the log says what ran out, idle pages go back, a ring that
# cannot be mapped is waited for.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
xen_options=--maptrack=2	# 512 pages
own_xen "$@"

# What dom0 has mapped now, in pages.
mapped()
{
	"$LOCALXEN" status --json | tr '{' '\n' |
		sed -n 's/.*"domid": 0,.*"maptrack_used": \([0-9]*\).*/\1/p'
}
mapped_at_most() { [ "$(mapped)" -le "$1" ]; }
mapped_at_least() { [ "$(mapped)" -ge "$1" ]; }
counter() { PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" list "$1" --json | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"; }

counts() { [ "$(counter $1 $2)" -gt 0 ]; }

# verified DOMID OPTION...: writes and reads that check what they read.
verified()
{
	d=$1
	shift
	guest "$d" "$blkfront" bench --pattern mixed --verify --overwrite --quiet --timeout 60 \
		--bs 128K --depth 12 "$@" >"$tmp/io-$d" 2>&1
}

start_daemon --persistent-idle=1
for i in 1 2 3 4; do
	make_guest g$i && eval g$i=$domid
	seeded $i 8M >"$tmp/disk$i"
done
base=$(mapped)

# Each mode, alone, with room for all.
offers() { [ "$(xenstore-read "$(back_dir $1)/feature-persistent")" = $2 ]; }
mode()
{
	attach_by_hand $g1 "$tmp/disk1" w "$(back_dir $g1)/grant-mode" $1
	back_reaches $g1 2
	offers $g1 $2 || fail "grant-mode $1: feature-persistent is not $2"
	use_disk $g1 --bs 16K --pool-pages 100
	[ "$(info $g1 grants)" = $1 ] || fail "info says $(info $g1 grants), not $1"
	PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" list $g1 --json | grep -q "\"grant_mode\": \"$1\"" ||
		fail "list does not say grant mode $1"
	[ "$(info $g1 persistent)" = $2 ] || fail "grant-mode $1: persistent is $(info $g1 persistent)"
	case $1 in
	map) wait_for $wait_s counts $g1 mapped_pages || fail "grant-mode map mapped nothing" ;;
	copy) wait_for $wait_s counts $g1 copied_bytes || fail "grant-mode copy copied nothing" ;;
	*) wait_for $wait_s mapped_at_least $((base + 90)) ||
		fail "grant-mode $1: $(mapped) pages stay mapped" ;;
	esac
	[ $1 = map ] || ! counts $g1 mapped_pages ||
		fail "grant-mode $1 mapped for each request"
	detach_by_hand $g1
	wait $io
}
mode auto 1
mode persistent 1
mode map 0
mode copy 0
attach_by_hand $g1 "$tmp/disk1" w "$(back_dir $g1)/grant-mode" often
back_reaches $g1 6
error_says $g1 "grant-mode is 'often', expected auto, persistent, map or copy"
remove_nodes $g1

# Idle pages go back, the device stays: a front end that is stopped for a while.
attach_by_hand $g1 "$tmp/disk1" w
use_disk $g1 --bs 32K --pool-pages 300
wait_for $wait_s mapped_at_least $((base + 250)) || fail "$(mapped) pages are mapped"
worker=$(worker_of $g1)
front=$(pgrep -P $io)
[ -n "$front" ] || fail "no front end"
kill -STOP $front
wait_for $wait_s mapped_at_most $((base + 4)) || fail "idle: $(mapped) pages are mapped"
kill -CONT $front
wait_for $wait_s mapped_at_least $((base + 250)) || fail "again: $(mapped) pages are mapped"
[ "$(worker_of $g1)" = "$worker" ] || fail "the worker is another one"
detach_by_hand $g1
wait $io

# Four devices that want 1536 pages of 512.
attach_by_hand $g1 "$tmp/disk1" w
attach_by_hand $g2 "$tmp/disk2" w "$(back_dir $g2)/grant-mode" persistent
attach_by_hand $g3 "$tmp/disk3" w "$(back_dir $g3)/grant-mode" map
attach_by_hand $g4 "$tmp/disk4" w
all=
for g in $g1 $g2 $g3 $g4; do
	verified $g --ops 600 --queues 2 &
	all="$all $!"
done
for p in $all; do
	wait $p || fail "verified I/O: $(cat "$tmp"/io-*)"
done
grep -q 'no maptrack entries left to map.*gnttab_max_maptrack_frames' "$tmp/log" ||
	fail "the log does not say what ran out"
said=$(grep -c 'no maptrack entries left' "$tmp/log")
[ "$said" -le 16 ] || fail "the log says so $said times"
! grep -E 'refused|failed' "$tmp/log" | grep -v grant-mode || fail "see above"

# No room for a ring: the device waits, and others go on.
use_disk $g1 --pool-pages 20
"$LOCALXEN" fail map --domain 0 --status GNTST_no_device_space --count 0 >"$tmp/rule" || fail "no rule"
verified $g2 --ops 200 &
second=$!
wait_for $wait_s has_lines 1 'no maptrack entries left to map its rings' ||
	fail "a ring that cannot be mapped: $(tail -n 3 "$tmp/log")"
sleep 0.5
node_is "$(back_dir $g2)/state" 2 || fail "it does not wait"
kill -0 $io || fail "the other device does not go on"
"$LOCALXEN" fail --clear || fail "rules stay"
wait $second || fail "after the wait: $(cat "$tmp/io-$g2")"
kill -0 $io || fail "the other device ended: $(cat "$tmp/io-$g1")"

for g in $g1 $g2 $g3 $g4; do detach_by_hand $g; done
wait $io
end_back
