/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane doctor: limits of grants, memory, processes, and what the sandbox needs.
 *
 * Hides: how much a device takes of each. Must not know: how findings are printed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-doctor.h"
#include "util.h"

/* ---- grants ----------------------------------------------------------------- */

#define GRANTS_PER_FRAME 512u		/* of version 1: 8 octets each */
#define MAPTRACK_PER_FRAME 256u		/* 16 octets each */
#define GRANT_FRAMES_DEFAULT 64u	/* Xen 4.10 and later */
#define MAPTRACK_FRAMES_DEFAULT 1024u
/* A disk of Linux's front end: four queues of 32 requests of 32 pages, their
 * indirect pages and their ring; ours keeps as many mapped (--persistent-pages). */
#define GRANTS_PER_DISK (4u * (32u * 32u + 32u + 1u))
/* An interface of Linux's: two queues of two rings of 256 slots of a page. */
#define GRANTS_PER_NIC (2u * (2u * 256u + 2u))

/* What follows WORD= on Xen's command line, or NULL; the last one counts, as Xen has it. */
static const char *option_value(const struct doctor *d, const char *word)
{
	size_t word_bytes = strlen(word);
	const char *at = d->xl.command_line, *found = NULL;

	while (*at) {
		if (!strncmp(at, word, word_bytes) && at[word_bytes] == '=')
			found = at + word_bytes + 1;
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	return found;
}

static uint64_t xen_option(const struct doctor *d, const char *word, uint64_t missing)
{
	const char *value = option_value(d, word);

	return value ? strtoull(value, NULL, 0) : missing;
}

/* ---- xl.conf ---------------------------------------------------------------- */

struct setting {
	const char *key;
	char value[64];		/* the last one counts, as xl has it */
};

/* key = value, key="value" or key='value'. */
static bool take_setting(const char *line, void *arg)
{
	struct setting *s = arg;
	size_t key_bytes = strlen(s->key);
	const char *at = line + strspn(line, " \t");

	if (strncmp(at, s->key, key_bytes))
		return false;
	at += key_bytes;
	at += strspn(at, " \t");
	if (*at++ != '=')
		return false;
	at += strspn(at, " \t\"'");
	snprintf(s->value, sizeof(s->value), "%.*s", (int)strcspn(at, " \t\"'#"), at);
	return false;
}

static struct setting xl_conf(const struct doctor *d, const char *key)
{
	struct setting s = { .key = key };

	doctor_lines(d, "/etc/xen/xl.conf", take_setting, &s);
	return s;
}

/*
 * Frames that guests have if their own configuration names none: xl.conf's, or as many as
 * Xen allows. Xen before 4.18 makes no guest that shall have more than that.
 */
static uint64_t guests_frames(struct doctor *d, const char *check, const char *key,
			      const char *option, uint64_t limit)
{
	struct setting set = xl_conf(d, key);
	uint64_t frames;

	if (parse_u64(set.value, UINT32_MAX, &frames))
		return limit;
	if (frames > limit && doctor_number(d, "/sys/hypervisor/version/major", 4) == 4 &&
	    doctor_number(d, "/sys/hypervisor/version/minor", 0) < 18) {
		doctor_say(d, check, DOCTOR_WARNING, "%s=%llu in /etc/xen/xl.conf is more than Xen's %llu: "
			   "xl cannot create a guest", key, (unsigned long long)frames,
			   (unsigned long long)limit);
		doctor_todo(d, "%s=%llu on Xen's command line, or less in xl.conf", option,
			    (unsigned long long)frames);
	}
	return frames;
}

/* ---- and what they allow ---------------------------------------------------- */

static void check_maptrack(struct doctor *d)
{
	uint64_t frames = xen_option(d, "gnttab_max_maptrack_frames", MAPTRACK_FRAMES_DEFAULT);
	uint64_t pages = frames * MAPTRACK_PER_FRAME / (d->pv ? 2 : 1);
	uint64_t disks = pages / GRANTS_PER_DISK, guests;

	doctor_say(d, "maptrack", disks < 8 ? DOCTOR_WARNING : DOCTOR_OK,
		   "this domain can map %llu pages of guests at once (%llu frames): %llu busy disks of "
		   "%u pages; more are served by copies",
		   (unsigned long long)pages, (unsigned long long)frames, (unsigned long long)disks,
		   GRANTS_PER_DISK);
	if (disks < 8)
		doctor_todo(d, "gnttab_max_maptrack_frames=%u on Xen's command line",
			    MAPTRACK_FRAMES_DEFAULT);
	guests = guests_frames(d, "maptrack", "max_maptrack_frames", "gnttab_max_maptrack_frames",
			       frames);
	if (guests < frames)
		doctor_say(d, "maptrack", DOCTOR_NOTE, "a driver domain can map %llu pages (%llu frames, if "
			   "its configuration does not say max_maptrack_frames: xl.conf)",
			   (unsigned long long)(guests * MAPTRACK_PER_FRAME), (unsigned long long)guests);
}

static void check_grant_frames(struct doctor *d)
{
	uint64_t limit = xen_option(d, "gnttab_max_frames", GRANT_FRAMES_DEFAULT);
	uint64_t frames = guests_frames(d, "grants", "max_grant_frames", "gnttab_max_frames", limit);
	uint64_t grants = frames * GRANTS_PER_FRAME;

	doctor_say(d, "grants", grants < 2 * GRANTS_PER_DISK ? DOCTOR_WARNING : DOCTOR_OK,
		   "a guest can grant %llu pages (%llu frames, if its configuration does not say "
		   "max_grant_frames): %llu disks of 4 queues, or %llu interfaces of 2",
		   (unsigned long long)grants, (unsigned long long)frames,
		   (unsigned long long)(grants / GRANTS_PER_DISK),
		   (unsigned long long)(grants / GRANTS_PER_NIC));
	if (grants < 2 * GRANTS_PER_DISK)
		doctor_todo(d, "gnttab_max_frames=%u on Xen's command line, or max_grant_frames=%u in "
			    "xl.cfg or xl.conf", GRANT_FRAMES_DEFAULT, GRANT_FRAMES_DEFAULT);
}

void doctor_grants(struct doctor *d)
{
	if (d->place != DOCTOR_DOM0)
		return;
	if (!d->xl.command_line[0] && !d->xl.version[0]) {
		doctor_say(d, "grants", DOCTOR_NOTE, "limits are not known without xl info; Xen's own "
			   "are %u grant frames a guest and %u maptrack frames", GRANT_FRAMES_DEFAULT,
			   MAPTRACK_FRAMES_DEFAULT);
		return;
	}
	check_grant_frames(d);
	check_maptrack(d);
}

/* ---- memory ----------------------------------------------------------------- */

#define KIB_WANTED (256u * 1024u)

static bool no_ballooning(const struct doctor *d)
{
	struct setting set = xl_conf(d, "autoballoon");

	if (!strcmp(set.value, "off") || !strcmp(set.value, "0"))
		return true;
	if (!strcmp(set.value, "on") || !strcmp(set.value, "1"))
		return false;
	/* "auto", the default: off where dom0's memory is fixed. */
	return option_value(d, "dom0_mem") != NULL;
}

void doctor_memory(struct doctor *d)
{
	uint64_t kib = doctor_keyed(d, "/proc/meminfo", "MemAvailable:", UINT64_MAX);

	if (d->place == DOCTOR_NO_XEN || kib == UINT64_MAX)
		return;
	if (kib < KIB_WANTED) {
		doctor_say(d, "memory", DOCTOR_WARNING, "%llu MiB are available in this domain",
			   (unsigned long long)(kib / 1024));
		doctor_todo(d, "more memory for it (dom0_mem= on Xen's command line, or memory= of the "
			    "driver domain): a disk takes 1 to 20 MiB, a mapped page of a guest its frame");
	} else {
		doctor_say(d, "memory", DOCTOR_OK, "%llu MiB are available in this domain",
			   (unsigned long long)(kib / 1024));
	}
	if (d->place != DOCTOR_DOM0)
		return;
	if (no_ballooning(d)) {
		doctor_say(d, "ballooning", DOCTOR_OK, "dom0 keeps its memory");
		return;
	}
	doctor_say(d, "ballooning", DOCTOR_WARNING, "xl takes memory from dom0 for each guest that it "
		   "starts, down to very little%s", option_value(d, "dom0_mem") ? ": autoballoon=\"on\" in "
		   "/etc/xen/xl.conf has it so, whatever dom0_mem= says" : "");
	doctor_todo(d, option_value(d, "dom0_mem") ? "autoballoon=\"auto\" in /etc/xen/xl.conf" :
		    "dom0_mem=2048M,max:2048M on Xen's command line (as much as dom0 shall have), "
		    "or autoballoon=\"off\" in /etc/xen/xl.conf");
}

/* ---- the daemons' process --------------------------------------------------- */

static void say_no_io_uring(struct doctor *d, const char *why, const char *todo)
{
	doctor_say(d, "io_uring", DOCTOR_WARNING, "%s: disks past the page cache (engine direct, cache "
		   "none) cannot be served; the buffered engine needs none", why);
	doctor_todo(d, "%s", todo);
}

static void check_io_uring(struct doctor *d)
{
	uint64_t disabled = doctor_number(d, "/proc/sys/kernel/io_uring_disabled", 0);
	char release[128] = "";
	unsigned int major = 0, minor = 0;

	doctor_line(d, "/proc/sys/kernel/osrelease", release, sizeof(release));
	if (sscanf(release, "%u.%u", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 10))) {
		say_no_io_uring(d, "this kernel is older than 5.10",
				"paravane-blkback --engine=buffered, and cache writeback or writethrough");
	} else if (disabled == 2) {
		say_no_io_uring(d, "io_uring is switched off", "sysctl kernel.io_uring_disabled=1");
	} else if (!*d->root && syscall(SYS_io_uring_setup, 0, NULL) < 0 &&
		   (errno == EPERM || errno == ENOSYS)) {
		say_no_io_uring(d, errno == EPERM ? "io_uring is refused to this process" :
				"this kernel has no io_uring", disabled && geteuid() ?
				"try as root" : "a container's or service's filter of system calls may "
				"refuse it");
	} else {
		doctor_say(d, "io_uring", DOCTOR_OK, "available%s", disabled ? " to root" : "");
	}
}

