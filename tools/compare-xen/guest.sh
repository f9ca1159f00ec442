# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The guests that are measured: made by xl without disks or interfaces (what is measured
# is attached later, or belongs to the device model), told what to do through their Xen
# console, and removed. Hides xl's configuration and the console. Does not know what is
# measured. Sourced by compare-xen.
#
# One guest at a time: $guest_domid is its number.

guest_name=paravane-compare
guest_domid= guest_begun= guest_vcpus=1

# guest_create TYPE [LINE...]: TYPE is pv or hvm; more lines of xl.cfg. Fails when it does
# not boot.
guest_create()
{
	local type=$1
	shift

	say "starting a guest, type $type"
	{
		printf '%s\n' "name='$guest_name'" "memory=$memory_mib" "vcpus=$guest_vcpus" "tsc_mode='$tsc'" \
			"on_poweroff='destroy'" "on_crash='destroy'" "on_reboot='destroy'" \
			"ramdisk='$ramdisk'" "disk=[]" "vif=[]" "type='$type'"
		case $type in
		pv)	printf '%s\n' "kernel='$pv_kernel'" "extra='$(guest_command_line)'" ;;
		hvm)	printf '%s\n' "kernel='$kernel'" "vga='none'" "vnc=0" \
				"cmdline='$(guest_command_line) xen_emul_unplug=unnecessary'" ;;
		esac
		printf '%s\n' "$@"
	} >"$work/guest.cfg"
	ran "xl create, with $(paste -s -d ';' "$work/guest.cfg" | sed 's/;/; /g')"
	guest_begun=yes		# xl may be interrupted before it has said a number
	xl create -q "$work/guest.cfg" >"$work/xl.log" 2>&1 ||
		because "xl create failed: $(tail -n 3 "$work/xl.log")" || return
	guest_domid=$(xl domid "$guest_name") || because "the guest ended at once; see xl dmesg" || return
	console_open
}

# Is there one that does what it is told?
guest_answers() { [ -n "$guest_domid" ] && [ ! -e "$work/silent" ]; }

# Not "unplug": this one guest is to see emulated and paravirtual devices alike. No
# randomized addresses: two runs are to be the same.
guest_command_line()
{
	local modules=xen-blkfront,xen-netfront,ata_piix,ahci,nvme,sd_mod,e1000,8139cp

	echo "console=hvc0 quiet panic=1 mitigations=off nokaslr norandmaps guest_modules=$modules"
}

console_open()
{
	local tty try

	for try in $(seq 50); do
		tty=$(xenstore-read "/local/domain/$guest_domid/console/tty" 2>/dev/null) && break
		sleep 0.2
	done
	[ -n "$tty" ] || because "the guest has no console: does xenconsoled run?" || return
	exec {console}<>"$tty"
	stty raw -echo <&"$console"
	guest_number=0
	console_await 0 >/dev/null && return 0
	rm -f "$work/silent"
	because "the guest did not boot within $patience_s s: xl dmesg may say why"
}

# console_await NUMBER: prints the output of that command, returns its status. Sleeps in
# the kernel between lines: what dom0 executes is measured with the rest.
console_await()
{
	local line

	while IFS= read -r -t "$patience_s" line <&"$console"; do
		line=${line%$'\r'}
		case $line in
		"@$1| "*) echo "${line#*| }" ;;
		"@$1= "*) return "${line#*= }" ;;
		esac
	done
	: >"$work/silent"	# often a process of its own: this is known to all
	return 124
}

# guest_send CMD; guest_answer: its output and status.
guest_send()
{
	guest_number=$((guest_number + 1))
	printf '@%d %s\n' "$guest_number" "$(base64 -w 0 <<<"$1")" >&"$console"
}

guest_answer() { console_await "$guest_number"; }

# guest_run CMD
guest_run()
{
	guest_send "$1"
	guest_answer
}

