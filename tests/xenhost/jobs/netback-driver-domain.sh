# SPDX-License-Identifier: LGPL-2.1-or-later
# about: the net back end in a guest of its own serves two others under xl: attach, detach, destroy under load; it dies itself, and comes back
# needs: paravane-netback
# timeout: 2250

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
back=$(command -v paravane-netback)
# back_start: the domain, with the daemon; $driver is its number.
back_start()
{
	guest_start driver pv memory=256 cmdline=guest_modules=xen-evtchn,xen-gntdev files="$back" \
		extra="$(printed_text "driver xl.cfg")"
	driver=$(guest_domid driver)
	check "it has no privcmd" guest_run driver 'umount /proc/xen; rmmod xenfs xen_privcmd; [ ! -e /dev/xen/privcmd ]'
	guest_run driver "ln -s $back /bin/"
	printed_in driver "driver interfaces"
	check "the daemon is ready" wait_for 30 guest_run driver 'grep ready: /tmp/netback.log'
}

# Of all that follows.
nic_be() { echo "/local/domain/$driver/backend/vif/$(guest_domid "$1")/$2"; }
vif=$(printed_text "driver guest" vif)
mac=00:16:3e:0d:0e:0f

back_start
guest_start na pv memory=256 vif="$vif"
guest_start nc pv memory=256 vif="$vif,mac=$mac"
check "the first guest connects" nic_up na 0 1
check "the second connects" nic_up nc 0 2
check "they see each other" pings na 10.9.0.2
iperf_serve nc
check "TCP" iperf na 10.9.0.2 -n 4M
check "TCP, reverse" iperf na 10.9.0.2 -n 4M -R
check "a file crosses as it is" file_crosses na nc 10.9.0.1
check "a process of its own serves them" guest_run driver 'grep -l -a -e --worker /proc/[0-9]*/cmdline'
check "it has what a driver domain has" guest_run driver '[ ! -e /dev/xen/privcmd ] && [ ! -e /run/xenstored ]'

before=$(grants_held na)
check "xl attaches another" xl network-attach na ${vif//,/ }
check "it connects" nic_up na 1 1
check "its rings are held" [ "$(grants_held na)" -gt "$before" ]
check "xl detaches it" xl network-detach na 1
check "nothing of it is left" no_nic_left "$(guest_domid na)" 1
check "its grants are returned" wait_for 20 eval '[ $(grants_held na) -le '"$before"' ]'

guest_background na stream 'iperf3 -c 10.9.0.2 -t 3600'
sent() { [ "$(guest_run na 'cat /sys/class/net/eth0/statistics/tx_bytes')" -gt "$1" ]; }
check "a stream flows" wait_for 60 sent 8000000
gone=$(guest_domid nc)
check "xl destroys its receiver" timeout 60 xl destroy nc
check "Xen holds nothing of it" domain_gone "$gone"
check "nothing of its interface is left" no_nic_left "$gone"
guest_run na 'killall iperf3'
guest_start nc pv memory=256 vif="$vif,mac=$mac"
check "the next guest, with its address, connects" nic_up nc 0 2
check "and is seen" pings na 10.9.0.2

say "the driver domain dies under traffic"
guest_background na stream 'ping -i 0.1 -s 1400 10.9.0.2'
check "traffic flows" wait_for 60 sent $(($(guest_run na 'cat /sys/class/net/eth0/statistics/tx_bytes') + 20000))
gone=$driver
before=$(grants_held na)
xl destroy driver
check "Xen holds nothing of it" domain_gone "$gone"
check "nor it the rings of its guests" eval '[ $(grants_held na) -le $((before - 2)) ]'
check "a guest lives on without it" guest_run na 'killall ping; uptime'
back_start
check "it is another domain" [ "$driver" != "$gone" ]
# As xl does with an interface whose back end has gone: it goes, and comes anew.
for guest in na nc; do
	check "the interface of $guest is taken away" timeout 60 xl network-detach $guest 0
	check "the guest has let go of it" wait_for 60 guest_run $guest '[ ! -e /sys/class/net/eth0 ]'
done
check "nothing of the former is left" eval '! xenstore-ls -f / | grep "/local/domain/$gone/"'
check "it is attached again" xl network-attach na ${vif//,/ }
check "and the other" xl network-attach nc ${vif//,/ } mac=$mac
check "the first comes back" nic_up na 0 1
check "the second comes back" nic_up nc 0 2
check "they see each other again" pings na 10.9.0.2
check "a file crosses as it is, again" file_crosses na nc 10.9.0.1
guest_stop nc
guest_stop na
check "nothing of theirs is left" no_nic_left "[0-9]*"
guest_run driver 'tail -n 40 /tmp/netback.log'
