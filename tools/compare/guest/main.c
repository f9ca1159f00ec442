/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's one job: the same loop over every model's driver; of network cards, in
 * net.c. Hides the workload of disks; must not know models.
 */
#include <string.h>

#include "guest.h"

void guest_main(void);

static const struct model *const models[CMP_RTL8139] = {
	[CMP_ATA_PIO] = &model_ata_pio, [CMP_ATA_DMA] = &model_ata_dma,
	[CMP_VIRTIO] = &model_virtio, [CMP_XEN] = &model_xen,
};

static const struct nic_model *const nics[CMP_NR_MODELS] = {
	[CMP_RTL8139] = &nic_rtl8139, [CMP_VIRTIO_NET] = &nic_virtio,
	[CMP_XEN_NET] = &nic_xen,
};

static struct request requests[CMP_DEPTH_MAX];
static struct request *done_list;
static char plain[CMP_DEPTH_MAX / 4 * CMP_BLOCK_MAX] __attribute__((aligned(4096)));
static uint64_t random_state;
static bool measuring;
static uint64_t copied_before;

int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	volatile struct cmp_call request = { .nr = nr, .arg = { a, b, c, d, e } };

	out32(CMP_PORT_CALL, (uint32_t)(uint64_t)&request);
	return request.ret;
}

void give_up(int err, const char *text)
{
	size_t n = strlen(text);

	if (n >= sizeof(job->text))
		n = sizeof(job->text) - 1;
	memcpy(job->text, text, n);
	job->text[n] = 0;
	job->status = err;
	for (;;)
		call(CMP_CALL_DONE, 0, 0, 0, 0, 0);
}

void *plain_buffer(unsigned int index)
{
	if ((uint64_t)(index + 1) * job->block_bytes > sizeof(plain))
		give_up(-12, "depth times block size is more than the guest's memory");
	return plain + (uint64_t)index * job->block_bytes;
}

void request_done(struct request *r, int err)
{
	if (err)
		give_up(err, "the disk answered a request with an error");
	r->next = done_list;
	done_list = r;
}

static void begin(const struct model *m)
{
	measuring = true;
	if (m->copied_bytes)
		copied_before = m->copied_bytes();
	call(CMP_CALL_BEGIN, 0, 0, 0, 0, 0);
}

static void end(const struct model *m)
{
	call(CMP_CALL_END, 0, 0, 0, 0, 0);
	measuring = false;
	if (m->copied_bytes)
		job->copied_bytes = m->copied_bytes() - copied_before;
}

/* ---- random workloads ------------------------------------------------------------- */

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void start(const struct model *m, struct request *r)
{
	r->offset_bytes = next_random() % (job->disk_bytes / job->block_bytes) *
			  job->block_bytes;
	r->start_ticks = now_ticks();
	m->submit(r);
	if (job->flags & CMP_EVERY_KICK)
		m->kick();
}

static void account(const struct request *r, uint64_t now)
{
	uint64_t ticks = now - r->start_ticks;

	if (!measuring)
		return;
	job->ops++;
	job->latency_ticks += ticks;
	job->hist[cmp_bucket(ticks)]++;
}

/* Everything that has completed is started anew, then the other side is told once. */
static void run_until(const struct model *m, uint64_t end_ticks)
{
	struct request *r, *list;
	uint64_t now = now_ticks();

	while (now < end_ticks) {
		m->wait();
		list = done_list;
		done_list = NULL;
		now = now_ticks();
		while ((r = list)) {
			list = r->next;
			account(r, now);
			start(m, r);
		}
		m->kick();
	}
}

static void drain(const struct model *m)
{
	unsigned int left = job->depth;

	while (left) {
		for (; done_list; done_list = done_list->next)
			left--;
		if (left)
			m->wait();
	}
}

static void read_or_write(const struct model *m)
{
	uint64_t start_ticks = now_ticks();

	for (unsigned int i = 0; i < job->depth; i++) {
		requests[i].write = job->op == CMP_WRITE;
		start(m, &requests[i]);
	}
	m->kick();
	run_until(m, start_ticks + job->warm_ticks);
	begin(m);
	run_until(m, now_ticks() + job->run_ticks);
	end(m);
	drain(m);
}

/* ---- copy ---------------------------------------------------------------------------- */

/* Each request reads a block of the first half, then writes it to the second. */
static void copy(const struct model *m)
{
	uint64_t half = job->disk_bytes / 2, at = 0;
	unsigned int in_flight = 0;
	struct request *r, *list;

	begin(m);
	for (unsigned int i = 0; i < job->depth && at < half; i++, at += job->block_bytes) {
		requests[i].offset_bytes = at;
		requests[i].start_ticks = now_ticks();
		m->submit(&requests[i]);
		in_flight++;
	}
	m->kick();
	while (in_flight) {
		m->wait();
		list = done_list;
		done_list = NULL;
		while ((r = list)) {
			list = r->next;
			account(r, now_ticks());
			r->start_ticks = now_ticks();
			if (!r->write) {
				r->offset_bytes += half;
			} else if (at < half) {
				r->offset_bytes = at;
				at += job->block_bytes;
			} else {
				in_flight--;
				continue;
			}
			r->write = !r->write;
			m->submit(r);
		}
		m->kick();
	}
	end(m);
}

/* How fast instructions are that do not exit: some KVMs interpret a guest's kernel. */
static void measure_instructions(void)
{
	uint64_t start = now_ticks(), n = CMP_LOOP;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n) :: "cc");
	job->loop_ticks = now_ticks() - start;
}

static void disk_run(const struct model *m)
{
	if (job->depth > m->max_depth)
		job->depth = m->max_depth;
	m->open();
	for (unsigned int i = 0; i < job->depth; i++) {
		requests[i].index = i;
		requests[i].bytes = job->block_bytes;
		requests[i].buf = m->buffer(i);
	}
	if (job->op == CMP_COPY)
		copy(m);
	else
		read_or_write(m);
	m->close();
}

void guest_main(void)
{
	measure_instructions();
	if (job->model >= CMP_NR_MODELS)
		give_up(-22, "no such model");
	random_state = job->seed | 1;
	if (nics[job->model])
		net_run(nics[job->model]);
	else
		disk_run(models[job->model]);
	for (;;)
		call(CMP_CALL_DONE, 0, 0, 0, 0, 0);
}
