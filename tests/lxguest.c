/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lxguest.c - the child process of lxguest.h, and the test's end of its socket. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xencall.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include "lxguest.h"

#define MAX_AREAS 4096
#define PAGE_WORDS 1024

static struct area {
	char *addr;
	unsigned count;
} areas[MAX_AREAS];

static xengnttab_handle *xgt;
static xengntshr_handle *xgs;
static xenevtchn_handle *xce;

static void die(const char *what)
{
	fprintf(stderr, "lxguest: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* ---- in the guest ---- */

static int keep(void *addr, unsigned count)
{
	if (!addr)
		return -errno;
	for (int i = 0; i < MAX_AREAS; i++) {
		if (areas[i].addr)
			continue;
		areas[i] = (struct area){ addr, count };
		return i;
	}
	abort();
}

static int forget(int i, int (*fn)(void *handle, void *addr, uint32_t count), void *h)
{
	int rc = fn(h, areas[i].addr, areas[i].count);

	areas[i].addr = NULL;
	return rc ? -errno : 0;
}

static int unshare(void *h, void *addr, uint32_t count)
{
	return xengntshr_unshare(h, addr, count);
}

static int unmap(void *h, void *addr, uint32_t count)
{
	return xengnttab_unmap(h, addr, count);
}

static int pending(int timeout_ms)
{
	struct pollfd p = { .fd = xenevtchn_fd(xce), .events = POLLIN };
	int rc;

	if (poll(&p, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	rc = xenevtchn_pending(xce);
	return rc < 0 ? -errno : rc;
}

static int notify(int port, int times)
{
	for (int i = 0; i < times; i++)
		if (xenevtchn_notify(xce, port))
			return -errno;
	return 0;
}

static int increase(unsigned nr)
{
	xencall_handle *xcall = xencall_open(NULL, 0);
	xen_pfn_t mfns[4096];
	struct xen_memory_reservation r = { .nr_extents = nr, .domid = DOMID_SELF };
	int rc;

	set_xen_guest_handle(r.extent_start, mfns);
	rc = xencall2(xcall, __HYPERVISOR_memory_op, XENMEM_increase_reservation,
		      (uintptr_t)&r);
	xencall_close(xcall);
	return rc < 0 ? -errno : rc;
}

static int sub_page(uint32_t gref, bool on)
{
	struct lx_machine m;
	struct grant_entry_v1 *entry;

	if (lx_machine_tables(&m))
		return -errno;
	entry = (struct grant_entry_v1 *)m.grants + gref;
	if (on)
		__atomic_fetch_or(&entry->flags, GTF_sub_page, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&entry->flags, (uint16_t)~GTF_sub_page, __ATOMIC_SEQ_CST);
	return 0;
}

static int flip_take(struct lxguest_msg *m)
{
	void *page;
	int rc = lx_flip_take(NULL, m->a, &page);

	if (rc == 1)
		m->refs[0] = keep(page, 1);
	return rc;
}

static bool is_filled(const uint32_t *page, uint32_t word)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		if (page[i] != word)
			return false;
	return true;
}

static int flip_drain(const struct lxguest_msg *m)
{
	int good = 0;

	for (int i = 0; i < m->b; i++) {
		void *page;

		if (lx_flip_take(NULL, m->refs[i], &page) != 1)
			continue;
		good += is_filled(page, m->a + i);
		lx_flip_give(NULL, page);
	}
	return lx_flip_flush(NULL) ? -EIO : good;
}

static int flip_give(int i)
{
	lx_flip_give(NULL, areas[i].addr);
	areas[i].addr = NULL;
	return 0;
}

static int as_errno(int rc)
{
	return rc < 0 ? -errno : rc;
}

static int execute(struct lxguest_msg *m)
{
	switch (m->op) {
	case LXG_SHARE:
		return keep(xengntshr_share_pages(xgs, m->a, m->b, m->refs, m->c), m->b);
	case LXG_SHARE_NOTIFY:
		return keep(xengntshr_share_page_notify(xgs, m->a, m->refs, 1, m->b, m->c),
			    1);
	case LXG_UNSHARE:
		return forget(m->a, unshare, xgs);
	case LXG_SUB_PAGE:
		return sub_page(m->a, m->b);
	case LXG_POKE:
		areas[m->a].addr[m->b] = m->c;
		return 0;
	case LXG_PEEK:
		return (unsigned char)areas[m->a].addr[m->b];
	case LXG_MAP:
		return keep(xengnttab_map_domain_grant_refs(xgt, m->b, m->a, m->refs, m->c),
			    m->b);
	case LXG_UNMAP:
		return forget(m->a, unmap, xgt);
	case LXG_ALLOC_PORT:
		return as_errno(xenevtchn_bind_unbound_port(xce, m->a));
	case LXG_BIND_PORT:
		return as_errno(xenevtchn_bind_interdomain(xce, m->a, m->b));
	case LXG_UNBIND:
		return as_errno(xenevtchn_unbind(xce, m->a));
	case LXG_NOTIFY:
		return notify(m->a, m->b);
	case LXG_PENDING:
		return pending(m->a);
	case LXG_UNMASK:
		return as_errno(xenevtchn_unmask(xce, m->a));
	case LXG_INCREASE:
		return increase(m->a);
	case LXG_FLIP_OFFER:
		return lx_flip_offer(NULL, m->a, m->b, m->refs);
	case LXG_FLIP_TAKE:
		return flip_take(m);
	case LXG_FLIP_PEEK:
		return (unsigned char)areas[m->a].addr[m->b];
	case LXG_FLIP_GIVE:
		return flip_give(m->a);
	case LXG_FLIP_FLUSH:
		return lx_flip_flush(NULL);
	case LXG_FLIP_DRAIN:
		return flip_drain(m);
	case LXG_DIE:
		kill(getpid(), SIGKILL);
	}
	return -ENOSYS;
}

static void serve(int sock, uint32_t domid)
{
	struct lxguest_msg m;
	char text[16];

	snprintf(text, sizeof(text), "%u", domid);
	setenv("LOCALXEN_DOMID", text, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	xgt = xengnttab_open(NULL, 0);
	xgs = xengntshr_open(NULL, 0);
	xce = xenevtchn_open(NULL, 0);
	if (!xgt || !xgs || !xce)
		die("opening handles");
	while (recv(sock, &m, sizeof(m), 0) == sizeof(m)) {
		m.rc = execute(&m);
		if (send(sock, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
			break;
	}
	_exit(0);
}

/* ---- in the test ---- */

void lxguest_start(struct lxguest *g, uint32_t domid)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		die("socketpair");
	g->pid = fork();
	if (g->pid < 0)
		die("fork");
	if (!g->pid) {
		close(fds[0]);
		serve(fds[1], domid);
	}
	close(fds[1]);
	g->sock = fds[0];
}

void lxguest_stop(struct lxguest *g)
{
	kill(g->pid, SIGKILL);
	waitpid(g->pid, NULL, 0);
	close(g->sock);
}

int lxguest_do(struct lxguest *g, enum lxguest_op op, int a, int b, int c)
{
	g->m.op = op;
	g->m.a = a;
	g->m.b = b;
	g->m.c = c;
	if (send(g->sock, &g->m, sizeof(g->m), MSG_NOSIGNAL) != sizeof(g->m))
		die("guest is gone");
	if (op == LXG_DIE)
		return 0;
	if (recv(g->sock, &g->m, sizeof(g->m), 0) != sizeof(g->m))
		die("guest died");
	return g->m.rc;
}

static const char *localxen(void)
{
	const char *program = getenv("LOCALXEN");

	return program ? program : "localxen";
}

uint32_t lxguest_new_domain(const char *options)
{
	char command[512];
	unsigned domid;
	FILE *f;

	snprintf(command, sizeof(command), "%s domain %s", localxen(), options);
	f = popen(command, "re");
	if (!f || fscanf(f, "%u", &domid) != 1 || pclose(f))
		die(command);
	return domid;
}

int lxguest_localxen(const char *arguments)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), "%s %s", localxen(), arguments);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
