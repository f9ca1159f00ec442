/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames for people to look at: what the switch decided on, as its sender made it,
 * into pcap streams (pcap.h).
 *
 * Hides: that octets beyond the header are fetched from the sender's pages by a batch
 * of their own, which frames a capture wants. Must not know: who reads a stream, rings.
 *
 * Nothing waits for a reader: a stream that does not take what its buffer holds loses
 * frames, and counts them. A checksum that the sender left blank is blank in the stream.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "netback-internal.h"
#include "pcap.h"

#define SPACE_BYTES (1u << 20)		/* of frames, until they are written to the streams */
#define RECORDS 512u
#define BUFFER_BYTES (4u << 20)		/* of a stream whose reader is slow */
#define NS_PER_S 1000000000ull

struct nb_capture {
	struct pcap_writer *writer;	/* NULL: free */
	uint32_t port;			/* or NETBACK_EVERY_PORT */
	uint32_t snaplen;
	bool waits;			/* for the descriptor */
	int failed;
};

struct record {
	uint32_t at, kept, head_bytes, frame_bytes;
	uint32_t copy_first, copy_nr;
	uint32_t wanted;		/* bit i: by capture i */
};

struct nb_mirror {
	struct nb_capture capture[NETBACK_CAPTURES_MAX];
	struct grant_batch copies;
	uint32_t nr_records, used;
	struct record record[RECORDS];
	uint8_t space[SPACE_BYTES];
};

/* ---- what is wanted ------------------------------------------------------------------- */

static bool goes_to(const struct vswitch_decision *d, uint32_t port)
{
	for (uint32_t i = 0; i < d->nr; i++)
		if (d->out[i].port == port)
			return true;
	return false;
}

static uint32_t who_wants(const struct netback *nb, const struct nb_frame *f, uint32_t *snaplen)
{
	uint32_t wanted = 0;

	*snaplen = 0;
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++) {
		const struct nb_capture *c = &nb->mirror->capture[i];

		if (!c->writer || c->failed)
			continue;
		if (c->port != NETBACK_EVERY_PORT && c->port != f->port->number &&
		    !goes_to(&nb->decision, c->port))
			continue;
		wanted |= 1u << i;
		*snaplen = MAX(*snaplen, c->snaplen);
	}
	return wanted;
}

/* ---- frames ----------------------------------------------------------------------------- */

/* Adds copies of what follows the head, of kept octets in all. */
static void copy_rest(struct netback *nb, const struct nb_frame *f, uint32_t kept, uint8_t *to)
{
	uint32_t skip = f->head_bytes, left = kept - f->head_bytes;

	for (uint32_t i = 0; i < f->nr_pieces && left; i++) {
		const struct nb_piece *piece = &f->piece[i];
		uint32_t drop = MIN(skip, piece->bytes);
		uint32_t bytes = MIN(piece->bytes - drop, left);

		skip -= drop;
		if (!bytes)
			continue;
		grant_batch_from(&nb->mirror->copies, to, f->port->domid, piece->gref,
				 (uint16_t)(piece->offset + drop), (uint16_t)bytes);
		to += bytes;
		left -= bytes;
	}
}

void nb_mirror_take(struct netback *nb, const struct nb_frame *f)
{
	struct nb_mirror *m = nb->mirror;
	uint32_t snaplen, wanted, kept;
	struct record *r;

	wanted = m ? who_wants(nb, f, &snaplen) : 0;
	if (!wanted)
		return;
	kept = MIN(f->bytes, snaplen);
	if (m->nr_records == RECORDS || kept > SPACE_BYTES - m->used ||
	    m->copies.max - m->copies.nr < NETBACK_SLOTS_MAX)
		nb_mirror_flush(nb);
	r = &m->record[m->nr_records++];
	*r = (struct record){
		.at = m->used, .kept = kept, .head_bytes = MIN(kept, f->head_bytes),
		.frame_bytes = f->bytes, .copy_first = m->copies.nr, .wanted = wanted,
	};
	m->used += kept;
	memcpy(m->space + r->at, f->head, r->head_bytes);
	if (r->kept > r->head_bytes)
		copy_rest(nb, f, kept, m->space + r->at + r->head_bytes);
	r->copy_nr = m->copies.nr - r->copy_first;
}

/* syscalls bridge: clock_gettime */
static uint64_t time_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void put_record(struct nb_mirror *m, const struct record *r, uint64_t now_ns)
{
	const struct iovec piece = { m->space + r->at, r->kept };

	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++)
		if (r->wanted & 1u << i && m->capture[i].writer)
			pcap_writer_frame(m->capture[i].writer, now_ns, &piece, 1,
					  r->frame_bytes);
}

