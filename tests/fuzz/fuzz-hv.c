/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: local Xen's hypervisor (tools/localxen/hv.h), and what the processes of
 * guests may send it: requests of any form and number, from processes that die anywhere,
 * also in the middle of an operation on the shared memory (shm.h).
 *
 * Processes are made up: their pidfds are eventfds, readable once they are dead. When all
 * have gone, and all domains, nothing may be held: no descriptor, port, page or grant.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "fuzz.h"
#include "localxen/grant-entry.h"
#include "localxen/hv.h"
#include "localxen/kill.h"

#define CLIENTS 6u
#define STEPS_MAX 160u
#define KNOWN 64u
#define PID_BASE 0x7fff0000	/* no process of this machine has such a number */
#define DOM0_FREE_GREFS (LX_ENTRIES_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES)

static struct {
	struct client {
		struct hv_client hv;
		bool used;
		int peer;		/* its end of the socket */
		int death;		/* readable: it is dead */
	} client[CLIENTS];
	uint64_t known[KNOWN];		/* what replies have named */
	uint32_t nr_known;
} w;

/* ---- processes, as the kernel has them ------------------------------------------------ */

int pidfd_open(pid_t pid, unsigned flags)
{
	uint32_t i = (uint32_t)pid - PID_BASE;

	(void)flags;
	FUZZ_NEED(i < CLIENTS && w.client[i].used);
	return fcntl(w.client[i].death, F_DUPFD_CLOEXEC, 0);
}

static void kill_by(int death)
{
	uint64_t one = 1;

	FUZZ_NEED(write(death, &one, sizeof(one)) == sizeof(one));
}

int pidfd_send_signal(int fd, int signal, siginfo_t *info, unsigned flags)
{
	(void)signal, (void)info, (void)flags;
	kill_by(fd);
	return 0;
}

int lx_kill_members(const struct lx_kill *k, int timeout_ms)
{
	(void)k, (void)timeout_ms;
	return 0;
}

static bool is_dead(const struct client *c)
{
	struct pollfd p = { .fd = c->death, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* ---- the world -------------------------------------------------------------------------- */

static void open_shm(void)
{
	hv.shm_fd = memfd_create("fuzz-hv", MFD_CLOEXEC);
	FUZZ_NEED(hv.shm_fd >= 0 && !ftruncate(hv.shm_fd, sizeof(*hv.shm)));
	hv.shm = mmap(NULL, sizeof(*hv.shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		      hv.shm_fd, 0);
	FUZZ_NEED(hv.shm != MAP_FAILED && !hv_heap_init());
}

static void begin(void)
{
	struct lx_create dom0 = { .name = "Domain-0", .memory_frames = 256, .grant_frames = 1,
				  .maptrack_frames = 1, .extra_pages = 32, .has_extra_pages = 1 };
	struct lx_rep rep;

	if (!hv.shm)
		open_shm();
	FUZZ_NEED(!fallocate(hv.shm_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			     sizeof(*hv.shm)));
	memset(&w, 0, sizeof(w));
	hv.dir = "/nonexistent";
	hv.next_domid = hv.handle_gen = 0;
	hv.next_id = 0;
	hv.shm->nr_threads = CLIENTS + 1;
	hv.shm->heap_free_pages = LX_HEAP_PAGES;
	for (uint32_t i = 0; i < LX_MAX_DOMS; i++)
		hv.dom[i].mem_fd = -1;
	FUZZ_NEED(!hv_domain_create(&dom0, &rep) && rep.a == 0);
}

static void connect_client(uint32_t i)
{
	struct client *c = &w.client[i];
	int pair[2];

	FUZZ_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	*c = (struct client){ .used = true, .peer = pair[1],
			      .death = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			      .hv = { .fd = pair[0], .pid = PID_BASE + (int)i, .proc = -1 } };
	FUZZ_NEED(c->death >= 0);
}

static bool is_process(const struct client *c)
{
	return c->used && c->hv.proc >= 0 && hv.proc[c->hv.proc].used &&
	       hv.shm->proc[c->hv.proc].gen == c->hv.proc_gen;
}

/* Its death is seen first, or that its socket has closed. */
static void end_client(struct client *c, bool death_first)
{
	kill_by(c->death);
	close(c->peer);
	if (death_first && is_process(c))
		hv_proc_release((unsigned)c->hv.proc);
	FUZZ_NEED(!hv_serve(&c->hv));
	hv_client_gone(&c->hv);
	close(c->death);
	c->used = false;
}

static void bury_the_dead(void)
{
	for (uint32_t i = 0; i < CLIENTS; i++)
		if (w.client[i].used && is_dead(&w.client[i]))
			end_client(&w.client[i], i & 1);
}

/* ---- messages --------------------------------------------------------------------------- */

static void learn(uint64_t value)
{
	w.known[w.nr_known++ % KNOWN] = value;
}

static uint64_t value(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	if (how < 80)
		return how;
	if (how < 200)
		return w.known[how % KNOWN];
	if (how < 220)
		return UINT64_MAX - (how & 3u);
	if (how < 240)
		return UINT64_C(1) << (how * 3 & 63);
	return fuzz_u64(in);
}

static void take_reply(struct client *c, bool is_about_pages)
{
	static struct lx_rep_share rep;
	int fd;
	ssize_t n = lx_recv(c->peer, &rep, sizeof(rep), &fd, MSG_DONTWAIT);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return;
	FUZZ_NEED(n >= (ssize_t)sizeof(rep.rep) && rep.rep.err <= 0 && rep.rep.err > -4096);
	FUZZ_NEED(!rep.rep.err || (n == sizeof(rep.rep) && fd < 0));
	if (rep.rep.err)
		return;
	learn(rep.rep.a);
	if (rep.rep.b)
		learn(rep.rep.b);
	for (size_t i = 0; i < 6 && is_about_pages && sizeof(rep.rep) + i * 4 < (size_t)n; i++)
		learn(rep.data[i]);
}

/* As a client sends, but with up to three descriptors. */
static void send_with(struct client *c, const void *data, size_t bytes, const int *fds,
		      uint32_t nr)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} u;
	struct iovec iov = { (void *)data, bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr) {
		memset(&u, 0, sizeof(u));
		mh.msg_control = &u;
		mh.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		u.h.cmsg_level = SOL_SOCKET;
		u.h.cmsg_type = SCM_RIGHTS;
		u.h.cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(&u.h), fds, nr * sizeof(int));
	}
	FUZZ_NEED(sendmsg(c->peer, &mh, MSG_DONTWAIT) == (ssize_t)bytes);
}

