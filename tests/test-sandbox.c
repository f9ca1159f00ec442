/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.c: what each stage takes away, seen from a child that went through
 * it, and what must still work after it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "unit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* 0: fine; otherwise the line of the check that failed. */
typedef int child_fn(void);

#define CHECK(cond) \
	do { \
		if (!(cond)) \
			return __LINE__; \
	} while (0)

/* Opened before: there is no /proc any more afterwards, and nothing else. */
static int status_fd;

static void open_status(void)
{
	status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

/* The stages cannot be undone: each test is a process. */
static void in_child(child_fn *fn)
{
	int status, line = 0, fd[2];
	pid_t pid;

	UNIT_NEED(!pipe(fd));
	pid = fork();
	if (!pid) {
		open_status();
		line = fn();
		if (write(fd[1], &line, sizeof(line)) != sizeof(line))
			_exit(2);
		_exit(0);
	}
	close(fd[1]);
	UNIT_EQ(read(fd[0], &line, sizeof(line)), sizeof(line));
	close(fd[0]);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_OK(WIFEXITED(status) && !WEXITSTATUS(status));
	if (line)
		fprintf(stderr, "\n%s:%d: failed in the child", __FILE__, line);
	UNIT_EQ(line, 0);
}

static unsigned long long status_field(const char *name)
{
	char text[4096], *at;
	ssize_t got = pread(status_fd, text, sizeof(text) - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	at = strstr(text, name);
	return at ? strtoull(at + strlen(name) + 1, NULL, 16) : ~0ull;
}

/* As a supervisor asks for it that gives no option. */
static const struct sandbox plain = { .user.own = true };

static int early(void)
{
	struct rlimit core;
	int fd;

	CHECK(!sandbox_early());
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
#ifndef __SANITIZE_ADDRESS__
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
	CHECK(!getrlimit(RLIMIT_CORE, &core) && !core.rlim_cur && !core.rlim_max);
	/* Files and devices open as before. */
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(!sandbox_early());
	return 0;
}

/* Raised, never lowered: what the service manager spares is the supervisor. */
static int expendable(int fd)
{
	static const char *const before[] = { "300\n", "-500\n" };
	static const char first[] = { '3', '0' };
	char score[8];

	for (int i = 0; i < 2; i++) {
		CHECK(pwrite(fd, before[i], strlen(before[i]), 0) > 0);
		CHECK(!sandbox_early());
		CHECK(pread(fd, score, sizeof(score), 0) > 0 && score[0] == first[i]);
	}
	return 0;
}

/* The kernel's word, or for who may not make that less than 0 a file in its place. */
static int expendable_anywhere(void)
{
	static const char name[] = "/proc/self/oom_score_adj";
	char path[] = "/tmp/test-sandbox-XXXXXX";
	int line, fd = open(name, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && pwrite(fd, "-500", 4, 0) == 4)
		return expendable(fd);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 0;	/* not root: it has been given nothing to give up */
	fd = mkostemp(path, O_CLOEXEC);
	CHECK(fd >= 0 && !mount(path, name, NULL, MS_BIND, NULL));
	line = expendable(fd);
	unlink(path);
	return line;
}

static void test_early(void)
{
	in_child(expendable_anywhere);
	in_child(early);
}

static void *thread(void *arg)
{
	return arg;
}

/* Root that stays root: another user would have no capabilities anyway. */
static int before_loop(void)
{
	static const struct sandbox same = { .user.own = false };
	struct rlimit fds;
	pthread_t t;
	int fd;

	CHECK(!sandbox_early() && !sandbox_before_loop(&same, 64));
	CHECK(status_field("CapEff:") == 0);
	CHECK(status_field("CapPrm:") == 0);
	CHECK(status_field("CapInh:") == 0);
	CHECK(!getrlimit(RLIMIT_NOFILE, &fds) && fds.rlim_max == 64);
	while ((fd = dup(STDERR_FILENO)) >= 0)
		CHECK(fd < 64);
	CHECK(errno == EMFILE);
	CHECK(!pthread_create(&t, NULL, thread, NULL) && !pthread_join(t, NULL));
	/* What only root may do is over, for good. */
	CHECK(setpriority(PRIO_PROCESS, 0, -20) && (errno == EACCES || errno == EPERM));
	return 0;
}

/* What root's worker leaves behind; others cannot. */
static int leaves_host(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct ifreq ifr = { .ifr_name = "lo" };
	struct rlimit threads;
	int fd, sock;

	if (geteuid())
		return 0;
	CHECK(!sandbox_early() && !sandbox_before_loop(&plain, 64));
	CHECK(getuid() == SANDBOX_UID_BASE + (uid_t)getpid() && getgid() == getuid());
	CHECK(setuid(0) && !getgroups(0, NULL));
	CHECK(!getrlimit(RLIMIT_NPROC, &threads) && threads.rlim_max == SANDBOX_THREADS_MAX);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(openat(fd, "file", O_CREAT | O_WRONLY, 0600) < 0);
	CHECK(access("/proc", F_OK) && access("/dev", F_OK) && access("/etc", F_OK));
	CHECK(access("..", F_OK) == 0 && access("../proc", F_OK));
	/* A network of nothing but a loop that is down. */
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(sock >= 0 && !ioctl(sock, SIOCGIFFLAGS, &ifr) && !(ifr.ifr_flags & IFF_UP));
	CHECK(unshare(CLONE_NEWNS) && mount("none", "/", "tmpfs", 0, NULL));
#endif
	return 0;
}

static void test_leaves_host(void)
{
	in_child(leaves_host);
}

/* A user by its number, for those who have one. */
static int named_user(void)
{
	struct sandbox s;

	CHECK(sandbox_parse(&s, "somebody", NULL) == -EINVAL);
	CHECK(sandbox_parse(&s, "1:2:3", NULL) == -EINVAL);
	CHECK(sandbox_parse(&s, "own", "ignore") == -EINVAL);
	CHECK(!sandbox_parse(&s, "own", "log") && s.user.own && s.filter == SANDBOX_LOG);
	CHECK(!sandbox_parse(&s, "60001:60002", "off") && s.filter == SANDBOX_OFF);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (geteuid())
		return 0;
	CHECK(!sandbox_early() && !sandbox_before_loop(&s, 64));
	CHECK(getuid() == 60001 && getegid() == 60002);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
	return 0;
}

static void test_named_user(void)
{
	in_child(named_user);
}

static void test_before_loop(void)
{
	in_child(before_loop);
}

/* A lower limit of the environment's stays. */
static int keeps_lower_limit(void)
{
	struct rlimit fds = { .rlim_cur = 20, .rlim_max = 20 };

	CHECK(!setrlimit(RLIMIT_NOFILE, &fds));
	CHECK(!sandbox_early() && !sandbox_before_loop(&plain, 64));
	CHECK(!getrlimit(RLIMIT_NOFILE, &fds) && fds.rlim_max == 20);
	return 0;
}

/* Who writes no files makes none longer, and hears an error of it rather than a signal. */
static int no_files(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct rlimit file;
	int pair[2];

	CHECK(fd >= 0 && null >= 0 && !pipe(pair) && !ftruncate(fd, 4096));
	CHECK(!sandbox_early());
	/* Its log is a file: that goes on. */
	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO && !sandbox_write_no_files());
	CHECK(pwrite(fd, "x", 1, 4096) == 1);
	CHECK(dup2(null, STDERR_FILENO) == STDERR_FILENO && !sandbox_write_no_files());
	CHECK(!getrlimit(RLIMIT_FSIZE, &file) && !file.rlim_max);
	CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EFBIG);
	CHECK(ftruncate(fd, 1 << 20) && errno == EFBIG);
	CHECK(fallocate(fd, 0, 0, 1 << 20) && errno == EFBIG);
	CHECK(write(null, "x", 1) == 1 && write(pair[1], "x", 1) == 1);
	return 0;
}

