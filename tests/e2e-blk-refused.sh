#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad input of tool stack and front end: a reason in the error node, a closed
# device, another that is served all the while, and a second chance.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
truncate -s 16M "$tmp/image"
truncate -s 16M "$tmp/other"
truncate -s 1000 "$tmp/odd"
: >"$tmp/empty"
mkfifo "$tmp/fifo"
start_daemon
make_guest bystander
bystander=$domid
attach_by_hand "$bystander" "$tmp/other" w
back_reaches "$bystander" 2
use_disk "$bystander"
bystander_io=$io
make_guest g2

# refuses PARAMS MODE TEXT: closed with TEXT; better params are taken.
refuses()
{
	attach_by_hand "$domid" "$1" "$2"
	back_reaches "$domid" 6
	error_says "$domid" "$3"
	xenstore-write "$(back_dir "$domid")/mode" r
	xenstore-write "$(back_dir "$domid")/params" "$tmp/image"
	back_reaches "$domid" 2
	wait_for $wait_s no_error "$domid" || fail "better params are taken, and the error stays: $(error_of "$domid")"
	remove_nodes "$domid"
}

say "what the tool stack may get wrong"
refuses "$tmp/missing" w "$tmp/missing: no such file"
refuses "aio:$tmp" w "is a directory, expected a file or block device"
refuses "$tmp/fifo" w "expected a file or block device"
refuses /dev/zero w "expected a file or block device"
refuses "$tmp/odd" w "size of 1000 bytes is not a multiple of the sector of 512"
refuses "$tmp/empty" w "is empty"
refuses "" w "params is missing or empty, expected the path"
refuses "qcow2 or so" w "expected an absolute path"
refuses "$tmp/image" ww "mode is 'ww', expected r, w or w!"
refuses "$tmp/other" w "in use by vbd $bystander/51712"
refuses "$tmp/other" r "in use by vbd $bystander/51712"

say "the guest can read why, and no other guest can"
attach_by_hand "$domid" "$tmp/missing" w
back_reaches "$domid" 6
error_node=/local/domain/0/error/backend/vbd/$domid/51712/error
reads "2 $tmp/missing: no such file; params must name a file or block device" \
	guest "$domid" xenstore-read "$error_node"
expect 1 guest "$bystander" xenstore-read "$error_node" >/dev/null 2>&1
expect 1 guest "$domid" "$blkfront" info --timeout 1 --quiet 2>"$tmp/out"
grep -q "and says: 2 $tmp/missing: no such file" "$tmp/out" ||
	fail "the front end does not say the back end's reason: $(cat "$tmp/out")"
remove_nodes "$domid"

say "a CD drive without a medium is a disk of no sectors"
attach_by_hand "$domid" "" r "$(back_dir "$domid")/device-type" cdrom
back_reaches "$domid" 2
guest "$domid" "$blkfront" info --json >"$tmp/out" || fail "the empty drive does not connect"
grep -q '"size_bytes":0,.*"read_only":1,"cdrom":1' "$tmp/out" || fail "empty drive: $(cat "$tmp/out")"
detach_by_hand "$domid"

say "another program holds the image"
"$blkback" --rundir "$tmp/run" --kind vbd3 2>>"$tmp/log3" &
daemon3=$!
b3=/local/domain/0/backend/vbd3/$domid/51712
xenstore-write "$(front_dir "$domid")/state" 1
xenstore-write $b3/frontend "$(front_dir "$domid")" $b3/frontend-id "$domid" \
	$b3/mode w $b3/params "$tmp/image" $b3/state 1
wait_for $wait_s node_is $b3/state 2 || fail "vbd3 is not served: $(cat "$tmp/log3")"
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 6
error_says "$domid" "process $daemon3 (paravane-blkbac"
xenstore-rm $b3
remove_nodes "$domid"
kill $daemon3
wait $daemon3

# front_refused KEY VALUE TEXT: of otherwise good keys; VALUE - is none.
front_refused()
{
	f=$(front_dir "$domid")
	guest "$domid" xenstore-write "$f/ring-ref" 8 "$f/event-channel" 9
	if [ "$2" = - ]; then
		guest "$domid" xenstore-rm "$f/$1"
	else
		guest "$domid" xenstore-write -- "$f/$1" "$2"
	fi
	guest "$domid" xenstore-write "$f/state" 4
	back_reaches "$domid" 6
	error_says "$domid" "$3"
	back_stays "$domid" 6
	guest "$domid" xenstore-rm "$f/$1" 2>/dev/null
	guest "$domid" xenstore-write "$f/state" 6
	guest "$domid" xenstore-write "$f/state" 1
	back_reaches "$domid" 2
}

say "what a front end may get wrong"
attach_by_hand "$domid" "$tmp/image" w
back_reaches "$domid" 2
front_refused ring-ref - "ring-ref is missing"
front_refused ring-ref abc "ring-ref is 'abc', expected a decimal number"
front_refused ring-ref -1 "ring-ref is '-1'"
front_refused ring-ref 18446744073709551617 "ring-ref is '1844"
front_refused event-channel - "event-channel is missing"
front_refused event-channel 0 "event-channel is '0'"
front_refused event-channel 0x10 "event-channel is '0x10'"
front_refused ring-page-order 5 "ring-page-order is '5'"
front_refused multi-queue-num-queues 0 "multi-queue-num-queues is '0'"
front_refused multi-queue-num-queues 4294967296 "multi-queue-num-queues is '4294967296'"
front_refused protocol vax-abi "protocol is 'vax-abi'"
# Well-formed, but no such grant or port: the worker finds out.
front_refused feature-persistent 0 "cannot map the ring (first gref 8,"
front_refused ring-ref 4294967295 "cannot map the ring (first gref 4294967295,"
front_refused event-channel 4294967295 "cannot map the ring (first gref 8,"

say "the front end that does it right, after all that"
guest "$domid" xenstore-rm "$(front_dir "$domid")/ring-ref"
guest "$domid" xenstore-rm "$(front_dir "$domid")/event-channel"
guest "$domid" "$blkfront" bench --ops 1000 >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach_by_hand "$domid"

[ "$(info "$bystander" restarts)" = 0 ] || fail "the bystander's worker died"
kill -0 "$bystander_io" || fail "the bystander's front end ended"
detach_by_hand "$bystander"
wait "$bystander_io"

say "a second daemon for the same kind"
refused "process $daemon serves kind vbd already" "$blkback" --rundir "$tmp/run"
end_back
