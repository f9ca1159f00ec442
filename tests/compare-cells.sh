#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# That two runs of paravane compare agree can be told (tests/compare-cells). That two whole
# runs do is xenhost/compare-twice's.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

# run FILE WORD...: two measurements, with members changed by NUMBER.KEY=VALUE
run()
{
	python3 - "$@" <<-'END'
	import json, sys
	base = {"table": "T", "ops": 1000, "ops_per_s": 5000.0, "latency_mean_ns": 200000,
	        "exits": 30000, "halts": None, "interrupts": 20, "vcpu_cpu_ns": 5000000}
	rs = [dict(base, label="a"), dict(base, label="b")]
	for word in sys.argv[2:]:
	    key, value = word.split("=", 1)
	    n, key = key.split(".", 1)
	    rs[int(n)][key] = json.loads(value)
	json.dump({"results": rs}, open(sys.argv[1], "w"))
	END
}

# told STATUS PATTERN WHAT WORD...: against the unchanged run
told()
{
	local status=0 wanted=$1 pattern=$2 what=$3
	shift 3

	run "$work/a"
	run "$work/b" "$@"
	"$here/compare-cells" "$work/a" "$work/b" >"$work/out" 2>&1 || status=$?
	[ $status = "$wanted" ] || bad "$what: status $status: $(cat "$work/out")"
	grep -qE "$pattern" "$work/out" || bad "$what: expected $pattern: $(cat "$work/out")"
}

told 0 '^10 cells, 0 differ' "the same"
told 0 'worst by 4\.[0-9] %' "a little less than 5 %" 0.ops_per_s=5240
told 1 '^T: b: ops_per_s: 5000.0 and 5300.0, 5\.7 %' "more" 1.ops_per_s=5300
told 1 'exits: 30.0 and 28.0' "per operation" 0.exits=28000
told 0 ' 0 differ' "the same per operation" 0.ops=2000 0.exits=60000 0.interrupts=40 0.vcpu_cpu_ns=10000000
told 0 ' 0 differ' "too little to matter" 0.interrupts=39
told 1 'interrupts: 0.02 and 0.06' "enough to matter" 0.interrupts=60
told 1 'halts: None and 1.0, 100' "counted in one alone" 0.halts=1000
told 1 'T: b: only in the first' "a measurement is missing" '1.label="c"'
told 2 'no comparison' "no number" '0.ops="x"'
two_rates()
{
	run "$work/a" '1.label="a, faster"' 1.ops_per_s=7000
	run "$work/b" '1.label="a, faster"' "$@"
	for files in "a b" "b a"; do
		(cd "$work" && "$here/compare-cells" $files) || :
	done
}
two_rates 1.ops_per_s=7000 | grep -c '^10 cells, 0 differ' | grep -qx 2 || bad "both have two rates"
two_rates 1.ops_per_s=7600 | grep -c '^T: a: ops_per_s: 7' | grep -qx 2 || bad "both have two rates, of which one differs"
# one_rate OPS: the first run has two
one_rate()
{
	run "$work/a" '1.label="a, faster"' 1.ops_per_s=7000
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); d["results"] = [dict(d["results"][0], ops_per_s=float(sys.argv[2]))]; json.dump(d, open(sys.argv[3], "w"))' \
		"$work/a" "$1" "$work/b"
	for files in "a b" "b a"; do
		(cd "$work" && "$here/compare-cells" $files) || :
	done
}
one_rate 7100 | grep -c '^5 cells, 0 differ' | grep -qx 2 || bad "a rate that one run alone has seen, the slower"
one_rate 5100 | grep -c '^5 cells, 0 differ' | grep -qx 2 || bad "a rate that one run alone has seen, the faster"
one_rate 6000 | grep -c '^5 cells, 1 differ' | grep -qx 2 || bad "a rate that is neither"
"$here/compare-cells" "$work/a" 2>/dev/null
[ $? = 2 ] || bad "one file is too few"

[ $failures = 0 ]
