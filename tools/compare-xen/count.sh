# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a run cost: CPU time of the guest and of dom0 as the hypervisor counts it
# (domain-cpu), of the process that serves the device as its kernel does (the same), and
# in a run of its own the guest's entries into Xen, from Xen's trace buffers
# (xentrace, xenalyze). Does not know what runs. Sourced by compare-xen.
#
# Either of a run, a command in the guest, which has a fixed cost: the program's start and end,
# the shell's, ours; baseline holds what a run of next to nothing costs, to be taken off. Or
# of windows: so many milliseconds out of the middle of each of some streams, which have none.

# Scheduler, HVM and PV events: what xenalyze wants to tell domains apart, and what a
# guest enters Xen for.
trace_mask=0x2a3000
trace_fields="exits port_exits mmio_exits hypercalls halts notifications_sent"
cpu_fields="vcpu_cpu_ns dom0_cpu_ns back_end_cpu_ns"

# A guest, and dom0, have work of their own now and then, of a hundredth of a second. So a
# command is run until two runs agree, to 2 % in all that is counted or to what does not
# matter, at most so often; the later of the two counts, else the median by the first field.
rounds_max=4

# settle FLOORS FUNCTION ARGUMENTS...: the function prints numbers into $figures, or "-".
settle()
{
	local floors=$1 all=() i other
	shift

	for ((i = 0; i < rounds_max; i++)); do
		"$@" || return
		for other in "${all[@]}"; do
			! agree "$floors" "$figures" "$other" || return 0
		done
		all+=("$figures")
	done
	figures=$(printf '%s\n' "${all[@]}" | sort -n | sed -n "$(((rounds_max + 1) / 2))p")
}

# agree FLOORS A B
agree()
{
	awk -v floors="$1" -v a="$2" -v b="$3" 'BEGIN {
		n = split(a, x, " "); split(b, y, " "); m = split(floors, f, " ")
		for (i = 1; i <= n; i++) {
			d = x[i] > y[i] ? x[i] - y[i] : y[i] - x[i]
			floor = f[i < m ? i : m]
			if (x[i] != y[i] && d > floor && d > 0.02 * x[i]) exit 1
		}
	}'
}

# cpu_now: guest, dom0, back end; the last is "-" when no process of its own serves.
cpu_now()
{
	"$domain_cpu" $back_end_pids | awk -v guest="$guest_domid" '
		$1 == "processes" { back = $2; next }
		{ ns[$1] = $2 }
		END { printf "%s %s %s\n", ns[guest], ns[0], (back == "" ? "-" : back) }'
}

# counted_once CMD: into figures: the counters of cpu_fields, and what the command prints.
counted_once()
{
	local before after status=0

	before=$(cpu_now) || because "$domain_cpu does not work, or the back end has ended" || return
	guest_send "$1"
	run_output=$(guest_answer) || status=$?
	after=$(cpu_now) || because "the back end has ended" || return
	[ "$status" -eq 0 ] || because "in the guest: $(tail -n 3 <<<"$run_output")" || return
	set -- $before $after
	figures="$(($4 - $1)) $(($5 - $2)) $([ "$3" = - ] && echo - || echo $(($6 - $3))) $run_output"
}

# counted_run CMD: runs it in the guest. Sets run_output, and the counters of cpu_fields
# in the array cost, "-" for what is not known.
declare -A cost baseline
counted_run()
{
	local field

	settle "1e6 1e6 1e6 2" counted_once "$1" || return
	set -- $figures
	for field in $cpu_fields; do cost[$field]=$1; shift; done
	run_output="$*"
}

# ---- windows -------------------------------------------------------------------------

# Windows are added up: here those of one stream.
declare -A total

# add_to ARRAY NAME NUMBER...: pairs; of what is not known, "-", there is no sum.
add_to()
{
	local -n sums=$1
	shift

	while [ $# -gt 0 ]; do
		case ${sums[$1]:-0}$2 in
		*-*) sums[$1]=- ;;
		*) sums[$1]=$((${sums[$1]:-0} + $2)) ;;
		esac
		shift 2
	done
}

total_add() { add_to total "$@"; }

# A stream may change its step in the midst of a window, which then is none: another is taken,
# at most so often.
windows_max=1

