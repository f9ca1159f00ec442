# SPDX-License-Identifier: LGPL-2.1-or-later
# about: paravane compare in dom0: the back end on the guest's CPU and beside it; dom0's CPUs are given back
# needs: paravane paravane-blkback compare-xen/domain-cpu
# stores: one
# timeout: 2250

before=$(xl vcpu-list 0 | awk '{ print $3, $(NF - 2), $NF }')
check "it measures" eval '"$XH_BUILD/tools/compare-xen/compare-xen" --kernel $xh_boot/vmlinuz --pv-kernel $xh_boot/vmlinux \
	--ramdisk $xh_boot/guest.cpio --memory 400 --pv --disk --no-trace --only "where the back end runs" >"$XH_RESULTS/records"'
cat "$XH_RESULTS/records"
check "each back end, both places" equal 4 "$(grep -c ^table= "$XH_RESULTS/records")"
check "dom0 runs where it ran" equal "$before" "$(xl vcpu-list 0 | awk '{ print $3, $(NF - 2), $NF }')"
