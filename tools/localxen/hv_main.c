/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_main.c - the hypervisor process: its loop, and who may ask for what.
 *
 * Hides the transport (socket, epoll, descriptors in messages) and the end: when
 * the parent that started it dies, by whatever means, it ends every process of
 * the instance and removes its directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hv.h"
#include "kill.h"

#define REAP_INTERVAL_MS 50
#define END_TIMEOUT_MS 10000

struct hv hv = { .listen_fd = -1 };

/* What an epoll event is about: a client, or the death of process proc. */
struct source {
	struct hv_client client;
	bool gone;
};
static struct source listen_source, signal_source;
/* Process slots' death watches; tagged by being inside this array. */
static char death[LX_MAX_PROCS];

static void watch(int fd, void *source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = source };

	epoll_ctl(hv.epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* ---- requests ---- */

struct call {
	struct source *src;
	const struct lx_req *req;
	int in_fd, out_fd;	/* in_fd: -1 once somebody keeps it */
	bool close_out;
	struct lx_rep_share *rep;
	size_t rep_len;
};

static bool owns_slot(const struct hv_client *c)
{
	return c->proc >= 0 && hv.proc[c->proc].used &&
	       hv.shm->proc[c->proc].gen == c->proc_gen;
}

static int do_hello(struct call *c)
{
	const struct lx_req *req = c->req;
	int rc;

	if (c->src->client.proc >= 0)
		return -EISCONN;
	c->out_fd = hv.shm_fd;
	if (req->a & LX_HELLO_TOOL)
		return 0;
	rc = hv_proc_add(req->domid, c->src->client.pid,
			 req->a & LX_HELLO_INFRA ? LX_PROC_INFRA : 0, &c->rep->rep);
	if (rc)
		return rc;
	c->src->client.proc = c->rep->rep.a;
	c->src->client.proc_gen = c->rep->rep.b;
	watch(hv.proc[c->src->client.proc].pidfd, &death[c->src->client.proc]);
	return 0;
}

static int do_memory(struct call *c)
{
	unsigned slot = c->req->a;

	if (slot >= LX_MAX_DOMS || hv.shm->dom[slot].state == LX_DOM_FREE ||
	    hv.shm->dom[slot].gen != c->req->b)
		return -ESRCH;
	c->out_fd = hv.dom[slot].mem_fd;
	return 0;
}

static int rule_add(const struct lx_req *req, struct lx_rep *rep)
{
	struct lx_rule rule;

	_Static_assert(sizeof(rule) <= sizeof(req->data), "fits");
	memcpy(&rule, req->data, sizeof(rule));
	for (unsigned i = 0; i < LX_MAX_RULES; i++) {
		struct lx_rule *r = &hv.shm->rule[i];

		if (r->used)
			continue;
		rule.used = 0;
		memcpy(r, &rule, sizeof(rule));
		atomic_store(&r->used, 1);
		atomic_fetch_add(&hv.shm->nr_rules, 1);
		rep->a = i;
		return 0;
	}
	return -ENOSPC;
}

static int rule_clear(uint64_t which)
{
	int rc = which == UINT64_MAX ? 0 : -ENOENT;

	for (unsigned i = 0; i < LX_MAX_RULES; i++) {
		if (!hv.shm->rule[i].used || (which != i && which != UINT64_MAX))
			continue;
		atomic_store(&hv.shm->rule[i].used, 0);
		atomic_fetch_sub(&hv.shm->nr_rules, 1);
		rc = 0;
	}
	return rc;
}

/* Requests of the localxen command: it is no process of a domain. */
static int do_tool(struct call *c)
{
	const struct lx_req *req = c->req;
	struct lx_create create;

	switch (req->op) {
	case LX_OP_MEMORY:
		return do_memory(c);
	case LX_OP_CREATE:
		_Static_assert(sizeof(create) <= sizeof(req->data), "fits");
		memcpy(&create, req->data, sizeof(create));
		create.name[sizeof(create.name) - 1] = '\0';
		return hv_domain_create(&create, &c->rep->rep);
	case LX_OP_DESTROY:
		return hv_domain_destroy(req->domid);
	case LX_OP_SHUTDOWN:
		return hv_domain_shutdown(req->domid, req->a);
	case LX_OP_BELONG:
		return hv_domain_belong(req->domid, c->src->client.pid);
	case LX_OP_RULE_ADD:
		return rule_add(req, &c->rep->rep);
	case LX_OP_RULE_CLEAR:
		return rule_clear(req->a);
	case LX_OP_TEARDOWN:
		hv.ending = true;
		return 0;
	default:
		return -ENOSYS;
	}
}

static int made_port(struct call *c, int port)
{
	if (port < 0)
		return port;
	c->rep->rep.a = port;
	return 0;
}

static int do_evtchn(struct call *c, unsigned proc)
{
	const struct lx_req *req = c->req;
	unsigned slot = hv.proc[proc].dom_slot;
	int rc;

	switch (req->op) {
	case LX_OP_EVTCHN_OPEN:
		rc = hv_handle_open(proc, c->in_fd, &c->rep->rep);
		if (!rc)
			c->in_fd = -1;
		return rc;
	case LX_OP_EVTCHN_FD:
		c->out_fd = hv_handle_fd(req->a);
		return c->out_fd < 0 ? -ENOENT : 0;
	default:
		break;
	}
	if (!hv_owns_handle(proc, req->a))
		return -EBADF;
	switch (req->op) {
	case LX_OP_EVTCHN_CLOSE:
		return hv_handle_close(proc, req->a);
	case LX_OP_ALLOC_UNBOUND:
		return made_port(c, hv_alloc_unbound(slot, req->a, req->domid));
	case LX_OP_BIND_INTERDOMAIN:
		return made_port(c, hv_bind_interdomain(slot, req->a, req->domid, req->b));
	case LX_OP_BIND_VIRQ:
		return made_port(c, hv_bind_virq(slot, req->a, req->b));
	case LX_OP_UNBIND:
		return hv_unbind(slot, req->a, req->b, &c->rep->rep.a);
	case LX_OP_ADOPT:
		return made_port(c, hv_adopt(slot, req->a, req->b));
	default:
		return -ENOSYS;
	}
}

/* Requests about many pages; their number was checked when they came. */
static int do_pages(struct call *c, unsigned proc)
{
	const struct lx_req_batch *b = (const struct lx_req_batch *)c->req;
	unsigned slot = hv.proc[proc].dom_slot;
	uint64_t nr = c->req->a;

	c->rep_len = sizeof(struct lx_rep) + nr * sizeof(uint32_t);
	switch (c->req->op) {
	case LX_OP_INCREASE:
		c->rep->rep.a = hv_heap_increase(slot, nr, c->rep->data);
		return 0;
	case LX_OP_DECREASE:
		c->rep->rep.a = hv_heap_decrease(slot, nr, b->frame);
		return 0;
	case LX_OP_HEAP_MAP:
		return hv_heap_map(proc, nr, b->frame, c->rep->data);
	case LX_OP_HEAP_UNMAP:
		hv_heap_unmap(proc, nr, b->frame);
		return 0;
	case LX_OP_TRANSFER:
		return hv_transfer(proc, nr, b->transfer, (int32_t *)c->rep->data);
	case LX_OP_FLIP_GREFS:
		return hv_flip_grefs(proc, nr, c->rep->data);
	case LX_OP_FLIP_RETURN:
		hv_flip_return(proc, nr, b->frame);
		return 0;
	default:
		hv_heap_give(proc, nr, b->frame);
		return 0;
	}
}

/* How large the items are that follow the request; a number of pages alone: 0. */
static int item_size(uint32_t op)
{
	switch (op) {
	case LX_OP_INCREASE:
	case LX_OP_FLIP_GREFS:
		return 0;
	case LX_OP_DECREASE:
	case LX_OP_HEAP_MAP:
	case LX_OP_HEAP_UNMAP:
	case LX_OP_FLIP_RETURN:
	case LX_OP_FLIP_GIVE:
		return sizeof(uint32_t);
	case LX_OP_TRANSFER:
		return sizeof(struct lx_transfer);
	default:
		return -1;
	}
}

static int do_process(struct call *c, unsigned proc)
{
	const struct lx_req *req = c->req;
	int rc;

	if (item_size(req->op) >= 0)
		return do_pages(c, proc);
	switch (req->op) {
	case LX_OP_MEMORY:
		return do_memory(c);
	case LX_OP_HEAP:
		c->out_fd = hv.heap_fd;
		return 0;
	case LX_OP_SHARE:
		rc = hv_share(proc, req, c->rep);
		if (!rc)
			c->rep_len = sizeof(struct lx_rep) + 2 * req->a * sizeof(uint32_t);
		return rc;
	case LX_OP_UNSHARE:
		return hv_unshare(proc, req->a);
	case LX_OP_MAP_NOTIFY:
		return hv_map_notify(proc, req, &c->rep->rep);
	case LX_OP_FIRE_NOTIFY:
		return hv_fire_notify(proc, req->a);
	case LX_OP_DESTROY:
	case LX_OP_SHUTDOWN:
		if (hv.shm->proc[proc].domid && hv.shm->proc[proc].domid != req->domid)
			return -EPERM;
		return do_tool(c);
	default:
		return do_evtchn(c, proc);
	}
}

static void execute(struct call *c)
{
	int proc = c->src->client.proc;
	int rc;

	if (c->req->op == LX_OP_HELLO)
		rc = do_hello(c);
	else if (proc < 0)
		rc = do_tool(c);
	else if (!owns_slot(&c->src->client))
		rc = -EBADF;
	else
		rc = do_process(c, proc);
	c->rep->rep.err = rc;
	if (rc) {
		c->out_fd = -1;
		c->rep_len = sizeof(struct lx_rep);
	}
}

/* ---- clients ---- */

static void drop_client(struct source *s)
{
	if (owns_slot(&s->client))
		hv_proc_release(s->client.proc);
	close(s->client.fd);
	free(s);
}

static bool is_whole(const struct lx_req *req, size_t len)
{
	int size = len < sizeof(*req) ? -1 : item_size(req->op);

	if (size < 0)
		return len == sizeof(*req);
	return req->a && req->a <= LX_BATCH_MAX && len == LX_BATCH_SIZE(req->a, size);
}

static void serve(struct source *s)
{
	static struct lx_rep_share rep;
	static struct lx_req_batch in;
	struct lx_req *req = &in.req;
	struct call c = { .src = s, .req = req, .out_fd = -1, .rep = &rep,
			  .rep_len = sizeof(struct lx_rep) };
	ssize_t n = lx_recv(s->client.fd, &in, sizeof(in), &c.in_fd, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop_client(s);
		return;
	}
	if (is_whole(req, n) && req->op != LX_OP_POKE) {
		memset(&rep.rep, 0, sizeof(rep.rep));
		execute(&c);
		/* It has one request under way, so its buffer has room. */
		lx_send(s->client.fd, &rep, c.rep_len, c.out_fd, MSG_DONTWAIT);
	}
	if (c.in_fd >= 0)
		close(c.in_fd);
}

static void accept_client(void)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct source *s;
	int fd = accept4(hv.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	s = calloc(1, sizeof(*s));
	if (!s || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		free(s);
		close(fd);
		return;
	}
	s->client = (struct hv_client){ .fd = fd, .pid = cred.pid, .proc = -1 };
	watch(fd, s);
}

/* ---- start and end ---- */

static int make_shm(void)
{
	struct lx_shm *shm;

	hv.shm_fd = memfd_create("localxen-hypervisor", MFD_CLOEXEC);
	if (hv.shm_fd < 0 || ftruncate(hv.shm_fd, sizeof(*shm)))
		return -errno;
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE, hv.shm_fd, 0);
	if (shm == MAP_FAILED)
		return -errno;
	shm->magic = LX_MAGIC;
	shm->version = LX_VERSION;
	shm->size_bytes = sizeof(*shm);
	shm->hv_pid = getpid();
	shm->nr_threads = LX_HV_THREAD + 1;
	hv.shm = shm;
	if (hv_heap_init())
		return -ENOMEM;
	for (unsigned i = 0; i < LX_MAX_DOMS; i++)
		hv.dom[i].mem_fd = -1;
	return 0;
}

