# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Virtual network interfaces for jobs, by raw XenStore nodes as a toolstack writes
# them, and the kernel's back end. Sourced by dom0-lib.sh.

# The two directories of a nic: nic_be GUEST NUMBER, nic_fe GUEST NUMBER.
nic_be()
{
	echo "/local/domain/0/backend/vif/$(guest_domid "$1")/$2"
}

nic_fe()
{
	echo "/local/domain/$(guest_domid "$1")/device/vif/$2"
}

# nic_mac GUEST NUMBER: an address of its own for each.
nic_mac()
{
	printf '00:16:3e:00:%02x:%02x' "$(guest_domid "$1")" "$2"
}

# nic_attach GUEST NUMBER [KEY=VALUE...]: writes both directories; keys go into the back
# end's, front:KEY=VALUE into the front end's. Waits for nothing.
nic_attach()
{
	local guest=$1 number=$2 domid be fe word
	shift 2

	domid=$(guest_domid "$guest")
	be=$(nic_be "$guest" "$number")
	fe=$(nic_fe "$guest" "$number")
	set -- frontend="$fe" frontend-id="$domid" online=1 type=vif handle="$number" \
		mac="$(nic_mac "$guest" "$number")" hotplug-status="" \
		front:mac="$(nic_mac "$guest" "$number")" front:handle="$number" "$@"
	for word in "$@"; do
		case $word in
		front:*) word=${word#front:}; xenstore-write "$fe/${word%%=*}" "${word#*=}" ;;
		*) xenstore-write "$be/${word%%=*}" "${word#*=}" ;;
		esac
	done
	xenstore-write "$fe/backend" "$be" "$fe/backend-id" 0
	xenstore-chmod -r "$be" n0 "r$domid"
	xenstore-chmod -r "$fe" "n$domid" r0
	# The state last: it is what both ends wait for.
	xenstore-write "$be/state" 1 "$fe/state" 1
	xenstore-chmod "$be/state" n0 "r$domid"
	xenstore-chmod "$fe/state" "n$domid" r0
}

# nic_detach GUEST NUMBER [SECONDS]: as a toolstack does, then removes the nodes.
nic_detach()
{
	local be

	be=$(nic_be "$1" "$2")
	xenstore-write "$be/online" 0
	disk_closed "$be" || xenstore-write "$be/state" 5
	if ! wait_for "${3:-30}" disk_closed "$be"; then
		echo "vif $2 of $1: the back end stays in state $(xs "$be/state")," \
			"the front end in state $(xs "$(nic_fe "$1" "$2")/state")" >&2
		return 1
	fi
	xenstore-rm "$(nic_fe "$1" "$2")" 2>/dev/null || true
	xenstore-rm "$be" 2>/dev/null || true
}

# kernel_nic GUEST NUMBER ADDRESS [KEY=VALUE...]: by the kernel's netback, which wants a
# script named though it runs none; its end of the interface in dom0 gets ADDRESS
# (10.0.0.1/24). Sets $nic_dev.
kernel_nic()
{
	local guest=$1 number=$2 address=$3
	shift 3

	modprobe xen-netback
	nic_attach "$guest" "$number" script=/bin/true "$@"
	nic_dev=vif$(guest_domid "$guest").$number
	wait_for 30 test -e "/sys/class/net/$nic_dev" || die "netback made no $nic_dev"
	ip address add "$address" dev "$nic_dev"
	ip link set "$nic_dev" up
	xenstore-write "$(nic_be "$guest" "$number")/hotplug-status" connected
}
