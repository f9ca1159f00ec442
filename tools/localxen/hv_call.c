/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_call.c - one message of a client: who may ask for what.
 *
 * Hides the form of messages and replies. A client may send what it likes, and be gone
 * at any instant; what is no request gets no reply. Knows no loop.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hv.h"

struct hv hv = { .listen_fd = -1 };

/* What a request carries fits into it. */
_Static_assert(sizeof(struct lx_rule) <= sizeof(((struct lx_req *)0)->data), "rule");
_Static_assert(sizeof(struct lx_create) <= sizeof(((struct lx_req *)0)->data), "create");

/* ---- requests ---- */

struct call {
	struct hv_client *client;
	const struct lx_req *req;
	int in_fd, out_fd;	/* in_fd: -1 once somebody keeps it */
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

	if (c->client->proc >= 0)
		return -EISCONN;
	c->out_fd = hv.shm_fd;
	if (req->a & LX_HELLO_TOOL)
		return 0;
	rc = hv_proc_add(req->domid, c->client->pid,
			 req->a & LX_HELLO_INFRA ? LX_PROC_INFRA : 0, &c->rep->rep);
	if (rc)
		return rc;
	c->client->proc = c->rep->rep.a;
	c->client->proc_gen = c->rep->rep.b;
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
		memcpy(&create, req->data, sizeof(create));
		create.name[sizeof(create.name) - 1] = '\0';
		return hv_domain_create(&create, &c->rep->rep);
	case LX_OP_DESTROY:
		return hv_domain_destroy(req->domid);
	case LX_OP_SHUTDOWN:
		return hv_domain_shutdown(req->domid, req->a);
	case LX_OP_BELONG:
		return hv_domain_belong(req->domid, c->client->pid);
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
	case LX_OP_WAKE:
		return hv_wake_peer(slot, req->a, req->b);
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

	/* Nothing of another client's answer goes out with what is not filled in. */
	memset(c->rep->data, 0, nr * sizeof(uint32_t));
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
	int proc = c->client->proc;
	int rc;

	if (c->req->op == LX_OP_HELLO)
		rc = do_hello(c);
	else if (proc < 0)
		rc = do_tool(c);
	else if (!owns_slot(c->client))
		rc = -EBADF;
	else
		rc = do_process(c, proc);
	c->rep->rep.err = rc;
	if (rc) {
		c->out_fd = -1;
		c->rep_len = sizeof(struct lx_rep);
	}
}

/* ---- messages ---- */

static bool is_whole(const struct lx_req *req, size_t len)
{
	int size = len < sizeof(*req) ? -1 : item_size(req->op);

	if (size < 0)
		return len == sizeof(*req);
	return req->a && req->a <= LX_BATCH_MAX && len == LX_BATCH_SIZE(req->a, size);
}

bool hv_serve(struct hv_client *client)
{
	static struct lx_rep_share rep;
	static struct lx_req_batch in;
	struct lx_req *req = &in.req;
	struct call c = { .client = client, .req = req, .out_fd = -1, .rep = &rep,
			  .rep_len = sizeof(struct lx_rep) };
	ssize_t n = lx_recv(client->fd, &in, sizeof(in), &c.in_fd, MSG_DONTWAIT);
	bool answered = true;

	if (n > 0 && is_whole(req, n) && req->op != LX_OP_POKE) {
		memset(&rep.rep, 0, sizeof(rep.rep));
		execute(&c);
		/* It has one request under way, so its buffer has room; else it would wait for ever. */
		answered = lx_send(client->fd, &rep, c.rep_len, c.out_fd, MSG_DONTWAIT) >= 0;
	}
	if (c.in_fd >= 0)
		close(c.in_fd);
	return n > 0 ? answered : n < 0 && errno == EAGAIN;
}

void hv_client_gone(struct hv_client *client)
{
	if (owns_slot(client))
		hv_proc_release(client->proc);
	close(client->fd);
}
