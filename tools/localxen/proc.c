/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc.c - this process as a client of the hypervisor.
 *
 * Hides how a process joins an instance (environment, socket, shared memory),
 * its thread records, and what a fork means: the child shares nothing; handles
 * that it inherited refuse with EBADF, and the first one that it opens itself
 * joins it as a process of its own. Knows no grant and no port.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lx.h"

struct lx_state lx = {
	.sock = -1,
	.heap_fd = -1,
	.view_lock = PTHREAD_MUTEX_INITIALIZER,
	.peers_lock = PTHREAD_MUTEX_INITIALIZER,
};

static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t rpc_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;

struct self {
	struct lx_thread *rec;
	uint32_t incarnation;
};
static __thread struct self self;

/* syscalls all: write */
void lx_say(const char *fmt, ...)
{
	char line[300];
	va_list ap;
	int n = snprintf(line, sizeof(line), "localxen: ");

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}

long lx_stub(const char *name, int *said)
{
	if (!__atomic_exchange_n(said, 1, __ATOMIC_RELAXED))
		lx_say("%s is not provided by local Xen", name);
	errno = ENOSYS;
	return -1;
}

/* ---- messages ---- */

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

/* syscalls all: sendmsg */
ssize_t lx_send(int sock, const void *data, size_t len, int fd, int flags)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control c;
	struct cmsghdr *cm;
	ssize_t n;

	if (fd >= 0) {
		memset(&c, 0, sizeof(c));
		msg.msg_control = c.buf;
		msg.msg_controllen = sizeof(c.buf);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | flags);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* The buffer's padding has room for a second one: nobody wants that. syscalls all: close */
static void take_first(const struct cmsghdr *cm, int *fd)
{
	size_t nr = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int other;

	memcpy(fd, CMSG_DATA(cm), sizeof(int));
	for (size_t i = 1; i < nr; i++) {
		memcpy(&other, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
		close(other);
	}
}

/* syscalls all: recvmsg */
ssize_t lx_recv(int sock, void *data, size_t len, int *fd, int flags)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };
	union fd_control c;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = c.buf, .msg_controllen = sizeof(c.buf) };
	struct cmsghdr *cm;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | flags);
	} while (n < 0 && errno == EINTR);
	/* With a packet of no octets, too, which looks like the end. */
	cm = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cm && cm->cmsg_type == SCM_RIGHTS)
		take_first(cm, fd);
	return n;
}

static int send_packet(int sock, const void *data, size_t len, int fd)
{
	return lx_send(sock, data, len, fd, 0) == (ssize_t)len ? 0 : -ENOTCONN;
}

/* syscalls all: close */
static int recv_packet(int sock, void *data, size_t len, int *fd)
{
	int got;
	ssize_t n = lx_recv(sock, data, len, &got, 0);

	if (fd)
		*fd = got;
	else if (got >= 0)
		close(got);
	return n < (ssize_t)sizeof(struct lx_rep) ? -ENOTCONN : 0;
}

static int rpc(const void *req, size_t req_size, int out_fd, void *rep,
	       size_t rep_size, int *in_fd)
{
	struct lx_rep own;
	int rc, cancel;

	if (!rep) {
		rep = &own;
		rep_size = sizeof(own);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&rpc_lock);
	rc = send_packet(lx.sock, req, req_size, out_fd);
	if (!rc)
		rc = recv_packet(lx.sock, rep, rep_size, in_fd);
	pthread_mutex_unlock(&rpc_lock);
	pthread_setcancelstate(cancel, NULL);
	if (!rc)
		rc = ((struct lx_rep *)rep)->err;
	/* It was sent one, and this process has no number free for it. */
	return !rc && in_fd && *in_fd < 0 ? -EMFILE : rc;
}

int lx_rpc(const struct lx_req *req, int out_fd, void *rep, size_t rep_size,
	   int *in_fd)
{
	return rpc(req, sizeof(*req), out_fd, rep, rep_size, in_fd);
}

int lx_rpc_batch(const struct lx_req_batch *b, size_t item_size,
		 struct lx_rep_batch *rep)
{
	return rpc(b, LX_BATCH_SIZE(b->req.a, item_size), -1, rep, sizeof(*rep), NULL);
}

void lx_post(const struct lx_req *req)
{
	pthread_mutex_lock(&rpc_lock);
	send_packet(lx.sock, req, sizeof(*req), -1);
	pthread_mutex_unlock(&rpc_lock);
}

/* ---- threads ---- */

static void thread_ends(void *arg)
{
	struct self *s = arg;

	if (s->rec && s->incarnation == lx.incarnation)
		atomic_store(&s->rec->proc, 0);
	s->rec = NULL;
}

static struct lx_thread *claim_record(void)
{
	unsigned start = lx.proc_slot * 3 + 1;

	for (unsigned i = 0; i < LX_MAX_THREADS; i++) {
		unsigned n = (start + i) % LX_MAX_THREADS;
		struct lx_thread *t = &lx.shm->thread[n];
		uint32_t none = 0, high;

		if (n == LX_HV_THREAD || atomic_load(&t->proc))
			continue;
		/* First the bound, so that the hypervisor's scan covers it. */
		high = atomic_load(&lx.shm->nr_threads);
		while (high < n + 1 && !atomic_compare_exchange_weak(
				&lx.shm->nr_threads, &high, n + 1))
			;
		if (atomic_compare_exchange_strong(&t->proc, &none,
						   lx.proc_slot + 1))
			return t;
	}
	return NULL;
}

