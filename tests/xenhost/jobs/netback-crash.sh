# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a bridge's worker and its supervisor killed under TCP between two Debian guests: no connection breaks, no octet is wrong
# quick: yes
# needs: paravane-netback
# stores: one
# timeout: 4500

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${DEATHS:-3}
another_worker()
{
	local pid

	pid=$(netback_worker) && [ "$pid" != "$1" ]
}

stream_start
for round in $(seq $rounds); do
	old=$(netback_worker)
	kill -9 "$old"
	wait_for 60 another_worker "$old" || die "no other worker ($round)"
	stream_goes_on || die "the stream has stopped ($round)"
	# Five deaths in ten seconds would be too many.
	sleep $((1 + round % 3))
done
check "states stay connected" equal "4 4 4 4" "$(stream_states)"
say "the supervisor goes, and its worker with it"
kill -9 "$netback_pid" "$(netback_worker)"
wait_for 10 process_gone "$netback_pid"
our_netback
check "it streams after a new supervisor came" stream_goes_on
stream_end
say "ok: $stream_files files of 24 MiB through $((rounds + 1)) deaths"
