#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The command lines of paravane-blkfront and paravane-netfront, as far as no device is
# opened: help, version, and that a mistake is named with exit status 2. Help on help, of
# these and of the other programs with commands; that no command of paravane takes an option
# that its help has not.
# The quick run: plain
set -u
cd "${abs_top_builddir:-.}" || exit 1
failures=0

# expect STATUS TEXT PROGRAM WORDS...: TEXT is on standard output if the status is 0,
# else in one line on standard error, and nothing is on the other one.
expect()
{
	local want=$1 text=$2 status out err
	shift 2

	out=$("./$@" 2>/dev/null)
	status=$?
	err=$("./$@" 2>&1 >/dev/null)
	[ $status = "$want" ] || problem "$*: exit status $status, not $want"
	if [ "$want" = 0 ]; then
		[ -z "$err" ] || problem "$*: says $err"
		[[ $out == *"$text"* ]] || problem "$*: does not print '$text': $out"
	else
		[ -z "$out" ] || problem "$*: prints $out"
		[[ $err == *"$text"* && $err != *$'\n'* ]] || problem "$*: does not say '$text': $err"
	fi
}

problem()
{
	echo "$*"
	failures=$((failures + 1))
}

for p in paravane paravane-blkfront paravane-netfront tools/localxen/localxen; do
	for words in help --help "help help" "help --help" "--help --help"; do
		# shellcheck disable=SC2086
		expect 0 "Usage: ${p##*/} COMMAND" $p $words
	done
done
expect 0 "Usage: paravane resize" paravane help resize
expect 0 "Usage: paravane resize" paravane --help resize
for c in run domain exec destroy fail status; do
	expect 0 "Usage: localxen $c" tools/localxen/localxen help $c
done
expect 2 'no command "x"' paravane help x
for p in paravane-blkfront paravane-netfront; do
	expect 0 "Usage: $p bench" $p help bench
	expect 0 "Usage: $p bench" $p bench --seconds 1 --help
	expect 0 "--json" $p info --help
	expect 0 "--timeout SECONDS" $p info --help
	expect 0 "$p $(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' config.h)" $p --version
	expect 2 "$p: which command?" $p
	expect 2 "$p: no command 'x'; the commands are info, " $p x
	expect 2 "$p: no command 'x'" $p help x
	expect 2 "$p info: 'x' is a word too many" $p info x
	expect 2 "$p info: no option --frob" $p info --frob
	expect 2 "$p info: no option -f" $p info -fz
	expect 2 "$p info: no option --t-and-more=1" $p info --t-and-more=1
	expect 2 "$p info: no option --batch" $p info --batch 1
	expect 2 "$p info: --json=1: it takes no value" $p info --json=1
	expect 2 "$p bench: --batch needs a value" $p bench --batch
	expect 2 "$p bench: --batch: '0' is not a number from 1 to" $p bench --batch 0
	expect 2 "$p bench: --batch: '5000' is not a number from 1 to" $p bench --batch 5000
	expect 2 "$p bench: --seconds: 'x' is not a number of seconds" $p bench --seconds x
	expect 2 "$p bench: --seconds: '-1' is not a number of seconds" $p bench --seconds -1
	expect 2 "$p info: --timeout: '1h' is not" $p info --timeout 1h
done
# Outside local Xen, before anything else is looked for.
expect 1 "paravane-netfront info: --flip: Linux cannot" paravane-netfront info --flip

expect 2 "bench: --bs: '4Q' is not a number of bytes" paravane-blkfront bench --bs 4Q
expect 2 "bench: --bs: '20000000T' is not a number" paravane-blkfront bench --bs 20000000T
expect 2 "bench: --bs must be a multiple of 512" paravane-blkfront bench --bs 1023
expect 2 "bench: --bs must be a multiple of 512, up to 64M" paravane-blkfront bench --bs 65M
expect 2 "bench: --rate: '0' is not a number from 1 to" paravane-blkfront bench --rate 0
expect 2 "bench: this destroys what is on xvdq" paravane-blkfront bench --device xvdq --bs 64m \
	--pattern mixed
expect 2 "info: --device: 'disk' is not a disk such as" paravane-blkfront info --device disk
expect 2 "info: --ring-order: '5' is not a number from 0 to 4" paravane-blkfront info --ring-order 5
expect 2 "copy: --holes: 'fill' is not zero, discard" paravane-blkfront copy --holes fill
expect 2 "copy: copy in FILE" paravane-blkfront copy out
expect 2 "copy: standard output has the disk's data" paravane-blkfront copy out - --json
expect 2 "read: 'b' is a word too many" paravane-blkfront read a b
expect 2 "verify: against what?" paravane-blkfront verify
expect 2 "nbd: say --socket" paravane-blkfront nbd
# A file where its socket is to be: neither is it taken for a stale one, nor is nbdkit run.
precious=$(mktemp) || exit 1
trap 'rm -f "$precious"' EXIT
echo precious >"$precious"
expect 1 "nbd: $precious: it is there, and is no socket" paravane-blkfront nbd --socket "$precious"
[ "$(cat "$precious")" = precious ] || problem "nbd --socket took a file away"
expect 2 "info: --vif: '65536' is not a number from 0 to 65535" paravane-netfront info --vif 65536
expect 2 "ping: --mac: '1:2' is not an address" paravane-netfront ping --mac 1:2
expect 2 "ping: --address: 'here' is not an IPv4 address" paravane-netfront ping --address here
expect 2 "ping: --serve needs --address" paravane-netfront ping --serve
expect 2 "ping: '1.2.3.4' besides --mac?" paravane-netfront ping --mac 00:16:3e:00:00:01 1.2.3.4
expect 2 "ping: whom?" paravane-netfront ping --address 1.2.3.4
expect 2 "bench: which mode?" paravane-netfront bench all
expect 2 "bench: latency needs --mac" paravane-netfront bench latency

# ---- options that another command of paravane has ------------------------------------------

# Where there is neither a store nor a daemon: what is taken does nothing.
nowhere() { XENSTORED_PATH=/nonexistent PARAVANE_RUNDIR=/nonexistent timeout 60 ./paravane "$@"; }
options_of() { ./paravane "$1" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u; }
commands=$(./paravane help | sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p' | grep -vx -e help -e compare)
declare -A of
for command in $commands; do
	of[$command]=$(options_of "$command" | tr '\n' ' ')
done
all=$(tr ' ' '\n' <<<"${of[*]}" | sort -u)
[ "$(wc -l <<<"$all")" -gt 40 ] || problem "only these options were found: $all"
tried=0
for command in $commands; do
	for option in $all; do
		# Its own, or the beginning of one.
		[[ " ${of[$command]}" != *" $option"* ]] || continue
		said=$(nowhere "$command" "$option" 1 2>&1 </dev/null)
		[ $? = 2 ] && [[ $said == *"unknown option \"$option\""* ]] ||
			problem "$command takes $option, which its help has not: $said"
		tried=$((tried + 1))
	done
done
[ $tried -gt 300 ] || problem "only $tried were tried"
said=$(nowhere bridge list --kind vif 2>&1)
[ $? = 2 ] && [[ $said == *"--kind is an interface's"* ]] || problem "bridge list --kind: $said"
said=$(nowhere bridge reset br0 --wait 5 2>&1)
[ $? = 2 ] && [[ $said == *"nothing to wait for"* ]] || problem "bridge reset --wait: $said"

[ $failures = 0 ]
