/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evtchn.c - libxenevtchn on local Xen.
 *
 * Behaves as libxenevtchn over Linux's /dev/xen/evtchn. The handle's descriptor
 * is an eventfd in semaphore mode. The one rule: whoever brings a port from not
 * deliverable to deliverable (PENDING and not MASKED) writes one token to its
 * handle's eventfd. So there are never fewer tokens than deliverable ports, those
 * aside whose sender has not written yet, and seldom more.
 * Binding and closing are the hypervisor's (hv_evtchn.c); notify, pending and
 * unmask happen here, by atomic operations on the port's word.
 *
 * A sender killed between its two steps is made good by the hypervisor, which
 * may then write one token too many, as a port that is closed while its sender is
 * between them: that comes out as a spurious event.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xenevtchn.h>
#include "lx.h"

#define READY_MASK (LX_PORT_PENDING | LX_PORT_MASKED)

/* Other processes' eventfds, by handle index. */
static struct {
	_Atomic uint32_t id;	/* the handle that fd belongs to, or 0 */
	int fd;
} peers[LX_MAX_HANDLES];
static _Atomic uint32_t peers_incarnation;

/* ---- handles ---- */

static xenevtchn_handle *new_handle(int fd)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));
	struct lx_rep rep;
	int rc = -ENOMEM;

	if (!xce)
		goto fail;
	rc = lx_rpc(&(struct lx_req){ .op = LX_OP_EVTCHN_OPEN }, fd, &rep,
		    sizeof(rep), NULL);
	if (rc)
		goto fail;
	xce->fd = fd;
	xce->id = rep.a;
	xce->incarnation = lx.incarnation;
	xce->restrict_domid = -1;
	pthread_mutex_init(&xce->lock, NULL);
	return xce;

fail:
	free(xce);
	errno = -rc;
	return NULL;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	xenevtchn_handle *xce;
	int fd, rc;

	(void)logger;
	if (!lx_may_open())
		return NULL;
	if (flags & ~XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	fd = eventfd(0, EFD_SEMAPHORE |
		     (flags & XENEVTCHN_NO_CLOEXEC ? 0 : EFD_CLOEXEC));
	if (fd < 0)
		return NULL;
	xce = new_handle(fd);
	if (!xce) {
		rc = errno;
		close(fd);
		errno = rc;
	}
	return xce;
}

/* A handle over a descriptor of an earlier one; its ports did not survive. */
xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
				   unsigned flags)
{
	(void)logger;
	if (!lx_may_open())
		return NULL;
	if (flags) {
		errno = EINVAL;
		return NULL;
	}
	if (fcntl(fd, F_GETFD) < 0)
		return NULL;
	return new_handle(fd);
}

/* syscalls disk, bridge: close */
int xenevtchn_close(xenevtchn_handle *xce)
{
	if (!xce)
		return 0;
	if (!lx_usable(xce->incarnation))
		lx_rpc(&(struct lx_req){ .op = LX_OP_EVTCHN_CLOSE, .a = xce->id },
		       -1, NULL, 0, NULL);
	close(xce->fd);
	free(xce->ports);
	free(xce->stale);
	free(xce);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->fd;
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	if (xce->restrict_domid >= 0)
		return lx_ret(-EACCES);
	if (domid >= LX_DOMIDS)
		return lx_ret(-EINVAL);
	xce->restrict_domid = domid;
	return 0;
}

/* ---- the handle's ports ---- */

static int bind(xenevtchn_handle *xce, enum lx_call call, int32_t need_domid,
		struct lx_req *req)
{
	struct lx_rep rep;
	int rc = lx_usable(xce->incarnation);