static void flush_stream(struct nb_capture *c)
{
	int rc = pcap_writer_flush(c->writer);

	c->waits = rc > 0;
	if (rc < 0)
		c->failed = rc;
}

void nb_mirror_flush(struct netback *nb)
{
	struct nb_mirror *m = nb->mirror;
	uint64_t now_ns;
	int rc;

	if (!m || !m->nr_records)
		return;
	nb->stats.copies += m->copies.nr;
	nb->stats.copy_calls += m->copies.nr > 0;
	rc = grant_batch_flush(&m->copies);
	now_ns = time_ns();
	for (uint32_t i = 0; i < m->nr_records; i++) {
		struct record *r = &m->record[i];

		/* No octet that was here before goes out in place of the sender's. */
		for (uint32_t j = 0; rc && j < r->copy_nr; j++)
			if (grant_batch_status(&m->copies, r->copy_first + j) != GNTST_okay)
				r->kept = r->head_bytes;
		put_record(m, r, now_ns);
	}
	m->nr_records = m->used = 0;
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++)
		if (m->capture[i].writer && !m->capture[i].failed)
			flush_stream(&m->capture[i]);
}

/* ---- captures ------------------------------------------------------------------------------ */

static bool is_mirrored(const struct nb_mirror *m, uint32_t port)
{
	for (uint32_t i = 0; m && i < NETBACK_CAPTURES_MAX; i++)
		if (m->capture[i].writer && (m->capture[i].port == NETBACK_EVERY_PORT ||
					     m->capture[i].port == port))
			return true;
	return false;
}

int netback_set_port(struct netback *nb, uint32_t port, const struct vswitch_port_config *cfg)
{
	struct vswitch_port_config with = *cfg;

	with.mirror = is_mirrored(nb->mirror, port);
	return vswitch_set_port(nb->sw, port, &with);
}

/* After a capture came or went. */
static void mark_ports(struct netback *nb)
{
	struct vswitch_port_config cfg;

	for (uint32_t i = 0; i < nb->nr_ports; i++)
		if (nb->port[i] && !vswitch_get_port(nb->sw, i, &cfg))
			netback_set_port(nb, i, &cfg);
}

static int open_mirror(struct netback *nb)
{
	int rc;

	if (nb->mirror)
		return 0;
	nb->mirror = calloc(1, sizeof(*nb->mirror));
	if (!nb->mirror)
		return -ENOMEM;
	rc = grant_batch_open(&nb->mirror->copies, nb->cfg.xgt, NB_COPIES);
	if (rc)
		nb_mirror_close(nb);
	return rc;
}

void nb_mirror_close(struct netback *nb)
{
	struct nb_mirror *m = nb->mirror;

	if (!m)
		return;
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++)
		pcap_writer_close(m->capture[i].writer);
	grant_batch_close(&m->copies);
	free(m);
	nb->mirror = NULL;
}

int netback_capture_start(struct netback *nb, uint32_t port, uint32_t snaplen, int fd)
{
	struct pcap_config cfg = { .snaplen = snaplen, .buffer_bytes = BUFFER_BYTES };
	struct nb_capture *c;
	uint32_t i = 0;
	int rc = open_mirror(nb);

	if (rc)
		return rc;
	while (i < NETBACK_CAPTURES_MAX && nb->mirror->capture[i].writer)
		i++;
	if (i == NETBACK_CAPTURES_MAX)
		return -ENOSPC;
	c = &nb->mirror->capture[i];
	*c = (struct nb_capture){ .port = port, .snaplen = snaplen };
	rc = pcap_writer_open(fd, &cfg, &c->writer);
	if (rc)
		return rc;
	flush_stream(c);	/* a reader sees that it has begun */
	mark_ports(nb);
	return (int)i;
}

int netback_capture_ready(struct netback *nb, int capture)
{
	struct nb_capture *c = &nb->mirror->capture[capture];

	if (!c->failed)
		flush_stream(c);
	return c->failed ? c->failed : c->waits;
}

int netback_capture_state(const struct netback *nb, int capture, struct pcap_counters *out)
{
	const struct nb_capture *c = &nb->mirror->capture[capture];

	if (out)
		pcap_writer_counters(c->writer, out);
	return c->failed ? c->failed : c->waits;
}

void netback_capture_stop(struct netback *nb, int capture)
{
	struct nb_capture *c = &nb->mirror->capture[capture];

	pcap_writer_close(c->writer);
	*c = (struct nb_capture){ .writer = NULL };
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++)
		if (nb->mirror->capture[i].writer)
			return mark_ports(nb);
	nb_mirror_close(nb);
	mark_ports(nb);
}
