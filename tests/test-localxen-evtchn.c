/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Local Xen's event channels: states, pending and mask, many ports on one
 * descriptor, no event lost. Runs in dom0 under `localxen run`.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include "lxguest.h"

static xenevtchn_handle *xce;
static uint32_t domid;
static struct lxguest guest;

/* One channel; the events that binding itself makes are taken. */
static void connect_ports(int *mine, int *theirs)
{
	*theirs = lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0);
	*mine = xenevtchn_bind_interdomain(xce, domid, *theirs);
	CU_ASSERT_FATAL(*mine > 0);
	CU_ASSERT_EQUAL(xenevtchn_pending(xce), *mine);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, *mine), 0);
}

static void disconnect_ports(int mine, int theirs)
{
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0), 0);
}

static int is_readable(void)
{
	struct pollfd p = { .fd = xenevtchn_fd(xce), .events = POLLIN };

	return poll(&p, 1, 0);
}

static int next_event(void)
{
	struct pollfd p = { .fd = xenevtchn_fd(xce), .events = POLLIN };

	return poll(&p, 1, 20000) == 1 ? xenevtchn_pending(xce) : -1;
}

static void test_both_directions(void)
{
	int mine, theirs;

	connect_ports(&mine, &theirs);
	CU_ASSERT_EQUAL(is_readable(), 0);
	lxguest_do(&guest, LXG_NOTIFY, theirs, 1, 0);
	CU_ASSERT_EQUAL(next_event(), mine);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PENDING, 20000, 0, 0), theirs);
	disconnect_ports(mine, theirs);
}

static void test_mask(void)
{
	int mine, theirs;

	connect_ports(&mine, &theirs);
	/* Many notifications before a look are one event. */
	lxguest_do(&guest, LXG_NOTIFY, theirs, 5, 0);
	CU_ASSERT_EQUAL(next_event(), mine);
	CU_ASSERT_EQUAL(is_readable(), 0);
	/* While masked nothing is delivered; then once, at unmask. */
	lxguest_do(&guest, LXG_NOTIFY, theirs, 3, 0);
	CU_ASSERT_EQUAL(is_readable(), 0);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), 0);
	CU_ASSERT_EQUAL(next_event(), mine);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), 0);
	CU_ASSERT_EQUAL(is_readable(), 0);
	/* Unmasking what is not masked changes nothing. */
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), 0);
	CU_ASSERT_EQUAL(is_readable(), 0);
	disconnect_ports(mine, theirs);
}

static void test_many_ports(void)
{
	int mine[100], theirs[100], seen[100] = { 0 }, port;

	for (int i = 0; i < 100; i++)
		connect_ports(&mine[i], &theirs[i]);
	for (int i = 0; i < 100; i += 3)
		lxguest_do(&guest, LXG_NOTIFY, theirs[i], 2, 0);
	for (int n = 0; n < 34; n++) {
		port = next_event();
		for (int i = 0; i < 100; i++)
			if (mine[i] == port)
				seen[i]++;
	}
	CU_ASSERT_EQUAL(is_readable(), 0);
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(seen[i], i % 3 == 0);
	for (int i = 0; i < 100; i++)
		disconnect_ports(mine[i], theirs[i]);
}

/* The end that stays is unbound for the same domain, and can be bound again. */
static void test_close_and_rebind(void)
{
	int mine, theirs, again;

	connect_ports(&mine, &theirs);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, domid, theirs), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_NOTIFY, theirs, 1, 0), 0);
	again = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_EQUAL(again, mine);
	CU_ASSERT_EQUAL(next_event(), again);
	xenevtchn_unmask(xce, again);
	lxguest_do(&guest, LXG_NOTIFY, theirs, 1, 0);
	CU_ASSERT_EQUAL(next_event(), again);
	disconnect_ports(again, theirs);
}

/*
 * A port is closed while its sender stands between its two steps, which then finds no
 * handle to wake: another port's event must still come.
 */
