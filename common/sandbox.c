/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's privileges, given up in three visible stages (sandbox.h): limits,
 * capabilities and their order. The rest is in sandbox-place.c, the user and the
 * namespaces, and sandbox-filter.c, the system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "packet.h"
#include "sandbox-internal.h"
#include "util.h"

uint32_t sandbox_layers;

/* syscalls start: prlimit64 */
/* Lowers a limit, never raises it. */
static int lower_limit(int resource, rlim_t max)
{
	struct rlimit now;

	if (getrlimit(resource, &now))
		return -errno;
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < max)
		max = now.rlim_max;
	now.rlim_cur = now.rlim_max = max;
	if (setrlimit(resource, &now))
		return -errno;
	return 0;
}

/* syscalls start: prctl capset */
/* The leak checker attaches to its own process, which needs this on. */
static int forbid_dumps(void)
{
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
#endif
	return 0;
}

int sandbox_parse(struct sandbox *s, const char *user, const char *filter)
{
	static const char *const filters[] = {
		[SANDBOX_KILL] = "kill", [SANDBOX_LOG] = "log", [SANDBOX_OFF] = "off",
	};
	unsigned uid = 0, gid = 0;
	char rest;
	int i = 0;

	while (i <= SANDBOX_OFF && filter && strcmp(filters[i], filter))
		i++;
	s->user.own = !user || !strcmp(user, "own");
	if (i > SANDBOX_OFF ||
	    (!s->user.own && sscanf(user, "%u:%u%c", &uid, &gid, &rest) != 2))
		return -EINVAL;
	s->filter = (enum sandbox_filter)i;
	s->user.uid = uid;
	s->user.gid = gid;
	return 0;
}

/* syscalls start: openat read pwrite64 */
/*
 * The service manager may have the kernel spare the supervisor when memory is short; a worker is
 * what takes the memory, and has a successor. Never lowered, so anybody may; where it cannot be
 * told nothing is lost but that.
 */
static void be_expendable(void)
{
	char score[16] = "";
	autoclose int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && read(fd, score, sizeof(score) - 1) > 0 && score[0] == '-' &&
	    pwrite(fd, "0", 1, 0) < 0)
		log_debug("it stays as dear to the kernel as its supervisor: %s", strerror(errno));
}

/* syscalls start: rt_sigaction */
int sandbox_early(void)
{
	int rc;

	/* A write beyond a limit, whoever set it, is an error of that write. */
	signal(SIGXFSZ, SIG_IGN);
	be_expendable();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	rc = forbid_dumps();
	if (rc)
		return rc;
	return lower_limit(RLIMIT_CORE, 0);
}

/* syscalls start: newfstatat */
int sandbox_write_no_files(void)
{
	struct stat st;

	if (!fstat(STDERR_FILENO, &st) && S_ISREG(st.st_mode))
		return 0;
	return lower_limit(RLIMIT_FSIZE, 0);
}

/*
 * The bounding and ambient sets matter only to a later exec, which
 * no_new_privs has already made harmless: best effort, since dropping from
 * the bounding set is itself privileged.
 */
static void drop_inheritable(void)
{
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memset(none, 0, sizeof(none));
	if (syscall(SYS_capset, &head, none))
		return -errno;
	return 0;
}

/* syscalls start: getuid */
/* Who is nobody else has no processes but its own threads, so that they can be counted. */
static int limit_threads(void)
{
	return getuid() >= SANDBOX_UID_BASE ? lower_limit(RLIMIT_NPROC, SANDBOX_THREADS_MAX) : 0;
}

int sandbox_before_loop(const struct sandbox *s, uint32_t max_fds)
{
	int rc;

	if (!s)
		return 0;
	rc = lower_limit(RLIMIT_NOFILE, max_fds);
	sandbox_layers = 0;
	drop_inheritable();
	if (!rc)
		rc = sandbox_leave_host(&s->user);
	if (!rc)
		rc = drop_capabilities();
	if (!rc)
		rc = limit_threads();
	/* Another user's process is one that may be looked at. */
	if (!rc)
		rc = forbid_dumps();
	if (!rc)
		sandbox_layers |= SANDBOX_HAS_NO_CAPABILITIES;
	return rc;
}

int sandbox_final(const struct sandbox *s, const struct sandbox_list *list, int sock)
{
	struct sandbox_note note = { .magic = SANDBOX_NOTE_MAGIC };
	int rc;

	if (!s)
		return 0;
	rc = sandbox_filter_calls(s->filter, list, sock);
	note.value = sandbox_layers;
	if (!rc)
		packet_send(sock, &note, sizeof(note), NULL, 0);
	return rc;
}

/* syscalls start: execve */
void sandbox_end(void)
{
	for (;;)
		syscall(SYS_execve, NULL, NULL, NULL);
}

void sandbox_describe(uint32_t layers, char *buf, size_t bytes)
{
	static const char *const names[] = { "user", "files", "network", "calls", "capabilities" };
	size_t used = 0;

	snprintf(buf, bytes, "none");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && used < bytes; i++)
		if (layers & 1u << i)
			used += (size_t)snprintf(buf + used, bytes - used, "%s%s",
						 used ? " " : "", names[i]);
}
