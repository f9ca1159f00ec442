#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tools/compare-xen in a dom0 that is none: Xen's programs, modules, guests and what they
# answer are stand-ins. What it does when something is not there, is forbidden, belongs to
# others or fails: which rows are left out, what is said of them, what is loaded and made,
# what is left. That figures come of it is shown by the jobs compare and compare-smoke.
set -u -o pipefail
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

need python3 python3
sanitized && skip "no compiled program of ours is in it"
if [ "${1:-}" != inside ]; then
	unshare -rm true 2>/dev/null || skip "no user namespaces here"
	exec unshare -rm "$BASH" "$0" inside
fi
here=$(cd "${srcdir:-$(dirname "$0")/..}/tools/compare-xen" && pwd) || exit 1
work=$(mktemp -d) || exit 1
# A child that is ended before it executes its program comes here, too.
trap '[ "$BASHPID" != $$ ] || rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

# Modules and drivers of this mount namespace.
mount -t tmpfs none /sys/module && mount -t tmpfs none /sys/bus || skip "no mounts here"
mkdir "$work/bin" "$work/compare" "$work/memory" "$work/store"
cp "$here"/* "$work/compare/" 2>/dev/null
# A guest's console: what guest-init would answer.
cat >"$work/guest.py" <<'GUEST'
import base64, os, pty, sys, tty
there = lambda name: os.path.exists(sys.argv[1] + "/" + name)
main, other = pty.openpty()
tty.setraw(other)
with open(sys.argv[1] + "/tty.new", "w") as f: f.write(os.ttyname(other))
os.rename(sys.argv[1] + "/tty.new", sys.argv[1] + "/tty")

interrupts = 0

def count_interrupts():
    global interrupts
    interrupts += 1000000
    return str(interrupts)

def answer(command):
    if "iodepth=32" in command:
        if there("fio-fails"): return 1, "fio: no memory"
        if there("silent"): return None
        if there("ends"): sys.exit()
    if "ethtool" in command and there("no-ethtool"): return 1, "not supported"
    if "fio " in command: return 0, "200 50 40 60 10"
    if "ping -c 1000" in command: return 0, "90 80 120"
    if "device/driver" in command: return 0, "eth0"
    if "/proc/interrupts" in command: return 0, count_interrupts()
    return 0, ""

os.write(main, b"[    0.0] a message of the kernel's\n" + (b"" if there("no-boot") else b"@0= 0\n"))
for line in os.fdopen(os.dup(main), "rb"):
    number, code = line.split()
    said = answer(base64.b64decode(code).decode())
    if not said: continue
    out = "".join("%s| %s\n" % (number.decode(), l) for l in said[1].splitlines())
    os.write(main, ("%s%s= %d\n" % (out, number.decode(), said[0])).encode())
GUEST
# Nothing reads the images.
echo image_mib=1 >>"$work/compare/disk.sh"
# What the script asks of devices and of dom0's network is answered here.
cat >>"$work/compare/nic.sh" <<'FAKES'
sleep() { command sleep 0.01; }
device_await() { return 0; }
bridge_operations() { echo 1000 >>"$fake/bridge"; awk '{ n += $1 } END { print n }' "$fake/bridge"; }
eval "named_$(declare -f nic_stream)"
nic_stream() { echo stream >>"$fake/streams"; named_nic_stream "$@"; }
queues_are() { return 0; }
nic_join() { return 0; }
qemu=$fake/bin/qemu
FAKES
cat >"$work/fake" <<'FAKE'
#!/bin/bash
fake=FAKE
name=${0##*/}
printf '%s\n' "$name $*" >>"$fake/log"
driver_of() { case $1 in xen-blkback) echo vbd ;; xen-netback) echo vif ;; esac; }
case $name in
xl)	case $1 in
	info)	printf '%-23s: %s\n' xen_version 4.17.7 nr_cpus "$(cat "$fake/cpus")" xen_caps "xen-3.0-x86_64 $(cat "$fake/caps")" ;;
	domid)	[ -e "$fake/domain" ] || exit 1; echo 9 ;;
	create)	[ ! -e "$fake/no-$(sed -n "s/^type='\(.*\)'/\1/p" "${@: -1}")" ] || { cat "$fake/no-words" 2>/dev/null; echo "xl: no domain"; exit 1; }
		python3 "$fake/guest.py" "$fake" >/dev/null 2>&1 &
		echo $! >"$fake/domain"
		until [ -e "$fake/tty" ]; do sleep 0.01; done ;;
	destroy) kill "$(cat "$fake/domain")"
		rm -f "$fake/domain" "$fake/tty" ;;
	vcpu-list) echo Name; echo "Domain-0 0 0 0 r-- 1.0 all / all" ;;
	esac ;;
