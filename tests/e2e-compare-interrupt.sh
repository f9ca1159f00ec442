#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# paravane compare, interrupted: by SIGINT and SIGTERM, at moments spread over its start, its
# measurements and its report. Each time its processes, its directories and its files go.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

top=${abs_top_builddir:-$PWD}
[ -x "$top/tools/compare/paravane-compare-vm" ] ||
	skip "tools/compare/paravane-compare-vm is for x86_64"
{ : <>/dev/kvm; } 2>/dev/null || skip "/dev/kvm does not open"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mark=compare-interrupt-$$-$RANDOM
mkdir "$work/run" "$work/tmp"

# Processes that have the mark in their environment, and are no zombies.
ours()
{
	local dir

	for dir in /proc/[0-9]*; do
		grep -qsz "^COMPARE_MARK=$mark\$" "$dir/environ" 2>/dev/null &&
			printf '%s %s\n' "${dir#/proc/}" "$(tr '\0' ' ' <"$dir/cmdline" 2>/dev/null)"
	done
}
none_left() { [ -z "$(ours)" ]; }
started() { case $(cat "/proc/$1/comm") in paravane|localxen) ;; *) false ;; esac; }
# Of its own: other tests mount beside this one.
mounts() { grep -cF "$work" /proc/self/mountinfo; }

# interrupt SIGNAL AFTER OPTIONS...: AFTER is milliseconds, or a line of its progress to wait for
interrupt()
{
	local signal=$1 after=$2 pid status

	before=$(mounts)
	shift 2
	# A shell has its background ignore SIGINT, which would be inherited.
	COMPARE_MARK=$mark XDG_RUNTIME_DIR=$work/run TMPDIR=$work/tmp \
		setsid env --default-signal=INT,TERM "$top/paravane" compare --ms 20 --rounds 15 --size 8 \
		"$@" >"$work/out" 2>&1 &
	pid=$!
	# not before: until then it ignores SIGINT as the shell does
	wait_for 30 started $pid || fail "it does not start"
	case $after in
	*[!0-9]*) wait_for 60 grep -q "$after" "$work/out" ||
			fail "no line '$after': $(cat "$work/out")" ;;
	*) sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))" ;;
	esac
	kill -s "$signal" $pid || fail "it had ended before: $(cat "$work/out")"
	wait $pid
	status=$?
	[ $status -ge 125 ] || fail "$signal after $after: status $status: $(tail -n 3 "$work/out")"
	clean "$signal after $after"
}

# clean WHAT: nothing that was marked is left
clean()
{
	wait_for 30 none_left || fail "$1: these run on: $(ours)"
	[ -z "$(ls -A "$work/run" "$work/tmp" | grep -v ':$')" ] ||
		fail "$1 left: $(ls -AR "$work/run" "$work/tmp")"
	[ "$(mounts)" = "$before" ] || fail "$1: mounts are left"
}

# As from a terminal, where all its processes get the signal.
control_c()
{
	before=$(mounts)
	COMPARE_MARK=$mark XDG_RUNTIME_DIR=$work/run TMPDIR=$work/tmp timeout 120 python3 -c '
import os, pty, sys
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], ["paravane", "compare", "--ms", "20", "--rounds", "15", "--size", "8"])
out = b""
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    if b"2 of" in out + data and b"2 of" not in out:
        os.write(fd, b"\x03")
    out += data
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(status, out.decode(errors="replace"))
sys.exit(not (status < 0 or status >= 125))' "$top/paravane" >"$work/out" 2>&1 ||
		fail "Control-C: $(tail -n 3 "$work/out")"
	clean Control-C
}

interrupt INT '^1 of'
need python3 python3
control_c
if unshare --net true 2>/dev/null && [ -c /dev/net/tun ]; then
	interrupt INT '^2 of' --nic --only 'Xen netif'
fi
interrupt TERM '^3 of' --report "$work/report"
[ ! -e "$work/report" ] || fail "a report of half a comparison"
moments="20 150 700"
[ -z "${PV_FULL:-}" ] || moments="1 5 10 20 40 80 120 160 200 250 300 400 500 600 800 1000 1500 2000 3000 5000"
[ -n "${PV_FULL:-}" ] || say "deferred: 40 moments to interrupt it, of which 6 were tried"
for ms in $moments; do
	interrupt INT "$ms"
	interrupt TERM "$ms"
done
# The check sees what it looks for.
COMPARE_MARK=$mark sleep 60 &
wait_for 10 eval '! none_left' || fail "the check does not see processes"
kill $!
say "nothing is left, whenever it is interrupted"
