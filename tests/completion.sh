#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bash completion of all programs: offers every command, and of each every option of its
# help and of its own table in the sources, and nothing that the program does not take;
# knows which have a value, and what that may be. paravane's manual page has them too.
# The quick run: plain
set -u
top=${abs_top_builddir:-$PWD}
: "${srcdir:=$(dirname "$0")/..}"
srcdir=$(cd "$srcdir" && pwd)
cd "$top" || exit 1
PATH=$top:$top/tools/localxen:$PATH
. "$srcdir/packaging/completion/paravane"
failures=0 checked=0

problem()
{
	echo "$*"
	failures=$((failures + 1))
}

# offered PROGRAM WORD...: for the last of them, one a line: what replaces it, from its last
# "=" or ":" on.
offered()
{
	local word

	COMP_LINE="$*" COMP_WORDS=()
	for word; do
		while [[ $word =~ ^([^=:]*)([=:]+)(.*)$ ]]; do
			[ -z "${BASH_REMATCH[1]}" ] || COMP_WORDS+=("${BASH_REMATCH[1]}")
			COMP_WORDS+=("${BASH_REMATCH[2]}")
			word=${BASH_REMATCH[3]}
			[ -n "$word" ] || continue 2
		done
		COMP_WORDS+=("$word")
	done
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_POINT=${#COMP_LINE}
	_paravane "$1" 2>"$listed/said"
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

# offers WORDS PROGRAM WORD...: for the last of them.
offers()
{
	local want=$1
	shift

	same "${*@Q}" "$(tr -s '[:space:]' '\n' <<<"$want" | sort -u | sed '/^$/d')" "$(offered "$@" | sed '/^$/d')"
	[ ! -s "$listed/said" ] || problem "${*@Q}: $(cat "$listed/said")"
}

# same WHAT LIST LIST: two lists of words, a line each, sorted
same()
{
	local lacks more

	lacks=$(comm -23 <(echo "$2") <(echo "$3") | tr '\n' ' ')
	more=$(comm -13 <(echo "$2") <(echo "$3") | tr '\n' ' ')
	[ -z "${lacks// /}" ] || problem "$1: not offered: $lacks"
	[ -z "${more// /}" ] || problem "$1: offered, and there is none: $more"
}

# in_help PROGRAM [help COMMAND | --help]: its options, with --help, which all take.
in_help()
{
	{ "$@" | grep -oE '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--.*'; echo --help; } | sort -u
}

# named: "name" or KEY_NAME of keys.h, one a line
named()
{
	local name

	while read -r name; do
		case $name in
		KEY_*) name=$(sed -n "s/^#define $name[^\"]*\(\"[a-z-]*\"\).*/\1/p" "$srcdir/xenstore-schema/keys.h") ;;
		esac
		echo "--${name//\"/}"
	done | sort -u
}

# in_tables KIND FILE...: options of getopt's tables there, of arguments of this kind.
in_tables()
{
	local kind=$1
	shift

	grep -hoE "\{ (\"[a-z-]+\"|KEY_[A-Z_]+), ($kind)_argument" "$@" | sed 's/^{ //; s/,.*//' | named
}

command_file() { grep -l "^	\.name = \"$1\"," "$srcdir"/tools/paravane*.c; }

# in_sources COMMAND: of the command's own table, without those that all share and one
# that the program gives itself.
in_sources() { in_tables 'no|required|optional' "$(command_file "$1")" | grep -vx -e --inside; }

# taken PROGRAM [COMMAND] OPTION: the program takes it; the word behind is complained about
# if not its value. Nothing is done: there is always something to complain about.
taken()
{
	! "$@" 1 --no-such-option 2>&1 </dev/null | grep -qE "(unknown|no) option \"?${*: -1}(\"|;|$)"
}

# have_values WHAT HELP OPTIONS VALUED: of these options, those have values.
have_values()
{
	local help=$2 option takes

	takes=$(for option in $3; do ! _paravane_takes "$option" || echo "$option"; done)
	same "$1: with values" "$(comm -12 <(echo "$3") <(echo "$4"))" "$takes"
}

listed=$(mktemp -d) || exit 1
trap 'rm -rf "$listed"' EXIT

# ---- commands and options -------------------------------------------------------------

commands=$(paravane --help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
offers "$commands help --help --version" paravane ""
offers "$commands help" paravane help ""
offers "$commands help" paravane --help ""
declared=$(sed -n 's/^	\.name = "\([a-z-]*\)",$/\1/p' "$srcdir"/tools/paravane*.c | sort -u)
same "commands of the sources" "$declared" "$(printf '%s\n' $commands | grep -v '^help$' | sort -u)"

for command in $declared; do
	options=$(in_help paravane help "$command")
	offers "$options" paravane "$command" --
	lacking=$(comm -23 <(in_sources "$command") <(echo "$options") | tr '\n' ' ')
	[ -z "$lacking" ] || problem "paravane help $command has no $lacking"
	have_values "paravane $command" "$(paravane help "$command")" "$options" \
		"$(in_tables required "$(command_file "$command")" "$srcdir/tools/paravane.h")"
	for option in $options; do
		checked=$((checked + 1))
		[ $option = --help ] || taken paravane "$command" "$option" || problem "paravane $command takes no $option"
		grep -qF -- "${option//-/\\-}" "$srcdir"/docs/paravane.1 "$srcdir"/docs/paravane-compare.1 ||
			problem "no manual page has $option of paravane $command"
	done
	paravane "$command" --help >/dev/null || problem "paravane $command takes no --help"
done
! taken paravane list --frob || problem "this test cannot tell an option from another"
[ $checked -gt 90 ] || problem "only $checked options were found"

# of_program PROGRAM COMMAND OPTIONS VALUED: those of one that has commands.
of_program()
{
	local option

	same "$1 $2" "$3" "$(offered "$1" "$2" -- | sed 's/=$//' | sort -u)"
	have_values "$1 $2" "$("$1" help "$2")" "$3" "$4"
	for option in $3; do
		checked=$((checked + 1))
		[ "$1" = localxen ] || [ "$option" = --help ] || taken "$1" "$2" "$option" ||
			problem "$1 $2 takes no $option"
	done
}

for program in paravane-blkfront paravane-netfront; do
	args=$srcdir/tools/${program#paravane-}-args.c
	commands=$("$program" x 2>&1 | sed 's/.* are //; s/,//g; s/ and / /')
	offers "$commands help --help --version" $program ""
	offers "$commands help" $program help ""
	valued=$(cat "$args" "$srcdir/tools/front-cli.c" | grep -oE '\{ "[a-z-]+", "' | cut -d '"' -f 2 | named)
	for command in $commands; do
		of_program $program $command "$(in_help $program help $command)" "$valued"
	done
done
! taken paravane-blkfront info --frob || problem "this test cannot tell an option from another"

commands=$(grep -oE '\{ "[a-z]+", cmd' "$srcdir/tools/localxen/cli_main.c" | cut -d '"' -f 2)
offers "$commands help --help --version" localxen ""
offers "$commands help" localxen help ""
for command in $commands; do
	file=$(grep -l "^int cmd_$command(" "$srcdir"/tools/localxen/cli_*.c)
	of_program localxen $command "$(in_help localxen help $command)" "$(in_tables required "$file")"
done
for command in fail run status; do
	same "localxen $command" "$(in_tables 'no|required|optional' "$srcdir/tools/localxen/cli_$command.c")" \
		"$(in_help localxen help $command)"
done

for program in paravane-blkback paravane-netback; do
	options=$(in_help $program --help)
	tables=("$srcdir/backend/${program#paravane-}-main.c" "$srcdir/backend/daemon.c")
	same $program "$options" "$(offered $program -- | sed 's/=$//' | sort -u)"
	# The last two are for the program itself.
	same "$program, by its sources" "$options" \
		"$(in_tables 'no|required' "${tables[@]}" | grep -vx -e --worker -e --upgrade-check)"
	have_values $program "$($program --help)" "$options" "$(in_tables required "${tables[@]}")"
	checked=$((checked + $(wc -l <<<"$options")))
	offers "" $program ""
	offers "kill log off" $program --kind=vbd --seccomp ""
	offers "kill" $program --seccomp=k
	offers "error warning info debug" $program --log-level=
	offers "own" $program --user ow
done

# ---- values ---------------------------------------------------------------------------

# says PROGRAM WORD...: the words that a complaint about no-such-word lists, behind it.
says()
{
	"$@" 2>&1 </dev/null | head -n 1 | sed -E "s/.*no-such-word['\"]?//; s/; (see|try) .*//
		s/\b(is|are|not|of|one|or|and|there|expected)\b//g; s/[,:;=\"]/ /g"
}
for kind in engine grant-mode kind; do
	offers "$(says paravane-blkback --$kind no-such-word)" paravane-blkback --$kind ""
	offers "$(says paravane-blkback --$kind no-such-word)" paravane-blkback --$kind=
done
for kind in mode cache grant-mode secure-discard kind; do
	offers "$(says paravane attach-disk 1 x --$kind no-such-word)" paravane attach-disk --$kind ""
	offers "$(says paravane attach-disk 1 x --$kind no-such-word)" paravane attach-disk 1 x --json --$kind=
done
for command in attach-nic detach explain limit list resize watch; do
	offers "$(says paravane $command 1 2 --kind no-such-word)" paravane $command --kind ""
done
for command in top trace why upgrade; do
	offers "vbd vbd3 vif" paravane $command --kind ""
done
offers "vbd vbd3" paravane mirror --kind ""
offers "$(says paravane compare --on no-such-word)" paravane compare --on ""
offers "$(sed -n '/ columns\[\] = {/,/^}/s/^	{ "\([a-z0-9]*\)".*/\1/p' "$srcdir/tools/paravane-top-table.c")" paravane top --sort ""
events=$(sed -n '/ events\[\] = {/,/^}/s/[",	]/ /gp' "$srcdir/tools/paravane-watch.c" | grep -v '[{}]')
offers "$events" paravane watch --event ""
offers "$events" paravane watch --until ""
offers "closed,connected" paravane watch --until closed,con
offers "closed,connected" paravane watch --until=closed,con
offers "$(says paravane-blkfront copy --holes no-such-word)" paravane-blkfront copy --holes ""
offers "$(says paravane-blkfront bench --pattern no-such-word)" paravane-blkfront bench --depth 3 --pattern ""
offers "$(says localxen fail no-such-word)" localxen fail ""
offers "$(says localxen fail no-such-word)" localxen fail --call=
offers "$(grep -oE '\bE\([A-Z0-9]+\)' "$srcdir/tools/localxen/cli_fail.c" | tr -d '()' | cut -c 2-)" localxen fail map -e ""
offers "$(grep -oE '\bS\([a-z_]{2,}\)' "$srcdir/tools/localxen/cli_fail.c" | tr -d '()' | sed s/^S/GNTST_/)" localxen fail map --status=
offers "transfer no-transfer" localxen run --gnttab ""
offers "" localxen domain --name ""

# limits NAME: of disks or interfaces
limits() { sed -n "/ of_$1\[\]/,/^}/s/^	{ \"\([a-z-]*\)\".*/\1=/p" "$srcdir/xenstore-schema/limit.c"; }
offers "$(limits disk)" paravane attach-disk --limit ""
offers "$(limits nic)" paravane attach-nic --limit ""
offers "500,read-iops= 500,read-iops-burst=" paravane attach-disk 1 x --limit iops=500,read-i

for verb in $(offered paravane bridge ""); do
	paravane help bridge | grep -q "paravane bridge $verb" || problem "paravane bridge $verb is offered, and there is none"
done

# ---- what there is ----------------------------------------------------------------------

# A guest with a name and one without, both lists, a line below; a bridge.
paravane()
{
	case $1,${2-} in
	list,) cat "$listed/list" ;;
	list,*) grep -E "^(DOMAIN|([0-9]+ )?$2 )" "$listed/list" ;;
	bridge,list) printf 'BRIDGE PORTS\nlan 2\n' ;;
	*) command paravane "$@" ;;
	esac
}
xl() { return 1; }
cat >"$listed/list" <<'END'
DOMAIN         DEVICE KIND   BACK END      FRONT END     MODE       SIZE  IMAGE
1 sd-web       xvda   vbd    Connected     Connected     w      16.0 MiB  /srv/web.img
2              xvdb   vbd    InitWait      Initialising  w      16.0 MiB  /srv/more.img
    waits: the front end in domain 2 has not answered (state Initialising)