struct lx_thread *lx_thread_self(void)
{
	if (self.rec && self.incarnation == lx.incarnation)
		return self.rec;
	self.rec = claim_record();
	self.incarnation = lx.incarnation;
	if (self.rec)
		pthread_setspecific(thread_key, &self);
	return self.rec;
}

/* ---- fork ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&connect_lock);
	pthread_mutex_lock(&lx.view_lock);
	pthread_mutex_lock(&lx.peers_lock);
	pthread_mutex_lock(&rpc_lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&rpc_lock);
	pthread_mutex_unlock(&lx.peers_lock);
	pthread_mutex_unlock(&lx.view_lock);
	pthread_mutex_unlock(&connect_lock);
}

static void after_fork_child(void)
{
	pthread_mutex_init(&rpc_lock, NULL);
	pthread_mutex_init(&lx.peers_lock, NULL);
	pthread_mutex_init(&lx.view_lock, NULL);
	pthread_mutex_init(&connect_lock, NULL);
	if (lx.sock >= 0)
		close(lx.sock);
	lx.sock = -1;
	lx.connected = false;
	lx.incarnation++;
	/* The child may have closed what it inherited, or have files of its own there. */
	for (unsigned i = 0; i < LX_MAX_DOMS; i++)
		lx.view[i] = (struct lx_view){ .fd = -1 };
	lx.heap_fd = -1;
}

static void init_once(void)
{
	pthread_key_create(&thread_key, thread_ends);
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* ---- joining ---- */

static int open_socket(void)
{
	const char *dir = getenv("LOCALXEN_DIR");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, n;

	if (!dir) {
		lx_say("LOCALXEN_DIR is not set; start this program under "
		       "`localxen run`");
		return -ENOTCONN;
	}
	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" LX_SOCKET_NAME, dir);
	if (n >= (int)sizeof(addr.sun_path)) {
		lx_say("LOCALXEN_DIR %s is too long", dir);
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		lx_say("no hypervisor in %s: %s", dir, strerror(errno));
		close(fd);
		return -ENOTCONN;
	}
	return fd;
}

static int map_shm(int fd)
{
	struct lx_shm *shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_NORESERVE, fd, 0);

	close(fd);
	if (shm == MAP_FAILED)
		return -errno;
	if (shm->magic != LX_MAGIC || shm->version != LX_VERSION ||
	    shm->size_bytes != sizeof(*shm)) {
		lx_say("the hypervisor is of another version of local Xen");
		munmap(shm, sizeof(*shm));
		return -EPROTO;
	}
	madvise(shm, sizeof(*shm), MADV_DONTDUMP);
	lx.shm = shm;
	return 0;
}

static int hello(void)
{
	const char *domid = getenv("LOCALXEN_DOMID");
	struct lx_req req = { .op = LX_OP_HELLO,
			      .domid = domid ? strtoul(domid, NULL, 10) : 0,
			      .a = getenv("LOCALXEN_INFRA") ? LX_HELLO_INFRA : 0 };
	struct lx_rep rep;
	int fd, rc;

	rc = lx_rpc(&req, -1, &rep, sizeof(rep), &fd);
	if (rc) {
		lx_say("cannot join domain %u: %s", req.domid, strerror(-rc));
		return rc;
	}
	if (lx.shm)
		close(fd);
	else if ((rc = map_shm(fd)))
		return rc;
	lx.domid = req.domid;
	lx.proc_slot = rep.a;
	lx.proc = &lx.shm->proc[lx.proc_slot];
	lx.proc_gen = rep.b;
	lx.dom_slot = rep.c;
	lx.dom = &lx.shm->dom[lx.dom_slot];
	return 0;
}

int lx_connect(void)
{
	int rc = 0;

	pthread_once(&once, init_once);
	pthread_mutex_lock(&connect_lock);
	if (lx.connected)
		goto out;
	rc = lx.sock = open_socket();
	if (rc < 0)
		goto out;
	rc = hello();
	if (rc) {
		close(lx.sock);
		lx.sock = -1;
		goto out;
	}
	lx.connected = true;
out:
	pthread_mutex_unlock(&connect_lock);
	return rc < 0 ? rc : 0;
}

int lx_connect_tool(void)
{
	struct lx_req req = { .op = LX_OP_HELLO, .a = LX_HELLO_TOOL };
	struct lx_rep rep;
	int fd, rc = lx.sock = open_socket();

	if (rc < 0)
		return rc;
	rc = lx_rpc(&req, -1, &rep, sizeof(rep), &fd);
	return rc ? rc : map_shm(fd);
}

int lx_own_domid(void)
{
	int rc = lx_connect();

	return rc ? lx_ret(rc) : (int)lx.domid;
}

int lx_hypervisor_fd(void)
{
	int rc = lx_connect();

	return rc ? lx_ret(rc) : lx.sock;
}

int lx_store_port(void)
{
	int rc = lx_connect();

	return rc ? lx_ret(rc) : (int)lx.dom->store_port;
}
