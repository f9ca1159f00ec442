/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a sender is told that its requests are answered: with the next event it gets
 * anyway, or a little later, as network cards moderate their transmit interrupts.
 *
 * Hides: the policy. Must not know: rings, event channels, clocks; times are the
 * caller's, in microseconds. No allocation, any thread, one at a time.
 *
 * The answers themselves are published at once, so a sender that looks finds them;
 * only the event waits, for at most MODERATION_US. Waking a domain costs more than
 * all we do for a packet, and a sender seldom waits for this: what it hears next is
 * the reply. One that does wait shows it by sending as soon as it is told. It is told
 * at once from then on, and tried again after a number of events that doubles.
 */
#ifndef PV_MODERATION_H
#define PV_MODERATION_H

#include <stdbool.h>
#include <stdint.h>

#define MODERATION_US 2000u
#define MODERATION_SOON_US 100u		/* sending so soon is for having been told */
#define MODERATION_SLOTS 4u		/* so many answers do not wait: an event for each is cheap */
#define MODERATION_AT_ONCE_MAX 4096u

struct moderation {
	uint64_t until_us;	/* 0: no event is owed */
	uint64_t told_us;	/* when one was sent that had waited; 0: looked at since */
	uint32_t slots;		/* answers since the last event */
	uint32_t at_once;	/* events that do not wait any more before the next trial */
	uint32_t penalty;
};

/* slots answers were published that the peer wants an event for. True: send it now. */
static inline bool moderation_answered(struct moderation *m, uint32_t slots, uint64_t now_us)
{
	m->slots += slots;
	if (m->slots >= MODERATION_SLOTS)
		return true;
	if (m->at_once) {
		m->at_once--;
		return true;
	}
	if (!m->until_us)
		m->until_us = now_us + MODERATION_US;
	return false;
}

static inline bool moderation_owes(const struct moderation *m)
{
	return m->until_us;
}

static inline bool moderation_due(const struct moderation *m, uint64_t now_us)
{
	return m->until_us && now_us >= m->until_us;
}

/* The event was sent, or the peer has seen the answers without. */
static inline void moderation_told(struct moderation *m)
{
	m->until_us = 0;
	m->slots = 0;
}

/* The same, and it was sent for no other reason than that it was due. */
static inline void moderation_told_late(struct moderation *m, uint64_t now_us)
{
	moderation_told(m);
	m->told_us = now_us;
}

/* The peer has sent something. */
static inline void moderation_heard(struct moderation *m, uint64_t now_us)
{
	if (!m->told_us)
		return;
	if (now_us - m->told_us > MODERATION_SOON_US) {
		m->penalty /= 2;
	} else {
		m->penalty = m->penalty ? 2 * m->penalty : 16;
		if (m->penalty > MODERATION_AT_ONCE_MAX)
			m->penalty = MODERATION_AT_ONCE_MAX;
		m->at_once = m->penalty;
	}
	m->told_us = 0;
}

#endif
