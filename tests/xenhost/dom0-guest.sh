# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Guests for jobs: start one, run commands in it, stop it. Hides xl's configuration
# and how commands reach a guest (guest-init has the other end). Sourced by dom0-lib.sh.

# guest_start NAME TYPE [KEY=VALUE...]: TYPE is pv, pvh or hvm. Keys: memory (MiB),
# vcpus, cmdline (added), kernel, ramdisk, files (programs and files of dom0 that the
# guest gets at the same place, with their libraries), disk and vif (as in xl.cfg,
# may be repeated), extra (a line of xl.cfg, may be repeated), paused=1 (the caller
# unpauses and calls guest_ready).
guest_start()
{
	guest_create "$@" || die "xl create of $1 failed"
	case " $* " in
	*" paused=1 "*) ;;
	*) guest_ready "$1" $([ "$2" != hvm ] || echo 300) ;;	# firmware and QEMU, all emulated
	esac
}

# The clock that counts runs away while nothing is executed, and xl gives a script ten of
# its seconds, whose programs come from the machine's disk: something is executed then.
xl_create()
{
	local busy= status

	if [ "$XH_CLOCK" = count ]; then
		nice -n 19 sh -c 'while :; do :; done' &
		busy=$!
	fi
	xl create "$@"
	status=$?
	[ -z "$busy" ] || { kill "$busy"; wait "$busy" 2>/dev/null; }
	return $status
}

# guest_create: as guest_start, but returns xl's status and waits for nothing.
guest_create()
{
	local name=$1 type=$2 word memory=320 vcpus=1 cmdline= kernel= ramdisk= files= disks= vifs= lines= paused=
	shift 2

	for word in "$@"; do
		case $word in
		disk=*) disks="$disks '${word#*=}'," ;;
		vif=*) vifs="$vifs '${word#*=}'," ;;
		extra=*) lines="$lines${word#*=}"$'\n' ;;
		memory=*|vcpus=*|cmdline=*|kernel=*|ramdisk=*|files=*|paused=*)
			printf -v "${word%%=*}" %s "${word#*=}" ;;
		*) die "guest_start: unknown key: $word" ;;
		esac
	done
	[ -n "$ramdisk" ] || ramdisk=$(guest_ramdisk "$name" "$files")
	{
		echo "name='$name'"
		echo "memory=$memory"
		echo "vcpus=$vcpus"
		guest_type_lines "$type"
		[ "$ramdisk" = none ] || echo "ramdisk='$ramdisk'"
		echo "disk=[$disks]"
		echo "vif=[$vifs]"
		printf %s "$lines"
	} >$xh_run/$name.cfg
	rm -f "$xh_run/guest-$name.number"
	say "creating guest $name ($type)"
	guest_forget_log "$name"
	xl_create ${paused:+-p} -q $xh_run/"$name".cfg || return
	xl domid "$name" >$xh_run/guest-"$name".domid
}

# The lines of xl.cfg that differ between the three types.
guest_type_lines()
{
	local arguments="mitigations=off quiet panic=1 $cmdline"

	case $1 in
	pv)
		echo "type='pv'"
		echo "kernel='${kernel:-$xh_boot/vmlinux}'"
		echo "extra='console=hvc0 $arguments'" ;;
	pvh)	# without tsc_mode the guest triple-faults under emulation
		echo "type='pvh'"
		echo "kernel='${kernel:-$xh_boot/vmlinux}'"
		echo "tsc_mode='native'"
		echo "extra='console=hvc0 $arguments'" ;;
	hvm)
		echo "type='hvm'"
		echo "tsc_mode='native'"
		echo "vga='none'"
		echo "vnc=0"
		echo "serial='file:$XH_RESULTS/serial-$name.log'"
		# kernel=none: firmware boots from the first disk
		if [ "$kernel" != none ]; then
			echo "kernel='${kernel:-$xh_boot/vmlinuz}'"
			echo "cmdline='console=ttyS0 console=hvc0 $arguments'"
		fi ;;
	*)	die "guest_start: type $1? (pv, pvh, hvm)" ;;
	esac
}

