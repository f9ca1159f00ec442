#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `localxen fail` reaches the store calls of a guest: one client, one call.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
own_xen "$@"

g=$("$LOCALXEN" domain) || fail "no domain"
w=$("$LOCALXEN" domain) || fail "no domain"
guest $g xenstore-write data/k v || fail "cannot write"

say "the second write from now fails, once"
"$LOCALXEN" fail store-write --domain $g --nth 2 --errno ENOSPC >/dev/null || fail "no rule"
guest $g xenstore-write data/k 1 || fail "the first write failed"
refused "could not write" guest $g xenstore-write data/k 2
reads 1 xenstore-read /local/domain/$g/data/k
guest $w xenstore-write data/k other || fail "another domain was hit"
guest $g xenstore-write data/k 3 || fail "the third write failed"
reads 3 xenstore-read /local/domain/$g/data/k
"$LOCALXEN" fail --clear || fail "cannot clear"

say "a commit that fails leaves no transaction behind"
peer=${abs_top_builddir:-$PWD}/store-peer
before=$(guest $g "$peer" quota)
# The second transaction call of each commit is its end.
i=0
while [ $i -lt 20 ]; do
	"$LOCALXEN" fail store-transaction --domain $g --nth 2 --errno EAGAIN >/dev/null
	refused "commit failed" guest $g "$peer" commit data/k lost
	"$LOCALXEN" fail --clear
	i=$((i + 1))
done
reads 3 guest $g xenstore-read data/k
reads "$before" guest $g "$peer" quota
nothing_left
say ok
