/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends and receives what verified.h says. Needs memory and string functions only:
 * the bare guest links it, and so does a program of Linux's.
 */
#include <errno.h>
#include <string.h>

#include "verified.h"

#define MAGIC 0x5650u
#define ASK_MS 20		/* a question that is not answered is asked again */
#define LINGER_MS 1000
#define MS_NS UINT64_C(1000000)
#define LATE_MS 10

enum kind {
	DATA, DATA_ASK,		/* a datagram; and one that asks how far the peer is */
	ASK, TELL,		/* number: the question's; count: right ones so far */
	END, ENDED,
};

/* Both ends are x86 guests of one host. */
struct head {
	uint16_t magic;
	uint8_t kind, asked;
	uint32_t number;	/* of the datagram, or of the question */
	uint32_t count;		/* TELL, ENDED: right ones; DATA: bytes */
	uint32_t sum;		/* over all of it, with this zero */
};

static uint8_t packet[VERIFIED_BYTES_MAX + 8];

static uint64_t word_at(uint32_t number, size_t i)
{
	uint64_t v = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) +
		     i * UINT64_C(0xff51afd7ed558ccd);

	return v ^ v >> 31;
}

static uint32_t sum_of(const uint8_t *data, size_t bytes)
{
	uint64_t sum = bytes, word;
	size_t i;

	for (i = 0; i < bytes; i += 8) {
		word = 0;
		memcpy(&word, data + i, bytes - i < 8 ? bytes - i : 8);
		sum = (sum << 7 | sum >> 57) ^ word;
	}
	return (uint32_t)(sum ^ sum >> 32);
}

static void fill(uint8_t *data, size_t bytes, uint32_t number)
{
	size_t i;
	uint64_t word;

	for (i = 0; i < bytes; i += 8) {
		word = word_at(number, i);
		memcpy(data + i, &word, bytes - i < 8 ? bytes - i : 8);
	}
}

static bool is_filled(const uint8_t *data, size_t bytes, uint32_t number)
{
	size_t i;
	uint64_t word;

	for (i = 0; i < bytes; i += 8) {
		word = word_at(number, i);
		if (memcmp(data + i, &word, bytes - i < 8 ? bytes - i : 8))
			return false;
	}
	return true;
}

static int send_head(const struct verified_link *l, enum kind kind, uint32_t number,
		     uint32_t count)
{
	struct head h = { .magic = MAGIC, .kind = (uint8_t)kind, .number = number,
			  .count = count };

	h.sum = sum_of((const uint8_t *)&h, sizeof(h));
	return l->send(l->ctx, &h, sizeof(h));
}

/* Whether what came is one of ours; its head then, with the sum taken out of the data. */
static bool get_head(uint8_t *data, size_t bytes, struct head *h)
{
	if (bytes < sizeof(*h))
		return false;
	memcpy(h, data, sizeof(*h));
	memset(data + offsetof(struct head, sum), 0, sizeof(h->sum));
	return h->magic == MAGIC;
}

/* ---- sending --------------------------------------------------------------------- */

struct sender {
	const struct verified_link *l;
	const struct verified_options *o;
	uint32_t sent, told;	/* the peer has told of what is before */
	uint32_t right;
};

static int send_one(struct sender *s)
{
	struct head h = { .magic = MAGIC, .kind = DATA, .number = s->sent,
			  .count = s->o->bytes };
	uint32_t every = s->o->window / 2 ? s->o->window / 2 : 1;

	if (s->sent % every == every - 1)
		h.kind = DATA_ASK;
	if (!s->o->unchecked) {
		fill(packet + sizeof(h), s->o->bytes - sizeof(h), s->sent);
		memcpy(packet, &h, sizeof(h));
		h.sum = sum_of(packet, s->o->bytes);
	}
	memcpy(packet, &h, sizeof(h));
	s->sent++;
	return s->l->send(s->l->ctx, packet, s->o->bytes);
}

/* One answer at most: 1: it was the one to this; 0: none or another. */
static int hear(struct sender *s, enum kind kind, uint32_t number, int timeout_ms)
{
	uint8_t data[64];
	struct head h;
	int n = s->l->receive(s->l->ctx, data, sizeof(data), timeout_ms);

	if (n <= 0)
		return n;
	if (!get_head(data, (size_t)n, &h) || sum_of(data, sizeof(h)) != h.sum)
		return 0;
	if ((h.kind != TELL && h.kind != ENDED) || h.number > s->sent)
		return 0;
	if (h.number > s->told)
		s->told = h.number;
	s->right = h.count;
	return h.kind == kind && h.number >= number;
}

