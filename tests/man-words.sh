#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The manual pages have what the programs have: every long option of each program's help
# (paravane's own: completion.sh), every member of the JSON that they print, and the topics of
# `paravane explain` and `why`.
set -u
top=${abs_top_builddir:-$PWD}
: "${srcdir:=$(dirname "$0")/..}"
srcdir=$(cd "$srcdir" && pwd)
cd "$top" || exit 1
failures=0 options=0 members=0

problem()
{
	echo "$*"
	failures=$((failures + 1))
}

# page NAME: its text, with dashes as they are typed, and without macros.
page()
{
	sed -E 's/\\-/-/g; s/\\f[BIRP]//g; s/(^\.| )Fl -/\1--/g; s/^\.[A-Z][A-Za-z]* //' "$srcdir"/docs/"$1"
}

# has TEXT WORD: as a word of its own.
has() { grep -qE -- "(^|[^a-z0-9_-])$2($|[^a-z0-9_-])" <<<"$1"; }

# options_of PROGRAM [COMMAND]...: those of its help, and of its commands'.
options_of()
{
	local program=$1 command
	shift

	{
		"$program" --help
		! "$program" --version >/dev/null || echo " --version"
		for command; do
			"$program" "$command" --help
		done
	} | grep -oE '(^|[^a-z-])--[a-z][a-z-]*[a-z]' | grep -oE -- '--.*' | sort -u
}

# check_options PAGE PROGRAM [COMMAND]...
check_options()
{
	local text option name=$1
	shift

	text=$(page "$name")
	for option in $(options_of "$@"); do
		options=$((options + 1))
		has "$text" "$option" || problem "$name has no $option"
	done
}

# check_members PAGE FILE...: of format strings, json_text() and the like, and libjansson's.
check_members()
{
	local text word name=$1
	shift

	text=$(page "$name")
	for word in $({ grep -ohE '\\"[a-z][a-z0-9_]*\\":' "$@" | tr -d '\\":'
			grep -ohE '\bjson_[a-z]+\("[a-z][a-z0-9_]*"' "$@" | sed 's/.*("//; s/"//'
			grep -hE '(json_object_set_new|\bset|json_pack)\(' "$@" |
				grep -oE '"[a-z][a-z0-9_]*"' | tr -d '"'; } | sort -u); do
		members=$((members + 1))
		has "$text" "$word" || problem "$name has no member $word"
	done
}

# check_topics FILE PATTERN: what the pattern's group is, of each line that it matches.
check_topics()
{
	local text word nr=0

	text=$(page paravane.1)
	for word in $(sed -nE "s/$2/\1/p" "$srcdir/$1" | sort -u); do
		nr=$((nr + 1))
		has "$text" "$word" || problem "paravane.1 has no topic $word"
	done
	[ $nr -gt 5 ] || problem "$1 has $nr topics?"
}

for program in blkfront netfront; do
	check_options paravane-$program.1 ./paravane-$program \
		$(./paravane-$program --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -v help)
	check_members paravane-$program.1 "$srcdir"/tools/$program-*.c
done
check_options localxen.1 tools/localxen/localxen \
	$(tools/localxen/localxen --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
check_members localxen.1 "$srcdir"/tools/localxen/cli_status.c
for program in blkback netback flip; do
	check_options paravane-$program.8 ./paravane-$program
done
# Chrome's trace format has words of its own, and docs/compare.md is compare's page.
check_members paravane.1 $(ls "$srcdir"/tools/paravane*.c | grep -v -e -compare -e -trace)
check_members paravane.1 <(grep -vE 'traceEvents|"ph|args' "$srcdir"/tools/paravane-trace.c)
check_topics tools/paravane-meaning.c '^\t\{ "([a-z]+)", [a-z]+ \},'
check_topics tools/paravane-meaning-nic.c '^\t\{ "([a-z]+)", [a-z]+ \},'
check_topics tools/paravane-findings.c '.*find\(f, "([a-z]+)".*'

# Who reads a page, or what is printed, has no sources.
found=$(cd "$srcdir/docs" && grep -nE '(docs|common|xenstore-schema|backend|frontend|tools|tests)/[a-z-]+\.(md|[ch])' *.[138])
[ -z "$found" ] || problem "files of the sources: $found"
! has "$(page paravane-blkfront.1)" --frob || problem "this test cannot tell an option from another"
[ $options -gt 100 ] && [ $members -gt 150 ] || problem "only $options options and $members members were found"
echo "$options options, $members members"
[ $failures = 0 ]