static void test_close_before_token(void)
{
	int x, y, theirs_x, theirs_y;
	struct lx_machine m;

	CU_ASSERT_EQUAL_FATAL(lx_machine_tables(&m), 0);
	connect_ports(&x, &theirs_x);
	connect_ports(&y, &theirs_y);
	atomic_fetch_or((_Atomic uint32_t *)((char *)m.ports + x * LX_PORT_STRIDE),
			LX_PORT_WORD_PENDING);
	lxguest_do(&guest, LXG_NOTIFY, theirs_y, 1, 0);
	disconnect_ports(x, theirs_x);
	CU_ASSERT_EQUAL_FATAL(is_readable(), 1);
	CU_ASSERT_EQUAL(next_event(), y);
	CU_ASSERT_EQUAL(is_readable(), 0);
	/* With its token there, it comes as what was left of a closed port. */
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, y), 0);
	lxguest_do(&guest, LXG_NOTIFY, theirs_y, 1, 0);
	disconnect_ports(y, theirs_y);
	CU_ASSERT_EQUAL(next_event(), x);
	CU_ASSERT_EQUAL(is_readable(), 0);
}

/* Whoever closes a port with an event gets its number later, bound anew by then or not. */
static void test_stale_number(void)
{
	xenevtchn_handle *all = xce;
	int mine, theirs, again;

	xce = xenevtchn_open(NULL, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(xce);
	connect_ports(&mine, &theirs);
	lxguest_do(&guest, LXG_NOTIFY, theirs, 1, 0);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
	CU_ASSERT_EQUAL(next_event(), mine);
	CU_ASSERT_EQUAL(is_readable(), 0);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), 0);
	/* Closed with the event that binding makes, and bound again. */
	again = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, again), 0);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, domid, theirs), again);
	CU_ASSERT_EQUAL(next_event(), again);
	CU_ASSERT_EQUAL(next_event(), again);
	CU_ASSERT_EQUAL(is_readable(), 0);
	/* With an event that was taken, nothing is left. */
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, again), 0);
	CU_ASSERT_EQUAL(is_readable(), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0), 0);
	xenevtchn_close(xce);
	xce = all;
}

static void test_errors(void)
{
	int mine, theirs;

	connect_ports(&mine, &theirs);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine + 50), -1);
	CU_ASSERT_EQUAL(errno, ENOTCONN);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, 1000000), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine + 50), -1);
	CU_ASSERT_EQUAL(errno, ENOTCONN);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, domid, 4000), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, 31000, 1), -1);
	CU_ASSERT_EQUAL(errno, ESRCH);
	/* Reserved for somebody else. */
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0), 0);
	theirs = lxguest_do(&guest, LXG_ALLOC_PORT, 31000, 0, 0);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, domid, theirs), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	disconnect_ports(mine, theirs);
}

static void test_restrict(void)
{
	xenevtchn_handle *h = xenevtchn_open(NULL, 0);
	int theirs = lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0);

	CU_ASSERT_EQUAL(xenevtchn_restrict(h, domid + 1), 0);
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(h, domid, theirs), -1);
	CU_ASSERT_EQUAL(errno, EACCES);
	CU_ASSERT_EQUAL(xenevtchn_restrict(h, domid), -1);
	xenevtchn_close(h);
	h = xenevtchn_open(NULL, 0);
	CU_ASSERT_EQUAL(xenevtchn_restrict(h, domid), 0);
	CU_ASSERT(xenevtchn_bind_interdomain(h, domid, theirs) > 0);
	CU_ASSERT_EQUAL(xenevtchn_bind_virq(h, VIRQ_DEBUG), -1);
	xenevtchn_close(h);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0), 0);
}

/* The process at the other end is killed: its port closes, ours is unbound. */
static void test_peer_dies(void)
{
	struct lxguest other;
	int mine, theirs, n = 0;

	lxguest_start(&other, domid);
	theirs = lxguest_do(&other, LXG_ALLOC_PORT, 0, 0, 0);
	mine = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_EQUAL(next_event(), mine);
	xenevtchn_unmask(xce, mine);
	lxguest_stop(&other);
	/* Binding fails as soon as the hypervisor knows. */
	while (xenevtchn_bind_interdomain(xce, domid, theirs) >= 0 && n++ < 1000)
		;
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), 0);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
}

/* Whoever has no descriptor free wakes the other end all the same. */
static void test_notify_without_descriptor(void)
{
	struct rlimit old, none;
	struct lxguest other;
	int mine, theirs;

	/* A process that we have not notified yet: its eventfd is not here. */
	lxguest_start(&other, domid);
	theirs = lxguest_do(&other, LXG_ALLOC_PORT, 0, 0, 0);
	mine = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_EQUAL(next_event(), mine);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	CU_ASSERT_EQUAL(lxguest_do(&other, LXG_PENDING, 5000, 0, 0), theirs);
	lxguest_stop(&other);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
}

