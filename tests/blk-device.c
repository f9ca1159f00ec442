/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device of blk-device.h: opened as a worker does it, run by hand.
 */
#include <sys/mman.h>
#include <unistd.h>
#include "blk-device.h"
#include "grant.h"
#include "unit.h"

static const char *const abi_names[] = { "native", "x86_32", "x86_64" };

static void kick(void *arg, uint32_t queue)
{
	((struct device *)arg)->queue[queue].kicked = true;
}

static void open_queue(struct device *d, uint32_t i)
{
	struct queue *q = &d->queue[i];
	struct disk_config disk = { .fd = -1, .depth = 1024, .max_iov = BLKBACK_SEGMENTS_MAX,
				    .secure_overwrite = d->overwrites };
	struct blkback_queue_config cfg = {
		.domid = FAKE_DOMID, .abi = d->abi, .persistent = d->persistent,
		.persistent_pages = PERSISTENT_PAGES,
		.persistent_idle_ms = d->persistent_idle_ms,
		.grants = d->grants, .features = &d->features,
		.nr_slots = blkback_nr_slots(d->abi, d->order), .log = &d->log,
		.gate = d->gate, .limit = d->limit, .queue = i, .kick = kick, .kick_arg = d,
		.journal = journal_queue(d->journal, i),
	};

	grant_open(&q->xgt);
	q->xce = xenevtchn_open(NULL, 0);
	q->port = (evtchn_port_t)xenevtchn_bind_interdomain(q->xce, FAKE_DOMID,
							    q->guest.port);
	UNIT_EQ(disk_memory_open(DISK_BYTES, &disk, &q->disk), 0);
	if (d->medium)
		disk_memory_share(q->disk, d->medium);
	UNIT_EQ(grant_map(q->xgt, FAKE_DOMID, q->guest.ring_gref, 1u << d->order,
			  PROT_READ | PROT_WRITE, &q->ring), 0);
	cfg.xgt = q->xgt;
	cfg.disk = q->disk;
	UNIT_EQ(blkback_open(&cfg, &q->b), 0);
}

void device_open_back(struct device *d)
{
	UNIT_EQ(journal_open(d->journal_fd, d->nr_queues,
			     blkback_nr_slots(d->abi, d->order), &d->journal), 0);
	UNIT_EQ(blkback_gate_open(d->nr_queues, &d->gate), 0);
	for (uint32_t i = 0; i < d->nr_queues; i++)
		open_queue(d, i);
	d->g = &d->queue[0].guest;
	d->b = d->queue[0].b;
	d->disk = d->queue[0].disk;
}

int device_start_queue(struct device *d, uint32_t i, const struct journal_recovery *rec)
{
	struct queue *q = &d->queue[i];

	return blkback_start(q->b, q->ring, PAGE << d->order, rec, q->xce, q->port);
}

/* What is not set before has these values; then everything is open and started. */
void device_open(struct device *d)
{
	if (!d->nr_queues)
		d->nr_queues = 1;
	if (!d->features.sectors)
		d->features.sectors = SECTORS;
	if (!d->features.sector_bytes)
		d->features.sector_bytes = 512;
	d->features.flush = d->features.barrier = d->features.discard = true;
	if (!d->features.max_indirect_segments)
		d->features.max_indirect_segments = BLKBACK_SEGMENTS_DEFAULT;
	if (!d->persistent_idle_ms)
		d->persistent_idle_ms = 60000;
	log_open("test-blkback", getenv("PV_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	log_peer_init(&d->log, "vbd");
	fake_reset();
	for (uint32_t i = 0; i < d->nr_queues; i++)
		guest_open(&d->queue[i].guest, d->abi, d->order, i);
	d->journal_fd = memfd_create("journal", MFD_CLOEXEC);
	device_open_back(d);
	for (uint32_t i = 0; i < d->nr_queues; i++)
		UNIT_EQ(device_start_queue(d, i, NULL), 0);
}

void device_close_back(struct device *d)
{
	for (uint32_t i = 0; i < d->nr_queues; i++) {
		struct queue *q = &d->queue[i];

		blkback_leave(q->b);
		blkback_close(q->b);
		disk_close(q->disk);
		grant_unmap(q->xgt, q->ring, 1u << d->order);
		xenevtchn_unbind(q->xce, q->port);
		xenevtchn_close(q->xce);
		xengnttab_close(q->xgt);
	}
	blkback_gate_close(d->gate);
	journal_close(d->journal);
}

/* Everything was given back. */
void device_close(struct device *d)
{
	device_close_back(d);
	close(d->journal_fd);
	UNIT_EQ(fake_mapped(), 0);
	UNIT_EQ(fake_handles(), 0);
}

/* As a queue's thread: awake when kicked, when the ring has requests, or the disk. */
static bool wake(struct queue *q)
{
	bool awake = q->kicked || blkback_pending(q->b) > 0 || q->disk->in_flight;
	bool moved = q->kicked;

	if (q->kicked)
		blkback_kicked(q->b);
	q->kicked = false;
	while (awake && blkback_pass(q->b) > 0)
		moved = true;
	return moved;
}

/* All queues until nothing moves. */
void device_run(struct device *d)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < d->nr_queues; i++)
			moved |= wake(&d->queue[i]);
	}
}

/* The next response of the first queue has these values. */
void device_expect(struct device *d, uint64_t id, uint8_t operation, int16_t status)
{
	struct guest_response r;

	UNIT_NEED(guest_response(d->g, &r));
	UNIT_EQ(r.id, id);
	UNIT_EQ(r.operation, operation);
	UNIT_EQ(r.status, status);
	UNIT_OK(r.padding_clean);
}

void device_expect_none(struct device *d)
{
	struct guest_response r;

	UNIT_OK(!guest_response(d->g, &r));
}

void device_go(struct device *d)
{
	guest_push(d->g);
	device_run(d);
}

struct blkif_request_segment segment(uint32_t gref, uint8_t first, uint8_t last)
{
	return (struct blkif_request_segment){ .gref = gref, .first_sect = first,
					       .last_sect = last };
}

/* Every ABI and every way to reach pages, with a line when one of them fails. */
void device_in_all_ways(void (*test)(struct device *d))
{
	for (int abi = 0; abi < 3; abi++)
		for (int way = VBD_GRANTS_AUTO; way <= VBD_GRANTS_COPY; way++) {
			unsigned before = CU_get_number_of_failures();
			struct device d = { .abi = abi, .persistent = way == VBD_GRANTS_PERSISTENT,
					    .grants = way };

			device_open(&d);
			test(&d);
			device_close(&d);
			if (CU_get_number_of_failures() > before)
				fprintf(stderr, "\n  (ABI %s, way %d)", abi_names[abi], way);
		}
}

void device_in_all_abis(void (*test)(struct device *d))
{
	for (int abi = 0; abi < 3; abi++) {
		struct device d = { .abi = abi };

		device_open(&d);
		test(&d);
		device_close(&d);
	}
}
