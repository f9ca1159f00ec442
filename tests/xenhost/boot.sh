# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One boot of the machine under QEMU's software emulation: Xen, dom0 on the build
# machine's own root, and one writable directory for results. Knows QEMU's and
# Xen's options; does not know what a job is. Sourced by run.

# The flags taken away are those whose emulation fails under Xen (rdtscp, la57,
# pku), costs time (smap, smep), or counts a string copy as one instruction per
# byte (erms, fsrm), which would make every copy look eight times its worth.
cpu_model=max,la57=off,pku=off,smap=off,smep=off,rdtscp=off,erms=off,fsrm=off

# boot_arguments DIR: fills the array qemu_args; DIR is shared with dom0.
boot_arguments()
{
	local xen_args accel kernel_args=

	xen_args="dom0_mem=${dom0_mib}M,max:${dom0_max_mib}M dom0_max_vcpus=$vcpus dom0=pv"
	# Without eager-fpu Xen trusts a trap that QEMU 7.2 does not raise for SSE and AVX,
	# and domains see each other's vector registers: programs crash, copies are wrong.
	xen_args="$xen_args console=com1 com1=115200,8n1 xpti=0 spec-ctrl=no,eager-fpu=yes bootscrub=0 conring_size=1m $extra_xen_args"
	# One virtual nanosecond an instruction, on one CPU: a clock that repeats.
	if [ "$clock" = count ]; then
		accel=(-accel "tcg,thread=single,tb-size=1024" -icount "shift=0,sleep=off")
		# Nor may chance or the date differ: hashes, and places in memory.
		accel+=(-seed 1 -rtc "base=2024-01-01,clock=vm")
		kernel_args="norandmaps random.trust_cpu=on"
	else
		accel=(-accel "tcg,thread=single,tb-size=1024")
	fi
	qemu_args=(-nodefaults -no-user-config -no-reboot -display none -net none
		-machine q35 -smp "$vcpus" -m "$memory_mib" -cpu "$cpu_model" "${accel[@]}"
		-kernel "$packages/xen" -append "$xen_args"
		-initrd "$packages/vmlinux console=hvc0 quiet mitigations=off panic=1 $kernel_args,$images/dom0.cpio.gz"
		-virtfs "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=$1,mount_tag=results,security_model=none")
}

# boot_host DIR TIMEOUT [SILENCE]: boots and waits until the host has powered itself off.
# The serial console goes to DIR/console.log. Returns 124 when time ran out, 125 when no job
# has said anything for SILENCE seconds (0: never).
boot_host()
{
	local deadline=$((SECONDS + $2)) silence=${3:-0} followers= seen= log said= was= since=$SECONDS

	boot_arguments "$1"
	"$qemu" "${qemu_args[@]}" -monitor none -serial "file:$1/console.log" \
		>"$1/qemu.log" 2>&1 </dev/null &
	qemu_pid=$!
	while kill -0 "$qemu_pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			stop_host
			return 124
		fi
		if [ "$silence" -gt 0 ] && [ $((SECONDS % 5)) -eq 0 ]; then
			said=$(stat -c %s "$1"/*/log 2>/dev/null)
			[ "$said" = "$was" ] || was=$said since=$SECONDS
			if [ $((SECONDS - since)) -ge "$silence" ]; then
				stop_host
				return 125
			fi
		fi
		if [ -n "$verbose" ]; then
			for log in "$1"/*/log; do
				case " $seen " in *" $log "*) continue ;; esac
				[ -e "$log" ] || continue
				seen="$seen $log"
				tail -n +1 -s 0.2 --pid="$qemu_pid" -f "$log" &
				followers="$followers $!"
			done
		fi
		sleep 0.3
	done
	wait "$qemu_pid" 2>/dev/null
	qemu_pid=
	[ -z "$followers" ] || wait $followers
	return 0
}

# boot_shell DIR: the serial console is this terminal.
boot_shell()
{
	boot_arguments "$1"
	"$qemu" "${qemu_args[@]}" -chardev stdio,id=tty,mux=on,signal=off \
		-serial chardev:tty -mon chardev=tty
}

stop_host()
{
	[ -n "$qemu_pid" ] || return 0
	kill "$qemu_pid" 2>/dev/null
	sleep 1
	kill -9 "$qemu_pid" 2>/dev/null
	wait "$qemu_pid" 2>/dev/null
	qemu_pid=
}
