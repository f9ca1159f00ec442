# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What block-paravane and vif-paravane share: where xl reads why a device is refused,
# and what becomes of it then. Sourced; wants XENBUS_PATH, as xl sets it.

: "${XENBUS_PATH:?is not set: xl runs this script, see its first lines}"
XENBUS_PATH=backend/${XENBUS_PATH#*backend/}

# publish PATH VALUE...: below the device's directory. One that went away meanwhile does
# not come back as these alone.
publish()
{
	xenstore-write -R "$@" || exit 1
	xenstore-exists "$XENBUS_PATH/frontend" && return
	xenstore-rm -t "$XENBUS_PATH" 2>/dev/null
	exit 1
}

# refuse STATUS WORDS: where xl reads it, and the end.
refuse()
{
	publish "$XENBUS_PATH/hotplug-error" "$2" "$XENBUS_PATH/hotplug-status" "$1"
	logger -t "${0##*/}" -p daemon.err -- "$XENBUS_PATH: $2" 2>/dev/null
	sweep $$ "$PPID" </dev/null >/dev/null 2>&1 9>&- &
	exit 1
}

# sweep OWN PARENT: libxl leaves the nodes of a device whose script failed, and says
# "device already exists" from then on. They go once it has read why: when xl has
# ended, or after a while, for a libxl in a daemon. Only what still says refused.
sweep()
{
	for i in $(seq 30); do
		[ -d "/proc/$1" ] || [ -d "/proc/$2" ] || break
		sleep 0.1
	done
	for i in $(seq 100); do
		case $(read_key hotplug-status) in error|busy) ;; *) return ;; esac
		[ "$(read_key state)" != 6 ] || break
		[ "$i" != 100 ] || return
		sleep 0.1
	done
	front=$(read_key frontend) domid=$(read_key frontend-id)
	[ -n "$front" ] || return
	for path in "$front" "/libxl/$domid/device/${front#*/device/}" "error/$XENBUS_PATH" \
		"$XENBUS_PATH"; do
		! xenstore-exists "$path" || xenstore-rm -t "$path"
	done
}

# check_kernel KIND MODULE: two back ends that answer one guest damage its data.
check_kernel()
{
	[ ! -d "/sys/bus/xen-backend/drivers/$1" ] ||
		fail "the kernel's $2 is loaded and takes every $1: rmmod $2, and keep it out (echo install $2 /bin/false >>/etc/modprobe.d/paravane.conf)"
}

fail() { refuse error "$*"; }
busy() { refuse busy "$*"; }

# As it is: without -R bytes that are not printable, and backslashes, are spelled out.
read_key() { xenstore-read -R "$XENBUS_PATH/$1" 2>/dev/null; }
