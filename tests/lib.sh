# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh - what the end-to-end scripts share. Sourced first, from the build
# directory's root; the harness sets srcdir. Every script runs in a local Xen of
# its own, which ends with it, however it ends.
#
# An exit status of 77 means skipped, and a line says why.

set -u
: "${srcdir:=$(dirname "$0")/..}"
: "${LOCALXEN:=${abs_top_builddir:-$PWD}/tools/localxen/localxen}"
PATH=$PATH:/usr/sbin:/sbin	# a user's is without them
XENBIN=$(echo /usr/lib/xen-*/bin | cut -d" " -f1)
name=$(basename "$0" .sh)

say() { echo "$name: $*"; }
fail() { say "FAILED: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }
need() { command -v "$1" >/dev/null || skip "$1 is not installed (Debian package $2)"; }

# sanitized: the build is one with sanitizers, which are slow and need memory.
sanitized() { grep -q '^PV_SANITIZE = .' "${abs_top_builddir:-$PWD}/Makefile" 2>/dev/null; }

# own_xen "$@": from here on the script runs in dom0 of a fresh local Xen. What
# it finds there: $tmp (a directory that goes with it). $xen_options: of localxen run.
own_xen()
{
	if [ -z "${OWN_XEN:-}" ]; then
		OWN_XEN=1 exec "$LOCALXEN" run ${xen_options:-} -- /bin/sh "$0" "$@"
	fi
	tmp=$LOCALXEN_DIR/test
	mkdir "$tmp"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
	deadline=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# expect STATUS COMMAND...
expect()
{
	expected=$1
	shift
	"$@"
	got=$?
	[ $got = "$expected" ] || fail "'$*' ended with $got, expected $expected"
}

# refused TEXT COMMAND...: fails, and says TEXT.
refused()
{
	text=$1
	shift
	if out=$("$@" 2>&1); then
		fail "'$*' succeeded"
	fi
	case $out in
	*"$text"*) ;;
	*) fail "'$*' said '$out', expected '$text'" ;;
	esac
}

# reads VALUE COMMAND...: prints exactly that.
reads()
{
	value=$1
	shift
	out=$("$@" 2>&1) || fail "'$*' failed: $out"
	[ "$out" = "$value" ] || fail "'$*' printed '$out', expected '$value'"
}

# guest DOMAIN COMMAND...: in a domain.
guest()
{
	domain=$1
	shift
	"$LOCALXEN" exec "$domain" -- "$@"
}

# Nothing is left over: no grant in use, no port, no shared page.
nothing_left()
{
	"$LOCALXEN" status --check --wait=20000 || fail "something is left over"
}

# For who wonders why something does not answer: what local Xen's own processes wait for.
standing()
{
	ps -ww -o pid,stat,wchan:24,cputime,args --ppid "$PPID" | cut -c -160
	for process in $(pgrep -P "$PPID" 'xenstored|localxen'); do
		echo "$process: $(grep -s . "/proc/$process/stack" | head -n 2 | xargs)" \
			"syscall $(cut -d' ' -f1-3 "/proc/$process/syscall" 2>/dev/null)"
	done
}

# Of a process.
fds() { ls "/proc/$1/fd" | wc -l; }
own_kib() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }

gone()
{
	[ -n "$1" ] || fail "gone: of which process?"
	! kill -0 "$1" 2>/dev/null
}
has_line() { grep -qx -- "$1" "$2"; }