	if (!rc)
		rc = -lx_fail_check(call);
	if (!rc && xce->restrict_domid >= 0 && xce->restrict_domid != need_domid)
		rc = -EACCES;
	if (rc)
		return lx_ret(rc);
	req->a = xce->id;
	rc = lx_evtchn_attach(xce, req, &rep);
	return lx_ret(rc ? rc : (int)rep.a);
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
						      uint32_t domid)
{
	return bind(xce, LX_CALL_ALLOC, domid,
		    &(struct lx_req){ .op = LX_OP_ALLOC_UNBOUND, .domid = domid });
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
						     uint32_t domid,
						     evtchn_port_t remote_port)
{
	return bind(xce, LX_CALL_BIND, domid,
		    &(struct lx_req){ .op = LX_OP_BIND_INTERDOMAIN, .domid = domid,
				      .b = remote_port });
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned virq)
{
	return bind(xce, LX_CALL_VIRQ, -1,
		    &(struct lx_req){ .op = LX_OP_BIND_VIRQ, .b = virq });
}

static int own_port(const xenevtchn_handle *xce, evtchn_port_t port,
		    struct lx_port **out)
{
	int rc = lx_usable(xce->incarnation);

	if (rc)
		return rc;
	if (port >= LX_MAX_PORTS)
		return -EINVAL;
	*out = &lx.dom->port[port];
	return atomic_load_explicit(&(*out)->handle, memory_order_relaxed) ==
	       xce->id ? 0 : -ENOTCONN;
}

static void forget_port(xenevtchn_handle *xce, uint32_t port)
{
	for (unsigned i = 0; i < xce->nr_ports; i++) {
		if (xce->ports[i] != port)
			continue;
		xce->ports[i] = xce->ports[--xce->nr_ports];
		return;
	}
}

/* syscalls disk, bridge: write */
static void write_token(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;	/* only if the program closed it behind our back */
}

/*
 * A port was closed while deliverable. The device has its number in a ring by then, where
 * an unbind leaves it; here its token is in the eventfd, or will be, or, if its sender finds
 * no handle any more, never comes. So whoever takes a token that no deliverable port
 * accounts for gets the number.
 */
static void keep_stale(xenevtchn_handle *xce, uint32_t port)
{
	uint32_t *stale = realloc(xce->stale, (xce->nr_stale + 1) * sizeof(*stale));

	if (!stale)
		return;		/* it comes out as a spurious event */
	xce->stale = stale;
	xce->stale[xce->nr_stale++] = port;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct lx_port *p;
	struct lx_rep rep;
	int rc = own_port(xce, port, &p);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_UNBIND);
	if (rc)
		return lx_ret(rc);
	pthread_mutex_lock(&xce->lock);
	rc = lx_rpc(&(struct lx_req){ .op = LX_OP_UNBIND, .a = xce->id, .b = port },
		    -1, &rep, sizeof(rep), NULL);
	if (!rc) {
		forget_port(xce, port);
		if (rep.a)
			keep_stale(xce, port);
	}
	pthread_mutex_unlock(&xce->lock);
	return lx_ret(rc);
}

/* ---- sending ---- */

/* syscalls disk, bridge: dup3 close */
/*
 * The eventfd of another process's handle, or -1. A stale one is replaced under the
 * same number, because another thread may be about to write to it. The child of a
 * fork may have closed what it inherited: it begins anew.
 */
static int peer_fd(uint32_t id)
{
	unsigned i = LX_HANDLE_INDEX(id);
	int fd;

	if (atomic_load_explicit(&peers_incarnation, memory_order_acquire) ==
	    lx.incarnation &&
	    atomic_load_explicit(&peers[i].id, memory_order_acquire) == id)
		return peers[i].fd;
	pthread_mutex_lock(&lx.peers_lock);
	if (peers_incarnation != lx.incarnation) {
		memset(peers, 0, sizeof(peers));
		atomic_store_explicit(&peers_incarnation, lx.incarnation,
				      memory_order_release);
	}
	if (peers[i].id != id &&
	    !lx_rpc(&(struct lx_req){ .op = LX_OP_EVTCHN_FD, .a = id }, -1, NULL, 0,
		    &fd)) {
		if (peers[i].id) {
			dup3(fd, peers[i].fd, O_CLOEXEC);
			close(fd);
		} else {
			peers[i].fd = fd;
		}
		atomic_store_explicit(&peers[i].id, id, memory_order_release);
	}
	fd = peers[i].id == id ? peers[i].fd : -1;
	pthread_mutex_unlock(&lx.peers_lock);
	return fd;
}