xenstore-list) ls "$fake/store/${1#/local/domain/0/backend/}" 2>/dev/null ;;
xenstore-read) case $1 in */console/tty) cat "$fake/tty" ;; *) echo 4 ;; esac ;;
modprobe) [ ! -e "$fake/quiet-$1" ] || exit 0
	[ ! -e "$fake/forbidden-$1" ] || { echo "modprobe: ERROR: Error running install command '/bin/false' for module $1" >&2; exit 1; }
	mkdir -p "/sys/module/${1//-/_}/parameters"
	for parameter in feature_persistent max_queues separate_tx_rx_irq; do echo 1 >"/sys/module/${1//-/_}/parameters/$parameter"; done
	[ -z "$(driver_of "$1")" ] || mkdir -p "/sys/bus/xen-backend/drivers/$(driver_of "$1")" ;;
rmmod)	rm -r "/sys/module/${1//-/_}"
	[ -z "$(driver_of "$1")" ] || rmdir "/sys/bus/xen-backend/drivers/$(driver_of "$1")" ;;
losetup) [ "$1" != -f ] || echo /dev/null ;;
pgrep)	[ "$1" != -P ] || { echo 1; exit 0; }
	[ -e "$fake/processes" ] && exec /bin/grep -E -- "${@: -1}" "$fake/processes"
	exit 1 ;;
xentrace) echo "change evtmask" >&2; exec sleep 300 ;;
xenalyze) printf '%s\n' '|-- Domain 9 ' 'PV events' '  hypercall 5 5' ;;
paravane-blkback|paravane-netback|iperf3|qemu) case $* in *--version*) ;; *) exec sleep 300 ;; esac ;;
domain-cpu) n=$(($(cat "$fake/clock" 2>/dev/null || echo 0) + 50000000)); echo $n >"$fake/clock"
	octets=$n nr=$(cat "$fake/streams" 2>/dev/null | wc -l)
	[ ! -e "$fake/two-rates" ] || [ $((nr % 2)) = 0 ] || octets=$((n * 120 / 100))
	[ ! -e "$fake/noise" ] || [ $((nr % 2)) = 0 ] || octets=$((n * 110 / 100))
	[ ! -e "$fake/chaos" ] || octets=$((n * 12 ** (nr % 8) / 10 ** (nr % 8)))
	[ ! -e "$fake/strays" ] || [ $((nr % 4)) != 1 ] ||
		[[ $(grep -E '^xen(trace|alyze) ' "$fake/log" | tail -n 1) != xentrace* ]] || octets=$((n * 130 / 100))
	[ ! -e "$fake/once" ] || [ $((nr % 8)) != 2 ] || octets=$((n * 2))
	fastest=100
	if [ -e "$fake/changes" ] && [ "$2" = 500 ]; then
		echo >>"$fake/changes"
		[ $(($(wc -l <"$fake/changes") % 2)) = 1 ] || octets=$((n * 130 / 100)) fastest=150
	fi
	printf '%s\n' "0 $n" "9 $n" "processes $n" "elapsed $n" "rx_bytes $octets" "rx_packets $((n / 100000))" "tx_bytes $octets" "tx_packets $((n / 100000))" \
		"slowest 100" "fastest $fastest" ;;
esac
exit 0
FAKE
sed -i "s|FAKE|$work|" "$work/fake"
sed -i "1a fake=$work" "$work/compare/nic.sh"
chmod +x "$work/fake"
for program in xl xenstore-{list,read,write,rm,chmod} modprobe rmmod losetup ip pgrep paravane paravane-{blk,net}back \
	qemu iperf3 fio ethtool xentrace xenalyze busybox cpio depmod; do
	ln -s ../fake "$work/bin/$program"
done
ln -sf ../fake "$work/compare/domain-cpu"
# It asks for a dom0 in this way.
printf '#!/bin/sh\ncase "$*" in *control_d*) exit 0 ;; esac\nexec /bin/grep "$@"\n' >"$work/bin/grep"
chmod +x "$work/bin/grep"
PATH=$work/bin:$PATH

