# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a run cost: CPU time of the guest and of dom0 as the hypervisor counts it
# (domain-cpu), of the process that serves the device as its kernel does (schedstat), and
# in a run of its own the guest's and dom0's entries into Xen, from Xen's trace buffers
# (xentrace, xenalyze). Does not know what runs. Sourced by compare-xen.
#
# A run is a command in the guest, which has a fixed cost: the program's start and end, the
# shell's, ours. baseline_* hold what a run of next to nothing costs, to be taken off.

# Scheduler, HVM and PV events: what xenalyze wants to tell domains apart, and what a
# guest enters Xen for.
trace_mask=0x2a3000
trace_fields="exits port_exits mmio_exits hypercalls halts notifications_sent dom0_hypercalls"
cpu_fields="vcpu_cpu_ns dom0_cpu_ns back_end_cpu_ns"

# process_ns PID...: of all their threads; nothing when there is no process.
process_ns()
{
	local pid

	[ $# -gt 0 ] || return 0
	for pid in "$@"; do cat "/proc/$pid"/task/*/schedstat; done 2>/dev/null |
		awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}

# cpu_now: guest, dom0, back end; the last is "-" when no process of its own serves.
cpu_now()
{
	local back

	back=$(process_ns $back_end_pids)
	"$domain_cpu" | awk -v guest="$guest_domid" -v back="${back:--}" '
		{ ns[$1] = $2 }
		END { printf "%s %s %s\n", ns[guest], ns[0], back }'
}

# counted_run CMD: runs it in the guest. Sets run_output, and the counters of cpu_fields
# in the array cost, "-" for what is not known.
declare -A cost baseline
counted_run()
{
	local before after field status=0

	before=$(cpu_now) || fail "$domain_cpu does not work"
	guest_send "$1"
	run_output=$(guest_answer) || status=$?
	after=$(cpu_now)
	[ "$status" -eq 0 ] || fail "in the guest: $(tail -n 3 <<<"$run_output")"
	set -- $before $after
	cost=([vcpu_cpu_ns]=$(($4 - $1)) [dom0_cpu_ns]=$(($5 - $2)))
	cost[back_end_cpu_ns]=-
	[ "$3" = - ] || cost[back_end_cpu_ns]=$(($6 - $3))
}

# traced_run CMD: the same with tracing; sets the counters of trace_fields.
traced_run()
{
	local pid field values status=0

	for field in $trace_fields; do cost[$field]=-; done
	[ -n "$tracing" ] || return 0
	rm -f "$work/trace"
	xentrace -D -e $trace_mask -S 2048 "$work/trace" >"$work/xentrace.log" 2>&1 &
	pid=$!
	children+=("$pid")
	trace_begun || { warn "xentrace does not work, nothing is traced: $(tail -n 1 "$work/xentrace.log")"; tracing=; return 0; }
	guest_send "$1"
	guest_answer >/dev/null || status=$?
	kill "$pid" && wait "$pid" 2>/dev/null
	unset 'children[-1]'
	[ "$status" -eq 0 ] || fail "a traced run failed in the guest"
	values=$(xenalyze $svm_mode -s "$work/trace" 2>/dev/null | trace_counts)
	rm -f "$work/trace"
	set -- $values
	for field in $trace_fields; do cost[$field]=${1:--}; shift; done
}

# The daemon has set its mask when it says so.
trace_begun()
{
	local try

	for try in $(seq 100); do
		grep -q "change evtmask" "$work/xentrace.log" && return 0
		sleep 0.1
	done
	return 1
}

# trace_counts: from a summary of xenalyze; in the order of trace_fields. For an HVM guest
# the CPU's exits by reason, for a PV guest what it entered Xen for: hypercalls, and
# faults that Xen handles. Names are AMD's or Intel's.
trace_counts()
{
	awk -v guest="$guest_domid" '
		/^\|-- Domain / { domain = $3; part = ""; next }
		/^Exit reasons/ { part = "exits"; next }
		/^PV events/ { part = "pv"; next }
		/^[^ ]/ { part = ""; next }
		domain == guest && part == "exits" && /^ [A-Z]/ {
			hvm = 1; exits += $2
			if ($1 ~ /IOIO|IO_INSTRUCTION/) port += $2
			if ($1 ~ /NPF|EPT_/) mmio += $2
			if ($1 ~ /VMMCALL|VMCALL/) call += $2
			if ($1 ~ /HLT/) halt += $2
		}
		domain == guest && part == "exits" && /\[ *evtchn_op\]/ { sub(/.*\]/, ""); sent += $1 }
		domain == guest && part == "pv" && /^  [a-z]/ {
			if ($1 == "hypercall" && $2 ~ /^[0-9]/) call += $2
			if ($2 != "(subcall)") exits += $NF
		}
		domain == guest && part == "pv" && /^    evtchn_op/ { sent += $NF }
		domain == guest && part == "pv" && /^    sched_op/ { halt += $NF }
		domain == 0 && part == "pv" && $1 == "hypercall" && $2 ~ /^[0-9]/ { dom0 += $2 }
		END {
			# a PV guest has neither ports nor device memory
			print exits + 0, (hvm ? port + 0 : "-"), (hvm ? mmio + 0 : "-"), call + 0, halt + 0, sent + 0, dom0 + 0
		}'
}

# baseline_of CMD: what a run of next to nothing costs.
baseline_of()
{
	local field

	counted_run "$1"
	for field in $cpu_fields; do baseline[$field]=${cost[$field]}; done
	traced_run "$1"
	for field in $trace_fields; do baseline[$field]=${cost[$field]}; done
}

# net_cost FIELD NUMERATOR DENOMINATOR: less the baseline, times a ratio; never negative.
net_cost()
{
	case ${cost[$1]}${baseline[$1]} in *-*) echo -; return ;; esac
	awk -v a="${cost[$1]}" -v b="${baseline[$1]}" -v n="$2" -v d="$3" \
		'BEGIN { v = (a - b) * n / d; printf "%.0f\n", (v > 0 ? v : 0) }'
}
