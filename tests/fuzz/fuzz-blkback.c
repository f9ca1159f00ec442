/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a whole blkback with a front end that lies, in every ABI.
 *
 * The ring's slots, the pages that hold segments, the indices and the grants are
 * the input's; the disk is in memory and fails or dawdles as the input says. At
 * the end nothing may be in flight, mapped or open, and the ring holds as many
 * responses as requests were taken.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "blk-guest.h"
#include "blkback.h"
#include "disk-memory.h"
#include "fake-xen.h"
#include "fuzz-ring.h"
#include "grant.h"
#include "journal.h"

#define PAGE 4096u
#define DATA_PAGES 24u
#define DISK_BYTES (64u << 10)
#define STEPS_MAX 256u

struct fuzz_blk {
	struct guest guest;
	struct vbd_features features;
	struct blkback *b;
	struct disk *disk;
	struct blkback_gate *gate;
	struct journal *journal;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	void *ring;
	uint32_t order;
	struct log_peer log;
	uint32_t gref[DATA_PAGES];	/* every third is read-only */
	bool broken;
};

static int journal_fd = -1;

/* ---- the world -------------------------------------------------------------------------- */

static void kick(void *arg, uint32_t queue)
{
	(void)arg, (void)queue;
}

static void open_guest(struct fuzz_blk *w, uint8_t kind)
{
	fake_reset();
	w->order = kind >> 6;
	guest_open(&w->guest, (enum vbd_abi)(kind % 3), w->order, 0);
	for (uint32_t i = 0; i < DATA_PAGES; i++)
		w->gref[i] = fake_grant(GUEST_DATA_PAGE + i, i % 3 == 2);
}

static void open_journal(struct fuzz_blk *w, uint32_t nr_slots)
{
	if (journal_fd < 0)
		journal_fd = memfd_create("journal", MFD_CLOEXEC);
	FUZZ_NEED(!ftruncate(journal_fd, 0));
	FUZZ_NEED(!journal_open(journal_fd, 1, nr_slots, &w->journal));
}

static void open_back(struct fuzz_blk *w, uint8_t ways, uint8_t offers)
{
	struct blkback_queue_config cfg = {
		.domid = FAKE_DOMID, .abi = w->guest.abi, .persistent = ways & 1,
		.persistent_pages = ways & 1 ? ways & 2 ? 5 : 1056 : 0,
		.persistent_idle_ms = ways & 4 ? 1 : 60000,
		.grants = (enum vbd_grants)((ways >> 4) % (VBD_GRANTS_COPY + 1)),
		.features = &w->features, .nr_slots = blkback_nr_slots(w->guest.abi, w->order),
		.log = &w->log, .kick = kick,
	};
	struct disk_config disk = { .fd = -1, .depth = 1024, .max_iov = BLKBACK_SEGMENTS_MAX };

	w->features = (struct vbd_features){
		.sectors = DISK_BYTES / 512, .sector_bytes = offers & 1 ? 4096 : 512,
		.flush = offers & 2, .barrier = offers & 4, .discard = offers & 8,
		.discard_secure = offers & 16, .read_only = offers & 32,
		.max_indirect_segments = offers & 64 ? offers & 128 ? BLKBACK_SEGMENTS_MAX :
			BLKBACK_SEGMENTS_DEFAULT : 0,
	};
	fuzz_quiet(&w->log);
	open_journal(w, cfg.nr_slots);
	FUZZ_NEED(!blkback_gate_open(1, &w->gate));
	FUZZ_NEED(!grant_open(&w->xgt));
	w->xce = xenevtchn_open(NULL, 0);
	w->port = (evtchn_port_t)xenevtchn_bind_interdomain(w->xce, FAKE_DOMID, w->guest.port);
	FUZZ_NEED(!disk_memory_open(DISK_BYTES, &disk, &w->disk));
	FUZZ_NEED(!grant_map(w->xgt, FAKE_DOMID, w->guest.ring_gref, 1u << w->order,
			     PROT_READ | PROT_WRITE, &w->ring));
	cfg.gate = w->gate;
	cfg.journal = journal_queue(w->journal, 0);
	cfg.xgt = w->xgt;
	cfg.disk = w->disk;
	FUZZ_NEED(!blkback_open(&cfg, &w->b));
	FUZZ_NEED(!blkback_start(w->b, w->ring, PAGE << w->order, NULL, w->xce, w->port));
}