# guest_ramdisk NAME FILES: the common RAM disk, with FILES and what they need added.
guest_ramdisk()
{
	local file need dir

	if [ -z "$2" ]; then
		echo $xh_boot/guest.cpio
		return
	fi
	dir=$(mktemp -d $xh_run/files.XXXXXX)
	# libgcc_s is loaded when a thread is cancelled, which ldd does not know.
	for file in $2 $(ldconfig -p | awk '/libgcc_s.so.1 .*x86-64/ { print $NF; exit }'); do
		need=$(ldd "$file" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }') || true
		for file in $file $need; do
			[ -e "$dir$file" ] || { mkdir -p "$dir${file%/*}" && cp -L "$file" "$dir$file"; }
		done
	done
	{
		cat $xh_boot/guest.cpio
		(cd "$dir" && find . -mindepth 1 | cpio --quiet -o -H newc)
	} >$xh_boot/guest-$1.cpio
	rm -rf "$dir"
	echo $xh_boot/guest-$1.cpio
}

# guest_ready NAME [SECONDS]: waits for the guest's command loop.
guest_ready()
{
	wait_for "${2:-120}" guest_answered "$1" 0 || die "guest $1 did not boot: $(guest_log "$1" | tail -n 5)"
	say "guest $1 is up (domain $(guest_domid "$1"))"
}

# The number that guest_create, or the last restore, gave the guest.
guest_domid()
{
	cat $xh_run/guest-"$1".domid
}

guest_log()
{
	cat $xh_run/consoles/guest-"$1".log 2>/dev/null
}

# A guest of the same name may have run before, in this job or an earlier one.
guest_forget_log()
{
	[ ! -e $xh_run/consoles/guest-"$1".log ] || mv $xh_run/consoles/guest-"$1".log "$XH_RESULTS/guest-$1-$SECONDS.log"
}

guest_answered()
{
	grep -aq "^@$2= " $xh_run/consoles/guest-"$1".log 2>/dev/null
}

# guest_tty NAME: asked of the store once, which some jobs stop.
guest_tty()
{
	local domid file
	domid=$(guest_domid "$1")
	file=$xh_run/tty-of-$domid

	[ -s "$file" ] || xenstore-read "/local/domain/$domid/console/tty" >"$file"
	cat "$file"
}

# guest_send NAME CMD: sends a command; sets guest_number.
guest_send()
{
	local tty

	tty=$(guest_tty "$1")
	guest_number=$(($(cat "$xh_run/guest-$1.number" 2>/dev/null || echo 0) + 1))
	echo "$guest_number" >"$xh_run/guest-$1.number"
	printf '@%d %s\n' "$guest_number" "$(echo "$2" | base64 -w 0)" >"$tty"
}

# guest_run NAME CMD [SECONDS]: runs a shell command in the guest; prints its output
# and returns its status. 124: no answer within SECONDS (60).
guest_run()
{
	local log=$xh_run/consoles/guest-$1.log

	guest_send "$1" "$2"
	if ! wait_for "${3:-60}" guest_answered "$1" "$guest_number"; then
		echo "guest $1 did not answer within ${3:-60} s: $2" >&2
		return 124
	fi
	sed -n "s/^@$guest_number| //p" "$log"
	return "$(sed -n "s/^@$guest_number= \([0-9]*\).*/\1/p" "$log" | tail -n 1)"
}

# guest_background NAME TAG CMD: starts it in the guest; guest_wait fetches the end.
guest_background()
{
	guest_run "$1" "rm -f /tmp/$2.status; { ( $3 ) >/tmp/$2.log 2>&1; echo \$? >/tmp/$2.status; } &"
}

# guest_wait NAME TAG [SECONDS]: prints the output and returns the status.
guest_wait()
{
	wait_for "${3:-120}" guest_run "$1" "[ -e /tmp/$2.status ]" ||
		{ echo "guest $1: $2 did not end within ${3:-120} s" >&2; return 124; }
	guest_run "$1" "cat /tmp/$2.log; exit \$(cat /tmp/$2.status)"
}

# guest_stop NAME: powers off from inside, destroys when that takes too long.
guest_stop()
{
	guest_send "$1" "sync; poweroff -f" || true
	wait_for 40 guest_gone "$1" || { say "guest $1 had to be destroyed"; xl destroy "$1"; }
}

# By XenStore: xl costs a second and does not like being polled.
guest_gone()
{
	! xenstore-exists "/local/domain/$(guest_domid "$1")/domid"
}
