#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tests/xenhost/run itself, with hosts that are shell functions: which jobs share
# a boot, hosts beside each other, the budget, what is reported. Needs no QEMU.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failures=0
bad() { echo "FAILED: $*"; [ ! -e "$tmp/out" ] || sed 's/^/    /' "$tmp/out"; failures=$((failures + 1)); }

mkdir -p "$tmp/xenhost/jobs" "$tmp/build"
cp "$here/xenhost/run" "$here/xenhost/dom0-jobs.sh" "$tmp/xenhost/"
cat >"$tmp/xenhost/fetch.sh" <<'END'
xh_cache=$PARAVANE_CACHE
check_machine() { xen_version=4.17; }
fetch_packages() { packages=none; }
END
echo 'make_images() { images=none; }' >"$tmp/xenhost/images.sh"
echo 'choose_qemu() { qemu=none qemu_is_mended=yes; }' >"$tmp/xenhost/qemu.sh"
# A host notes when it was up, with what. A job is run here; one that says so
# takes the host down with it.
cat >"$tmp/xenhost/boot.sh" <<'END'
run_job()
{
	local status=0

	mkdir -p "$results/$1"
	(eval "$(grep -v '^#' "$XH_DIR/jobs/$1.sh")") >"$results/$1/log" 2>&1 || status=$?
	[ $status -ne 99 ] || exit 0
	echo "$status" >"$results/$1/status"
	echo 1 >"$results/$1/seconds"
}
boot_host()
{
	date "+up %s.%N $store [$extra_xen_args] $clock $vcpus" >"$1/host"
	( results=$1; . "$1/settings"; SECONDS=0; echo "jobs $XH_JOBS" >>"$1/host"
	  . "$XH_DIR/dom0-jobs.sh"; run_all_jobs )
	date "+down %s.%N" >>"$1/host"
	[ -z "$HOSTS" ] || cat "$1/host" >"$HOSTS/$BASHPID-$RANDOM"
}
stop_host() { :; }
END

# job NAME COMMAND [HEADER...]
job()
{
	local name=$1 command=$2
	shift 2
	{ printf '# %s\n' "about: a test" "$@"; echo "$command"; } >"$tmp/xenhost/jobs/$name.sh"
}

# run STATUS OPTION...: $tmp/out is what it says, $tmp/hosts what was booted.
run()
{
	local want=$1 status
	shift
	rm -rf "$tmp/hosts"
	mkdir "$tmp/hosts"
	HOSTS=$tmp/hosts PARAVANE_CACHE=$tmp/cache bash "$tmp/xenhost/run" --build "$tmp/build" --memory 1 "$@" >"$tmp/out" 2>&1
	status=$?
	[ $status = "$want" ] || bad "run $*: status $status, not $want"
}
says() { grep -qxE -- "$1" "$tmp/out" || bad "does not say '$1'"; }
silent() { ! grep -qE -- "$1" "$tmp/out" || bad "says '$1'"; }
nr_hosts() { [ "$(ls "$tmp/hosts" | wc -l)" = "$1" ] || bad "$(ls "$tmp/hosts" | wc -l) hosts, not $1"; }

job a true "quick: yes" "timeout: 500"
job b true "quick: yes" "timeout: 50"
job c 'sleep 1' "timeout: 100"
job measured true "boot: own clock=count" "quick: yes"

run 0 a b
says "PASS a \(1 s\)"
says "xenhost: 2 passed, 0 failed, 0 skipped, .* s"
nr_hosts 1
run 1 nobody
says "xenhost: no job nobody; see run --list"
run 0 --quick --jobs 1
says "PASS b .*"
silent "PASS (c|measured)"

