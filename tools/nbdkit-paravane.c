/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An nbdkit plugin: a vbd of this domain as an NBD export.
 *
 * nbdkit calls from many threads; one thread of ours owns the front end. A call
 * puts a request into the owner's inbox, wakes it if the inbox was empty, and
 * sleeps until its request is over. Hides that hand-over. Must not know rings.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "blkfront.h"
#include "front-linux.h"
#include "toolstack.h"
#include "util.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

struct request {
	struct blkfront_io io;
	struct blkfront_iov iov;
	struct request *next;
	pthread_cond_t over_cond;
	bool over;
	int result;
};

static struct {
	uint32_t devid;
	int timeout_ms;
	unsigned int poll_us;
	struct blkfront_options blk;
} config = { .devid = 51712, .timeout_ms = 10000, .poll_us = 50 };

static struct {
	struct front_linux *fl;
	struct blkfront *f;
	struct blkfront_info info;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;		/* of what follows, and of every request's over */
	struct request *inbox, **inbox_end;
	bool stop;
	unsigned int nr_clients;
	int gone;			/* why requests fail from now on; 0: they do not */
} owner = { .lock = PTHREAD_MUTEX_INITIALIZER, .inbox_end = &owner.inbox };

/* ---- configuration ---------------------------------------------------------------- */

static int set_number(const char *key, const char *value)
{
	static const struct {
		const char *key;
		uint64_t max;
	} keys[] = {
		{ "timeout-ms", 86400000 }, { "poll-us", 1000000 }, { "ring-order", 4 },
		{ "depth", 4096 }, { "segments", 4096 }, { "queues", 16 },
		{ "pool-pages", 1 << 20 }, { "persistent", 1 }, { "indirect", 1 },
		{ "fresh-grants", 1 },
	};
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys) && strcmp(key, keys[i].key); i++)
		;
	if (i == ARRAY_LEN(keys)) {
		nbdkit_error("unknown parameter '%s'", key);
		return -1;
	}
	if (i == 0 && !strcmp(value, "-1")) {
		config.timeout_ms = -1;
		return 0;
	}
	if (parse_u64(value, keys[i].max, &v) < 0) {
		nbdkit_error("%s=%s: expected a number up to %llu", key, value,
			     (unsigned long long)keys[i].max);
		return -1;
	}
	switch (i) {
	case 0: config.timeout_ms = (int)v; break;
	case 1: config.poll_us = (unsigned int)v; break;
	case 2: config.blk.ring_order = v ? (int)v : -1; break;
	case 3: config.blk.depth = (unsigned int)v; break;
	case 4: config.blk.max_segments = (unsigned int)v; break;
	case 5: config.blk.nr_queues = (unsigned int)v; break;
	case 6: config.blk.pool_pages = (unsigned int)v; break;
	case 7: config.blk.no_persistent = !v; break;
	case 8: config.blk.no_indirect = !v; break;
	case 9: config.blk.fresh_grants = v; break;
	}
	return 0;
}

static int plugin_config(const char *key, const char *value)
{
	if (strcmp(key, "device"))
		return set_number(key, value);
	if (toolstack_vdev(value, &config.devid) == 0)
		return 0;
	nbdkit_error("device=%s: expected a disk such as xvda, sdb1 or 51712", value);
	return -1;
}

/* ---- the owner of the front end ------------------------------------------------------ */

static void end_request(struct request *r, int result)
{
	pthread_mutex_lock(&owner.lock);
	r->result = result;
	r->over = true;
	pthread_cond_signal(&r->over_cond);
	pthread_mutex_unlock(&owner.lock);
}

static void on_done(struct blkfront_io *io, int result)
{
	end_request(io->arg, result);
}

/* A detach: followed when nobody uses the export, else people are told why not. */
static bool may_close(bool idle)
{
	static bool told;

	if (!blkfront_closing(owner.f))
		return false;
	if (!idle && !told) {
		blkfront_keep(owner.f);
		told = true;
	}
	return idle;
}

