#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The comparison's virtual machine: by each model the guest copies the first half of a
# disk onto the second, and the halves are compared here. Then the command itself: its
# table and JSON, and that nothing is left when it is interrupted.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
if [ -z "${E2E_COMPARE_INSIDE:-}" ]; then
	[ -x "$top/tools/compare/paravane-compare-vm" ] ||
		{ echo "skipped: tools/compare/paravane-compare-vm is for x86_64"; exit 77; }
	{ : <>/dev/kvm; } 2>/dev/null || { echo "skipped: /dev/kvm does not open"; exit 77; }
	E2E_COMPARE_INSIDE=1 exec "$top/tools/localxen/localxen" run -- bash "$0"
fi

PATH=$top:$top/tools/localxen:$top/tools/compare:$PATH
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT	# local Xen ends the processes
trap 'exit 1' INT TERM
failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

half=$((256 * 1024))
head -c $((2 * half)) /dev/urandom >"$work/original" || exit 1

# copied NAME COMMAND...: the halves are equal, and the first is as it was
copied()
{
	local name=$1

	shift
	"$@" --op copy --image "$work/image" --deadline 300 >"$work/out" 2>&1 ||
		{ bad "$name: $(cat "$work/out")"; return; }
	cmp -s -n $half "$work/original" "$work/image" || bad "$name: the first half has changed"
	cmp -s -n $half -i 0:$half "$work/image" "$work/image" || bad "$name: the halves differ"
	grep -q '^ops=[1-9]' "$work/out" || bad "$name: no operations counted: $(cat "$work/out")"
}

fresh() { cp "$work/original" "$work/image"; }
has() { grep -q "^$1=$2\$" "$work/out" || bad "$3: expected $1=$2: $(grep "^$1=" "$work/out")"; }

for bs in 4096 131072; do
	for model in ata-pio ata-dma; do
		fresh
		copied "$model $bs" paravane-compare-vm --model $model --bs $bs --depth 8
		has depth 1 "$model"
		has port_exits '[1-9][0-9]*' "$model"
	done
	for flags in '' '--flag every-event' '--flag exits' '--flag poll'; do
		fresh
		copied "virtio $bs $flags" paravane-compare-vm --model virtio --bs $bs --depth 8 $flags
		has port_exits 0 virtio
		has kicks '[1-9][0-9]*' virtio
	done
done

# Xen's ring, with the back end as it is.
localxen domain --name=g --memory=64 >/dev/null || bad "no domain"
fresh
paravane-blkback >"$work/blkback.log" 2>&1 &
paravane attach-disk g "$work/image" xvda --mode 'w!' --no-wait >/dev/null || bad "no disk"
for flags in '' '--flag exits' '--flag no-persistent --flag no-indirect' '--flag bounce' \
	'--flag fresh-grants' '--flag poll' '--flag same-cpu'; do
	for bs in 4096 131072; do
		# in place, because the back end has it open; only the second half is wrong
		dd if="$work/original" of="$work/image" conv=notrunc status=none
		copied "xen $bs $flags" localxen exec g -- paravane-compare-vm --model xen --bs $bs \
			--depth 8 $flags
		has port_exits 0 xen
		has back_ns '[1-9][0-9]*' xen
	done
done

# The command.
paravane compare --ms 20 --quick --only virtio >"$work/table" 2>"$work/err" ||
	bad "paravane compare: $(cat "$work/err")"
grep -q '^virtio ' "$work/table" || bad "no row for virtio: $(cat "$work/table")"
paravane compare --ms 20 --quick --only 'Xen ring' --json >"$work/json" 2>"$work/err" ||
	bad "paravane compare --json: $(cat "$work/err")"
python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))["results"]
assert r and all(x["model"] == "xen" and x["ops"] > 0 and x["persistent_grants"] for x in r), r
' "$work/json" || bad "JSON"
paravane compare --only nonsense >"$work/out" 2>&1
[ $? = 2 ] || bad "--only nonsense: $(cat "$work/out")"

# Interrupted in the middle: its local Xen, image and processes go.
mkdir "$work/run"
XDG_RUNTIME_DIR=$work/run setsid paravane compare >"$work/out" 2>&1 &
pid=$!
for ((i = 0; i < 600; i++)); do
	grep -q '^2 of' "$work/out" && break
	sleep 0.1
done
grep -q '^2 of' "$work/out" || bad "it does not begin: $(cat "$work/out")"
kill -INT $pid
wait $pid
[ $? -ge 125 ] || bad "interrupted, but its status does not say so"
[ -z "$(ls "$work/run")" ] || bad "left behind: $(ls -R "$work/run")"

[ $failures = 0 ] || exit 1
echo "verified data by ATA, virtio and Xen's ring"
