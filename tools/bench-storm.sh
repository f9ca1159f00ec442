#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The storm part of tools/bench, which reads it: what a guest keeps of its disk's and its
# interface's rate while another sends events, or writes to XenStore, without end.
#
# A storm is a busy guest besides, and has a CPU of its own, to which it is bound;
# everything that serves guests, and the one that is measured, share another. So what is
# lost is what the back end spends on the storm (XenStore's own process is with the
# attack). It is compared with a guest that keeps the same CPU as busy and leaves us
# alone: short turns of both, one after the other, while the other is stopped, the first
# of a pair now this, now that; the median of the pairs' ratios is what counts.
# Must not know: how a storm is held off.

storm_goal=0.90

storm_cpus()
{
	local all

	mapfile -t all < <(taskset -cp $$ | sed 's/.*: *//' | tr , '\n' |
		awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
	attack_cpu=${all[0]} serve_cpu=${all[1]:-${all[0]}}
	[ "$attack_cpu" != "$serve_cpu" ] ||
		echo "bench: one CPU: the storm's own work is in the figures" >&2
}

# The store's own process works for whoever asks, and no back end can help that: it and the
# rings of the guests go where the attack is.
storm_bind_store()
{
	local p

	for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2>/dev/null) in
		xenstored|localxen-xenbus*) ;;
		*) continue ;;
		esac
		tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qxF "LOCALXEN_DIR=$LOCALXEN_DIR" || continue
		taskset -acp "$attack_cpu" "${p#/proc/}" >/dev/null 2>&1
	done
}

storm_programs()
{
	local p

	for p in hostile-blk hostile-net state-storm; do
		[ -x "$build/tests/$p" ] ||
			fail "storm: $build/tests/$p is not there; \"make check TESTS=\" builds it"
	done
}

domid_of() { paravane list --json | sed -n "s/.*\"domid\": \([0-9]*\), \"domain\": \"$1\".*/\1/p" | head -n 1; }

# The served: on a CPU with their back ends.
on_serving() { taskset -c "$serve_cpu" "$@"; }
# attack COMMAND...: of the guest that attacks; $last_pid is the command itself.
attack() { background attack taskset -c "$attack_cpu" localxen exec evil -- "$@"; }

storm_events_disk() { attack "$build/tests/hostile-blk" --seconds 36000 storm; }
storm_events_net() { attack "$build/tests/hostile-net" --seconds 36000 storm; }
storm_store_disk() { attack "$build/tests/state-storm" device/vbd/51712/state 1000000000 0 1; }
storm_store_net() { attack "$build/tests/state-storm" device/vif/0/state 1000000000 0 1; }

storm_rate_disk()
{
	on_serving localxen exec good -- paravane-blkfront bench --device xvda --pattern randread \
		--bs 4K --depth 32 --seconds "$seconds" --json --timeout 60 >"$work/one.json" 2>"$work/one.log" ||
		fail "the disk of the guest that is measured" "$work/one.log"
	number iops "$work/one.json"
}

storm_rate_net()
{
	on_serving localxen exec good2 -- paravane-netfront bench rx --seconds "$seconds" --json --timeout 60 \
		>"$work/one.json" 2>"$work/one.log" ||
		fail "the interface of the guest that is measured" "$work/one.log"
	number frames_per_s "$work/one.json"
}

# storm_turn PROCESS DEVICE: the rate beside it; it runs only for that time.
storm_turn()
{
	local rate

	kill -CONT "$1" 2>/dev/null || fail "the guest that attacks has ended" "$work/attack.log"
	sleep 0.5
	rate=$("storm_rate_$2") || exit 1
	kill -STOP "$1" 2>/dev/null || fail "the guest that attacks has ended" "$work/attack.log"
	[ -n "$rate" ] && [ "${rate%.*}" -gt 0 ] || fail "no rate" "$work/one.json"
	echo "$rate"
}

