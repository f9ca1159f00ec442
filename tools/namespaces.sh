# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Guests as network namespaces, for tools/bench and tools/demo, which read this.
# All that is made here is in namespaces of ours, so that it goes with our last
# process whatever happens. Must not know: what is measured or shown.

# Sets own_namespaces to the words before a command that give it a network and
# mounts of its own; as another user than root, a user namespace too. False: not here.
# local Xen, started after this, then has its sockets where these mounts leave them seen.
find_namespaces()
{
	own_namespaces=(unshare --mount --net)
	[ "$(id -u)" = 0 ] || own_namespaces+=(--user --map-root-user)
	# ip keeps its names for namespaces below /run
	own_namespaces+=(sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh)
	command -v ip >/dev/null && [ -c /dev/net/tun ] &&
		"${own_namespaces[@]}" ip netns add probe 2>/dev/null || return
	# a login session's is below /run
	unset XDG_RUNTIME_DIR
}

# tap_guest DOMAIN NAMESPACE ADDRESS LOG [OPTION...]: the guest's interface as eth0 of a
# new namespace. Sets tap_pid; false: it did not come.
tap_guest()
{
	local i

	ip netns add "$2" || return
	localxen exec "$1" -- ip netns exec "$2" paravane-netfront tap --ifname eth0 --timeout 30 \
		"${@:5}" >"$4" 2>&1 </dev/null &
	tap_pid=$!
	for ((i = 0; i < 300; i++)); do
		ip -n "$2" address add "$3" dev eth0 2>/dev/null && break
		kill -0 $tap_pid 2>/dev/null || return
		sleep 0.1
	done
	ip -n "$2" link set lo up
	[ $i -lt 300 ]
}

# The same from the kernel: veth_guest BRIDGE NAMESPACE ADDRESS
veth_guest()
{
	ip netns add "$2" &&
	ip link add "$2" type veth peer name eth0 netns "$2" &&
	ip link set "$2" master "$1" up &&
	ip -n "$2" address add "$3" dev eth0 &&
	ip -n "$2" link set eth0 up &&
	ip -n "$2" link set lo up
}

mac_of() { ip netns exec "$1" cat /sys/class/net/eth0/address; }
