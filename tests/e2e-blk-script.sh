#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The contract with xl's hotplug scripts: 2 at once, and 4 only when the script
# has said connected.
. "$(dirname "$0")/lib-blk.sh"
own_xen "$@"
truncate -s 16M "$tmp/image"
start_daemon
make_guest g1
b=$(back_dir "$domid")

say "connected, with the path from the script"
attach_by_hand "$domid" "drbd:resource" w "$b/script" /etc/xen/scripts/block
back_reaches "$domid" 2
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 &
io=$!
front_reaches "$domid" 3
back_stays "$domid" 2
xenstore-write "$b/hotplug-status" ""
back_stays "$domid" 2
xenstore-write "$b/physical-device-path" "$tmp/image"
back_stays "$domid" 2
xenstore-write "$b/hotplug-status" connected
wait "$io" || fail "$(cat "$tmp/out")"
grep -q 'size  *16777216 bytes' "$tmp/out" || fail "$(cat "$tmp/out")"
back_reaches "$domid" 6
# The script does not run again when the front end comes back.
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach_by_hand "$domid"

say "error"
attach_by_hand "$domid" "$tmp/image" w "$b/script" /etc/xen/scripts/block
back_reaches "$domid" 2
xenstore-write "$b/hotplug-error" "no loop device" "$b/hotplug-status" error
back_reaches "$domid" 6
error_says "$domid" "hotplug script failed"
detach_by_hand "$domid"

say "connected, but nothing that can be opened"
attach_by_hand "$domid" "drbd:resource" w "$b/script" /etc/xen/scripts/block
back_reaches "$domid" 2
xenstore-write "$b/hotplug-status" connected
back_reaches "$domid" 6
error_says "$domid" "'drbd:resource': expected an absolute path"
detach_by_hand "$domid"

# ---- the script that comes with the back end ---------------------------------

script=${abs_top_srcdir:-$srcdir}/tools/block-paravane

# script_add DOMID PARAMS MODE: a new disk and the script, as xl runs it, which reads
# what it wrote and ends.
script_add()
{
	xenstore-rm "$(back_dir "$1")" 2>/dev/null
	attach_by_hand "$1" "$2" "$3" "$(back_dir "$1")/script" "$script"
	back_reaches "$1" 2
	(
		XENBUS_PATH=backend/vbd/$1/51712 XENBUS_TYPE=vbd XENBUS_BASE_PATH=backend "$script" add
		rc=$?
		xenstore-read "$b/hotplug-status" >"$tmp/status"
		xenstore-read "$b/hotplug-error" >"$tmp/error" 2>&1
		exit $rc
	)
}

# script_refuses DOMID PARAMS MODE STATUS TEXT: and nothing of the disk stays.
script_refuses()
{
	! script_add "$1" "$2" "$3" || fail "the script takes $2 in mode $3"
	reads "$4" cat "$tmp/status"
	grep -qF "$5" "$tmp/error" || fail "hotplug-error is '$(cat "$tmp/error")', expected '$5'"
	wait_for $wait_s no_nodes "$1" || fail "left: $(xenstore-ls -f / | grep "/vbd/$1\|/$1/device/vbd")"
}

no_nodes()
{
	! xenstore-exists "$(back_dir "$1")" && ! xenstore-exists "$(front_dir "$1")" &&
		! xenstore-exists "/local/domain/0/error/backend/vbd/$1/51712"
}

script_takes() { script_add "$@" || fail "$2 in mode $3: $(cat "$tmp/error")"; }

say "the shipped script: paths"
ln -s "$tmp/image" "$tmp/link"
script_takes "$domid" "tap:tapdisk:aio:$tmp/link" w
detach_by_hand "$domid"
script_takes "$domid" "aio:$tmp/link" w
b=$(back_dir "$domid")
reads "$(readlink -f "$tmp/image")" xenstore-read "$b/physical-device-path"
reads connected xenstore-read "$b/hotplug-status"
reads 32768 xenstore-read "$b/sectors"
guest "$domid" "$blkfront" info >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
detach_by_hand "$domid"
XENBUS_PATH=backend/vbd/$domid/51712 "$script" remove || fail "remove"
script_refuses "$domid" "$tmp/none" w error 'no such file'
script_refuses "$domid" "$tmp" w error 'is a directory'
script_refuses "$domid" "" w error 'no target'
script_refuses "$domid" /dev/null w error 'neither a file nor a block device'
truncate -s 1000 "$tmp/odd"
script_refuses "$domid" "$tmp/odd" w error 'is not a multiple'

