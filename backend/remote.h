/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far side of one disk whose image is behind a server: the server itself where we
 * start it, and connections to it, one for each queue.
 *
 * Hides: processes that dial (remote-dial.h), when a server is started again, when an
 * old connection's requests have ended. Must not know: workers, XenStore, rings. The
 * loop's thread.
 *
 * The fence. A connection that ends with requests on their way may leave them being done
 * by the server; what is sent again on the next one must not be overtaken by them.
 * So no next connection is made before
 *   - a server that we started has ended (it writes back what it has, or is killed);
 *   - any other has closed the old connection, of which a copy is kept here for that:
 *     it is told that nothing more comes, and read until its end. A server that finishes
 *     what it has begun before it closes, as nbdkit does, has then done all of it. One
 *     that closes first (qemu-nbd) gives no such sign; one that does not close is waited
 *     for REMOTE_FENCE_MS, and that is said.
 */
#ifndef PV_REMOTE_H
#define PV_REMOTE_H

#include "device.h"
#include "storage.h"
#include "worker.h"

#define REMOTE_FENCE_MS 30000u
#define REMOTE_END_MS 10000u		/* a server's, from SIGTERM to SIGKILL */

struct remote_what {
	const struct backend_config *config;	/* outlives it, as log does */
	struct rundir_name name;
	struct log_peer *log;
	char image[STORAGE_NAME_BYTES];	/* the name that storage is made of */
	struct storage storage;		/* NBD or SERVED */
	/*
	 * What is locked of the file that a server of ours is started for, and outlives it: by
	 * that name no other file's is. -1: the storage names no file.
	 */
	int image_fd;
	enum vbd_cache cache;
	bool read_only;
	/* Somebody is connected already: a server that is not there is waited for. */
	bool patient;
};

/*
 * Another version of this program (takeover.h). What is on its way to the server is the old
 * worker's: when that has ended, the connections are ended like those of one that died, and a
 * server of ours is succeeded by one that this version starts.
 */
struct remote_events {
	/* Once, later: the export is known, or why not. It may be closed in here. */
	void (*opened)(void *arg, int err, const char *why);
	/* A connection for a queue. The descriptor is lent, to be passed on with number. */
	void (*connected)(void *arg, uint32_t queue, uint32_t number, int fd);
	/* remote_describe() has changed. NULL: it is not looked at. */
	void (*changed)(void *arg);
	/* Of what a server of ours had answered nobody has a copy (answered.h). NULL: who
	 * attends next is told. */
	void (*lost_writes)(void *arg);
};

struct remote;

/*
 * -errno of processes. events is kept. What a version before has left is gone on with if it is
 * of this image, mode and cache; a server of another ends before anything is asked.
 */
int remote_open(struct evloop *loop, const struct remote_what *what,
		const struct remote_events *events, void *arg, struct remote **out);
/*
 * Nobody wants it any more, and events are over: connections are ended, and a server of ours is
 * told to end. True: that is all. False: a server of ours has time to write back, REMOTE_END_MS of
 * it, and may then wait for its storage as long as that takes; another's has as long to close
 * connections that had requests on their way. ended says so, once, and may close it.
 */
bool remote_end(struct remote *r, void (*ended)(void *arg), void *arg);
/*
 * A server of ours that has not ended is waited for here: for a program that ends itself, and
 * not for a loop that others need. Accepts NULL. True: lost_writes, which nobody has been told.
 */
bool remote_close(struct remote *r);
/* After opened() without an error. bytes follows remote_linked(). */
const struct remote_info *remote_info(const struct remote *r);
/* Who connected() and changed() are for, from now on; NULL: nobody. */
void remote_attend(struct remote *r, const struct remote_events *events, void *arg);

/* A worker begins, which wants nr connections. */
void remote_serve(struct remote *r, uint32_t nr);
/* It has ended. clean: with all requests answered. */
void remote_rest(struct remote *r, bool clean);
/* One has that this version, or anybody, does not hear: remote_serve() ends its connections. */
void remote_gone(struct remote *r, bool in_order);
/*
 * The worker's words, of a connection by its number: one that has been given up here
 * already is not meant. linked: true when the size is another than before.
 */
bool remote_linked(struct remote *r, uint32_t queue, uint32_t number, uint64_t bytes);
void remote_lost(struct remote *r, uint32_t queue, uint32_t number, const char *why);

/*
 * For another version: -errno. It may leave when remote_is_settled(), which it is not while
 * the server is away or anybody is on the way to it.
 */
bool remote_is_settled(const struct remote *r);
bool remote_is_away(const struct remote *r);
/* The name is another file's by now: a server of ours that ended could not be started again. */
bool remote_is_misnamed(const struct remote *r);
bool remote_awaits_name(const struct remote *r);	/* that is what has come of it */
int remote_hand_over(struct remote *r, struct takeover *t);

/* "connected", or since when and why not; for the info file. */
void remote_describe(const struct remote *r, char *buf, size_t bytes);

#endif
