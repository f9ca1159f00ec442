/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's privileges, given up in three visible stages.
 *
 * Hides: prctl, rlimits, capabilities, the list of system calls. Must not
 * know: which program it is in.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

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

/* The leak checker attaches to its own process, which needs this on. */
static int forbid_dumps(void)
{
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
#endif
	return 0;
}

int sandbox_early(void)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	rc = forbid_dumps();
	if (rc)
		return rc;
	return lower_limit(RLIMIT_CORE, 0);
}

/*
 * The bounding and ambient sets matter only to a later exec, which
 * no_new_privs has already made harmless: best effort, since dropping from
 * the bounding set is itself privileged.
 */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	memset(none, 0, sizeof(none));
	if (syscall(SYS_capset, &head, none))
		return -errno;
	return 0;
}

int sandbox_before_loop(uint32_t max_fds)
{
	int rc = lower_limit(RLIMIT_NOFILE, max_fds);

	if (rc)
		return rc;
	return drop_capabilities();
}

int sandbox_final(void)
{
	/*
	 * The list of system calls belongs here, beside a seccomp filter that
	 * every thread started from now on inherits. Rings of io_uring must be
	 * restricted before: their operations do not pass the filter.
	 */
	return 0;
}
