#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a guest without an operating system links: the front ends, the part of
# the schema they use, the ring. Linked into one object, they may need the
# functions listed here and nothing else.
set -u
cd "${abs_top_builddir:-.}" || exit 1
archive=.libs/libpv-freestanding.a
[ -f $archive ] || { echo "$PWD/$archive is missing: make check builds it"; exit 1; }

allowed='
calloc free malloc
memcmp memcpy memmove memset strcmp strlen strncmp
__errno_location
xenevtchn_bind_unbound_port xenevtchn_close xenevtchn_fd xenevtchn_notify
xenevtchn_open xenevtchn_pending xenevtchn_unbind xenevtchn_unmask
xengntshr_close xengntshr_open xengntshr_share_pages xengntshr_unshare
xs_check_watch xs_close xs_directory xs_fileno xs_open xs_read xs_rm xs_set_permissions
xs_transaction_end xs_transaction_start xs_unwatch xs_watch xs_write
'

object=$(mktemp "${TMPDIR:-/tmp}/freestanding.XXXXXX") || exit 1
trap 'rm -f "$object"' EXIT
ld -r --whole-archive $archive -o "$object" || exit 1
needed=$(nm -u "$object" | sed 's/^ *[Uw] //' | sort -u)
case $needed in
*__asan_* | *__tsan_* | *__ubsan_*)
	echo "skipped: a sanitizer's calls are in the code"
	exit 77 ;;
*memcpy*) ;;
*)	echo "nothing in $archive?"
	exit 1 ;;
esac

extra=$(comm -23 <(echo "$needed") <(tr -s ' \n' '\n' <<<"$allowed" | sort -u))
if [ -n "$extra" ]; then
	echo "front ends without an operating system cannot have:"
	for symbol in $extra; do
		printf '  %s, called in' "$symbol"
		nm -uA $archive | awk -v s="$symbol" '$NF == s { sub(/:$/, "", $1); printf " %s", $1 }'
		echo
	done
	exit 1
fi
echo "$(wc -w <<<"$needed") functions from outside, all allowed"