/* fds: how many descriptors go with it, and of what. */
static void say(struct client *c, const void *data, size_t bytes, uint8_t fds)
{
	const uint64_t full = UINT64_MAX - 1;
	const struct lx_req *req = data;
	int fd[3], pair[2] = { -1, -1 };
	uint32_t nr = fds & 3u;

	for (uint32_t i = 0; i < nr; i++) {
		fd[i] = eventfd(0, EFD_CLOEXEC);
		FUZZ_NEED(!(fds & 4) || write(fd[i], &full, sizeof(full)) == sizeof(full));
	}
	if (nr && fds & 8) {	/* nobody reads it, and it has no room */
		FUZZ_NEED(!pipe2(pair, O_CLOEXEC) && fcntl(pair[1], F_SETPIPE_SZ, 4096) >= 0 &&
			  !fcntl(pair[1], F_SETFL, O_NONBLOCK));
		while (write(pair[1], w.known, 512) > 0)
			;
		FUZZ_NEED(!fcntl(pair[1], F_SETFL, 0));
		close(fd[0]);
		fd[0] = pair[1];
	}
	send_with(c, data, bytes, fd, nr);
	for (uint32_t i = 0; i < nr; i++)
		close(fd[i]);
	if (!hv_serve(&c->hv)) {	/* a packet of nothing is the end */
		FUZZ_NEED(!bytes);
		end_client(c, fds & 16);
	} else {
		take_reply(c, bytes > sizeof(*req) || req->op == LX_OP_SHARE ||
			   req->op == LX_OP_INCREASE || req->op == LX_OP_FLIP_GREFS);
	}
	if (pair[0] >= 0)
		close(pair[0]);
	hv.ending = false;
}

static struct client *some_client(struct fuzz_in *in)
{
	uint32_t i = fuzz_u8(in) % CLIENTS;

	if (!w.client[i].used)
		connect_client(i);
	return &w.client[i];
}

static void request(struct fuzz_in *in)
{
	struct client *c = some_client(in);
	struct lx_req req = { .op = fuzz_u8(in) % (LX_OP_TEARDOWN + 2u), .domid = (uint32_t)value(in) };
	uint8_t fds = fuzz_u8(in);

	req.a = value(in);
	req.b = value(in);
	req.c = value(in);
	req.d = value(in);
	if (req.op == LX_OP_RULE_ADD)
		fuzz_bytes(in, req.data, sizeof(req.data));
	say(c, &req, sizeof(req), fds < 128 && req.op == LX_OP_EVTCHN_OPEN ? 1 : fds < 192 ? 0 : fds);
}

