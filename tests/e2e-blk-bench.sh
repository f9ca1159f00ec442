#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/bench block in short, where /dev/shm has no room for its image, as in a
# container: it measures all the same. Nothing is asserted about speed.
. "$(dirname "$0")/lib.sh"
bench=$(cd "$(dirname "$0")/.." && pwd)/tools/bench
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT || exit 1

small="unshare --mount"
[ "$(id -u)" = 0 ] || small="$small --user --map-root-user"
small_shm() { $small sh -c 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"' sh "$@"; }
small_shm true 2>"$tmp/said" || skip "no mounts of our own: $(cat "$tmp/said")"

small_shm "$bench" block --quick --rounds 1 --seconds 0.2 --size 32 --build "${abs_top_builddir:-$PWD}" \
	>"$tmp/table" 2>"$tmp/said" || fail "it said: $(cat "$tmp/said" "$tmp/table")"
grep -q "^4k random read, depth 1 .* IOPS" "$tmp/table" || fail "$(cat "$tmp/table")"
expect 2 "$bench" blocks 2>/dev/null
say ok
