#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The real xenstored serves dom0 and guests with their own rights: Debian's own
# programs find nothing that differs from a Xen host.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need xenstore-ls xenstore-utils
[ -x $XENBIN/test-xenstore ] || skip "$XENBIN/test-xenstore is missing (xen-utils-4.17)"
own_xen "$@"

a=$("$LOCALXEN" domain --name=a) || fail "no domain"
b=$("$LOCALXEN" domain --name=b) || fail "no domain"
A=/local/domain/$a
B=/local/domain/$b
# As xl does for a guest that asks for it: a directory of its own.
xenstore-write $A/xenstore-test "" $A/data/x 1 $A/ro secret $B/data/x 2
xenstore-chmod $A/xenstore-test n$a
xenstore-chmod $A/data/x n$a
xenstore-chmod $B/data/x n$b
xenstore-chmod $A/ro n0
xenstore-write /top "only dom0's"

say "test-xenstore in dom0 and in a guest"
expect 0 $XENBIN/test-xenstore -i 50 >"$tmp/dom0" 2>&1
expect 0 guest $a $XENBIN/test-xenstore -i 50 >"$tmp/guest" 2>&1
for out in dom0 guest; do
	grep -q "ta err" "$tmp/$out" || fail "test-xenstore stopped early: $(cat "$tmp/$out")"
	! grep -i "fail\|error" "$tmp/$out" || fail "test-xenstore in $out complained"
done

say "the store's tools, relative and absolute"
guest $a xenstore-write data/k v $A/data/dir/sub w || fail "cannot write"
reads v guest $a xenstore-read data/k
reads v guest $a xenstore-read $A/data/k
reads w xenstore-read $A/data/dir/sub
reads "k = \"v\"" guest $a sh -c 'xenstore-ls data | grep ^k'
xenstore-ls -p $A/data >"$tmp/ls0"
guest $a xenstore-ls -p data >"$tmp/ls1"
cmp -s "$tmp/ls0" "$tmp/ls1" || fail "dom0 and the guest see different trees"
grep -q 'sub = "w"' "$tmp/ls1" || fail "xenstore-ls shows too little"
guest $a xenstore-rm data/dir || fail "cannot remove"
refused "couldn't" guest $a xenstore-read data/dir/sub
reads $a guest $a xenstore-read domid
# A value that does not fit the ring at once.
big=$(head -c 1900 /dev/zero | tr '\0' x)
guest $a xenstore-write data/big "$big"
reads "$big" guest $a xenstore-read data/big
reads "$big" xenstore-read $A/data/big

say "permissions hold as on a host"
peer=${abs_top_builddir:-$PWD}/store-peer
denied() { reads "Permission denied" guest "$1" "$peer" try "$2" "$3"; }
denied $b write $A/data/k
denied $b read $A/data/k
denied $b directory $A/data
denied $b rm $A/data/k
denied $b open-up $A/data/k
denied $b mkdir $A/data/new
denied $a read $A/ro
denied $a read /top
denied $a write /top
denied $a write name
denied $a open-up name
denied $a directory /
reads v xenstore-read $A/data/k
refused "" xenstore-read $A/data/new
# The owner opens it, for reading alone.
guest $a xenstore-chmod data/k n$a r$b || fail "the owner may not chmod"
reads v guest $b xenstore-read $A/data/k
denied $b write $A/data/k
guest $a xenstore-chmod data/k n$a b$b
guest $b xenstore-write $A/data/k given || fail "b was given the right to write"
reads given guest $a xenstore-read data/k
xenstore-chmod $A/ro n0 r$a
reads secret guest $a xenstore-read ro

say "watches reach guests and dom0"
"$LOCALXEN" exec $a -- xenstore-watch -n 3 data/w >"$tmp/w1" &
w1=$!
xenstore-watch -n 3 $A/data/w >"$tmp/w2" &
w2=$!
wait_for 30 has_line data/w "$tmp/w1" || fail "no first event in the guest"
wait_for 30 has_line $A/data/w "$tmp/w2" || fail "no first event in dom0"
guest $a xenstore-write data/w 1
xenstore-write $A/data/w/child 2
wait $w1 || fail "the guest's xenstore-watch failed"
wait $w2 || fail "dom0's xenstore-watch failed"
reads "$(printf 'data/w\ndata/w\ndata/w/child')" cat "$tmp/w1"
# One guest is not told of another's nodes.
"$LOCALXEN" exec $b -- xenstore-watch -n 2 $A/data/w >"$tmp/w3" &
w3=$!
wait_for 30 has_line $A/data/w "$tmp/w3" || fail "no first event in b"
guest $a xenstore-write data/w 3
guest $a xenstore-chmod data/w n$a r$b
wait $w3
reads "$(printf '%s\n%s' $A/data/w $A/data/w)" cat "$tmp/w3"

say "what only the tool stack may ask"
refused "" guest $a xenstore-control check
nothing_left
say ok
