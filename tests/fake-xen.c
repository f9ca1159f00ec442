/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stand-ins of fake-xen.h. Guest memory is a memfd, so that a map is a
 * second view of the page, as on a host; one lock covers everything.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "fake-xen.h"

#define PAGE 4096u
#define GREFS 8192u
#define FIRST_GREF 8u
#define PORTS 96u

struct grant {
	bool granted, read_only;
	uint32_t page, mapped;
};

struct mapping {
	uint8_t *addr;
	uint32_t nr;
	uint32_t *grefs;
	struct mapping *next;
};

struct xengntdev_handle { struct mapping *maps; };

struct port {
	struct xenevtchn_handle *handle;
	bool pending, masked;
	uint32_t sent, taken;
};

struct xenevtchn_handle { int fd; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *memory;
static int memory_fd = -1;
static struct grant grants[GREFS];
static uint32_t next_gref, nr_mapped, nr_handles, nr_maps, nr_copies, nr_straddles, fail_nth;
static int fail_errno;
static uint32_t max_mapped, fail_copies;
static int fail_copy_errno;
static int16_t fail_copy_status;
static struct port ports[PORTS];

/* ---- the test's side --------------------------------------------------------------- */

void fake_reset(void)
{
	pthread_mutex_lock(&lock);
	if (memory_fd < 0) {
		memory_fd = memfd_create("guest", MFD_CLOEXEC);
		assert(memory_fd >= 0 && ftruncate(memory_fd, FAKE_PAGES * PAGE) == 0);
		memory = mmap(NULL, FAKE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      memory_fd, 0);
		assert(memory != MAP_FAILED);
	}
	/* Zeroes by giving back: most pages are not touched between two resets. */
	assert(fallocate(memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 FAKE_PAGES * PAGE) == 0);
	memset(grants, 0, sizeof(grants));
	memset(ports, 0, sizeof(ports));
	next_gref = FIRST_GREF;
	nr_maps = nr_copies = nr_straddles = fail_nth = fail_copies = 0;
	max_mapped = UINT32_MAX;
	assert(nr_mapped == 0 && nr_handles == 0);
	pthread_mutex_unlock(&lock);
}

uint8_t *fake_page(uint32_t page)
{
	assert(page < FAKE_PAGES);
	return memory + (size_t)page * PAGE;
}

uint32_t fake_grant(uint32_t page, bool read_only)
{
	uint32_t gref;

	pthread_mutex_lock(&lock);
	gref = next_gref++;
	assert(gref < GREFS);
	grants[gref] = (struct grant){ true, read_only, page, 0 };
	pthread_mutex_unlock(&lock);
	return gref;
}

bool fake_revoke(uint32_t gref)
{
	bool done;

	pthread_mutex_lock(&lock);
	done = grants[gref].granted && !grants[gref].mapped;
	if (done)
		grants[gref].granted = false;
	pthread_mutex_unlock(&lock);
	return done;
}

static uint32_t get(const uint32_t *p)
{
	uint32_t v;

	pthread_mutex_lock(&lock);
	v = *p;
	pthread_mutex_unlock(&lock);
	return v;
}

uint32_t fake_mapped(void) { return get(&nr_mapped); }
uint32_t fake_handles(void) { return get(&nr_handles); }
uint32_t fake_maps(void) { return get(&nr_maps); }
uint32_t fake_copies(void) { return get(&nr_copies); }
uint32_t fake_straddles(void) { return get(&nr_straddles); }

void fake_fail_map(uint32_t nth, int err)
{
	fail_nth = nth;
	fail_errno = err;
}

void fake_limit_maps(uint32_t pages)
{
	pthread_mutex_lock(&lock);
	max_mapped = pages;
	pthread_mutex_unlock(&lock);
}

void fake_fail_copies(uint32_t nr, int err, int16_t status)
{
	fail_copies = nr;
	fail_copy_errno = err;
	fail_copy_status = status;
}

/* ---- grants -------------------------------------------------------------------------- */

static struct grant *granted(uint32_t domid, uint32_t gref)
{
	if (domid != FAKE_DOMID || gref >= GREFS || !grants[gref].granted)
		return NULL;
	return &grants[gref];
}

/* As gntdev: whatever Xen's reason. */
static int check_map(uint32_t domid, const uint32_t *refs, uint32_t count, int prot)
{
	nr_maps++;
	if (fail_nth && --fail_nth == 0)
		return fail_errno;
	for (uint32_t i = 0; i < count; i++) {
		const struct grant *g = granted(domid, refs[i]);

		if (!g || (g->read_only && (prot & PROT_WRITE)))
			return EINVAL;
	}
	return count > max_mapped - nr_mapped ? EINVAL : 0;
}

static void map_pages(struct mapping *m, int prot)
{
	m->addr = mmap(NULL, m->nr * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(m->addr != MAP_FAILED);
	for (uint32_t i = 0; i < m->nr; i++) {
		struct grant *g = &grants[m->grefs[i]];
		void *at = mmap(m->addr + i * PAGE, PAGE, prot, MAP_SHARED | MAP_FIXED,
				memory_fd, (off_t)g->page * PAGE);

		assert(at != MAP_FAILED);
		g->mapped++;
		nr_mapped++;
	}
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
				      uint32_t domid, uint32_t *refs, int prot)
{
	struct mapping *m;
	int err;

	pthread_mutex_lock(&lock);
	err = check_map(domid, refs, count, prot);
	if (err) {
		pthread_mutex_unlock(&lock);
		errno = err;
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	m->grefs = malloc(count * sizeof(refs[0]));
	memcpy(m->grefs, refs, count * sizeof(refs[0]));
	m->nr = count;
	map_pages(m, prot);
	m->next = xgt->maps;
	xgt->maps = m;
	pthread_mutex_unlock(&lock);
	return m->addr;
}

/* As gntdev in a PV dom0: the whole mapping, or nothing. */
int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	struct mapping **at = &xgt->maps, *m;

	pthread_mutex_lock(&lock);
	while (*at && (*at)->addr != start)
		at = &(*at)->next;
	m = *at;
	assert(m && m->nr == count);
	*at = m->next;
	for (uint32_t i = 0; i < count; i++)
		grants[m->grefs[i]].mapped--;
	nr_mapped -= count;
	munmap(m->addr, count * PAGE);
	free(m->grefs);
	free(m);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* One side of a copy: our memory, or a page of the guest's. */
static int16_t side(bool is_gref, uint16_t domid, uint32_t gref, uint32_t offset,
		    uint32_t bytes, bool write, void *virt, uint8_t **out)
{
	const struct grant *g;

	*out = virt;
	if (!is_gref)
		return GNTST_okay;
	g = granted(domid, gref);
	if (!g)
		return GNTST_bad_gntref;
	if (offset + bytes > PAGE)
		return GNTST_bad_copy_arg;
	if (write && g->read_only)
		return GNTST_permission_denied;
	*out = fake_page(g->page) + offset;
	return GNTST_okay;
}

static bool straddles(bool is_gref, const void *virt, uint32_t bytes)
{
	return !is_gref && (uintptr_t)virt % PAGE + bytes > PAGE;
}

static int16_t copy_one(xengnttab_grant_copy_segment_t *s)
{
	uint8_t *from, *to;
	int16_t status = side(s->flags & GNTCOPY_source_gref, s->source.foreign.domid,
			      s->source.foreign.ref, s->source.foreign.offset, s->len, false,
			      s->source.virt, &from);

	if (!status)
		status = side(s->flags & GNTCOPY_dest_gref, s->dest.foreign.domid,
			      s->dest.foreign.ref, s->dest.foreign.offset, s->len, true,
			      s->dest.virt, &to);
	if (!status)
		memmove(to, from, s->len);
	if (straddles(s->flags & GNTCOPY_source_gref, s->source.virt, s->len) ||
	    straddles(s->flags & GNTCOPY_dest_gref, s->dest.virt, s->len))
		nr_straddles++;
	return status;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
			 xengnttab_grant_copy_segment_t *segs)
{
	int err = 0;

	(void)xgt;
	pthread_mutex_lock(&lock);
	nr_copies++;
	if (fail_copies)
		err = fail_copy_errno;
	for (uint32_t i = 0; !err && i < count; i++)
		segs[i].status = fail_copies ? fail_copy_status : copy_one(&segs[i]);
	fail_copies -= fail_copies != 0;
	pthread_mutex_unlock(&lock);
	errno = err;
	return err ? -1 : 0;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger, (void)flags;
	pthread_mutex_lock(&lock);
	nr_handles++;
	pthread_mutex_unlock(&lock);
	return calloc(1, sizeof(struct xengntdev_handle));
}

int xengnttab_close(xengnttab_handle *xgt)
{
	assert(!xgt->maps);	/* a leak on a host, so a leak here */
	pthread_mutex_lock(&lock);
	nr_handles--;
	pthread_mutex_unlock(&lock);
	free(xgt);
	return 0;
}

/* ---- event channels: a local port has the number of the guest's ------------------------ */

static void set_ready(struct xenevtchn_handle *h)
{
	uint64_t one = 1;

	assert(write(h->fd, &one, sizeof(one)) == sizeof(one));
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	xenevtchn_handle *h = calloc(1, sizeof(*h));

	(void)logger, (void)flags;
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK);
	pthread_mutex_lock(&lock);
	nr_handles++;
	pthread_mutex_unlock(&lock);
	return h;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < PORTS; i++)
		assert(ports[i].handle != h);
	nr_handles--;
	pthread_mutex_unlock(&lock);
	close(h->fd);
	free(h);
	return 0;
}

/* There is one other domain here. */
int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
	(void)h;
	errno = EINVAL;
	return domid == FAKE_DOMID ? 0 : -1;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
						     evtchn_port_t remote)
{
	int ret = -1;

	pthread_mutex_lock(&lock);
	if (domid != FAKE_DOMID || remote < FAKE_PORT || remote >= PORTS ||
	    ports[remote].handle) {
		errno = EINVAL;
	} else {
		ports[remote].handle = h;
		ports[remote].masked = false;
		/* As Xen: a fresh port is pending, since an event may be lost. */
		ports[remote].pending = true;
		set_ready(h);
		ret = (int)remote;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	pthread_mutex_lock(&lock);
	assert(port < PORTS && ports[port].handle == h);
	ports[port].handle = NULL;
	pthread_mutex_unlock(&lock);
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	pthread_mutex_lock(&lock);
	assert(port < PORTS && ports[port].handle == h);
	ports[port].sent++;
	pthread_mutex_unlock(&lock);
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	uint64_t one;
	int ret = -1;

	poll(&p, 1, -1);
	pthread_mutex_lock(&lock);
	if (read(h->fd, &one, sizeof(one)) < 0)
		errno = EAGAIN;
	for (uint32_t i = 0; ret < 0 && i < PORTS; i++) {
		if (ports[i].handle != h || !ports[i].pending || ports[i].masked)
			continue;
		ports[i].pending = false;
		ports[i].masked = true;
		ports[i].taken++;
		ret = (int)i;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	pthread_mutex_lock(&lock);
	assert(port < PORTS && ports[port].handle == h && ports[port].masked);
	ports[port].masked = false;
	if (ports[port].pending)
		set_ready(h);
	pthread_mutex_unlock(&lock);
	return 0;
}

void fake_guest_notify(uint32_t port)
{
	struct port *p = &ports[port];

	pthread_mutex_lock(&lock);
	if (p->handle && !p->pending) {
		p->pending = true;
		if (!p->masked)
			set_ready(p->handle);
	}
	pthread_mutex_unlock(&lock);
}

void fake_guest_order(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

uint32_t fake_guest_events(uint32_t port) { return get(&ports[port].sent); }
uint32_t fake_taken_events(uint32_t port) { return get(&ports[port].taken); }