/* What opens most doors. */
static void hello(struct fuzz_in *in)
{
	struct client *c = some_client(in);
	struct lx_req req = { .op = LX_OP_HELLO, .domid = fuzz_u8(in) % 4u };

	req.a = fuzz_u8(in) < 32 ? LX_HELLO_TOOL : 0;
	say(c, &req, sizeof(req), 0);
}

static void create(struct fuzz_in *in)
{
	struct client *c = some_client(in);
	struct lx_req req = { .op = LX_OP_CREATE };
	struct lx_create how = { .memory_frames = 256u + fuzz_u8(in), .grant_frames = 1,
				 .maptrack_frames = 1, .has_extra_pages = 1 };
	uint8_t raw = fuzz_u8(in);

	how.extra_pages = raw & 15u;
	how.domid = raw < 64 ? fuzz_u8(in) % 4u : 0;
	if (raw >= 240)
		fuzz_bytes(in, &how, sizeof(how));
	/* Not so many that each run takes as long as it takes to fill tables. */
	how.grant_frames %= 4;
	how.memory_frames %= 1u << 14;
	memcpy(req.data, &how, sizeof(how));
	say(c, &req, sizeof(req), 0);
}

static void batch(struct fuzz_in *in)
{
	static const uint8_t ops[] = { LX_OP_INCREASE, LX_OP_DECREASE, LX_OP_HEAP_MAP,
		LX_OP_HEAP_UNMAP, LX_OP_TRANSFER, LX_OP_FLIP_GREFS, LX_OP_FLIP_RETURN,
		LX_OP_FLIP_GIVE };
	static struct lx_req_batch b;
	struct client *c = some_client(in);
	uint8_t op = fuzz_u8(in) % sizeof(ops), nr = fuzz_u8(in);
	size_t bytes = sizeof(b.req);

	memset(&b, 0, sizeof(b));
	b.req.op = ops[op];
	b.req.a = nr < 200 ? 1u + nr % 8u : value(in);
	for (uint32_t i = 0; i < MIN(b.req.a, 8u); i++) {
		if (b.req.op == LX_OP_TRANSFER)
			b.transfer[i] = (struct lx_transfer){
				(uint32_t)value(in), fuzz_u8(in) % 5u, (uint32_t)value(in),
				-(fuzz_u8(in) == 1 ? fuzz_u8(in) % 12 : 0),
			};
		else if (b.req.op != LX_OP_INCREASE && b.req.op != LX_OP_FLIP_GREFS)
			b.frame[i] = (uint32_t)value(in);
	}
	if (b.req.op == LX_OP_TRANSFER)
		bytes += MIN(b.req.a, LX_BATCH_MAX) * sizeof(b.transfer[0]);
	else if (b.req.op != LX_OP_INCREASE && b.req.op != LX_OP_FLIP_GREFS)
		bytes += MIN(b.req.a, LX_BATCH_MAX) * sizeof(b.frame[0]);
	say(c, &b, bytes, 0);
}

static void octets(struct fuzz_in *in)
{
	static struct lx_req_batch b;
	struct client *c = some_client(in);
	size_t bytes = fuzz_u8(in) % 4u ? fuzz_below(in, sizeof(b)) : fuzz_u8(in);

	memset(&b, 0, sizeof(b));
	fuzz_bytes(in, &b, MIN(bytes, 64));
	/* Its descriptors must not stay, whatever becomes of it. */
	say(c, &b, bytes, fuzz_u8(in));
}

/* ---- operations on the shared memory, as far as they come --------------------------------- */

/* The client's thread record; each has one. */
static struct lx_thread *thread_of(const struct client *c)
{
	struct lx_thread *t = &hv.shm->thread[1 + (c - w.client)];

	t->proc = (uint32_t)c->hv.proc + 1;
	return t;
}

/* Each has eight of its domain's maptrack words. */
static uint32_t slot_of_hold(const struct client *c, uint32_t n)
{
	return (uint32_t)(c - w.client) * 8 + n % 8;
}

static bool set_status(struct lx_grant *g, uint32_t domid, bool write)
{
	uint32_t hdr = g->hdr;

	if ((LX_GRANT_FLAGS(hdr) & GTF_type_mask) != GTF_permit_access ||
	    LX_GRANT_DOMID(hdr) != domid || (write && LX_GRANT_FLAGS(hdr) & GTF_readonly))
		return false;
	g->hdr = hdr | GTF_reading | (write ? GTF_writing : 0);
	return true;
}

