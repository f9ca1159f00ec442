#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two guests and four disks at once with verified I/O in all; then many
# disks of one guest, by names from xvda to beyond xvdz: connected together,
# served, detached, and nothing of them left.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"

# More than 75 or so for one guest need a XenStore with a larger quota of nodes.
nr=48 guests=1
if [ -n "${PV_FULL:-}" ]; then
	nr=70 guests=3
else
	echo "deferred: 210 disks of three guests (48 of one here)"
fi
export PARAVANE_RUNDIR=$tmp/run
paravane() { "${abs_top_builddir:-$PWD}/paravane" "$@"; }
start_daemon

say "two guests, four disks, all at once"
make_guest g1 && g1=$domid
make_guest g2 && g2=$domid
pids=
for dom in $g1 $g2; do
	for disk in xvda xvdb; do
		truncate -s 16M "$tmp/$dom$disk"
		paravane attach-disk $dom "$tmp/$dom$disk" $disk --no-wait >/dev/null || fail "attach"
		guest $dom "$blkfront" bench --device $disk --pattern mixed --verify --overwrite --bs 16K \
			--ops 3000 --seed $dom --quiet >"$tmp/out-$dom$disk" 2>&1 &
		pids="$pids $!"
	done
done
for pid in $pids; do
	wait "$pid" || fail "verified I/O: $(tail -n 3 "$tmp"/out-*)"
done
for dom in $g1 $g2; do
	for disk in xvda xvdb; do
		paravane detach $dom $disk --wait $wait_s >/dev/null || fail "detach $disk of $dom"
	done
done

# many GUEST: its disks, and a front end for each that holds it open.
many()
{
	dom=$1
	start=$(date +%s%N)
	i=0
	while [ $i -lt $nr ]; do
		truncate -s 1M "$tmp/disk$dom-$i"
		paravane attach-disk $dom "$tmp/disk$dom-$i" --no-wait >/dev/null || fail "attach $i: $(tail -n 3 "$tmp/log")"
		i=$((i + 1))
		[ $i != $((nr / 2)) ] || half=$(date +%s%N)
	done
	end=$(date +%s%N)
	say "attached $((nr / 2)) in $(((half - start) / 1000000)) ms, the others in $(((end - half) / 1000000)) ms"
	paravane list $dom >"$tmp/list-$dom"
	[ "$(grep -c /disk "$tmp/list-$dom")" = $nr ] || fail "$(grep -c /disk "$tmp/list-$dom") disks are listed"
	for want in xvda xvdp xvdq xvdz xvdaa; do
		grep -q " $want " "$tmp/list-$dom" || fail "no $want among them: $(head -3 "$tmp/list-$dom")"
	done

	# Front ends for all, held open together. A few at a time: XenStore lets a domain
	# have ten transactions at once, which a kernel's one driver never needs.
	devices=$(sed -n 's/^[^ ]* *[^ ]* *\(xvd[a-z]*\) .*/\1/p' "$tmp/list-$dom")
	nr_connected() { paravane list $dom | grep -c 'Connected.*Connected'; }
	connected() { [ "$(nr_connected)" = $i ]; }
	i=0
	for device in $devices; do
		guest $dom "$blkfront" info --watch --device $device --pool-pages 2 --ring-order 0 --timeout 60 --quiet \
			>"$tmp/info-$dom-$device" 2>&1 &
		i=$((i + 1))
		[ $((i % 4)) != 0 ] || wait_for 60 connected ||
			fail "$(nr_connected) of $i are connected; $(grep -L "^size" "$tmp"/info-* | xargs tail -n 3); $(tail -n 3 "$tmp/log")"
	done
	[ $i = $nr ] && wait_for 60 connected || fail "$(nr_connected) of $nr are connected"
}

say "$((nr * guests)) disks"
all=$g1
many $g1
while [ $guests -gt "$(echo $all | wc -w)" ]; do
	make_guest "more$(echo $all | wc -w)" && all="$all $domid"
	many $domid
done
[ "$(pgrep -c -P $daemon)" = $((nr * guests)) ] || fail "$(pgrep -c -P $daemon) workers for $((nr * guests)) disks"
say "supervisor: $(ls /proc/$daemon/fd | wc -l) descriptors, $(awk '/VmRSS/ { print $2 }' /proc/$daemon/status) KiB; a worker: $(
	awk '/^Rss|^Private_Dirty/ { print $1 $2 }' /proc/$(pgrep -n -P $daemon)/smaps_rollup | tr '\n' ' ')KiB"

say "all go"
start=$(date +%s%N)
for dom in $all; do
	for device in $devices; do
		paravane detach $dom $device --wait $wait_s >/dev/null || fail "detach $device of $dom"
	done
done
say "detached in $((($(date +%s%N) - start) / 1000000)) ms"
wait_for $wait_s eval "[ -z \"\$(xenstore-list /local/domain/0/backend/vbd 2>/dev/null)\" ]" || fail "nodes are left"
end_back
