/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a worker is (sandbox.h): namespaces with nothing in them, and a user who owns
 * nothing.
 *
 * Hides: mounts, users, what root may do in which container. Must not know: capabilities,
 * which go afterwards, devices.
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox-internal.h"

#define NOBODY 65534u

/* No capability for it, no such namespace, or a container's filter: it stays as it is. */
static bool not_here(int err)
{
	return err == -EPERM || err == -EINVAL || err == -ENOSYS || err == -ENOSPC;
}

/* ---- namespaces --------------------------------------------------------------------- */

/* syscalls start: unshare mount pivot_root umount2 chdir chroot */
static int own_namespace(int flags)
{
	return unshare(flags) ? -errno : 0;
}

/*
 * The old root goes with all that is mounted below it; nothing of that reaches the host,
 * since these mounts have become private first. What stays is one file system, empty, of
 * no room at all and read-only. Descriptors that are open stay good.
 */
static int enter(void)
{
	/* An initramfs is a root that cannot be put aside, but covered. */
	if (syscall(SYS_pivot_root, ".", "."))
		return mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") ? -errno : 0;
	return umount2(".", MNT_DETACH) ? -errno : 0;
}

static int empty_root(void)
{
	static const char *const places[] = { "/tmp", "/run", "/proc" };
	const char *at = NULL;
	int rc;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	for (size_t i = 0; !at && i < sizeof(places) / sizeof(places[0]); i++)
		if (!mount("paravane", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			   "size=4k,nr_inodes=1,mode=0555"))
			at = places[i];
	if (!at || chdir(at))
		return -errno;
	rc = enter();
	if (rc)
		return rc;
	if (chdir("/") ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
		  MS_NOEXEC, NULL))
		return -errno;
	return 0;
}

static int leave_files(void)
{
	int rc = own_namespace(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS);

	if (!rc)
		rc = empty_root();
	if (!rc)
		sandbox_layers |= SANDBOX_HAS_FILES;
	return rc;
}

static int leave_network(void)
{
	int rc = own_namespace(CLONE_NEWNET);

	if (!rc)
		sandbox_layers |= SANDBOX_HAS_NETWORK;
	return rc;
}

/* ---- the user ----------------------------------------------------------------------- */

/* syscalls start: setgroups setresgid setresuid geteuid getpid */
static int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

/* A container may have no such number: then nobody, whom others may be too. */
static int change_user(const struct sandbox_user *user)
{
	uid_t own = SANDBOX_UID_BASE + (uid_t)getpid();
	int rc;

	if (!user->own && !user->uid)
		return 0;
	if (user->own)
		rc = become(own, own);
	else
		rc = become(user->uid, user->gid);
	if (rc == -EINVAL)
		rc = become(NOBODY, NOBODY);
	if (!rc)
		sandbox_layers |= SANDBOX_HAS_USER;
	return rc;
}

int sandbox_leave_host(const struct sandbox_user *user)
{
	int rc;

	if (SANDBOX_SANITIZED)
		return 0;
	rc = leave_files();
	if (!rc || not_here(rc))
		rc = leave_network();
	/* Who is not root is somebody else already. */
	if ((!rc || not_here(rc)) && geteuid())
		sandbox_layers |= SANDBOX_HAS_USER, rc = 0;
	else if (!rc || not_here(rc))
		rc = change_user(user);
	return not_here(rc) ? 0 : rc;
}
