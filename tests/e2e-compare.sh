#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The comparison's virtual machine: by each model the guest copies the first half of a
# disk onto the second, and the halves are compared here; by each network card frames of
# all lengths and a stream go both ways, and whoever receives one compares every octet. Then
# the command itself: its table and JSON (interrupted: e2e-compare-interrupt.sh).
# The quick run: asan
set -u -o pipefail

# Built with sanitizers, not every size by every flag: what differs by the size is in the models.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
sizes="4096 131072" frame_sizes="60 1514"
! sanitized || sizes=131072 frame_sizes=1514
top=${abs_top_builddir:-$PWD}
if [ -z "${E2E_COMPARE_INSIDE:-}" ]; then
	[ -x "$top/tools/compare/paravane-compare-vm" ] ||
		{ echo "skipped: tools/compare/paravane-compare-vm is for x86_64"; exit 77; }
	{ : <>/dev/kvm; } 2>/dev/null || { echo "skipped: /dev/kvm does not open"; exit 77; }
	own=(unshare --net)
	[ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
	"${own[@]}" true 2>/dev/null && [ -c /dev/net/tun ] || own=()
	E2E_COMPARE_INSIDE=${own[0]:-no} exec "${own[@]}" "$top/tools/localxen/localxen" run -- bash "$0"
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

for bs in $sizes; do
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
	for bs in $sizes; do
		# in place, because the back end has it open; only the second half is wrong
		dd if="$work/original" of="$work/image" conv=notrunc status=none
		copied "xen $bs $flags" localxen exec g -- paravane-compare-vm --model xen --bs $bs \
			--depth 8 $flags
		has port_exits 0 xen
		has back_ns '[1-9][0-9]*' xen
	done
done
# What it has copied is in its figures, or known to nobody.
xen_copies()
{
	dd if="$work/original" of="$work/image" conv=notrunc status=none
	copied "xen, copies, $*" localxen exec g -- paravane-compare-vm --model xen --bs 4096 --depth 8 "$@"
}
# The last answers are counted just after they are given.
copies_are()
{
	local n

	n=$(sed -n 's/^copied_bytes=//p' "$work/out")
	[ -n "$n" ] && [ "$n" -le "$1" ] && [ "$n" -gt $(($1 * 9 / 10)) ] || bad "$2: expected $1 copied: $n"
}
xen_copies --figures "$PARAVANE_RUNDIR/blkback"
copies_are $((2 * half)) xen
xen_copies --figures "$PARAVANE_RUNDIR/blkback" --flag no-persistent
copies_are $((4 * half)) 'xen, grant copies'
xen_copies --figures "$work/nowhere"
! grep -q '^copied_bytes=' "$work/out" || bad "copies that nobody counted: $(cat "$work/out")"

# frames NAME COMMAND...: all that was sent has arrived, and was as it was sent
frames()
{
	local name=$1

	shift
	"$@" --ms 60 --deadline 300 --flag verify >"$work/out" 2>&1 ||
		{ bad "$name: $(cat "$work/out")"; return; }
	grep -q '^sent=[1-9]' "$work/out" || bad "$name: nothing was sent: $(cat "$work/out")"
	has lost 0 "$name"
	has wall_ns '[1-9][0-9]*' "$name"
}

# card_frames NAME DEPTH COMMAND...: every operation of a card
card_frames()
{
	local name=$1 op bs

	shift
	for bs in $frame_sizes; do
		for op in send receive; do
			frames "$name $op $bs" "$@" --op $op --bs $bs --depth 192
		done
		frames "$name ping $bs" "$@" --op ping --bs $bs --depth 1
	done
	for op in stream-out stream-in; do
		frames "$name $op" "$@" --op $op --bs 1514 --depth 192
	done
}

large() { has offloads 1 "$1"; has frame_bytes 64294 "$1"; }

if [ "$E2E_COMPARE_INSIDE" = unshare ]; then
	vm=(paravane-compare-vm --ifname tap0 --model)
	card_frames rtl8139 "${vm[@]}" rtl8139
	has offloads 0 rtl8139
	frames "rtl8139 poll" "${vm[@]}" rtl8139 --op receive --bs 1514 --depth 64 --flag poll
	card_frames virtio-net "${vm[@]}" virtio-net
	large virtio-net
	for flags in every-event every-kick exits poll same-cpu; do
		for op in receive stream-out; do
			frames "virtio-net $op $flags" "${vm[@]}" virtio-net --op $op --bs 1514 \
				--depth 192 --flag $flags
		done
		large "virtio-net $flags"
	done
	for op in stream-in stream-out; do
		frames "virtio-net $op" "${vm[@]}" virtio-net --op $op --bs 1514 --depth 192 \
			--flag no-offloads
		has offloads 0 'virtio-net no-offloads'
	done

	paravane-netback >"$work/netback.log" 2>&1 &
	paravane bridge uplink add br xen0 >/dev/null || bad "no uplink"
	paravane attach-nic g bridge=br mac=00:16:3e:00:00:01 --no-wait >/dev/null || bad "no interface"
	vm=(localxen exec g -- paravane-compare-vm --ifname xen0 --model xen-net)
	card_frames xen-net "${vm[@]}"
	large xen-net
	has persistent 1 'xen-net, static grants'
	has back_ns '[1-9][0-9]*' xen-net
	for flags in every-kick exits no-static-grants bounce poll same-cpu; do
		for op in receive stream-out; do
			frames "xen-net $op $flags" "${vm[@]}" --op $op --bs 1514 --depth 192 --flag $flags
		done
	done
	for op in stream-in stream-out; do
		frames "xen-net $op" "${vm[@]}" --op $op --bs 1514 --depth 192 --flag no-offloads
		has offloads 0 'xen-net no-offloads'
	done
else
	echo "no network namespace of its own: network cards are not tested"
fi

# The command.
paravane compare --ms 20 --quick --only virtio >"$work/table" 2>"$work/err" ||
	bad "paravane compare: $(cat "$work/err")"
grep -q '^virtio ' "$work/table" || bad "no row for virtio: $(cat "$work/table")"
if [ "$E2E_COMPARE_INSIDE" = unshare ]; then
	grep -q '^virtio-net ' "$work/table" || bad "no row for virtio-net: $(cat "$work/table")"
	paravane compare --quick --nic --json >"$work/json" 2>"$work/err" ||
		bad "paravane compare --nic: $(cat "$work/err")"
	python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))["results"]
