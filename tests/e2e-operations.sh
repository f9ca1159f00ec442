#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# docs/operations.md: what it prints for local Xen is run as it is printed; its other blocks
# are all run by jobs on a real Xen; packaging and pages that it names exist.
. "$(dirname "$0")/lib.sh"
own_xen "$@"
tests=$(cd "$(dirname "$0")" && pwd)
doc=$tests/../docs/operations.md
PATH=$PWD:$PWD/tools/localxen:$PATH
export PARAVANE_RUNDIR="$tmp/run"
mkdir -m 700 "$PARAVANE_RUNDIR"

"$tests/doc-block" "$doc" "local try" >"$tmp/try" || fail "no block for local Xen"
cd "$tmp" || exit 1
# Each must succeed; the guest's disk has no other front end than the one command.
sed -e 's/^/set -e; /' "$tmp/try" >"$tmp/script"
timeout 60 sh -e "$tmp/script" >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out" blkback.log)"
grep -q 'web.img' "$tmp/out" && grep -q 'detached' "$tmp/out" || fail "not as expected: $(cat "$tmp/out")"

sed -n 's/.*(runs: \([a-z0-9 ]*\)).*/\1/p' "$doc" | while read -r block; do
	case $block in
	local*) grep -qF "\"$block\"" "$tests"/e2e-*.sh || fail "block '$block' is run by nobody"
		continue ;;
	esac
	grep -qE "^[[:space:]]*(printed|printed_in [a-z]+) \"$block\"" "$tests"/xenhost/jobs/*.sh || fail "block '$block' is run by nobody"
done || exit 1
sed -n 's/.*(text: \([a-z0-9. ]*\)).*/\1/p' "$doc" | while read -r block; do
	grep -qE "(printed_text|doc-block\" .*) (\"$block\"|$block)" "$tests"/xenhost/jobs/*.sh "$tests"/e2e-*.sh || fail "text '$block' is used by nobody"
done || exit 1
for path in $(grep -o '`tests/[a-z0-9/-]*\.sh`' "$doc" | tr -d '\140' | sort -u); do
	[ -e "$tests/../$path" ] || fail "$path, which the page names, is not there"
done
for example in $(grep -o 'examples/[a-z0-9-]*\.conf' "$doc" | sort -u); do
	[ -e "$tests/../packaging/$example" ] || fail "$example, which the page names, is not there"
done
# One file has both lines: who is told to write the second must not lose the first.
! grep -rnE '[^>]> *"?/etc/mod' "$tests/../docs" "$tests/../tools" || fail "written over, not added to"
say passed
