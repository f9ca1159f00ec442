# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our back end's worker and supervisor killed under Debian's front end doing I/O: no error, no lost write
# quick: yes
# needs: paravane-blkback
# stores: one
# timeout: 4500

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${DEATHS:-4}
every=$((rounds / 10 + 1))
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

guest_writes cr xvda
check "the guest writes" wait_for 60 disk_progress cr "$(disk_completed cr)"
for round in $(seq $rounds); do
	old=$(worker)
	# At any instant; but five deaths in ten seconds would be too many.
	sleep 2.$((RANDOM % 10))$((RANDOM % 10))
	kill -9 "$old"
	wait_for 30 another_worker "$old" || die "no other worker ($round)"
	[ $((round % every)) != 0 ] || {
		check "the guest writes after $round deaths" wait_for 60 disk_progress cr "$(disk_completed cr)"
		check "states stay connected ($round)" disk_states cr xvda vbd 4 4
	}
done
check "the guest writes again" wait_for 60 disk_progress cr "$(disk_completed cr)"
say "the supervisor goes"
kill -9 "${our_pid[vbd]}"
wait_for 10 process_gone "${our_pid[vbd]}"
our_backend vbd
check "the guest writes after a new supervisor came" wait_for 60 disk_progress cr "$(disk_completed cr)"
check "fio verified everything" guest_writes_end cr
check "the guest saw no error" guest_run cr '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
check "the disk goes" disk_detach cr xvda vbd
guest_stop cr
