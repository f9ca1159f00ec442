/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The environment of a front end on Linux: poll(2) over the store's and the
 * event channels' descriptors. Hides descriptors, clocks and locks between
 * processes; must not know devices.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "front-linux.h"
#include "spin.h"

#define CLAIMS_MAX 16

struct front_linux {
	struct front_env env;
	int wake_fd;
	int also_fd;		/* the caller's, -1: none */
	short also_events;
	volatile int stop;
	uint64_t rest_ns;	/* time waited that is not a whole millisecond yet */
	int claim_fd[CLAIMS_MAX];
	int nr_claims;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- waiting ------------------------------------------------------------------- */

static void take_off(struct front_linux *fl, uint64_t passed_ns, int *left_ms)
{
	uint64_t ms;

	if (*left_ms <= 0)
		return;
	fl->rest_ns += passed_ns;
	ms = fl->rest_ns / 1000000u;
	fl->rest_ns %= 1000000u;
	*left_ms = ms < (uint64_t)*left_ms ? *left_ms - (int)ms : 0;
}

static int caller_wants(struct front_linux *fl)
{
	uint64_t n;

	if (fl->stop)
		return -EINTR;
	if (read(fl->wake_fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	return FRONT_WAIT_CALLER;
}

static int linux_wait(void *ctx, unsigned int what, int *left_ms)
{
	struct front_linux *fl = ctx;
	struct pollfd fds[4] = {
		{ .fd = fl->wake_fd, .events = POLLIN },
		{ .fd = what & FRONT_WAIT_STORE ? xs_fileno(fl->env.xs) : -1,
		  .events = POLLIN },
		{ .fd = what & FRONT_WAIT_EVENT ? xenevtchn_fd(fl->env.xce) : -1,
		  .events = POLLIN },
		{ .fd = fl->also_fd, .events = fl->also_events },
	};
	uint64_t start;
	int r = 0;

	if (fl->stop)
		return -EINTR;
	start = *left_ms > 0 ? now_ns() : 0;
	if (poll(fds, 4, *left_ms) < 0 && errno != EINTR)
		return -errno;
	if (start)
		take_off(fl, now_ns() - start, left_ms);
	if (fds[0].revents) {
		r = caller_wants(fl);
		if (r < 0)
			return r;
	}
	if (fds[3].revents)
		r |= FRONT_WAIT_CALLER;
	if (fds[1].revents)
		r |= FRONT_WAIT_STORE;
	if (fds[2].revents & POLLIN)
		r |= FRONT_WAIT_EVENT;
	else if (fds[2].revents)
		return -EIO;
	/* A signal woke us before the time: say so without naming anything. */
	return r || *left_ms == 0 ? r : (int)(what & FRONT_WAIT_STORE);
}

void front_linux_wake(struct front_linux *fl)
{
	uint64_t one = 1;
	ssize_t n = write(fl->wake_fd, &one, sizeof(one));

	(void)n;	/* full means: it is awake already */
}

void front_linux_also(struct front_linux *fl, int fd, short events)
{
	fl->also_fd = fd;
	fl->also_events = events;
}

void front_linux_stop(struct front_linux *fl)
{
	fl->stop = 1;
	front_linux_wake(fl);
}

void front_linux_resume(struct front_linux *fl)
{
	uint64_t n;
	ssize_t got;

	fl->stop = 0;
	got = read(fl->wake_fd, &n, sizeof(n));	/* stop's own wake-up */
	(void)got;
}

uint32_t front_linux_cycles(unsigned int us)
{
	static uint64_t per_ms;
	struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t ns, cycles, want;

	if (!per_ms) {
		ns = now_ns();
		cycles = spin_now_cycles();
		nanosleep(&ms, NULL);
		cycles = spin_now_cycles() - cycles;
		ns = now_ns() - ns;
		per_ms = cycles * 1000000u / (ns ? ns : 1);
	}
	want = per_ms * us / 1000;
	return want < UINT32_MAX ? (uint32_t)want : UINT32_MAX;
}

/* ---- opening --------------------------------------------------------------------- */

static int cannot(struct front_problem *p, int err, const char *what, const char *advice)
{
	if (!err)
		err = ENODEV;
	if (p) {
		p->err = -err;
		p->advice = advice;
		snprintf(p->text, sizeof(p->text), "cannot open %s: %s", what, strerror(err));
	}
	return -err;
}

static int open_handles(struct front_linux *fl, struct front_problem *p)
{
	struct front_env *e = &fl->env;

	fl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fl->wake_fd < 0)
		return cannot(p, errno, "an eventfd", NULL);
	e->xs = xs_open(0);
	if (!e->xs)
		return cannot(p, errno, "XenStore", "is this a Xen domain (or a shell inside "
			      "localxen), and may this user use /dev/xen/xenbus?");
	e->xce = xenevtchn_open(NULL, 0);
	if (!e->xce)
		return cannot(p, errno, "/dev/xen/evtchn", "load the module xen_evtchn, or "
			      "run as a user who may open it");
	e->xgs = xengntshr_open(NULL, 0);
	if (!e->xgs)
		return cannot(p, errno, "/dev/xen/gntalloc", "load the module xen_gntalloc, "
			      "or run as a user who may open it");
	return 0;
}

int front_linux_open(struct front_linux **out, struct front_problem *problem)
{
	struct front_linux *fl = calloc(1, sizeof(*fl));
	int r;

	*out = NULL;
	if (!fl)
		return -ENOMEM;
	fl->also_fd = -1;
	fl->env.wait = linux_wait;
	fl->env.wait_ctx = fl;
	r = open_handles(fl, problem);
	if (r < 0)
		front_linux_close(fl);
	else
		*out = fl;
	return r;
}

void front_linux_close(struct front_linux *fl)
{
	if (!fl)
		return;
	while (fl->nr_claims > 0)
		close(fl->claim_fd[--fl->nr_claims]);
	if (fl->env.xgs)
		xengntshr_close(fl->env.xgs);
	if (fl->env.xce)
		xenevtchn_close(fl->env.xce);
	if (fl->env.xs)
		xs_close(fl->env.xs);
	if (fl->wake_fd >= 0)
		close(fl->wake_fd);
	free(fl);
}

struct front_env *front_linux_env(struct front_linux *fl)
{
	return &fl->env;
}

/* ---- who else has the device -------------------------------------------------------- */

static int busy(struct front_problem *p, const char *kind, uint32_t devid,
		const char *who, const char *advice)
{
	if (p) {
		p->err = -EBUSY;
		p->advice = advice;
		snprintf(p->text, sizeof(p->text), "%s %u is in use by %s", kind, devid, who);
	}
	return -EBUSY;
}

/* The kernel's driver would lose a disk that may hold a mounted file system. */
static int kernel_has_it(const char *kind, uint32_t devid)
{
	const char *store = getenv("XENSTORED_PATH");
	char path[96];

	if (store && *store)	/* another store than the kernel's: local Xen */
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/xen/devices/%s-%u/driver", kind, devid);
	return access(path, F_OK) == 0;
}

/* A name in the abstract namespace: it is gone when we are. */
static int bind_name(int fd, const char *kind, uint32_t devid)
{
	const char *store = getenv("XENSTORED_PATH");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	uint64_t hash = 14695981039346656037u;
	int n;

	for (; store && *store; store++)
		hash = (hash ^ (unsigned char)*store) * 1099511628211u;
	n = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1,
		     "paravane-front/%016llx/%s/%u", (unsigned long long)hash, kind, devid);
	return bind(fd, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
}

int front_linux_claim(struct front_linux *fl, const char *kind, uint32_t devid,
		      struct front_problem *problem)
{
	int fd, err;

	if (kernel_has_it(kind, devid))
		return busy(problem, kind, devid, "a driver of this kernel",
			    "take it out of use (unmount it, or ip link set it down), then "
			    "unbind it: echo its name (vbd-N, vif-N) into "
			    "/sys/bus/xen/drivers/vbd/unbind or .../vif/unbind");
	if (fl->nr_claims == CLAIMS_MAX)
		return -ENOSPC;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind_name(fd, kind, devid) < 0) {
		err = errno;
		close(fd);
		return err == EADDRINUSE ?
		       busy(problem, kind, devid, "another process of this domain",
			    "end that process first (another paravane-blkfront or paravane-netfront?)") : -err;
	}
	fl->claim_fd[fl->nr_claims++] = fd;
	return 0;
}
