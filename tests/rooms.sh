#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The directions between rooms, as the sources are written:
#
#   common <- xenstore-schema <- backend, frontend <- tools <- tests
#
# A file includes headers of its own room and of those to its left; backend and
# frontend never meet; tools/localxen includes its own headers alone. Only
# xenstore-schema spells a key or calls XenStore with a path; only common/ring.h,
# and figures.h and dirty-map.h for what other processes read, has atomics and barriers.
# docs/architecture.md has a clause of each file of the first four.
set -u
cd "${abs_top_srcdir:-${srcdir:-.}}" || exit 1

failures=0
bad() { printf '%s\n' "$*"; failures=$((failures + 1)); }

declare -A room_of allowed
allowed[common]="common"
allowed[xenstore-schema]="common xenstore-schema"
allowed[backend]="common xenstore-schema backend"
allowed[frontend]="common xenstore-schema frontend"
allowed[tools]="common xenstore-schema backend frontend tools"
allowed[tools/localxen]="tools/localxen"
allowed[tools/compare]="common backend tools/compare tools/localxen"
allowed[tools/compare/guest]="common xenstore-schema frontend tools/compare tools/compare/guest"

for room in "${!allowed[@]}"; do
	for header in "$room"/*.h; do
		[ -f "$header" ] && room_of[${header##*/}]+=" $room"
	done
done
[ ${#room_of[@]} -gt 5 ] || bad "no headers found in $PWD"

# does_include FILE ROOM
check_includes()
{
	local file=$1 room=$2 header from to ok

	for header in $(sed -n 's/^[ \t]*#[ \t]*include "\([^"]*\)".*/\1/p' "$file"); do
		header=${header##*/}
		[ -n "${room_of[$header]:-}" ] || continue
		ok=0
		for from in ${room_of[$header]}; do
			for to in ${allowed[$room]}; do
				[ "$from" = "$to" ] && ok=1
			done
		done
		[ $ok = 1 ] || bad "$file: includes $header of${room_of[$header]}; $room may know: ${allowed[$room]}"
	done
}

nr=0
for room in "${!allowed[@]}"; do
	for file in "$room"/*.[ch]; do
		[ -f "$file" ] || continue
		nr=$((nr + 1))
		check_includes "$file" "$room"
	done
done
[ $nr -gt 20 ] || bad "only $nr files seen"

# What decides about frames is pure: no ring, grant, log or clock, of ours or Xen's.
pure=$(ls backend/{vswitch,frame,shaper,limiter}*.[ch])
found=$(grep -nE '^[ \t]*#[ \t]*include' $pure |
	grep -vE '"(vswitch|frame|shaper|limit|limiter)[a-z-]*\.h"|<(assert|endian|errno|std[a-z]+|string|sys/random|xen/io/netif|xen/grant_table|xen/event_channel)\.h>')
[ -z "$found" ] || bad "not for pure functions:
$found"

# ---- keys ------------------------------------------------------------------------

# Words with a hyphen are keys and nothing else; plain words ("mode") are keys
# when they are given to a function that takes one.
keys=$(sed -n 's/^#define[ \t]*KEY_[A-Z0-9_]*[ \t]*"\([^"]*-[^"]*\)".*/\1/p' xenstore-schema/keys.h | paste -sd'|')
[ -n "$keys" ] || bad "xenstore-schema/keys.h defines no keys"
# "ring-ref%u" is also "ring-ref0", and a key may be part of a path.
keys="(${keys//%u/(%u|[0-9]+)}|feature-[a-z0-9-]+)"
others=$(ls common/*.[ch] backend/*.[ch] frontend/*.[ch] tools/*.[ch] 2>/dev/null)
# Also inside a sentence: "look at hotplug-status" goes stale when the key does.
found=$(grep -nE "\"([^\"]*[^a-z0-9-])?$keys([^a-z0-9-][^\"]*)?\"" $others)
[ -z "$found" ] || bad "keys spelled outside xenstore-schema (keys.h has a name for each):
$found"
found=$(grep -nE '\b(xenbus_(read|write)_(u64|u32|flag|text|string)|xenbus_remove)\([^;]*"' $others)
[ -z "$found" ] || bad "a key's name given outside xenstore-schema:
$found"
found=$(grep -nE '"/local/domain|"/libxl|"@(release|introduce)Domain' $others)
[ -z "$found" ] || bad "paths of XenStore outside xenstore-schema:
$found"

# ---- atomics -----------------------------------------------------------------------

found=$(grep -nE '__atomic_|__sync_|_Atomic|stdatomic|\batomic_[a-z]+\(|\bxen_[rw]?mb\(' \
	common/*.[ch] xenstore-schema/*.[ch] backend/*.[ch] frontend/*.[ch] tools/*.[ch] |
	grep -vE '^common/(ring|figures|dirty-map)\.h:')
[ -z "$found" ] || bad "atomics outside common/ring.h, figures.h and dirty-map.h:
$found"

# ---- sizes and first lines -----------------------------------------------------------

# Functions begin with "{" and end with "}" in the first column.
size_problems()
{
	awk '
	function end_of_file() { if (name && lines > 900) print name ": " lines " lines; 900 at most" }
	FNR == 1 { end_of_file(); name = FILENAME; start = 0 }
	{ lines = FNR }
	/^\{/ { start = FNR }
	/^\}/ { if (start && FNR - start + 1 > 100)
			print FILENAME ":" start ": a function of " FNR - start + 1 " lines; 100 at most"
		start = 0 }
	END { end_of_file() }' "$@"
}

sources=$(ls {common,xenstore-schema,backend,frontend,tools,tools/localxen,tools/compare,tools/compare/guest,tests}/*.[ch])
found=$(size_problems $sources)
[ -z "$found" ] || bad "too long to be read:
$found"

scripts=$(ls tests/*.sh; grep -lI '^#!' tools/* tests/xenhost/* .ci/* 2>/dev/null)
found=$(for file in $sources $scripts Makefile.am configure.ac; do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' || echo "$file"
done)
[ -z "$found" ] || bad "no SPDX line at the top of:
$found"

# Every file of the rooms has its clause in the page about them, and nothing else has one.
page_files=$(sed -n '/^## Files$/,/^## Evidence$/p' docs/architecture.md |
	grep -oE '`[a-z][a-z0-9-]*`(:|,|;| \|)' | tr -d '`:,;| ' | grep -v '^-' | sort -u)
room_files=$(ls {common,xenstore-schema,backend,frontend}/*.[ch] | sed 's/.*\///; s/\.[ch]$//' | sort -u)
found=$(comm -13 <(echo "$page_files") <(echo "$room_files"))
[ -z "$found" ] || bad "docs/architecture.md, Files, has nothing of:
$found"
found=$(comm -23 <(echo "$page_files") <(echo "$room_files"))
[ -z "$found" ] || bad "docs/architecture.md, Files, has what is not there:
$found"

# Code speaks of the project alone, not of the machine it was written on: no absolute path
# where people, and machines that build, have their trees.
found=$(grep -nE '(^|[^A-Za-z0-9_.$})/-])/(home|Users|work|workspace|builds)/' $sources $scripts)
[ -z "$found" ] || bad "paths of somebody's machine:
$found"

[ $failures = 0 ] || exit 1
echo "$nr files in ${#allowed[@]} rooms keep the directions"
