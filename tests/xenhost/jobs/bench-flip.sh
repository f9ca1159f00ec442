# SPDX-License-Identifier: LGPL-2.1-or-later
# about: frames by page transfer beside copies, between two bare guests (tools/bench-xen flip)
# needs: paravane-netback paravane-flip tests/bareguest/bareguest
# timeout: 20000
# boot: own clock=count
#
# Writes lines "OCTETS PATH NANOSECONDS NOTE" to figures, for each frame; a nanosecond of
# this clock is an instruction, of the guests, dom0 and Xen together. OCTETS is a frame's
# length, or gso for the largest packet. ROWS selects, FRAMES is how many.

our_netback --page-flip
check "page transfer is offered" wait_for 30 grep -q 'page flip is offered' "$XH_RESULTS/paravane-netback.log"

# between NR BYTES PATH [gso]: prints nanoseconds a frame, as the receiver saw them.
between()
{
	local first=$(($(guest_domid last) + 1)) word=

	[ "$3" = copy ] || word=flip
	served_bridge net0
	# Both begin when both are there: this clock runs away while a domain is built.
	bare_create br "net 0 bench-receive $1 10.9.0.$((first + 1)) $word" paused=1 vif="$(served_vif net0 mtu=9000)" >&2
	bare_create bs "net 0 bench-send $1 $2 10.9.0.$first $4" paused=1 vif="$(served_vif net0 mtu=9000)" >&2
	xl unpause br && xl unpause bs || return 1
	bare_passes bs 900 >&2 && bare_passes br 300 >&2 || return 1
	cp $xh_run/guest-bs.domid $xh_run/guest-last.domid
	bare_log br | sed -n 's/^net: \([0-9]*\) wanted.* in \([0-9]*\) ns.*/\1 \2/p' |
		awk 'NF == 2 { printf "%.0f\n", $2 / $1 }'
}

bare_create last "idle 0"
check "a guest that does nothing ends" bare_passes last
for row in ${ROWS:-64 1500 4096 gso}; do
	for path in copy flip; do
		case $row in
		gso)	figure=$(between $((${FRAMES:-20000} / 10)) 65000 $path gso) ;;
		*)	figure=$(between "${FRAMES:-20000}" $((row - 42)) $path) ;;
		esac
		[ -n "$figure" ] || die "$row by $path was not measured"
		say "$row by $path: $figure"
		echo "$row $path $figure" >>"$XH_RESULTS/figures"
	done
done
