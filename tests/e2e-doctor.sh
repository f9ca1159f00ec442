#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane doctor: a fit host made of files, in which nothing is found; then each
# finding by the one change that brings it; local Xen, and a machine without Xen.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
PATH=$top:$top/tools/localxen:$PATH
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
# What is found must be of the files alone.
unset LOCALXEN_DIR LOCALXEN_DOMID PARAVANE_RUNDIR
mkdir bin
PATH=$work/bin:$PATH

failures=0
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

# put FILE LINE...: below the root
put() { mkdir -p "$(dirname "host$1")" && printf '%s\n' "${@:2}" >"host$1"; }

# xl COMMANDLINE: what "xl info" says from now on
xl()
{
	cat >bin/xl <<-EOF
		#!/bin/sh
		echo "xen_version            : 4.17.7"
		echo "xen_commandline        : $*"
	EOF
	chmod +x bin/xl
}

# A dom0 with nothing to do about.
fit_host()
{
	local file

	rm -rf host
	put /sys/hypervisor/type xen
	put /sys/hypervisor/guest_type PV
	put /sys/hypervisor/version/major 4
	put /sys/hypervisor/version/minor 17
	put /sys/hypervisor/version/extra .7
	put /proc/xen/capabilities control_d
	put /proc/xen/privcmd ''
	put /proc/sys/kernel/osrelease 6.1.0-test
	put /proc/sys/kernel/io_uring_disabled 0
	put /proc/sys/kernel/seccomp/actions_avail 'kill_process kill_thread trap errno log allow'
	put /proc/meminfo 'MemTotal: 2000000 kB' 'MemAvailable: 1000000 kB'
	put /proc/self/limits 'Max open files            1024                 524288               files' \
		'Max locked memory         65536                65536                bytes'
	put /proc/77/comm xenstored
	put /lib/modules/6.1.0-test/modules.dep 'kernel/drivers/block/xen-blkback/xen-blkback.ko:' \
		'kernel/drivers/net/xen-netback/xen-netback.ko: kernel/net/a.ko'
	put /etc/modprobe.d/paravane.conf 'install xen-blkback /bin/false' 'install xen_netback /bin/false'
	put /sys/module/xen_gntdev/parameters/limit 1048576
	put /etc/passwd root:x:0:0::/root:/bin/bash
	put /etc/subuid web:100000:65536
	mkdir -p host/sys/bus/xen-backend/drivers host/sys/class/net/br0/bridge host/run
	mkdir -m 700 host/run/paravane
	for file in usr/bin/qemu-nbd usr/sbin/nbdkit; do
		put /$file '#!/bin/sh'
		chmod +x host/$file
	done
	for file in dev/xen/gntdev dev/xen/evtchn dev/net/tun; do put /$file ''; done
	for file in block-paravane vif-paravane paravane-hotplug.sh; do
		put /etc/xen/scripts/$file '#!/bin/sh'
		chmod +x host/etc/xen/scripts/$file
	done
	xl placeholder dom0_mem=2048M,max:2048M
}

# doctor STATUS: its findings that there is something to do about, in out
doctor()
{
	paravane doctor --root host --quiet >out 2>&1
	local status=$?

	[ $status = "$1" ] || bad "status $status, not $1: $(cat out)"
}

# finds CHECK TEXT ADVICE: exactly this one
finds()
{
	doctor 1
	[ "$(grep -c '^[a-z]' out)" = 1 ] || bad "$1: not one finding: $(cat out)"
	grep -qE "^(warning|problem) +$1 .*$2" out || bad "$1: does not say '$2': $(cat out)"
	grep -q -- "-> .*$3" out || bad "$1: does not advise '$3': $(cat out)"
	nr=$((nr + 1))
	fit_host
}
nr=0

fit_host
doctor 0
[ ! -s out ] || bad "a fit host: $(cat out)"
paravane doctor --root host >out
grep -q '^ok *grants .*32768 pages.*: 7 disks' out || bad "the limits of a fit host: $(cat out)"
grep -q '^ok *maptrack .*131072 pages.*: 31 busy disks' out || bad "what dom0 maps: $(cat out)"
put /sys/hypervisor/guest_type PVH
paravane doctor --root host | grep -q '^ok *maptrack .*262144 pages' || bad "a PVH dom0 maps twice as many"
fit_host
grep -q '^note *bridges .*: br0;' out || bad "the bridge: $(cat out)"