static void pass(struct fuzz_blk *w)
{
	if (w->broken) {
		blkback_drain_pass(w->b);
		return;
	}
	if (blkback_pass(w->b) == -EPROTO)
		w->broken = true;
	else
		blkback_final(w->b);
}

/* ---- what the liar does ------------------------------------------------------------------- */

static uint32_t some_gref(const struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t which = fuzz_u8(in);

	return which < 240 ? w->gref[which % DATA_PAGES] :
	       which < 248 ? w->guest.ring_gref[0] : fuzz_u32(in);
}

static struct blkif_request_segment some_segment(const struct fuzz_blk *w, struct fuzz_in *in)
{
	struct blkif_request_segment s = { .gref = some_gref(w, in), .last_sect = 7 };
	uint8_t how = fuzz_u8(in);

	if (how & 0x80) {
		s.first_sect = how & 7;
		s.last_sect = how >> 3 & 7;
	} else if (how == 0x7f) {
		s.first_sect = fuzz_u8(in);
		s.last_sect = fuzz_u8(in);
	}
	return s;
}

static uint64_t some_sector(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	return how < 0xf0 ? how % 128u : how < 0xf8 ? UINT64_MAX - how % 8 : fuzz_u64(in);
}

static void put_rw(struct fuzz_blk *w, struct fuzz_in *in)
{
	static const uint8_t ops[] = { BLKIF_OP_READ, BLKIF_OP_WRITE, BLKIF_OP_READ,
				       BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER,
				       BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_RESERVED_1, 0xff };
	struct blkif_request_segment segs[11];
	uint8_t how = fuzz_u8(in), nr = (uint8_t)(how / 8 % 16);
	uint64_t sector = some_sector(in);

	for (uint32_t i = 0; i < 11; i++)
		segs[i] = i < nr ? some_segment(w, in) : segs[0];
	guest_rw(&w->guest, ops[how % 8], how, sector, how & 128 ? nr : 1, segs);
}

static void put_indirect(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	uint32_t grefs[8];
	uint16_t nr = how & 2 ? fuzz_u16(in) : (uint16_t)(how / 4);
	uint64_t sector = some_sector(in);

	for (uint32_t i = 0; i < 8; i++)
		grefs[i] = !i || nr > 512 ? some_gref(w, in) : 0;
	guest_indirect_pages(&w->guest, how == 0xff ? fuzz_u8(in) : how & 1, how, sector, nr, grefs);
}

static void put_discard(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t sector = some_sector(in);

	guest_discard(&w->guest, how, sector, some_sector(in), how & 3);
}

static void put_raw(struct fuzz_blk *w, struct fuzz_in *in)
{
	fuzz_bytes(in, ring_front_next(&w->guest.front), w->guest.front.slot_bytes);
}

/* Segments for indirect requests into one page, again and again. */
static void write_segments(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t *page = fake_page(GUEST_DATA_PAGE + fuzz_below(in, DATA_PAGES));
	struct blkif_request_segment segs[8];
	uint8_t nr = (uint8_t)(1 + fuzz_below(in, 8));

	for (uint32_t i = 0; i < nr; i++)
		segs[i] = some_segment(w, in);
	for (uint32_t i = 0; i < PAGE / sizeof(segs[0]); i++)
		memcpy(page + i * sizeof(segs[0]), &segs[i % nr], sizeof(segs[0]));
}

