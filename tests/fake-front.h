/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block back end inside the test's own process, that does what a test tells
 * it to, runs when the front end sleeps, and may lie.
 *
 * Hides: the back end's handshake. Must not know: the front end's inside.
 */
#ifndef PV_FAKE_FRONT_H
#define PV_FAKE_FRONT_H

#include "fake-env.h"
#include "ring.h"
#include "vbd.h"

#include <xen/io/blkif.h>

#define FAKE_DEVID 51712u
#define FAKE_FRONT_DIR "/local/domain/3/device/vbd/51712"
#define FAKE_BACK_DIR "/local/domain/0/backend/vbd/3/51712"
#define FAKE_LOG_MAX 4096

/* ---- the back end -------------------------------------------------------------------- */

enum fake_leave {
	FAKE_CLOSE_IN_TWO,	/* Closing at our Closing, Closed at our Closed: Linux */
	FAKE_CLOSE_AT_ONCE,	/* Closed at our Closing */
	FAKE_CLOSE_NEVER,
};

struct fake_back {
	struct vbd_features features;
	enum fake_leave leave;
	bool late;			/* size and features only when it connects: Linux */
	bool mute;			/* no reaction to states at all */
	bool refuse;			/* goes to Closing instead of Connected */
	bool stuck;			/* takes no requests */
	bool reverse;			/* answers a batch in reverse order */
	uint32_t per_push;		/* answers published at a time; 0: all */
	int16_t status[8];		/* answer to each operation; 0: do it */
	/* Called for each answer before it is put; may change it, or return false to drop it. */
	bool (*twist)(struct fake_back *b, struct blkif_response *rsp);
	void (*on_sleep)(struct fake_back *b);
	/* state */
	struct vbd_frontend front;
	struct ring_back ring[VBD_QUEUES_MAX];
	bool connected;
	uint8_t *disk;
	size_t disk_bytes;
	struct blkif_request log[FAKE_LOG_MAX];	/* as they were on the ring */
	uint32_t nr_log, sleeps, events_sent, bad_requests;
};

/* A fresh world: nodes of the device as the tool stack writes them, an honest back end. */
void fake_front_reset(size_t disk_bytes);
extern struct fake_back fake_back;
/* The environment of domain FAKE_DOMID; close its handles with fake_front_end(). */
struct front_env *fake_front_env(void);
void fake_front_end(void);
/* Answers what is on the rings now, told or not. */
void fake_front_serve(void);
/* Raises the event of queue q. */
void fake_raise(uint32_t q);

#endif