# The longest comes first; two hosts share the jobs and are up at the same time.
job a 'sleep 1' "timeout: 500"
rm -rf "$tmp/cache"
run 0 --all --jobs 2
nr_hosts 2
says "xenhost: 3 passed, 0 failed, 0 skipped, .* s"
cat "$tmp"/hosts/* | sort -k 2 >"$tmp/times"
[ "$(cut -d' ' -f1 "$tmp/times" | grep -v jobs | paste -sd' ')" = "up up down down" ] || bad "not beside each other: $(cat "$tmp/times")"
grep -qx "jobs a" "$tmp"/hosts/* || bad "the longest job shares its host: $(cat "$tmp"/hosts/*)"
grep -qx "jobs c b" "$tmp"/hosts/* || bad "not the longest first: $(cat "$tmp"/hosts/*)"
job a true "timeout: 500"
job c true "timeout: 100"
run 0 --all --jobs 1
nr_hosts 1

# What took long the last time is believed more than what may take long.
echo 300 >"$tmp/cache/seconds/b"
run 0 --all --jobs 1
grep -qx "jobs b .*" "$tmp"/hosts/* || bad "what a job took is forgotten: $(cat "$tmp"/hosts/*)"

# A host that would need more memory than there is.
run 0 a b --jobs 2 --memory 99999999
says "xenhost: [0-9]* MiB of memory are free: 1 hosts at a time"
nr_hosts 1

# Boots of their own, with their settings.
job own true "boot: own xen:gnttab_max_frames=8 vcpus=1" "quick: yes"
run 0 a b own --jobs 1
nr_hosts 2
grep -q 'xenstored \[ gnttab_max_frames=8\] real 1' "$tmp"/hosts/* || bad "settings: $(cat "$tmp"/hosts/*)"
job own2 true "boot: own xen:gnttab_max_frames=8 vcpus=1"
job with true "boot: vcpus=1"
job with2 true "boot: vcpus=1"
run 0 own own2 with with2
nr_hosts 3
rm "$tmp"/xenhost/jobs/{own2,with,with2}.sh
run 0 measured
grep -q 'count 1$' "$tmp"/hosts/* || bad "settings: $(cat "$tmp"/hosts/*)"
job own true "boot: store=oxenstored"
run 0 own
grep -q ' oxenstored ' "$tmp"/hosts/* || bad "settings: $(cat "$tmp"/hosts/*)"
rm "$tmp/xenhost/jobs/own.sh"

# Both stores.
run 0 --all --jobs 2 --store=alternate
[ "$(grep -l ' oxenstored ' "$tmp"/hosts/* | wc -l)" = 1 ] || bad "alternate: $(cat "$tmp"/hosts/*)"
says "PASS [abc]/oxenstored .*"
run 0 a b --jobs 1 --store=alternate
nr_hosts 2
run 0 a b --store=both
says "PASS a .*"
says "PASS a/oxenstored .*"
says "xenhost: 4 passed, .*"
job storeless true "stores: one"
run 0 a storeless --store=both
says "PASS storeless .*"
says "xenhost: 3 passed, .*"
run 0 storeless --store=both
says "xenhost: 1 passed, .*"
rm "$tmp/xenhost/jobs/storeless.sh"

# The budget ends inside a boot, and between boots; what is left is named. The shortest first.
rm -rf "$tmp/cache"
job b 'sleep 5' "timeout: 50"
job own 'true' "boot: own" "timeout: 5"
run 0 --all --jobs 1 --budget 4
says "PASS b .*"
says "deferred: c"
says "deferred: a"
says "deferred: own"
nr_hosts 1
says "xenhost: 1 passed, 0 failed, 0 skipped, .* s"
rm "$tmp/xenhost/jobs/own.sh"

# What failed, was skipped, took its host down, or lacks a program.
job b 'echo "this went wrong"; exit 3'
job c 'echo "SKIPPED: no such thing here"; exit 77'
job gone 'echo "last words"; exit 99' "boot: own"
job lacks true "needs: paravane-nothing"
run 1 --all --jobs 2
says "FAIL b \(status 3, 1 s\)"
says "    this went wrong"
says "SKIP c: no such thing here"
says "FAIL gone: the host ended before the job did"
says "    last words"
says "SKIP lacks: paravane-nothing is not built in $tmp/build"
run 77 c lacks

# A signal ends it and its hosts.
job slow 'echo $BASHPID >"$HOSTS/pid"; exec sleep 1000'
rm -rf "$tmp/hosts"
mkdir "$tmp/hosts"
HOSTS=$tmp/hosts PARAVANE_CACHE=$tmp/cache bash "$tmp/xenhost/run" --build "$tmp/build" --memory 1 slow a --jobs 2 >"$tmp/out" 2>&1 &
pid=$!
for try in $(seq 300); do [ -s "$tmp/hosts/pid" ] && break; sleep 0.1; done
kill $pid
kill "$(cat "$tmp/hosts/pid")"
wait $pid
status=$?
[ $status = 130 ] || bad "ended by a signal with $status"

[ $failures = 0 ] || exit 1
echo "all as expected"
