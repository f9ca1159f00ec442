/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bridge-serve.c, bridge-former.c and bridge-question.c share; nobody else includes it.
 *
 * Hides: nothing. The life of bridges and ports is the first's; workers of a version before the
 * second's; what is asked about bridges, and the answers, the last's.
 */
#ifndef PV_BRIDGE_SERVE_INTERNAL_H
#define PV_BRIDGE_SERVE_INTERNAL_H

#include "bridge-serve.h"
#include "former.h"

#define BRIDGE_TITLE_BYTES (VIF_NAME_BYTES + 16)

struct question;			/* bridge-question.c */
struct held_message;			/* bridge-serve.c */

struct bridge_port {
	struct bridge_port *next;
	struct bridge *bridge;
	uint32_t id;
	struct bridge_port_info info;
	bool leaving, is_broken, flip_ended;
	bool fell;			/* its worker has ended, with all ports */
	struct failure failure;		/* when broken */
	const struct bridge_port_events *events;	/* NULL: freed by its owner */
	void *arg;
};

/*
 * The worker of a version before, which serves until one of ours is ready: whichever of them,
 * since it serves on when one dies or cannot begin.
 */
struct bridge_former {
	struct bridge_former *next;
	struct bridges *all;
	char name[VIF_NAME_BYTES];
	struct former *former;
	struct bridge *bridge;		/* that is to succeed it; NULL: none at the moment */
	struct evsource *alone;		/* for too long: nobody joins that bridge any more */
	uint32_t crashes;		/* of those that were to succeed it */
};

struct bridge {
	struct bridge *next;
	struct bridges *all;
	char name[VIF_NAME_BYTES];
	struct process *process;
	struct bridge_former *former;	/* until that has ended */
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
	struct bridge_former *formers;
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
/* Its former worker has ended: what waited for that. */
void bridge_tell_held(struct bridge *b);
/* Of its worker, among processes. */
static inline void bridge_title(const char *name, char title[BRIDGE_TITLE_BYTES])
{
	snprintf(title, BRIDGE_TITLE_BYTES, "bridge-%s", name);
}

/* bridge-former.c */
/* Of one that begins: the worker that is left for it, if there is one. -errno. */
int bridge_former_adopt(struct bridge *b);
/* Its own worker is ready. */
void bridge_former_hang_up(struct bridge *b);
/*
 * Its own worker has ended. The former serves on, and the ports join another, at once or soon.
 * Not for ever, if such workers crash: the ports give up after some.
 */
void bridge_former_leave(struct bridge *b);
/* Kills what runs. */
void bridge_formers_close(struct bridges *all);

/* bridge-question.c */
/* True: msg was an answer. */
bool bridge_take_answer(struct bridge *b, const struct bridge_msg *msg);
/* The worker has ended: why is the answer to all that is open. */
void bridge_end_questions(struct bridge *b, const struct failure *why);
/* Without any answer. */
void bridge_drop_questions(struct bridge *b);

#endif
