# SPDX-License-Identifier: LGPL-2.1-or-later
# about: paravane compare on a Xen host: emulated and paravirtual disks and network cards (paravane compare --on xenhost)
# needs: paravane-blkback paravane-netback compare-xen/domain-cpu
# timeout: 300000
# silence: 1800
# boot: own clock=count
#
# By the counting clock a guest that has come to a stand stays there: its seconds do not pass. So
# real time without a new line ends it.
#
# Writes the lines that tools/compare-xen prints to records. COMPARE holds options for it, one to a line.

# The comparison calls xl; time here runs away while nothing is executed (xl_create).
mkdir -p $xh_run/bin
cat >$xh_run/bin/xl <<'END'
#!/bin/bash
[ "$1" = create ] || exec /usr/sbin/xl "$@"
nice -n 19 sh -c 'while :; do :; done' &
/usr/sbin/xl "$@"
status=$?
kill $!
exit $status
END
chmod +x $xh_run/bin/xl
PATH=$xh_run/bin:$PATH

mapfile -t options <<<"$COMPARE"
[ -n "$COMPARE" ] || options=()
"$XH_BUILD/tools/compare-xen/compare-xen" --kernel $xh_boot/vmlinuz --pv-kernel $xh_boot/vmlinux \
	--ramdisk $xh_boot/guest.cpio --memory 400 --patience 60000 "${options[@]}" >"$XH_RESULTS/records"
say "$(grep -c ^table= "$XH_RESULTS/records") measurements"
