#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane compare --on xenhost without a host: a stand-in for tests/xenhost/run leaves
# what dom0 would have printed. What becomes of it: JSON, tables, refusals; that an
# interrupt reaches it and nothing is left. The host itself is shown by the jobs compare
# and compare-smoke.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

mkdir -p "$work/tools/compare-xen" "$work/tests/xenhost" || exit 1
cp "$top/paravane" "$work/paravane" || exit 1
: >"$work/tools/compare-xen/compare-xen"
chmod +x "$work/tools/compare-xen/compare-xen"
cat >"$work/tests/xenhost/run" <<'RUN'
#!/bin/bash
here=$(dirname "$0")
printf '%s\n' "$@" >"$here/arguments"
while [ $# -gt 0 ]; do
	case $1 in --keep) keep=$2 ;; esac
	shift
done
echo "$keep" >"$here/keep"
mkdir -p "$keep/boot.1/compare"
cp "$here/records" "$keep/boot.1/compare/records"
[ ! -e "$here/sleeps" ] || { trap 'echo >"$here/ended"; exit 143' TERM; echo >"$here/started"; sleep 60 & wait; echo >"$here/slept"; }
exit "$(cat "$here/status" 2>/dev/null || echo 0)"
RUN
chmod +x "$work/tests/xenhost/run"
fake=$work/tests/xenhost

# line KEY=VALUE...: with tabs between
line() { local IFS=$'\t'; echo "$*"; }
records()
{
	line xen=4.17.7 "kernel=6.1 \"x\"" image_mib=64 "cpu=AMD EPYC" cpus=1 memory_mib=3000
	line "ran=xl create, with name='x'; vif=[]"
	line "table=T 1" "label=HVM, IDE" "command=fio --name=b" device=disk guest=hvm model=ide "back_end=device model" operation=read \
		block_bytes=4096 depth=32 ops=100 ops_per_s=487.5 exits=3000 vcpu_cpu_ns=50000 latency_mean_ns=62944391 bytes_copied_per_byte=1
	line "table=T 2" "label=HVM, IDE" device=disk guest=hvm model=ide operation=write ops=100 ops_per_s=488 \
		"streams_mbit_per_s=5 5.25" streams_interrupts=
	line "table=T 1" "label=PV" device=disk guest=pv model=xen-pv back_end=paravane operation=read \
		"not_equal=a = b" block_bytes=4096 depth=32 ops=1000 ops_per_s=26000
}
compare() { "$work/paravane" compare --on xenhost "$@" >"$work/out" 2>"$work/err"; }