# storm_row TEXT ATTACK DEVICE
storm_row()
{
	local i beside busy kept attacks burns

	rm -f "$work/beside" "$work/busy" "$work/kept"
	"storm_$2_$3"
	attacks=$last_pid
	attack sh -c 'while :; do :; done'
	burns=$last_pid
	kill -STOP "$burns"
	sleep 1
	kill -STOP "$attacks"
	for ((i = 0; i < storm_pairs; i++)); do
		if ((i % 2)); then
			busy=$(storm_turn "$burns" "$3") && beside=$(storm_turn "$attacks" "$3") || exit 1
		else
			beside=$(storm_turn "$attacks" "$3") && busy=$(storm_turn "$burns" "$3") || exit 1
		fi
		echo "$beside" >>"$work/beside"
		echo "$busy" >>"$work/busy"
		awk -v a="$beside" -v b="$busy" 'BEGIN { printf "%.4f\n", a / b }' >>"$work/kept"
	done
	kill -9 "$attacks" "$burns"
	wait "$attacks" "$burns" 2>/dev/null
	beside=$(median <"$work/beside") busy=$(median <"$work/busy")
	kept=$(median <"$work/kept" | awk '{ printf "%.2f", $1 }')
	printf '%-40s %12.0f %12.0f %6s %7s  %s\n' "$1" "$busy" "$beside" "$kept" ">= $storm_goal" \
		"$(at_least "$kept" $storm_goal && echo met || echo 'not met')"
	printf '      { "device": "%s", "attack": "%s", "pairs": %d, "beside_busy": %s, "beside_storm": %s, "kept": %s }\n' \
		"$3" "$2" "$storm_pairs" "$busy" "$beside" "$kept" >>"$work/storm_rows"
}

storm_start()
{
	local g

	for g in evil good good2; do
		localxen domain --name=$g >"$work/$g.log" 2>&1 || fail "no domain" "$work/$g.log"
	done
	[ -n "${blkback_pid:-}" ] || background blkback paravane-blkback
	blkback_pid=${blkback_pid:-$last_pid}
	[ -n "${netback_pid:-}" ] || background netback paravane-netback
	netback_pid=${netback_pid:-$last_pid}
	taskset -acp "$serve_cpu" "$blkback_pid" >/dev/null && taskset -acp "$serve_cpu" "$netback_pid" >/dev/null
	for g in evil good; do
		truncate -s 64M "$work/storm-$g"
		paravane attach-disk $g "$work/storm-$g" xvda --no-wait >"$work/attach.log" 2>&1 ||
			fail "a disk cannot be attached" "$work/attach.log"
	done
	paravane attach-nic evil bridge=storm mac=00:16:3e:00:05:01 --no-wait >"$work/attach.log" 2>&1 &&
	paravane attach-nic good bridge=storm mac=00:16:3e:00:05:02 --no-wait >"$work/attach.log" 2>&1 &&
	paravane attach-nic good2 bridge=storm mac=00:16:3e:00:05:03 --no-wait >"$work/attach.log" 2>&1 ||
		fail "an interface cannot be attached" "$work/attach.log"
}

json_storm()
{
	printf '    "goal": %s,\n    "rows": [\n%s\n    ]\n' $storm_goal "$(json_rows "$work/storm_rows")"
}

bench_storm()
{
	storm_pairs=$((2 * rounds + 1))
	storm_programs
	storm_cpus
	storm_start
	storm_bind_store
	printf '%-40s %12s %12s %6s %7s\n' '' 'busy guest' 'storm' 'kept' 'goal'
	storm_row '4k random reads a second, events' events disk
	storm_row '4k random reads a second, XenStore' store disk
	on_serving localxen exec good -- paravane-netfront bench tx --mac 00:16:3e:00:05:03 --size 1000 \
		--seconds 3600 --timeout 60 >"$work/talker.log" 2>&1 </dev/null &
	pids+=($!)
	storm_row 'frames a second, events' events net
	storm_row 'frames a second, XenStore' store net
}
