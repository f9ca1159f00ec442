/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor and the worker of one block device say to each other.
 *
 * Hides: the message layout and the passing of descriptors. Must not know: the
 * data path, XenStore keys. The supervisor (backend.c, vbd-device.c) talks to
 * XenStore and opens files; the worker (blkback-main's --worker mode) holds the
 * ring and the image. Messages are fixed structures on a SOCK_SEQPACKET pair,
 * whose worker end is descriptor WORKER_FD of a freshly executed program: no
 * memory, handle or thread is inherited, so a worker of another version can
 * take the place of this one (version is checked).
 *
 *   supervisor                          worker
 *   START (+ image, journal,
 *   figures; for a successor also
 *   an elder descriptor of the
 *   image, disk.h)                ->
 *                                       opens gnttab and evtchn, goes into its
 *                                       sandbox
 *                                 <-    PREPARED      (if START says so: the supervisor
 *                                                     stops the predecessor now)
 *                                       takes the fence (an OFD lock on the
 *                                       image: waits until the last I/O of its
 *                                       predecessor, and of who had the image
 *                                       before, has ended), maps the ring,
 *                                       binds the port, replays what the
 *                                       journal holds
 *                                 <-    WAITS         (for room to map the ring, perhaps again
 *                                                     and again)
 *                                 <-    READY         (supervisor: state 4)
 *                                 <-    FAILED        could not start: reason
 *                                 <-    BROKEN        the peer's ring is insane;
 *                                                     ring stopped, I/O drained
 *   STOP                          ->    answers all in flight, unmaps, unbinds
 *                                 <-    STOPPED       then exits with 0
 *   RESIZE                        ->    new size in sectors: all queues take it
 *                                       for their limit
 *                                 <-    RESIZED       (supervisor: sectors, state
 *                                                     4 once more)
 *   LINK (+ socket)               ->    the connection of one queue, where the image
 *                                       is behind a server: the worker has no network
 *                                 <-    LINKED        it serves; the size it has there
 *                                 <-    LOST          it has ended: another is wanted
 *   LIMIT                         ->    what it may do in a second, from now on
 *   MIRROR (+ map), or none       ->    marks in the map what it writes (dirty-map.h);
 *                                       without one not any more. START may bring one, too
 *                                 <-    MIRRORED      all queues do so now
 *
 * The same program does three more things for a supervisor, each with one message in
 * place of START, and ends:
 *
 *   DIAL                          ->    connects to a server (remote-dial.h)
 *                                 <-    DIALED (+ sockets), or FAILED
 *   EXEC                          ->    becomes a server: its socket is then what that
 *                                       program says, as packets of text
 *   COPY (+ source, target,
 *   map)                          ->    copies an image while others write it
 *                                       (mirror-copy.h)
 *                                 <-    COPIED        now and then: how far it is; or FAILED
 *   RATE                          ->    how fast it may be, from now on
 *   FINISH                        ->    nobody writes the source: copies what is left
 *                                 <-    FINISHED      and all of it is durable
 * A worker that goes without STOPPED has crashed, and so has, as far as the supervisor is
 * concerned, one that says what is no message of a worker's (it is killed): the supervisor
 * opens the image anew and starts a successor with replay set.
 */
#ifndef PV_WORKER_H
#define PV_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include "failure.h"
#include "limit.h"
#include "storage.h"
#include "vbd.h"

#define WORKER_FD 3
#define WORKER_VERSION 13u		/* raised with every change of a message: see below */
#define WORKER_MAX_QUEUES 4u		/* rings that one worker serves */

enum worker_type {
	WORKER_START = 1, WORKER_STOP, WORKER_RESIZE, WORKER_LIMIT, WORKER_LINK,
	WORKER_DIAL, WORKER_EXEC, WORKER_MIRROR, WORKER_COPY, WORKER_RATE, WORKER_FINISH,
	WORKER_READY = 16, WORKER_FAILED, WORKER_BROKEN, WORKER_STOPPED,
	WORKER_RESIZED, WORKER_LINKED, WORKER_LOST, WORKER_DIALED, WORKER_PREPARED,
	WORKER_MIRRORED, WORKER_COPIED, WORKER_FINISHED, WORKER_WAITS,
};

enum worker_engine {
	WORKER_ENGINE_AUTO, WORKER_ENGINE_BUFFERED, WORKER_ENGINE_DIRECT,
	WORKER_ENGINE_NULL,		/* loses all data: for measurements */
};

struct worker_start {
	uint32_t frontend_id, devid;
	struct vbd_frontend front;	/* rings, ports, ABI, persistent */
	struct vbd_features features;	/* what was published: limits to enforce */
	enum worker_engine engine;
	enum vbd_grants grants;		/* never the default */
	uint32_t persistent_pages;	/* most that stay mapped, all queues together */
	uint32_t persistent_idle_ms;	/* unmapped when not used for so long */
	enum vbd_share share;
	enum vbd_cache cache;
	uint32_t poll_us;		/* longest spin before sleeping; 0: never */
	uint8_t replay;			/* a predecessor may have left requests */
	uint8_t image_is_device;
	uint8_t secure_overwrite;	/* disk.h: of secure discards */
	uint8_t prepare;		/* PREPARED is wanted: a predecessor serves yet */
	struct limit limit;
	uint8_t keeps_unflushed;	/* disk.h: disk_remote */
	uint8_t remote;			/* behind a server: image is a file to lock, no more */
	uint32_t io_timeout_ms;		/* disk.h: disk_remote */
	uint32_t log_lines;		/* log_peer_begin() */
	uint32_t domid;			/* our own */
	/* The last descriptor is a map of what is written, of an image of so many bytes; 0: none. */
	uint64_t mirror_bytes;
	char export[STORAGE_EXPORT_BYTES];
};

struct worker_dial {
	struct storage_address at;
	char export[STORAGE_EXPORT_BYTES];
	uint32_t nr;			/* sockets; 0: ask what the export is */
	/* how long nobody listening is no error */
	uint32_t patience_ms;
	uint8_t flush;			/* with nr 0: DIALED once it has flushed, too */
};

/* What an export is. */
struct remote_info {
	uint64_t bytes;
	uint32_t least_block_bytes, good_block_bytes;
	uint8_t read_only, flush, trim, zero, multi_conn;
};

struct worker_link {
	uint32_t queue;
	uint32_t number;		/* LINK's, of the connection meant; in LINKED and LOST */
	uint64_t bytes;			/* LINKED */
	struct failure failure;		/* LOST */
};

struct worker_mirror {
	uint64_t bytes;			/* MIRROR: the image's; 0: no map comes with it */
	uint32_t number;		/* of the MIRROR; MIRRORED has that of the last */
};

struct worker_copy {
	uint64_t image_bytes;
	uint64_t bytes_per_second;	/* also RATE; 0: as fast as it can */
	uint8_t source_direct;		/* past the page cache, as who writes it does */
	uint8_t target_is_device;
};

struct worker_copied {
	uint64_t copied_bytes;		/* so far, chunks that were written again counted again */
	uint64_t dirty_bytes;		/* to be copied now */
	uint64_t finish_us;		/* how long FINISH would take, as things are going */
	uint8_t synced;			/* everything has been copied once, and finish_us is little */
};

struct worker_msg {
	uint32_t version, type;
	union {
		struct worker_start start;
		struct failure failure;
		uint64_t sectors;	/* WORKER_RESIZE, WORKER_RESIZED */
		struct limit limit;	/* WORKER_LIMIT */
		char engine[32];	/* WORKER_READY: what was chosen, for explain */
		struct worker_link link;	/* LINK, LINKED, LOST */
		struct worker_dial dial;
		struct remote_info dialed;	/* DIALED */
		struct storage_command command;	/* EXEC */
		struct worker_mirror mirror;	/* MIRROR, MIRRORED */
		struct worker_copy copy;	/* COPY; RATE: its rate alone */
		struct worker_copied copied;	/* COPIED, FINISHED */
	};
};

/*
 * A worker and its supervisor may be of different versions, and structures of the
 * schema are in the messages. Who gets here by changing one raises the version, then
 * writes down the new layout.
 */
#ifdef __LP64__
_Static_assert(WORKER_VERSION == 13 && WORKER_WAITS == 28 &&
	       sizeof(struct worker_msg) == 1656 && sizeof(struct limit) == 112 &&
	       offsetof(struct worker_msg, start.features) == 1184 &&
	       offsetof(struct worker_msg, start.engine) == 1232 &&
	       offsetof(struct worker_msg, start.prepare) == 1263 &&
	       offsetof(struct worker_dial, flush) + sizeof(uint32_t) == sizeof(struct worker_dial) &&
	       sizeof(struct failure) == 208,
	       "messages have changed: raise WORKER_VERSION and note the layout");
#endif

/* fds may be NULL with nr_fds 0. 0 or -errno; -EPIPE: the other end is gone. */
int worker_send(int sock, const struct worker_msg *msg, const int *fds, unsigned nr_fds);
/*
 * Receives one message; descriptors, at most *nr_fds, become the caller's.
 * -EPROTO: wrong version, size or type; -EPIPE: end of stream.
 */
int worker_receive(int sock, struct worker_msg *msg, int *fds, unsigned *nr_fds);

#endif
