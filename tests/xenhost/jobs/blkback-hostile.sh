# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a hostile block front end in a Linux guest, beside a guest whose fio must not notice
# needs: paravane-blkback tests/hostile-blk
# stores: one
# timeout: 3000

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
hostile=$XH_BUILD/tests/hostile-blk
our_backend vbd --log-level=debug
# Without the kernel's front end: it would take the disks.
guest_start hb pv vcpus=2 files="$hostile" \
	cmdline="guest_modules=xen-evtchn,xen-gntdev,xen-gntalloc,xenfs"
guest_run hb 'echo 4000 >/sys/module/xen_gntalloc/parameters/limit'
before=$(grants_held hb)
domid=$(guest_domid hb)
image=$(image hostile 16)
our_disk hb xvda "$image"
bystander_start ok

# plays ARGUMENT...: of hostile-blk (tests/e2e-blk-hostile.sh says what the cases are);
# each begins with a disk that is served, whatever the one before did.
plays()
{
	check "hostile: $*" guest_run hb "$hostile --seconds 2 $*" 300
}

# stops ARGUMENT...: the disk closes and says why; then it is there again.
stops()
{
	plays "$@"
	check "it says why" eval "xs /local/domain/0/error/backend/vbd/$domid/51712/error |
		grep -F \"the ring's request producer is impossible\""
}

# Where the hypervisor has a part; the rest is played on local Xen.

# ---- requests, grants, events --------------------------------------------------------

plays requests
plays --persistent requests
check "the other does not notice" bystander_unhurt ok
# 0xee is what refused writes held.
check "nothing of a refused write is in the image" equal 0 "$(tr -dc '\356' <"$image" | wc -c)"
stops ring-jump
plays ring-scribble
plays grant-list grant-data grant-ring
plays --persistent grant-list grant-data grant-ring
check "the other does not notice" bystander_unhurt ok
plays storm
plays ports
check "the other does not notice" bystander_unhurt ok

# ---- sudden deaths --------------------------------------------------------------------------

for option in --abi=native --persistent; do
	check "killed $option" equal 137 "$(guest_run hb "$hostile $option killed" >&2 || echo $?)"
	plays good
done
check "its disk goes" disk_detach hb xvda vbd
check "no grant of it is held" wait_for 20 eval '[ $(grants_held hb) -le '"$before"' ]'
check "the other does not notice" bystander_unhurt ok

locked=$(image locked 16)
sum=$(sha256sum <"$locked")
our_disk hb xvda "$locked" mode=r
plays read-only
plays --persistent read-only
check "a read-only image is as it was" equal "$sum" "$(sha256sum <"$locked")"
check "its disk goes" disk_detach hb xvda vbd

our_disk hb xvda "$image"
guest_background hb load "exec $hostile load"
check "the ring is full" wait_for 60 guest_run hb "grep -q 'in flight' /tmp/load.log"
xl destroy hb
check "it is destroyed with requests in flight: no zombie stays" domain_gone "$domid"
xenstore-rm "/local/domain/0/backend/vbd/$domid" 2>/dev/null || true
# LIFE-4
check "nothing of it is left" nothing_left "$domid"
check "the other does not notice" bystander_unhurt ok

# The next guest's, whatever number it has.
guest_start after pv
our_disk after xvda "$image"
check "the next guest's disk connects" disk_connected after xvda vbd
check "and is served" guest_run after 'dd if=/dev/xvda of=/dev/null bs=1M count=8 iflag=direct'
check "it goes" disk_detach after xvda vbd
guest_stop after

bystander_end ok
