# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bare guests (tests/bareguest) for jobs: what one does is said when it is created, and
# its console says what came of it. Sourced by dom0-lib.sh.

xh_bare=$XH_BUILD/tests/bareguest/bareguest

# bare_create GUEST COMMANDS [KEY=VALUE...]: a bare guest that runs the commands, which
# are separated by semicolons, and powers off. Keys: memory, maxmem (MiB), disk and vif
# (as in xl.cfg), crash (what xl does with it then), paused=1.
bare_create()
{
	local name=$1 commands=$2 memory=32 maxmem= crash=destroy disks= vifs= paused= word
	shift 2

	for word in "$@"; do
		case $word in
		disk=*) disks="$disks '${word#*=}'," ;;
		vif=*) vifs="$vifs '${word#*=}'," ;;
		memory=*|maxmem=*|crash=*|paused=*) printf -v "${word%%=*}" %s "${word#*=}" ;;
		*) die "bare_create: unknown key: $word" ;;
		esac
	done
	cmp -s "$xh_bare" "$xh_boot/bareguest" || cp "$xh_bare" "$xh_boot/bareguest"
	cat >$xh_run/"$name".cfg <<-CFG
		name='$name'
		type='pv'
		kernel='$xh_boot/bareguest'
		memory=$memory
		maxmem=${maxmem:-$memory}
		vcpus=1
		on_crash='$crash'
		extra='$commands'
		disk=[$disks]
		vif=[$vifs]
	CFG
	say "creating bare guest $name: $commands"
	guest_forget_log "$name"
	# Its number is asked before it runs: it may be gone by the time that xl returns.
	xl_create -p -q $xh_run/"$name".cfg || return
	xl domid "$name" >$xh_run/guest-"$name".domid
	[ -n "$paused" ] || xl unpause "$name"
}

# bare_log GUEST: what it has said.
bare_log()
{
	guest_log "$1" | tr -d '\r'
}

bare_said()
{
	bare_log "$1" | grep -aE "$2" >/dev/null
}

# bare_says GUEST REGEXP [SECONDS]: soon.
bare_says()
{
	wait_for "${3:-60}" bare_said "$1" "$2" || {
		echo "bare guest $1 does not say '$2':"
		bare_log "$1" | tail -n 20
		return 1
	}
}

# bare_passes GUEST [SECONDS]: it ends, and all that it ran has passed.
bare_passes()
{
	bare_says "$1" '^bareguest: [0-9]+ passed, [0-9]+ failed$|^bareguest: (trap|panic)' "${2:-120}" || return 1
	bare_said "$1" '^bareguest: [1-9][0-9]* passed, 0 failed$' || {
		bare_log "$1" | tail -n 20
		return 1
	}
	bare_gone "$1"
}

# bare_gone GUEST: Xen has let go of all of it.
bare_gone()
{
	wait_for 60 guest_gone "$1" && domain_gone "$(guest_domid "$1")"
}

# pages_of DOMID: how many Xen counts as its own.
pages_of()
{
	xl dmesg -c >/dev/null
	xl debug-keys q
	wait_for 10 eval 'xl dmesg | grep -q "General information for domain '$1':"'
	xl dmesg | awk -v d="$1:" '/General information for domain/ { mine = $NF == d }
		mine && match($0, /nr_pages=[0-9]+/) { n = substr($0, RSTART + 9, RLENGTH - 9) }
		END { print n }'
}