/* Exit status: 0 when nothing was written but to theirs. */
static int notify_with_other_descriptors(int theirs)
{
	int file = memfd_create("inherited", 0);
	xenevtchn_handle *h;

	for (int fd = 3; fd < 256; fd++)
		if (fd != file && dup2(file, fd) != fd)
			return 2;
	h = xenevtchn_open(NULL, 0);
	if (!h || xenevtchn_notify(h, xenevtchn_bind_interdomain(h, domid, theirs)))
		return 3;
	return lseek(file, 0, SEEK_END) ? 4 : 0;
}

/* A child has its own files where its parent's eventfds were, as a daemon may. */
static void test_notify_after_fork(void)
{
	int mine, theirs, second, status;
	pid_t pid;

	connect_ports(&mine, &theirs);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PENDING, 20000, 0, 0), theirs);
	second = lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0);
	pid = fork();
	if (!pid)
		_exit(notify_with_other_descriptors(second));
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PENDING, 5000, 0, 0), second);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, second, 0, 0), 0);
	disconnect_ports(mine, theirs);
}

static void test_domain_death_virq(void)
{
	uint32_t victim = lxguest_new_domain("");
	xc_interface *xch = xc_interface_open(NULL, NULL, 0);
	xc_dominfo_t info;

	/* xenstored has the VIRQ; a second binding is refused. */
	CU_ASSERT_EQUAL(xenevtchn_bind_virq(xce, VIRQ_DOM_EXC), -1);
	CU_ASSERT_EQUAL(errno, EEXIST);
	CU_ASSERT_EQUAL(xc_domain_getinfo(xch, victim, 1, &info), 1);
	CU_ASSERT_EQUAL(info.domid, victim);
	CU_ASSERT_EQUAL(info.dying, 0);
	CU_ASSERT_EQUAL(xc_domain_shutdown(xch, victim, SHUTDOWN_crash), 0);
	CU_ASSERT_EQUAL(xc_domain_getinfo(xch, victim, 1, &info), 1);
	CU_ASSERT_EQUAL(info.crashed, 1);
	CU_ASSERT_EQUAL(xc_domain_destroy(xch, victim), 0);
	CU_ASSERT(xc_domain_getinfo(xch, victim, 1, &info) != 1 || info.domid != victim ||
		  info.dying);
	xc_interface_close(xch);
}

