#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that fails, fills up, exhausts a quota, becomes read-only or shorter: the
# guest is told of exactly the request that failed and goes on, the log and `paravane
# explain` name the trouble, and a flush that failed is not forgotten: not by the next
# flush, not by a worker's successor, not when somebody else was told of it; nor is what was
# lost before anybody flushed, over a mirror's end, another daemon and another version.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
. "$(dirname "$0")/lib-faults.sh"
. "$(dirname "$0")/lib-steps.sh"
paravane=$PWD/paravane
need_mount
own_xen "$@"
PARAVANE_RUNDIR=$tmp/run
export PARAVANE_RUNDIR
trap 'umount -l "$tmp/mnt" 2>/dev/null; umount -l "$tmp/small" 2>/dev/null' EXIT
start_daemon
make_guest g && g=$domid

# ---- a disk on a file system with faults, and a guest that says what it notices -------------

mounts_new()
{
	rm -f "$tmp/data"
	truncate -s 4M "$tmp/data"
	mounts "$@"
}

# opens CACHE: the guest has the disk open.
opens()
{
	attach_by_hand $g "$image" w "$(back_dir $g)/cache" "$1"
	steps_begin $g
	# A tmpfs of older kernels cannot do direct I/O.
	[ "$(info $g engine)" = $([ "$1" = none ] && echo direct || echo buffered) ] || [ -d "$tmp/small" ] ||
		fail "cache $1 has engine $(info $g engine)"
}

closes()
{
	steps_end
	back_reaches $g 6
	remove_nodes $g
}

logs() { wait_for $wait_s grep -q "vbd $g/51712: .*$1" "$tmp/log" || fail "the log does not say '$1': $(tail -n 5 "$tmp/log")"; }
explains()
{
	"$paravane" explain $g xvda >"$tmp/explained" 2>&1
	tr -s ' \n' ' ' <"$tmp/explained" | grep -q "$1" || fail "explain does not say '$1': $(cat "$tmp/explained")"
}
forget_cache() { dd of="$image" oflag=nocache conv=notrunc,fdatasync count=0 status=none; }

# ---- one request ------------------------------------------------------------------------------

# fails OPERATION ERRNO TEXT: of sixteen at a time the third, and no other.
fails()
{
	what="$1 $2"
	: >"$tmp/log"
	sees "write ok" write 0 65536 1
	faults "$1 $2 8192 12288"
	if [ "$1" = read ]; then
		forget_cache
		sees "read 8192" read 0 65536 1
	else
		sees "write 8192" write 0 65536 2
	fi
	logs "a $1 at sector 16 failed: $3"
	explains "failed: "
	faults
	[ "$1" = read ] || sees "write ok" write 8192 4096 2
	sees "read ok" read 0 65536 $([ "$1" = read ] && echo 1 || echo 2)
	sees "flush ok" flush
}

device_full="the image's file system is full"
quota="a quota is exhausted"
read_only="the image's file system has become read-only"
broken="the image's device has failed"

# What the guest writes last below, on an image of no such file system.
image=$tmp/expected
truncate -s 4M "$image"
opens writeback
sees "write ok" write 0 65536 1
closes

for cache in writeback none writethrough; do
	say "cache $cache: a request fails"
	mounts_new
	opens $cache
	# Of a durable write through the cache that met EIO, and of flushes after it: below.
	[ $cache = writethrough ] || fails write EIO "$broken"
	fails write ENOSPC "$device_full"
	fails write EDQUOT "$quota"
	fails write EROFS "$read_only"
	fails read EIO "$broken"
	closes
	cmp -s "$tmp/data" "$tmp/expected" || fail "what was acknowledged is not in the image"
	unmounts
done

# ---- a flush ------------------------------------------------------------------------------------

flush_is_lost() { sees "flush Input/output error" flush; }
another_worker() { has_worker $g && [ "$(worker_of $g)" != "$old" ]; }
kill_worker()
{
	old=$(worker_of $g)
	kill -9 "$old"
	wait_for $wait_s another_worker || fail "no successor"
}