say "the shipped script: who shares"
g1=$domid
make_guest g2
script_takes "$g1" "$tmp/image" w
script_refuses "$domid" "$tmp/link" w busy "guest g1 (domain $g1), mode w;"
script_refuses "$domid" "$tmp/image" r busy "guest g1 (domain $g1), mode w;"
script_takes "$domid" "shared:$tmp/image" w
reads 'w!' xenstore-read "$(back_dir "$domid")/mode"
detach_by_hand "$g1"
make_guest g3
script_refuses "$domid" "$tmp/image" w busy "of guest g2"
script_takes "$domid" "$tmp/image" r
detach_by_hand "$domid"
domid=$((domid - 1))
detach_by_hand "$domid"
script_takes "$g1" "$tmp/image" r
script_takes "$domid" "$tmp/image" r
detach_by_hand "$domid"
script_refuses "$domid" "$tmp/image" w busy "guest g1 (domain $g1), mode r;"
detach_by_hand "$g1"

say "the shipped script: another back end's disk, and another program's lock"
xenstore-write "/local/domain/0/backend/qdisk/$g1/51728/params" "aio:$tmp/link" \
	"/local/domain/0/backend/qdisk/$g1/51728/frontend" "/local/domain/$g1/device/vbd/51728" \
	"/local/domain/0/backend/qdisk/$g1/51728/mode" w \
	"/local/domain/0/backend/qdisk/$g1/51728/dev" xvdb
script_refuses "$domid" "$tmp/image" w busy "xvdb of guest g1 (domain $g1), mode w;"
# What is left of a device has no front end, and uses nothing.
xenstore-rm "/local/domain/0/backend/qdisk/$g1/51728/frontend"
script_takes "$domid" "$tmp/image" w
detach_by_hand "$domid"
xenstore-rm /local/domain/0/backend/qdisk
attach_by_hand "$g1" "$tmp/image" w
back_reaches "$g1" 2
# Not to be found by name: only the lock tells.
xenstore-rm "$(back_dir "$g1")/params"
script_refuses "$domid" "$tmp/image" w busy "in use by vbd $g1/51712"
xenstore-write "$(back_dir "$g1")/params" "$tmp/image"
detach_by_hand "$g1"

say "the shipped script: names that XenStore's tools print otherwise"
odd="$tmp/grün\\nah "
truncate -s 16M "$odd"
# As xenstore-write takes it.
spelled=$(printf %s "$odd" | sed 's/\\/&&/g')
script_takes "$g1" "$spelled" w
[ "$(xenstore-read -R "$(back_dir "$g1")/physical-device-path")" = "$(readlink -f "$odd")" ] ||
	fail "the path is $(xenstore-read "$(back_dir "$g1")/physical-device-path")"
script_refuses "$domid" "$spelled" w busy "guest g1 (domain $g1), mode w;"
detach_by_hand "$g1"

say "the shipped script: what it waits for at most is less than xl waits for it"
lock_wait_s=$(sed -n 's/^lock_wait_s=\([0-9]*\).*/\1/p' "$script") open_wait_s=$(sed -n 's/^open_wait_s=\([0-9]*\).*/\1/p' "$script")
[ -n "$lock_wait_s" ] && [ -n "$open_wait_s" ] && [ $((lock_wait_s + open_wait_s)) -le 35 ] ||
	fail "'$lock_wait_s' s for its turn and '$open_wait_s' s for the back end"
grep -q "flock -w \"\$lock_wait_s\"" "$script" || fail "it waits for its turn as it likes"

say "the shipped script: a disk that has gone meanwhile does not come back"
attach_by_hand "$domid" "$tmp/image" w "$(back_dir "$domid")/script" "$script"
back_reaches "$domid" 2
exec 8>>/run/paravane-block.lock
flock 8
XENBUS_PATH=backend/vbd/$domid/51712 "$script" add 8>&- &
adds=$!
wait_for $wait_s pgrep -P $adds flock >/dev/null || fail "the script does not wait for its turn"
remove_nodes "$domid"
flock -u 8
! wait $adds || fail "the script takes a disk that has gone"
no_nodes "$domid" || fail "back: $(xenstore-ls -f "$(back_dir "$domid")")"
! XENBUS_PATH=backend/vbd/$domid/51712 "$script" add || fail "the script takes a disk that is not there"
no_nodes "$domid" || fail "back: $(xenstore-ls -f "$(back_dir "$domid")")"
end_back