assert {(x["model"], x["operation"]) for x in r} == {
    (m, o) for m in ("rtl8139", "virtio-net", "xen-net")
    for o in ("send", "receive", "ping", "stream-out", "stream-in")}, r
for x in r:
    assert x["device"] == "nic" and x["frame_bytes"] > 0 and x["ops"] > 0, x
    assert x["largest_frame_bytes"] >= x["frame_bytes"], x
    assert 0 <= x["frames_lost"] <= x["frames_sent"], x
# Copies are counted: out whole, by the switch, to the device; of large frames the head only.
copies = {"send": 3, "receive": 2, "ping": 2.5, "stream-out": 2, "stream-in": 2}
for x in r:
    c = x["bytes_copied_per_byte"]
    assert c is not None, x
    assert x["not_equal"], x	# of cards nothing is
    if x["model"] == "xen-net" and (x["operation"] == "ping" or x["ops"] > 5000):
        assert abs(c - copies[x["operation"]]) < 0.15, x
' "$work/json" || bad "JSON of network cards: $(cat "$work/json")"
fi
if [ "$E2E_COMPARE_INSIDE" = unshare ]; then
	paravane compare --nic --ms 20 --rounds 1 --only 'no offloads' --json >"$work/json" 2>"$work/err" ||
		bad "no offloads: $(cat "$work/err")"
	python3 -c '
import json, sys
r = {(x["model"], x["operation"]): x["not_equal"] for x in json.load(open(sys.argv[1]))["results"]}
assert "joins" in r["xen-net", "stream-out"] and "cuts" in r["xen-net", "stream-in"], r
assert "not 32" in r["virtio-net", "stream-out"] and "cuts" in r["virtio-net", "stream-in"], r
' "$work/json" || bad "what is not equal: $(cat "$work/json")"
fi
# Without a namespace the network cards are left out by name, the disks are measured.
paravane compare --inside='no namespace' --ms 20 --quick --only 'virtio' >"$work/table" 2>"$work/err" ||
	bad "paravane compare without network: $(cat "$work/err")"
grep -q '^virtio ' "$work/table" && ! grep -q '^virtio-net ' "$work/table" &&
	grep -q 'NIC: 64-byte frames sent' "$work/table" && grep -q 'because no namespace' "$work/table" ||
	bad "without network: $(cat "$work/table")"
paravane compare --inside='no namespace' --nic >"$work/out" 2>&1
[ $? = 77 ] || bad "--nic without network: $(cat "$work/out")"
paravane compare --ms 20 --quick --only 'Xen ring' --json >"$work/json" 2>"$work/err" ||
	bad "paravane compare --json: $(cat "$work/err")"
python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))["results"]
assert r and all(x["model"] == "xen" and x["ops"] > 0 and x["persistent_grants"] for x in r), r
assert all(0.9 < x["bytes_copied_per_byte"] < 1.1 for x in r), r
' "$work/json" || bad "JSON"
paravane compare --only nonsense >"$work/out" 2>&1
[ $? = 2 ] || bad "--only nonsense: $(cat "$work/out")"

# Interruptions: e2e-compare-interrupt.sh.
[ $failures = 0 ] || exit 1
echo "verified data by ATA, virtio and Xen's rings"
