/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.c - other domains' memory in this process.
 *
 * Hides when a domain's memory is fetched and mapped. A view is replaced only
 * when its slot has a new domain. A slot gets one only after every hold on the
 * old domain's grants has gone, and a caller here has such a hold (or the
 * domain is its own): so no thread still uses what is replaced.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lx.h"

/* syscalls disk, bridge: munmap close */
static void forget(struct lx_view *v)
{
	if (v->base)
		munmap(v->base, v->size_bytes);
	if (v->fd > 0)
		close(v->fd);
	v->base = NULL;
	v->fd = -1;
	atomic_store(&v->gen, 0);
}

/* Under lx.view_lock. */
static int fetch(unsigned slot, struct lx_view *v)
{
	struct lx_dom *dom = &lx.shm->dom[slot];
	uint32_t gen = atomic_load(&dom->gen);
	struct lx_req req = { .op = LX_OP_MEMORY, .a = slot, .b = gen };
	int rc, fd;

	if (v->gen == gen)
		return 0;
	if (v->gen)
		forget(v);
	rc = lx_rpc(&req, -1, NULL, 0, &fd);
	if (rc)
		return rc;
	v->fd = fd;
	v->size_bytes = (size_t)dom->nr_mem_frames * LX_PAGE_SIZE;
	atomic_store_explicit(&v->gen, gen, memory_order_release);
	return 0;
}

static bool is_current(unsigned slot, const struct lx_view *v)
{
	return atomic_load_explicit(&v->gen, memory_order_acquire) ==
	       atomic_load_explicit(&lx.shm->dom[slot].gen, memory_order_relaxed);
}

int lx_view_fd(unsigned slot)
{
	struct lx_view *v = &lx.view[slot];
	int rc = 0;

	if (is_current(slot, v))
		return v->fd;
	pthread_mutex_lock(&lx.view_lock);
	rc = fetch(slot, v);
	pthread_mutex_unlock(&lx.view_lock);
	return rc ? rc : v->fd;
}

/* syscalls disk, bridge: mmap(data) madvise */
static char *map_view(struct lx_view *v)
{
	void *p = mmap(NULL, v->size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, v->fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, v->size_bytes, MADV_DONTDUMP);
	return p;
}

char *lx_view_base(unsigned slot)
{
	struct lx_view *v = &lx.view[slot];
	char *base = atomic_load_explicit(&v->base, memory_order_acquire);

	if (base && is_current(slot, v))
		return base;
	pthread_mutex_lock(&lx.view_lock);
	if (fetch(slot, v))
		base = NULL;
	else if (!(base = v->base))
		atomic_store_explicit(&v->base, base = map_view(v),
				      memory_order_release);
	pthread_mutex_unlock(&lx.view_lock);
	return base;
}

static unsigned run_length(const uint64_t *pages, unsigned count)
{
	unsigned n = 1;

	while (n < count && pages[n] == pages[0] + n)
		n++;
	return n;
}

static void *map_run(void *addr, uint64_t page, unsigned count, int prot, int flags)
{
	int fd = lx_view_fd(LX_PAGE_SLOT(page));

	if (fd < 0) {
		errno = -fd;
		return MAP_FAILED;
	}
	return mmap(addr, (size_t)count * LX_PAGE_SIZE, prot,
		    MAP_SHARED | MAP_POPULATE | flags, fd,
		    (off_t)LX_PAGE_FRAME(page) * LX_PAGE_SIZE);
}

/* syscalls disk, bridge: mmap(data) munmap */
int lx_map_pages(const uint64_t *pages, unsigned count, int prot, void **out)
{
	size_t len = (size_t)count * LX_PAGE_SIZE;
	unsigned n = run_length(pages, count);
	char *p;

	if (n == count) {
		p = map_run(NULL, pages[0], count, prot, 0);
		if (p == MAP_FAILED)
			return -errno;
		*out = p;
		return 0;
	}
	p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < count; i += n) {
		n = run_length(pages + i, count - i);
		if (map_run(p + (size_t)i * LX_PAGE_SIZE, pages[i], n, prot,
			    MAP_FIXED) == MAP_FAILED) {
			int err = errno;

			munmap(p, len);
			return -err;
		}
	}
	*out = p;
	return 0;
}

void *lx_map_own_frame(uint64_t gfn)
{
	uint64_t page;
	void *p;
	int rc = lx_connect();

	if (!rc && gfn >= lx.dom->nr_mem_frames)
		rc = -EINVAL;
	if (!rc) {
		page = LX_PAGE(lx.dom_slot, gfn);
		rc = lx_map_pages(&page, 1, PROT_READ | PROT_WRITE, &p);
	}
	if (rc) {
		errno = -rc;
		return NULL;
	}
	return p;
}

int lx_own_memory_fd(void)
{
	int rc = lx_connect();

	if (!rc)
		rc = lx_view_fd(lx.dom_slot);
	return rc < 0 ? lx_ret(rc) : fcntl(rc, F_DUPFD_CLOEXEC, 3);
}
