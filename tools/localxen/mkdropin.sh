#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# mkdropin.sh - what a drop-in library must export besides what it implements.
#
#   mkdropin.sh REAL.so "OBJECT..." OUT.c OUT.map
#
# Reads the names and version nodes that the real library exports, takes away
# those which the objects define, and writes a stub for each of the others and
# the version script for all. Stubs of functions that return pointers (known
# from the installed headers) return NULL, the others -1.
set -eu
real=$1 objects=$2 out_c=$3 out_map=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

nm -D --defined-only --with-symbol-versions "$real" |
	awk '$2 != "A" { sub(/@+/, " ", $3); print $3, $2 }' > "$tmp/exports"
# The order in which the version nodes follow each other, oldest first.
nm -D --defined-only --with-symbol-versions "$real" |
	awk '$2 == "A" { print $3 }' | sort -V > "$tmp/nodes"
for o in $objects; do nm --defined-only "$o"; done |
	awk '$2 ~ /^[A-Z]$/ { print $3 }' | sort -u > "$tmp/ours"

# Declarations, one a line, to see which functions return pointers.
for h in xengnttab xenevtchn xenforeignmemory xencall xendevicemodel xenctrl; do
	echo "#include <stdint.h>"
	echo "#include <stdbool.h>"
	echo "#include <$h.h>"
done | ${CC:-cc} -E -P -x c ${XEN_CFLAGS:-} - | tr '\n' ' ' | tr ';{}' '\n\n\n' |
	sed -nE 's/.*\*[[:space:]]*((xen|xc_)[a-z0-9_]+)[[:space:]]*\(.*/\1/p' |
	sort -u > "$tmp/pointers"

{
	echo "/* Made by mkdropin.sh from $(basename "$real"). */"
	echo 'long lx_stub(const char *name, int *said);'
	while read -r name node kind; do
		grep -qx "$name" "$tmp/ours" && continue
		if [ "$kind" != T ]; then
			# Data: the one there is, xenctrl's empty hypercall buffer.
			echo "struct { void *p[4]; } $name = { { 0 } };"
		elif grep -qx "$name" "$tmp/pointers"; then
			echo "void *$name(void);"
			echo "void *$name(void) { static int said; lx_stub(\"$name\", &said); return 0; }"
		else
			echo "long $name(void);"
			echo "long $name(void) { static int said; return lx_stub(\"$name\", &said); }"
		fi
	done < "$tmp/exports"
} > "$out_c.new"
{
	previous=
	while read -r node; do
		echo "$node {"
		echo " global:"
		awk -v n="$node" '$2 == n { print "  " $1 ";" }' "$tmp/exports"
		[ -n "$previous" ] || echo ' local: *;'
		echo "} $previous;" | sed 's/ ;/;/'
		previous=$node
	done < "$tmp/nodes"
} > "$out_map.new"
mv "$out_c.new" "$out_c"
mv "$out_map.new" "$out_map"
