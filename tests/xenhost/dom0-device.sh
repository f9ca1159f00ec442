# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A virtual device of any kind for jobs, by raw XenStore nodes as a toolstack writes
# them. dom0-disk.sh and dom0-net.sh say what nodes their kind has. Sourced by
# dom0-lib.sh.

# device_attach GUEST BACKEND FRONTEND [KEY=VALUE...]: writes both directories; keys go
# into the back end's, front:KEY=VALUE into the front end's. Waits for nothing.
device_attach()
{
	local domid be=$2 fe=$3 word

	domid=$(guest_domid "$1")
	shift 3
	for word in frontend="$fe" frontend-id="$domid" online=1 "$@"; do
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

# device_connected NAME BACKEND FRONTEND SECONDS: waits until both ends are connected.
device_connected()
{
	wait_for "$4" device_states "$2" "$3" 4 4 || {
		device_say "$@"
		xenstore-ls -f "$2"
		xenstore-ls -f "$3"
		return 1
	} >&2
}

device_states()
{
	[ "$(xs "$1/state")" = "$3" ] && [ "$(xs "$2/state")" = "$4" ]
}

device_say()
{
	echo "$1: back end in state $(xs "$2/state"), front end in state $(xs "$3/state")"
}

# device_detach NAME BACKEND FRONTEND SECONDS: as a toolstack does, then removes the nodes.
device_detach()
{
	xenstore-write "$2/online" 0
	# As libxl: a back end whose front end left by itself is closed already.
	device_closed "$2" || xenstore-write "$2/state" 5
	if ! wait_for "$4" device_closed "$2"; then
		device_say "$@" >&2
		return 1
	fi
	xenstore-rm "$3" 2>/dev/null || true
	xenstore-rm "$2" 2>/dev/null || true
}

# QEMU removes the node, the others leave it at Closed.
device_closed()
{
	case $(xs "$1/state") in 6|"") ;; *) return 1 ;; esac
}