static void test_no_files(void)
{
	in_child(no_files);
}

/* A file has holes made in it, and nothing else. */
static int only_holes(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct sandbox_note note;
	int sock[2], status, fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	pid_t pid;

	CHECK(fd >= 0 && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	pid = fork();
	if (!pid) {
		if (sandbox_early() || sandbox_before_loop(&plain, 64) ||
		    sandbox_final(&plain, &sandbox_disk, sock[1]))
			_exit(3);
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
		send(sock[1], "x", 1, 0);
		fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
		_exit(4);
	}
	close(sock[1]);
	CHECK(recv(sock[0], &note, sizeof(note), 0) == sizeof(note) && !note.refused);
	CHECK(recv(sock[0], &note, sizeof(note), 0) == 1);
	CHECK(recv(sock[0], &note, sizeof(note), 0) == sizeof(note) && note.refused);
	CHECK(note.value == SYS_fallocate);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
#endif
	return 0;
}

static void test_only_holes(void)
{
	in_child(only_holes);
}

static void test_keeps_lower_limit(void)
{
	in_child(keeps_lower_limit);
}

/* As a container or an ordinary user starts it: with nothing to drop. */
static int without_privileges(void)
{
	if (!geteuid())
		CHECK(!setgid(65534) && !setuid(65534));
	CHECK(!sandbox_early() && !sandbox_before_loop(&plain, 64));
	CHECK(!sandbox_final(&plain, &sandbox_disk, -1));
	if (!SANITIZED)
		CHECK(status_field("Seccomp:") == 2);
	CHECK(status_field("CapEff:") == 0);
	return 0;
}

static void test_without_privileges(void)
{
	in_child(without_privileges);
}

static int works_on(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	pthread_t t;
	char byte = 1;

	CHECK(fd >= 0);
	CHECK(!sandbox_early() && !sandbox_before_loop(&plain, 64));
	CHECK(!sandbox_final(&plain, &sandbox_disk, -1));
	CHECK(read(fd, &byte, 1) == 1 && !byte);
	CHECK(write(fd, &byte, 1) == 1);
	free(malloc(1 << 20));
	CHECK(!pthread_create(&t, NULL, thread, NULL) && !pthread_join(t, NULL));
	/* A call of a later kernel's: the C library goes on without. */
	errno = 0;
	CHECK(SANITIZED || (syscall(510) < 0 && errno == ENOSYS));
	errno = 0;
	CHECK(SANITIZED || (syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS));
	return 0;
}

static void test_works_on(void)
{
	in_child(works_on);
}

/* What is not in the list ends the process, and its supervisor hears of which call. */
static void refused(int call, uint32_t nr)
{
	struct sandbox_note note;
	int sock[2], status;
	char name[48];
	pid_t pid;

	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	pid = fork();
	if (!pid) {
		close(sock[0]);
		if (sandbox_early() || sandbox_before_loop(&plain, 64) ||
		    sandbox_final(&plain, &sandbox_bridge, sock[1]))
			_exit(3);
		syscall(call, -1, 0x7777, PROT_EXEC, -1, -1, -1);
		_exit(4);
	}
	close(sock[1]);
	UNIT_EQ(recv(sock[0], &note, sizeof(note), 0), sizeof(note));
	UNIT_EQ(note.refused, 0);
	UNIT_OK(note.value & SANDBOX_HAS_FILTER);
	UNIT_OK(geteuid() || (note.value & SANDBOX_HAS_NO_CAPABILITIES));
	UNIT_EQ(recv(sock[0], &note, sizeof(note), 0), sizeof(note));
	UNIT_EQ(note.magic, SANDBOX_NOTE_MAGIC);
	UNIT_EQ(note.refused, 1);
	UNIT_EQ(note.value, nr);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	sandbox_name_call(note.value, name, sizeof(name));
	UNIT_OK(strstr(name, "a system call") == NULL);
	close(sock[0]);
}

static void test_refused(void)
{
	static const int calls[] = {
		SYS_openat, SYS_socket, SYS_execve, SYS_ptrace, SYS_kill, SYS_io_uring_setup,
		SYS_io_uring_enter, SYS_mmap, SYS_mprotect, SYS_ioctl, SYS_fcntl,
		SYS_tgkill, SYS_rt_sigaction, SYS_prctl, SYS_sendto, SYS_process_vm_writev,
	};

	if (SANITIZED)
		return;
	for (size_t i = 0; i < UNIT_LEN(calls); i++)
		refused(calls[i], (uint32_t)calls[i]);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "early: no new privileges, no dumps", test_early },
		{ "before the loop: no capability, few descriptors", test_before_loop },
		{ "a limit is never raised", test_keeps_lower_limit },
		{ "no byte into a file, by who writes none", test_no_files },
		{ "holes, and no other change of a file's room", test_only_holes },
		{ "without privileges", test_without_privileges },
		{ "a worker of root's leaves files, network and user", test_leaves_host },
		{ "a user by its number; words", test_named_user },
		{ "a call outside the list: the end, and its name", test_refused },
		{ "open descriptors work on after all stages", test_works_on },
	};

	return unit_run("sandbox", tests, UNIT_LEN(tests));
}
