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
end_blk
