/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See worker-rig.h. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "fake-xen.h"
#include "unit.h"
#include "util.h"
#include "worker-main.h"
#include "worker-rig.h"

static void *run_worker(void *arg)
{
	struct rig *r = arg;

	r->status = worker_main(r->worker_sock, NULL);
	close(r->worker_sock);
	return NULL;
}

/* START and its descriptors, as the supervisor sends them. */
void rig_send_start(struct rig *r)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_START };
	int sv[2], fds[4];
	char path[64];

	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	r->sock = sv[0];
	r->worker_sock = sv[1];
	/* anew for each worker: the fence is a lock of the open file description */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->image);
	fds[0] = open(path, O_RDWR | O_CLOEXEC);
	fds[1] = r->journal;
	fds[2] = r->figures;
	msg.start = r->start;
	fds[3] = r->map;
	UNIT_EQ(worker_send(r->sock, &msg, fds, r->start.mirror_bytes ? 4 : 3), 0);
	close(fds[0]);
}

void rig_run(struct rig *r)
{
	UNIT_EQ(pthread_create(&r->thread, NULL, run_worker, r), 0);
}

void rig_start(struct rig *r)
{
	rig_send_start(r);
	rig_run(r);
}

/* The next message is of the type. */
void rig_hear(struct rig *r, enum worker_type type, struct worker_msg *msg)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	memset(msg, 0, sizeof(*msg));
	UNIT_EQ(poll(&p, 1, PATIENCE_MS), 1);
	UNIT_EQ(worker_receive(r->sock, msg, NULL, NULL), 0);
	UNIT_EQ(msg->type, type);
	if (msg->type == WORKER_FAILED && type != WORKER_FAILED)
		fprintf(stderr, "\n  (%s)", msg->failure.reason);
}

/* Of all queues. */
void rig_read_figures(const struct rig *r, struct blk_figures *out)
{
	struct figures_layout layout = { .nr_parts = 0 };
	struct blk_figures part;

	memset(out, 0, sizeof(*out));
	UNIT_EQ(figures_read_layout(r->figures, &layout), 0);
	for (uint32_t q = 0; q < layout.nr_parts; q++) {
		UNIT_EQ(figures_read(r->figures, &layout, q, &part), 0);
		out->responses += part.responses;
		out->wakeups += part.wakeups;
		out->spins_missed += part.spins_missed;
	}
}

void rig_open(struct rig *r, uint32_t nr_queues)
{
	struct worker_start *s = &r->start;
	bool persistent = s->front.persistent;
	struct figures_layout layout;

	log_open("test-worker", getenv("PV_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	fake_reset();
	s->frontend_id = FAKE_DOMID;
	s->devid = 51712;
	s->persistent_pages = 1056;
	s->persistent_idle_ms = 60000;
	s->features = (struct vbd_features){
		.sectors = SECTORS, .sector_bytes = 512, .flush = true, .barrier = true,
		.persistent = true, .discard = true, .max_indirect_segments = 256,
	};
	s->front = (struct vbd_frontend){ .nr_queues = nr_queues, .persistent = persistent };
	for (uint32_t i = 0; i < nr_queues; i++) {
		guest_open(&r->guest[i], VBD_ABI_NATIVE, r->order, i);
		s->front.queue[i].order = r->order;
		s->front.queue[i].port = r->guest[i].port;
		memcpy(s->front.queue[i].gref, r->guest[i].ring_gref,
		       sizeof(r->guest[i].ring_gref));
	}
	r->g = &r->guest[0];
	r->image = memfd_create("image", MFD_CLOEXEC);
	r->journal = memfd_create("journal", MFD_CLOEXEC);
	r->figures = memfd_create("figures", MFD_CLOEXEC);
	layout = blk_figures_layout(nr_queues);
	UNIT_EQ(figures_format(r->figures, &layout), 0);
	UNIT_EQ(ftruncate(r->image, IMAGE_BYTES), 0);
}

void rig_ask_stop(struct rig *r)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP };

	UNIT_EQ(worker_send(r->sock, &msg, NULL, 0), 0);
	rig_hear(r, WORKER_STOPPED, &msg);
}

/* The worker is gone, and all it had. */
void rig_close(struct rig *r, int status)
{
	pthread_join(r->thread, NULL);
	UNIT_EQ(r->status, status);
	UNIT_EQ(fake_mapped(), 0);
	UNIT_EQ(fake_handles(), 0);
	close_fd(&r->sock);
	close(r->image);
	close(r->journal);
	close(r->figures);
}

bool rig_answer(struct guest *g, struct guest_response *rsp)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (!guest_response(g, rsp))
		if (now_ms() > end || (usleep(50), false))
			return false;
	return true;
}

void rig_expect(struct guest *g, uint64_t id, int16_t status)
{
	struct guest_response rsp;

	UNIT_NEED(rig_answer(g, &rsp));
	UNIT_EQ(rsp.id, id);
	UNIT_EQ(rsp.status, status);
}

struct blkif_request_segment rig_whole_page(uint32_t page)
{
	return (struct blkif_request_segment){ .gref = fake_grant(page, false),
					       .first_sect = 0, .last_sect = 7 };
}
