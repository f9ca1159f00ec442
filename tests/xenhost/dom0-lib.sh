# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a job in dom0 may call. A job is a short bash file that calls these one
# after another; the first command that fails ends it with status 1 and a line
# saying where. Under emulation everything is slow: deadlines are generous, and
# wait_for is used instead of sleep.

set -E -e -o pipefail
trap 'echo "job: $BASH_SOURCE line $LINENO: failed: $BASH_COMMAND" >&2' ERR

xh_run=/run/xenhost
xh_boot=$xh_run/boot
xh_qemu=/usr/libexec/xen-qemu-system-i386
PATH=$XH_BUILD:$XH_BUILD/tools:$PATH

# say WORDS: a line in the job's log, with the seconds since the job began.
say()
{
	echo "[$SECONDS] $*"
}

die()
{
	echo "FAILED: $*"
	trap - ERR
	exit 1
}

# skip REASON: the job does not apply here.
skip()
{
	echo "SKIPPED: $*"
	trap - ERR
	exit 77
}

# check WHAT COMMAND...: the command must succeed.
check()
{
	local what=$1
	shift
	"$@" || die "$what (command: $*)"
	say "ok: $what"
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when time is up.
wait_for()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# equal WANTED GOT: for check, says both when they differ.
equal()
{
	[ "$1" = "$2" ] || { echo "wanted: $1"; echo "got:    $2"; return 1; }
}

# The blocks of docs/operations.md. printed_text NAME [KEY]: what is printed; of an xl.cfg
# what is between the quotes of KEY = [ '...' ].
printed_text()
{
	local text

	text=$("$XH_DIR/../doc-block" "$XH_DIR/../../docs/operations.md" "$1") || die "no block '$1'"
	[ -z "$2" ] || text=$(sed -n "s/^$2 = \[ '\(.*\)' \]/\1/p" <<<"$text")
	[ -n "$text" ] || die "no $2 in block '$1'"
	echo "$text"
}

# printed NAME [STATUS]: runs the block, line by line in this shell. A command may end with
# STATUS, too.
printed()
{
	local lines line status

	lines=$(printed_text "$1") || exit
	while read -r line; do
		say "# $line"
		status=0
		eval "$line" </dev/null || status=$?
		[ $status = 0 ] || [ $status = "${2:-0}" ] || die "'$line' of block '$1' ended with $status"
	done <<<"$lines"
}

# printed_in GUEST NAME: the same in a guest.
printed_in()
{
	local lines

	lines=$(printed_text "$2") || exit
	say "in $1: $lines"
	guest_run "$1" "set -e; $lines" || die "block '$2' in $1 ended with $?"
}

# start_daemon NAME COMMAND...: in the background, output to results NAME.log,
# ended by clean_up. Sets daemon_pid.
start_daemon()
{
	local name=$1
	shift
	"$@" >>"$XH_RESULTS/$name.log" 2>&1 </dev/null &
	daemon_pid=$!
	echo "$daemon_pid" >>$xh_run/daemons
	disown
}

# stop_daemon PID: asks it to end, and waits.
stop_daemon()
{
	kill "$1" 2>/dev/null || return 0
	wait_for 20 process_gone "$1" || { kill -9 "$1"; return 1; }
}

# One look, since a process may be reaped between two. Of a process with threads the first may be
# a zombie while another still holds what they have.
process_gone()
{
	local state

	state=$(awk '/^State:/ { s = $2 } /^Threads:/ { t = $2 } END { print s t }' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z1 ]
}

xs()
{
	xenstore-read "$1" 2>/dev/null || true
}

. "$XH_DIR/dom0-guest.sh"
. "$XH_DIR/dom0-device.sh"
. "$XH_DIR/dom0-disk.sh"
. "$XH_DIR/dom0-boot.sh"
. "$XH_DIR/dom0-net.sh"
. "$XH_DIR/dom0-bare.sh"

# Leaves the host as it was before the job, and says what it had to remove.
clean_up()
{
	local domain pid module bridge

	set +e
	trap - ERR
	for domain in $(xl list 2>/dev/null | awk 'NR > 1 && $2 != 0 { print $2 }'); do
		timeout 60 xl destroy "$domain"
	done
	for pid in $(cat $xh_run/daemons 2>/dev/null); do
		kill "$pid" 2>/dev/null && wait_for 10 process_gone "$pid" || kill -9 "$pid" 2>/dev/null
	done
	rm -f $xh_run/daemons $xh_run/guest-*
	losetup -D 2>/dev/null
	xenstore-rm /local/domain/0/backend 2>/dev/null
	xenstore-rm /local/domain/0/paravane-bridge 2>/dev/null
	for bridge in $(ls -d /sys/class/net/*/bridge 2>/dev/null); do
		bridge=${bridge%/bridge}
		ip link del "${bridge##*/}"
	done
	for module in xen-blkback xen-netback; do
		rmmod $module 2>/dev/null
	done
	rm -rf $xh_run/images
	mkdir -p $xh_run/images
	if xl list 2>/dev/null | awk 'NR > 1 && $2 != 0' | grep .; then
		echo "job: the domains above could not be removed"
	fi
}
