/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a block front end publishes: rings, event channels, ABI, both
 * directions.
 *
 * Hides: the spellings for one page and for more, for one queue and for more,
 * and the deprecated ones. Must not know: rings' contents, stdio. Runs without
 * an operating system.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/protocols.h>

#include "keys.h"
#include "vbd.h"
#include "xenbus-internal.h"

#define KEY_BYTES 40	/* "queue-15/ring-ref15" */

/* PREFIX is "" or "queue-N/". */
static void make_key(char *key, const char *prefix, const char *name)
{
	int rc = xenbus_text(key, KEY_BYTES, "%s%s", prefix, name);

	xenbus_assert(!rc);
}

static void make_prefix(char *prefix, uint32_t nr_queues, uint32_t queue)
{
	int rc = nr_queues > 1 ?
		xenbus_text(prefix, KEY_BYTES, KEY_QUEUE_N "/", (uint64_t)queue) :
		xenbus_text(prefix, KEY_BYTES, "");

	xenbus_assert(!rc);
}

static void make_page_key(char *key, const char *prefix, uint32_t page)
{
	char name[KEY_BYTES];
	int rc = xenbus_text(name, sizeof(name), KEY_RING_REF_N, (uint64_t)page);

	xenbus_assert(!rc);
	make_key(key, prefix, name);
}

/* ---- reading, as a back end does: nothing is believed --------------------- */

static int read_protocol(struct xs_handle *xs, const char *dir, enum vbd_abi *out,
			 struct key_error *err)
{
	static const char expected[] = "x86_64-abi, x86_32-abi or nothing";
	unsigned int len;
	char *value;
	int rc = xenbus_read_raw(xs, XBT_NULL, dir, KEY_PROTOCOL, &value, &len);

	*out = VBD_ABI_NATIVE;
	if (rc == -ENOENT)
		return 0;
	if (rc) {
		xenbus_blame(err, KEY_PROTOCOL, "", 0, expected);
		return rc;
	}
	if (strlen(value) != len)
		rc = -EINVAL;
	else if (!strcmp(value, XEN_IO_PROTO_ABI_X86_64))
		*out = VBD_ABI_X86_64;
	else if (!strcmp(value, XEN_IO_PROTO_ABI_X86_32))
		*out = VBD_ABI_X86_32;
	else if (strcmp(value, XEN_IO_PROTO_ABI_NATIVE))
		rc = -EINVAL;
	if (rc)
		xenbus_blame(err, KEY_PROTOCOL, value, len, expected);
	free(value);
	return rc;
}

/* A missing queue count is one; zero of them was a way to crash back ends. */
static int read_nr_queues(struct xs_handle *xs, const char *dir, uint32_t max,
			  uint32_t *out, struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MULTI_QUEUE_NUM_QUEUES,
				 UINT32_MAX, out, err);

	if (rc == -ENOENT) {
		*out = 1;
		return 0;
	}
	if (rc || (*out >= 1 && *out <= max))
		return rc;
	xenbus_blame_u64(err, KEY_MULTI_QUEUE_NUM_QUEUES, *out,
			 "from 1 to the back end's multi-queue-max-queues");
	return -EINVAL;
}

static int read_nr_ring_pages(struct xs_handle *xs, const char *dir,
			      uint32_t max_order, uint32_t *order,
			      struct key_error *err)
{
	uint32_t pages;
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_NUM_RING_PAGES, UINT32_MAX,
				 &pages, err);

	if (rc == -ENOENT) {
		*order = 0;
		return 0;
	}
	if (rc)
		return rc;
	for (*order = 0; *order <= max_order; ++*order)
		if (pages == 1u << *order)
			return 0;
	xenbus_blame_u64(err, KEY_NUM_RING_PAGES, pages,
			 "a power of two within the back end's max-ring-page-order");
	return -EINVAL;
}

static int read_ring_order(struct xs_handle *xs, const char *dir,
			   uint32_t max_order, uint32_t *order,
			   struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_RING_PAGE_ORDER, UINT32_MAX,
				 order, err);

	if (rc == -ENOENT)
		return read_nr_ring_pages(xs, dir, max_order, order, err);
	if (rc || *order <= max_order)
		return rc;
	xenbus_blame_u64(err, KEY_RING_PAGE_ORDER, *order,
			 "at most the back end's max-ring-page-order");
	return -EINVAL;
}

