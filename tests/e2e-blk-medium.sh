#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A CD drive whose medium is changed under a connected front end: its size and its
# data are the new medium's, a medium that cannot be had is none.
. "$(dirname "$0")/lib-blk.sh"
. "$(dirname "$0")/lib-disk.sh"
need nbdcopy libnbd-bin
own_xen "$@"

# insert PATH: as a tool stack says it; nothing: takes it out.
insert() { xenstore-write "$(back_dir $g)/params" "$1"; }
size_is() { node_is "$(back_dir $g)/sectors" $(($1 / 512)) && node_is "$(back_dir $g)/state" 4; }
has_medium() { [ "$(info $g image)" = "$1" ] && has_worker $g; }
sees() { [ "$(sed -n "s/.*\"size_bytes\":\([0-9]*\),.*/\1/p" "$tmp/watch" | tail -n 1)" = "$1" ]; }
read_all() { nbdcopy "nbd+unix:///?socket=$tmp/nbd" "$1" 2>"$tmp/nbdcopy.log"; }

seeded 1 2M >"$tmp/one"
seeded 2 2M >"$tmp/two"
seeded 3 3M >"$tmp/three"
start_daemon
make_guest g && g=$domid

say "sizes"
attach_by_hand $g "" r "$(back_dir $g)/device-type" cdrom
guest $g sh -c 'echo $$ >"$1"; exec "$2" info --watch --json' sh "$tmp/pid" "$blkfront" \
	>"$tmp/watch" 2>"$tmp/watch.log" &
watcher=$!
back_reaches $g 4
front_reaches $g 4
wait_for $wait_s sees 0 || fail "an empty drive: $(cat "$tmp/watch" "$tmp/watch.log")"
insert "$tmp/one"
wait_for $wait_s sees 2097152 || fail "a medium is not seen: $(tail -n 5 "$tmp/log")"
insert "$tmp/three"
wait_for $wait_s sees 3145728 || fail "another medium is not seen: $(tail -n 5 "$tmp/log")"
insert "$tmp/missing"
wait_for $wait_s sees 0 || fail "a missing medium: $(tail -n 5 "$tmp/log")"
error_says $g "$tmp/missing"
error_node=/local/domain/0/error/backend/vbd/$g/51712/error
insert "$tmp/two"
wait_for $wait_s sees 2097152 || fail "after a missing one: $(tail -n 5 "$tmp/log")"
! xenstore-read "$error_node" >/dev/null 2>&1 || fail "the error stays"
insert ""
wait_for $wait_s sees 0 || fail "it cannot be taken out: $(tail -n 5 "$tmp/log")"

say "a medium whose server is away, and another one instead"
insert "$tmp/one"
wait_for $wait_s sees 2097152 || fail "a medium is not seen: $(tail -n 5 "$tmp/log")"
insert "nbd+unix:///?socket=$tmp/away"
wait_for $wait_s sees 0 || fail "its guest waits for it: $(tail -n 5 "$tmp/log")"
error_says $g "no NBD server at $tmp/away"
insert "$tmp/three"
wait_for $wait_s sees 3145728 || fail "nothing instead of it: $(tail -n 5 "$tmp/log")"
kill -9 "$daemon"
wait "$daemon"
insert "nbd+unix:///?socket=$tmp/away"
start_daemon
has_error() { [ -n "$(error_of $g)" ]; }
wait_for $wait_s has_error || fail "nobody is told that its server is away"
error_says $g "no NBD server at $tmp/away"
insert "$tmp/one"
wait_for $wait_s sees 2097152 || fail "nothing instead of it when the daemon began: $(tail -n 5 "$tmp/log")"
# Would be taken by who still asks for it, at most two seconds later.
timeout 5 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
s.accept()' "$tmp/away"
[ $? = 124 ] || fail "a server that nobody wants is asked, or was not there"
back_stays $g 4
[ "$(info $g image)" = "$tmp/one" ] && ! grep -q ^server= "$tmp/run/blkback/vbd-$g-51712.info" ||
	fail "it is served as if a server had it"
kill "$(cat "$tmp/pid")"
wait $watcher
back_reaches $g 6
remove_nodes $g

data_under_load()
{
	attach_by_hand $g "$tmp/one" r "$(back_dir $g)/device-type" cdrom
	blkfront $g nbd --socket "$tmp/nbd" >"$tmp/nbd.log" 2>&1 &
	nbd=$!
	back_reaches $g 4
	wait_for $wait_s read_all "$tmp/out" || fail "no data: $(cat "$tmp/nbdcopy.log")"
	cmp "$tmp/out" "$tmp/one" || fail "the first medium"
	for next in two one two one two; do
		while [ ! -e "$tmp/enough" ]; do read_all "$tmp/load" || echo "$next" >>"$tmp/errors"; done &
		load=$!
		insert "$tmp/$next"
		wait_for $wait_s has_medium "$tmp/$next" || fail "$next does not come: $(tail -n 5 "$tmp/log")"
		: >"$tmp/enough"
		wait $load
		rm "$tmp/enough"
		read_all "$tmp/out" || fail "no data of $next: $(cat "$tmp/nbdcopy.log")"
		cmp "$tmp/out" "$tmp/$next" || fail "the data are not those of $next"
	done
	[ ! -e "$tmp/errors" ] || fail "requests failed: $(cat "$tmp/errors" "$tmp/nbdcopy.log")"
	detach_by_hand $g
	wait $nbd
}

if sanitized; then
	say "data under load: not here, nbdkit cannot load a plugin built with sanitizers"
else
	say "data, with requests under way"
	data_under_load
fi

say "while nobody has it, and a disk that is no CD"
attach_by_hand $g "$tmp/one" r "$(back_dir $g)/device-type" cdrom
back_reaches $g 2
insert "$tmp/three"
wait_for $wait_s node_is "$(back_dir $g)/sectors" 6144 || fail "not taken before a front end comes"
blkfront $g read --quiet >"$tmp/out" || fail "not read"
cmp "$tmp/out" "$tmp/three" || fail "the data are not those of three"
remove_nodes $g
attach_by_hand $g "$tmp/one" r
use_disk $g
worker=$(worker_of $g)
insert "$tmp/two"
back_stays $g 4
[ "$(info $g image)" = "$tmp/one" ] && [ "$(worker_of $g)" = "$worker" ] || fail "a disk has changed its image"
detach_by_hand $g
wait $io
end_back
