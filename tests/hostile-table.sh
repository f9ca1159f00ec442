#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# docs/hostile.md names tests and jobs that exist, and has a line for every attack.
set -u
: "${srcdir:=$(dirname "$0")/..}"
table=$srcdir/docs/hostile.md
bad=0
say() { echo "hostile-table: $*"; bad=1; }

# ---- every test there is ---------------------------------------------------------------

for name in $(grep -o '\(test\|e2e\|fuzz\)-[a-z0-9-]*[a-z0-9]' "$table" | sort -u); do
	for file in "$srcdir/tests/$name.c" "$srcdir/tests/$name.sh" "$srcdir/tests/fuzz/$name.c" ''; do
		[ ! -e "$file" ] || break
	done
	[ -n "$file" ] || say "$name is named, but there is no such test"
done
for name in $(grep -o '\[X\] [a-z-]*[a-z]' "$table" | cut -c5- | sort -u); do
	[ -e "$srcdir/tests/xenhost/jobs/$name.sh" ] || say "[X] $name is named, but there is no such job"
done
# A case in brackets after an end-to-end test is one that its program knows, and that it plays.
for kind in blk net; do
	test=e2e-$kind-hostile
	for case in $(grep -o "$test ([^)]*)" "$table" | sed 's/.*(//; s/[,)]/ /g'); do
		grep -q "{ \"$case\"," "$srcdir/tests/hostile-$kind.c" || say "hostile-$kind has no case $case"
		grep -E '^[^#]*(plays |stops |"\$hostile"|attacks=|for case in)' "$srcdir/tests/$test.sh" |
			grep -vE '^\s*(say|fail) ' | sed 's/|| .*//; s/fail ".*//' | grep -qw -e "$case" ||
			say "$test does not play $case"
	done
done

# An attack with a number of ours is found in one of the tests that are named for it, by that number.
files_of()
{
	for test in $(echo "$1" | grep -o '\(test\|e2e\|fuzz\)-[a-z0-9-]*[a-z0-9]'); do
		ls "$srcdir/tests/$test.c" "$srcdir/tests/$test.sh" "$srcdir/tests/fuzz/$test.c" 2>/dev/null
	done
	for job in $(echo "$1" | grep -o '\[X\] [a-z-]*[a-z]' | cut -c5-); do
		echo "$srcdir/tests/xenhost/jobs/$job.sh"
	done
}
grep -E '^\| (RING|BLK|NET|XS|EV|LIFE|WORKER)-' "$table" | grep -v '| as [A-Z]*-[0-9]* |$' >"hostile-table-$$"
while read -r row; do
	files=$(files_of "${row##*| }") ids=$(echo "$row" | cut -d'|' -f2 | grep -oE '[A-Z]+-[0-9]+')
	for id in $ids; do
		grep -qw -e "$id" $files /dev/null || say "$id is in none of its tests: $files"
	done
done <"hostile-table-$$"
rm "hostile-table-$$"

# ---- every attack is there ---------------------------------------------------------------

for id in 39 90 142 155 197 216 229 270 300 316 318 331 332 349 350 361 362 365 367 371 374 376 391 \
	392 396 403 405 423 424 432 441 448 457 465; do
	grep -q "^|[^|]*XSA-$id\b" "$table" || say "no line for XSA-$id"
done
for id in RING-1 RING-2 RING-3 RING-4 RING-5 RING-6 BLK-1 BLK-2 BLK-3 BLK-4 BLK-5 BLK-6 BLK-7 BLK-8 BLK-9 \
	BLK-10 BLK-11 NET-1 NET-5 NET-6 NET-7 NET-8 NET-9 NET-10 NET-11 NET-12 XS-1 XS-2 XS-3 XS-4 XS-5 XS-6 \
	WORKER-1 WORKER-2 WORKER-3 WORKER-4 WORKER-5 WORKER-6 WORKER-7 WORKER-8 WORKER-9 WORKER-10 WORKER-11 EV-1 LIFE-1 LIFE-2 LIFE-3 LIFE-4 CVE-2026-45890 CVE-2026-99286 CVE-2026-100080; do
	grep -q "^|[^|]*$id\b" "$table" || say "no line for $id"
done
# What nothing here shows is said.
for id in XSA-406 CVE-2026-31788; do
	sed -n '/^## Not shown/,$p' "$table" | grep -q "^- $id\b" || say "no word of $id"
done
for file in "$srcdir"/tests/fuzz/fuzz-*.c; do
	name=$(basename "$file" .c)
	case $name in fuzz-common|fuzz-replay|fuzz-afl) continue ;; esac
	grep -q "$name\b" "$table" || say "$name is not named"
done
[ $bad = 0 ] && echo "hostile-table: passed"
exit $bad
