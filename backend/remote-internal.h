/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far side of a disk behind a server, for the files that it consists of: what is done next
 * (remote.c), and its way from one version of the daemon to the next (remote-takeover.c).
 */
#ifndef PV_REMOTE_INTERNAL_H
#define PV_REMOTE_INTERNAL_H

#include "remote.h"
#include "answered.h"

enum link_state { LINK_NONE, LINK_WANTED, LINK_UP, LINK_DRAINS };

struct remote_link {
	struct remote *r;
	enum link_state state;
	uint32_t number;		/* of the last connection */
	int fd;				/* a copy of the worker's; -1 */
	struct evsource *drain;
	uint64_t drain_ms, up_ms;	/* 0: connected, and not heard to be ready */
	bool resting;			/* nobody wants another when it has drained */
};

struct remote {
	struct remote_what what;
	const struct remote_events *events;
	void *arg;
	struct evloop *loop;
	struct evsource *retry;
	uint64_t wait_ms;		/* before the next try; 0: at once */
	bool lost_one;			/* since then: what is dialled now is followed by a wait */
	bool waiting;			/* retry runs */
	bool say_open, open_said;	/* opened() is due; has been called */
	int open_err;

	struct process *server;
	bool server_ending;
	/* ending with what a worker wrote there; and that has been flushed */
	bool undurable, flushed;
	bool awaits_name;		/* none is started: the image's name is another file's */
	void (*ended)(void *arg);	/* once nobody wants it: the server's end is to be told */
	bool server_used;		/* it has been spoken to: it may have to write back */
	struct answered answered;	/* by a server of ours */
	bool untold;			/* it is lost, and nobody has been there to hear it */
	char line[256];			/* what it is saying */
	char words[160];		/* the last line it said */
	char socket[STORAGE_SOCKET_BYTES];

	struct process *dial;
	bool dial_flushes;		/* before the server is told to end */
	bool dial_asks;			/* what the export is, rather than for dial_queue */
	uint32_t dial_queue;

	bool known;
	struct remote_info info;
	int info_fd;			/* the same, for another version; -1 */
	bool serves;			/* a worker is there to have connections */
	struct remote_link link[VBD_QUEUES_MAX];
	uint64_t away_ms;		/* since when no connection is up; 0: one is */
	char why[200];
};

static inline bool remote_is_served(const struct remote *r)
{
	return r->what.storage.kind == STORAGE_SERVED;
}

/* Of a server of ours: its words, its end. */
extern const struct process_events remote_server_events;

void remote_close_link(struct remote_link *l);
/* By a worker. */
void remote_begin_to_use(struct remote *r);
/*
 * What a worker that has died had written there is flushed first: how a server ends does not tell
 * whether it could write back what it had (qemu-nbd: status 0). One that lives has copies.
 *
 * Our copies of its connections are closed: its end is the fence, and qemu-nbd does not come to it
 * while it has answers for a connection that is open and that nobody reads.
 */
void remote_end_server(struct remote *r);
/* opened() is called, later. */
void remote_say_open(struct remote *r, int err);
/* What a version before has left, if it has. */
void remote_inherit(struct remote *r);

#endif
