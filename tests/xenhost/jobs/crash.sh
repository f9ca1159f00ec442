# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our back end's worker and supervisor killed under Debian's front end doing I/O: no error, no lost write
# quick: yes
# needs: paravane-blkback
# timeout: 1800

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${DEATHS:-6}
file=$(image crash 48)
guest_start cr pv
our_disk cr xvda "$file"
check "the disk connects" disk_connected cr xvda vbd

# worker: the process that serves the only disk.
worker()
{
	pgrep -P "${our_pid[vbd]}" | head -n 1
}

another_worker()
{
	local pid
	pid=$(worker) && [ "$pid" != "$1" ]
}

# completed: writes that the guest has seen done.
completed()
{
	guest_run cr 'awk "{ print \$5 }" /sys/block/xvda/stat'
}

progress()
{
	[ "$(completed)" -gt "$1" ]
}

guest_writes cr xvda
for round in $(seq $rounds); do
	check "the guest writes ($round)" wait_for 60 progress "$(completed)"
	old=$(worker)
	kill -9 "$old"
	check "a new worker takes over ($round)" wait_for 30 another_worker "$old"
	check "states stay connected ($round)" disk_states cr xvda vbd 4 4
done
check "the guest writes again" wait_for 60 progress "$(completed)"
say "the supervisor goes"
kill -9 "${our_pid[vbd]}"
wait_for 10 process_gone "${our_pid[vbd]}"
our_backend vbd
check "the guest writes after a new supervisor came" wait_for 60 progress "$(completed)"
check "fio verified everything" guest_writes_end cr
check "the guest saw no error" guest_run cr '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
check "the disk goes" disk_detach cr xvda vbd
guest_stop cr
