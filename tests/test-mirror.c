/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mirrors without a daemon: the map of what is written; that blkback marks after a write has
 * landed and before it is answered; the process that copies, as a thread, under others that
 * write and mark; what a target must be.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "blk-device.h"
#include "dirty-map.h"
#include "mirror-copy.h"
#include "mirror-target.h"
#include "unit.h"
#include "util.h"

#define CHUNK DIRTY_CHUNK_BYTES
#define PATIENCE_MS 20000

static struct dirty_map *new_map(uint64_t bytes, int *fd)
{
	struct dirty_map *m = NULL;

	UNIT_EQ(dirty_map_make(bytes, fd), 0);
	UNIT_EQ(dirty_map_open(*fd, bytes, &m), 0);
	return m;
}

/* ---- the map -------------------------------------------------------------------------- */

/* Takes all, in runs of max; as text "FIRST+NR ". */
static const char *take_all(struct dirty_map *m, uint32_t max)
{
	static char text[256];
	uint64_t at = 0;
	uint32_t nr;

	text[0] = '\0';
	while ((at = dirty_map_take(m, at, max, &nr)) != DIRTY_NONE) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%llu+%u ", (unsigned long long)at, nr);
		at += nr;
	}
	return text;
}

static void test_map(void)
{
	int fd;
	/* 130 chunks, the last of one sector. */
	struct dirty_map *m = new_map(129ull * CHUNK + 512, &fd);

	UNIT_EQ(ftruncate(fd, 0), -1);
	UNIT_STREQ(take_all(m, 16), "");
	dirty_map_mark(m, 0, 1);
	dirty_map_mark(m, 2 * CHUNK - 1, 2);
	dirty_map_mark(m, 5 * CHUNK, 0);
	UNIT_EQ(dirty_map_count(m), 3);
	UNIT_STREQ(take_all(m, 16), "0+3 ");
	UNIT_STREQ(take_all(m, 16), "");
	dirty_map_mark(m, 60 * CHUNK, 10 * CHUNK);	/* across a word */
	UNIT_STREQ(take_all(m, 16), "60+10 ");
	dirty_map_mark(m, 60 * CHUNK, 10 * CHUNK);
	UNIT_STREQ(take_all(m, 6), "60+6 66+4 ");
	dirty_map_mark(m, 0, UINT64_MAX / 2);		/* beyond the end */
	UNIT_EQ(dirty_map_count(m), 130);
	UNIT_STREQ(take_all(m, 100), "0+100 100+30 ");
	dirty_map_mark(m, 129ull * CHUNK + 511, 1);
	dirty_map_mark(m, 130ull * CHUNK, CHUNK);
	UNIT_STREQ(take_all(m, 100), "129+1 ");
	dirty_map_close(m);
	close(fd);
}

struct shared {
	struct dirty_map *map;
	uint64_t value[64];
	uint32_t first;
};

static void *write_and_mark(void *arg)
{
	struct shared *s = arg;

	for (uint64_t i = 1; i <= 200000; i++) {
		uint32_t at = s->first + (uint32_t)(i % 32);

		__atomic_store_n(&s->value[at], i, __ATOMIC_RELAXED);
		dirty_map_mark(s->map, at * CHUNK, CHUNK);
	}
	return NULL;
}

