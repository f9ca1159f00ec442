#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The units as they are installed, under a systemd of the test's own and on a local Xen:
# they start, are ready when they say so, serve with all their sandboxing, come back
# after a kill, restart under a guest's verified I/O (torture-blk.c), stop and start without
# taking its disk away; and systemd finds nothing to say against them. What needs a real Xen is the job deb's.
. "$(dirname "$0")/lib-blk.sh"
sanitized && skip "the sanitizers' own needs are not the units'"
need systemd-analyze systemd
. "$(dirname "$0")/lib-torture.sh"
own_xen "$@"
sd=$(dirname "$0")/own-systemd
mkdir "$tmp/sd"
trap '"$sd" stop "$tmp/sd"' EXIT
trap 'exit 1' INT TERM
"$sd" start "$tmp/sd" >"$tmp/out" 2>&1 || { [ $? = 77 ] && skip "$(tail -n 1 "$tmp/out")"; fail "$(cat "$tmp/out")"; }
top=${abs_top_srcdir:-$srcdir}
in_sd() { "$sd" in "$tmp/sd" "$@"; }
is() { [ "$(in_sd systemctl show -P "$2" paravane-"$1")" = "$3" ]; }
log() { tail -n 20 "$tmp/sd/systemd.log" "$tmp/$1.log" 2>/dev/null; }

# Local Xen is found by the environment, and its files are in /tmp.
env | grep -E '^(LOCALXEN_|LD_LIBRARY_PATH|XENSTORED_)' >"$tmp/environment"
export PARAVANE_RUNDIR=$tmp/sd/run-paravane
mkdir "$PARAVANE_RUNDIR"
for unit in blkback netback; do
	sed -e "s|$(sed -n 's/^sbindir = //p' Makefile | sed "s|\${exec_prefix}|$(sed -n 's/^prefix = //p' Makefile)|")/|$PWD/|" \
		packaging/paravane-$unit.service >"$tmp/sd/units/paravane-$unit.service"
	grep -q "^ExecStart=$PWD/paravane-$unit " "$tmp/sd/units/paravane-$unit.service" ||
		fail "the unit's program: $(grep ExecStart "$tmp/sd/units/paravane-$unit.service")"
	mkdir "$tmp/sd/units/paravane-$unit.service.d"
	cat >"$tmp/sd/units/paravane-$unit.service.d/local-xen.conf" <<-EOF
		[Unit]
		ConditionPathExists=
		AssertPathExists=
		AssertPathExists=!$tmp/kernel-$unit
		[Service]
		EnvironmentFile=$tmp/environment
		StandardError=append:$tmp/$unit.log
		PrivateTmp=no
		ReadWritePaths=$LOCALXEN_DIR $PARAVANE_RUNDIR
		Environment=OPTIONS=--rundir=$PARAVANE_RUNDIR
		Environment=PARAVANE_RUNDIR=$PARAVANE_RUNDIR
		ExecReload=
		ExecReload=$PWD/paravane upgrade $unit
	EOF
done
sed 's|^ExecStart=[^ ]*/paravane |ExecStart='"$PWD"'/paravane |' packaging/paravane-metrics.service \
	>"$tmp/sd/units/paravane-metrics.service"
mkdir "$tmp/sd/units/paravane-metrics.service.d"
cat >"$tmp/sd/units/paravane-metrics.service.d/local-xen.conf" <<-EOF
	[Unit]
	ConditionPathExists=
	[Service]
	EnvironmentFile=$tmp/environment
	StandardError=append:$tmp/metrics.log
	PrivateTmp=no
	ReadWritePaths=$LOCALXEN_DIR
	Environment=PARAVANE_RUNDIR=$PARAVANE_RUNDIR
EOF
in_sd systemctl daemon-reload

# Before a unit is stopped: a process of its that nobody waits for, as the server of an
# image is, which says when it is asked to end; a file in the run directory.
leave_marks()
{
	group=$(in_sd systemctl show -P ControlGroup paravane-"$1")
	rm -f "$tmp/left"
	in_sd touch /run/paravane/mark || fail "no run directory"
	in_sd sh -c 'trap "echo asked >>$2" TERM; echo $$ >"/sys/fs/cgroup$1/cgroup.procs" && : >"$2" &&
		while [ -e "$2" ]; do sleep 0.1; done' sh "$group" "$tmp/left" &
	left=$!
	wait_for $wait_s test -e "$tmp/left" || fail "no process can be put into the unit"
}
# After that: asked was the supervisor alone; of disks, nobody waited for what was left, of
# interfaces it was killed; and the run directory, where the journals are, is there (KillMode,
# RuntimeDirectoryPreserve).
see_marks()
{
	[ ! -s "$tmp/left" ] || fail "$1: SIGTERM was for other processes than the supervisor"
	case $1 in
	blkback) ! is_gone $left || fail "$1: what the supervisor left was waited for" ;;
	netback) wait_for $wait_s is_gone $left || fail "$1: what the supervisor left goes on" ;;
	esac
	rm -f "$tmp/left"
	wait $left 2>/dev/null
	in_sd test -e /run/paravane/mark || fail "$1: the run directory is gone"
}
is_gone() { ! kill -0 "$1" 2>/dev/null; }

