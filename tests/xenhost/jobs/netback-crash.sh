# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a bridge's worker and its supervisor killed under TCP between two Debian guests: no connection breaks, no octet is wrong
# quick: yes
# needs: paravane-netback
# timeout: 1800

[ "$XH_BACKEND" = ours ] || skip "only our back end survives this"
rounds=${DEATHS:-4}
served_bridge net0
guest_start na pv memory=256 vif="$(served_vif net0)"
guest_start nb pv memory=256 vif="$(served_vif net0)"
check "the first connects" nic_up na 0 1
check "the second connects" nic_up nb 0 2
check "ping" pings na 10.9.0.2
# Long enough that most deaths come in the middle of one.
guest_run na 'mkdir -p /tmp/www && dd if=/dev/urandom of=/tmp/www/file bs=1M count=24 2>/dev/null; httpd -p 80 -h /tmp/www' ||
	die "nothing to fetch"
sum=$(guest_run na 'md5sum </tmp/www/file') || die "no sum"
guest_background nb fetch 'while [ ! -e /tmp/stop ]; do wget -q -O - http://10.9.0.1/file | md5sum; done'

worker() { pgrep -P "$netback_pid" | head -n 1; }
another_worker()
{
	local pid

	pid=$(worker) && [ "$pid" != "$1" ]
}
states() { echo $(for g in na nb; do xs "$(nic_be $g 0)/state"; xs "$(nic_fe $g 0)/state"; done); }
# octets: that nb has received.
octets() { guest_run nb 'cat /sys/class/net/eth0/statistics/rx_bytes'; }
goes_on() { [ "$(octets)" -gt $(($1 + 1000000)) ]; }

check "it streams" wait_for 60 goes_on "$(octets)"
for round in $(seq $rounds); do
	old=$(worker)
	kill -9 "$old"
	wait_for 60 another_worker "$old" || die "no other worker ($round)"
	wait_for 60 goes_on "$(octets)" || die "the stream has stopped ($round)"
	# Five deaths in ten seconds would be too many.
	sleep $((1 + round % 3))
done
check "states stay connected" equal "4 4 4 4" "$(states)"
say "the supervisor goes, and its worker with it"
kill -9 "$netback_pid" "$(worker)"
wait_for 10 process_gone "$netback_pid"
our_netback
check "it streams after a new supervisor came" wait_for 60 goes_on "$(octets)"
guest_run nb 'touch /tmp/stop'
fetched=$(guest_wait nb fetch) || die "it does not end"
check "every file arrived as it was" equal "$sum" "$(echo "$fetched" | sort -u)"
say "ok: $(echo "$fetched" | wc -l) files of 24 MiB through $((rounds + 1)) deaths"
guest_stop na
guest_stop nb
