# SPDX-License-Identifier: LGPL-2.1-or-later
# about: workers of a disk and a bridge on real Xen: what they are, what an intruder in them is refused, Debian's front ends served on
# needs: paravane-blkback paravane-netback tests/intruder-blkback tests/intruder-netback
# stores: one
# timeout: 1000

[ "$XH_BACKEND" = ours ] || skip "only our workers are in a sandbox"
# A file here is in dom0's memory, of which no kernel before Linux 6.6 takes O_DIRECT, and so no io_uring.
modprobe loop
file=$(losetup -f --show "$(image sand 48)")
guest_start sa pv memory=256

# field PID NAME, of its status
field()
{
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

# namespace_differs PID NAME
namespace_differs()
{
	[ "$(readlink "/proc/$1/ns/$2")" != "$(readlink "/proc/self/ns/$2")" ]
}

# is_boxed WHAT PID: seen from outside.
is_boxed()
{
	local what=$1 pid=$2 ns

	say "$what: $(field "$pid" Uid | cut -f1), $(readlink "/proc/$pid/ns/mnt"), $(cat "/proc/$pid/mountinfo")"
	check "$what has no capability" equal 0000000000000000 "$(field "$pid" CapEff)"
	check "$what: none permitted" equal 0000000000000000 "$(field "$pid" CapPrm)"
	check "$what has a list of system calls" equal 2 "$(field "$pid" Seccomp)"
	check "$what gets no new privileges" equal 1 "$(field "$pid" NoNewPrivs)"
	check "$what is a user of its own" equal $((0x70000000 + pid)) "$(field "$pid" Uid | cut -f1)"
	check "$what is in no group" equal "" "$(field "$pid" Groups | tr -d ' ')"
	for ns in mnt net ipc uts; do
		check "$what has its own $ns namespace" namespace_differs "$pid" $ns
	done
	check "$what has an empty root" equal "" "$(ls -A "/proc/$pid/root/")"
}

# no_way_out LOG: the intruder tried, and nothing worked.
no_way_out()
{
	grep '^intruder: ' "$1" | grep -v 'refused by the list' || true
	grep -q '^intruder: .* 0 succeeded$' "$1" && ! grep -q '^intruder: .*SUCCEEDED' "$1"
}

# As under a service manager: where a worker's log is a plain file, it can write files.
piped() { exec "$@" > >(cat) 2>&1; }

# daemons DISK NET: the disk's and the network's, by programs of these names.
daemons()
{
	start_daemon blkback piped "$1" --engine=direct
	disk_daemon=$daemon_pid
	start_daemon netback piped "$2"
	net_daemon=$daemon_pid
}

round()
{
	local disk_worker net_worker

	disk_attach sa xvda vbd params="aio:$file"
	check "the disk connects" disk_connected sa xvda vbd
	nic_attach sa 0 bridge=net0 hotplug-status=connected
	check "the interface connects" nic_connected sa 0
	disk_worker=$(pgrep -P $disk_daemon -f -- --worker | head -n 1)
	net_worker=$(pgrep -P $net_daemon -f -- --worker | head -n 1)
	is_boxed "the disk's worker" "$disk_worker"
	is_boxed "the bridge's worker" "$net_worker"
	guest_writes sa xvda
	check "the guest writes" wait_for 60 guest_run sa '[ "$(awk "{ print \$5 }" /sys/block/xvda/stat)" -gt 100 ]'
	check "fio verified everything" guest_writes_end sa
	check "the same worker served it" equal "$disk_worker" "$(pgrep -P $disk_daemon -f -- --worker | head -n 1)"
	check "the interface comes up" guest_run sa 'ip link set eth0 up && ip addr add 10.9.0.1/24 dev eth0'
	guest_run sa 'ping -c 2 -W 1 10.9.0.9 >/dev/null || true'
	check "frames leave the guest" guest_run sa '[ "$(cat /sys/class/net/eth0/statistics/tx_packets)" -gt 0 ]'
	check "the disk goes" disk_detach sa xvda vbd
	check "the interface goes" nic_detach sa 0
}

for module in xen_blkback xen_netback; do
	if [ -d /sys/module/$module ]; then rmmod $module; fi
done
daemons paravane-blkback paravane-netback
round
stop_daemon $disk_daemon
stop_daemon $net_daemon

say "the same with an intruder in each worker"
daemons "$XH_BUILD/tests/intruder-blkback" "$XH_BUILD/tests/intruder-netback"
round
check "the disk's intruder found no way out" no_way_out "$XH_RESULTS/blkback.log"
check "it tried the disk's io_uring too" equal 9 "$(grep '^intruder: io_uring: ' "$XH_RESULTS/blkback.log" | cut -d: -f3 | sort -u | wc -l)"
check "the bridge's found none" no_way_out "$XH_RESULTS/netback.log"
stop_daemon $disk_daemon
stop_daemon $net_daemon
guest_stop sa
