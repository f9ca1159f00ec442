/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Local Xen under SIGKILL: processes are killed at random instants inside copy,
 * map, bind, notify and share loops that all work on the same few grants and
 * ports. Whatever they were doing, nothing may be left of them, and the others
 * go on. LOCALXEN_KILLS says how many (default 300); LOCALXEN_SEED repeats a run.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "lxguest.h"

#define PAGES 4
#define PORTS 8
#define VICTIMS 4
#define ROUND 100	/* kills between two looks at what is left */

static uint32_t domid;
static struct lxguest guest;
static uint32_t refs[PAGES];
static unsigned seed;

/* The process that receives the victims' events, and its ports. */
static pid_t receiver;
static struct {
	int ports[PORTS];
	_Atomic int ready;
} *shared;

static void fail(const char *what)
{
	printf("FAILED: %s (errno %s; LOCALXEN_SEED=%u)\n", what, strerror(errno), seed);
	exit(1);
}

/* ---- what victims do, until they are killed ---- */

static void copy_loop(void)
{
	xengnttab_handle *xgt = xengnttab_open(NULL, 0);
	unsigned r = getpid();
	char buf[64];

	for (;;) {
		xengnttab_grant_copy_segment_t s = { .len = 8 };

		r = r * 1103515245 + 12345;
		s.flags = 1 + (r >> 16) % 3;
		s.source.virt = s.dest.virt = buf;
		if (s.flags & GNTCOPY_source_gref)
			s.source.foreign = (typeof(s.source.foreign)){
				.ref = refs[(r >> 8) % PAGES], .domid = domid };
		if (s.flags & GNTCOPY_dest_gref)
			s.dest.foreign = (typeof(s.dest.foreign)){
				.ref = refs[(r >> 12) % PAGES], .domid = domid };
		if (!xgt || xengnttab_grant_copy(xgt, 1, &s) || s.status)
			_exit(10);
	}
}

static void map_loop(void)
{
	xengnttab_handle *xgt = xengnttab_open(NULL, 0);
	unsigned r = getpid();

	for (;;) {
		unsigned n;
		void *p;

		r = r * 1103515245 + 12345;
		n = 1 + (r >> 16) % PAGES;
		p = xengnttab_map_domain_grant_refs(xgt, n, domid, refs,
				r >> 20 & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		if (!p || xengnttab_unmap(xgt, p, n))
			_exit(11);
	}
}

static void bind_loop(void)
{
	for (unsigned i = getpid();; i++) {
		xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
		int port;

		/* Others try the same ports: a refusal is no failure. */
		port = xce ? xenevtchn_bind_interdomain(xce, domid,
							shared->ports[i % PORTS]) : -1;
		for (int k = 0; k < 3 && port > 0; k++)
			xenevtchn_notify(xce, port);
		if (port > 0 && i & 1)
			xenevtchn_unbind(xce, port);
		xenevtchn_close(xce);
	}
}

static void notify_loop(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	int port = -1;

	for (unsigned i = getpid(); port < 0; i++)
		port = xenevtchn_bind_interdomain(xce, domid, shared->ports[i % PORTS]);
	for (;;)
		if (xenevtchn_notify(xce, port))
			_exit(14);
}

static void enter_guest(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", domid);
	setenv("LOCALXEN_DOMID", text, 1);
}

static void share_loop(void)
{
	xengntshr_handle *xgs;
	uint32_t own[8];

	enter_guest();
	xgs = xengntshr_open(NULL, 0);
	for (unsigned i = 0;; i++) {
		unsigned n = 1 + i % 8;
		void *p = xengntshr_share_pages(xgs, 0, n, own, 1);

		if (!p && errno != ENOSPC)
			_exit(12);
		if (p && i % 3 && xengntshr_unshare(xgs, p, n))
			_exit(13);
	}
}

static void *copy_thread(void *arg)
{
	copy_loop();
	return arg;
}

static void thread_loop(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, copy_thread, NULL);
	map_loop();
}

/* ---- killing ---- */

static pid_t start_victim(unsigned kind)
{
	static void (*const loops[])(void) = { copy_loop, map_loop, bind_loop, share_loop,
					       thread_loop, notify_loop };
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loops[kind % 6]();
	}
	return pid;
}

static void kill_victim(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	if (!WIFSIGNALED(status)) {
		fprintf(stderr, "a victim ended by itself with status %d\n",
			WEXITSTATUS(status));
		fail("a call failed while others were killed");
	}
}