say "systemd has nothing to say against the units"
systemd-analyze verify --man=no --recursive-errors=no "$tmp"/sd/units/paravane-*.service >"$tmp/verify" 2>&1 ||
	fail "$(cat "$tmp/verify")"
! grep -i paravane "$tmp/verify" || fail "see above"
for unit in blkback metrics netback; do
	systemd-analyze security --offline=true --no-pager "$tmp/sd/units/paravane-$unit.service" 2>/dev/null | tail -n 1
done

say "options that it does not know end it, and it is not started again and again"
for unit in blkback netback; do
	printf '[Service]\nEnvironment=OPTIONS=--log-levle=debug\n' >"$tmp/sd/units/paravane-$unit.service.d/wrong.conf"
	in_sd systemctl daemon-reload
	! in_sd systemctl start paravane-$unit 2>"$tmp/out" || fail "paravane-$unit takes any option"
	sleep 0.5
	is $unit ActiveState failed || fail "paravane-$unit is $(in_sd systemctl show -P SubState paravane-$unit)"
	is $unit NRestarts 0 || fail "paravane-$unit was started again"
	grep -q "log-levle" "$tmp/$unit.log" || fail "nobody says which option: $(log $unit)"
	rm "$tmp/sd/units/paravane-$unit.service.d/wrong.conf" "$tmp/$unit.log"
done
in_sd systemctl daemon-reload
in_sd systemctl reset-failed

say "a unit is refused beside the kernel's back end, and is ready when it serves"
touch "$tmp/kernel-blkback"
! in_sd systemctl start paravane-blkback 2>"$tmp/out" || fail "it starts beside the kernel's"
rm "$tmp/kernel-blkback"
in_sd systemctl start paravane-blkback paravane-netback || fail "they do not start: $(log blkback; log netback)"
grep -q ' ready:' "$tmp/blkback.log" && grep -q ' ready:' "$tmp/netback.log" || fail "active before it is ready"

say "a disk is served, by a worker with its whole sandbox"
truncate -s 64M "$tmp/image"
make_guest g1
attach_by_hand "$domid" "aio:$tmp/image" w
back_reaches "$domid" 2
"$LOCALXEN" exec "$domid" -- "$torture" 51712 4096 4096 16 1 >"$tmp/io" 2>&1 &
io=$!
back_reaches "$domid" 4
info() { sed -n "s/^$1=//p" "$PARAVANE_RUNDIR/blkback/vbd-$domid-51712.info"; }
sandbox=$(info sandbox)
[ "$sandbox" = "user files network calls capabilities" ] ||
	fail "the unit takes something from the workers' sandbox: '$sandbox' is left"

if command -v python3 >/dev/null; then
	say "its figures can be asked for, at a socket of a group's"
	# The page's own lines.
	sed -n '/^    \[Service\]$/,/^$/{s/^    //p;/^$/q}' "$top/docs/metrics.md" |
		sed 's/^Group=.*/Group=daemon/' >"$tmp/sd/units/paravane-metrics.service.d/page.conf"
	grep -q OPTIONS= "$tmp/sd/units/paravane-metrics.service.d/page.conf" || fail "the page has no drop-in"
	in_sd systemctl daemon-reload
	in_sd systemctl start paravane-metrics || fail "it does not start: $(log metrics)"
	figures()
	{
		in_sd python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/paravane-metrics/socket")
s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
while data := s.recv(65536):
	print(data.decode(), end="")' >"$tmp/out" 2>"$tmp/said"
	}
	wait_for $wait_s figures || fail "nobody answers: $(cat "$tmp/said"; log metrics)"
	grep -q '^paravane_backend_up{kind="vbd"} 1' "$tmp/out" &&
		grep -q "^paravane_disk_requests_total{domid=\"$domid\",domain=\"g1\",device=\"xvda\",op=\"write\"} [1-9]" "$tmp/out" &&
		grep -q "^paravane_disk_worker_cpu_seconds_total{domid=\"$domid\"" "$tmp/out" ||
		fail "not what it should say: $(cat "$tmp/out")"
	[ "$(in_sd stat -c '%G %a' /run/paravane-metrics /run/paravane-metrics/socket | tr '\n' ' ')" = "daemon 2750 daemon 660 " ] ||
		fail "not the group's: $(in_sd ls -la /run/paravane-metrics)"
	in_sd systemctl stop paravane-metrics || fail "it does not stop: $(log metrics)"
	is metrics Result success || fail "it ended badly: $(log metrics)"
