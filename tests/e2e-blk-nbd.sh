#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The vbd as an NBD export: programs that nobody here wrote read and write it
# through our front end, and a detach is followed when none of them is there.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
! sanitized ||
	skip "nbdkit cannot load a plugin built with sanitizers"
need nbdkit nbdkit
need nbdcopy libnbd-bin
need nbdinfo libnbd-bin
need qemu-img qemu-utils
own_xen "$@"

make_guest g && g=$domid
truncate -s 32M "$tmp/disk"
start_daemon
attach_by_hand $g "$tmp/disk" w

# With a command: it gets the URI, its exit status is ours.
blkfront $g nbd --run 'nbdinfo --json "$uri"' >"$tmp/info" || fail "nbdinfo: $(cat "$tmp/info")"
for want in '"export-size": 33554432' '"can_trim": true' '"can_flush": true' \
	'"can_fua": true' '"can_multi_conn": true' '"is_read_only": false'; do
	grep -q "$want" "$tmp/info" || fail "nbdinfo does not say $want: $(cat "$tmp/info")"
done
expect 7 blkfront $g nbd --run 'exit 7'

# In by nbdcopy with many requests on several connections, out by qemu-img.
seeded 1 32M >"$tmp/image"
export tmp
blkfront $g nbd --run 'nbdcopy --connections 4 --requests 16 --flush "$tmp/image" "$uri" &&
	qemu-img convert -f raw -O raw "$uri" "$tmp/out" &&
	qemu-img compare -f raw -F raw "$uri" "$tmp/image"' >"$tmp/log" 2>&1 ||
	fail "nbdcopy and qemu-img: $(cat "$tmp/log")"
cmp "$tmp/image" "$tmp/disk" || fail "nbdcopy wrote something else"
cmp "$tmp/image" "$tmp/out" || fail "qemu-img read something else"

# A server: trim makes holes; fua and zero work; a stale socket is no obstacle.
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$tmp/nbd" || fail "no stale socket"
serve()
{
	blkfront $g nbd --socket "$tmp/nbd" "$@" >"$tmp/nbd.log" 2>&1 &
	nbd=$!
	wait_for 20 nbdinfo --size "nbd+unix:///?socket=$tmp/nbd" >/dev/null 2>&1 ||
		fail "no NBD server: $(cat "$tmp/nbd.log")"
}
serve
io() { qemu-io -f raw "nbd+unix:///?socket=$tmp/nbd" "$@" >"$tmp/io" 2>&1 || fail "$(cat "$tmp/io")"; }
io -c "discard 8M 8M" -c "write -f -P 0x5a 1M 64k" -c "write -z 2M 64k" -c flush
[ "$(stat -c %b "$tmp/disk")" -le $((24 * 2048 + 64)) ] || fail "trim left no hole"
head -c 65536 /dev/zero | tr '\0' Z >"$tmp/z"
dd if="$tmp/disk" bs=64k skip=16 count=1 2>/dev/null | cmp - "$tmp/z" || fail "fua write"
dd if="$tmp/disk" bs=64k skip=32 count=1 2>/dev/null | cmp -n 65536 - /dev/zero || fail "zero"

# A second front end of the same disk is refused by name.
expect 1 blkfront $g info 2>"$tmp/said"
grep -q "in use by another process" "$tmp/said" || fail "second front end: $(cat "$tmp/said")"

# A detach is refused while a client is there, who is served on; then it is followed,
# and the server ends.
paravane() { PARAVANE_RUNDIR=$tmp/run "${abs_top_builddir:-$PWD}/paravane" "$@"; }
mkfifo "$tmp/commands"
qemu-io -f raw "nbd+unix:///?socket=$tmp/nbd" <"$tmp/commands" >"$tmp/io" 2>&1 &
client=$!
exec 7>"$tmp/commands"
echo "read 0 64k" >&7
has_read() { [ "$(grep -c "read 65536/65536" "$tmp/io")" = "$1" ]; }
wait_for 20 has_read 1 || fail "the client cannot read: $(cat "$tmp/io")"
expect 6 paravane detach $g xvda --wait 3 2>"$tmp/said"
grep -q "stays attached: .* does not let it go: 16 .*; unmount it there" "$tmp/said" ||
	fail "a busy guest: $(cat "$tmp/said")"
node_is "$(back_dir $g)/state" 5 || fail "the back end did not ask for it"
has_worker $g || fail "the busy disk is not served any more"
echo "write -P 0x11 64k 64k" >&7
wait_for 20 grep -q "wrote 65536/65536" "$tmp/io" || fail "the client lost the disk: $(cat "$tmp/io")"
echo "read -P 0x11 64k 64k" >&7
wait_for 20 has_read 2 || fail "the client lost the disk: $(cat "$tmp/io")"
echo quit >&7
exec 7>&-
wait $client || fail "the client: $(cat "$tmp/io")"
wait_for 20 gone $nbd || fail "the server did not follow the detach"
wait $nbd || fail "the server ended with $?: $(cat "$tmp/nbd.log")"
back_reaches $g 6
reads "xvda of g (domain $g): detached" paravane detach $g xvda --wait 20
xenstore-exists "$(back_dir $g)" && fail "nodes are left"
end_back
