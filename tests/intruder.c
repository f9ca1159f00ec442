/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The attempts (intruder.h), by number: no library stands between.
 *
 * Hides: how the end is held up. Must not know: what kind of worker it is in.
 */
#include "intruder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SUPERVISOR_SOCK 3

static sigjmp_buf refused;
static unsigned nr_refused_list, nr_refused_else, nr_succeeded;

void __real_sandbox_end(void) __attribute__((noreturn));
void __wrap_sandbox_end(void);

static const char *mode(void)
{
	const char *m = getenv("INTRUDE");

	return m ? m : "";
}

bool intruder_dies(void)
{
	return !strcmp(mode(), "die");
}

/* In the handler of the list's signal. */
void __wrap_sandbox_end(void)
{
	if (intruder_dies())
		__real_sandbox_end();
	siglongjmp(refused, 1);
}

void intruder_report(const char *what, long returned)
{
	if (returned < 0) {
		nr_refused_else++;
		fprintf(stderr, "intruder: %s: %s\n", what, strerror((int)-returned));
	} else {
		nr_succeeded++;
		fprintf(stderr, "intruder: %s: SUCCEEDED (%ld)\n", what, returned);
	}
}

enum { LIST_ONLY, PLACE_TOO };	/* which layers must refuse it; the list always */

struct attempt {
	const char *what;
	int place;
	long (*make)(void);
};

/* ---- what is worth an attempt -------------------------------------------------------- */

/*
 * Had before the sandbox was: what a call would do with them, it would do anywhere. What has
 * no such thing to work on fails anywhere, and shows nothing.
 */
static int namespace_fd = -1, program_fd = -1, root_fd = -1;
static struct {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
} handle = { .head.handle_bytes = MAX_HANDLE_SZ };

static void __attribute__((constructor)) take_along(void)
{
	int mount;

	namespace_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	program_fd = open("/bin/true", O_PATH | O_CLOEXEC);
	root_fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (name_to_handle_at(AT_FDCWD, "/etc/passwd", &handle.head, &mount, 0))
		handle.head.handle_bytes = 0;
}

/* What the test made for it, else a name that any host may have. */
static const char *given(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value ? value : otherwise;
}

/* ---- the attempts ------------------------------------------------------------------- */

#define CALL(...) (syscall(__VA_ARGS__) < 0 ? -errno : 0)

static long open_passwd(void) { return CALL(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }
static long open_up(void) { return CALL(SYS_openat, AT_FDCWD, "../../etc/passwd", O_RDONLY); }
static long open_privcmd(void) { return CALL(SYS_openat, AT_FDCWD, "/dev/xen/privcmd", O_RDWR); }
static long open_gntdev(void) { return CALL(SYS_openat, AT_FDCWD, "/dev/xen/gntdev", O_RDWR); }
static long open_mem(void) { return CALL(SYS_openat, AT_FDCWD, "/dev/mem", O_RDWR); }
static long open_maps(void) { return CALL(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY); }
static long open_old(void) { return CALL(SYS_open, "/etc/passwd", O_RDONLY); }
static long make_file(void)
{
	return CALL(SYS_openat, AT_FDCWD, "/intruder", O_CREAT | O_WRONLY, 0600);
}
static long make_node(void) { return CALL(SYS_mknodat, AT_FDCWD, "/mem", S_IFCHR | 0600, 0x101); }
static long remove_file(void)
{
	return CALL(SYS_unlinkat, AT_FDCWD, given("INTRUDE_FILE", "/run/paravane/blkback/lock"), 0);
}

static long store_socket(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = getenv("XENSTORED_PATH");
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path ? path : "/run/xenstored/socket");
	return fd < 0 ? -errno : CALL(SYS_connect, fd, &at, sizeof(at));
}

static long store_device(void)
{
	return CALL(SYS_openat, AT_FDCWD, "/dev/xen/xenbus", O_RDWR);
}

static long internet(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	at.sin_port = htons((uint16_t)atoi(given("INTRUDE_TCP", "22")));
	return fd < 0 ? -errno : CALL(SYS_connect, fd, &at, sizeof(at));
}

static long raw_frames(void) { return CALL(SYS_socket, AF_PACKET, SOCK_RAW, 0); }
static long netlink(void) { return CALL(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }
static long pair_of_sockets(void)
{
	int pair[2];

	return CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
}

static long send_to_address(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };

	return CALL(SYS_sendto, SUPERVISOR_SOCK, "", 1, 0, &at, sizeof(at));
}

static long trace(void) { return CALL(SYS_ptrace, PTRACE_SEIZE, getppid(), 0, 0); }
static long trace_me(void) { return CALL(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }

static long read_supervisor(void)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { &refused, 1 };

	return CALL(SYS_process_vm_readv, getppid(), &to, 1, &from, 1, 0);
}

