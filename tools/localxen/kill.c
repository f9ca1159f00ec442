/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill.c - finds and ends the processes of a domain.
 *
 * Hides how a process is known to belong: by LOCALXEN_DIR and LOCALXEN_DOMID in
 * its initial environment, by its caller's word, or by descent from one that does. So a
 * program that never opened a libxen handle dies with its domain too. Knows nothing of
 * grants or ports.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>
#include "kill.h"

enum kinship { KIN_NONE, KIN_MEMBER, KIN_OTHER };

struct task {
	pid_t pid, ppid;
	unsigned long long start;	/* with pid: this process and no other */
	enum kinship kin;
	int fd;
};

struct tasks {
	struct task *v;
	size_t n, max;
};

static char *read_all(const char *path, size_t *len)
{
	size_t max = 4096, n = 0;
	char *buf = malloc(max + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	while (fd >= 0 && buf && (got = read(fd, buf + n, max - n)) > 0) {
		char *more;

		n += got;
		if (n < max)
			continue;
		max *= 2;
		more = realloc(buf, max + 1);
		if (!more)
			free(buf);
		buf = more;
	}
	if (fd >= 0)
		close(fd);
	if (fd < 0 || !buf || got < 0) {
		free(buf);
		return NULL;
	}
	buf[n] = '\0';
	*len = n;
	return buf;
}

static const char *find_var(const char *env, size_t len, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = env; p < env + len; p += strlen(p) + 1)
		if (!strncmp(p, name, n) && p[n] == '=')
			return p + n + 1;
	return NULL;
}

static enum kinship classify(pid_t pid, const char *dir, int domid)
{
	char path[40];
	const char *d, *n;
	size_t len;
	char *env;
	enum kinship kin = KIN_NONE;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	env = read_all(path, &len);
	if (!env)
		return KIN_NONE;
	d = find_var(env, len, "LOCALXEN_DIR");
	n = find_var(env, len, "LOCALXEN_DOMID");
	if (d) {
		kin = !strcmp(d, dir) && (domid == LX_ALL_DOMAINS ||
		      atoi(n ? n : "0") == domid) ? KIN_MEMBER : KIN_OTHER;
	}
	free(env);
	return kin;
}

static enum kinship kin_of(pid_t pid, const struct lx_kill *k)
{
	for (size_t i = 0; i < k->nr_known; i++) {
		struct pollfd p = { .fd = k->known[i].pidfd, .events = POLLIN };

		if (k->known[i].pid == pid && !poll(&p, 1, 0))
			return KIN_MEMBER;
	}
	return classify(pid, k->dir, k->domid);
}

/* Finds a process's parent and start. A zombie is dead: it only waits for its parent. */
static bool look_at(struct task *t)
{
	char path[40], *stat, *p, state;
	size_t len;
	int got = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", t->pid);
	stat = read_all(path, &len);
	p = stat ? strrchr(stat, ')') : NULL;
	if (p)
		got = sscanf(p + 1, " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			     " %*s %*s %*s %*s %*s %*s %llu", &state, &t->ppid, &t->start);
	free(stat);
	return got == 3 && state != 'Z' && state != 'X';
}

static int scan(struct tasks *ts, const struct lx_kill *k)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	if (!proc)
		return -errno;
	ts->n = 0;
	while ((e = readdir(proc))) {
		struct task t = { .pid = atoi(e->d_name), .fd = -1 };

		if (!isdigit((unsigned char)e->d_name[0]) || !look_at(&t))
			continue;
		t.kin = kin_of(t.pid, k);
		if (ts->n == ts->max) {
			size_t max = ts->max ? 2 * ts->max : 256;
			struct task *v = realloc(ts->v, max * sizeof(*v));

			if (!v)
				break;
			ts->v = v;
			ts->max = max;
		}
		ts->v[ts->n++] = t;
	}
	closedir(proc);
	return 0;
}

/* Children of members are members, unless their environment says otherwise. */
static void add_descendants(struct tasks *ts)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < ts->n; i++) {
			if (ts->v[i].kin != KIN_NONE)
				continue;
			for (size_t k = 0; k < ts->n; k++) {
				if (ts->v[k].kin != KIN_MEMBER ||
				    ts->v[k].pid != ts->v[i].ppid)
					continue;
				ts->v[i].kin = KIN_MEMBER;
				more = true;
				break;
			}
		}
	}
}

/* Orphans of a cleared environment name nothing, and have lost whom they descend from. */
static void add_orphans(struct tasks *ts, const struct lx_kill *k)
{
	pid_t adopter = k->spare ? k->spare : getpid();

	for (size_t i = 0; i < ts->n; i++)
		if (ts->v[i].kin == KIN_NONE && ts->v[i].ppid == adopter)
			ts->v[i].kin = KIN_MEMBER;
}

/*
 * The pidfd comes first: if the process is still a member after that, then it
 * is this process that the signal goes to, not a later one with its number. Returns it, or -1.
 */
static int open_one(const struct task *t, const struct lx_kill *k)
{
	struct task now = { .pid = t->pid };
	int fd = pidfd_open(t->pid, 0);

	if (fd >= 0 && look_at(&now) && now.start == t->start &&
	    kin_of(t->pid, k) != KIN_OTHER)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * All are opened before the first is killed: whose parent has gone might not be known
 * again. All end at the same time; when the last has, another look will tell. Returns how
 * many there were, but for those that are another user's: nothing we can do ends them.
 */
static size_t kill_all(struct tasks *ts, const struct lx_kill *k)
{
	struct pollfd last = { .fd = -1, .events = POLLIN };
	size_t found = 0;

	for (size_t i = 0; i < ts->n; i++) {
		if (ts->v[i].kin != KIN_MEMBER)
			continue;
		found++;
		ts->v[i].fd = open_one(&ts->v[i], k);
	}
	for (size_t i = 0; i < ts->n; i++) {
		if (ts->v[i].fd < 0)
			continue;
		if (!pidfd_send_signal(ts->v[i].fd, SIGKILL, NULL, 0))
			last.fd = ts->v[i].fd;
		else if (errno == EPERM)
			found--;
	}
	if (last.fd >= 0)
		poll(&last, 1, 200);
	for (size_t i = 0; i < ts->n; i++)
		if (ts->v[i].fd >= 0)
			close(ts->v[i].fd);
	return found;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int lx_kill_members(const struct lx_kill *k, int timeout_ms)
{
	long end = now_ms() + timeout_ms;
	struct tasks ts = { 0 };
	size_t found;

	do {
		found = 0;
		if (scan(&ts, k))
			break;
		for (size_t i = 0; i < ts.n; i++)
			if (ts.v[i].pid == getpid() || ts.v[i].pid == k->spare)
				ts.v[i].kin = KIN_OTHER;
		if (k->domid == LX_ALL_DOMAINS)
			add_orphans(&ts, k);
		add_descendants(&ts);
		found = kill_all(&ts, k);
	} while (found && now_ms() < end);
	free(ts.v);
	return found ? -ETIMEDOUT : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void lx_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