# host: as it is before each try.
host()
{
	rm -rf "$work"/{forbidden,quiet}-* "$work"/no-* "$work"/store/* /sys/module/* /sys/bus/* "$work"/memory/*
	mkdir -p /sys/bus/xen-backend/drivers
	rm -f "$work"/{processes,fio-fails,silent,ends,domain,log}
	echo 2 >"$work/cpus"
	echo hvm-3.0-x86_64 >"$work/caps"
}

# compare STATUS OPTION...
compare()
{
	local wanted=$1 status=0
	shift

	: >"$work/log"
	timeout 600 "$work/compare/compare-xen" --kernel /dev/null --ramdisk /dev/null ${trace---no-trace} --dir "$work/memory" \
		--patience 2 "$@" >"$work/records" 2>"$work/err" || status=$?
	[ $status = "$wanted" ] || bad "$what: status $status, not $wanted: $(tail -n 5 "$work/err")"
	[ ! -e "$work/domain" ] || bad "$what: a guest is left"
	[ -z "$(ls -A "$work/memory")" ] || bad "$what: files are left: $(ls -A "$work/memory")"
	[ -z "$(jobs -p)" ] || bad "$what: processes are left"
}
rows() { grep -c "^table=.*${1:-}" "$work/records"; }
notes() { sed -n 's/^note=//p' "$work/records"; }
noted() { notes | grep -qE -- "$1" || bad "$what: no note: $1; but: $(notes) $(tail -n 3 "$work/err")"; }
# did / didnt PATTERN: a program was run so
did() { grep -qE -- "$1" "$work/log" || bad "$what: not done: $1"; }
didnt() { ! grep -E -- "$1" "$work/log" || bad "$what: done"; }
mkdir -p /sys/bus/xen-backend/drivers


# What somebody set up as our documentation says: no back ends of the kernel's, with all else.
what="forbidden modules"
host
touch "$work"/forbidden-xen-{blk,net}back
compare 0 --all
[ "$(rows)" = 71 ] || bad "$what: $(rows) rows"
[ "$(rows linux)" = 0 ] || bad "$what: rows of the kernel's"
grep -q '^compare: 108 of 108, \|^compare: 10[0-9] of 108, ' "$work/err" || bad "$what: progress: $(tail -n 3 "$work/err")"
noted "^Left out, because the kernel's module xen-blkback cannot be loaded \(modprobe: ERROR: .*/bin/false.*\): 4 KiB random read, depth 1: HVM, PV disk, linux, PV, PV disk, linux; 4 KiB random read, depth 32: .*; PV disk, xen-blkback, queues: .*: 1 queue, 2 queues$"
noted "^Left out, because the kernel's module xen-netback cannot be loaded .*PV card, netback, queues"
noted "^Of ping .* every 10 ms"
[ "$(notes | wc -l)" = 3 ] || bad "$what: notes: $(notes)"
[ -z "$(find /sys/module -name "xen_*")" ] || bad "$what: modules are left"

# Without an option what fits into a few minutes, and how to get the others.
what="no option"
host
compare 0
[ "$(rows)" = 25 ] || bad "$what: $(rows) rows: $(cut -f 1,2 "$work/records")"
[ "$(rows "HVM, NVMe")" = 2 ] && [ "$(rows "PV card, linux")" = 3 ] && [ "$(rows "PV, PV disk")" = 6 ] ||
	bad "$what: $(cut -f 1,2 "$work/records")"
noted "^There are 83 more measurements: --all makes them, --only TEXT some\.$"
compare 2 --all --quick

# How rows of one table are not alike is in their last column.
what="not equal"
host
compare 0 --nic --only "TCP, guest to dom0"
# unequal TEXT TABLE LABEL
unequal()
{
	[ "$(sed -n "s/^table=$2\tlabel=$3\t.*\tnot_equal=\([^\t]*\)\t.*/\1/p" "$work/records")" = "$1" ] ||
		bad "$what: $3: $(grep "^table=$2.label=$3" "$work/records")"
}
tcp="TCP, guest to dom0"
unequal "the device model cuts segments and computes checksums; each is a packet for dom0" "$tcp" "HVM, e1000"
unequal "each segment is a packet for dom0" "$tcp, no offload" "HVM, rtl8139"
unequal "a switch before dom0's bridge; looks for work for up to 50 us before it sleeps" "$tcp" "PV, PV card, paravane"
unequal "segments that come together are checked and become one packet for dom0; looks for work for up to 50 us before it sleeps" \
	"$tcp, no offload" "HVM, PV card, paravane"
