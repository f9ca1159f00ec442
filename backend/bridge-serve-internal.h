/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bridge-serve.c and bridge-question.c share; nobody else includes it.
 *
 * Hides: nothing. The life of bridges and ports is the former's; what is asked about
 * them, and their answers, the latter's.
 */
#ifndef PV_BRIDGE_SERVE_INTERNAL_H
#define PV_BRIDGE_SERVE_INTERNAL_H

#include "bridge-serve.h"
#include "former.h"

struct question;			/* bridge-question.c */
struct held_message;			/* bridge-serve.c */

struct bridge_port {
	struct bridge_port *next;
	struct bridge *bridge;
	uint32_t id;
	struct bridge_port_info info;
	bool leaving, is_broken, flip_ended;
	struct failure failure;		/* when broken */
	const struct bridge_port_events *events;	/* NULL: freed by its owner */
	void *arg;
};

struct bridge {
	struct bridge *next;
	struct bridges *all;
	char name[VIF_NAME_BYTES];
	struct process *process;
	struct former *former;		/* of a version before, until process is ready */
	struct held_message *held, **held_end;	/* until former has ended, and they are told */
	struct evsource *tell;		/* the rest of them, a little later */
	struct bridge_port *ports;
	struct question *questions;
	struct evsource *overdue;	/* somebody's leaving has no answer */
	bool stopping;
	struct failure failure;		/* what it said itself; err 0: nothing */
};

/* What has been configured for a bridge, whether it runs or not. */
struct bridge_times {
	struct bridge_times *next;
	char name[VIF_NAME_BYTES];
	uint32_t ageing_ms, move_ms;
};

struct bridges {
	struct bridges_env env;
	struct bridge *bridges;
	struct bridge_times *times;
	uint32_t next_id, next_capture;
};

/* bridge-serve.c */
struct bridge_msg bridge_message(uint32_t type, uint32_t id);
/* -EPIPE: it is ending by itself, and will be heard of. */
int bridge_tell(struct bridge *b, const struct bridge_msg *msg, int fd);
struct bridge_port *bridge_find_port(struct bridge *b, uint32_t id);
/* One that can be joined. */
struct bridge *bridges_find(struct bridges *all, const char *name);

/* bridge-question.c */
/* True: msg was an answer. */
bool bridge_take_answer(struct bridge *b, const struct bridge_msg *msg);
/* The worker has ended: why is the answer to all that is open. */
void bridge_end_questions(struct bridge *b, const struct failure *why);
/* Without any answer. */
void bridge_drop_questions(struct bridge *b);

#endif
