# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What becomes of each measurement: it is made, or it is named, with the reason why not, and
# the others go on. A part is a function that makes some of them with one device; it takes
# what it needs, and part gives it back. What a part would measure is known by running it
# with everything left out that acts (plan); so nothing is made, loaded or started for
# what nobody wants, and there is no list to keep. Does not know what is measured.
# Sourced by compare-xen.

declare -A settled=()		# TABLE|LABEL: measured, or named
declare -A left_out=()		# reason: lines TABLE|LABEL
declare -A commands=()		# what was run, each once
planning= reason= is_failure= rows_total=0 rows_measured=0 failures=0
notes=()

# plan FUNCTION [ARGUMENT...]: lines TABLE|LABEL, what it would measure.
plan() { (planning=yes; "$@"); }

# act COMMAND [ARGUMENT...]: not in a plan.
act() { [ -n "$planning" ] || "$@"; }

# Why one does not go on; both fail, for || because ... || return. because: something went
# wrong, which the status at the end tells; absent: this machine does not have it.
because() { reason=$* is_failure=yes; reason=${reason:0:600}; return 1; }
absent() { reason=$* is_failure=; reason=${reason:0:600}; return 1; }

# note TEXT: for readers of the results.
note() { say "$@"; notes+=("$*"); }

# ran TEXT: a command or a configuration, for the same.
ran() { commands[$*]=yes; }

# measurement TABLE LABEL FUNCTION [ARGUMENT...]: has the function make it, if it is wanted.
measurement()
{
	local table=$1 label=$2
	shift 2

	wanted "$table" "$label" || return 0
	if [ -n "$planning" ]; then
		echo "$table|$label"
		return 0
	fi
	guest_answers || return 0	# its part names it
	say "$((${#settled[@]} + 1)) of $rows_total, $SECONDS s: $table: $label"
	if "$@"; then
		settled[$table|$label]=yes
		rows_measured=$((rows_measured + 1))
	else
		not_measured "$table|$label"
	fi
}

# not_measured TABLE|LABEL: for the reason that was given last.
not_measured()
{
	local why

	settled[$1]=yes
	[ ! -e "$work/silent" ] ||
		because "the guest does not answer: it has ended, or said nothing for $patience_s s (xl dmesg may say why)"
	why="Left out, because ${reason:-nothing came of it}"
	[ -z "$is_failure" ] || { why="Failed, because ${reason:-nothing came of it}"; failures=$((failures + 1)); }
	say "${1%%|*}: ${1#*|}: $why"
	left_out[$why]+="$1"$'\n'
}

# part FUNCTION [ARGUMENT...]: in the guest that is there.
part()
{
	local rows

	[ -z "$planning" ] || { "$@"; return 0; }
	rows=$(plan "$@")
	[ -n "$rows" ] || return 0
	reason= is_failure=
	if guest_answers; then
		"$@"
		name_missing "$rows"
		give_back
	else
		because "there is no guest any more"
		name_missing "$rows"
	fi
}

# guest_part FUNCTION [ARGUMENT...]: which makes a guest.
guest_part()
{
	local rows

	[ -z "$planning" ] || { "$@"; return 0; }
	rows=$(plan "$@")
	[ -n "$rows" ] || return 0
	reason= is_failure=
	rm -f "$work/silent"		# that was another
	"$@"
	name_missing "$rows"
	guest_destroy
}

# name_missing ROWS
name_missing()
{
	local key

	while IFS= read -r key; do
		[ -n "${settled[$key]:-}" ] || not_measured "$key"
	done <<<"$1"
}

# What a part has taken, in the order in which nothing is in use any more.
give_back()
{
	nic_give_back
	device_give_back
	daemons_stop
	disk_give_back
	guest_driver_restore
	module_options_restore
	cores_restore
	modules_give_back
}

# On standard output, at the end.
notes_and_commands()
{
	local text

	for text in "${notes[@]}"; do line note "$text"; done
	while IFS= read -r text; do
		[ -z "$text" ] || line note "$text: $(by_table <<<"${left_out[$text]}")"
	done < <(printf '%s\n' "${!left_out[@]}" | sort)
	while IFS= read -r text; do
		[ -z "$text" ] || line ran "$text"
	done < <(printf '%s\n' "${!commands[@]}" | sort)
}

# by_table: of lines TABLE|LABEL, "TABLE: LABEL, LABEL; TABLE: LABEL".
by_table()
{
	awk -F'|' 'NF < 2 { next }
		!($1 in labels) { order[++n] = $1 }
		{ labels[$1] = labels[$1] ($1 in labels && labels[$1] != "" ? ", " : "") $2 }
		END { for (i = 1; i <= n; i++) printf "%s%s: %s", (i > 1 ? "; " : ""), order[i], labels[order[i]] }'
}

# line KEY TEXT: in which nothing separates fields or lines, and which is not longer than
# paravane takes.
line()
{
	local text=${2//[^[:print:]]/ }

	[ ${#text} -le 4000 ] || text="${text:0:3990} ..."
	printf '%s=%s\n' "$1" "$text" >&"$out"
}