/* "Max open files            1024                 524288               files" */
static void check_descriptors(struct doctor *d)
{
	static const char key[] = "Max open files";
	char whole[1024], line[256];
	unsigned long long soft, hard = 0;
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/proc/self/limits", d->root);
	f = fopen(whole, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%llu %llu", &soft, &hard);
	if (f)
		fclose(f);
	if (!hard)
		return;
	if (hard < 8192) {
		doctor_say(d, "descriptors", DOCTOR_WARNING, "a daemon started here may open %llu files, "
			   "enough for %llu devices", hard, hard / 4);
		doctor_todo(d, "start it by its unit, which asks for more, or ulimit -Hn 524288");
		return;
	}
	doctor_say(d, "descriptors", DOCTOR_OK, "%llu files, for %llu devices", hard, hard / 4);
}

static void check_locked_memory(struct doctor *d)
{
	uint64_t bytes = doctor_keyed(d, "/proc/self/limits", "Max locked memory", UINT64_MAX);
	unsigned int major = 0, minor = 0;
	char release[128] = "";

	doctor_line(d, "/proc/sys/kernel/osrelease", release, sizeof(release));
	if (sscanf(release, "%u.%u", &major, &minor) != 2 || major > 5 ||
	    (major == 5 && minor >= 12) || bytes >= 64u << 20)
		return;
	doctor_say(d, "memlock", DOCTOR_WARNING, "%llu KiB may be locked, and kernels before 5.12 count "
		   "io_uring's rings as that", (unsigned long long)(bytes / 1024));
	doctor_todo(d, "start the daemon by its unit, or ulimit -l unlimited");
}

void doctor_process(struct doctor *d)
{
	check_io_uring(d);
	check_descriptors(d);
	check_locked_memory(d);
}

/* ---- the sandbox, and others that confine ----------------------------------- */

#define OWN_USERS_FIRST 0x70000000u	/* sandbox.h */
#define OWN_USERS_LAST (OWN_USERS_FIRST + (4u << 20))	/* pid_max at most */

/* A number of a user, or a range of them, in a file of fields by colons. */
static bool takes_own_users(const struct doctor *d, const char *path, int field,
			    bool is_range, char *who, size_t bytes)
{
	char whole[1024], line[512];
	bool found = false;
	FILE *f;

	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	f = fopen(whole, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		char *rest = line, *name = strsep(&rest, ":"), *text = NULL;
		unsigned long long first, nr = 1;

		for (int i = 1; i <= field && rest; i++)
			text = strsep(&rest, ":");
		if (!text)
			continue;
		first = strtoull(text, NULL, 10);
		if (is_range && rest)
			nr = strtoull(rest, NULL, 10);
		found = nr && first <= OWN_USERS_LAST && first + nr - 1 >= OWN_USERS_FIRST;
		if (found)
			snprintf(who, bytes, "%s in %s", name, path);
	}
	if (f)
		fclose(f);
	return found;
}

static void check_users(struct doctor *d)
{
	char who[200];

	if (takes_own_users(d, "/etc/passwd", 2, false, who, sizeof(who)) ||
	    takes_own_users(d, "/etc/subuid", 1, true, who, sizeof(who))) {
		doctor_say(d, "users", DOCTOR_WARNING, "workers' own users, numbers from %u on, are also "
			   "those of %s", OWN_USERS_FIRST, who);
		doctor_todo(d, "give that another range, or the daemons --user=NAME");
		return;
	}
	doctor_say(d, "users", DOCTOR_OK, "workers' own users are nobody else's");
}

static void check_filters(struct doctor *d)
{
	char actions[200] = "";

	if (doctor_line(d, "/proc/sys/kernel/seccomp/actions_avail", actions, sizeof(actions)) &&
	    strstr(actions, "kill_process")) {
		doctor_say(d, "seccomp", DOCTOR_OK, "workers' lists of system calls can be kept");
		return;
	}
	doctor_say(d, "seccomp", DOCTOR_WARNING, "this kernel cannot filter system calls: workers have "
		   "the rest of the sandbox only");
	doctor_todo(d, "a kernel with CONFIG_SECCOMP_FILTER, 4.14 or newer");
}

static void check_policies(struct doctor *d)
{
	char profile[128] = "";

	if (doctor_number(d, "/sys/fs/selinux/enforce", 0) == 1) {
		doctor_say(d, "selinux", DOCTOR_WARNING, "SELinux enforces, and Paravane has no policy of "
			   "its own: xl's scripts may be refused XenStore, the daemons images");
		doctor_todo(d, "ausearch -m avc -c paravane-blkback says what was refused; audit2allow "
			    "makes a module of it");
	}
	if (doctor_exists(d, "/etc/apparmor.d/usr.sbin.paravane-blkback") &&
	    doctor_line(d, "/sys/module/apparmor/parameters/enabled", profile, sizeof(profile)) &&
	    profile[0] == 'Y')
		doctor_say(d, "apparmor", DOCTOR_NOTE, "a profile for paravane-blkback is on this host, "
			   "not ours: it must allow images, /dev/xen, namespaces and its run directory");
}

void doctor_sandbox(struct doctor *d)
{
	check_filters(d);
	check_users(d);
	check_policies(d);
}
