# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Virtual network interfaces for jobs (dom0-device.sh), and the kernel's back end.
# Sourced by dom0-lib.sh.

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

# nic_attach GUEST NUMBER [KEY=VALUE...]
nic_attach()
{
	local guest=$1 number=$2 mac
	shift 2

	mac=$(nic_mac "$guest" "$number")
	device_attach "$guest" "$(nic_be "$guest" "$number")" "$(nic_fe "$guest" "$number")" \
		type=vif handle="$number" mac="$mac" hotplug-status="" \
		front:mac="$mac" front:handle="$number" "$@"
}

# nic_detach GUEST NUMBER [SECONDS]
nic_detach()
{
	device_detach "vif $2 of $1" "$(nic_be "$1" "$2")" "$(nic_fe "$1" "$2")" "${3:-30}"
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
