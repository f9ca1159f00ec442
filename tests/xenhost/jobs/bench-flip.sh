# SPDX-License-Identifier: LGPL-2.1-or-later
# about: frames by page transfer against copies, from one bare guest to another (tools/bench-xen flip)
# needs: tests/bareguest/bareguest paravane-netback paravane-flip
# timeout: 20000
# boot: own clock=count
#
# Writes lines "BYTES COPY FLIP" to figures: instructions for each frame of so many
# octets, of everything on the host (both guests, dom0 and Xen), from the first that
# arrives to the last. Nobody looks at what is in the frames. ROWS selects.

our_netback --page-flip
bare_create last "idle 0"
bare_passes last 3000

# frames MODE NR BYTES [gso]: sets $instructions, for each.
frames()
{
	local first=$(($(guest_domid last) + 1))

	# Both begin when both are there: this clock runs away while a domain is built.
	bare_create br "net 0 bench-receive $2 10.9.0.$((first + 1)) $1" paused=1 vif="$(served_vif net0 mtu=9000)"
	bare_create bs "net 0 bench-send $2 $3 10.9.0.$first $4" paused=1 vif="$(served_vif net0 mtu=9000)"
	xl unpause br && xl unpause bs || return 1
	cp $xh_run/guest-bs.domid $xh_run/guest-last.domid
	bare_passes bs 3000 && bare_passes br 3000 || return 1
	[ "$1" != flip ] || bare_said br '^net: by flip 1' || return 1
	instructions=$(bare_log br | sed -n 's/^net: .* bytes in \([0-9]*\) ns, result 0/\1/p')
	instructions=$((instructions / $2))
}

# row BYTES NR DATAGRAM [gso]: frames of BYTES, each a datagram and its headers.
row()
{
	local copy flip

	frames copy "${@:2}" || die "copies of $1 were not measured"
	copy=$instructions
	frames flip "${@:2}" || die "transfers of $1 were not measured"
	flip=$instructions
	say "$1: copy $copy, flip $flip"
	echo "$1 $copy $flip" >>"$XH_RESULTS/figures"
}

for bytes in ${ROWS:-64 1500 4096 65535}; do
	case $bytes in
	64)	row 64 20000 22 ;;
	65535)	row 65535 500 65481 gso ;;
	*)	row $bytes $((bytes < 4000 ? 20000 : 8000)) $((bytes - 42)) ;;
	esac
done