/*
 * Pairs with take_port() and xenevtchn_unmask() of the receiver. False: there is no
 * descriptor to wake it with.
 */
static bool signal_port(struct lx_port *p)
{
	uint32_t old = atomic_fetch_or(&p->word, LX_PORT_PENDING);
	uint32_t id;
	int fd;

	if (old & READY_MASK)
		return true;
	/* After the word: hv_evtchn.c sets the handle before it unmasks a port. */
	id = atomic_load(&p->handle);
	if (!id)
		return true;
	fd = peer_fd(id);
	if (fd >= 0)
		write_token(fd);
	return fd >= 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct lx_thread *t;
	struct lx_port *p;
	uint64_t peer;
	int rc = own_port(xce, port, &p);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_NOTIFY);
	if (rc)
		return lx_ret(rc);
	peer = atomic_load_explicit(&p->peer, memory_order_acquire);
	if (LX_PEER_STATE(peer) != LX_PORT_INTERDOMAIN)
		return LX_PEER_STATE(peer) == LX_PORT_UNBOUND ? 0 : lx_ret(-EINVAL);
	t = lx_thread_self();
	if (!t)
		return lx_ret(-ENOMEM);
	atomic_store_explicit(&t->intent, LX_INTENT(LX_INTENT_NOTIFY,
			LX_PEER_SLOT(peer), LX_PEER_PORT(peer)), memory_order_release);
	if (!signal_port(&lx.shm->dom[LX_PEER_SLOT(peer)].port[LX_PEER_PORT(peer)]))
		rc = lx_rpc(&(struct lx_req){ .op = LX_OP_WAKE, .a = xce->id, .b = port },
			    -1, NULL, 0, NULL);
	atomic_store_explicit(&t->intent, 0, memory_order_release);
	return lx_ret(rc);
}

/* ---- receiving ---- */

/* Deliverable -> masked and delivered. False if it is not deliverable. */
static bool take_port(struct lx_port *p)
{
	uint32_t word = LX_PORT_PENDING;

	return atomic_compare_exchange_strong(&p->word, &word, LX_PORT_MASKED);
}

/*
 * A token without a deliverable port: of one that was closed, else any unmasked port will
 * do, as Xen may be spurious.
 */
static int other_event(xenevtchn_handle *xce)
{
	if (xce->nr_stale) {
		uint32_t port = xce->stale[0];

		memmove(xce->stale, xce->stale + 1, --xce->nr_stale * sizeof(port));
		return port;
	}
	if (!xce->nr_ports)
		return -EAGAIN;
	for (unsigned i = 0; i < xce->nr_ports; i++) {
		uint32_t idle = 0;

		if (atomic_compare_exchange_strong(
				&lx.dom->port[xce->ports[i]].word, &idle,
				LX_PORT_MASKED))
			return xce->ports[i];
	}
	return xce->ports[0];
}

/* syscalls disk, bridge: read */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint64_t token;
	int rc = lx_usable(xce->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_PENDING);
	if (rc)
		return lx_ret(rc);
	if (read(xce->fd, &token, sizeof(token)) < 0)
		return -1;
	pthread_mutex_lock(&xce->lock);
	rc = -1;
	for (unsigned n = xce->nr_ports; n && rc < 0; n--) {
		unsigned i = xce->next++ % xce->nr_ports;

		if (take_port(&lx.dom->port[xce->ports[i]]))
			rc = xce->ports[i];
	}
	if (rc < 0)
		rc = other_event(xce);
	pthread_mutex_unlock(&xce->lock);
	return lx_ret(rc);
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct lx_port *p;
	uint32_t old;
	int rc = own_port(xce, port, &p);

	if (rc == -ENOTCONN)
		return 0;	/* the device ignores ports that are not the handle's */
	if (!rc)
		rc = -lx_fail_check(LX_CALL_UNMASK);
	if (rc)
		return lx_ret(rc);
	old = atomic_fetch_and(&p->word, ~LX_PORT_MASKED);
	if ((old & READY_MASK) == READY_MASK)
		write_token(xce->fd);
	return 0;
}
