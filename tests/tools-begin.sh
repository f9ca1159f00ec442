#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How tools/demo and tools/check begin: a directory is one run's at a time, and a path
# that make cannot work in is named at once.
. "$(dirname "$0")/lib.sh"
tools=$(cd "$(dirname "$0")/.." && pwd)/tools
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit 1
spaced="$work/a clone"
mkdir -p "$work/d" "$spaced/tools"
cp "$tools/check" "$tools/demo" "$tools/namespaces.sh" "$spaced/tools" || fail "cp"

# begins PROGRAM BUILD: what it does when nothing keeps it from it is not for here
begins()
{
	case $1 in
	*/check) timeout 20 "$1" --only scripts --no-deps --build "$2" ;;
	*) timeout 20 "$1" --no-bench --build "$2" ;;
	esac
}

for program in check demo; do
	say "tools/$program"
	(flock 9 && refused "another run uses $work/d; give --build DIR" begins "$tools/$program" "$work/d") \
		9>"$work/d/lock" || fail "see above"
	for dir in "$work/b d" "$work/b:d"; do
		refused "with spaces or colons: " begins "$tools/$program" "$dir"
		[ ! -e "$dir" ] || fail "it has begun"
	done
done
refused "with spaces or colons: $spaced" begins "$spaced/tools/check" "$work/d"
refused "with spaces or colons: $spaced" env -u DEMO_BUILD timeout 20 "$spaced/tools/demo" --no-bench
say ok