static int make_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" LX_SOCKET_NAME,
		     hv.dir) >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	hv.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (hv.listen_fd < 0 ||
	    bind(hv.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(hv.listen_fd, 128))
		return -errno;
	return 0;
}

static int make_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	hv.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return hv.signal_fd < 0 ? -errno : 0;
}

/* OPTION=VALUE, for Xen and for dom0; cli_run.c has checked them. */
static void parse_option(const char *text, struct lx_create *dom0)
{
	const char *eq = strchr(text, '=');
	uint32_t value = eq ? strtoul(eq + 1, NULL, 10) : 0;

	if (!strncmp(text, "maptrack=", 9)) {
		dom0->maptrack_frames = value;
	} else if (!strncmp(text, "extra-pages=", 12)) {
		dom0->extra_pages = value;
		dom0->has_extra_pages = 1;
	} else if (!strncmp(text, "pvh=", 4)) {
		dom0->not_pv = value;
	} else if (!strncmp(text, "no-transfer=", 12)) {
		hv.shm->no_transfer = value;
	}
}

static int start(int nr_options, char **options)
{
	struct lx_create dom0 = { .name = "Domain-0" };
	struct lx_rep rep;
	int rc = make_shm();

	for (int i = 0; !rc && i < nr_options; i++)
		parse_option(options[i], &dom0);
	hv.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!rc && hv.epoll_fd < 0)
		rc = -errno;
	if (!rc)
		rc = hv_domain_create(&dom0, &rep);
	if (!rc)
		rc = make_signals();
	if (!rc)
		rc = make_socket();
	if (rc)
		return rc;
	watch(hv.listen_fd, &listen_source);
	watch(hv.signal_fd, &signal_source);
	return 0;
}

