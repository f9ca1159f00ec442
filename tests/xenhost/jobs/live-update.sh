# SPDX-License-Identifier: LGPL-2.1-or-later
# about: XenStore is updated live, and does not answer for a while, under a Debian guest's verified I/O and a stream between two
# needs: paravane-blkback paravane-netback
# boot: own
# timeout: 4500

[ "$XH_BACKEND" = ours ] || skip "our back ends are meant"
store=$(cat /run/xenstored.pid)
program=/usr/lib/xen-$XH_XEN_VERSION/bin/$XH_STORE
is_the_store() { [ "$(cat "/proc/$store/comm")" = "$XH_STORE" ]; }
is_stopped() { grep -q '^State:.T' "/proc/$store/status"; }
check "process $store is $XH_STORE" is_the_store

stream_start
guest_start lu pv
our_disk lu xvda "$(image live-update 48)"
check "xvda connects" disk_connected lu xvda vbd
guest_writes lu xvda

all_goes_on()
{
	check "the guest writes ($1)" wait_for 60 disk_progress lu "$(disk_completed lu)"
	check "it streams on ($1)" stream_goes_on
}

# Clients must hear of what they watch, be heard, and keep what they own.
store_serves()
{
	our_disk lu xvdb "$(image "live-update-$1" 16)"
	check "a disk comes ($1)" disk_connected lu xvdb vbd
	check "it can be written ($1)" guest_run lu 'seq 1000 | dd of=/dev/xvdb conv=fsync; head -c 3893 /dev/xvdb | tail -n 1 | grep -qx 1000'
	check "it goes ($1)" disk_detach lu xvdb vbd
	check "states stay connected ($1)" eval 'disk_states lu xvda vbd 4 4 && equal "4 4 4 4" "$(stream_states)"'
}

all_goes_on "before"
for round in 1 2; do
	check "live update $round" xenstore-control live-update "$program"
	check "it is the same process ($round)" is_the_store
	all_goes_on "update $round"
	store_serves "update $round"
done

say "it does not answer"
kill -STOP "$store"
all_goes_on "no answer"
check "so long it did not" is_stopped
kill -CONT "$store"
store_serves "it answers again"

check "fio verified everything" guest_writes_end lu
check "the guest saw no error" guest_run lu '! dmesg | grep -iE "I/O error|blkfront.*(fail|error)"'
check "xvda goes" disk_detach lu xvda vbd
guest_stop lu
stream_end
