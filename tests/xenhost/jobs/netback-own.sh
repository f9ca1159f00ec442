# SPDX-License-Identifier: LGPL-2.1-or-later
# about: what only our two ends have: static grants, Toeplitz, multicast filter, seen in frames; a hostile net front end
# needs: paravane-netback paravane-netfront tests/net-own tests/hostile-net
# timeout: 500

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
for devid in 0 1 2 3; do
	nic_attach no $devid bridge=own hotplug-status=connected
done

# ---- what both ends agree on, and what goes through it --------------------------------

agreed()
{
	guest_run no "$front info --json --static-grants --hash --queues 2 --multicast-control --timeout 60" 100 |
		tee /dev/stderr | grep -q '"queues":2,.*"ctrl_ring":1,"multicast_control":1,.*"static_pages":[1-9]'
}
check "static grants, hash, queues and filter are agreed on" agreed
for case in static-grants hash multicast dynamic; do
	check "$case, frame by frame" guest_run no "$own $case" 200
done

# stack NUMBER OPTION...: the guest's own TCP/IP on an interface, in a network namespace.
stack()
{
	local number=$1
	shift
	guest_run no "rm -f /tmp/up$number /tmp/end$number"
	guest_background no "stack$number" "exec unshare -n $front tap --vif $number --timeout 60 $* --run '
		ip link set lo up; ip addr add 10.9.0.1$number/24 dev pv0
		echo \$\$ >/tmp/up.$number; mv /tmp/up.$number /tmp/up$number
		while [ ! -e /tmp/end$number ]; do sleep 0.2; done'"
	wait_for 60 guest_run no "[ -e /tmp/up$number ]" || { guest_run no "cat /tmp/stack$number.log"; return 1; }
}

stack_ends()
{
	guest_run no "touch /tmp/end$1"
	guest_wait no "stack$1" 60
}

# crosses FROM TO [MIB]: a random file goes over TCP from one interface to another.
crosses()
{
	guest_run no "cd /tmp && mkdir -p www && dd if=/dev/urandom of=www/file bs=1M count=${3:-4} 2>/dev/null
		inside() { pid=\$(cat /tmp/up\$1); shift; nsenter -t \$pid -n \"\$@\"; }
		inside $1 httpd -f -p 80 -h /tmp/www & server=\$!
		rm -f got; ok=1
		for try in 1 2 3 4 5 6 7 8 9 10; do
			inside $2 wget -q -O got http://10.9.0.1$1/file && { ok=0; break; }
			sleep 0.5
		done
		kill \$server
		[ \$ok = 0 ] && cmp www/file got" 200
}

# moves WHAT OPTION...: vif 0 and 1 with these options carry TCP both ways.
moves()
{
	local what=$1
	shift
	check "$what: two interfaces" eval "stack 0 $* && stack 1 $*"
	check "$what: TCP" crosses 0 1
	check "$what: TCP, reverse" crosses 1 0
	held=$(($(grants_held no) - before))
	check "$what: they end" eval "stack_ends 0 && stack_ends 1"
}
pools="--tx-pages 64 --rx-pages 64"
moves "copied" $pools
check "the hypervisor says that only rings are held ($held)" [ $held -le 6 ]
moves "static grants" --static-grants $pools
check "it says that all pages of the four pools are ($held)" [ $held -ge $((4 * 64)) ]
moves "hash" --hash --queues 2
moves "filter" --multicast-control

# ---- one that means harm on vif 0 and 1, beside vif 2 and 3 ---------------------------

check "two others" eval "stack 2 --static-grants $pools && stack 3 $pools"
worker=$(pgrep -P "$netback_pid")
domid=$(guest_domid no)

unhurt()
{
	! process_gone "$netback_pid" && equal "$worker" "$(pgrep -P "$netback_pid")" && crosses 2 3 1
}

# plays CASE...: of hostile-net (tests/e2e-net-hostile.sh says what they are).
plays()
{
	check "hostile: $*" guest_run no "$hostile --seconds 1 $*" 300
}

# stops TEXT CASE: the vif closes and says why; then it is there again.
stops()
{
	plays "$2"
	xs "/local/domain/0/error/backend/vif/$domid/0/error" | grep -F "$1" ||
		die "$2: the error node is '$(xs "/local/domain/0/error/backend/vif/$domid/0/error")', expected '$1'"
	plays good
}

plays frames octets
stops "a frame has 20 slots" chain
check "the others do not notice" unhurt
stops "the control ring's producer is impossible" ring-jump
stops "control ring" ring-connect
plays ring-scribble good
check "the others do not notice" unhurt
plays rx-grants grant-data grant-ring grant-static maps good
check "the others do not notice" unhurt
plays keys good
check "hostile: killed" equal 137 "$(guest_run no "$hostile killed" >&2; echo $?)"
plays good
check "the others do not notice" unhurt
check "they end" eval "stack_ends 2 && stack_ends 3"

for devid in 0 1 2 3; do
	check "vif $devid goes" nic_detach no $devid 60
done
check "no grant is held" wait_for 20 eval '[ $(grants_held no) -le '"$before"' ]'
check "nothing of them is left" no_nic_left "$domid"
guest_stop no