for cache in writeback none; do
	say "cache $cache: a flush fails, and is not forgotten"
	: >"$tmp/log"
	mounts_new
	opens $cache
	sees "write ok" write 0 65536 3
	faults "fsync EIO 0 1"
	flush_is_lost
	faults
	flush_is_lost
	logs "a flush at sector .* failed: $broken .*every flush will fail until the front end connects anew"
	explains "a flush failed (Input/output error): writes since the one before may be lost"
	sees "write ok" write 0 65536 4
	sees "read ok" read 0 65536 4
	kill_worker
	flush_is_lost
	closes
	opens $cache
	sees "flush ok" flush
	closes
	unmounts
done

say "what was written is lost on its way to the device"
mounts_new --writeback
opens writeback
sees "write ok" write 0 65536 5
faults "write EIO 8192 12288"
flush_is_lost
faults
flush_is_lost
closes

say "... and somebody else is told, and the worker dies"
opens writeback
sees "write ok" write 0 65536 6
faults "write EIO 8192 12288"
! sync "$image" 2>/dev/null || fail "the write-back did not fail"
faults
kill_worker
flush_is_lost
closes
unmounts

say "a durable write that met an error may have been another's"
mounts_new
opens writethrough
faults "write EIO 8192 12288"
sees "write 8192" write 0 65536 7
faults
flush_is_lost
closes
unmounts

# ---- what is lost before anybody flushes ---------------------------------------------------

# A write that the guest was told of; $1: the kernel's own write-back fails, and nobody is told
# ("kernel"), or somebody else's ("other"). The page cache has let go of it.
loses_a_write()
{
	sees "write ok" write 0 65536 1
	sees "flush ok" flush
	sees "write ok" write 0 65536 2
	faults "write EIO 8192 12288"
	if [ $1 = other ]; then
		! sync "$image" 2>/dev/null || fail "the write-back did not fail"
	fi
	# FUSE writes back when a file is closed, and takes that for no fsync.
	python3 - "$image" <<'EOP' || fail "no write-back"
import contextlib, os, sys
with contextlib.suppress(OSError):
    os.close(os.open(sys.argv[1], os.O_RDWR))
os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
EOP
	faults
	sees "read *wrong@8192*" read 0 65536 2
}

end_daemon() { kill "$daemon" && wait "$daemon" || fail "the daemon ended with $?"; }
# passes END: over it.
passes()
{
	case $1 in
	restart) end_daemon; start_daemon ;;
	upgrade) "$paravane" upgrade blkback >"$tmp/said" 2>&1 || fail "$what: $(cat "$tmp/said")" ;;
	*) "$paravane" mirror $g xvda "$tmp/target" "$1" --wait $wait_s >"$tmp/said" 2>&1 || fail "$what: $(cat "$tmp/said")" ;;
	esac
}

for told in kernel other; do
	# An elder is handed on by what was handed it, too.
	for ends in --pivot --stop-at-sync restart upgrade "--stop-at-sync upgrade --stop-at-sync"; do
		what="a write is lost, $told told, and then: $ends"
		say "$what"
		mounts_new --writeback
		opens writeback
		loses_a_write $told
		for end in $ends; do passes $end 7>&-; done
		flush_is_lost
		flush_is_lost
		closes
		unmounts
		rm -f "$tmp/target" "$tmp/run/blkback/vbd.upgrade"
	done
done
what=

# ---- real ones ------------------------------------------------------------------------------------

mkdir "$tmp/small"
for cache in writeback none; do
	say "cache $cache: a full file system, and a shorter image"
	mount -t tmpfs -o size=1M tmpfs "$tmp/small" || skip "no tmpfs"
	image=$tmp/small/image
	truncate -s 4M "$image"
	: >"$tmp/log"
	opens $cache
	sees "write ok" write 0 524288 8
	dd if=/dev/zero of="$tmp/small/other" bs=4k 2>/dev/null
	sees "write 2097152 *" write 2097152 65536 9
	logs "a write at sector 4096 failed: $device_full"
	explains "failed: $device_full"
	sees "read ok" read 0 524288 8
	sees "write ok" write 0 524288 9
	rm "$tmp/small/other"
	sees "write ok" write 2097152 65536 9
	sees "flush ok" flush
	sees "read ok" read 2097152 65536 9
	truncate -s 1M "$image"
	sees "read 2097152 *" read 2097152 65536 9
	sees "read ok" read 0 524288 9
	closes
	wait_for $wait_s umount "$tmp/small" 2>/dev/null || fail "the image is still in use"
done
end_back