# guest_driver MODULE [PARAMETER=VALUE...]: loads it anew; no device of its is there. Until
# guest_driver_restore.
guest_driver_is=
guest_driver()
{
	guest_driver_is=$1
	[ $# -eq 1 ] || ran "in the guest: modprobe $*"
	guest_run "rmmod ${1//-/_}; modprobe $*" >"$work/failed" ||
		because "the guest does not load $*: $(tail -n 1 "$work/failed")"
}

guest_driver_restore()
{
	[ -n "$guest_driver_is" ] || return 0
	! guest_answers || guest_driver "$guest_driver_is" || warn "$reason"
	guest_driver_is=
}

# queues_are FRONTEND NUMBER: so many were agreed.
queues_are()
{
	local nr

	nr=$(xenstore-read "$1/multi-queue-num-queues" 2>/dev/null || echo 1)
	[ "$nr" = "$2" ] || absent "back end $back_end and the guest have agreed on $nr of $2 queues"
}

guest_destroy()
{
	[ -n "$guest_begun" ] || return 0
	[ -n "$guest_domid" ] || guest_domid=$(xl domid "$guest_name" 2>/dev/null)
	[ -z "${console:-}" ] || { exec {console}>&-; console=; }
	if [ -n "$guest_domid" ]; then
		xl destroy "$guest_domid" >/dev/null 2>&1
		xenstore-rm "/local/domain/$guest_domid" 2>/dev/null
	fi
	guest_domid= guest_begun=
}

# cores_bind DOM0_CPU GUEST_CPU: all virtual CPUs of each to one, until cores_restore.
affinity=()
cores_bind()
{
	[ ${#affinity[@]} -gt 0 ] ||
		mapfile -t affinity < <(xl vcpu-list 0 | awk 'NR > 1 { print $3, $(NF - 2), $NF }')
	ran "xl vcpu-pin 0 all $1; xl vcpu-pin $guest_name all $2"
	xl vcpu-pin 0 all "$1" && xl vcpu-pin "$guest_domid" all "$2" ||
		because "virtual CPUs cannot be bound to CPUs $1 and $2"
}

cores_restore()
{
	local vcpu

	for vcpu in "${affinity[@]}"; do xl vcpu-pin 0 $vcpu; done
	affinity=()
}

# The device model of an HVM guest, which is its qdisk back end as well.
device_model_pid() { pgrep -f "[x]en-domid $guest_domid " | head -n 1; }

# device_attach BACKEND FRONTEND [KEY=VALUE...]: both directories of a device, as a
# tool stack writes them; front:KEY=VALUE goes to the front end's.
device_attach()
{
	local be=$1 fe=$2 word
	shift 2

	for word in frontend="$fe" frontend-id="$guest_domid" online=1 "$@" \
		front:backend="$be" front:backend-id=0; do
		case $word in
		front:*) word=${word#front:}; xenstore-write "$fe/${word%%=*}" "${word#*=}" ;;
		*) xenstore-write "$be/${word%%=*}" "${word#*=}" ;;
		esac
	done
	attached+=("$be" "$fe")
	xenstore-chmod -r "$be" n0 "r$guest_domid"
	xenstore-chmod -r "$fe" "n$guest_domid" r0
	xenstore-write "$be/state" 1 "$fe/state" 1
	xenstore-chmod "$be/state" n0 "r$guest_domid"
	xenstore-chmod "$fe/state" "n$guest_domid" r0
}

# device_await BACKEND FRONTEND STATE: until both ends are there.
device_await()
{
	local deadline=$((SECONDS + patience_s))

	until [ "$(state_of "$1")" = "$3" ] && [ "$(state_of "$2")" = "$3" ]; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# QEMU removes its node, which is as good as Closed.
state_of() { xenstore-read "$1/state" 2>/dev/null || echo 6; }

device_detach()
{
	xenstore-write "$1/online" 0 "$1/state" 5 2>/dev/null
	device_await "$1" "$2" 6 || warn "a device did not close: $1"
	devices_forget
}

# A guest that is silent does not close anything: it goes.
device_give_back()
{
	[ ${#attached[@]} -gt 0 ] || return 0
	if guest_answers; then
		device_detach "${attached[0]}" "${attached[1]}"
	else
		guest_destroy
		devices_forget
	fi
}

# nobody_elses KIND: whoever begins to serve devices of that kind takes all there are, those
# of other guests too. Two back ends of one disk damage it.
nobody_elses()
{
	local domain others=

	for domain in $(xenstore-list "/local/domain/0/backend/$1" 2>/dev/null); do
		[ "$domain" = "$guest_domid" ] ||
			[ -z "$(xenstore-list "/local/domain/0/backend/$1/$domain" 2>/dev/null)" ] ||
			others="$others${others:+, }$domain"
	done
	[ -z "$others" ] || absent "it would take devices of other guests (backend/$1 of domain $others)"
}

# The kernel's back end of a kind, until modules_give_back. One that was there has what it can
# get; ours is to take nothing away.
kernel_serves()
{
	[ ! -d "/sys/bus/xen-backend/drivers/$2" ] || return 0
	nobody_elses "$2" || return
	module_load "$1" || return
	[ -d "/sys/bus/xen-backend/drivers/$2" ] ||
		absent "the kernel's module $1 does not come, though modprobe says so"
}

# What has been attached leaves no nodes, nor the back end's directory for the guest. The
# directory above is everybody's.
devices_forget()
{
	local node

	for node in "${attached[@]}"; do
		xenstore-rm "$node" 2>/dev/null
		case $node in
		*/backend/*)
			[ -n "$(xenstore-list "${node%/*}" 2>/dev/null)" ] || xenstore-rm "${node%/*}" 2>/dev/null ;;
		esac
	done
	attached=()
}
