# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our block back end becomes another version of its program under Debian's front end doing verified I/O, and is restarted
# quick: yes
# needs: paravane-blkback
# stores: one
# timeout: 4500

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${UPGRADES:-3}
guest_start up pv
for disk in xvda xvdb; do
	our_disk up $disk "$(image "upgrade-$disk" 48)"
	check "$disk connects" disk_connected up $disk vbd
done

workers() { pgrep -P "${our_pid[vbd]}" | sort | xargs; }
upgraded()
{
	local before now

	before=$(workers)
	paravane upgrade blkback || return
	now=$(workers)
	[ "$(echo "$now" | wc -w)" = 2 ] && ! echo "$now" | grep -wqE "${before// /|}"
}

guest_writes up xvda
pid=${our_pid[vbd]}
for round in $(seq $rounds); do
	check "the guest writes ($round)" wait_for 60 disk_progress up "$(disk_completed up)"
	check "upgrade $round" upgraded
	check "states stay connected ($round)" eval 'disk_states up xvda vbd 4 4 && disk_states up xvdb vbd 4 4'
done
check "the guest writes after them" wait_for 60 disk_progress up "$(disk_completed up)"
printf '#!/bin/sh\nexit 9\n' >/tmp/no-version
chmod +x /tmp/no-version
check "a program that cannot start is refused" eval '! paravane upgrade blkback --program /tmp/no-version'
check "the guest writes on" wait_for 60 disk_progress up "$(disk_completed up)"

say "stopped and started, as systemctl restart does"
kill "$pid"
wait_for 30 process_gone "$pid"
our_backend vbd
check "the guest writes after a restart" wait_for 60 disk_progress up "$(disk_completed up)"
check "fio verified everything" guest_writes_end up
check "the guest saw no error" guest_run up '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
check "the disk that was idle works" guest_run up 'seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvdb conv=fsync; head -c $(stat -c %s /tmp/a) /dev/xvdb | cmp - /tmp/a'
for disk in xvda xvdb; do
	check "$disk goes" disk_detach up $disk vbd
done
guest_stop up
