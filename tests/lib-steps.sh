# SPDX-License-Identifier: LGPL-2.1-or-later
# lib-steps.sh - a guest that does one thing after another with its disk, as it is told, and
# says what came of it (blk-steps.c). Sourced after lib-blk.sh; one at a time.
# Descriptor 7 is its input: who starts something that stays meanwhile closes it there.

steps=$PWD/tests/blk-steps
[ -x "$steps" ] || skip "tests/blk-steps is not built; make check builds it"

# steps_begin DOMID: it has xvda open.
steps_begin()
{
	rm -f "$tmp/in"
	mkfifo "$tmp/in"
	: >"$tmp/out"
	guest "$1" "$steps" <"$tmp/in" >"$tmp/out" 2>&1 &
	io=$!
	exec 7>"$tmp/in"
	lines=0
	answered "open ok"
}

steps_end()
{
	exec 7>&-
	wait $io || fail "the guest: $(cat "$tmp/out")"
}

has_answer() { [ "$(wc -l <"$tmp/out")" -gt $lines ]; }
answered()
{
	wait_for $wait_s has_answer || fail "no answer, expected '$1': $(tail -n 3 "$tmp/log")"
	lines=$((lines + 1))
	got=$(sed -n "${lines}p" "$tmp/out")
	case $got in
	$1) ;;
	*) fail "the guest saw '$got', expected '$1' (${what:-}): $(tail -n 3 "$tmp/log")" ;;
	esac
}

# sees PATTERN COMMAND...
sees()
{
	expected=$1
	shift
	echo "$*" >&7
	answered "$expected"
}
