#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The front ends and the schema they use link without an operating system: what
# they need from outside is libxen* calls, memory and string functions, and a
# place for errno; nothing else.
set -u
top=${abs_top_srcdir:-$(dirname "$0")/..}
cd "${abs_top_builddir:-.}" || exit 1
grep -q '^SANITIZED_FALSE = #' Makefile &&
	{ echo "skipped: sanitizers add symbols of their own"; exit 77; }

allowed='__errno_location|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|calloc|malloc|free'
allowed+='|memcmp|memcpy|memmove|memset|strcmp|strlen|strncmp'
allowed+='|xengntshr_(share_pages|unshare)'
allowed+='|xenevtchn_(bind_unbound_port|notify|pending|unbind|unmask)'
allowed+='|xs_(check_watch|directory|read|rm|transaction_end|transaction_start|unwatch|watch|write)'

# objects VARIABLE LIBRARY: of the sources that Makefile.am lists in VARIABLE
objects()
{
	sed -n "/^$1 =/,/[^\\\\]\$/p" "$top/Makefile.am" | tr ' \t\\' '\n\n\n' |
		sed -n "s,\(.*\)/\(.*\)\.c\$,\1/.libs/$2-\2.o,p"
}

mapfile -t all < <(objects FRONTEND_FREESTANDING libpv_frontend_la
		   objects SCHEMA_FREESTANDING libpv_schema_la)
[ ${#all[@]} -ge 10 ] || { echo "only ${#all[@]} objects found: ${all[*]}"; exit 1; }
for o in "${all[@]}"; do
	[ -f "$o" ] || { echo "no $o: is it built?"; exit 1; }
done

defined=$(nm --defined-only "${all[@]}" | awk 'NF == 3 && $2 ~ /[A-Z]/ { print $3 }')
bad=0
for o in "${all[@]}"; do
	while read -r symbol; do
		grep -qxF -- "$symbol" <<<"$defined" && continue
		grep -qxE -- "$allowed" <<<"$symbol" && continue
		echo "$o needs $symbol, which a guest without an operating system lacks"
		bad=1
	done < <(nm -u "$o" | awk '{ print $2 }')
done
exit $bad