/* One page is ring-ref; some front ends write ring-ref0 for it as well. */
static int read_only_gref(struct xs_handle *xs, const char *dir,
			  const char *prefix, uint32_t *gref,
			  struct key_error *err)
{
	char key[KEY_BYTES], other[KEY_BYTES];
	int rc;

	make_key(key, prefix, KEY_RING_REF);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, gref, err);
	if (rc != -ENOENT)
		return rc;
	make_page_key(other, prefix, 0);
	return xenbus_read_u32(xs, XBT_NULL, dir, other, UINT32_MAX, gref, NULL);
}

static int read_grefs(struct xs_handle *xs, const char *dir, const char *prefix,
		      struct vbd_ring *ring, struct key_error *err)
{
	char key[KEY_BYTES];
	uint32_t page;
	int rc = 0;

	if (!ring->order)
		return read_only_gref(xs, dir, prefix, &ring->gref[0], err);
	for (page = 0; page < 1u << ring->order && !rc; page++) {
		make_page_key(key, prefix, page);
		rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX,
				     &ring->gref[page], err);
	}
	return rc;
}

static int read_queue(struct xs_handle *xs, const char *dir, uint32_t nr_queues,
		      uint32_t queue, struct vbd_ring *ring,
		      struct key_error *err)
{
	char prefix[KEY_BYTES], key[KEY_BYTES];
	int rc;

	make_prefix(prefix, nr_queues, queue);
	rc = read_grefs(xs, dir, prefix, ring, err);
	if (rc)
		return rc;
	make_key(key, prefix, KEY_EVENT_CHANNEL);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, &ring->port, err);
	if (rc || ring->port)
		return rc;
	xenbus_blame_u64(err, key, 0, "an event channel port, from 1");
	return -EINVAL;
}

static uint32_t nth_gref(const struct vbd_frontend *f, uint32_t n)
{
	uint32_t order = f->queue[0].order;

	return f->queue[n >> order].gref[n & ((1u << order) - 1)];
}

/* Two queues on one port or ring page would be served by two threads. */
static int refuse_shared(const struct vbd_frontend *f, struct key_error *err)
{
	uint32_t nr_pages = f->nr_queues << f->queue[0].order, i, j;

	for (i = 0; i < f->nr_queues; i++) {
		for (j = 0; j < i; j++) {
			if (f->queue[i].port != f->queue[j].port)
				continue;
			xenbus_blame_u64(err, KEY_EVENT_CHANNEL, f->queue[i].port,
					 "a port of its own for each queue");
			return -EINVAL;
		}
	}
	for (i = 0; i < nr_pages; i++) {
		for (j = 0; j < i; j++) {
			if (nth_gref(f, i) != nth_gref(f, j))
				continue;
			xenbus_blame_u64(err, KEY_RING_REF, nth_gref(f, i),
					 "a grant of its own for each ring page");
			return -EINVAL;
		}
	}
	return 0;
}

int vbd_read_frontend(struct xs_handle *xs, const char *front_dir,
		      const struct vbd_features *limits, struct vbd_frontend *out,
		      struct key_error *err)
{
	uint32_t max_queues = limits->max_queues ? limits->max_queues : 1;
	uint32_t order, queue;
	int rc;

	xenbus_assert(max_queues <= VBD_QUEUES_MAX);
	xenbus_assert(limits->max_ring_order <= VBD_RING_ORDER_MAX);
	memset(out, 0, sizeof(*out));
	rc = read_protocol(xs, front_dir, &out->abi, err);
	if (!rc)
		rc = xenbus_read_flag(xs, XBT_NULL, front_dir,
				      KEY_FEATURE_PERSISTENT, false,
				      &out->persistent, err);
	if (!rc)
		rc = read_nr_queues(xs, front_dir, max_queues, &out->nr_queues, err);
	if (!rc)
		rc = read_ring_order(xs, front_dir, limits->max_ring_order, &order,
				     err);
	for (queue = 0; !rc && queue < out->nr_queues; queue++) {
		out->queue[queue].order = order;
		rc = read_queue(xs, front_dir, out->nr_queues, queue,
				&out->queue[queue], err);
	}
	return rc ? rc : refuse_shared(out, err);
}