static void count(struct lx_active *act, bool write, int by)
{
	if (write)
		act->nr_write = (uint16_t)(act->nr_write + by);
	else
		act->nr_read = (uint16_t)(act->nr_read + by);
}

/* tools/localxen/grant.c, cut off after so many of its steps. False: it is dead. */
static bool take_hold(struct client *c, unsigned slot, uint32_t gref, bool write, uint32_t steps)
{
	struct lx_thread *t = thread_of(c);
	struct lx_dom *own = &hv.shm->dom[hv.proc[c->hv.proc].dom_slot];
	struct lx_active *act = &hv.shm->dom[slot].active[gref];
	uint32_t n = slot_of_hold(c, gref), self = (uint32_t)(t - hv.shm->thread) + 1;

	if (own->maptrack[n])
		return true;
	t->intent = LX_INTENT(LX_INTENT_LOCK, slot, gref);
	if (!steps--)
		return false;
	FUZZ_NEED(lx_entry_trylock(act, self));
	if (!steps--)
		return false;
	own->maptrack_high = MAX(own->maptrack_high, n + 1);
	own->maptrack[n] = LX_HOLD(gref, slot, write, c->hv.proc);
	if (!steps--)
		return false;
	if ((act->nr_read || act->nr_write ? act->domid == own->domid : true) &&
	    set_status(&hv.shm->dom[slot].grant[gref], own->domid, write)) {
		if (!steps--)
			return false;
		act->domid = (uint16_t)own->domid;
		count(act, write, 1);
	} else {
		own->maptrack[n] = 0;
	}
	if (!steps--)
		return false;
	lx_entry_unlock(act, self);
	if (!steps--)
		return false;
	t->intent = 0;
	return true;
}

static bool drop_hold(struct client *c, uint32_t n, uint32_t steps)
{
	struct lx_thread *t = thread_of(c);
	struct lx_dom *own = &hv.shm->dom[hv.proc[c->hv.proc].dom_slot];
	uint32_t self = (uint32_t)(t - hv.shm->thread) + 1, gref;
	uint64_t hold = own->maptrack[slot_of_hold(c, n)];
	struct lx_active *act;
	unsigned slot;

	if (!hold || LX_HOLD_PROC(hold) != (unsigned)c->hv.proc)
		return true;
	slot = LX_HOLD_GRANTER(hold);
	gref = LX_HOLD_GREF(hold);
	act = &hv.shm->dom[slot].active[gref];
	t->intent = LX_INTENT(LX_INTENT_LOCK, slot, gref);
	FUZZ_NEED(lx_entry_trylock(act, self));
	if (!steps--)
		return false;
	count(act, LX_HOLD_WRITE(hold), -1);
	if (!steps--)
		return false;
	lx_entry_clear_flags(act, &hv.shm->dom[slot].grant[gref]);
	own->maptrack[slot_of_hold(c, n)] = 0;
	if (!steps--)
		return false;
	lx_entry_unlock(act, self);
	t->intent = 0;
	return true;
}

/* lx_heap_pin() and lx_heap_unpin(). */
static void pin_page(struct client *c, uint64_t mfn)
{
	_Atomic uint64_t *pin = &thread_of(c)->pin[mfn & 1];
	uint32_t n = (uint32_t)(mfn - LX_HEAP_BASE_MFN);

	if (*pin) {
		*pin = 0;
	} else if (LX_IS_HEAP_MFN(mfn)) {
		*pin = LX_HOLD(n, LX_HOLD_HEAP, 1, c->hv.proc);
		if (hv.shm->heap[n].owner != hv.proc[c->hv.proc].dom_slot + 1)
			*pin = 0;
	}
}

static void use_memory(struct fuzz_in *in)
{
	struct client *c = some_client(in);
	uint8_t what = fuzz_u8(in);
	unsigned slot = what % 4u;
	uint64_t n = value(in);
	bool lives = true;

	if (!is_process(c) || hv.shm->dom[slot].state != LX_DOM_ALIVE)
		return;
	switch (what / 64) {
	case 0:
		if (n < hv.shm->dom[slot].nr_grants)
			lives = take_hold(c, slot, (uint32_t)n, what & 4, what / 8u % 8u);
		break;
	case 1:
		lives = drop_hold(c, (uint32_t)n, what / 8u % 8u);
		break;
	case 2:
		pin_page(c, n);
		break;
	default:	/* it was about to send an event */
		thread_of(c)->intent = LX_INTENT(LX_INTENT_NOTIFY, slot, n % LX_MAX_PORTS);
		lives = false;
	}
	if (!lives)
		end_client(c, what & 4);
}