DOMAIN         DEVICE KIND   BACK END      FRONT END     ADDRESS            SWITCH
1 sd-web       vif0   vif    Connected     Connected     00:16:3e:00:00:01  lan
END
for command in attach-disk attach-nic detach explain limit list mirror resize trace watch why "bridge port"; do
	offers "sd-web 2" paravane $command ""
done
for command in doctor top compare metrics "upgrade blkback" "list sd-web" "detach sd-web xvda" \
	"bridge list" "bridge show lan" "attach-disk --sector" "top -n" "capture lan" "explain 2 xvdb"; do
	offers "" paravane $command ""
done
for command in detach explain limit trace watch why; do
	offers "xvda vif0" paravane $command sd-web ""
	offers "xvdb" paravane $command 2 ""
done
for command in mirror resize; do
	offers "xvda" paravane $command sd-web ""
done
# Options and their values are no operands.
offers "xvda vif0" paravane explain --json sd-web ""
offers "sd-web 2" paravane detach --kind vbd ""
offers "sd-web 2" paravane detach --kind=vbd ""
offers "xvda vif0" paravane detach --kind vbd --force sd-web --wait 3 ""
offers "sd-web 2" paravane explain --backend ""
offers "sd-web 2" paravane bridge show lan --backend ""
offers "sd-web" paravane trace -n 3 --output "$listed/x" s
offers "vbd vbd3 vif" paravane trace sd-web xvda --kind ""
offers "blkback netback" paravane upgrade ""
offers "lan sd-web/vif0" paravane capture ""
offers "lan" paravane capture -s 64 l

