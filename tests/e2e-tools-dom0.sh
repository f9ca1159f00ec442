#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a script in dom0 rests on: exit statuses, doing a thing twice, looking before doing,
# and an end in time whoever does not answer: the guest, the back end, the store.
. "$(dirname "$0")/lib-blk.sh"
need python3 python3
own_xen "$@"
export PARAVANE_RUNDIR=$tmp/run
paravane() { "${abs_top_builddir:-$PWD}/paravane" "$@"; }
quiet() { "$@" >/dev/null 2>&1; }
start_daemon
make_guest g && g=$domid
truncate -s 8M "$tmp/disk" "$tmp/other"
# ends_within SECONDS STATUS COMMAND...
ends_within()
{
	most=$1 status=$2 from=$(date +%s)
	shift 2
	expect "$status" quiet "$@"
	[ $(($(date +%s) - from)) -le "$most" ] || fail "$* took $(($(date +%s) - from)) s"
}
result_is() { python3 -c "
import json, sys
j = json.load(open('$tmp/json'))
sys.exit(j['result'] != '$1')" || fail "$(cat "$tmp/json"), expected $1"; }

say "twice, and before doing"
reads "xvda of g (domain $g): would be attached" paravane attach-disk g "$tmp/disk" xvda --dry-run
expect 4 quiet paravane detach g xvda
expect 0 quiet paravane detach g xvda --idempotent
paravane detach g xvda --idempotent --json >"$tmp/json" 2>/dev/null
result_is absent
expect 1 quiet paravane attach-disk g "$tmp/none" xvda --dry-run
expect 4 quiet paravane attach-disk nobody "$tmp/disk" xvda --dry-run
expect 2 quiet paravane attach-disk g "$tmp/disk" xvda --mode x
expect 0 quiet paravane attach-disk g "$tmp/disk" xvda --no-wait
expect 5 quiet paravane attach-disk g "$tmp/disk" xvda --no-wait
expect 0 quiet paravane attach-disk g "$tmp/disk" xvda --no-wait --idempotent
expect 5 quiet paravane attach-disk g "$tmp/other" xvda --no-wait --idempotent
# As it is described, or else what differs is said; with the name of the device and without.
for device in xvda ''; do
	# shellcheck disable=SC2086
	again() { paravane attach-disk g "$tmp/disk" $device --no-wait --idempotent "$@"; }
	expect 0 quiet again --cache writeback --secure-discard device
	for differs in 'cache is writeback, not none:--cache none' 'grant-mode is the default, not copy:--grant-mode copy' \
		'sector is the default, not 4096:--sector 4096' 'segments is the default, not 0:--segments 0' \
		'io-timeout is the default, not 5:--io-timeout 5' 'removable is 0, not 1:--removable' \
		'barriers-only is 0, not 1:--barriers-only' 'secure-discard is device, not off:--secure-discard off'; do
		# shellcheck disable=SC2086
		again ${differs#*:} 2>"$tmp/said" >/dev/null
		[ $? = 5 ] && grep -q "${differs%:*}; what changes that: \"paravane detach $g xvda\" first" "$tmp/said" ||
			fail "$differs: $(cat "$tmp/said")"
	done
	again --limit iops=500 2>"$tmp/said" && fail "another limit is a success"
	grep -q "limit is none, not iops=500; what changes that: \"paravane limit $g xvda iops=500\"" "$tmp/said" ||
		fail "$(cat "$tmp/said")"
done
expect 0 quiet paravane limit g xvda iops=500 --no-wait
expect 0 quiet again --limit iops=500
expect 0 quiet paravane limit g xvda none --no-wait
expect 6 quiet paravane attach-disk g "$tmp/disk" xvdb --dry-run
expect 3 quiet paravane attach-disk g "$tmp/disk" xvda --idempotent --wait 0.2
reads "xvda of g (domain $g): is attached already" paravane attach-disk g "$tmp/disk" xvda --idempotent --dry-run
reads "an interface of g (domain $g): would be attached" paravane attach-nic g --dry-run
# dry RESULT DEVICE COMMAND...
dry()
{
	result=$1 device=$2
	shift 2
	paravane "$@" --dry-run --json >"$tmp/json" || fail "$*"
	result_is "$result"
	grep -q "^{\"dry_run\": true, \"domid\": $g, \"device\": $device, " "$tmp/json" || fail "$(cat "$tmp/json")"
}
dry attached '"xvda"' attach-disk g "$tmp/disk" xvda --idempotent
dry absent null attach-nic g
dry absent '"vif5"' attach-nic g devid=5
case $(paravane detach g xvda --dry-run) in
"xvda of g (domain $g): would be detached; the back end is InitWait, the front end Initialising") ;;
*) fail "$(paravane detach g xvda --dry-run)" ;;
esac

