# SPDX-License-Identifier: LGPL-2.1-or-later
# about: what only our two ends have: static grants, Toeplitz, multicast filter, seen in frames; a hostile net front end
# needs: paravane-netback paravane-netfront tests/net-own tests/hostile-net
# timeout: 1250
# stores: one

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
front=$(command -v paravane-netfront)
own=$XH_BUILD/tests/net-own
hostile=$XH_BUILD/tests/hostile-net
our_netback --log-level=debug
# Without the kernel's front end: it would take the interfaces.
guest_start no pv memory=256 vcpus=2 files="$front $own $hostile" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs,tun"
guest_run no 'echo 4000 >/sys/module/xen_gntalloc/parameters/limit'
before=$(grants_held no)
# One switch, one process; but what the kernel says to all on 2 and 3 would fill the few
# buffers that the tests offer on 0 and 1.
for devid in 0 1; do
	nic_attach no $devid bridge=own hotplug-status=connected
done
for devid in 2 3; do
	nic_attach no $devid bridge=own vlan=7 hotplug-status=connected
done

# ---- frame by frame ---------------------------------------------------------------------

agreed()
{
	guest_run no "$front info --json --static-grants --hash --queues 2 --multicast-control --timeout 60" 100 |
		tee /dev/stderr | grep -q '"queues":2,.*"ctrl_ring":1,"multicast_control":1,.*"static_pages":[1-9]'
}
check "static grants, hash, queues and filter are agreed on" agreed
check "each is seen in the frames" guest_run no "$own static-grants hash multicast dynamic" 300

# ---- TCP with all of it -----------------------------------------------------------------

# stacks OPTION...: the guest's own TCP/IP on vif 2 and 3, in network namespaces.
stacks()
{
	local number

	for number in 2 3; do
		guest_background no "stack$number" "exec unshare -n $front tap --vif $number --timeout 60 $* --run '
			ip link set lo up; ip addr add 10.9.0.$number/24 dev pv0
			echo \$\$ >/tmp/up.$number; mv /tmp/up.$number /tmp/up$number
			while [ ! -e /tmp/end ]; do sleep 0.2; done'"
	done
	wait_for 60 guest_run no "[ -e /tmp/up2 ] && [ -e /tmp/up3 ]" || { guest_run no "cat /tmp/stack2.log /tmp/stack3.log"; return 1; }
}

stacks_end()
{
	guest_run no "touch /tmp/end"
	guest_wait no stack2 60 && guest_wait no stack3 60
}

# crosses FROM TO MIB: a random file goes over TCP from one to the other.
crosses()
{
	guest_run no "cd /tmp && mkdir -p www && dd if=/dev/urandom of=www/file bs=1M count=$3 2>/dev/null
		nsenter -t \$(cat up$1) -n httpd -f -p 80 -h /tmp/www & server=\$!
		rm -f got
		for try in 1 2 3 4 5 6 7 8 9 10; do
			nsenter -t \$(cat up$2) -n wget -q -O got http://10.9.0.$1/file && break
			sleep 0.5
		done
		kill \$server
		cmp www/file got" 200
}

check "two interfaces with all of it" stacks --static-grants --hash --queues 2 --multicast-control --tx-pages 64 --rx-pages 64
check "TCP" crosses 2 3 4
check "TCP, reverse" crosses 3 2 4
held=$(($(grants_held no) - before))
check "the hypervisor says that the pages of all eight pools are held ($held)" [ $held -ge $((8 * 64)) ]

# ---- one that means harm on vif 0 and 1 ---------------------------------------------------

worker=$(pgrep -P "$netback_pid")
domid=$(guest_domid no)

unhurt()
{
	! process_gone "$netback_pid" && equal "$worker" "$(pgrep -P "$netback_pid")" && crosses 2 3 1
}

# All the time.
guest_background no asking "exec nsenter -t \$(cat /tmp/up3) -n ping 10.9.0.2"
answered()
{
	guest_run no "killall -INT ping"
	guest_wait no asking 60 >$xh_run/asking
	tail -n 3 $xh_run/asking
	awk '/packets transmitted/ { exit !($1 >= 20 && $4 * 10 >= $1 * 9) }' $xh_run/asking
}

# plays CASE...: of hostile-net (tests/e2e-net-hostile.sh says what they are); each
# begins with an interface that is served, whatever the one before did.
plays()
{
	check "hostile: $*" guest_run no "$hostile --seconds 1 $*" 300
}

# stops TEXT CASE: the vif closes and says why.
stops()
{
	local node=/local/domain/0/error/backend/vif/$domid/0/error

	plays "$2"
	check "it says why: $1" eval "xs $node | grep -F \"$1\""
}

plays frames octets
stops "a frame has 20 slots" chain
stops "the control ring's producer is impossible" ring-jump
stops "control ring" ring-connect
plays ring-scribble
check "the others do not notice" unhurt
plays rx-grants
plays grant-ring
plays grant-static
plays maps
check "the others do not notice" unhurt
plays keys
check "hostile: killed" equal 137 "$(guest_run no "$hostile killed" >&2 || echo $?)"
plays good
check "the others do not notice" unhurt
check "nine of ten questions were answered" answered
check "they end" stacks_end

for devid in 0 1 2 3; do
	check "vif $devid goes" nic_detach no $devid 60
done
check "no grant is held" wait_for 20 eval '[ $(grants_held no) -le '"$before"' ]'
check "nothing of them is left" no_nic_left "$domid"
guest_stop no