offers "$(limits disk) none" paravane limit sd-web xvda ""
offers "$(limits nic) none" paravane limit sd-web vif0 ""
offers "weight=" paravane limit --json sd-web vif0 bytes-per-second=10M we
offers "" paravane limit sd-web vif0 weight=

offers "list show set reset port uplink" paravane bridge ""
offers "list show set reset port uplink" paravane bridge --json ""
for verb in show set reset "uplink add" "uplink remove"; do
	offers "lan" paravane bridge $verb ""
done
offers "add remove" paravane bridge uplink ""
offers "" paravane bridge uplink add lan ""
offers "bridge= vlan= isolated= mtu=" paravane bridge uplink add lan up0 ""
offers "" paravane bridge uplink remove lan up0 ""
offers "ageing-ms= move-ms=" paravane bridge set lan ""
offers "vif0" paravane bridge port sd-web ""
offers "" paravane bridge port 2 ""
offers "vlan= isolated= any-source= rate= disconnect=" paravane bridge port sd-web vif0 ""
offers "vlan= isolated= any-source= rate= disconnect=" paravane bridge port sd-web vif0 mtu=1500 ""
offers "0 1" paravane bridge port sd-web vif0 vlan=10 isolated=
offers "none" paravane bridge port sd-web vif0 rate=
offers "any-source=" paravane attach-nic sd-web bridge=lan an
offers "lan" paravane attach-nic sd-web bridge=
offers "sd-web 2" paravane attach-nic sd-web backend=

