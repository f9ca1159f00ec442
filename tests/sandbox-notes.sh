#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every system call that a worker's source asks the C library or Xen's libraries for is
# noted in that source, and no note is left over (common/sandbox.h). Looks at what each
# object leaves undefined, so it sees names and not which list a call belongs in: that
# shows in the tests that run workers, where a call that is missing ends them.
. "$(dirname "$0")/lib.sh"
! sanitized || skip "a build with sanitizers leaves out what its reports need"
srcdir=$(cd "$srcdir" && pwd)

# NAME: the system calls that may stand for it; all of them where "|" is between.
calls_of()
{
	case $1 in
	write|close|read|munmap|ioctl|preadv2|pwritev2|fcntl|fallocate|fdatasync|lseek) echo "$1" ;;
	ftruncate|statx|getrandom|readv|writev|socket|connect|setsockopt|madvise|getpid) echo "$1" ;;
	epoll_ctl|epoll_create1|timerfd_create|timerfd_settime|membarrier|sendmsg|recvmsg) echo "$1" ;;
	prctl|unshare|mount|umount2|chdir|chroot|setgroups|setresgid|setresuid|geteuid|getuid) echo "$1" ;;
	getsockopt|dup2|getppid) echo "$1" ;;
	mmap|clock_gettime|fstatfs) echo "$1" ;;
	poll) echo poll ppoll ;;
	pread) echo pread64 ;;
	posix_fadvise) echo fadvise64 ;;
	pwrite) echo pwrite64 ;;
	posix_fallocate) echo fallocate ;;
	eventfd) echo eventfd2 ;;
	usleep|nanosleep) echo clock_nanosleep ;;
	epoll_wait) echo epoll_wait epoll_pwait ;;
	open|openat|opendir|dlopen) echo openat ;;
	fstat|stat) echo newfstatat fstat ;;
	send) echo sendto ;;
	recv) echo recvfrom ;;
	signal|sigaction) echo rt_sigaction ;;
	sigprocmask|pthread_sigmask) echo rt_sigprocmask ;;
	signalfd) echo signalfd4 ;;
	getrlimit|setrlimit) echo prlimit64 ;;
	sysconf) echo sched_getaffinity openat ;;
	memfd_create) echo memfd_create ;;
	readdir) echo getdents64 ;;
	execvp) echo execve ;;
	_exit) echo exit_group ;;
	nbd_aio_connect_socket) echo "fcntl|recvfrom" ;;
	nbd_aio_notify_read) echo "recvfrom|shutdown" ;;
	nbd_aio_notify_write|nbd_aio_pread|nbd_aio_pwrite|nbd_aio_trim) echo sendto ;;
	nbd_aio_zero|nbd_aio_flush|nbd_aio_disconnect) echo sendto ;;
	nbd_close) echo close ;;
	nbd_poll) echo poll ppoll ;;
	pthread_create) echo clone ;;
	seccomp_load) echo seccomp ;;
	io_uring_queue_init) echo io_uring_setup ;;
	io_uring_submit|io_uring_peek_batch_cqe) echo io_uring_enter ;;
	io_uring_queue_exit) echo munmap close ;;
	xengnttab_open|xengntshr_open|xenevtchn_open|xencall_open) echo openat ;;
	xengnttab_close|xengntshr_close|xenevtchn_close|xencall_close) echo close ;;
	xengnttab_map_domain_grant_refs) echo "ioctl|mmap" ;;
	xengnttab_unmap|xencall_free_buffer_pages) echo munmap madvise ioctl ;;
	xengntshr_share_pages) echo "ioctl|mmap" ;;
	xengntshr_unshare) echo munmap ;;
	xengnttab_grant_copy|xenevtchn_notify|xenevtchn_unbind|xenevtchn_restrict) echo ioctl ;;
	xenevtchn_bind_interdomain|xencall1|xencall2|xencall3) echo ioctl ;;
	xenevtchn_pending) echo read ;;
	xenevtchn_unmask) echo write ;;
	esac
}

# Not a worker's, though in its libraries: the supervisor's and tools'; and where the C
# library's own calls are noted.
is_free()
{
	case $1 in
	image|uplink|control-message|sandbox-filter|figures-read) return 0 ;;
	*) return 1 ;;
	esac
}

failures=0
bad() { printf '%s\n' "$*"; failures=$((failures + 1)); }

# check OBJECT SOURCE
check()
{
	local base noted wanted="" name call any alternative one
	base=$(basename "$2" .c)
	is_free "$base" && return
	noted=" $(sh "$srcdir/common/sandbox-lists" --plain "$srcdir/$2" | awk '{ print $3 }' |
		sort -u | tr '\n' ' ')"
	# syscall(2) by number is seen in the source alone.
	# So are libnbd's functions (nbd-library.h).
	for name in $(nm -u "$1" | awk '{ print $NF }') \
		$(sed -n 's/.*\<libnbd\.\([a-z_]*\)(.*/nbd_\1/p' "$srcdir/$2") \
		$(sed -n 's/.*syscall(SYS_\([a-z0-9_]*\).*/=\1/p' "$srcdir/$2"); do
		case $name in
		=*) call=${name#=} ;;
		*) call=$(calls_of "$name") ;;
		esac
		[ -n "$call" ] || continue
		nr=$((nr + 1))
		for one in ${call//|/ }; do wanted="$wanted $one"; done
		case $call in
		*'|'*) for one in ${call//|/ }; do
			[[ $noted == *" $one "* ]] || bad "$2: calls $name without a note of $one"
		done ;;
		*)
			any=0
			for alternative in $call; do
				[[ $noted == *" $alternative "* ]] && any=1
			done
			[ $any = 1 ] || bad "$2: calls $name without a note of ${call// / or }" ;;
		esac
	done
	for one in $noted; do
		[[ " $wanted " == *" $one "* ]] || bad "$2: a note of $one, which nothing here calls"
	done
}

nr=0 files=0
# Those of the archives: a build tree may hold others, of former versions.
for object in $(for lib in common sandbox backend net; do ar t .libs/libpv-$lib.a; done | sort -u) \
	paravane_flip-flip-main.o paravane_flip-flip-pages.o paravane_flip-flip-message.o; do
	base=${object##*/}
	object=$(find common backend -name "$base" | head -n 1)
	[ -n "$object" ] || { bad "no object $base"; continue; }
	base=${base#*-}
	source=${object%%/*}/${base%.o}.c
	[ -f "$srcdir/$source" ] || continue	# made, not written
	files=$((files + 1))
	check "$object" "$source"
done
[ $files -gt 50 ] && [ $nr -gt 120 ] || bad "only $files objects with $nr calls found"
[ $failures = 0 ] || exit 1
echo "$nr calls of $files objects are noted"
