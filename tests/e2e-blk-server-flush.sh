#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A server of ours whose worker has died, and which then cannot write back what that had
# written: it ends as if all were well, and the guest hears of it all the same.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-faults.sh"
. "$(dirname "$0")/lib-steps.sh"
! sanitized || skip "qemu-nbd is started with a sanitizer's environment"
need qemu-nbd qemu-utils
need qemu-img qemu-utils
need_mount
own_xen "$@"
trap 'umount -l "$tmp/mnt" 2>/dev/null' EXIT
start_daemon
make_guest g && g=$domid

another_worker() { has_worker $g && [ "$(worker_of $g)" != "$old" ]; }
# passes FAULTS: a worker's end, and its server's, with a write that was not flushed.
passes()
{
	rm -f "$tmp/data"
	qemu-img create -q -f qcow2 "$tmp/data" 4M || fail "no image"
	truncate -s 16M "$tmp/data"
	mounts --writeback
	attach_by_hand $g "qcow2:$image" w
	steps_begin $g
	sees "write ok" write 0 65536 1
	sees "flush ok" flush
	sees "write ok" write 0 65536 2
	faults "$@"
	old=$(worker_of $g)
	kill -9 "$old"
	wait_for $wait_s another_worker || fail "no successor"
}
closes()
{
	steps_end
	back_reaches $g 6
	remove_nodes $g
	unmounts
}

for fault in "fsync EIO 0 1" "write EIO 0 99999999"; do
	what="a server cannot write back: $fault"
	say "$what"
	: >"$tmp/log"
	passes "$fault"
	wait_for $wait_s grep -q "its server could not flush what it had answered" "$tmp/log" ||
		fail "the log does not say so: $(tail -n 5 "$tmp/log")"
	faults
	sees "flush Input/output error" flush
	sees "flush Input/output error" flush
	closes
done

what="a server can"
say "$what"
passes
sees "flush ok" flush
sees "read ok" read 0 65536 2
closes
end_back