/* ---- writing ------------------------------------------------------------- */

static const char *abi_name(enum vbd_abi abi)
{
	switch (abi) {
	case VBD_ABI_X86_32:
		return XEN_IO_PROTO_ABI_X86_32;
	case VBD_ABI_X86_64:
		return XEN_IO_PROTO_ABI_X86_64;
	default:
		return XEN_IO_PROTO_ABI_NATIVE;
	}
}

static int write_queue(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const char *prefix, const struct vbd_ring *ring)
{
	char key[KEY_BYTES];
	uint32_t page;
	int rc = 0;

	if (!ring->order) {
		make_key(key, prefix, KEY_RING_REF);
		rc = xenbus_write_u64(xs, t, dir, key, ring->gref[0]);
	}
	for (page = 0; ring->order && page < 1u << ring->order && !rc; page++) {
		make_page_key(key, prefix, page);
		rc = xenbus_write_u64(xs, t, dir, key, ring->gref[page]);
	}
	if (rc)
		return rc;
	make_key(key, prefix, KEY_EVENT_CHANNEL);
	return xenbus_write_u64(xs, t, dir, key, ring->port);
}

int vbd_write_frontend(struct xs_handle *xs, xs_transaction_t t,
		       const char *front_dir, const struct vbd_frontend *f)
{
	uint32_t queue, order = f->queue[0].order;
	char prefix[KEY_BYTES];
	int rc;

	xenbus_assert(f->nr_queues >= 1 && f->nr_queues <= VBD_QUEUES_MAX);
	/* Always: what back ends assume of a missing protocol differs. */
	rc = xenbus_write_text(xs, t, front_dir, KEY_PROTOCOL, abi_name(f->abi));
	if (!rc)
		rc = xenbus_write_u64(xs, t, front_dir, KEY_FEATURE_PERSISTENT,
				      f->persistent);
	if (!rc && order)
		rc = xenbus_write_u64(xs, t, front_dir, KEY_RING_PAGE_ORDER, order);
	if (!rc && f->nr_queues > 1)
		rc = xenbus_write_u64(xs, t, front_dir, KEY_MULTI_QUEUE_NUM_QUEUES,
				      f->nr_queues);
	for (queue = 0; !rc && queue < f->nr_queues; queue++) {
		xenbus_assert(f->queue[queue].order == order);
		make_prefix(prefix, f->nr_queues, queue);
		rc = write_queue(xs, t, front_dir, prefix, &f->queue[queue]);
	}
	return rc;
}

/* Only the keys that are there: a front end's requests cost a wake-up each. */
static int remove_matching(struct xs_handle *xs, xs_transaction_t t,
			   const char *dir, char **names, unsigned int nr)
{
	static const char *const exact[] = {
		KEY_FEATURE_PERSISTENT, KEY_RING_PAGE_ORDER, KEY_NUM_RING_PAGES,
		KEY_MULTI_QUEUE_NUM_QUEUES, KEY_EVENT_CHANNEL,
	};
	const size_t queue = strlen(KEY_QUEUE_N) - 2, ring = strlen(KEY_RING_REF);
	unsigned int i, e;
	int rc = 0;

	for (i = 0; i < nr && !rc; i++) {
		bool ours = !strncmp(names[i], KEY_QUEUE_N, queue) ||
			    !strncmp(names[i], KEY_RING_REF, ring);

		for (e = 0; e < sizeof(exact) / sizeof(exact[0]); e++)
			ours |= !strcmp(names[i], exact[e]);
		if (ours)
			rc = xenbus_remove(xs, t, dir, names[i]);
	}
	return rc;
}

static int remove_frontend(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const char *dir = arg;
	unsigned int nr;
	char **names;
	int rc;

	errno = 0;
	names = xs_directory(xs, t, dir, &nr);
	if (!names)
		return errno == ENOENT ? 0 : xenbus_store_error();
	rc = remove_matching(xs, t, dir, names, nr);
	free(names);
	return rc;
}

int vbd_remove_frontend(struct xs_handle *xs, const char *front_dir)
{
	return xenbus_transact(xs, remove_frontend, (void *)front_dir);
}
