#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Two whole runs of paravane compare on a Xen host of its own, with the clock that counts
# instructions, agree to 5 % in every cell. They run side by side, since what each shows
# must not depend on what else the machine does.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=${abs_top_builddir:-$PWD}
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
if [ "${PV_FULL:-0}" != 1 ]; then
	echo "deferred: two whole runs of paravane compare on a Xen host, which must agree to 5 % in every cell"
	echo "skipped: belongs to the long form (PV_FULL=1, tools/check --full): some 40 minutes"
	exit 77
fi
. "$here/lib.sh"
! sanitized || { echo "skipped: figures of a build with sanitizers are none"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p); wait; exit 1' INT TERM

failures=0
declare -A run
for n in 1 2; do
	"$top/paravane" compare --on xenhost --json >"$work/$n" 2>"$work/err$n" &
	run[$n]=$!
done
for n in 1 2; do
	wait "${run[$n]}"
	status=$?
	[ $status != 77 ] || { kill $(jobs -p) 2>/dev/null; wait; tail -n 1 "$work/err$n"; exit 77; }
	[ $status = 0 ] || { printf 'FAILED: run %s: %s\n' $n "$(tail -n 30 "$work/err$n")"; failures=1; }
done
[ $failures = 0 ] && "$here/compare-cells" "$work/1" "$work/2" 5