unequal "each segment is a packet for dom0" "$tcp, no segmentation offload" "PV, PV card, linux"
unequal "" "$tcp" "PV, PV card, linux"

# Streams of another rate are another figure.
what="streams of two rates"
e1000() { rm -f "$work/streams"; compare 0 --hvm --nic --only "HVM, e1000"; }
# each LABEL FIELD: of the first table's streams
each() { grep "^table=$tcp	label=$1	" "$work/records" | tr '\t' '\n' | sed -n "s/^$2=//p"; }
host
e1000
[ "$(rows)" = 5 ] || bad "$what: of one: $(rows) rows"
[ "$(each "HVM, e1000" streams_mbit_per_s | wc -w)" = 4 ] || bad "$what: of one: $(grep "^table=$tcp	" "$work/records")"
host
touch "$work/two-rates"
e1000
[ "$(rows)" = 9 ] || bad "$what: $(rows) rows: $(cut -f 1,2 "$work/records")"
[ "$(each "HVM, e1000" streams_interrupts)" = "1000000 1000000" ] &&
	[ "$(each "HVM, e1000, faster" streams_mbit_per_s | wc -w)" = 2 ] &&
	awk -v one="$(each "HVM, e1000" mbit_per_s)" -v other="$(each "HVM, e1000, faster" mbit_per_s)" \
		'BEGIN { exit !(other > 1.19 * one && other < 1.21 * one) }' ||
	bad "$what: $(grep "^table=$tcp	" "$work/records")"
rm "$work/two-rates"
what="streams with noise"
host
touch "$work/noise"
e1000
[ "$(rows)" = 5 ] || bad "$what: $(rows) rows"
rm "$work/noise"
what="a stream like no other"
host
touch "$work/once"
e1000
[ "$(rows)" = 5 ] && [ "$(each "HVM, e1000" streams_mbit_per_s | wc -w)" = 7 ] || bad "$what: $(rows) rows"
[[ $(notes) = *"$tcp: HVM, e1000: one of 8 streams is left out, being like no other: "* ]] ||
	bad "$what: not said: $(notes)"
rm "$work/once"
what="streams that are all unlike"
host
touch "$work/chaos"
e1000
[ "$(rows)" = 5 ] && [ "$(each "HVM, e1000" streams_mbit_per_s | wc -w)" = 8 ] && [[ $(notes) != *"left out"* ]] ||
	bad "$what: $(rows) rows: $(notes)"
rm "$work/chaos"
what="a stream that is faster when it is traced"
host
touch "$work/strays"
echo 10000000000 >"$work/clock"
trace= e1000
[ "$(rows)" = 5 ] && [ "$(each "HVM, e1000" streams_mbit_per_s | wc -w)" = 4 ] || bad "$what: $(rows) rows"
# 5 in each window
[ "$(each "HVM, e1000" hypercalls)" = 20 ] || bad "$what: it counts: $(each "HVM, e1000" hypercalls)"
rm "$work/strays"
what="a window in which the rate changes"
host
touch "$work/changes"
e1000
[ "$(rows)" = 5 ] && awk -v one="$(each "HVM, e1000" mbit_per_s)" 'BEGIN { exit !(one > 7000 && one < 8100) }' ||
	bad "$what: it counts: $(rows) rows, $(each "HVM, e1000" mbit_per_s)"
rm "$work/changes"

# All of it is what the two long runs measure, in parts, each row once.
what="parts of all"
cp -r "$here" "$work/planned"
sed -i 's/^main$/plan all_guests >\&$out/' "$work/planned/compare-xen"
planned() { "$work/planned/compare-xen" "$@" 2>/dev/null; }
planned --all | sort >"$work/all-rows"
"$here/../../tests/xenhost/compare-twice" --parts | while IFS=$'\t' read -ra options; do
	planned "${options[@]}"
done | sort >"$work/part-rows"
[ "$(wc -l <"$work/all-rows")" -gt 100 ] && cmp -s "$work/all-rows" "$work/part-rows" ||
	bad "$what: $(diff "$work/all-rows" "$work/part-rows")"