/* An entry of its own table, as a guest's kernel may write it: it takes any transfer. */
static void write_entry(struct fuzz_in *in)
{
	unsigned slot = fuzz_u8(in) % 4u;
	uint64_t gref = value(in);
	struct lx_grant *g;

	if (hv.shm->dom[slot].state != LX_DOM_ALIVE || gref >= hv.shm->dom[slot].nr_grants ||
	    !hv_flip_owner(slot, (uint32_t)gref))
		return;
	g = &hv.shm->dom[slot].grant[gref];
	if (!g->hdr)
		g->hdr = LX_GRANT_HDR(GTF_accept_transfer, fuzz_u8(in) % 4u);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void check_dom0(void)
{
	const struct lx_dom *d = &hv.shm->dom[0];

	FUZZ_NEED(d->state == LX_DOM_ALIVE && !d->gntalloc_used_pages && !d->gntalloc_kept_pages);
	FUZZ_NEED(hv.dom[0].nr_free_grefs == DOM0_FREE_GREFS);
	for (uint32_t i = 0; i < d->nr_grants; i++)
		FUZZ_NEED((i == GNTTAB_RESERVED_XENSTORE || !d->grant[i].hdr) &&
			  !d->active[i].lock && !d->active[i].nr_read && !d->active[i].nr_write);
	for (uint32_t i = 0; i < d->nr_ports; i++)
		FUZZ_NEED(i == d->store_port || LX_PEER_STATE(d->port[i].peer) == LX_PORT_FREE);
	for (uint32_t i = 0; i < d->maptrack_high; i++)
		FUZZ_NEED(!d->maptrack[i]);
	/* Pages of the heap are its own until it gives them back. */
	FUZZ_NEED(hv.shm->heap_free_pages + d->tot_pages - d->nr_mem_frames == LX_HEAP_PAGES);
	hv_heap_domain_exit(0);
	FUZZ_NEED(hv.shm->heap_free_pages == LX_HEAP_PAGES);
}

static void end(void)
{
	struct lx_create last = { .memory_frames = 256, .grant_frames = 1, .maptrack_frames = 1 };
	struct lx_rep rep;

	for (uint32_t i = 0; i < CLIENTS; i++)
		if (w.client[i].used)
			end_client(&w.client[i], i & 1);
	/* The end of any domain forgets those who belonged to one and have ended. */
	hv_domain_create(&last, &rep);
	for (unsigned slot = 1; slot < LX_MAX_DOMS; slot++)
		if (hv.shm->dom[slot].state == LX_DOM_ALIVE)
			FUZZ_NEED(!hv_domain_destroy(hv.shm->dom[slot].domid));
	FUZZ_NEED(!hv_reap());
	for (unsigned slot = 1; slot < LX_MAX_DOMS; slot++)
		FUZZ_NEED(hv.shm->dom[slot].state == LX_DOM_FREE && hv.dom[slot].mem_fd < 0);
	for (uint32_t i = 0; i < hv.shm->nr_procs; i++)
		FUZZ_NEED(!hv.shm->proc[i].used);
	for (uint32_t i = 0; i < LX_MAX_HANDLES; i++)
		FUZZ_NEED(!hv.shm->handle[i].id);
	check_dom0();
	hv_share_exit(0);
	hv_flip_domain_exit(0);
	close(hv.dom[0].mem_fd);
}

static void step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);

	switch (what % 16) {
	case 0: case 1: case 2: case 3: case 4: request(in); break;
	case 5: case 6: batch(in); break;
	case 7: octets(in); break;
	case 8: case 9: hello(in); break;
	case 10: create(in); break;
	case 11: case 12: use_memory(in); break;
	case 13: write_entry(in); break;
	case 14: hv_reap(); break;
	default:
		if (w.client[what / 16 % CLIENTS].used)
			end_client(&w.client[what / 16 % CLIENTS], what & 128);
	}
	bury_the_dead();
}

static uint32_t nr_open(void)
{
	uint32_t nr = 0;

	for (int fd = 0; fd < 160; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	uint32_t before;

	if (!hv.shm)
		open_shm();
	before = nr_open();
	begin();
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(&in);
	end();
	FUZZ_NEED(nr_open() == before);
}
