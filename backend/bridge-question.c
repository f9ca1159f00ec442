/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked about bridges, and what their workers answer (bridge-serve.h).
 *
 * Hides: which answer belongs to which question. Must not know: who asks.
 */
#include "bridge-serve-internal.h"

#include <errno.h>
#include <stdlib.h>
#include "util.h"

enum ask { ASK_COUNT, ASK_LIST, ASK_CAPTURE };

/* To a worker, which answers those of one kind in their order. */
struct question {
	struct question *next;
	enum ask what;
	uint32_t number;		/* of the port that is being asked about, or the capture */
	struct netback_stats all;
	const struct bridge_answers *answers;	/* NULL: nobody wants to know any more */
	void *arg;
};

/* ---- open questions ------------------------------------------------------------------------ */

static struct question **find_question(struct bridge *b, enum ask what, uint32_t number)
{
	struct question **at = &b->questions;

	while (*at && ((*at)->what != what || (*at)->number != number))
		at = &(*at)->next;
	return at;
}

static struct question *take_out(struct question **at)
{
	struct question *q = *at;

	*at = q->next;
	return q;
}

/* Answers in order: the last in the list is the last to be answered. */
static int ask(struct bridge *b, enum ask what, uint32_t number,
	       const struct bridge_answers *answers, void *arg)
{
	struct question **at = &b->questions, *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	*q = (struct question){ .what = what, .number = number, .answers = answers, .arg = arg };
	while (*at)
		at = &(*at)->next;
	*at = q;
	return 0;
}

/* One port after the other: neither end then waits for room in the socket. */
static struct bridge_port *port_after(const struct bridge *b, uint32_t id)
{
	struct bridge_port *next = NULL;

	for (struct bridge_port *p = b->ports; p; p = p->next)
		if (p->id > id && (!next || p->id < next->id))
			next = p;
	return next;
}

static void ask_count(struct bridge_port *p)
{
	struct bridge_msg msg = bridge_message(BRIDGE_COUNT, p->id);

	bridge_tell(p->bridge, &msg, -1);
}

static void count_next(struct bridge *b, struct question **at)
{
	struct bridge_port *p = (*at)->answers ? port_after(b, (*at)->number) : NULL;
	struct question *q;

	if (p) {
		(*at)->number = p->id;
		ask_count(p);
		return;
	}
	q = take_out(at);
	if (q->answers)
		q->answers->done(q->arg, &q->all, NULL);
	free(q);
}

static void take_counted(struct bridge *b, const struct bridge_msg *msg)
{
	struct question **at = find_question(b, ASK_COUNT, msg->port);
	struct bridge_port *p = bridge_find_port(b, msg->port);

	if (!*at)
		return;
	(*at)->all = msg->counted.all;
	if (p && (*at)->answers)
		(*at)->answers->counted((*at)->arg, &p->info, &msg->counted.port);
	count_next(b, at);
}

static void take_listed(struct bridge *b, const struct bridge_msg *msg)
{
	struct question **at = find_question(b, ASK_LIST, 0), *q = *at;

	if (!q)
		return;
	for (uint32_t i = 0; q->answers && i < MIN(msg->listed.nr, BRIDGE_LISTED_MAX); i++)
		q->answers->listed(q->arg, &msg->listed.address[i]);
	if (!msg->listed.last)
		return;
	take_out(at);
	if (q->answers)
		q->answers->done(q->arg, &q->all, NULL);
	free(q);
}

static void take_captured(struct bridge *b, const struct bridge_msg *msg)
{
	struct question **at = find_question(b, ASK_CAPTURE, msg->capture.number), *q = *at;

	if (!q)
		return;
	take_out(at);
	if (q->answers)
		q->answers->captured(q->arg, &msg->capture);
	free(q);
}

bool bridge_take_answer(struct bridge *b, const struct bridge_msg *msg)
{
	switch (msg->type) {
	case BRIDGE_COUNTED:
		take_counted(b, msg);
		return true;
	case BRIDGE_LISTED:
		take_listed(b, msg);
		return true;
	case BRIDGE_CAPTURED:
		take_captured(b, msg);
		return true;
	}
	return false;
}

