#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# mklib.sh - builds one drop-in library with the whole interface of a real one.
#
# Usage: mklib.sh REAL OUT HEADERS SOURCE...
#
# REAL is the installed library, OUT the one to make (its name is its soname),
# HEADERS the official headers, for which calls return a pointer. Every symbol
# that REAL exports and no SOURCE defines becomes a stub that says so once and
# fails with ENOSYS. Versions are REAL's. CC, CFLAGS and LDLIBS come from the
# environment; they never carry sanitizers, since foreign programs load the
# result. LX_HAVE_name tells the sources what REAL exports.
set -eu

real=$1 out=$2 headers=$3
shift 3
soname=$(basename "$out")
tmp=$out.tmp
rm -rf "$tmp"
mkdir -p "$tmp"
trap 'rm -rf "$tmp"' EXIT

# name, version, type, size (hexadecimal, data only)
${NM:-nm} -D -S --defined-only "$real" | awk '
	{ name = $NF; type = $(NF - 1); size = NF > 3 ? $2 : 0 }
	name ~ /@/ { split(name, part, /@+/); print part[1], part[2], type, size }
	' >"$tmp/symbols"
[ -s "$tmp/symbols" ] || { echo "mklib.sh: $real exports nothing" >&2; exit 1; }
awk '{ print "#define LX_HAVE_" $1 " 1" }' "$tmp/symbols" >"$tmp/have.h"

# One version node after the other, as a linker script has them.
awk '
	{ if (!($2 in seen)) { seen[$2] = 1; order[++n] = $2 }
	  list[$2] = list[$2] "\t\t" $1 ";\n" }
	END { for (i = 1; i <= n; i++)
		printf "%s {\n\tglobal:\n%s%s};\n", order[i], list[order[i]],
			i == 1 ? "\tlocal: *;\n" : "" }
	' "$tmp/symbols" >"$tmp/version"

objects=
for source in "$@"; do
	object=$tmp/$(basename "$source" .c).o
	# shellcheck disable=SC2086
	$CC $CFLAGS -include "$tmp/have.h" -c "$source" -o "$object"
	objects="$objects $object"
done
# shellcheck disable=SC2086
${NM:-nm} -g --defined-only $objects | awk 'NF == 3 { print $3 }' >"$tmp/own"

# Which of the others return a pointer: "* name(" in the preprocessed headers.
for header in $headers; do
	echo "#include <$header>"
done >"$tmp/headers.c"
# shellcheck disable=SC2086
$CC $CFLAGS -E -P "$tmp/headers.c" | tr '\n' ' ' |
	grep -oE '\*[[:space:]]*[a-z_0-9]+[[:space:]]*\(' |
	sed 's/[*([:space:]]//g' >"$tmp/pointers" || true

{
	echo '#include <stddef.h>'
	echo 'long lx_stub(const char *name, int *said);'
	awk -v own="$tmp/own" -v ptr="$tmp/pointers" '
	BEGIN {
		while ((getline line < own) > 0) have[line] = 1
		while ((getline line < ptr) > 0) pointer[line] = 1
	}
	($1 in have) || $3 == "A" { next }
	$3 ~ /[BbDdRr]/ {
		printf "extern char %s[]; char %s[0x%s] __attribute__((aligned(16)));\n",
			$1, $1, $4
		next
	}
	{
		type = $1 in pointer ? "void *" : "long "
		value = $1 in pointer ? "NULL" : "-1"
		printf "%s%s(void);\n%s%s(void)\n{\n\tstatic int said;\n\n" \
			"\tlx_stub(\"%s\", &said);\n\treturn %s;\n}\n\n",
			type, $1, type, $1, $1, value
	}' "$tmp/symbols"
} >"$tmp/stubs.c"
# shellcheck disable=SC2086
$CC $CFLAGS -c "$tmp/stubs.c" -o "$tmp/stubs.o"

# shellcheck disable=SC2086
$CC -shared -o "$tmp/$soname" $objects "$tmp/stubs.o" \
	-Wl,-soname,"$soname" -Wl,--version-script="$tmp/version" \
	-Wl,--no-undefined -Wl,-z,now $LDLIBS
mv "$tmp/$soname" "$out"