/* Ours and the others' operations still work. */
static void look(xengnttab_handle *xgt)
{
	for (int i = 0; i < PAGES; i++) {
		char out[16] = "survivor", in[16] = "";
		xengnttab_grant_copy_segment_t s = { .flags = GNTCOPY_dest_gref,
						     .len = sizeof(out) };

		s.source.virt = out;
		s.dest.foreign.ref = refs[i];
		s.dest.foreign.domid = domid;
		s.dest.foreign.offset = 2048;
		if (xengnttab_grant_copy(xgt, 1, &s) || s.status)
			fail("copy to the guest");
		s.flags = GNTCOPY_source_gref;
		s.source = s.dest;
		s.dest.virt = in;
		if (xengnttab_grant_copy(xgt, 1, &s) || s.status || strcmp(in, out))
			fail("copy from the guest");
	}
}

static void start_guest(void)
{
	lxguest_start(&guest, domid);
	if (lxguest_do(&guest, LXG_SHARE, 0, PAGES, 1) < 0)
		fail("share");
	memcpy(refs, guest.m.refs, sizeof(refs));
}

static void receive_loop(void)
{
	xenevtchn_handle *xce;

	enter_guest();
	xce = xenevtchn_open(NULL, 0);
	for (int i = 0; i < PORTS; i++)
		shared->ports[i] = xenevtchn_bind_unbound_port(xce, 0);
	shared->ready = 1;
	for (;;) {
		int port = xenevtchn_pending(xce);

		if (port < 0 || xenevtchn_unmask(xce, port))
			_exit(15);
	}
}

static void start_receiver(void)
{
	shared->ready = 0;
	receiver = fork();
	if (receiver < 0)
		fail("fork");
	if (!receiver) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		receive_loop();
	}
	while (!shared->ready)
		usleep(100);
}

static unsigned nr_deliverable(void)
{
	char command[300];
	unsigned n;
	FILE *f;

	snprintf(command, sizeof(command), "%s status --json | grep -c "
		 "'\"domid\": %u, \"port\".*\"pending\": true, \"masked\": false, \"pid\": %d,'",
		 getenv("LOCALXEN"), domid, receiver);
	f = popen(command, "re");
	if (!f || fscanf(f, "%u", &n) != 1)
		fail(command);
	pclose(f);
	return n;
}

/*
 * Nobody sends any more, and the receiver takes whatever wakes it. A port that
 * stays deliverable has lost its wake-up with its sender.
 */
static void check_events(void)
{
	for (int i = 0; i < 400; i++) {
		if (!nr_deliverable())
			return;
		usleep(50000);
	}
	fail("an event was lost with its sender");
}

static void one_round(unsigned kills)
{
	pid_t victim[VICTIMS];
	xengnttab_handle *xgt;

	alarm(300);	/* a lock that stayed with the dead would stop us */
	start_guest();
	start_receiver();
	xgt = xengnttab_open(NULL, 0);
	for (unsigned i = 0; i < VICTIMS; i++)
		victim[i] = start_victim(rand());
	for (unsigned i = 0; i < kills; i++) {
		unsigned k = rand() % VICTIMS;

		usleep(rand() % 3000);
		kill_victim(victim[k]);
		if (i % 8 == 0)
			look(xgt);
		victim[k] = start_victim(rand());
	}
	for (unsigned i = 0; i < VICTIMS; i++)
		kill_victim(victim[i]);
	look(xgt);
	check_events();
	kill_victim(receiver);
	xengnttab_close(xgt);
	lxguest_stop(&guest);
	if (lxguest_localxen("status --check --wait=20000"))
		fail("something is left of killed processes");
}

int main(void)
{
	const char *env = getenv("LOCALXEN_KILLS");
	unsigned kills = env ? strtoul(env, NULL, 10) : 300, done;

	env = getenv("LOCALXEN_SEED");
	seed = env ? strtoul(env, NULL, 10) : (unsigned)time(NULL) ^ getpid();
	srand(seed);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	domid = lxguest_new_domain("--name=killing --gntalloc-limit=256");
	for (done = 0; done < kills; done += ROUND)
		one_round(ROUND);
	printf("%u processes killed, nothing left\n", done + done / ROUND * VICTIMS);
	return 0;
}