put /sys/hypervisor/version/minor 8; finds xen 'Xen 4.8' 'tested with'
mkdir -p host/sys/bus/xen-backend/drivers/vbd
put /sys/module/xen_blkback/initstate live; finds kernel-vbd 'is loaded' 'rmmod xen-blkback'
mkdir -p host/sys/bus/xen-backend/drivers/vbd; finds kernel-vbd 'is built into' '--kind=vbd3'
mkdir -p host/sys/bus/xen-backend/drivers/vif
put /sys/module/xen_netback/initstate live; finds kernel-vif 'is loaded' 'rmmod xen-netback'
mkdir -p host/sys/bus/xen-backend/drivers/vif; finds kernel-vif 'is built into' 'a driver domain'
put /etc/modprobe.d/paravane.conf 'install xen-netback /bin/false' 'blacklist xen-blkback'
finds kernel-vbd 'nothing keeps it' 'install xen-blkback /bin/false'
put /etc/modprobe.d/paravane.conf 'install xen-blkback /bin/false' '# install xen-netback /bin/false'
finds kernel-vif 'nothing keeps it' 'install xen-netback'
# What modprobe does not read.
put /etc/modprobe.d/paravane.conf 'install xen-netback /bin/false'
put /etc/modprobe.d/paravane.conf.dpkg-old 'install xen-blkback /bin/false'
finds kernel-vbd 'nothing keeps it' 'install xen-blkback'
# Disks of kind vbd3, beside the kernel's back end.
drop_in=/etc/systemd/system/paravane-blkback.service.d/vbd3.conf
vbd3_host()
{
	mkdir -p host/sys/bus/xen-backend/drivers/vbd
	put /sys/module/xen_blkback/initstate live
	put /etc/modprobe.d/paravane.conf 'install xen-netback /bin/false'
	put $drop_in '[Service]' "${1:-Environment=OPTION_KIND=--kind=vbd3}"
}
vbd3_host; doctor 0
paravane doctor --root host | grep -q '^ok *kernel-vbd .*kind vbd3 on this host' || bad "kind vbd3 is not known"
vbd3_host; put /proc/78/comm tapback; finds kernel-vbd 'tapback runs' 'end tapback'
vbd3_host '#Environment=OPTION_KIND=--kind=vbd3'; finds kernel-vbd 'is loaded' 'rmmod xen-blkback'
vbd3_host; mv host$drop_in host$drop_in.off; finds kernel-vbd 'is loaded' 'rmmod xen-blkback'
rm host/dev/xen/gntdev; finds devices '/dev/xen/gntdev is not there' 'modprobe xen-gntdev.*>>/etc/modules-load'
rm host/dev/xen/evtchn; finds devices '/dev/xen/evtchn is not there' 'modprobe xen-evtchn.*>>/etc/modules-load'
rm host/proc/xen/privcmd; finds devices 'privcmd is not there' 'modprobe xen-privcmd'
put /sys/module/xen_gntdev/parameters/limit 1024; finds gntdev 'map 1024 pages' 'limit=1048576'
chmod -x host/etc/xen/scripts/vif-paravane; finds scripts 'not executable' 'with-xen-scripts-dir'
rm host/etc/xen/scripts/paravane-hotplug.sh; finds scripts 'is missing' 'install the package'
chmod 777 host/run/paravane; finds rundir 'only its owner' 'chmod go-w'
rm host/dev/net/tun; finds tun 'no uplinks' 'modprobe tun'
xl dom0_mem=1G gnttab_max_frames=4; finds grants '2048 pages .4 frames.*0 disks' gnttab_max_frames=64
xl dom0_mem=1G gnttab_max_maptrack_frames=0x40; finds maptrack '8192 pages.*1 busy' gnttab_max_maptrack_frames=1024
xl quiet; finds ballooning 'takes memory from dom0' autoballoon
put /etc/xen/xl.conf 'autoballoon="on"'; finds ballooning 'whatever dom0_mem= says' 'autoballoon="auto"'
put /etc/xen/xl.conf ' autoballoon = "auto" # not "off"' '#autoballoon="off"'; xl quiet; finds ballooning 'takes memory' dom0_mem=
put /etc/xen/xl.conf 'max_grant_frames=128'; finds grants '=128 in .*more than Xen.s 64' gnttab_max_frames=128
put /etc/xen/xl.conf 'max_grant_frames = 4'; finds grants '2048 pages .4 frames.*0 disks' xl.conf
put /etc/xen/xl.conf 'max_maptrack_frames=2048'; finds maptrack '=2048 in .*more than Xen.s 1024' gnttab_max_maptrack_frames=2048
put /etc/xen/xl.conf 'max_grant_frames=128'; put /sys/hypervisor/version/minor 18; doctor 0
paravane doctor --root host | grep -q '^ok *grants .*65536 pages' || bad "xl.conf's grants on a newer Xen"
fit_host; put /etc/xen/xl.conf 'max_maptrack_frames="100"'; doctor 0
paravane doctor --root host | grep -q '^note *maptrack *a driver domain can map 25600' || bad "a driver domain's pages"
fit_host
put /proc/meminfo 'MemAvailable: 100000 kB'; finds memory '97 MiB' dom0_mem=
put /proc/sys/kernel/io_uring_disabled 2; finds io_uring 'switched off' io_uring_disabled=1
put /proc/sys/kernel/osrelease 4.19.0+1
put /proc/self/limits 'Max locked memory         65536                65536                bytes'
doctor 1
grep -q 'io_uring *this kernel is older' out && grep -q 'memlock *64 KiB' out && nr=$((nr + 2)) ||
	bad "an old kernel: $(cat out)"
