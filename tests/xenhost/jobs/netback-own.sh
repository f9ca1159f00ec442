# SPDX-License-Identifier: LGPL-2.1-or-later
# about: our net front end on our net back end: static grants, hashing, multicast control; and one that lies
# needs: paravane-netback paravane-netfront tests/hostile-net
# timeout: 400
#
# No other driver has control messages 8 to 10, and no Linux guest the rest.

front=$XH_BUILD/paravane-netfront
served_bridge net0
# Without the kernel's front end: it would take the interfaces.
guest_start no pv memory=256 vcpus=2 files="$front $XH_BUILD/tests/hostile-net" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs,tun"
before=$(grants_held no)
for number in 0 1; do nic_attach no $number bridge=net0 hotplug-status=connected; done
guest_run no 'echo 2000 >/sys/module/xen_gntalloc/parameters/limit'

# info OPTION... WORD: what the front end says of interface 0.
info() { guest_run no "$front info --json --timeout 40 $1 | tee /dev/stderr | grep -q '$2'" 100; }
check "pages are kept mapped" info --static-grants '"static_pages":512'
check "of two queues too" info "--static-grants --queues 2" '"queues":2,.*"static_pages":8'
check "frames are hashed" info "--hash --queues 2" '"ctrl_ring":1'
check "groups are filtered" info --multicast-control '"multicast_control":1'

guest_background no serve "$front ping --vif 1 --serve --address 10.9.0.2 --static-grants --timeout 40"
# pinged OPTION...: the other interface answers.
pinged() { guest_run no "$front ping --timeout 40 --address 10.9.0.1 10.9.0.2 --count 5 --wait-ms 20000 $*" 120; }
check "pings by the CPU alone" pinged --static-grants
check "pings with frames of three pages" pinged --static-grants --size 9000
check "pings with one side mapped" pinged --size 9000
check "pings with a filter" pinged --multicast-control
guest_run no 'killall paravane-netfront'
guest_wait no serve 60 || true

hostile() { guest_run no "$XH_BUILD/tests/hostile-net --seconds 2 $*" 200; }
check "frames that lie" hostile frames octets chain
check "rings that lie" hostile ring-jump ring-connect ring-scribble
check "grants that lie" hostile rx-grants grant-static maps
check "keys that lie" hostile keys good
check "no grant is held" wait_for 20 eval '[ $(grants_held no) -le '"$before"' ]'
for number in 0 1; do check "interface $number goes" nic_detach no $number 60; done
guest_stop no
