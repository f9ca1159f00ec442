#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/bench-scale with one device of each kind, in little time: it gets to its end, and
# measures all that its table has; an idle disk has less than a mebibyte of its own.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

command -v python3 >/dev/null || skip "no python3 here"
top=${abs_top_builddir:-$PWD}
[ -x "$top/tools/scale-front" ] || skip "tools/scale-front is not built"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

python3 -B "${srcdir:-$(dirname "$0")/..}/tools/bench-scale" --build "$top" --sizes 1 --rest 0.2 \
	--json "$work/json" >"$work/table" 2>"$work/said" || fail "$(cat "$work/said")"
cat "$work/table"
sanitized && with=yes || with=no
python3 -B - "$work/json" $with <<'EOF' || fail "see above"
import json, sys
sanitized = sys.argv[2] == "yes"
one, = json.load(open(sys.argv[1]))
assert one["disks"] == one["nics"] == 1, one
zero = [k for k in one if not one[k] and not k.endswith("_cpu_ms") and not k.startswith("idle_")]
assert not zero, zero
# What docs/capacity.md promises, with or without company.
assert sanitized or one["disk_worker_own_kib"] < 1024, one["disk_worker_own_kib"]
EOF
say passed
