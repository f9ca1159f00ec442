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
 *   START (+ image, journal)      ->
 *                                       opens gnttab and evtchn, takes the
 *                                       fence (an OFD lock on the image:
 *                                       waits until the predecessor's last
 *                                       I/O has ended), goes into its sandbox,
 *                                       maps the ring, binds the port,
 *                                       replays what the journal holds
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
 *
 * A worker that goes without STOPPED has crashed: the supervisor opens the image
 * anew and starts a successor with replay set.
 */
#ifndef PV_WORKER_H
#define PV_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include "failure.h"
#include "vbd.h"

#define WORKER_FD 3
#define WORKER_VERSION 3u		/* raised with every change of a message: see below */
#define WORKER_MAX_QUEUES 4u		/* rings that one worker serves */

enum worker_type {
	WORKER_START = 1, WORKER_STOP, WORKER_RESIZE,
	WORKER_READY = 16, WORKER_FAILED, WORKER_BROKEN, WORKER_STOPPED,
	WORKER_RESIZED,
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
	enum vbd_cache cache;
	uint32_t poll_us;		/* longest spin before sleeping; 0: never */
	uint8_t replay;			/* a predecessor may have left requests */
	uint8_t image_is_device;
	uint8_t secure_overwrite;	/* disk.h: of secure discards */
};

struct worker_msg {
	uint32_t version, type;
	union {
		struct worker_start start;
		struct failure failure;
		uint64_t sectors;	/* WORKER_RESIZE, WORKER_RESIZED */
		char engine[32];	/* WORKER_READY: what was chosen, for explain */
	};
};

/*
 * A worker and its supervisor may be of different versions, and structures of the
 * schema are in the messages. Who gets here by changing one raises the version, then
 * writes down the new layout.
 */
#ifdef __LP64__
_Static_assert(WORKER_VERSION == 3 && WORKER_RESIZED == 20 &&
	       sizeof(struct worker_msg) == 1264 &&
	       offsetof(struct worker_msg, start.features) == 1184 &&
	       offsetof(struct worker_msg, start.engine) == 1232 &&
	       offsetof(struct worker_msg, start.secure_overwrite) == 1258 &&
	       sizeof(struct failure) == 204,
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