say "a guest that does not answer"
# Connected, and then as dead as can be while its nodes stay.
"$LOCALXEN" exec "$g" -- "$blkfront" info --watch --quiet >/dev/null 2>&1 &
front=$!
back_reaches "$g" 4
kill -STOP $front
ends_within 25 3 paravane detach g xvda --wait 0.5
[ -n "$(xenstore-list "$(back_dir "$g")")" ] || fail "taken away without --force"
paravane detach g xvda --wait 0.5 --force --json >"$tmp/json" 2>/dev/null || fail "--force"
result_is forced
quiet xenstore-list "$(back_dir "$g")" && fail "nodes are left"
kill -CONT $front
kill $front
wait $front 2>/dev/null

say "a back end that is dead"
kill "$daemon"
wait "$daemon"
expect 3 quiet paravane attach-disk g "$tmp/disk" xvda --wait 0.2
ends_within 25 3 paravane detach g xvda --wait 0.2
ends_within 25 0 paravane detach g xvda --wait 0.2 --force
ends_within 25 3 paravane attach-disk g "$tmp/disk" xvda --wait 0.2

say "a store that does not answer"
all_ended() { [ "$(ls "$tmp"/stuck-*.status 2>/dev/null | wc -l)" = "$n" ]; }
store=$(ps -o pid=,comm= --ppid "$(awk '/^PPid/ { print $2 }' /proc/$$/status)" |
	awk '$2 == "xenstored" { print $1 }')
[ -n "$store" ] || fail "no xenstored"
kill -STOP "$store"
paravane limit g xvda iops=5 --wait 0 2>"$tmp/limit" &
limit=$!
# Nobody waits for ever.
n=0
while read -r command; do
	n=$((n + 1))
	# shellcheck disable=SC2086
	(timeout 60 "${abs_top_builddir:-$PWD}/paravane" $command >/dev/null 2>"$tmp/stuck-$n"
	echo "$?" >"$tmp/stuck-$n.status") &
done <<'END'
list
list g --json
explain g xvda
bridge list
bridge set br0 ageing-ms=5
bridge uplink remove br0 up0
capture br0
trace g xvda
watch
why g xvda --seconds 1
END
(ends_within 60 3 paravane detach g xvda --wait 0.2 --force)
ended=$?
wait $limit
[ $? = 3 ] || { kill -CONT "$store"; fail "limit: $(cat "$tmp/limit")"; }
wait_for 70 all_ended
kill -CONT "$store"
[ $ended = 0 ] || exit 1
for i in $(seq "$n"); do
	[ "$(cat "$tmp/stuck-$i.status")" = 3 ] && grep -q "XenStore does not answer" "$tmp/stuck-$i" ||
		fail "the $i. of the commands: $(cat "$tmp/stuck-$i" "$tmp/stuck-$i.status")"
done
grep -q "XenStore does not answer" "$tmp/limit" || fail "said '$(cat "$tmp/limit")'"
expect 0 quiet paravane detach g xvda --wait 0.2 --force --idempotent
start_daemon
end_back
