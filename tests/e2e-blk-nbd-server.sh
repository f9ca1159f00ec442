#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks whose image an NBD server has: data, sizes, what is refused and how that is said.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
! sanitized || skip "nbdkit and qemu-nbd are started by a daemon built with sanitizers"
need nbdkit nbdkit
need qemu-nbd qemu-utils
own_xen "$@"
servers=
trap 'for p in $servers; do kill -9 "$p" 2>/dev/null; done' EXIT

# serve NAME WORDS...: nbdkit at $tmp/NAME.
serve()
{
	server_name=$1
	shift
	nbdkit --foreground --unix "$tmp/$server_name" "$@" >"$tmp/$server_name.log" 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 20 test -S "$tmp/$server_name" || fail "no nbdkit: $(cat "$tmp/$server_name.log")"
}
stop_server() { kill "$1"; wait "$1"; }
uri() { echo "nbd+unix:///${2:-}?socket=$tmp/$1"; }

# refused URI MODE TEXT: it is closed, with a reason.
refused()
{
	attach_by_hand $g "$1" "$2"
	back_reaches $g 6
	error_says $g "$3"
	remove_nodes $g
}

start_daemon
make_guest g && g=$domid
truncate -s 16M "$tmp/disk"
seeded 1 16M >"$tmp/data"

say "data by a socket"
serve file file "$tmp/disk"
attach_by_hand $g "$(uri file)" w
blkfront $g write --quiet <"$tmp/data" || fail "not written: $(tail -n 5 "$tmp/log")"
cmp "$tmp/data" "$tmp/disk" || fail "something else was written"
back_reaches $g 6
remove_nodes $g
attach_by_hand $g "$(uri file)" r
blkfront $g read --quiet >"$tmp/out" || fail "not read: $(tail -n 5 "$tmp/log")"
cmp "$tmp/data" "$tmp/out" || fail "something else was read"
remove_nodes $g

say "what it offers, and its sandbox"
attach_by_hand $g "$(uri file)" w
use_disk $g
[ "$(info $g engine)" = nbd ] || fail "engine is $(info $g engine)"
is_connected() { [ "$(info $g server)" = connected ]; }
wait_for $wait_s is_connected || fail "server is '$(info $g server)'"
[ "$(xenstore-read "$(back_dir $g)/feature-discard")" = 1 ] || fail "no discard"
[ "$(xenstore-read "$(back_dir $g)/multi-queue-max-queues")" = 4 ] || fail "not several connections"
if [ "$(id -u)" = 0 ]; then
	[ ! -e "/proc/$(worker_of $g)/root/etc" ] || fail "the worker sees files"
	! ls -l "/proc/$(worker_of $g)/ns/net" | grep -qF "$(readlink /proc/self/ns/net)" ||
		fail "the worker has the host's network"
fi
# Another is refused by name; readers are not excluded by readers.
make_guest h && h=$domid
attach_by_hand $h "$(uri file)" w
back_reaches $h 6
error_says $h "in use by vbd $g/51712"
remove_nodes $h

say "its size comes with the next connection"
truncate -s 24M "$tmp/disk"
! PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" resize $g xvda 2>"$tmp/said" || fail "resize knows the size"
grep -q 'by the image.s server with the next connection: "paravane upgrade blkback"' "$tmp/said" || fail "$(cat "$tmp/said")"
PARAVANE_RUNDIR=$tmp/run "$PWD/paravane" upgrade blkback >"$tmp/said" || fail "$(cat "$tmp/said")"
rm "$tmp/run/blkback/vbd.upgrade"
wait_for $wait_s node_is "$(back_dir $g)/sectors" 49152 || fail "the size is $(xenstore-read "$(back_dir $g)/sectors")"
detach_by_hand $g
wait $io
stop_server $server

say "by TCP, an export by name, one connection"
serve noconn --filter=multi-conn --filter=exportname memory 8M multi-conn-mode=disable \
	exportname=dis%k exportname-strict=true
attach_by_hand $g "$(uri noconn dis%25k)" w
blkfront $g write --quiet --length 1M <"$tmp/data" || fail "not written: $(tail -n 5 "$tmp/log")"
remove_nodes $g
refused "$(uri noconn other)" w "refuses the export 'other'"
attach_by_hand $g "$(uri noconn dis%25k)" w
use_disk $g
! node_is "$(back_dir $g)/multi-queue-max-queues" 4 || fail "several connections"
detach_by_hand $g
wait $io
stop_server $server
port=$((20000 + $$ % 12000))	# below those that the kernel hands out
nbdkit --foreground --ipaddr 127.0.0.1 --port $port memory 8M >"$tmp/tcp.log" 2>&1 &
server=$!
servers="$servers $server"
listens() { grep -qi ":$(printf %04x $port) .* 0A " /proc/net/tcp; }
wait_for $wait_s listens || fail "nbdkit does not listen on port $port: $(cat "$tmp/tcp.log")"
attach_by_hand $g "nbd://localhost:$port" w
blkfront $g write --quiet --length 1M <"$tmp/data" || fail "not written: $(tail -n 5 "$tmp/log")"
remove_nodes $g
stop_server $server

say "what cannot be"
refused "$(uri nobody)" w "no NBD server at $tmp/nobody"
refused "nbd://localhost:1/x" w "no NBD server at localhost port 1"
refused "nbd:unix:/x" w "expected nbd://HOST"
refused "nbd+unix:///x" w "expected nbd://HOST"
serve ro -r memory 1M
refused "$(uri ro)" w "its server has it read-only; mode must be r"
attach_by_hand $g "$(uri ro)" r
blkfront $g read --quiet --length 4k >"$tmp/out" || fail "a read-only one: $(tail -n 5 "$tmp/log")"
remove_nodes $g
stop_server $server
serve large --filter=blocksize-policy memory 8M blocksize-minimum=64k blocksize-preferred=64k
refused "$(uri large)" w "takes blocks of 65536 bytes"
stop_server $server
serve odd memory 1000000
refused "$(uri odd)" w "not a multiple of the sector"
stop_server $server
end_back

say "without libnbd"
serve again file "$tmp/disk"
mkdir "$tmp/lib"
echo "no library" >"$tmp/lib/libnbd.so.0"
library_path=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$tmp/lib${library_path:+:$library_path} && export LD_LIBRARY_PATH
start_daemon
attach_by_hand $g "$tmp/disk" w
blkfront $g write --quiet --length 1M <"$tmp/data" || fail "a file needs it: $(tail -n 5 "$tmp/log")"
remove_nodes $g
refused "$(uri again)" w "need libnbd (Debian package libnbd0)"
end_back
