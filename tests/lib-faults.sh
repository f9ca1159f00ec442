# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-faults.sh - a file system of one image, which fails as it is told (fault-fs.c). Sourced
# after lib-blk.sh.

fault_fs=$PWD/tests/fault-fs
[ -x "$fault_fs" ] || skip "tests/fault-fs is not built; make check builds it"
can_mount() { [ "$(id -u)" = 0 ] && [ -c /dev/fuse ]; }
need_mount() { can_mount || skip "mounting takes root and /dev/fuse"; }

faults() { printf '%s\n' "$@" >"$tmp/faults.new" && mv "$tmp/faults.new" "$tmp/faults"; }
is_mounted() { [ -e "$tmp/mnt/image" ]; }

# mounts OPTION...: of fault-fs; $image is what $tmp/data has. The caller unmounts, also when it fails.
mounts()
{
	: >"$tmp/faults"
	mkdir -p "$tmp/mnt" || fail "no directory"
	"$fault_fs" "$@" "$tmp/mnt" "$tmp/data" "$tmp/faults" 2>"$tmp/fs.log" &
	fs=$!
	wait_for $wait_s is_mounted || skip "no file system of our own can be mounted: $(cat "$tmp/fs.log")"
	image=$tmp/mnt/image
}

# The supervisor closes the image when the device is.
unmounts() { wait_for $wait_s umount "$tmp/mnt" 2>/dev/null && wait $fs || fail "fault-fs: $(cat "$tmp/fs.log")"; }
