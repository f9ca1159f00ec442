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

static void make_page_key(char *key, const char *prefix, uint32_t page)
{
	char name[XENBUS_KEY_BYTES];
	int rc = xenbus_text(name, sizeof(name), KEY_RING_REF_N, (uint64_t)page);

	xenbus_assert(!rc);
	xenbus_make_key(key, prefix, name);
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
	char key[XENBUS_KEY_BYTES], other[XENBUS_KEY_BYTES];
	int rc;

	xenbus_make_key(key, prefix, KEY_RING_REF);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, gref, err);
	if (rc != -ENOENT)
		return rc;
	make_page_key(other, prefix, 0);
	return xenbus_read_u32(xs, XBT_NULL, dir, other, UINT32_MAX, gref, NULL);
}

static int read_grefs(struct xs_handle *xs, const char *dir, const char *prefix,
		      struct vbd_ring *ring, struct key_error *err)
{
	char key[XENBUS_KEY_BYTES];
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
	char prefix[XENBUS_KEY_BYTES], key[XENBUS_KEY_BYTES];
	int rc;

	xenbus_queue_prefix(prefix, nr_queues, queue);
	rc = read_grefs(xs, dir, prefix, ring, err);
	if (rc)
		return rc;
	xenbus_make_key(key, prefix, KEY_EVENT_CHANNEL);
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
		rc = xenbus_read_nr_queues(xs, front_dir, max_queues, &out->nr_queues, err);
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
	char key[XENBUS_KEY_BYTES];
	uint32_t page;
	int rc = 0;

	if (!ring->order) {
		xenbus_make_key(key, prefix, KEY_RING_REF);
		rc = xenbus_write_u64(xs, t, dir, key, ring->gref[0]);
	}
	for (page = 0; ring->order && page < 1u << ring->order && !rc; page++) {
		make_page_key(key, prefix, page);
		rc = xenbus_write_u64(xs, t, dir, key, ring->gref[page]);
	}
	if (rc)
		return rc;
	xenbus_make_key(key, prefix, KEY_EVENT_CHANNEL);
	return xenbus_write_u64(xs, t, dir, key, ring->port);
}

int vbd_write_frontend(struct xs_handle *xs, xs_transaction_t t,
		       const char *front_dir, const struct vbd_frontend *f)
{
	uint32_t queue, order = f->queue[0].order;
	char prefix[XENBUS_KEY_BYTES];
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
		xenbus_queue_prefix(prefix, f->nr_queues, queue);
		rc = write_queue(xs, t, front_dir, prefix, &f->queue[queue]);
	}
	return rc;
}

int vbd_remove_frontend(struct xs_handle *xs, const char *front_dir)
{
	static const char *const exact[] = {
		KEY_FEATURE_PERSISTENT, KEY_RING_PAGE_ORDER, KEY_NUM_RING_PAGES,
		KEY_MULTI_QUEUE_NUM_QUEUES, KEY_EVENT_CHANNEL, NULL,
	};
	static const char *const prefix[] = { KEY_QUEUE_PREFIX, KEY_RING_REF, NULL };

	return xenbus_remove_keys(xs, front_dir, prefix, exact);
}
