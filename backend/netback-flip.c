/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames for guests that take pages instead of copies: the page itself becomes theirs.
 *
 * Hides: how a page's contents are named to whoever fills it, how many pages there
 * are to give, when a guest is copied into after all. Must not know: slots, what a
 * frame is, who fills and gives (flip.h).
 *
 * All that differs is here: where the copying path adds a copy to its batch, a source
 * of a page is added; where it looks at the copies' statuses, ops are looked at.
 *
 * A page that a guest does not take is lost to us, and replaced in the pool; whoever
 * makes us lose pages one after the other gets copies from then on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "flip.h"
#include "netback-internal.h"

#define FAILED_MAX 64u			/* pages in a row that one guest did not take */
#define STARVED_MS 1000u		/* without pages; then all get copies */
/* What one frame may need, at most. */
#define ROOM_OPS (NETBACK_SLOTS_MAX + 2u)
#define ROOM_SOURCES (3u * ROOM_OPS)
#define ROOM_BYTES NB_BUFFER_BYTES

struct nb_flip {
	struct netback_flip cfg;
	struct flip_batch batch;
	struct flip_answer answer;
	uint32_t nr_pages;		/* of the pool, without those of the batch */
	uint32_t staged_bytes;		/* of cfg.pages */
	uint64_t starved_since_ms;	/* 0: there are pages */
	bool gone;			/* nobody answers any more */
};

/* ---- falling back ---------------------------------------------------------------------- */

static void end_flips(struct nb_port *p, const char *why)
{
	p->flips = false;
	log_peer_at(p->log, LOG_LEVEL_WARNING, "%s; its frames are copied from now on", why);
	p->nb->cfg.flip_ended(p->nb->cfg.arg, p->number, why);
}

static void end_all_flips(struct netback *nb, const char *why)
{
	for (uint32_t i = 0; i < nb->nr_ports; i++)
		if (nb->port[i] && nb->port[i]->flips)
			end_flips(nb->port[i], why);
}

/* ---- the pool ---------------------------------------------------------------------------- */

/* Sends the batch. False: there is no answer, nor will there be. */
static bool ask(struct netback *nb, uint32_t type)
{
	struct nb_flip *flip = nb->flip;

	flip->batch.type = type;
	nb->stats.flip_calls++;
	flip->gone = flip->cfg.transfer(flip->cfg.arg, &flip->batch, &flip->answer) ||
		     flip->answer.nr_ops != flip->batch.nr_ops;
	flip->nr_pages = flip->gone ? 0 : MIN(flip->answer.nr_pages, FLIP_POOL_PAGES);
	return !flip->gone;
}

static bool starve(struct netback *nb)
{
	struct nb_flip *flip = nb->flip;

	if (!flip->starved_since_ms)
		flip->starved_since_ms = nb->now_ms;
	if (flip->gone)
		end_all_flips(nb, "the flip helper has ended");
	else if (nb->now_ms - flip->starved_since_ms >= STARVED_MS)
		end_all_flips(nb, "there are no pages to give: dom0's reservation is used up");
	return false;
}

bool nb_flip_is_there(const struct nb_flip *flip)
{
	return flip && !flip->gone;
}

bool nb_flip_has(struct nb_port *p, uint32_t nr)
{
	struct nb_flip *flip = p->nb->flip;

	/* A batch under way has to go first: it is in the message. */
	if (flip->nr_pages < nr && flip->batch.nr_ops)
		return false;
	if (flip->nr_pages < nr && (flip->gone || !ask(p->nb, FLIP_GET) || flip->nr_pages < nr))
		return starve(p->nb);
	flip->starved_since_ms = 0;
	return true;
}

/* ---- the batch --------------------------------------------------------------------------- */

bool nb_flip_has_room(const struct nb_flip *flip)
{
	return !flip || !flip->batch.nr_ops ||
	       (flip->batch.nr_ops + ROOM_OPS <= FLIP_OPS_MAX && flip->nr_pages >= ROOM_OPS &&
		flip->batch.nr_sources + ROOM_SOURCES <= FLIP_SOURCES_MAX &&
		flip->staged_bytes + ROOM_BYTES <= NETBACK_FLIP_PAGES * GRANT_PAGE_BYTES);
}

uint32_t nb_flip_ops(const struct netback *nb)
{
	return nb->flip->batch.nr_ops;
}