records >"$fake/records"
compare --json --only 'a "b" c' || bad "--json: $(cat "$work/err")"
python3 - "$work/out" <<'END' || bad "JSON: $(cat "$work/out")"
import json, sys
j = json.load(open(sys.argv[1]))
assert j["where"] == "xenhost" and j["clock"] == "instructions" and j["image_mib"] == 64
assert j["versions"]["xen"] == "4.17.7" and j["versions"]["kernel"] == '6.1 "x"'
# The host's machine, not the one that emulates it.
m = j["machine"]
assert m["cpu"] == "AMD EPYC, emulated by QEMU" and m["cpus"] == 1 and m["memory_mib"] == 3000
assert m["kernel"] == 'Linux 6.1 "x" (dom0)' and not m.get("load_average") and "cpu" not in j["versions"]
own = next((l.split(": ", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "")
assert any("emulated by QEMU" in n and own in n and "virtual" in n for n in j["notes"])
a, b, c = j["results"]	# table by table
assert a["exits"] == 3000 and a["ops_per_s"] == 487.5 and a["back_end"] == "device model"
assert a["bytes_copied_per_byte"] == 1 and c["bytes_copied_per_byte"] is None
assert a["hypercalls"] is None and a["changed"] is None and b["not_equal"] == "a = b"
assert j["commands"] == ["xl create, with name='x'; vif=[]"] and a["command"] == "fio --name=b" and b["command"] is None
assert set(a) == set(b) and c["operation"] == "write"
assert c["streams_mbit_per_s"] == [5, 5.25] and c["streams_interrupts"] == [] and a["streams_interrupts"] is None
END
grep -A 2 -xF -- 'COMPARE=--only' "$fake/arguments" | grep -qxF 'a "b" c' || bad "options: $(cat "$fake/arguments")"
grep -qxF compare "$fake/arguments" || bad "which job: $(cat "$fake/arguments")"
[ ! -e "$(cat "$fake/keep")" ] || bad "$(cat "$fake/keep") is left"
for options in --all --quick "--all --disk" "--all --nic"; do
	compare $options || bad "$options: $(cat "$work/err")"
	grep -qx -- "COMPARE=${options%% *}" "$fake/arguments" ||
		bad "$options: $(cat "$fake/arguments")"
	! grep -qx "" "$fake/arguments" || bad "$options: an empty line is an option: $(cat "$fake/arguments")"
done
compare || bad "table: $(cat "$work/err")"
grep -qE '^HVM, IDE +488 .* 30\.00 ' "$work/out" || bad "the table: $(cat "$work/out")"

# refused STATUS PATTERN WHAT
refused()
{
	compare
	[ $? = "$1" ] && grep -qE "$2" "$work/err" || bad "$3: $(cat "$work/err")"
	[ ! -e "$(cat "$fake/keep")" ] || bad "$3: $(cat "$fake/keep") is left"
}
{ records; line table=T ops=x; } >"$fake/records"
refused 1 '"ops=x": expected KEY=VALUE' "no number"
{ records; line table=T "streams_interrupts=1 x 2"; } >"$fake/records"
refused 1 '"streams_interrupts=1": expected KEY=VALUE' "no numbers"
{ records; line table=T nonsense=1; } >"$fake/records"
refused 1 '"nonsense=1": expected' "no known key"
records | head -n 1 >"$fake/records"
refused 1 'nothing was measured' "no records"
records >"$fake/records"
echo 1 >"$fake/status"
refused 1 'run failed' "a job that failed"
echo 77 >"$fake/status"
refused 77 '' "what cannot run is skipped"
echo 2 >"$fake/status"
refused 2 '' "what nothing is measured of is wrong usage"
# What was measured before something failed is shown, and what is said of the rest.
{ records; echo "note=Failed, because the moon was full: T 3: PV"; printf 'table=T 3\tops_per_'; } >"$fake/records"
echo 1 >"$fake/status"
refused 1 'run failed' "a job that failed in part"
grep -qE '^HVM, IDE +488 .* 30\.00 ' "$work/out" && grep -qxF "Failed, because the moon was full: T 3: PV" "$work/out" ||
	bad "what a job measured that failed in part: $(cat "$work/out")"
compare --json
python3 - "$work/out" <<'END' || bad "JSON of a job that failed in part: $(cat "$work/out")"
import json, sys
j = json.load(open(sys.argv[1]))
assert len(j["results"]) == 3 and j["notes"][-1] == "Failed, because the moon was full: T 3: PV"
END
compare --report "$work/report"
grep -qF '<p>Failed, because the moon was full: T 3: PV</p>' "$work/report/index.html" || bad "no note in the report: $(cat "$work/err")"
rm "$fake/status"
records >"$fake/records"

# A directory that cannot be is known before the measuring, not after half an hour.
rm -f "$fake/arguments"
: >"$work/file"
for directory in "$work/no/such" "$work/file"; do
	compare --report "$directory"
	[ $? = 1 ] && grep -qF -- "--report $directory: " "$work/err" || bad "--report: $(cat "$work/err")"
done
[ ! -e "$fake/arguments" ] || bad "measured for a report that cannot be written"

# The command is text in the JSON as a shell takes it, or is not there.
compare --json --only "it's" && grep -qF "\"command\": \"paravane compare --on xenhost --json --only 'it'\\\\''s'\"" "$work/out" ||
	bad "a command with an apostrophe: $(grep command "$work/out") $(cat "$work/err")"
compare --json --only $'t\xe9' && grep -q '"command": null' "$work/out" || bad "a command that is not UTF-8: $(cat "$work/err")"

# The host gets to know of an interrupt, and we wait for it.
: >"$fake/sleeps"
"$work/paravane" compare --on xenhost >"$work/out" 2>"$work/err" &
pid=$!
for try in $(seq 300); do [ ! -e "$fake/started" ] || break; sleep 0.1; done
kill $pid
wait $pid
status=$?
[ $status = 143 ] || bad "interrupted, and status $status"
[ -e "$fake/ended" ] || bad "the interrupt did not get through"
[ ! -e "$(cat "$fake/keep")" ] || bad "interrupted: $(cat "$fake/keep") is left"

# So it does at moments that are hard to hit. What is started sleeps for a minute else.
for moment in directory fork wait; do
	env LD_PRELOAD="$top/tests/signal-early.so" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" SIGNAL_MOMENT=$moment SIGNAL_DIRECTORY="$work/directory" \
		"$work/paravane" compare --on xenhost >"$work/out" 2>"$work/err"
	status=$?
	[ $status = 143 ] || bad "interrupted at $moment: status $status: $(cat "$work/err")"
	[ ! -e "$fake/slept" ] || bad "interrupted at $moment: what was started went on to its end"
	[ ! -e "$(cat "$work/directory")" ] || { bad "interrupted at $moment: $(cat "$work/directory") is left"; rm -r "$(cat "$work/directory")"; }
done
rm "$fake/sleeps"

# In dom0 alone.
"$top/paravane" compare --on xen >"$work/out" 2>&1
[ $? = 77 ] && grep -q 'not the dom0.*--on xenhost' "$work/out" ||
	grep -qs control_d /proc/xen/capabilities || bad "not refused here: $(cat "$work/out")"
"$top/paravane" compare --on nowhere >"$work/out" 2>&1
[ $? = 2 ] && grep -q 'expected xen, kvm or xenhost' "$work/out" || bad "--on nowhere: $(cat "$work/out")"
"$top/paravane" compare --on xen --ms 100 >"$work/out" 2>&1
[ $? = 2 ] && grep -q 'number of operations' "$work/out" || bad "--ms: $(cat "$work/out")"

[ $failures = 0 ]