static bool submit_inbox(void)
{
	struct request *r, *next;
	bool stop, idle;
	int e;

	pthread_mutex_lock(&owner.lock);
	r = owner.inbox;
	owner.inbox = NULL;
	owner.inbox_end = &owner.inbox;
	stop = owner.stop;
	idle = !owner.nr_clients;
	pthread_mutex_unlock(&owner.lock);
	for (; r; r = next) {
		next = r->next;		/* r is its caller's again once it ended */
		e = blkfront_submit(owner.f, &r->io);
		if (e < 0)
			end_request(r, e);
	}
	return !stop && !may_close(idle);
}

/* Nobody may wait for an owner that has ended. */
static void refuse_all(int why)
{
	struct request *r, *next;

	pthread_mutex_lock(&owner.lock);
	owner.gone = why;
	r = owner.inbox;
	owner.inbox = NULL;
	owner.inbox_end = &owner.inbox;
	pthread_mutex_unlock(&owner.lock);
	for (; r; r = next) {
		next = r->next;
		end_request(r, why);
	}
}

static void *own(void *arg)
{
	const struct front_problem *p = blkfront_problem(owner.f);
	int r = 0;

	(void)arg;
	while (submit_inbox()) {
		if (blkfront_inflight(owner.f))
			r = blkfront_wait(owner.f, 1, -1);
		else
			r = blkfront_rest(owner.f, -1);
		if (r < 0)
			break;
	}
	if (r < 0)
		nbdkit_error("the device is gone: %s", p->text[0] ? p->text : strerror(-r));
	refuse_all(r < 0 ? r : -ESHUTDOWN);
	/* What is on the ring ends with the device: its callers wait for it. */
	if (r < 0 || blkfront_closing(owner.f)) {
		blkfront_close(owner.f, config.timeout_ms, NULL);
		owner.f = NULL;
	}
	nbdkit_shutdown();
	return NULL;
}

static void say(const struct front_problem *p, int err)
{
	nbdkit_error("vbd %u: %s%s%s", config.devid, p->text[0] ? p->text : strerror(-err),
		     p->advice ? "; " : "", p->advice ? p->advice : "");
}

/* After nbdkit went to the background: handles do not survive a fork. */
static int plugin_after_fork(void)
{
	struct front_problem problem = { .err = 0 };
	int r = front_linux_open(&owner.fl, &problem);

	if (r == 0)
		r = front_linux_claim(owner.fl, "vbd", config.devid, &problem);
	if (r == 0) {
		config.blk.poll_cycles = front_linux_cycles(config.poll_us);
		r = blkfront_open(front_linux_env(owner.fl), config.devid, &config.blk,
				  config.timeout_ms, &owner.f, &problem);
	}
	if (r == 0) {
		blkfront_info(owner.f, &owner.info);
		r = -pthread_create(&owner.thread, NULL, own, NULL);
	}
	owner.running = r == 0;
	if (r < 0)
		say(&problem, r);
	return r < 0 ? -1 : 0;
}

static void plugin_cleanup(void)
{
	if (owner.running) {
		pthread_mutex_lock(&owner.lock);
		owner.stop = true;
		pthread_mutex_unlock(&owner.lock);
		front_linux_wake(owner.fl);
		pthread_join(owner.thread, NULL);
		owner.running = false;
	}
	blkfront_close(owner.f, config.timeout_ms, NULL);
	owner.f = NULL;
	front_linux_close(owner.fl);
	owner.fl = NULL;
}

/* ---- requests ------------------------------------------------------------------------- */