void nb_flip_page(struct nb_port *p, uint32_t gref)
{
	struct nb_flip *flip = p->nb->flip;

	flip->batch.op[flip->batch.nr_ops++] = (struct flip_op){
		.gref = gref, .domid = (uint16_t)p->domid,
	};
	flip->nr_pages--;
}

void nb_flip_put_granted(struct netback *nb, uint32_t domid, uint32_t gref, uint32_t offset,
			 uint32_t bytes)
{
	struct flip_batch *batch = &nb->flip->batch;

	batch->source[batch->nr_sources++] = (struct flip_source){
		.gref = gref, .domid = (uint16_t)domid, .offset = (uint16_t)offset,
		.bytes = (uint16_t)bytes,
	};
	batch->op[batch->nr_ops - 1].nr_sources++;
}

/* As many octets at from, in granted pages of ours, as one page holds. */
static uint32_t put_own(struct netback *nb, const struct grant_own *own, const uint8_t *from,
			uint32_t bytes)
{
	size_t at = (size_t)(from - own->pages);
	uint32_t n = MIN(bytes, GRANT_PAGE_BYTES - (uint32_t)(at % GRANT_PAGE_BYTES));

	nb_flip_put_granted(nb, own->domid, own->grefs[at / GRANT_PAGE_BYTES],
			    (uint32_t)(at % GRANT_PAGE_BYTES), n);
	return n;
}

static bool is_in(const struct grant_own *own, const uint8_t *from)
{
	return own && (size_t)(from - own->pages) < (size_t)own->nr_pages * GRANT_PAGE_BYTES;
}

void nb_flip_put(struct netback *nb, const uint8_t *from, uint32_t bytes)
{
	struct nb_flip *flip = nb->flip;
	const struct grant_own *own = nb->cfg.own;

	if (!is_in(own, from)) {
		own = flip->cfg.pages;
		memcpy(own->pages + flip->staged_bytes, from, bytes);
		from = own->pages + flip->staged_bytes;
		flip->staged_bytes += bytes;
	}
	while (bytes) {
		uint32_t n = put_own(nb, own, from, bytes);

		from += n;
		bytes -= n;
	}
}

void nb_flip_run(struct netback *nb)
{
	struct nb_flip *flip = nb->flip;
	uint32_t nr_ops = flip ? flip->batch.nr_ops : 0;

	if (!nr_ops)
		return;
	if (!ask(nb, FLIP_TRANSFER)) {
		memset(flip->answer.outcome, FLIP_NO_PAGE, nr_ops);
		end_all_flips(nb, "the flip helper has ended");
	}
	flip->batch.nr_ops = flip->batch.nr_sources = flip->staged_bytes = 0;
}

static void not_taken(struct nb_port *p)
{
	if (++p->flips_failed == FAILED_MAX && p->flips)
		end_flips(p, "it takes no pages, though it asked for them");
}

enum nb_flip_result nb_flip_result(struct nb_port *p, uint32_t first_op, uint32_t nr_ops)
{
	enum nb_flip_result result = NB_FLIP_TAKEN;

	for (uint32_t i = first_op; i < first_op + nr_ops; i++)
		switch (p->nb->flip->answer.outcome[i]) {
		case FLIP_DONE:
			p->nb->stats.flipped++;
			p->flips_failed = 0;
			break;
		case FLIP_NO_SOURCE:
			result = NB_FLIP_BAD_SOURCE;
			break;
		case FLIP_NOT_TAKEN:
			not_taken(p);
			/* fall through */
		default:
			if (result == NB_FLIP_TAKEN)
				result = NB_FLIP_NOT_TAKEN;
		}
	return result;
}

/* ---- open and close ------------------------------------------------------------------------ */

int netback_set_flip(struct netback *nb, const struct netback_flip *cfg)
{
	if (!nb->flip)
		nb->flip = calloc(1, sizeof(*nb->flip));
	if (!nb->flip)
		return -ENOMEM;
	nb->flip->cfg = *cfg;
	nb->flip->gone = false;
	nb->flip->nr_pages = 0;
	nb->flip->starved_since_ms = 0;
	return 0;
}

bool netback_flips(const struct netback *nb, uint32_t port)
{
	return nb->port[port]->flips;
}

void nb_flip_close(struct netback *nb)
{
	free(nb->flip);
	nb->flip = NULL;
}