fi

say "killed, it is started again, and the disk goes on"
pid=$(in_sd systemctl show -P MainPID paravane-blkback)
leave_marks blkback
in_sd kill -9 "$pid"
wait_for $wait_s is blkback NRestarts 1 || fail "not started again: $(log blkback)"
wait_for $wait_s is blkback SubState running || fail "not running: $(log blkback)"
is_ready() { [ "$(grep -c ' ready:' "$tmp/blkback.log")" -ge "$1" ]; }
wait_for $wait_s is_ready 2 || fail "not ready: $(log blkback)"
node_is "$(back_dir "$domid")/state" 4 || fail "the disk went away"
see_marks blkback

say "reloaded, the process is the same, and the disk goes on with another worker"
pid=$(in_sd systemctl show -P MainPID paravane-blkback)
worker=$(info pid)
in_sd systemctl reload paravane-blkback || fail "reload: $(log blkback)"
is blkback MainPID "$pid" || fail "another process"
is blkback SubState running || fail "not running after a reload"
[ "$(info pid)" != "$worker" ] || fail "the same worker"
node_is "$(back_dir "$domid")/state" 4 || fail "the disk went away"

say "restarted, again and again, the guest's I/O goes on"
# The guest waits from its last worker's last pass to the first of the new one.
another() { now=$(info pid) && [ -n "$now" ] && [ "$now" != "$worker" ]; }
for n in 1 2 3; do
	worker=$(info pid)
	in_sd systemctl restart paravane-blkback || fail "restart: $(log blkback)"
	wait_for $wait_s another || fail "no worker after a restart: $(log blkback)"
	node_is "$(back_dir "$domid")/state" 4 || fail "the disk went away"
	[ "$(info pause-us)" -gt 0 ] || fail "it does not know how long the guest waited: $(info pause-us)"
	say "it waited $(($(info pause-us) / 1000)) ms"
done
kill "$io"
wait "$io" || fail "its I/O: $(cat "$tmp/io"; log blkback)"
say "$(cat "$tmp/io")"
back_reaches "$domid" 6
guest "$domid" "$blkfront" bench --pattern randread --seconds 600 >"$tmp/io" 2>&1 &
back_reaches "$domid" 4