fit_host
put /proc/self/limits 'Max open files            1024                 4096               files'
finds descriptors '4096 files, enough for 1024 devices' 'by its unit'
put /proc/sys/kernel/seccomp/actions_avail 'trap errno'; finds seccomp 'cannot filter' CONFIG_SECCOMP
put /etc/subuid big:1879048190:65536; finds users 'big in /etc/subuid' '--user='
put /etc/passwd x:x:1879050000:1::/:; finds users 'x in /etc/passwd' 'another range'
put /sys/fs/selinux/enforce 1; finds selinux 'no policy' audit2allow
for off in '="off"' ' = 0' "='off'"; do put /etc/xen/xl.conf "autoballoon$off"; xl quiet; doctor 0; done
fit_host; rm host/usr/bin/qemu-nbd; chmod -x host/usr/sbin/nbdkit; doctor 0
paravane doctor --root host >out
grep -q '^note *servers *no qemu-nbd' out && grep -q 'install qemu-utils' out && grep -q '^note *servers *no nbdkit' out ||
	bad "servers that are not there: $(cat out)"
fit_host; rm bin/xl; printf '#!/bin/sh\nexit 1\n' >bin/xl; chmod +x bin/xl
put /etc/xen/xl.conf 'autoballoon="off"'; doctor 0
paravane doctor --root host | grep -q '^note *toolstack .*says nothing' || bad "xl that fails is not named"
fit_host; rm -r host/proc/77; doctor 0
paravane doctor --root host | grep -q '^note *xenstore *no xenstored runs' || bad "no xenstored is not named"

# A driver domain: no xl, no scripts, no limits of Xen's.
fit_host; put /proc/xen/capabilities ''; rm -r host/etc/xen; doctor 0
paravane doctor --root host | grep -q '^ok *xen .*driver domain' || bad "a driver domain is not known"

# No Xen, and a root that is not there.
fit_host; rm -r host/sys/hypervisor; doctor 4
grep -q 'no Xen' out || bad "no Xen: $(cat out)"
paravane doctor --root nowhere >out 2>&1; [ $? = 2 ] && grep -q nowhere out || bad "no root: $(cat out)"
paravane doctor --kind vbd >out 2>&1; [ $? = 2 ] || bad "an option of others: $(cat out)"

# For programs.
fit_host; rm host/dev/net/tun
paravane doctor --root host --json >out; [ $? = 1 ] || bad "--json: status"
if command -v python3 >/dev/null; then
	python3 - <<-'EOF' || bad "--json: $(cat out)"
		import json
		j = json.load(open("out"))
		bad = [f for f in j["findings"] if f["level"] in ("warning", "problem")]
		assert j["place"] == "dom0" and [f["check"] for f in bad] == ["tun"] and bad[0]["do"]
		assert [f for f in j["findings"] if f["level"] == "ok" and f["do"] is None]
	EOF
fi

# This machine, inside a local Xen.
if [ -x "$top/tools/localxen/localxen" ]; then
	localxen run -- paravane doctor >out 2>&1
	status=$?
	[ $status -le 1 ] && grep -q '^ok *xen *local Xen' out && grep -q '^ok *xenstore' out &&
		grep -q '^note *daemons *paravane-blkback does not run' out || bad "in local Xen: $status: $(cat out)"
	cp "$top/paravane-blkback" .
	cat >in-dom0 <<-'EOF'
		expect() { paravane doctor >seen 2>&1; grep -q "$1" seen || { echo "no $1 in:"; cat seen; }; }
		export PARAVANE_RUNDIR=$PWD/run
		./paravane-blkback --rundir="$PARAVANE_RUNDIR" 2>log &
		for i in $(seq 600); do grep -qs ' ready:' log && break; sleep 0.1; done
		expect '^ok *daemons *paravane-blkback serves vbd$'
		cp paravane-blkback new && mv new paravane-blkback
		expect '^warning *daemons *paravane-blkback serves vbd, by a program that has been replaced'
		kill $! && wait $!
		./paravane-blkback --kind=vbd3 --rundir="$PARAVANE_RUNDIR" 2>log-vbd3 &
		for i in $(seq 600); do grep -qs ' ready:' log-vbd3 && break; sleep 0.1; done
		expect '^ok *daemons *paravane-blkback serves vbd3$'
		kill $! && wait $!
		store=$(ps -o pid=,comm= --ppid $PPID | awk '$2 == "xenstored" { print $1 }')
		kill -STOP "$store"
		expect '^problem *xenstore .*takes a question and does not answer'
		kill -CONT "$store"
	EOF
	localxen run -- bash ./in-dom0 >out 2>&1 && [ ! -s out ] || bad "in local Xen: $(cat out)"
fi
[ $failures = 0 ] || exit 1
echo "$nr findings"
[ $nr -ge 35 ]