/* Asks until it is answered. Whatever was sent before is there then, or lost. */
static int insist(struct sender *s, enum kind ask, enum kind answer)
{
	uint64_t now = s->l->now_ns(s->l->ctx), next = now;
	uint64_t end = now + (uint64_t)s->o->patience_ms * MS_NS;
	int r;

	for (; now < end; now = s->l->now_ns(s->l->ctx)) {
		if (now >= next) {
			r = send_head(s->l, ask, s->sent, 0);
			if (r < 0)
				return r;
			next = now + ASK_MS * MS_NS;
		}
		r = hear(s, answer, s->sent, ASK_MS);
		if (r)
			return r < 0 ? r : 0;
	}
	return -ETIMEDOUT;
}

int verified_send(const struct verified_link *l, const struct verified_options *o,
		  struct verified_result *out)
{
	struct sender s = { .l = l, .o = o };
	uint64_t start;
	int r;

	memset(out, 0, sizeof(*out));
	if (o->bytes < VERIFIED_BYTES_MIN || o->bytes > VERIFIED_BYTES_MAX || !o->window)
		return -EINVAL;
	r = insist(&s, ASK, TELL);	/* until the peer is there */
	start = l->now_ns(l->ctx);
	while (r >= 0 && s.sent < o->nr) {
		while (r >= 0 && s.sent - s.told < o->window && s.sent < o->nr)
			r = send_one(&s);
		if (r >= 0 && s.sent < o->nr)
			r = hear(&s, TELL, 0, LATE_MS * 10);
		if (r == 0 && s.sent - s.told >= o->window)
			r = insist(&s, ASK, TELL);
	}
	if (r >= 0)
		r = insist(&s, END, ENDED);
	out->ns = l->now_ns(l->ctx) - start;
	out->right = s.right;
	out->lost = o->nr - s.right;
	out->bytes = (uint64_t)s.right * o->bytes;
	return r < 0 ? r : 0;
}

/* ---- receiving ------------------------------------------------------------------- */

struct receiver {
	const struct verified_link *l;
	const struct verified_options *o;
	struct verified_result *out;
	uint8_t *seen;
	uint64_t first_ns;
};

static bool is_right(const struct receiver *r, const struct head *h, const uint8_t *data,
		     size_t bytes)
{
	if (h->number >= r->o->nr || h->count != bytes)
		return false;
	return r->o->unchecked || (sum_of(data, bytes) == h->sum &&
				   is_filled(data + sizeof(*h), bytes - sizeof(*h), h->number));
}

static void count(struct receiver *r, const struct head *h, const uint8_t *data, size_t bytes)
{
	uint8_t *seen = r->seen + h->number / 8, bit = (uint8_t)(1u << h->number % 8);

	if (!is_right(r, h, data, bytes)) {
		r->out->wrong++;
		return;
	}
	if (!r->first_ns)
		r->first_ns = r->l->now_ns(r->l->ctx);
	if (*seen & bit) {
		r->out->doubled++;
		return;
	}
	*seen |= bit;
	r->out->right++;
	r->out->bytes += bytes;
	if (h->kind == DATA_ASK || r->out->right == r->o->nr)
		r->out->ns = r->l->now_ns(r->l->ctx) - r->first_ns;
}

/* 1: the end was asked for. After that a sender who asks means the next receiver. */
static int react(struct receiver *r, size_t bytes, bool ended)
{
	struct head h;

	if (!get_head(packet, bytes, &h) || (ended && h.kind != END))
		return 0;
	switch (h.kind) {
	case DATA_ASK:
	case DATA:
		count(r, &h, packet, bytes);
		return h.kind == DATA ? 0 : send_head(r->l, TELL, h.number + 1, r->out->right);
	case ASK:
		return send_head(r->l, TELL, h.number, r->out->right);
	case END:
		return send_head(r->l, ENDED, h.number, r->out->right) < 0 ? -EIO : 1;
	}
	return 0;
}

int verified_receive(const struct verified_link *l, const struct verified_options *o,
		     uint8_t *seen, struct verified_result *out)
{
	struct receiver r = { .l = l, .o = o, .out = out, .seen = seen };
	bool ended = false;
	int n, rc;

	memset(out, 0, sizeof(*out));
	for (;;) {
		n = l->receive(l->ctx, packet, sizeof(packet), ended ? LINGER_MS : o->patience_ms);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		rc = react(&r, (size_t)n, ended);
		if (rc < 0)
			return rc;
		ended |= rc > 0;
	}
	out->lost = o->nr - out->right;
	return ended ? 0 : -ETIMEDOUT;
}