# What was run is there for who wants to know.
what="commands"
host
compare 0 --pv --only "one thing changed at a time"
ran() { grep -qE -- "^ran=$1" "$work/records" || bad "$what: no $1: $(grep ^ran= "$work/records")"; }
ran "xl create, with name='paravane-compare'; memory=768; .*type='pv'"
ran "paravane-blkback --kind=vbd3 --rundir=.* --poll-us=0"
ran "iperf3 -s "
ran "echo 0 >/sys/module/xen_blkback/parameters/feature_persistent"
grep -q '^table=PV disk, one thing .*	command=fio --name=b --filename=/dev/xvda --rw=randread --bs=4096 --iodepth=1 --number_ios=' "$work/records" ||
	bad "$what: no fio: $(head -n 2 "$work/records")"
grep -q '^table=PV card, netback, one .*	command=iperf3 -c .* -P 1	' "$work/records" || bad "$what: no iperf3: $(tail -n 2 "$work/records")"

what="what nobody wants"
host
touch "$work"/forbidden-{loop,tun,bridge,xen-{blk,net}back}
compare 0 --only "HVM, IDE"
[ "$(rows)" = 4 ] && [ -z "$(notes)" ] || bad "$what: $(rows) rows, $(notes)"
didnt '^modprobe|type=.?pv'
[ "$(grep -c '^xl create' "$work/log")" = 1 ] || bad "$what: guests: $(grep '^xl create' "$work/log")"
compare 2 --only nonsense
didnt '^xl create'
grep -q 'no name has "nonsense"' "$work/err" || bad "$what: $(cat "$work/err")"

what="rows of the kernel's alone"
compare 77 --only "disk, linux"
grep -q 'nothing of it can be measured' "$work/err" || bad "$what: $(cat "$work/err")"

# Other guests have devices on dom0: a back end that begins to serve would take them.
what="others' disks"
host
mkdir -p "$work/store/vbd/5/51712"
compare 0 --pv --disk --only "random write"
[ "$(rows)" = 2 ] && [ "$(rows linux)" = 0 ] || bad "$what: $(rows) rows"
didnt '^modprobe xen-blkback'
noted '^Left out, because it would take devices of other guests \(backend/vbd of domain 5\): .*: PV, PV disk, linux$'
mkdir -p /sys/bus/xen-backend/drivers/vbd /sys/module/xen_blkback/parameters
compare 0 --pv --disk --only "random write"
[ "$(rows)" = 3 ] && [ -z "$(notes)" ] || bad "$what, the kernel's already: $(rows) rows; $(notes)"
didnt '^rmmod xen'
host
mkdir -p "$work"/store/vbd3/{5,7}/51712
compare 0 --pv --disk --only "random write"
[ "$(rows paravane)" = 0 ] && [ "$(rows linux)" = 1 ] || bad "$what, of kind vbd3: $(rows)"
noted 'backend/vbd3 of domain 5, 7\): .*: PV, PV disk, paravane$'
host
mkdir -p "$work/store/vbd/9/51712" "$work/store/vbd/5"	# ours, and one that has none any more
compare 0 --pv --disk --only "random write"
[ "$(rows)" = 3 ] || bad "$what: $(notes)"

what="others' cards"
host
mkdir -p "$work/store/vif/5/0"
compare 77 --pv --nic --only "ping"
didnt '^modprobe xen-netback|^paravane-netback'
grep -q 'it would take devices of other guests (backend/vif of domain 5)' "$work/err" || bad "$what: $(cat "$work/err")"

what="a daemon of somebody's"
host
echo "12 /usr/sbin/paravane-blkback --rundir=/run/paravane" >"$work/processes"
compare 0 --pv --disk --only "random write"
[ "$(rows paravane)" = 1 ] && [ "$(rows linux)" = 0 ] || bad "$what: $(rows) rows"
didnt '^modprobe xen-blkback'
noted '^Left out, because a paravane-blkback serves vbd, as '
echo "12 /usr/sbin/paravane-blkback --kind vbd3 --rundir=/run/paravane" >"$work/processes"
compare 0 --pv --disk --only "random write"
[ "$(rows paravane)" = 0 ] && [ "$(rows linux)" = 1 ] || bad "$what, of kind vbd3: $(rows) rows"
noted '^Left out, because a paravane-blkback serves vbd3 already: '
echo "12 /usr/sbin/paravane-netback" >"$work/processes"
compare 77 --pv --nic --only "ping"
didnt '^modprobe xen-netback|^paravane-netback'

what="a module that modprobe leaves out quietly"
host
: >"$work/quiet-xen-blkback"
compare 0 --pv --disk --only "random write"
noted '^Left out, because the kernel.s module xen-blkback does not come, though modprobe says so: '

