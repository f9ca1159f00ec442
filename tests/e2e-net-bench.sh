#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/bench net in short: our switch and Linux's both move frames and TCP, and the
# table says so as JSON, too. Nothing is asserted about speed.
. "$(dirname "$0")/lib.sh"
bench=$(cd "$(dirname "$0")/.." && pwd)/tools/bench
tmp=$(mktemp -d) && trap 'rm -rf "$tmp" ${session:+"$session"}' EXIT || exit 1
# A login session has its directory below /run, which the namespaces' own /run hides.
session=$(mktemp -d /run/paravane-bench.XXXXXX 2>/dev/null) && export XDG_RUNTIME_DIR="$session"

"$bench" net --quick --rounds 1 --seconds 0.2 --build "${abs_top_builddir:-$PWD}" \
	--json "$tmp/bench.json" >"$tmp/table" 2>"$tmp/said" || {
	grep -q "no network namespaces" "$tmp/said" && skip "$(cat "$tmp/said")"
	fail "it said: $(cat "$tmp/said" "$tmp/table")"
}
grep -q "^64-byte frames, guest to guest .* f/s .* f/s" "$tmp/table" || fail "$(cat "$tmp/table")"
[ "$(grep -c '"ours": [1-9][0-9]*, "peer": [1-9]' "$tmp/bench.json")" = 2 ] ||
	fail "a figure is missing: $(cat "$tmp/bench.json")"
python3 -m json.tool "$tmp/bench.json" >/dev/null || fail "no JSON: $(cat "$tmp/bench.json")"
expect 2 "$bench" nets 2>/dev/null
say ok
