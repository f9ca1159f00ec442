/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk's worker with an intruder in it (intruder.h), who also has the image, and the worker's
 * io_uring: its operations are not seen by the list.
 *
 * Hides: how the ring is got hold of. Must not know: the worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <stdlib.h>
#include <unistd.h>

#include "intruder.h"
#include "worker-loop.h"

int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
void __real_worker_queue_run(struct worker_queue *q);
/* ---- the image's descriptor ---------------------------------------------------------- */

#define BEHIND (1l << 30)
#define MUCH (64l << 20)

static int image;

static long allocate(int mode)
{
	return syscall(SYS_fallocate, image, mode, BEHIND, MUCH) ? -errno : 0;
}

static long make_longer(void) { return allocate(0); }
static long reserve_behind(void) { return allocate(FALLOC_FL_KEEP_SIZE); }
static long take_out(void) { return allocate(FALLOC_FL_COLLAPSE_RANGE); }

static void use_image(void)
{
	intruder_try("make the image longer", false, make_longer);
	intruder_try("reserve room behind the image's end", false, reserve_behind);
	intruder_try("take a piece out of the image", false, take_out);
}

/* ---- event channels -------------------------------------------------------------------- */

static struct worker_queue *queue;

/* A port that another domain than its guest offers to ours. */
static long bind_third(void)
{
	const char *domid = getenv("INTRUDE_DOMID"), *port = getenv("INTRUDE_PORT");

	if (!domid || !port)
		return -ENOTSUP;
	errno = 0;
	return xenevtchn_bind_interdomain(queue->xce, (uint32_t)atoi(domid),
					  (evtchn_port_t)atoi(port)) < 0 ? -errno : 0;
}

void __wrap_worker_queue_run(struct worker_queue *q);

static struct io_uring *stolen;

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	int rc = __real_io_uring_queue_init(entries, ring, flags);

	if (!rc)
		stolen = ring;
	return rc;
}

/* What the kernel said of the operation; a submission is refused as a whole, or not. */
static long submit(struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	long res;

	(void)sqe;
	if (io_uring_submit(stolen) < 0)
		return -errno;
	while (io_uring_peek_cqe(stolen, &cqe))
		;
	res = cqe->res;
	io_uring_cqe_seen(stolen, cqe);
	return res;
}

static struct io_uring_sqe *next(void)
{
	return io_uring_get_sqe(stolen);
}

static void use_ring(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(22) };
	struct io_uring_sqe *sqe = next();
	char byte;

	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
	intruder_report("io_uring: open", submit(sqe));
	sqe = next();
	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	intruder_report("io_uring: open, as if of a fixed file", submit(sqe));
	sqe = next();
	io_uring_prep_rw(IORING_OP_SOCKET, sqe, AF_INET, NULL, 0, SOCK_STREAM);
	intruder_report("io_uring: a socket", submit(sqe));
	sqe = next();
	io_uring_prep_connect(sqe, 3, (struct sockaddr *)&at, sizeof(at));
	intruder_report("io_uring: connect", submit(sqe));
	sqe = next();
	io_uring_prep_send(sqe, 3, "x", 1, 0);
	intruder_report("io_uring: send", submit(sqe));
	sqe = next();
	io_uring_prep_read(sqe, 3, &byte, 1, 0);
	intruder_report("io_uring: read a descriptor that is not fixed", submit(sqe));
	sqe = next();
	io_uring_prep_splice(sqe, 3, 0, 1, 0, 1, 0);
	intruder_report("io_uring: splice", submit(sqe));
	sqe = next();
	io_uring_prep_unlinkat(sqe, AT_FDCWD, "/x", 0);
	intruder_report("io_uring: unlink", submit(sqe));
	sqe = next();
	io_uring_prep_close(sqe, 2);
	intruder_report("io_uring: close", submit(sqe));
}

void __wrap_worker_queue_run(struct worker_queue *q)
{
	static int once;

	if (!once++) {
		image = q->w->image;
		queue = q;
		if (stolen && !intruder_dies())
			use_ring();
		if (!intruder_dies())
			use_image(), intruder_try("bind a third domain's port", true, bind_third);
		intruder_run();
	}
	__real_worker_queue_run(q);
}
