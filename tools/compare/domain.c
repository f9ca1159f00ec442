/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See domain.h. An event for the guest is an interrupt straight from its sender: the
 * event channel handle's descriptor is the irqfd.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xenstore.h>

#include "domain.h"
#include "localxen.h"

#define TEXT_MAX 4096u
#define PEER_PAGES 4u

_Static_assert(LX_PORT_STRIDE == CMP_PORT_STRIDE && LX_PORT_WORD_PENDING == CMP_EVENT_PENDING &&
	       LX_PORT_WORD_MASKED == CMP_EVENT_MASKED, "the guest's view of a port");

struct domain {
	struct vm *vm;
	uint32_t id;
	void *memory;
	size_t memory_bytes;
	xenevtchn_handle *xce;
	struct xs_handle *xs;
	bool exits;
	void *peer_page[PEER_PAGES];	/* mapped already, in the guest's order */
	unsigned int nr_peer_pages;
	pid_t peer;
	int store_irq_fd, rearm_fd, stop_fd;	/* the latter two wake the watcher */
	int sent_fd;			/* events that wake nobody; nobody reads it */
	pthread_t watcher;
	bool watching;
};

int domain_open(struct domain **out)
{
	struct domain *d = calloc(1, sizeof(*d));
	int fd, id, r = -ENOMEM;

	if (!d)
		return r;
	d->store_irq_fd = d->rearm_fd = d->stop_fd = d->sent_fd = -1;
	id = lx_own_domid();
	fd = id < 0 ? -1 : lx_own_memory_fd();
	r = fd < 0 ? -errno : 0;
	if (r)
		goto fail;
	d->id = (uint32_t)id;
	d->memory_bytes = (size_t)lseek(fd, 0, SEEK_END);
	d->memory = mmap(NULL, d->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = d->memory == MAP_FAILED ? -errno : 0;
	close(fd);
	if (r) {
		d->memory = NULL;
		goto fail;
	}
	d->xce = xenevtchn_open(NULL, 0);
	d->xs = d->xce ? xs_open(0) : NULL;
	d->store_irq_fd = eventfd(0, EFD_CLOEXEC);
	d->rearm_fd = eventfd(0, EFD_CLOEXEC);
	d->stop_fd = eventfd(0, EFD_CLOEXEC);
	d->sent_fd = eventfd(0, EFD_CLOEXEC);
	if (!d->xs || d->store_irq_fd < 0 || d->rearm_fd < 0 || d->stop_fd < 0 ||
	    d->sent_fd < 0) {
		r = -errno;
		goto fail;
	}
	*out = d;
	return 0;

fail:
	domain_close(d);
	return r;
}

static void stop_watcher(struct domain *d)
{
	uint64_t one = 1;

	if (write(d->stop_fd, &one, sizeof(one)) == sizeof(one) &&
	    write(d->rearm_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(d->watcher, NULL);
}

void domain_close(struct domain *d)
{
	if (!d)
		return;
	if (d->watching)
		stop_watcher(d);
	if (d->xs)
		xs_close(d->xs);
	if (d->xce)
		xenevtchn_close(d->xce);
	if (d->memory)
		munmap(d->memory, d->memory_bytes);
	if (d->store_irq_fd >= 0)
		close(d->store_irq_fd);
	if (d->rearm_fd >= 0)
		close(d->rearm_fd);
	if (d->stop_fd >= 0)
		close(d->stop_fd);
	if (d->sent_fd >= 0)
		close(d->sent_fd);
	free(d);
}

uint32_t domain_id(const struct domain *d)
{
	return d->id;
}

void *domain_memory(const struct domain *d, size_t *bytes)
{
	*bytes = d->memory_bytes;
	return d->memory;
}

/* One interrupt each time the guest has found nothing and then there is something. */
static void *watch_store(void *arg)
{
	const struct domain *d = arg;
	struct pollfd p[2] = { { .fd = xs_fileno(d->xs), .events = POLLIN },
			       { .fd = d->stop_fd, .events = POLLIN } };
	uint64_t n;

	while (read(d->rearm_fd, &n, sizeof(n)) == sizeof(n)) {
		while (poll(p, 2, -1) < 0 && errno == EINTR)
			;
		if (p[1].revents)
			break;
		n = 1;
		if (write(d->store_irq_fd, &n, sizeof(n)) < 0)
			break;
	}
	return NULL;
}

int domain_attach(struct domain *d, struct vm *vm, bool exits)
{
	struct lx_machine m;
	int r;

	d->vm = vm;
	d->exits = exits;
	if (lx_machine_tables(&m))
		return -errno;
	r = vm_map(vm, CMP_GPA_GRANTS, m.grants, m.grants_bytes);
	if (!r)
		r = vm_map(vm, CMP_GPA_PORTS, m.ports, m.ports_bytes);
	if (!r)
		r = vm_irqfd(vm, xenevtchn_fd(d->xce), CMP_VECTOR_EVENT);
	if (!r)
		r = vm_irqfd(vm, d->store_irq_fd, CMP_VECTOR_STORE);
	if (!r)
		r = vm_ioeventfd(vm, CMP_PORT_SENT, 4, VM_PORT, 0, d->sent_fd);
	if (!r)
		r = -pthread_create(&d->watcher, NULL, watch_store, d);
	d->watching = !r;
	return r;
}

/* ---- event channels -------------------------------------------------------------- */

static int64_t negative_errno(int64_t r)
{
	return r < 0 ? -errno : r;
}

/* Where the guest sees the page, as an offset from CMP_GPA_PEER; mapped once. */
static int64_t map_peer(struct domain *d, void *page)
{
	unsigned int i = 0;
	int r = 0;

	while (i < d->nr_peer_pages && d->peer_page[i] != page)
		i++;
	if (i == PEER_PAGES)
		return -ENOSPC;
	if (i == d->nr_peer_pages) {
		r = vm_map(d->vm, CMP_GPA_PEER + (uint64_t)i * CMP_PAGE, page, CMP_PAGE);
		if (!r)
			d->peer_page[d->nr_peer_pages++] = page;
	}
	return r ? r : (int64_t)i * CMP_PAGE;
}

static int64_t find_peer(struct domain *d, uint32_t port)
{
	struct lx_machine_peer p;
	int64_t at;
	int r;

	if (lx_machine_peer(port, &p))
		return -errno;
	d->peer = p.pid;
	at = d->exits ? -EBUSY : map_peer(d, p.page);
	r = at < 0 ? (int)at : vm_ioeventfd(d->vm, CMP_PORT_KICK, 4, VM_PORT, port, p.event_fd);
	close(p.event_fd);	/* KVM has its own hold on it */
	return r ? r : at + (int64_t)p.offset;
}

void domain_kick(struct domain *d, uint32_t port)
{
	xenevtchn_notify(d->xce, port);
}

pid_t domain_peer(const struct domain *d)
{
	return d->peer;
}

/* ---- the store ---------------------------------------------------------------------- */

/* A text of the guest's as ours. False: not in its memory, or too long. */
static bool text(const struct domain *d, uint64_t gpa, uint64_t bytes, char *to)
{
	const char *from = bytes < TEXT_MAX ? vm_memory(d->vm, gpa, bytes) : NULL;

	if (!from)
		return false;
	memcpy(to, from, bytes);
	to[bytes] = 0;
	return true;
}

static int64_t give(const struct domain *d, uint64_t gpa, uint64_t room, const void *data,
		    size_t bytes)
{
	void *to = vm_memory(d->vm, gpa, room);

	if (!to)
		return -EFAULT;
	if (bytes > room)
		return -E2BIG;
	memcpy(to, data, bytes);
	return (int64_t)bytes;
}

static int64_t store_read(struct domain *d, const struct cmp_call *c, const char *path)
{
	unsigned int bytes;
	void *value = xs_read(d->xs, (xs_transaction_t)c->arg[0], path, &bytes);
	int64_t r = value ? give(d, c->arg[3], c->arg[4], value, bytes) : -errno;

	free(value);
	return r;
}

static int64_t store_directory(struct domain *d, const struct cmp_call *c, const char *path)
{
	char buf[TEXT_MAX];
	size_t at = 0, bytes;
	unsigned int nr;
	char **names = xs_directory(d->xs, (xs_transaction_t)c->arg[0], path, &nr);

	if (!names)
		return -errno;
	for (unsigned int i = 0; i < nr; i++, at += bytes) {
		bytes = strlen(names[i]) + 1;
		if (bytes > sizeof(buf) - at)
			break;
		memcpy(buf + at, names[i], bytes);
	}
	free(names);
	return give(d, c->arg[3], c->arg[4], buf, at);
}

static int64_t store_write(struct domain *d, const struct cmp_call *c, const char *path)
{
	char value[TEXT_MAX];

	if (!text(d, c->arg[3], c->arg[4], value))
		return -EFAULT;
	return xs_write(d->xs, (xs_transaction_t)c->arg[0], path, value,
			(unsigned int)c->arg[4]) ? 0 : -errno;
}

static int64_t store_perms(struct domain *d, const struct cmp_call *c, const char *path)
{
	struct xs_permissions *perms;

	if (c->arg[4] > 16 || c->arg[3] % sizeof(uint32_t))
		return -EINVAL;
	perms = vm_memory(d->vm, c->arg[3], c->arg[4] * sizeof(*perms));
	if (!perms)
		return -EFAULT;
	return xs_set_permissions(d->xs, (xs_transaction_t)c->arg[0], path, perms,
				  (unsigned int)c->arg[4]) ? 0 : -errno;
}

static int64_t store_watch(struct domain *d, const struct cmp_call *c, const char *path)
{
	char token[TEXT_MAX];
	bool ok;

	if (!text(d, c->arg[3], c->arg[4], token))
		return -EFAULT;
	ok = c->nr == CMP_CALL_XS_WATCH ? xs_watch(d->xs, path, token) :
					  xs_unwatch(d->xs, path, token);
	return ok ? 0 : -errno;
}

static int64_t store_check(struct domain *d, const struct cmp_call *c)
{
	char **event = xs_check_watch(d->xs), buf[2 * TEXT_MAX];
	size_t path, token;
	uint64_t one = 1;

	if (!event)
		return write(d->rearm_fd, &one, sizeof(one)) < 0 ? -EIO : -EAGAIN;
	path = strlen(event[XS_WATCH_PATH]) + 1;
	token = strlen(event[XS_WATCH_TOKEN]) + 1;
	if (path + token <= sizeof(buf)) {
		memcpy(buf, event[XS_WATCH_PATH], path);
		memcpy(buf + path, event[XS_WATCH_TOKEN], token);
	}
	free(event);
	return path + token > sizeof(buf) ? -E2BIG :
	       give(d, c->arg[1], c->arg[2], buf, path + token);
}

static int64_t store_call(struct domain *d, const struct cmp_call *c)
{
	char path[TEXT_MAX];

	if (!text(d, c->arg[1], c->arg[2], path))
		return -EFAULT;
	switch (c->nr) {
	case CMP_CALL_XS_READ:
		return store_read(d, c, path);
	case CMP_CALL_XS_WRITE:
		return store_write(d, c, path);
	case CMP_CALL_XS_RM:
		return xs_rm(d->xs, (xs_transaction_t)c->arg[0], path) ? 0 : -errno;
	case CMP_CALL_XS_DIRECTORY:
		return store_directory(d, c, path);
	case CMP_CALL_XS_PERMS:
		return store_perms(d, c, path);
	case CMP_CALL_XS_WATCH:
	case CMP_CALL_XS_UNWATCH:
		return store_watch(d, c, path);
	default:
		return -ENOSYS;
	}
}

int64_t domain_call(struct domain *d, const struct cmp_call *c)
{
	xs_transaction_t t;

	switch (c->nr) {
	case CMP_CALL_EVTCHN_ALLOC:
		return negative_errno(xenevtchn_bind_unbound_port(d->xce, (uint32_t)c->arg[0]));
	case CMP_CALL_EVTCHN_UNBIND:
		return negative_errno(xenevtchn_unbind(d->xce, (evtchn_port_t)c->arg[0]));
	case CMP_CALL_EVTCHN_PEER:
		return find_peer(d, (uint32_t)c->arg[0]);
	case CMP_CALL_XS_START:
		t = xs_transaction_start(d->xs);
		return t == XBT_NULL ? -errno : (int64_t)t;
	case CMP_CALL_XS_END:
		return xs_transaction_end(d->xs, (xs_transaction_t)c->arg[0], c->arg[4]) ?
		       0 : -errno;
	case CMP_CALL_XS_CHECK:
		return store_check(d, c);
	default:
		return store_call(d, c);
	}
}
