#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Local Xen's libraries export what the installed ones export, with the same
# versions and sonames, and never depend on the installed ones.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need nm binutils
need readelf binutils
libs=${abs_top_builddir:-$PWD}/tools/localxen/lib
real=$(pkg-config --variable=libdir xencontrol) || skip "no pkg-config for libxen-dev"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Functions and data by name and version; kinds of data sections may differ.
symbols() { nm -D --defined-only "$1" | awk '{ print ($2 ~ /[BDR]/ ? "data" : $2), $3 }' | sort; }

count=0
for lib in "$libs"/libxen*.so.*; do
	so=$(basename "$lib")
	symbols "$real/$so" >"$tmp/real"
	symbols "$lib" >"$tmp/ours"
	[ -s "$tmp/real" ] || fail "$real/$so exports nothing"
	cmp -s "$tmp/real" "$tmp/ours" || fail "$so differs:
$(diff "$tmp/real" "$tmp/ours")"
	readelf -d "$lib" >"$tmp/dynamic"
	grep -q "soname: \[$so\]" "$tmp/dynamic" || fail "$so has another soname"
	grep 'NEEDED.*libxen' "$tmp/dynamic" && fail "$so needs an installed libxen*"
	grep -q 'NEEDED.*lib[a-z]*san' "$tmp/dynamic" && fail "$so is sanitized"
	count=$((count + 1))
done
[ $count = 6 ] || fail "$count libraries instead of 6"
say "ok: $count libraries"