static void handle(void *ptr)
{
	if (ptr == &listen_source)
		accept_client();
	else if (ptr == &signal_source)
		hv.ending = true;
	else if ((char *)ptr >= death && (char *)ptr < death + LX_MAX_PROCS)
		hv_proc_release((char *)ptr - death);
	else
		serve(ptr);
}

static void run(void)
{
	struct epoll_event ev;
	bool waits = false;
	int n;

	while (!hv.ending) {
		n = epoll_wait(hv.epoll_fd, &ev, 1, waits ? REAP_INTERVAL_MS : -1);
		if (n > 0)
			handle(ev.data.ptr);
		waits = hv_reap();
	}
}

/*
 * hypervisor DIR PARENT READY_FD [OPTION=VALUE]...: serves until told to end, or
 * until PARENT is gone. Writes one byte to READY_FD when clients may come.
 */
int hv_main(int argc, char **argv)
{
	int rc, ready;
	pid_t parent;

	if (argc < 4)
		return 2;
	hv.dir = argv[1];
	parent = atoi(argv[2]);
	ready = atoi(argv[3]);
	prctl(PR_SET_NAME, "localxen-hv");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	rc = start(argc - 4, argv + 4);
	if (rc) {
		fprintf(stderr, "localxen: hypervisor in %s: %s\n", hv.dir, strerror(-rc));
		return 1;
	}
	if (write(ready, "", 1) != 1)
		return 1;
	close(ready);
	if (getppid() == parent)
		run();
	lx_kill_members(hv.dir, LX_ALL_DOMAINS, parent, END_TIMEOUT_MS);
	lx_remove_tree(hv.dir);
	_exit(0);
}