static long write_supervisor(void)
{
	char byte = 0;
	struct iovec from = { &byte, 1 }, to = { &refused, 1 };

	return CALL(SYS_process_vm_writev, getppid(), &from, 1, &to, 1, 0);
}

static long signal_supervisor(void) { return CALL(SYS_kill, getppid(), SIGUSR1); }
static long signal_all(void) { return CALL(SYS_kill, -1, 0); }
static long signal_thread(void) { return CALL(SYS_tgkill, getppid(), getppid(), SIGUSR1); }
static long queue_signal(void)
{
	siginfo_t si = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };

	return CALL(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &si);
}
static long pidfd(void) { return CALL(SYS_pidfd_open, getppid(), 0); }

static long mount_something(void) { return CALL(SYS_mount, "x", "/", "tmpfs", 0, 0); }
static long remount(void) { return CALL(SYS_mount, 0, "/", 0, 0x1000 | 0x20, 0); }
static long unmount(void) { return CALL(SYS_umount2, "/", 2); }
static long unshare_files(void) { return CALL(SYS_unshare, CLONE_NEWNS); }
static long unshare_user(void) { return CALL(SYS_unshare, CLONE_NEWUSER); }
static long enter_namespace(void) { return CALL(SYS_setns, namespace_fd, CLONE_NEWNET); }
static long change_root(void) { return CALL(SYS_chroot, "."); }
static long be_root(void) { return CALL(SYS_setresuid, 0, 0, 0); }
static long be_root_group(void) { return CALL(SYS_setresgid, 0, 0, 0); }

static long take_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2] = {
		{ ~0u, ~0u, 0 }, { ~0u, ~0u, 0 },
	};

	return CALL(SYS_capset, &head, all);
}

static long execute(void)
{
	char *const argv[] = { (char *)"sh", NULL };

	return CALL(SYS_execve, "/bin/sh", argv, NULL);
}

static long execute_fd(void)
{
	char *const argv[] = { (char *)"true", NULL };

	return CALL(SYS_execveat, program_fd, "", argv, NULL, AT_EMPTY_PATH);
}

