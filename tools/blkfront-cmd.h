/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane-blkfront share: their arguments, an open
 * device, streams of data, the progress bar.
 *
 * Hides: what is said when the device fails, how many requests a stream keeps in
 * flight. Must not know: what a subcommand does with the data.
 */
#ifndef PV_BLKFRONT_CMD_H
#define PV_BLKFRONT_CMD_H

#include "blkfront.h"
#include "front-session.h"
#include "front-signals.h"

#define EXIT_DIFFERENT EXIT_NO	/* verification failed */

/* ---- arguments: blkfront-args.c ----------------------------------------------- */

enum holes { HOLES_ZERO, HOLES_DISCARD, HOLES_ERASE, HOLES_SKIP };

struct args {
	struct front_args cli;
	/* the device */
	struct blkfront_options blk;
	bool ring_order_given;
	/* ranges and data */
	uint64_t offset_bytes, length_bytes;	/* length 0: to the end */
	enum holes holes;
	bool progress, overwrite, pattern_test, watch;
	uint64_t seed;
	/* bench */
	const char *pattern;
	uint64_t bs_bytes, ops;
	double seconds, warmup_seconds;
	unsigned int batch, read_percent, rate;
	bool verify, copy_data;
	/* nbd */
	const char *socket, *run;
};

extern const struct front_program blkfront_program;

/* ---- an open device: blkfront-session.c ------------------------------------------ */

struct session {
	const struct args *args;
	struct front_session front;
	struct blkfront *f;
	struct blkfront_info info;
};

/* Opens what args name; SIGINT and SIGTERM stop its waits. 0, or an exit status (printed). */
int session_open(struct session *s, const struct args *args);
/* Accepts the half-opened. Returns status, or worse if closing failed. */
int session_close(struct session *s, int status);
/* One line for a failed operation; returns the exit status. */
int session_error(struct session *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * The range that args ask for, checked against the disk; prints what is wrong.
 * aligned: offset and length must be multiples of the sector size.
 */
int session_range(struct session *s, bool aligned, uint64_t *offset, uint64_t *length);

/* ---- streams: blkfront-stream.c ----------------------------------------------------- */

struct progress {
	bool on;
	const char *what;
	uint64_t total_bytes, done_bytes, started_ns, shown_ns;
};

void progress_start(struct progress *p, const struct args *a, const char *what,
		    uint64_t total_bytes);
void progress_add(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p);

/* Called in order of offsets. 0 goes on; anything else ends the stream with it. */
typedef int stream_consume_fn(void *arg, uint64_t offset, const void *data, size_t bytes);
/*
 * Fills data with up to bytes for offset. Returns their number, 0 at the end,
 * or -errno. Sets *hole when the bytes need not be written.
 */
typedef ssize_t stream_produce_fn(void *arg, uint64_t offset, void *data, size_t bytes,
				  bool *hole);

/* offset and length are multiples of the sector size. 0, -errno, or what consume said. */
int stream_read(struct session *s, uint64_t offset, uint64_t length,
		stream_consume_fn *consume, void *arg);
/*
 * Writes until produce ends or length is full; a last partial sector is
 * completed with what the disk holds. *written counts produce's bytes.
 */
int stream_write(struct session *s, uint64_t offset, uint64_t length,
		 stream_produce_fn *produce, void *arg, uint64_t *written);

/* ---- a pattern that any offset can be checked against -------------------------------- */

void pattern_fill(void *data, size_t bytes, uint64_t seed, uint64_t offset);
/* Where the first difference is, or bytes. */
size_t pattern_check(const void *data, size_t bytes, uint64_t seed, uint64_t offset);

/* ---- subcommands ------------------------------------------------------------------------ */

int cmd_info(const struct args *a);
int cmd_read(const struct args *a);
int cmd_write(const struct args *a);
int cmd_copy(const struct args *a);
int cmd_verify(const struct args *a);
int cmd_bench(const struct args *a);
int cmd_nbd(const struct args *a);

#endif
