#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `localxen run`: passes the command's exit status on, runs side by side, and
# leaves nothing behind however it ends.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
peer=${abs_top_builddir:-$PWD}/store-peer
work=$(mktemp -d)
# Short directory names: socket addresses are short.
export XDG_RUNTIME_DIR=$work/r
mkdir "$XDG_RUNTIME_DIR"
mark=localxen-test-$$
export LOCALXEN
trap 'rm -rf "$work"' EXIT

# Whatever an instance leaves: processes that carry our mark in their
# environment or work in our directory, the directory, shared memory.
leftovers()
{
	for p in /proc/[0-9]*; do
		[ "$p" != "/proc/$$" ] || continue
		# Our own subshells have the mark, but not from their start.
		{ tr '\0' '\n' <"$p/environ"; } 2>/dev/null | grep -q "^LX_MARK=$mark" &&
			echo "process ${p#/proc/}: $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)"
	done
	# Of what has nothing in its environment the numbers are known.
	for p in $(cat "$work"/up.bare* 2>/dev/null); do
		gone "$p" || echo "process $p"
	done
	ls "$XDG_RUNTIME_DIR"
	# Its memory has no names; other instances' directories are not our business.
	ls /dev/shm | grep -i localxen
}
clean() { [ -z "$(leftovers 2>/dev/null)" ]; }
must_be_clean()
{
	wait_for 30 clean || fail "$1 left: $(leftovers)"
}
run() { env LX_MARK=$mark "$LOCALXEN" run -- "$@"; }


say "exit statuses"
case $(run sh -c 'echo $LOCALXEN_DIR') in
"$XDG_RUNTIME_DIR"/*) ;;
*) fail "the instance's directory is not below XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR" ;;
esac
expect 0 run true
expect 1 run false
expect 42 run sh -c 'exit 42'
expect 143 run sh -c 'kill -TERM $$'
expect 127 run /does/not/exist
expect 126 run /etc/passwd
# By a parent that ignores the ends of its children.
expect 42 env --ignore-signal=CHLD "$LOCALXEN" run -- sh -c 'exit 42'
reads own run sh -c '$LOCALXEN run -- sh -c "case \$PARAVANE_RUNDIR in \$LOCALXEN_DIR/*) echo own ;; esac"'
must_be_clean "a command that ended"

say "who becomes localxen run by exec keeps its children"
cat >"$work/parent" <<'END'
sleep 1000 &
echo $! >$1.child
exec "$LOCALXEN" run -- sh -c 'echo up >$1; [ $2 = stays ] && sleep 1000; exit 5' sh "$1" $2
END
expect 5 sh "$work/parent" "$work/kept" ends
process_runs() { kill -0 "$1" 2>/dev/null; }
process_runs "$(cat "$work/kept.child")" || fail "a child of before has been ended"
kill "$(cat "$work/kept.child")"
rm "$work/kept"
env LX_MARK=$mark sh "$work/parent" "$work/kept" stays &
pid=$!
wait_for 60 test -s "$work/kept" || fail "the instance did not come up"
kill -TERM $pid
wait $pid
got=$?
[ $got = 143 ] || fail "sent SIGTERM, it ended with $got"
process_runs "$(cat "$work/kept.child")" || fail "a child of before has been ended"
kill "$(cat "$work/kept.child")"
must_be_clean "one with children of before"

say "a signal during the start"
printf '#!/bin/sh\necho $PPID >"%s"\nexec sleep 1000\n' "$work/starting" >"$work/silent"
chmod +x "$work/silent"
env LX_MARK=$mark "$LOCALXEN" run --xenstored="$work/silent" -- touch "$work/started" &
pid=$!
wait_for 30 test -s "$work/starting" || fail "the store is not started"
kill -INT $pid
wait $pid
got=$?
[ $got = 130 ] || fail "the start ended with $got"
[ ! -e "$work/started" ] || fail "the command was started"
must_be_clean "SIGINT during the start"

# What fills an instance: two guests, with processes that open no handle, that change
# their session, that ignore signals, that have no environment; clients of the store.
cat >"$work/fill" <<'END'
trap '' TERM HUP INT
a=$($LOCALXEN domain) && b=$($LOCALXEN domain) || exit 1
$LOCALXEN exec $a -- sleep 1000 &
$LOCALXEN exec $b -- setsid sh -c 'trap "" TERM HUP INT; sleep 1000; sleep 1000' &
$LOCALXEN exec $a -- xenstore-watch data >/dev/null &
xenstore-watch @releaseDomain >/dev/null &
$LOCALXEN exec $b -- "$PEER" stuck >$1.stuck &
(sleep 1000 &)
(env -i sleep 1000 & echo $! >$1.bare1)
$LOCALXEN exec $a -- env -i sh -c 'sleep 1000 & echo $! >$0; wait' $1.bare2 &
until [ -s $1.bare2 ]; do sleep 0.05; done
until [ -s $1.stuck ]; do sleep 0.05; done
echo up >$1
wait
END
export PEER=$peer

for how in end TERM INT HUP KILL; do
	say "a full instance, ended by: $how"
	rm -f "$work"/up*
	if [ $how = end ]; then
		expect 7 run sh -c '
			sh "$1" "$2" & until [ -s "$2" ]; do sleep 0.05; done
			exit 7' sh "$work/fill" "$work/up"
		must_be_clean "the command's end"
		continue
	fi
	env LX_MARK=$mark "$LOCALXEN" run -- sh "$work/fill" "$work/up" &
	pid=$!
	wait_for 60 test -s "$work/up" || fail "the instance did not come up"
	clean && fail "the search for leftovers finds nothing while all is running"
	kill -$how $pid
	wait $pid 2>/dev/null
	# An orphan without environment is known by localxen run's being its parent.
	[ $how != KILL ] || kill -KILL "$(cat "$work/up.bare1")"
	must_be_clean "SIG$how"
done

say "a full instance, whose hypervisor is killed"
rm -f "$work"/up*
env LX_MARK=$mark "$LOCALXEN" run -- sh "$work/fill" "$work/up" 2>"$work/err" &
pid=$!
wait_for 60 test -s "$work/up" || fail "the instance did not come up"
hv=
for p in /proc/[0-9]*; do
	case $({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null) in
	*"hypervisor $XDG_RUNTIME_DIR/localxen-"*) hv=${p#/proc/} ;;
	esac
done
[ -n "$hv" ] || fail "no hypervisor process found"
kill -KILL $hv
wait $pid
[ $? = 125 ] || fail "localxen run did not notice"
grep -q "hypervisor has died" "$work/err" || fail "localxen run does not say why it ended"
must_be_clean "the hypervisor's death"

say "four side by side"
cat >"$work/side" <<'END'
g=$($LOCALXEN domain) || exit 1
[ $g = 1 ] || exit 2
for i in $(seq 20); do
	$LOCALXEN exec $g -- xenstore-write data/k $1-$i || exit 3
	[ $(xenstore-read /local/domain/$g/data/k) = $1-$i ] || exit 4
done
exit 1$1
END
for i in 1 2 3 4; do
	env LX_MARK=$mark "$LOCALXEN" run -- sh "$work/side" $i &
	eval "pid$i=$!"
done
for i in 1 2 3 4; do
	eval "wait \$pid$i"
	got=$?
	[ $got = 1$i ] || fail "instance $i ended with $got"
done
must_be_clean "four instances"
say ok