# One row fails: fio has no memory for a depth of 32.
what="fio fails"
host
: >"$work/fio-fails"
compare 1 --disk --hvm --only IDE
[ "$(rows)" = 2 ] || bad "$what: $(rows) rows"
noted '^Failed, because fio failed in the guest: fio: no memory: 4 KiB random read, depth 32: HVM, IDE; 4 KiB random write, depth 32: HVM, IDE$'

what="no HVM guest can be made"
host
: >"$work/no-hvm"
compare 1 --disk --only "random write"
[ "$(rows)" = 3 ] && [ "$(rows "HVM")" = 0 ] || bad "$what: $(rows) rows"
noted '^Failed, because xl create failed: xl: no domain: 4 KiB random write, depth 32: HVM, IDE, .*HVM, PV disk, qdisk$'
: >"$work/caps"
compare 0 --disk --only "random write"
noted '^Left out, because this host runs no HVM guests '

what="a reason of many words"
host
: >"$work/no-pv"
seq -s " " 2000 >"$work/no-words"
compare 1 --disk --pv
noted '^Failed, because xl create failed: 1 2 3 '
[ "$(awk 'length > 4000' "$work/records" | wc -l)" = 0 ] || bad "$what: not cut"

what="a guest that goes silent"
host
: >"$work/silent"
compare 1 --pv --disk --only "random read, depth"
[ "$(rows)" = 1 ] || bad "$what: $(rows) rows"
noted '^Failed, because the guest does not answer: .*4 KiB random read, depth 32: PV, PV disk, paravane.*PV, PV disk, qdisk'

# What another guest would have been made for has a reason of its own.
echo 1 >"$work/cpus"
compare 1 --pv --disk --only "depth"
noted '^Left out, because this host has one CPU: PV disk, queues.*: 1 queue, 2 queues; PV disk, xen-blkback, queues.*: 1 queue, 2 queues$'

what="a guest that ends"
host
: >"$work/ends"
compare 1 --pv --disk --only "random read, depth"
[ "$(rows)" = 1 ] || bad "$what: $(rows) rows"
noted '^Failed, because the guest does not answer: it has ended'
what="a guest that does not boot"
host
: >"$work/no-boot"
compare 1 --pv --disk --only "random read, depth"
noted '^Failed, because the guest did not boot within 2 s'

what="a setting that a card does not take"
host
: >"$work/no-ethtool"
compare 0 --hvm --only "HVM, e1000"
[ "$(rows)" = 3 ] || bad "$what: $(rows) rows"
noted '^Left out, because ethtool does not set "tso off .*": not supported: TCP, guest to dom0, no segmentation offload: HVM, e1000; TCP, guest to dom0, no offload: HVM, e1000$'

what="one CPU"
host
echo 1 >"$work/cpus"
compare 77 --pv --disk --only queues
echo 1 >"$work/cpus"
compare 0 --pv --disk --only "32"
noted '^Left out, because this host has one CPU: PV disk, where the back end runs.*: same CPU, own CPU; PV disk, xen-blkback, where'

# Xen keeps trace buffers, so they are small where there are many CPUs.
what="trace buffers"
for size in "1 2048" "2 2048" "16 256" "400 64"; do
	host
	echo "${size% *}" >"$work/cpus"
	trace= compare 0 --pv --disk --only "random write, depth 32|PV, PV disk, linux"
	did "^xentrace .* -S ${size#* } "
done

# Interrupted, wherever it is.
what="interrupted"
for moment in "starting a guest" "1 of" "5 of"; do
	host
	rm -f "$work/err"	# of the run before: it would be taken for this one's
	setsid env --default-signal=INT,TERM "$work/compare/compare-xen" --kernel /dev/null --ramdisk /dev/null --no-trace \
		--dir "$work/memory" --disk --pv >"$work/records" 2>"$work/err" &
	pid=$!
	wait_for 60 test -e "$work/err"
	wait_for 60 grep -q "^compare: $moment" "$work/err" || bad "$what: $(cat "$work/err")"
	kill $pid
	wait $pid
	[ $? = 143 ] || bad "$what at $moment: no status that says so"
	[ ! -e "$work/domain" ] && [ -z "$(find "$work/memory" /sys/bus/xen-backend/drivers -mindepth 1)" ] ||
		bad "$what at $moment: left: $(find "$work/memory" /sys/bus -mindepth 1)"
done
[ "$failures" = 0 ] || exit 1
say "what cannot be measured is named, and nothing is left"