static long fork_plainly(void) { return CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static long fork_anew(void)
{
	uint64_t args[11] = { 0 };

	args[4] = SIGCHLD;
	return CALL(SYS_clone3, args, sizeof(args));
}
static long code_in_memory(void)
{
	return syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0) == -1 ? -errno : 0;
}
static long code_from_data(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return CALL(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
}
static long memory_file(void) { return CALL(SYS_memfd_create, "x", 0); }

static long raise_limit(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	return CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &all, 0);
}
static long limit_supervisor(void)
{
	struct rlimit none = { 0, 0 };

	return CALL(SYS_prlimit64, getppid(), RLIMIT_NOFILE, &none, 0);
}
static long be_urgent(void) { return CALL(SYS_setpriority, PRIO_PROCESS, 0, -20); }
static long be_dumpable(void) { return CALL(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }
static long handle_refusals(void)
{
	char none[64] = { 0 };

	return CALL(SYS_rt_sigaction, SIGSYS, none, 0, 8);
}
static long another_list(void) { return CALL(SYS_seccomp, 1, 0, 0); }

static long new_ring(void)
{
	struct io_uring_params p = { .flags = 0 };

	return CALL(SYS_io_uring_setup, 4, &p);
}
static long register_ring(void) { return CALL(SYS_io_uring_register, SUPERVISOR_SOCK, 0, 0, 0); }

static long other_request(void) { return CALL(SYS_ioctl, SUPERVISOR_SOCK, 0x5421, &refused); }
static long lease(void) { return CALL(SYS_fcntl, 0, F_SETLEASE, F_RDLCK); }
static long handle_of_file(void)
{
	return CALL(SYS_open_by_handle_at, root_fd, &handle, O_RDONLY);
}

/* One that returns 0, where a kernel's function is called. */
static long kernel_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_KPROBE, .insn_cnt = 2,
		.insns = (uintptr_t)code, .license = (uintptr_t)"GPL",
	};

	return CALL(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static long kernel_events(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
	};

	return CALL(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long kernel_module(void) { return CALL(SYS_init_module, 0, 0, ""); }
static long kernel_keys(void) { return CALL(SYS_add_key, "user", "x", "y", 1, -3); }
static long fault_handling(void) { return CALL(SYS_userfaultfd, 0); }
static long the_end(void) { return CALL(SYS_reboot, 0, 0, 0, 0); }

static const struct attempt attempts[] = {
	{ "open /etc/passwd", PLACE_TOO, open_passwd },
	{ "open ../../etc/passwd", PLACE_TOO, open_up },
	{ "open /etc/passwd by the old call", PLACE_TOO, open_old },
	{ "open /dev/xen/privcmd", PLACE_TOO, open_privcmd },
	{ "open /dev/xen/gntdev", PLACE_TOO, open_gntdev },
	{ "open /dev/mem", PLACE_TOO, open_mem },
	{ "open /proc/self/maps", PLACE_TOO, open_maps },
	{ "make a file", PLACE_TOO, make_file },
	{ "make a device node", PLACE_TOO, make_node },
	{ "remove a file", PLACE_TOO, remove_file },
	{ "connect to XenStore's socket", PLACE_TOO, store_socket },
	{ "open XenStore's device", PLACE_TOO, store_device },
	{ "connect to a server of the host", PLACE_TOO, internet },
	{ "a raw socket", PLACE_TOO, raw_frames },
	{ "a netlink socket", LIST_ONLY, netlink },
	{ "a pair of sockets", LIST_ONLY, pair_of_sockets },
	{ "send to an address", LIST_ONLY, send_to_address },
	{ "trace the supervisor", PLACE_TOO, trace },
	{ "be traced", LIST_ONLY, trace_me },
	{ "read the supervisor's memory", PLACE_TOO, read_supervisor },
	{ "write the supervisor's memory", PLACE_TOO, write_supervisor },
	{ "signal the supervisor", PLACE_TOO, signal_supervisor },
	{ "signal everybody", LIST_ONLY, signal_all },
	{ "signal a thread of the supervisor", PLACE_TOO, signal_thread },
	{ "queue a signal to the supervisor", PLACE_TOO, queue_signal },
	{ "a descriptor of the supervisor", LIST_ONLY, pidfd },
	{ "mount", PLACE_TOO, mount_something },
	{ "mount again, writable", PLACE_TOO, remount },
	{ "unmount", PLACE_TOO, unmount },
	{ "unshare the file system", PLACE_TOO, unshare_files },
	{ "unshare the user", LIST_ONLY, unshare_user },
	{ "enter a namespace", PLACE_TOO, enter_namespace },
	{ "change the root", PLACE_TOO, change_root },
	{ "become root", PLACE_TOO, be_root },
	{ "become root's group", PLACE_TOO, be_root_group },
	{ "take capabilities", PLACE_TOO, take_capabilities },
	{ "execute /bin/sh", PLACE_TOO, execute },
	{ "execute a descriptor", LIST_ONLY, execute_fd },
	{ "fork", LIST_ONLY, fork_plainly },
	{ "fork by the new call", LIST_ONLY, fork_anew },
	{ "map memory to execute", LIST_ONLY, code_in_memory },
	{ "make data executable", LIST_ONLY, code_from_data },
	{ "a file in memory", LIST_ONLY, memory_file },
	{ "raise a limit", PLACE_TOO, raise_limit },
	{ "limit the supervisor", PLACE_TOO, limit_supervisor },
	{ "a higher priority", PLACE_TOO, be_urgent },
	{ "allow core dumps", LIST_ONLY, be_dumpable },
	{ "another handler of refusals", LIST_ONLY, handle_refusals },
	{ "another list", LIST_ONLY, another_list },
	{ "a new io_uring", LIST_ONLY, new_ring },
	{ "register with an io_uring", LIST_ONLY, register_ring },
	{ "another request of a descriptor", LIST_ONLY, other_request },
	{ "a lease", LIST_ONLY, lease },
	{ "open a file by its handle", PLACE_TOO, handle_of_file },
	{ "load a program into the kernel", PLACE_TOO, kernel_program },
	{ "count the kernel's events", LIST_ONLY, kernel_events },
	{ "load a module", PLACE_TOO, kernel_module },
	{ "add a key", LIST_ONLY, kernel_keys },
	{ "handle page faults", LIST_ONLY, fault_handling },
	{ "reboot", PLACE_TOO, the_end },
};

/* ---- all of them ------------------------------------------------------------------------ */

void intruder_try(const char *what, bool place, long (*make)(void))
{
	if (!place && !strcmp(mode(), "place"))
		return;
	if (sigsetjmp(refused, 1)) {
		nr_refused_list++;
		fprintf(stderr, "intruder: %s: refused by the list\n", what);
		return;
	}
	intruder_report(what, make());
}

void intruder_run(void)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		intruder_try(attempts[i].what, attempts[i].place == PLACE_TOO, attempts[i].make);
	fprintf(stderr, "intruder: %u refused by the list, %u otherwise, %u succeeded\n",
		nr_refused_list, nr_refused_else, nr_succeeded);
}