/* What is taken last has the value that was written last. */
static void test_map_race(void)
{
	struct shared s[2] = { { .first = 0 }, { .first = 32 } };
	uint64_t copy[64] = { 0 }, at;
	pthread_t thread[2];
	uint32_t nr;
	int fd;

	s[0].map = s[1].map = new_map(64 * CHUNK, &fd);
	for (int i = 0; i < 2; i++)
		UNIT_EQ(pthread_create(&thread[i], NULL, write_and_mark, &s[i]), 0);
	for (int pass = 0; pass < 20000; pass++)
		for (at = 0; (at = dirty_map_take(s[0].map, at, 7, &nr)) != DIRTY_NONE; at += nr)
			for (uint32_t i = 0; i < nr; i++)
				copy[at + i] = __atomic_load_n(&s[(at + i) / 32].value[at + i],
							       __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (at = 0; (at = dirty_map_take(s[0].map, at, 7, &nr)) != DIRTY_NONE; at += nr)
		for (uint32_t i = 0; i < nr; i++)
			copy[at + i] = s[(at + i) / 32].value[at + i];
	for (uint32_t i = 0; i < 64; i++)
		UNIT_EQ(copy[i], s[i / 32].value[i]);
	dirty_map_close(s[0].map);
	close(fd);
}

/* ---- blkback ----------------------------------------------------------------------------- */

static uint32_t answers(struct device *d)
{
	struct guest_response r;
	uint32_t nr = 0;

	while (guest_response(d->g, &r))
		nr++;
	return nr;
}

/*
 * A request that is with the disk while its chunk is taken, and ends afterwards: its mark
 * is there when its answer is.
 */
static void test_marks(void)
{
	struct disk_memory_faults pause = { .paused = true }, none = { .every = 0 };
	struct disk_memory_faults fails = { .any_op = true, .every = 1, .err = -EIO };
	struct device d = { .nr_queues = 1, .features.discard = true };
	struct blkif_request_segment s;
	struct dirty_map *m;
	int fd;

	device_open(&d);
	m = new_map(DISK_BYTES, &fd);
	s = segment(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	disk_memory_set_faults(d.disk, &pause);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);		/* before there is a map */
	device_go(&d);
	blkback_set_dirty(d.b, m);
	guest_rw(d.g, BLKIF_OP_READ, 2, 1024, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 3, 127, 1, &s);		/* of two chunks */
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 4, 512, 1, &s);
	guest_discard(d.g, 5, 2048, 256, false);
	device_go(&d);
	take_all(m, 16);
	UNIT_EQ(answers(&d), 0);
	disk_memory_set_faults(d.disk, &none);
	device_run(&d);
	UNIT_EQ(answers(&d), 5);
	UNIT_STREQ(take_all(m, 16), "0+2 4+1 16+2 ");
	/* One that fails may have written something. */
	disk_memory_set_faults(d.disk, &fails);
	guest_rw(d.g, BLKIF_OP_WRITE, 6, 2048, 1, &s);
	device_go(&d);
	UNIT_EQ(answers(&d), 1);
	UNIT_STREQ(take_all(m, 16), "16+1 ");
	disk_memory_set_faults(d.disk, &none);
	blkback_set_dirty(d.b, NULL);
	guest_rw(d.g, BLKIF_OP_WRITE, 7, 0, 1, &s);
	device_go(&d);
	UNIT_EQ(answers(&d), 1);
	UNIT_STREQ(take_all(m, 16), "");
	dirty_map_close(m);
	close(fd);
	device_close(&d);
}

/* ---- what copies --------------------------------------------------------------------------- */

#define IMAGE (40ull * CHUNK + 1536)

struct rig {
	int sock, theirs, source, target, map_fd;
	struct dirty_map *map;
	struct worker_copy what;
	pthread_t thread;
	int status;
};

static void *run_copy(void *arg)
{
	struct rig *r = arg;
	const int fds[3] = { dup(r->source), dup(r->target), dup(r->map_fd) };

	r->status = mirror_copy_main(r->theirs, NULL, &r->what, fds);
	close(r->theirs);
	return NULL;
}

static int image_of(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	UNIT_EQ(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void fill(int fd, uint64_t at, uint64_t bytes, int letter)
{
	uint8_t *buf = malloc(bytes);

	memset(buf, letter, bytes);
	UNIT_EQ(pwrite(fd, buf, bytes, (off_t)at), bytes);
	free(buf);
}

static void rig_open(struct rig *r)
{
	int sv[2];

	memset(r, 0, sizeof(*r));
	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	r->sock = sv[0];
	r->theirs = sv[1];
	r->source = image_of("source", IMAGE);
	r->target = image_of("target", IMAGE);
	r->map = new_map(IMAGE, &r->map_fd);
	dirty_map_mark(r->map, 0, IMAGE);
	r->what.image_bytes = IMAGE;
	fill(r->source, 0, 3 * CHUNK, 'a');
	fill(r->source, 20 * CHUNK + 7, 5 * CHUNK, 'b');
	fill(r->source, 30 * CHUNK, CHUNK, 0);
	fill(r->source, IMAGE - 512, 512, 'c');
	fill(r->target, 0, IMAGE, 'x');
}

static void start(struct rig *r)
{
	UNIT_EQ(pthread_create(&r->thread, NULL, run_copy, r), 0);
}

static void rig_close(struct rig *r, int status)
{
	close(r->sock);
	pthread_join(r->thread, NULL);
	UNIT_EQ(r->status, status);
	dirty_map_close(r->map);
	close(r->map_fd);
	close(r->source);
	close(r->target);
}

/* The next message of the type; other news of progress is passed over. */
static bool hear(struct rig *r, enum worker_type type, struct worker_msg *msg)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	do {
		if (poll(&p, 1, PATIENCE_MS) != 1 || worker_receive(r->sock, msg, NULL, NULL))
			return false;
	} while (msg->type == WORKER_COPIED && type != WORKER_COPIED);
	return msg->type == type;
}

static bool hear_synced(struct rig *r, struct worker_msg *msg)
{
	while (hear(r, WORKER_COPIED, msg))
		if (msg->copied.synced)
			return true;
	return false;
}

static void tell(struct rig *r, enum worker_type type, uint64_t rate)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = type };

	msg.copy.bytes_per_second = rate;
	UNIT_EQ(worker_send(r->sock, &msg, NULL, 0), 0);
}

