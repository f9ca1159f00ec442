#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `localxen destroy`: a domain dies without goodbye. Its processes are dead,
# watchers of @releaseDomain know, the others live on.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need xenstore-watch xenstore-utils
own_xen "$@"

"$LOCALXEN" domain --name=victim >"$tmp/a" || fail "no domain"
a=$(cat "$tmp/a")
b=$("$LOCALXEN" domain --name=witness) || fail "no domain"

fired() { [ "$(grep -c @releaseDomain "$tmp/released")" -ge "$1" ]; }
xenstore-watch @releaseDomain >"$tmp/released" &
wait_for 30 fired 1 || fail "no first event of @releaseDomain"
xenstore-watch @introduceDomain >"$tmp/introduced" &
wait_for 30 test -s "$tmp/introduced" || fail "no first event of @introduceDomain"

# No handle opened; a child of its own session; one that ignores what it can; one of no
# environment.
cat >"$tmp/victim" <<'END'
trap '' TERM HUP INT
setsid sleep 1000 &
echo $! >$1/pid1
sh -c 'trap "" TERM; while :; do sleep 1000; done' &
echo $! >$1/pid2
xenstore-watch data >/dev/null &
echo $! >$1/pid3
echo $$ >$1/pid0
wait
END
"$LOCALXEN" exec victim -- sh "$tmp/victim" "$tmp" &
"$LOCALXEN" exec victim -- env -i sh -c 'sleep 1000 & echo $! >$0/pid4; wait' "$tmp" &
"$LOCALXEN" exec witness -- sleep 1000 &
witness=$!
wait_for 30 test -s "$tmp/pid0" -a -s "$tmp/pid4" || fail "the victim did not start"
[ -S "$LOCALXEN_DIR/xenbus-$a" ] || fail "no store socket for the victim"
guest victim xenstore-write data/k v || fail "the victim cannot write"

say "destroy"
expect 0 "$LOCALXEN" destroy victim
# Its processes are dead when the command returns.
for n in 0 1 2 3 4; do
	pid=$(cat "$tmp/pid$n")
	state=$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null)
	[ "${state:-Z}" = Z ] || fail "process pid$n of the victim lives on ($state)"
done
wait_for 30 fired 2 || fail "@releaseDomain did not fire"
[ ! -e "$LOCALXEN_DIR/xenbus-$a" ] || fail "its store socket is still there"
refused "couldn't" xenstore-read /local/domain/$a/name
refused "no domain" "$LOCALXEN" exec victim -- true
refused "no domain" "$LOCALXEN" destroy victim

say "the others live on"
kill -0 $witness || fail "the witness died too"
guest witness xenstore-write data/k alive || fail "the witness cannot write"
reads alive xenstore-read /local/domain/$b/data/k
c=$("$LOCALXEN" domain --name=victim) || fail "the name cannot be used again"
[ "$c" != "$a" ] || fail "a domid was used again at once"
reads victim guest $c xenstore-read name
expect 0 "$LOCALXEN" destroy $c
reads "$a" "$LOCALXEN" domain --domid=$a --name=victim
reads "$a" guest victim xenstore-read domid
refused "one of this number is there" "$LOCALXEN" domain --domid=$a
refused "one of this name is there" "$LOCALXEN" domain --name=victim
refused "one of this name is there" "$LOCALXEN" domain --name="Domain-0"
refused "taken for a number" "$LOCALXEN" domain --name=7
d=$("$LOCALXEN" domain --name=guest100 --domid=99) || fail "no domain"
refused "default name" "$LOCALXEN" domain --domid=100
expect 0 "$LOCALXEN" destroy $d
fired_intro() { [ "$(grep -c @introduceDomain "$tmp/introduced")" -ge 2 ]; }
wait_for 30 fired_intro || fail "@introduceDomain did not fire"

say "many, one after another and while their clients are busy"
i=0
while [ $i -lt 15 ]; do
	g=$("$LOCALXEN" domain) || fail "no domain after $i"
	"$LOCALXEN" exec $g -- "${abs_top_builddir:-$PWD}/store-peer" storm data 1000000 >/dev/null 2>&1 &
	"$LOCALXEN" exec $g -- xenstore-watch data >/dev/null 2>&1 &
	guest $g xenstore-write data/k $i || fail "domain $g cannot write"
	expect 0 "$LOCALXEN" destroy $g
	i=$((i + 1))
done
wait_for 30 fired 19 || fail "not every destroy fired @releaseDomain"
reads alive guest witness xenstore-read data/k
! xenstore-ls /local/domain | grep -q "^$g = " || fail "nodes of domain $g are left"
nothing_left
say ok