offers "in out" paravane-blkfront copy ""
offers "in out" paravane-blkfront copy --device xvdb --json ""
offers "" paravane-blkfront bench ""
offers "" paravane-blkfront read --offset ""
offers "tx rx echo latency" paravane-netfront bench ""
offers "tx" paravane-netfront bench --mac 00:16:3e:00:00:01 t
offers "" paravane-netfront bench --mac ""
unset LOCALXEN_DIR
offers "" localxen exec ""
localxen()
{
	[ "$1" = status ] || { command localxen "$@"; return; }
	printf 'DOMAIN  NAME\n0 Domain-0\n1 web\nheap: 1\n\nDOMAIN  PROCESS\n1 22\n'
}
LOCALXEN_DIR=$listed
offers "web" localxen exec ""
offers "web" localxen destroy --keep-nodes ""
offers "web" localxen fail map --domain=
offers "paravane-blkback" localxen run paravane-blkb
offers "paravane-blkback" localxen exec web paravane-blkb
unset -f localxen

# ---- files --------------------------------------------------------------------------------

mkdir "$listed/my dir"
: >"$listed/my disk.img"
: >"$listed/my*"
files=$(printf "%s\n" "$listed/my disk.img" "$listed/my*" "$listed/my dir" | sort)
of_files() { same "${*@Q}" "$files" "$(offered "$@" "$listed/my")"; }
of_files paravane attach-disk sd-web
of_files paravane attach-disk --cache none sd-web
of_files paravane attach-disk sd-web x --script
of_files paravane mirror sd-web xvda
of_files paravane compare --from
of_files paravane capture lan -w
of_files paravane trace sd-web xvda --output
of_files paravane upgrade blkback --program
of_files paravane-blkfront copy in
of_files paravane-blkfront verify --json
of_files paravane-blkfront nbd --socket
of_files localxen run --xenstored
of_files localxen exec 1 -- cat
same "files behind qcow2:" "$files" "$(offered paravane attach-disk sd-web "qcow2:$listed/my")"
same "files behind unix:" "$files" "$(offered paravane metrics --listen "unix:$listed/my")"
same "files behind --from=" "$files" "$(offered paravane compare --from="$listed/my")"
files="$listed/my dir"
of_files paravane compare --report
of_files paravane doctor --root
of_files paravane-netback --rundir
offers "unix: 127.0.0.1:9758 [::1]:9758" paravane metrics --listen ""
offers "9758" paravane metrics --listen 127.0.0.1:

echo "$(wc -w <<<"$declared") commands of paravane, $checked options of all programs"
[ $failures = 0 ]