say "stopped and started, the guest keeps its disk"
leave_marks blkback
in_sd systemctl stop paravane-blkback || fail "stop"
see_marks blkback
is blkback SubState dead || fail "not dead"
is blkback Result success || fail "it was killed: $(in_sd systemctl show -P Result paravane-blkback)"
ls "$PARAVANE_RUNDIR"/blkback/*.journal >/dev/null || fail "the journal is gone"
in_sd systemctl start paravane-blkback || fail "$(log blkback)"
wait_for $wait_s node_is "$(back_dir "$domid")/state" 4 || fail "the disk went away"
"$PWD/paravane" detach "$domid" xvda --wait 30 || fail "detach: $(log blkback)"

# whole NAME: written and read back by a guest, through what serves an image of that name.
whole()
{
	attach_by_hand "$domid" "$1" w
	back_reaches "$domid" 2
	guest "$domid" "$blkfront" write --quiet --length 4M <"$tmp/data" || fail "$1: not written: $(log blkback)"
	back_reaches "$domid" 6
	guest "$domid" "$blkfront" read --quiet --length 4M >"$tmp/out" || fail "$1: not read: $(log blkback)"
	cmp "$tmp/out" "$tmp/data" || fail "$1: something else was read"
}
# What a program started for an image inherits: the unit's filter of system calls, no memory
# that is written and executed, few capabilities and families of sockets.
say "a server is started for an image, with what the unit leaves it"
seq 100000000 | head -c 4M >"$tmp/data"
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 "$tmp/base.qcow2" 16M
	qemu-img create -q -f qcow2 -b "$tmp/base.qcow2" -F qcow2 "$tmp/top.qcow2"
	whole "qcow2:$tmp/top.qcow2"
	detach_by_hand "$domid"
else
	say "skipped: no qemu-nbd here (Debian package qemu-utils)"
fi
if command -v nbdkit >/dev/null; then
	whole "nbdkit:file $tmp/image"
	detach_by_hand "$domid"
else
	say "skipped: no nbdkit here"
fi
say "and a disk is served past the page cache"
if dd if="$tmp/data" of="$tmp/image" bs=4k count=1 oflag=direct conv=notrunc 2>"$tmp/said"; then
	whole "raw+cache=none:$tmp/image"
	guest "$domid" "$blkfront" bench --pattern randread --seconds 600 >"$tmp/io" 2>&1 &
	back_reaches "$domid" 4
	case $(info engine) in direct*) ;; *) fail "its engine is $(info engine)" ;; esac
	[ "$(info sandbox)" = "user files network calls capabilities" ] || fail "its sandbox is $(info sandbox)"
	detach_by_hand "$domid"
else
	say "skipped: files here cannot be written past the page cache: $(cat "$tmp/said")"
fi

if [ -c /dev/net/tun ]; then
	say "a switch's uplink can be made"
	"$PWD/paravane" attach-nic "$domid" bridge=br0 --no-wait --no-libxl >/dev/null || fail attach-nic
	"$PWD/paravane" bridge uplink add br0 pvunit0 || fail "uplink: $(log netback)"
	up() { in_sd grep -q pvunit0 /proc/net/dev; }
	wait_for $wait_s up || fail "no TAP device: $(log netback)"
	! grep -E 'uplink.*(cannot|permitted|denied)' "$tmp/netback.log" || fail "see above"
fi
leave_marks netback
in_sd systemctl stop paravane-netback paravane-blkback || fail "stop"
see_marks netback
! in_sd pgrep -f "$PWD/paravane-.*back" || fail "processes left"

say "the page's unit for uplinks brings the daemon up, and has made them"
"$(dirname "$0")/doc-block" "$top/docs/operations.md" "uplinks unit" >"$tmp/unit" || fail "the page has no unit"
sed "s|/usr/bin/|$PWD/|" "$tmp/unit" >"$tmp/sd/units/paravane-uplinks.service"
mkdir "$tmp/sd/units/paravane-uplinks.service.d"
cat >"$tmp/sd/units/paravane-uplinks.service.d/local-xen.conf" <<-EOF
	[Service]
	EnvironmentFile=$tmp/environment
	Environment=PARAVANE_RUNDIR=$PARAVANE_RUNDIR
	StandardError=append:$tmp/uplinks.log
EOF
in_sd systemctl daemon-reload
in_sd systemctl start paravane-uplinks || fail "it does not start: $(log uplinks; log netback)"
is uplinks SubState exited && is netback SubState running || fail "not as it should be"
node_is /local/domain/0/paravane-bridge/lan/uplink/tap-lan/bridge xenbr0 || fail "no uplink"
"$PWD/paravane" bridge reset lan || fail "bridge reset"
in_sd systemctl stop paravane-uplinks paravane-netback || fail "stop"

# They stand beside each other, and with what the page has an administrator write.
say "the examples' options and the page's are all taken"
for unit in blkback netback; do
	sed -n '/^    \[Service\]$/,/^$/{s/^    //p;/^$/q}' "$top/docs/operations.md" >"$tmp/sd/units/paravane-$unit.service.d/page.conf"
	grep -q OPTIONS= "$tmp/sd/units/paravane-$unit.service.d/page.conf" || fail "the page has no drop-in"
	for example in $(grep -l "paravane-$unit" "$top"/packaging/examples/*.conf | grep -v /modprobe-); do
		cp "$example" "$tmp/sd/units/paravane-$unit.service.d/"
	done
done
in_sd systemctl daemon-reload
in_sd systemctl start paravane-blkback paravane-netback || fail "they do not start: $(log blkback; log netback)"
# has UNIT OPTION...: each is an argument of its
has()
{
	unit=$1
	shift
	arguments=$(in_sd sh -c 'tr "\0" "\n" <"/proc/$(systemctl show -P MainPID "$1")/cmdline"' sh paravane-$unit)
	for option in "$@"; do
		echo "$arguments" | grep -qxe "$option" || fail "paravane-$unit has no $option: $arguments"
	done
}
has blkback --kind=vbd3 --driver-domain --log-level=debug --close-timeout=60
has netback --page-flip --driver-domain --log-level=debug --close-timeout=60

prerm="$top/debian/paravane.prerm"
if in_sd sh -c 'command -v deb-systemd-invoke' >/dev/null && [ -e "$prerm" ]; then
	say "the package's upgrade leaves them, its removal stops them"
	# Containers have one that forbids everything; this systemd's mounts are its own.
	[ ! -e /usr/sbin/policy-rc.d ] || in_sd mount --bind /dev/null /usr/sbin/policy-rc.d || fail "mount"
	in_sd sh "$prerm" upgrade 2 || fail "prerm upgrade"
	is blkback SubState running && is netback SubState running || fail "stopped by an upgrade"
	in_sd sh "$prerm" remove || fail "prerm remove"
	is blkback SubState dead && is netback SubState dead || fail "they outlive their package"
else
	in_sd systemctl stop paravane-netback paravane-blkback || fail "stop"
fi
say passed
