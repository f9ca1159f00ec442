#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bash completion of paravane(1): offers every command, and of each every option of its
# help and of its own table in the sources, and nothing that the program does not take.
# The manual page has them too.
set -u
top=${abs_top_builddir:-$PWD}
: "${srcdir:=$(dirname "$0")/..}"
srcdir=$(cd "$srcdir" && pwd)
cd "$top" || exit 1
PATH=$top:$PATH
. "$srcdir/packaging/completion/paravane"
failures=0 checked=0

problem()
{
	echo "$*"
	failures=$((failures + 1))
}

# offered WORD...: for the last of them, one a line
offered()
{
	COMP_WORDS=(paravane "$@") COMP_CWORD=$#
	_paravane 2>/dev/null
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

# same WHAT LIST LIST: two lists of words, a line each, sorted
same()
{
	local lacks more

	lacks=$(comm -23 <(echo "$2") <(echo "$3") | tr '\n' ' ')
	more=$(comm -13 <(echo "$2") <(echo "$3") | tr '\n' ' ')
	[ -z "$lacks" ] || problem "$1: not offered: $lacks"
	[ -z "$more" ] || problem "$1: offered, and there is none: $more"
}

# in_help COMMAND: its options, with --help, which all take.
in_help()
{
	{ paravane help "$1" | grep -oE '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--.*'; echo --help; } | sort -u
}

# in_sources COMMAND: of the command's own table, without those that all share and one
# that the program gives itself. Keys are spelled in keys.h.
in_sources()
{
	local file name

	file=$(grep -l "^	\.name = \"$1\"," "$srcdir"/tools/paravane*.c)
	grep -oE '\{ ("[a-z-]+"|KEY_[A-Z_]+), (no|required|optional)_argument' "$file" |
		sed 's/^{ //; s/,.*//' | while read -r name; do
		case $name in
		KEY_*) name=$(sed -n "s/^#define $name[^\"]*\(\"[a-z-]*\"\).*/\1/p" "$srcdir/xenstore-schema/keys.h") ;;
		esac
		name=${name//\"/}
		[ "$name" = inside ] || echo "--$name"
	done | sort -u
}

# taken COMMAND OPTION: the program takes it; the word behind is complained about if not
# its value. Nothing is done: there is always something to complain about.
taken()
{
	! paravane "$1" "$2" 1 --no-such-option 2>&1 </dev/null | grep -qF "unknown option \"$2\""
}

commands=$(paravane --help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
same "paravane" "$(printf '%s\n' $commands help --help --version | sort -u)" "$(offered "")"
same "paravane help" "$(printf '%s\n' $commands help | sort -u)" "$(offered help "" | sort -u)"
declared=$(sed -n 's/^	\.name = "\([a-z-]*\)",$/\1/p' "$srcdir"/tools/paravane*.c | sort -u)
same "commands of the sources" "$declared" "$(printf '%s\n' $commands | grep -v '^help$' | sort -u)"

for command in $declared; do
	options=$(in_help "$command")
	same "paravane $command" "$options" "$(offered "$command" --)"
	lacking=$(comm -23 <(in_sources "$command") <(echo "$options") | tr '\n' ' ')
	[ -z "$lacking" ] || problem "paravane help $command has no $lacking"
	for option in $options; do
		checked=$((checked + 1))
		[ $option = --help ] || taken "$command" "$option" || problem "paravane $command takes no $option"
		grep -qF -- "${option//-/\\-}" "$srcdir"/docs/paravane.1 "$srcdir"/docs/paravane-compare.1 ||
			problem "no manual page has $option of paravane $command"
	done
	paravane "$command" --help >/dev/null || problem "paravane $command takes no --help"
done
! taken list --frob || problem "this test cannot tell an option from another"
for verb in $(offered bridge ""); do
	paravane help bridge | grep -q "paravane bridge $verb" || problem "paravane bridge $verb is offered, and there is none"
done
# Names of what there is: a guest with a name and one without, both lists, a line below.
listed=$(mktemp -d) || exit 1
trap 'rm -rf "$listed"' EXIT
paravane() { [ "$1" = list ] && cat "$listed/list" || command paravane "$@"; }
xl() { return 1; }
cat >"$listed/list" <<'END'
DOMAIN         DEVICE KIND   BACK END      FRONT END     MODE       SIZE  IMAGE
1 sd-web       xvda   vbd    Connected     Connected     w      16.0 MiB  /srv/web.img
2              xvdb   vbd    InitWait      Initialising  w      16.0 MiB  /srv/more.img
    waits: the front end in domain 2 has not answered (state Initialising)

DOMAIN         DEVICE KIND   BACK END      FRONT END     ADDRESS            SWITCH
1 sd-web       vif0   vif    Connected     Connected     00:16:3e:00:00:01  lan
END
same "domains" "$(printf '%s\n' 2 sd-web)" "$(offered detach "")"
same "devices" "$(printf '%s\n' vif0 xvda xvdb)" "$(offered detach sd-web "")"
same "daemons" "$(printf '%s\n' blkback netback)" "$(offered upgrade "")"
: >"$listed/my disk.img"
: >"$listed/my*"
same "files" "$(printf "%s\n" "$listed/my disk.img" "$listed/my*" | sort)" "$(offered attach-disk sd-web "$listed/my")"
[ $checked -gt 90 ] || problem "only $checked options were found"
echo "$(wc -w <<<"$commands") commands, $checked options"
[ $failures = 0 ]
