/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block front end whose ring, pages and port are in the test's own hands.
 *
 * Hides: the handshake, waiting. Must not know: which lies are told.
 */
#ifndef PV_HOSTILE_DEV_H
#define PV_HOSTILE_DEV_H

#include "blk-guest.h"
#include "front-linux.h"
#include "frontdev.h"
#include "hostile-base.h"

#define HOSTILE_PAGES 32u
/* Where good requests write: what is elsewhere on the image stays. */
#define HOSTILE_GOOD_SECTOR 8u

struct hostile_options {
	uint32_t devid;
	enum vbd_abi abi;
	bool persistent;
	const char *log;		/* the back end's, or NULL */
};

struct hostile {
	struct hostile_options o;
	struct front_linux *linux_env;
	struct front_env *env;
	struct frontdev dev;
	struct vbd_features f;
	struct vbd_frontend front;
	struct guest g;
	uint32_t port;
	uint64_t last_id;
	uint8_t *data;			/* HOSTILE_PAGES pages, writable */
	uint32_t data_gref[HOSTILE_PAGES];
	uint8_t *ro;			/* one page, granted read-only */
	uint32_t ro_gref;
	uint8_t *foreign;		/* one page, granted to ourselves */
	uint32_t foreign_gref;
	uint32_t unshared_gref;		/* was granted once */
};

/* The environment, once per process. */
void hostile_init(struct hostile *h, const struct hostile_options *o);
void hostile_exit(struct hostile *h);

/* Up to a ring that only we know, and from there to Connected. */
void hostile_prepare(struct hostile *h);
void hostile_publish(struct hostile *h);
void hostile_connect(struct hostile *h);
/* All three. */
void hostile_open(struct hostile *h);
/* Waits until the back end has closed; it must not hold anything of ours. */
void hostile_close(struct hostile *h);
/* The back end closes by itself. Why it says in a node that a guest cannot read. */
void hostile_stopped(struct hostile *h);

/* Every one another, and with no zero byte in it. */
uint64_t hostile_id(struct hostile *h);
struct blkif_request_segment hostile_seg(uint32_t gref, uint8_t first, uint8_t last);
void hostile_push(struct hostile *h);
void hostile_notify(struct hostile *h);
/* The next response. Its padding is clean, or the test ends. */
struct guest_response hostile_take(struct hostile *h);
/* Nothing but what was asked for has been answered. */
void hostile_quiet(struct hostile *h);
/* A good request is served: with data, on a disk that can be written to. */
void hostile_good(struct hostile *h);

/* Lines of the back end's log about this device that contain text. */
uint32_t hostile_log_lines(const struct hostile *h, const char *text);

#endif