static void spoil_index(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	fuzz_spoil_front(&w->guest.front, how, in);
}

static void in_a_storm(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t where = fuzz_u8(in);
	struct ring_front *r = &w->guest.front;

	if (where & 1)
		fuzz_storm_begin(fake_page(GUEST_DATA_PAGE + where / 2 % DATA_PAGES),
				 where & 128 ? PAGE : 64, fuzz_u8(in));
	else
		fuzz_storm_begin(r->slots, r->slot_bytes * (where & 2 ? 2 : 16) & ~3u, fuzz_u8(in));
	pass(w);
	fuzz_storm_end();
}

static void change_disk(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct disk_memory_faults faults = {
		.any_op = how & 1, .op = (enum disk_op)(how / 2 % 4), .every = how & 8 ? 2 : 0,
		.err = how & 8 ? how & 16 ? -EOPNOTSUPP : -EIO : 0,
		.delay_us = how & 32, .reverse = how & 64, .paused = how & 128,
	};

	disk_memory_set_faults(w->disk, &faults);
}

static void change_grants(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	switch (how % 4) {
	case 0: fake_revoke(w->gref[how / 4 % DATA_PAGES]); break;
	case 1: fake_fail_map(1u + how / 64, how & 32 ? ENOMEM : EINVAL); break;
	case 2: fake_fail_copies(1, how & 32 ? ENOMEM : 0, how & 16 ? -1 : -3); break;
	default: fake_limit_maps(how & 128 ? UINT32_MAX : fake_mapped() + how / 4); break;
	}
}

static void step(struct fuzz_blk *w, struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);

	switch (what % 16) {
	case 0: case 1: put_rw(w, in); break;
	case 2: put_indirect(w, in); break;
	case 3: put_discard(w, in); break;
	case 4: put_raw(w, in); break;
	case 5: case 6: write_segments(w, in); break;
	case 7: case 8: guest_push(&w->guest); pass(w); break;
	case 9: case 10: guest_push(&w->guest); in_a_storm(w, in); break;
	case 11: spoil_index(w, in); break;
	case 12: change_disk(w, in); break;
	case 13: change_grants(w, in); break;
	case 14:
		blkback_housekeep(w->b);
		blkback_set_sectors(w->b, what & 128 ? DISK_BYTES / 1024 : DISK_BYTES / 512);
		break;
	default: pass(w);
	}
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void drain(struct fuzz_blk *w)
{
	static const struct disk_memory_faults none;
	uint32_t rounds = 0;

	fake_fail_map(0, 0);
	fake_fail_copies(0, 0, 0);
	fake_limit_maps(UINT32_MAX);
	disk_memory_set_faults(w->disk, &none);
	while (blkback_busy(w->b)) {
		blkback_drain_pass(w->b);
		if (++rounds > 100)
			usleep(1000);
		FUZZ_NEED(rounds < 5000);	/* a request is never answered */
	}
	while (blkback_drain_pass(w->b))
		;
	FUZZ_NEED(!blkback_in_flight(w->b));
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	static struct fuzz_blk world;
	struct fuzz_blk *w = &world;
	struct fuzz_in in = { data, bytes };
	uint8_t ways, offers;

	memset(w, 0, sizeof(*w));
	open_guest(w, fuzz_u8(&in));
	ways = fuzz_u8(&in);
	offers = fuzz_u8(&in);
	open_back(w, ways, offers);
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(w, &in);
	drain(w);
	blkback_leave(w->b);
	blkback_close(w->b);
	disk_close(w->disk);
	grant_unmap(w->xgt, w->ring, 1u << w->order);
	xenevtchn_unbind(w->xce, w->port);
	xenevtchn_close(w->xce);
	xengnttab_close(w->xgt);
	blkback_gate_close(w->gate);
	journal_close(w->journal);
	FUZZ_NEED(fake_mapped() == 0);
	FUZZ_NEED(fake_handles() == 0);
}