static void check_equal(const struct rig *r)
{
	uint8_t *a = malloc(IMAGE), *b = malloc(IMAGE);

	UNIT_EQ(pread(r->source, a, IMAGE, 0), IMAGE);
	UNIT_EQ(pread(r->target, b, IMAGE, 0), IMAGE);
	UNIT_OK(!memcmp(a, b, IMAGE));
	free(a);
	free(b);
}

static void test_copy(void)
{
	struct worker_msg msg;
	struct stat st;
	struct rig r;

	rig_open(&r);
	start(&r);
	UNIT_OK(hear_synced(&r, &msg));
	UNIT_EQ(msg.copied.copied_bytes, IMAGE);
	UNIT_EQ(msg.copied.dirty_bytes, 0);
	/* What is written now is copied, and what is discarded. */
	fill(r.source, 10 * CHUNK, 100, 'd');
	dirty_map_mark(r.map, 10 * CHUNK, 100);
	UNIT_EQ(fallocate(r.source, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * CHUNK), 0);
	dirty_map_mark(r.map, 0, 2 * CHUNK);
	tell(&r, WORKER_FINISH, 0);
	UNIT_OK(hear(&r, WORKER_FINISHED, &msg));
	check_equal(&r);
	/* Holes and zeros take no room: 1 + 6 + 1 + 1 chunks at most have data. */
	UNIT_EQ(fstat(r.target, &st), 0);
	UNIT_OK((uint64_t)st.st_blocks * 512 <= 24 * CHUNK);
	rig_close(&r, 0);
}

struct writer {
	struct rig *r;
	uint32_t part;
};

static void *write_much(void *arg)
{
	const struct writer *w = arg;

	for (uint32_t i = 0; i < 3000; i++) {
		uint64_t at = (w->part * 20ull * CHUNK + (i * 7919ull * 512) % (20 * CHUNK - 8192));

		if (i % 10 == 9)
			fallocate(w->r->source, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)at, 8192);
		else
			fill(w->r->source, at, 8192, 'A' + (int)(i % 50));
		dirty_map_mark(w->r->map, at, 8192);
	}
	return NULL;
}

static void test_copy_under_writes(void)
{
	struct worker_msg msg;
	struct writer w[2];
	pthread_t thread[2];
	struct rig r;

	rig_open(&r);
	for (uint32_t i = 0; i < 2; i++) {
		w[i] = (struct writer){ &r, i };
		UNIT_EQ(pthread_create(&thread[i], NULL, write_much, &w[i]), 0);
	}
	start(&r);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	tell(&r, WORKER_FINISH, 0);
	UNIT_OK(hear(&r, WORKER_FINISHED, &msg));
	check_equal(&r);
	rig_close(&r, 0);
}

/* A rate keeps it from the end; FINISH and another rate do away with it. */
static void test_rate(void)
{
	struct worker_msg msg;
	struct rig r;

	rig_open(&r);
	fill(r.source, 0, IMAGE, 'r');
	r.what.bytes_per_second = 64 << 10;
	start(&r);
	UNIT_OK(hear(&r, WORKER_COPIED, &msg));
	UNIT_OK(hear(&r, WORKER_COPIED, &msg));
	UNIT_OK(!msg.copied.synced);
	UNIT_OK(msg.copied.copied_bytes <= 20 * CHUNK);
	tell(&r, WORKER_RATE, 0);
	UNIT_OK(hear_synced(&r, &msg));
	tell(&r, WORKER_RATE, 1);
	dirty_map_mark(r.map, 0, IMAGE);
	do
		UNIT_OK(hear(&r, WORKER_COPIED, &msg));
	while (msg.copied.dirty_bytes > IMAGE - CHUNK);
	/* It rests in the middle of a pass: this lies behind it. */
	fill(r.source, 0, 100, 's');
	dirty_map_mark(r.map, 0, 100);
	tell(&r, WORKER_FINISH, 0);
	UNIT_OK(hear(&r, WORKER_FINISHED, &msg));
	check_equal(&r);
	rig_close(&r, 0);
}