void bridge_end_questions(struct bridge *b, const struct failure *why)
{
	struct question *q;

	while ((q = b->questions)) {
		struct bridge_captured capture = { .number = q->number, .err = why->err };

		take_out(&b->questions);
		if (q->answers && q->what == ASK_CAPTURE)
			q->answers->captured(q->arg, &capture);
		else if (q->answers)
			q->answers->done(q->arg, &q->all, why);
		free(q);
	}
}

void bridge_drop_questions(struct bridge *b)
{
	while (b->questions)
		free(take_out(&b->questions));
}

/* ---- asking ---------------------------------------------------------------- */

void bridges_each(const struct bridges *all,
		  void (*fn)(void *arg, const char *name, uint32_t nr_ports, pid_t pid),
		  void *arg)
{
	for (const struct bridge *b = all->bridges; b; b = b->next) {
		uint32_t nr = 0;

		for (const struct bridge_port *p = b->ports; p; p = p->next)
			nr++;
		if (!b->stopping)
			fn(arg, b->name, nr, process_pid(b->process));
	}
}

int bridges_count(struct bridges *all, const char *name, const struct bridge_answers *answers,
		  void *arg)
{
	struct bridge *b = bridges_find(all, name);
	struct question **at;
	int rc = b ? ask(b, ASK_COUNT, 0, answers, arg) : -ENOENT;

	if (rc)
		return rc;
	at = find_question(b, ASK_COUNT, 0);
	count_next(b, at);
	return 0;
}

int bridges_list(struct bridges *all, const char *name, const struct bridge_answers *answers,
		 void *arg)
{
	struct bridge_msg msg = bridge_message(BRIDGE_LIST, BRIDGE_ITSELF);
	struct bridge *b = bridges_find(all, name);
	int rc = b ? ask(b, ASK_LIST, 0, answers, arg) : -ENOENT;

	if (!rc)
		bridge_tell(b, &msg, -1);
	return rc;
}

static struct bridge_port *find_vif(struct bridges *all, const struct bridge_vif_name *vif)
{
	for (struct bridge *b = all->bridges; b; b = b->next)
		for (struct bridge_port *p = b->ports; p; p = p->next)
			if (!p->info.is_uplink && p->info.domid == vif->domid &&
			    p->info.devid == vif->devid && p->info.is_added)
				return p;
	return NULL;
}

int bridges_capture(struct bridges *all, const char *name, const struct bridge_vif_name *vif,
		    uint32_t snaplen, int fd, const struct bridge_answers *answers, void *arg)
{
	struct bridge_port *p = vif ? find_vif(all, vif) : NULL;
	struct bridge *b = vif ? p ? p->bridge : NULL : bridges_find(all, name);
	struct bridge_msg msg = bridge_message(BRIDGE_CAPTURE, p ? p->id : BRIDGE_ITSELF);
	int rc;

	if (!b)
		return -ENOENT;
	msg.capture.number = ++all->next_capture;
	msg.capture.snaplen = snaplen;
	rc = ask(b, ASK_CAPTURE, msg.capture.number, answers, arg);
	if (!rc)
		bridge_tell(b, &msg, fd);
	return rc;
}

static void stop_capture(struct bridge *b, const struct question *q)
{
	struct bridge_msg msg = bridge_message(BRIDGE_CAPTURE_STOP, BRIDGE_ITSELF);

	msg.capture.number = q->number;
	bridge_tell(b, &msg, -1);
}

void bridges_stop_capture(struct bridges *all, void *arg)
{
	for (struct bridge *b = all->bridges; b; b = b->next)
		for (struct question *q = b->questions; q; q = q->next)
			if (q->answers && q->arg == arg && q->what == ASK_CAPTURE)
				stop_capture(b, q);
}

void bridges_forget(struct bridges *all, void *arg)
{
	bridges_stop_capture(all, arg);
	for (struct bridge *b = all->bridges; b; b = b->next)
		for (struct question *q = b->questions; q; q = q->next)
			if (q->arg == arg)
				q->answers = NULL;
}
