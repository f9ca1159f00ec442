/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of helper threads: two lists under one lock, a condition for the
 * threads, an eventfd for the disk's thread. Threads are detached and counted:
 * close waits until the count is 0. Must not know an engine.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "disk-pool.h"
#include "util.h"

#define IDLE_SECONDS 5
/* disk_perform() and the C library's calls below it need little. */
#define STACK_BYTES (64u * 1024)

struct io_list {
	struct disk_io *first, **end;
};

struct disk_pool {
	struct disk *disk;
	struct disk_config cfg;
	int event_fd;
	uint32_t outstanding;		/* the disk's thread's own */

	pthread_mutex_t lock;		/* over what follows */
	pthread_cond_t work, gone;
	struct io_list todo, shared, done;
	uint32_t nr_todo;		/* in the first two */
	uint32_t nr_threads, nr_idle;
	bool closing;
};

static void list_clear(struct io_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void list_add(struct io_list *l, struct disk_io *io)
{
	io->next = NULL;
	*l->end = io;
	l->end = &io->next;
}

static struct disk_io *list_take(struct io_list *l)
{
	struct disk_io *io = l->first;

	l->first = io->next;
	if (!l->first)
		l->end = &l->first;
	return io;
}

/* ---- a helper thread ------------------------------------------------------- */

/* With the lock held. What blocks goes first: only helpers can do that. */
static struct disk_io *next_work(struct disk_pool *p)
{
	p->nr_todo--;
	return list_take(p->todo.first ? &p->todo : &p->shared);
}

/* syscalls disk: clock_gettime */
/* Waits for work, with the lock held. False: none came, or the pool closes. */
static bool wait_for_work(struct disk_pool *p)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	p->nr_idle++;
	while (!p->nr_todo && !p->closing && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&p->work, &p->lock, &until);
	p->nr_idle--;
	return p->nr_todo != 0;
}

/* syscalls disk: write */
static void wake_disk(struct disk_pool *p)
{
	uint64_t one = 1;
	ssize_t n = write(p->event_fd, &one, sizeof(one));

	assert(n == sizeof(one));
}

static void *helper(void *arg)
{
	struct disk_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	while (wait_for_work(p)) {
		struct disk_io *io = next_work(p);
		bool first;

		pthread_mutex_unlock(&p->lock);
		io->err = disk_perform(&p->cfg, io);
		pthread_mutex_lock(&p->lock);
		first = !p->done.first;
		list_add(&p->done, io);
		if (first)
			wake_disk(p);
	}
	p->nr_threads--;
	pthread_cond_signal(&p->gone);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* syscalls disk: clone(thread) rt_sigprocmask */
/* Signals stay with the threads that expect them; but for the sandbox's (sandbox.h). */
static int start_helper(struct disk_pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, helper, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* ---- the disk's thread ------------------------------------------------------ */

/* syscalls start: eventfd2 */
int disk_pool_open(struct disk *d, const struct disk_config *cfg, struct disk_pool **out)
{
	struct disk_pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	int err;

	if (!p)
		return -ENOMEM;
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0) {
		err = errno;
		free(p);
		return -err;
	}
	p->disk = d;
	p->cfg = *cfg;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &attr);
	pthread_cond_init(&p->gone, &attr);
	pthread_condattr_destroy(&attr);
	list_clear(&p->todo);
	list_clear(&p->shared);
	list_clear(&p->done);
	*out = p;
	return 0;
}

/* syscalls disk: close */
void disk_pool_close(struct disk_pool *p)
{
	if (!p)
		return;
	assert(p->outstanding == 0);
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	while (p->nr_threads)
		pthread_cond_wait(&p->gone, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->gone);
	pthread_mutex_destroy(&p->lock);
	close(p->event_fd);
	free(p);
}

/* With the lock held. A thread for each waiting operation, up to the limit. */
static void ensure_helper(struct disk_pool *p, uint32_t max_threads)
{
	if (p->nr_todo <= p->nr_idle || p->nr_threads >= max_threads)
		return;
	p->nr_threads++;
	if (start_helper(p))
		p->nr_threads--;
}

void disk_pool_submit(struct disk_pool *p, struct disk_io *io)
{
	struct disk_io *mine = NULL;

	p->outstanding++;
	pthread_mutex_lock(&p->lock);
	list_add(&p->todo, io);
	p->nr_todo++;
	ensure_helper(p, DISK_POOL_THREADS_MAX);
	if (!p->nr_threads)	/* no thread to be had: slow, but served */
		mine = next_work(p);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	if (!mine)
		return;
	p->outstanding--;
	disk_done(p->disk, mine, disk_perform(&p->cfg, mine));
}

void disk_pool_share(struct disk_pool *p, struct disk_io *io)
{
	p->outstanding++;
	pthread_mutex_lock(&p->lock);
	list_add(&p->shared, io);
	p->nr_todo++;
	ensure_helper(p, 1);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

struct disk_io *disk_pool_take_back(struct disk_pool *p)
{
	struct disk_io *io = NULL;

	if (!p->outstanding)
		return NULL;
	pthread_mutex_lock(&p->lock);
	if (p->shared.first) {
		io = list_take(&p->shared);
		p->nr_todo--;
		p->outstanding--;
	}
	pthread_mutex_unlock(&p->lock);
	return io;
}

bool disk_pool_busy(const struct disk_pool *p)
{
	return p->outstanding != 0;
}

/* syscalls disk: read */
void disk_pool_reap(struct disk_pool *p)
{
	struct disk_io *io, *next;
	uint64_t count;

	if (!p->outstanding)
		return;
	pthread_mutex_lock(&p->lock);
	io = p->done.first;
	list_clear(&p->done);
	if (io && read(p->event_fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	pthread_mutex_unlock(&p->lock);
	for (; io; io = next) {
		next = io->next;
		p->outstanding--;
		disk_done(p->disk, io, io->err);
	}
}

int disk_pool_fd(const struct disk_pool *p)
{
	return p->event_fd;
}
