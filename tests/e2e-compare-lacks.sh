#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane compare where something is lacking: it says so, and shows what it has. /dev/kvm, a
# second CPU, counters of KVM's, its clock, the right to bind threads to CPUs or to start
# programs; a measurement that fails. What it started ends with it.
# The quick run: plain
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

top=${abs_top_builddir:-$PWD}
[ -x "$top/tools/compare/paravane-compare-vm" ] ||
	skip "tools/compare/paravane-compare-vm is for x86_64"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
export XDG_RUNTIME_DIR=$work TMPDIR=$work
failures=0
bad() { say "FAILED: $*"; failures=$((failures + 1)); }

# lacking WHAT STATUS OPTIONS...: without the network, which another test has
lacking()
{
	local what=$1 expected=$2 status

	shift 2
	COMPARE_LACKS=$what ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
		LD_PRELOAD=$top/tests/compare-lacks.so "$top/paravane" compare --disk --ms 20 --size 8 \
		--rounds 1 "$@" >"$work/out" 2>"$work/err"
	status=$?
	[ $status = "$expected" ] ||
		bad "$what: status $status, expected $expected: $(cat "$work/out" "$work/err")"
}
out_has() { grep -q -- "$1" "$work/out" || bad "$2: no \"$1\" in: $(cat "$work/out")"; }
err_has() { grep -q -- "$1" "$work/err" || bad "$2: no \"$1\" in: $(cat "$work/err")"; }
json_is()
{
	python3 -c '
import json, sys
c = json.load(open(sys.argv[1])); r = c["results"]
assert eval(sys.argv[2]), c' "$work/out" "$2" || bad "$1: not $2"
}

# ---- /dev/kvm: another /dev, which has none
own=(unshare --mount)
[ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
if "${own[@]}" mount -t tmpfs none /mnt 2>/dev/null; then
	"${own[@]}" sh -c 'mount -t tmpfs none /dev && exec "$@"' - "$top/paravane" compare --on kvm \
		>"$work/out" 2>"$work/err"
	[ $? = 77 ] || bad "without /dev/kvm: $(cat "$work/out" "$work/err")"
	err_has '/dev/kvm: No such file' "without /dev/kvm"
	err_has '--on xenhost' "without /dev/kvm"
else
	say "no mount namespace: without /dev/kvm is not tried"
fi
{ : <>/dev/kvm; } 2>/dev/null || skip "/dev/kvm does not open"
need python3 python3

# ---- counters that KVM has not
lacking stats 0 --only 'read, depth 1' --json
json_is stats 'len(r) == 8 and all(x["exits"] is None and x["halts"] is None for x in r)'
json_is stats 'all(x["port_exits"] > 0 for x in r if x["model"].startswith("ata"))'
lacking nothing 0 --only '4 KiB random read, depth 1' --json
json_is nothing 'all(x["exits"] > 0 and x["halts"] is not None for x in r)'
# Nobody but the guest's own CPU serves an ATA disk.
json_is nothing '[x["back_end_cpu_ns"] is None for x in r] == [True, True, False, False]'
lacking cpuid 0 --only '4 KiB random read, depth 1' --json
json_is cpuid 'len(r) == 4'
lacking tsc 1 --only ata-dma
err_has KVM_GET_TSC_KHZ tsc
[ ! -s "$work/out" ] || bad "results without a clock: $(cat "$work/out")"

# ---- one measurement fails: the others are there, and it has a name
lacking run:ata-dma 1 --only '4 KiB random read, depth 1'
out_has '^ATA PIO  *[0-9]' "one fails"
out_has '^Xen ring  *[0-9]' "one fails"
! grep -q '^ATA DMA' "$work/out" || bad "a row of what failed: $(cat "$work/out")"
out_has '^Failed: 4 KiB random read, depth 1, ATA DMA: .*Input/output error' "one fails"

# ---- CPUs
lacking bind 0 --only 'virtio, one thing'
out_has '^polling  *[0-9]' bind
! grep -q '^back end' "$work/out" || bad "bound all the same: $(cat "$work/out")"
out_has '^Left out: virtio, one thing .* back end same CPU: .*cannot be bound' bind
lacking bind 77 --only 'back end same CPU'
[ ! -s "$work/out" ] || bad "bound all the same: $(cat "$work/out")"
cpu=$(sed -n 's/^Cpus_allowed_list:\t\([0-9]*\).*/\1/p' /proc/self/status)
taskset -c "$cpu" true || skip "taskset does not work"
COMPARE_LACKS= LD_PRELOAD= taskset -c "$cpu" "$top/paravane" compare --ms 20 --size 8 --rounds 1 \
	--only 'back end' >"$work/out" 2>"$work/err" || bad "one CPU: $(cat "$work/err")"
out_has '^back end same CPU  *[0-9]' "one CPU"
out_has '^Left out, because there is one CPU: virtio, one thing .* back end own CPU' "one CPU"
grep '^Left out.*: Xen netif' "$work/out" | grep -qv 'one CPU' ||	# no network
	out_has '^Left out, because there is one CPU: Xen netif, .* back end own CPU' "one CPU"

# ---- programs
lacking fork 1 --only ata-dma
err_has 'cannot be started: Resource temporarily unavailable' fork
many=()
for i in {1..40}; do many+=(--disk); done
lacking nothing 2 "${many[@]}" --only nonsense
err_has nonsense "many options"

# Killed, it takes along what it started in a local Xen that goes on.
cat >"$work/killed" <<'EOF'
ours()
{
	local file

	for file in $(grep -lsz "^COMPARE_MARK=$1\$" /proc/[0-9]*/environ); do
		grep -s '^paravane' "${file%environ}comm"
	done
}
COMPARE_MARK=$1 "$2" compare --inside='no namespace' --disk --only 'Xen ring' --ms 5000 --size 8 2>"$3" &
pid=$!
for program in blkbac compar; do	# the latter is the virtual machine
	until ours "$1" | grep -q "^paravane-$program"; do sleep 0.1; done
done
kill -KILL $pid
wait $pid 2>/dev/null
for i in $(seq 300); do
	[ -n "$(ours "$1")" ] || exit 0
	sleep 0.1
done
ours "$1"
exit 1
EOF
"$LOCALXEN" run -- bash "$work/killed" "compare-lacks-$$-$RANDOM" "$top/paravane" "$work/killed.err" ||
	bad "killed, it leaves programs behind"

[ $failures = 0 ] || exit 1
say "what is lacking is said, and what is there is shown"
