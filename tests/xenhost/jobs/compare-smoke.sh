# SPDX-License-Identifier: LGPL-2.1-or-later
# about: paravane compare in dom0: an emulated disk, paravirtual ones beside it, nothing left; interrupted too
# needs: paravane paravane-blkback compare-xen/domain-cpu
# boot: vcpus=1
# stores: one
# timeout: 2250

# One CPU for the HVM guest: docs/xenhost.md.
compare=("$XH_BUILD/tools/compare-xen/compare-xen" --kernel $xh_boot/vmlinuz --pv-kernel $xh_boot/vmlinux
	--ramdisk $xh_boot/guest.cpio --memory 400)
# What is there but was not: processes, domains, nodes, modules, files.
left()
{
	xl list | awk 'NR > 1 { print $1 }'
	pgrep -af '[x]entrace|[p]aravane-|[x]en-qemu|[i]perf3' || true
	# backend/KIND itself is everybody's
	xenstore-ls -f /local/domain/0/backend 2>/dev/null | grep '/backend/[^/]*/' || true
	ls -d /sys/module/xen_blkback /sys/class/net/pvcmp* /dev/shm/paravane-compare* 2>/dev/null || true
	losetup -a
}
before=$(left)
check "it measures" eval '"${compare[@]}" --quick >"$XH_RESULTS/records"'
cat "$XH_RESULTS/records"
# value LABEL KEY
value() { sed -n "s/.*\tlabel=$1\t.*\t$2=\([0-9.]*\).*/\1/p" "$XH_RESULTS/records"; }
check "an emulated disk and four others" equal 5 "$(grep -c ^table= "$XH_RESULTS/records")"
check "an IDE command is many port accesses" eval '[ $(value "HVM, IDE" port_exits) -gt $((10 * $(value "HVM, IDE" ops))) ]'
check "a request on a ring is none" equal 0 "$(value "HVM, PV disk, paravane" port_exits)"
check "a PV guest's notifications are counted" eval '[ $(value "PV, PV disk, paravane" notifications_sent) -gt 0 ]'
for label in "HVM, PV disk, paravane" "PV, PV disk, linux" "PV, PV disk, qdisk"; do
	check "$label beats IDE" eval '[ $(value "$label" ops_per_s | cut -d. -f1) -gt $(value "HVM, IDE" ops_per_s | cut -d. -f1) ]'
done
check "the back end's CPU time is counted" eval '[ $(value "PV, PV disk, paravane" back_end_cpu_ns) -gt 0 ]'
check "nothing is left" equal "$before" "$(left)"

"${compare[@]}" --pv --disk >/dev/null 2>$xh_run/interrupted &
pid=$!
check "it gets to measuring" wait_for 200 grep -q "depth 32" $xh_run/interrupted
kill $pid
wait $pid || status=$?
check "its status says that it was interrupted" equal 143 "$status"
check "nothing is left of that" equal "$before" "$(left)"