/* What local Xen does not have fails, and says so; it never crashes. */
static void test_not_provided(void)
{
	xc_interface *xch = xc_interface_open(NULL, NULL, 0);
	xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
	void *addr = NULL;
	uint32_t port;

	errno = 0;
	CU_ASSERT_EQUAL(xc_domain_pause(xch, domid), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
	errno = 0;
	CU_ASSERT_PTR_NULL(xenforeignmemory_map_resource(fmem, domid, 0, 0, 0, 1, &addr,
							 PROT_READ, 0));
	CU_ASSERT_EQUAL(errno, ENOSYS);
	CU_ASSERT_PTR_NULL(xc_monitor_enable(xch, domid, &port));
	CU_ASSERT_PTR_NOT_NULL(xc_strerror(xch, EINVAL));
	xenforeignmemory_close(fmem);
	xc_interface_close(xch);
}

/* dom0 sees any page of a domain; the ring's page is where xenstored has it. */
static void test_foreign_map(void)
{
	xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
	xen_pfn_t gfns[3] = { 0, 1, 1u << 30 };
	int err[3] = { 1, 1, 1 };
	char *p = xenforeignmemory_map(fmem, domid, PROT_READ, 3, gfns, err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(err[0], 0);
	CU_ASSERT_EQUAL(err[1], 0);
	CU_ASSERT_EQUAL(err[2], -EINVAL);
	CU_ASSERT_EQUAL(p[4096], 0);
	CU_ASSERT_EQUAL(xenforeignmemory_unmap(fmem, p, 3), 0);
	CU_ASSERT_PTR_NULL(xenforeignmemory_map(fmem, domid, PROT_READ, 3, gfns, NULL));
	CU_ASSERT_PTR_NULL(xenforeignmemory_map(fmem, 31000, PROT_READ, 1, gfns, err));
	CU_ASSERT_EQUAL(errno, ESRCH);
	CU_ASSERT_EQUAL(xenforeignmemory_restrict(fmem, domid + 1), 0);
	CU_ASSERT_PTR_NULL(xenforeignmemory_map(fmem, domid, PROT_READ, 1, gfns, err));
	xenforeignmemory_close(fmem);
}

/* ---- no event is lost ---- */

/*
 * Two threads and a process in another domain, each with its own handle; shared
 * counters say how much work was announced. A receiver that has not seen all
 * sleeps until an event comes, so a lost event stops it.
 */
struct pair {
	_Atomic unsigned long sent, done;
};

static unsigned long rounds(void)
{
	const char *env = getenv("LOCALXEN_EVENTS");

	return env ? strtoul(env, NULL, 10) : 200000;
}

/* Sends n pieces of work; every now and then waits until all are seen. */
static int produce(xenevtchn_handle *h, int port, struct pair *p, unsigned long n)
{
	for (unsigned long i = 1; i <= n; i++) {
		p->sent = i;
		if (xenevtchn_notify(h, port))
			return -1;
		if (i % 64 == 0)
			while (p->done < i)
				usleep(0);
	}
	return 0;
}

static int consume(xenevtchn_handle *h, struct pair *p, unsigned long n)
{
	struct pollfd pfd = { .fd = xenevtchn_fd(h), .events = POLLIN };

	while (p->done < n) {
		int port;

		if (poll(&pfd, 1, 60000) != 1)
			return -1;
		port = xenevtchn_pending(h);
		if (port < 0 || xenevtchn_unmask(h, port))
			return -2;
		p->done = p->sent;
	}
	return 0;
}

struct side {
	xenevtchn_handle *h;
	int port;
	struct pair *p;
};

static void *producer_thread(void *arg)
{
	struct side *s = arg;

	return produce(s->h, s->port, s->p, rounds()) ? arg : NULL;
}

static void test_no_loss_threads(void)
{
	struct pair *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct side s = { .h = xenevtchn_open(NULL, 0), .p = p };
	xenevtchn_handle *rx = xenevtchn_open(NULL, 0);
	pthread_t thread;
	void *failed;

	s.port = xenevtchn_bind_unbound_port(s.h, 0);
	CU_ASSERT_FATAL(xenevtchn_bind_interdomain(rx, 0, s.port) > 0);
	pthread_create(&thread, NULL, producer_thread, &s);
	CU_ASSERT_EQUAL(consume(rx, p, rounds()), 0);
	pthread_join(thread, &failed);
	CU_ASSERT_PTR_NULL(failed);
	xenevtchn_close(rx);
	xenevtchn_close(s.h);
	munmap(p, sizeof(*p));
}

static void test_no_loss_processes(void)
{
	struct pair *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	xenevtchn_handle *rx = xenevtchn_open(NULL, 0);
	int port = xenevtchn_bind_unbound_port(rx, domid), status;
	pid_t pid = fork();

	if (!pid) {
		xenevtchn_handle *tx;
		char text[16];

		snprintf(text, sizeof(text), "%u", domid);
		setenv("LOCALXEN_DOMID", text, 1);
		tx = xenevtchn_open(NULL, 0);
		_exit(produce(tx, xenevtchn_bind_interdomain(tx, 0, port), p, rounds()) ?
		      1 : 0);
	}
	CU_ASSERT_EQUAL(consume(rx, p, rounds()), 0);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	xenevtchn_close(rx);
	munmap(p, sizeof(*p));
}

static void test_nothing_left(void)
{
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
}

#define TEST(fn) CU_add_test(suite, #fn, fn)

int main(void)
{
	CU_pSuite suite;

	domid = lxguest_new_domain("--name=peer");
	lxguest_start(&guest, domid);
	xce = xenevtchn_open(NULL, 0);
	if (!xce || CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	suite = CU_add_suite("event channels", NULL, NULL);
	TEST(test_both_directions);
	TEST(test_mask);
	TEST(test_many_ports);
	TEST(test_close_and_rebind);
	TEST(test_close_before_token);
	TEST(test_stale_number);
	TEST(test_errors);
	TEST(test_restrict);
	TEST(test_peer_dies);
	TEST(test_notify_without_descriptor);
	TEST(test_notify_after_fork);
	TEST(test_domain_death_virq);
	TEST(test_not_provided);
	TEST(test_foreign_map);
	TEST(test_no_loss_threads);
	TEST(test_no_loss_processes);
	TEST(test_nothing_left);
	CU_basic_run_tests();
	xenevtchn_close(xce);
	lxguest_stop(&guest);
	return CU_get_number_of_failures() != 0;
}