# window_once MS OPERATIONS: into figures: the counters of cpu_fields, operations, and
# nanoseconds. OPERATIONS is awk's for what the bridge has counted: rx_bytes, rx_packets ...
# Sets steady: what crossed was much the same all through.
steady=
window_once()
{
	figures=$("$domain_cpu" --for "$1" --device $bridge $back_end_pids | awk -v guest="$guest_domid" -v percent=$apart_percent '
		$1 == "processes" { back = $2; next }
		{ n[$1] = $2 }
		END {
			printf "%s %s %s %.0f %s ", n[guest], n[0], (back == "" ? "-" : back), '"$2"', n["elapsed"]
			print (n["fastest"] * 100 > n["slowest"] * (100 + percent) ? "" : "steady")
		}') || because "$domain_cpu does not work, or the back end has ended" || return
	steady=${figures##* } figures=${figures% *}
}

# window_add: that window, to the totals of cpu_fields, ops and wall_ns.
window_add()
{
	local field

	set -- $figures
	for field in $cpu_fields ops wall_ns; do total_add $field "$1"; shift; done
}

# traced_window MS OPERATIONS: adds to those of trace_fields, traced_ops and traced_ns.
traced_window()
{
	local field operations status=0 try

	for ((try = 0; try < windows_max; try++)); do
		[ -n "$tracing" ] && trace_start || return 0
		window_once "$@" || status=$?
		operations=$(awk '{ print $4, $5 }' <<<"$figures")
		trace_end
		[ $status = 0 ] || return $status
		[ -z "$steady" ] || break
	done
	set -- $figures
	for field in $trace_fields; do total_add $field "$1"; shift; done
	total_add traced_ops "${operations% *}" traced_ns "${operations#* }"
}

# sum_of ARRAY FIELD OPERATIONS: of its ops, when the field was counted in so many.
sum_of()
{
	local -n those=$1

	case ${those[$2]:--}/${those[$3]:--} in
	*-* | */0) echo - ;;
	*) awk -v v="${those[$2]}" -v is="${those[ops]}" -v had="${those[$3]}" 'BEGIN { printf "%.0f\n", v * is / had }' ;;
	esac
}

# ---- runs ----------------------------------------------------------------------------

# traced_run CMD: the same with tracing; sets the counters of trace_fields.
traced_run()
{
	local field

	figures=
	[ -z "$tracing" ] || settle 8 traced_once "$1" || return
	set -- $figures
	for field in $trace_fields; do cost[$field]=${1:--}; [ $# -eq 0 ] || shift; done
}

traced_once()
{
	local status=0

	trace_start || return 0
	guest_send "$1"
	guest_answer >/dev/null || status=$?
	trace_end
	[ "$status" -eq 0 ] || because "a traced run failed in the guest"
}

# trace_pages: of each CPU's buffer. Xen takes them once, and keeps them until it ends: 16 MiB
# of all CPUs together, 8 of one at most.
trace_pages()
{
	local pages=$((4096 / host_cpus))

	[ $pages -le 2048 ] || pages=2048
	[ $pages -ge 64 ] || pages=64
	echo $pages
}

# trace_start, and trace_end, which puts the counters of trace_fields into figures.
trace_start()
{
	rm -f "$work/trace"
	ran "xentrace -D -e $trace_mask -S $(trace_pages) $work/trace; xenalyze $svm_mode -s $work/trace"
	# emptied here: the background shell may come to it after trace_begun has read the last one's
	: >"$work/xentrace.log"
	xentrace -D -e $trace_mask -S "$(trace_pages)" "$work/trace" >>"$work/xentrace.log" 2>&1 &
	children+=("$!")
	trace_begun && return 0
	note "Exits and hypercalls were not counted from some measurement on: xentrace does not work: $(tail -n 1 "$work/xentrace.log")"
	tracing= figures=
	return 1
}

trace_end()
{
	kill "${children[-1]}" && wait "${children[-1]}" 2>/dev/null
	unset 'children[-1]'
	figures=$(xenalyze $svm_mode -s "$work/trace" 2>/dev/null | trace_counts)
	rm -f "$work/trace"
}

# The daemon has set its mask when it says so.
trace_begun()
{
	local try

	for try in $(seq 1000); do
		[[ $(<"$work/xentrace.log") != *"change evtmask"* ]] || return 0
		sleep 0.01
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
		END {
			# a PV guest has neither ports nor device memory
			print exits + 0, (hvm ? port + 0 : "-"), (hvm ? mmio + 0 : "-"), call + 0, halt + 0, sent + 0
		}'
}

# baseline_of CMD: what a run of next to nothing costs.
baseline_of()
{
	local field

	counted_run "$1" || return
	for field in $cpu_fields; do baseline[$field]=${cost[$field]}; done
	traced_run "$1" || return
	for field in $trace_fields; do baseline[$field]=${cost[$field]}; done
}

# net_cost FIELD NUMERATOR DENOMINATOR: less the baseline, times a ratio; never negative.
net_cost()
{
	case ${cost[$1]}${baseline[$1]} in *-*) echo -; return ;; esac
	awk -v a="${cost[$1]}" -v b="${baseline[$1]}" -v n="$2" -v d="$3" \
		'BEGIN { v = (a - b) * n / d; printf "%.0f\n", (v > 0 ? v : 0) }'
}
