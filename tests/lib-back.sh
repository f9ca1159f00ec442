# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-back.sh - a back end's daemon in a local Xen, for lib-blk.sh and lib-net.sh,
# which set $program and $kind. Brings lib.sh.

. "$(dirname "$0")/lib.sh"
[ -x "$LOCALXEN" ] || LOCALXEN=$PWD/tools/localxen/localxen
# Where two processes wake each other without a pause, others were seen to wait for a CPU for a
# minute and more (Linux 6.18; RCU's own thread said so).
wait_s=150
# In a log: words of a program's that found a mistake of its own.
mistakes='Sanitizer|Assertion'

# start_daemon OPTION...: $daemon is its pid, $tmp/log what it says; $daemon_program
# instead of the one that is installed; $log_to: a pipe whose
# reader writes the log.
start_daemon()
{
	[ -d "$tmp/run" ] || mkdir -m 700 "$tmp/run"
	ready=$(grep -c ' ready:' "$tmp/log" 2>/dev/null)
	"$PWD/${daemon_program:-paravane-$program}" --rundir "$tmp/run" --log-level debug "$@" 2>>"${log_to:-$tmp/log}" &
	daemon=$!
	wait_for $wait_s has_lines $((${ready:-0} + 1)) ' ready:' ||
		{ cat "$tmp/log"; fail "the daemon does not start"; }
}

# make_driver_domain: $dd; then start_in_dd and stop_in_dd, its daemon.
make_driver_domain()
{
	make_guest dd
	dd=$domid
	mkdir -m 700 "$tmp/run"
	# What libxl makes for every domain.
	xenstore-write "/local/domain/$dd/error" ''
	xenstore-chmod "/local/domain/$dd/error" "n$dd"
}

start_in_dd()
{
	ready=$(grep -c ' ready:' "$tmp/log" 2>/dev/null)
	guest "$dd" "$PWD/paravane-$program" --rundir "$tmp/run" --log-level debug "$@" \
		2>>"$tmp/log" &
	daemon=$!
	wait_for $wait_s has_lines $((${ready:-0} + 1)) ' ready:' || fail "$(cat "$tmp/log")"
}

stop_in_dd()
{
	kill "$(pgrep -n -f "$PWD/paravane-$program --rundir $tmp/run")"
	wait "$daemon"
}

has_lines() { [ "$(grep -c "$2" "$tmp/log")" -ge "$1" ]; }

# make_guest NAME [OPTION]...: of localxen domain; $domid is its number.
make_guest()
{
	guest_name=$1
	shift
	domid=$("$LOCALXEN" domain --name="$guest_name" "$@") || fail "no guest"
}

node_is() { [ "$(xenstore-read "$1" 2>/dev/null)" = "$2" ]; }
process_gone() { gone "$1"; }
has_no_run_files() { ! ls "$tmp/run/$program/" | grep -qv -e lock -e '^control$'; }
# The flip helper is none: it ends with the daemon.
has_no_workers() { ! ps -o comm= --ppid "$daemon" | grep -qv '^paravane-flip'; }

# error_says DOMID TEXT: why its device failed, where people look for it.
error_of()
{
	back=$(back_dir "$1")
	xenstore-read "${back%%/backend/*}/error/backend/${back#*/backend/}/error" 2>/dev/null
}

no_error() { [ -z "$(error_of "$1")" ]; }

error_says()
{
	[ -n "$2" ] || fail "error_says wants a text"
	error=$(error_of "$1")
	case $error in
	*"$2"*) ;;
	*) fail "the error node of $1 is '$error', expected '$2'; $(tail -3 "$tmp/log")" ;;
	esac
}

# nothing_held DOMID: dom0 holds no page of it, but for its store's.
nothing_held()
{
	! "$LOCALXEN" status | awk -v d="$1" '/^GRANTED/ { on = 1; next } /^$/ { on = 0 }
		on && $1 == d && $4 == 0 && $6 != "xenstored" { found = 1 } END { exit !found }'
}

# end_back: everything is closed; nothing may be left.
end_back()
{
	wait_for $wait_s has_no_run_files || fail "left: $(ls "$tmp/run/$program")"
	wait_for $wait_s has_no_workers || fail "workers left: $(pgrep -P "$daemon")"
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
	out=$("$LOCALXEN" status --check 2>&1) || case $out in
		*"not yet"*) ;;
		*) fail "left in local Xen: $out" ;;
	esac
	! grep -E "$mistakes" "$tmp/log" || fail "see above"
	say passed
}
