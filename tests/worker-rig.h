/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker under test, with what is around it: the supervisor's end of its socket, a front
 * end's rings over fake-xen, an image, a journal and figures in memory. Must not know what
 * is tested. All check themselves, by unit.h.
 */
#ifndef PV_WORKER_RIG_H
#define PV_WORKER_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "blk-figures.h"
#include "blk-guest.h"
#include "worker.h"

#define PAGE 4096u
#define IMAGE_BYTES (1u << 20)
#define SECTORS (IMAGE_BYTES / 512)
#define PATIENCE_MS 20000

struct rig {
	struct worker_start start;
	struct guest guest[4];
	struct guest *g;
	uint32_t order;
	int sock;			/* the supervisor's end; -1: closed */
	int image, journal, figures;
	int map;			/* of a mirror, where start.mirror_bytes says so */
	pthread_t thread;
	int status;			/* of worker_main() */
	int worker_sock;
};

/* START and its descriptors, as the supervisor sends them. */
void rig_send_start(struct rig *r);
/* A worker in a thread, at the socket that is there. */
void rig_run(struct rig *r);
/* Both. */
void rig_start(struct rig *r);
/* The next message is of the type. */
void rig_hear(struct rig *r, enum worker_type type, struct worker_msg *msg);
/* Of all queues. */
void rig_read_figures(const struct rig *r, struct blk_figures *out);
/* All but the worker; what is in r->start and r->order counts. */
void rig_open(struct rig *r, uint32_t nr_queues);
void rig_ask_stop(struct rig *r);
/* The worker is gone, and all it had. */
void rig_close(struct rig *r, int status);
/* Waits for it; false: it does not come. */
bool rig_answer(struct guest *g, struct guest_response *rsp);
void rig_expect(struct guest *g, uint64_t id, int16_t status);
struct blkif_request_segment rig_whole_page(uint32_t page);

#endif
