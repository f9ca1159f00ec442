# SPDX-License-Identifier: LGPL-2.1-or-later
# about: the host itself: xl, XenStore, a PV guest that answers
# quick: yes
# timeout: 300

check "xl sees dom0" xl list
xenstore-write /xenhost/round-trip "over and out"
check "XenStore gives back what was written" equal "over and out" "$(xenstore-read /xenhost/round-trip)"
check "dom0 is a PV domain" grep -q xen /sys/hypervisor/type

guest_start smoke pv
check "the guest runs Xen's kernel" equal xen "$(guest_run smoke 'cat /sys/hypervisor/type')"
check "a status comes back" equal 3 "$(guest_run smoke 'exit 3' || echo $?)"
check "many lines come back" equal "$(seq 500 | sha256sum)" "$(guest_run smoke 'seq 500' | sha256sum)"
guest_stop smoke
