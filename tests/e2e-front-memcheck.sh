#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The front ends under valgrind: their unit tests, then both programs in guests of a local
# Xen. No use of what is not initialized, no access out of bounds, no leak.
# PV_FULL=1: all of their unit tests.
. "$(dirname "$0")/lib.sh"
need valgrind valgrind
! sanitized || skip "the build has sanitizers, and valgrind does not go with them"
export PARAVANE_RUNDIR
memcheck="valgrind -q --fair-sched=yes --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible"
own_xen "$@"
PARAVANE_RUNDIR=$tmp/run

# checked COMMAND...: under valgrind.
checked()
{
	"$@" >"$tmp/out" 2>&1 || fail "$*: ended with $?: $(grep -e '^==' -e 'not ok' -e 'FAILED' "$tmp/out" | head -40; tail -3 "$tmp/out")"
	! grep '^==' "$tmp/out" || fail "$*: see above"
}

tests="test-frontdev test-netfront-control"
if [ -n "${PV_FULL:-}" ]; then
	tests="$tests test-blkfront test-blkfront-events test-holdoff test-netfront test-netfront-flip test-netfront-hostile"
else
	say "deferred: six more unit tests of the front ends under valgrind"
fi
for t in $tests; do
	[ -x "tests/$t" ] || skip "tests/$t is not built; make check builds it"
	say "$t"
	# Outside of the local Xen: their whole world is in their process.
	checked env -u LD_LIBRARY_PATH $memcheck "tests/$t"
done

mkdir -m 700 "$tmp/run"
for kind in blkback netback; do
	"$PWD/paravane-$kind" --log-level=warning 2>"$tmp/$kind" &
	eval "$kind=\$!"
	wait_for 60 test -e "$tmp/run/$kind" || fail "$kind: $(cat "$tmp/$kind")"
done
truncate -s 8M "$tmp/image"
domid=$("$LOCALXEN" domain --name=m)
"$PWD/paravane" attach-disk "$domid" "$tmp/image" xvda --no-wait --no-libxl >"$tmp/out" 2>&1 &&
	"$PWD/paravane" attach-nic "$domid" bridge=m --no-wait --no-libxl >"$tmp/out" 2>&1 ||
	fail "$(cat "$tmp/out")"
say "paravane-blkfront"
blkfront="$memcheck $PWD/paravane-blkfront"
checked guest "$domid" $blkfront info
checked guest "$domid" $blkfront bench --ops 100 --pattern mixed --overwrite --verify --depth 8
say "paravane-netfront"
checked guest "$domid" $memcheck "$PWD/paravane-netfront" bench tx --size 200 --seconds 0.1
"$PWD/paravane" detach "$domid" xvda >"$tmp/out" 2>&1 && "$PWD/paravane" detach "$domid" vif0 >"$tmp/out" 2>&1 ||
	fail "$(cat "$tmp/out")"
kill "$blkback" "$netback"
wait "$blkback" && wait "$netback" || fail "a daemon ended badly: $(cat "$tmp/blkback" "$tmp/netback")"
nothing_left
say passed