static void test_copy_fails(void)
{
	struct worker_msg msg;
	struct rig r;

	rig_open(&r);
	UNIT_EQ(fcntl(r.target, F_ADD_SEALS, 0), -1);
	close(r.target);
	r.target = open("/dev/full", O_RDWR);
	start(&r);
	UNIT_OK(hear(&r, WORKER_FAILED, &msg));
	UNIT_EQ(msg.failure.err, ENOSPC);
	UNIT_OK(!strncmp(msg.failure.reason, "writing the target at byte ", 27));
	rig_close(&r, 1);
	rig_open(&r);
	UNIT_EQ(ftruncate(r.source, IMAGE - CHUNK), 0);
	fill(r.source, IMAGE - CHUNK - 512, 512, 'e');
	start(&r);
	UNIT_OK(hear(&r, WORKER_FAILED, &msg));
	UNIT_EQ(msg.failure.err, ENXIO);
	rig_close(&r, 1);
}

/* ---- targets ---------------------------------------------------------------------------------- */

static void test_targets(void)
{
	char dir[] = "/tmp/test-mirror.XXXXXX", path[64], other[64], why[300];
	struct mirror_source source = { .bytes = 1 << 20, .sector_bytes = 512 };
	struct mirror_target t, second;

	UNIT_OK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(other, sizeof(other), "%s/none/image", dir);
	source.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	UNIT_EQ(ftruncate(source.fd, 1 << 20), 0);
	UNIT_EQ(mirror_target_open(path, &source, false, &t, why, sizeof(why)), -EINVAL);
	UNIT_EQ(t.fd, -1);
	UNIT_EQ(mirror_target_open(other, &source, false, &t, why, sizeof(why)), -ENOENT);
	UNIT_EQ(mirror_target_open(other, &source, true, &t, why, sizeof(why)), -ENOENT);
	UNIT_EQ(mirror_target_open("qcow2:/x", &source, false, &t, why, sizeof(why)), -EOPNOTSUPP);
	UNIT_EQ(mirror_target_open("image", &source, false, &t, why, sizeof(why)), -EINVAL);
	UNIT_EQ(mirror_target_open("/dev/null", &source, false, &t, why, sizeof(why)), -EINVAL);
	snprintf(other, sizeof(other), "%s/copy", dir);
	UNIT_EQ(mirror_target_open(other, &source, true, &t, why, sizeof(why)), 0);
	UNIT_EQ(t.fd, -1);
	UNIT_EQ(access(other, F_OK), -1);
	UNIT_EQ(mirror_target_open(other, &source, false, &t, why, sizeof(why)), 0);
	UNIT_OK(t.made && t.info.bytes == 1 << 20);
	UNIT_EQ(mirror_target_open(other, &source, false, &second, why, sizeof(why)), -EBUSY);
	close(t.fd);
	/* One that is there, and fits; too small, and not to be grown; of odd size. */
	UNIT_EQ(mirror_target_open(other, &source, false, &t, why, sizeof(why)), 0);
	UNIT_OK(!t.made);
	close(t.fd);
	UNIT_EQ(truncate(other, 4096), 0);
	UNIT_EQ(mirror_target_open(other, &source, false, &t, why, sizeof(why)), -EINVAL);
	UNIT_EQ(truncate(other, (1 << 20) + 512), 0);
	source.sector_bytes = 4096;
	UNIT_EQ(mirror_target_open(other, &source, false, &t, why, sizeof(why)), -EINVAL);
	unlink(other);
	unlink(path);
	rmdir(dir);
	close(source.fd);
}

static const struct unit_test tests[] = {
	{ "the map", test_map },
	{ "the map, written and taken at once", test_map_race },
	{ "marks of requests", test_marks },
	{ "a copy", test_copy },
	{ "a copy under writes", test_copy_under_writes },
	{ "a rate", test_rate },
	{ "what cannot be copied", test_copy_fails },
	{ "targets", test_targets },
};

int main(void)
{
	log_open("test-mirror", LOG_LEVEL_ERROR);
	return unit_run("mirror", tests, UNIT_LEN(tests));
}