static int run(struct request *r)
{
	bool first;

	r->io.done = on_done;
	r->io.arg = r;
	pthread_cond_init(&r->over_cond, NULL);
	pthread_mutex_lock(&owner.lock);
	if (owner.gone) {
		r->result = owner.gone;
		r->over = true;
	} else {
		first = !owner.inbox;
		*owner.inbox_end = r;
		owner.inbox_end = &r->next;
		if (first)
			front_linux_wake(owner.fl);
	}
	while (!r->over)
		pthread_cond_wait(&r->over_cond, &owner.lock);
	pthread_mutex_unlock(&owner.lock);
	pthread_cond_destroy(&r->over_cond);
	if (r->result == 0)
		return 0;
	nbdkit_error("vbd %u: %s at offset %llu: %s", config.devid,
		     r->io.op == BLKFRONT_READ ? "read" : r->io.op == BLKFRONT_WRITE ? "write" :
		     r->io.op == BLKFRONT_FLUSH ? "flush" : "trim",
		     (unsigned long long)r->io.offset_bytes, strerror(-r->result));
	nbdkit_set_error(r->result == -ERANGE ? EINVAL : r->result == -EPROTO ||
			 r->result == -ECONNABORTED ? EIO : -r->result);
	return -1;
}

static int transfer(enum blkfront_op op, void *buf, uint32_t count, uint64_t offset)
{
	struct request r = { .iov = { buf, count } };

	r.io.op = op;
	r.io.offset_bytes = offset;
	r.io.iov = &r.iov;
	r.io.nr_iov = 1;
	return run(&r);
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
			uint32_t flags)
{
	(void)handle;
	(void)flags;
	return transfer(BLKFRONT_READ, buf, count, offset);
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			 uint32_t flags)
{
	(void)handle;
	(void)flags;
	return transfer(BLKFRONT_WRITE, (void *)(uintptr_t)buf, count, offset);
}

static int plugin_flush(void *handle, uint32_t flags)
{
	struct request r = { .io = { .op = BLKFRONT_FLUSH } };

	(void)handle;
	(void)flags;
	return run(&r);
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct request r = { .io = { .op = BLKFRONT_DISCARD, .offset_bytes = offset,
				     .bytes = count } };

	(void)handle;
	(void)flags;
	return run(&r);
}

/* ---- what the export is ------------------------------------------------------------------- */

static void *plugin_open(int readonly)
{
	int gone;

	(void)readonly;
	pthread_mutex_lock(&owner.lock);
	gone = owner.gone;
	owner.nr_clients += !gone;
	pthread_mutex_unlock(&owner.lock);
	if (!gone)
		return NBDKIT_HANDLE_NOT_NEEDED;
	nbdkit_error("vbd %u was detached", config.devid);
	return NULL;
}

static void plugin_close(void *handle)
{
	(void)handle;
	pthread_mutex_lock(&owner.lock);
	owner.nr_clients--;
	pthread_mutex_unlock(&owner.lock);
	front_linux_wake(owner.fl);
}

static int64_t plugin_get_size(void *handle)
{
	(void)handle;
	return (int64_t)owner.info.size_bytes;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
			     uint32_t *maximum)
{
	(void)handle;
	*minimum = owner.info.sector_bytes;
	*preferred = owner.info.physical_sector_bytes > 4096 ?
		     owner.info.physical_sector_bytes : 4096;
	*maximum = 32u << 20;
	return 0;
}

static int plugin_can_write(void *handle)
{
	(void)handle;
	return !owner.info.read_only;
}

/* Without a cache on the other side, flush has nothing to do and is right too. */
static int plugin_can_flush(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_can_trim(void *handle)
{
	(void)handle;
	return owner.info.discard;
}

static int plugin_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_EMULATE;
}

static int plugin_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static struct nbdkit_plugin plugin = {
	.name = "paravane",
	.longname = "Xen virtual block device, by paravane's front end",
	.version = PACKAGE_VERSION,
	.magic_config_key = "device",
	.config = plugin_config,
	.config_help =
		"device=DEV       xvda, xvdb1, 51712, ... (default xvda)\n"
		"timeout-ms=N poll-us=N ring-order=N depth=N segments=N queues=N\n"
		"pool-pages=N persistent=0 indirect=0 fresh-grants=1",
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.open = plugin_open,
	.close = plugin_close,
	.get_size = plugin_get_size,
	.block_size = plugin_block_size,
	.can_write = plugin_can_write,
	.can_flush = plugin_can_flush,
	.can_trim = plugin_can_trim,
	.can_fua = plugin_can_fua,
	.can_multi_conn = plugin_can_multi_conn,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.trim = plugin_trim,
	.errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
