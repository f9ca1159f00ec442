# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our net back end becomes another version of its program under TCP between two Debian guests: no connection breaks, no octet is wrong
# quick: yes
# needs: paravane-netback
# stores: one
# timeout: 4500

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${UPGRADES:-3}
stream_start
for round in $(seq $rounds); do
	old=$(netback_worker)
	check "upgrade $round" paravane upgrade netback
	check "another worker" eval '[ "$(netback_worker)" != "$old" ]'
	check "it streams on ($round)" stream_goes_on
done
check "states stay connected" equal "4 4 4 4" "$(stream_states)"
printf '#!/bin/sh\nexit 9\n' >/tmp/no-version
chmod +x /tmp/no-version
check "a program that cannot start is refused" eval '! paravane upgrade netback --program /tmp/no-version'
say "stopped and started, as systemctl restart does"
kill "$netback_pid"
wait_for 30 process_gone "$netback_pid"
our_netback
check "it streams after a restart" stream_goes_on
stream_end
say "ok: $stream_files files of 24 MiB through $rounds upgrades and a restart"
