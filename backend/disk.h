/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads, writes, flushes and discards of one image, asynchronously.
 *
 * Hides: which system calls move the data, where they may block, what of a
 * short transfer is still to do. Must not know: rings, grants, requests of a
 * guest. The buffers may be another domain's pages, which change under our
 * hands: nothing here looks at the data.
 *
 * One thread uses a struct disk: the one that opened it (an engine's helper
 * threads are its own affair). Nothing is allocated between open and close.
 */
#ifndef PV_DISK_H
#define PV_DISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define DISK_IOV_MAX 1024u		/* Linux's UIO_MAXIOV */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD };

/*
 * One operation. The submitter owns it again when done is called; until then
 * it and its iov belong to the engine, which may alter the iov.
 */
struct disk_io {
	enum disk_op op;
	bool secure;			/* DISK_DISCARD: old contents unreadable */
	uint32_t nr_iov;		/* READ, WRITE: at least 1 */
	struct iovec *iov;		/* sums to bytes */
	uint64_t offset_bytes, bytes;	/* of the image; not for FLUSH */
	bool foreign;			/* iov is mapped memory of another domain */
	/*
	 * err: 0 when all bytes were moved, else -errno; -EOPNOTSUPP: the image
	 * cannot do this at all. Runs in the disk's thread, inside disk_submit()
	 * or disk_reap().
	 */
	void (*done)(struct disk_io *io, int err);

	/* The engine's, while it owns the operation. */
	struct disk_io *next;
	void *staged;
	uint64_t staged_bytes;
	int err;
	bool in_engine, past_cache;
};

/*
 * Of an image behind a server (disk-nbd.c). Its connection comes by disk_link(), may go
 * at any time, and comes again; what was not answered is then sent once more.
 */
struct disk_remote {
	const char *export;
	bool read_only;
	/*
	 * The server may end without having written back what it has answered: what it
	 * has not flushed is kept here and written again. One connection at a time only.
	 */
	bool keeps_unflushed;
	/*
	 * How long operations wait without a server, or for its answer, before they
	 * fail with -ETIMEDOUT; 0: for ever.
	 */
	uint32_t timeout_ms;
	/* In the disk's thread. bytes: the image's, as the server has it now. */
	void (*linked)(void *arg, uint64_t bytes);
	/* There is no connection any more, and nothing touches an iov; why for people. */
	void (*lost)(void *arg, const char *why);
	/*
	 * Whoever began the server is dead, and it has been told to end, to write back what it
	 * has. Else one that ends has been killed for all one knows. With keeps_unflushed.
	 */
	bool (*is_orphan)(void *arg);
	void *arg;
};

/*
 * Flushes of one image, from all its queues. The kernel tells one fsync, once, that
 * what was written could not be brought to the device; then it counts as clean, and
 * the next fsync succeeds although the data is gone. So a flush that failed is
 * remembered, and every later one fails, until the front end connects anew and so
 * knows that it begins with what is there. One at a time: or another would not
 * be told what the first one was.
 *
 * A predecessor may have been told, and killed before it wrote that down, or somebody
 * else was. elder is a descriptor from before, which has not been told: the first
 * flush asks it too.
 */
struct disk_flushes {
	pthread_mutex_t lock;
	uint32_t *lost;		/* errno of the first that failed, or 0; outlives us */
	int elder;		/* closed when asked; -1: none */
};

struct disk_config {
	int fd;				/* the caller's; kept open by it */
	struct disk_flushes *flushes;	/* NULL: none is remembered */
	bool is_device;			/* a block device, not a file */
	bool dsync;			/* a write is done when it is durable */
	/*
	 * How a secure discard is done. False: by the device's own command. True: the
	 * range is overwritten with zeros in place, made durable, and then discarded.
	 * What then still holds the old contents is below the image: copies that a
	 * copy-on-write file system, a snapshot or a flash device keep.
	 */
	bool secure_overwrite;
	/*
	 * Foreign pages are slow to hand to a device: in a PV domain each takes the
	 * kernel's long way to its struct page.
	 */
	bool slow_foreign;
	uint32_t depth;			/* operations at a time, at most */
	uint32_t max_iov;		/* of one operation */
	const struct disk_remote *remote;	/* NULL but for such an engine; outlives it */
	/* An engine's, for its pool: how disk_perform() moves what is to go past the cache. */
	const struct disk_config *past_cache;
};

struct disk;

/*
 * The contract of an engine. Nobody calls the table directly: the functions
 * below assert what the caller owes, call, and assert what the engine owes.
 */
struct disk_ops {
	const char *name;
	/*
	 * The kernel refers to the pages of an operation for a moment after it has
	 * been done (direct I/O drops its references after it has told of the end).
	 * That is no matter but to who unmaps them: disk_settle().
	 */
	bool late_release;
	/*
	 * -EOPNOTSUPP: this machine or image refuses the engine; why says what
	 * was refused. Other -errno: a failure.
	 */
	int (*open)(const struct disk_config *cfg, struct disk **out,
		    char *why, size_t why_bytes);
	void (*close)(struct disk *d);
	/* A chain by next. Each is completed exactly once, now or in reap. */
	void (*submit)(struct disk *d, struct disk_io *chain);
	/* Completes what is ready, never blocks. */
	void (*reap)(struct disk *d);
	/* Readable when reap has something to do. The engine's; -1: never. */
	int (*fd)(struct disk *d);
	/*
	 * Takes a connected, non-blocking socket in place of the one there is. NULL: an
	 * engine that needs none. With it, fd tells of more than operations.
	 */
	void (*link)(struct disk *d, int sock);
	/* disk_owes(), disk_note_owed(). NULL: an engine that never does. */
	bool (*owes)(const struct disk *d);
	void (*note_owed)(struct disk *d);
};

/* The part of an engine that disk.c sees; an engine's struct begins with it. */
struct disk {
	const struct disk_ops *ops;
	uint32_t in_flight, depth, max_iov;
	bool overwrites;
};

extern const struct disk_ops disk_buffered;	/* page cache: disk-buffered.c */
extern const struct disk_ops disk_direct;	/* O_DIRECT: disk-uring.c */
extern const struct disk_ops disk_nbd;		/* an NBD server: disk-nbd.c */
extern const struct disk_ops disk_null;		/* moves nothing: disk-null.c */

int disk_open(const struct disk_ops *ops, const struct disk_config *cfg,
	      struct disk **out, char *why, size_t why_bytes);
/* Nothing may be in flight. Accepts NULL. */
void disk_close(struct disk *d);
void disk_submit(struct disk *d, struct disk_io *chain);
/* Cheap when nothing is in flight: call it every pass. */
void disk_reap(struct disk *d);
int disk_fd(struct disk *d);
/* Whether it is by a connection: its fd is then to be waited for also at rest. */
bool disk_is_remote(const struct disk *d);
/* The socket is the engine's from now on. Only of one that is remote. */
void disk_link(struct disk *d, int sock);
/* Of a remote one, when its fd is readable though nothing is in flight. */
void disk_attend(struct disk *d);
/*
 * Whether it has what somebody was told is written, the server is gone with it, and nobody
 * else could write it again: who can wait for a connection ends later.
 */
bool disk_owes(const struct disk *d);
/*
 * Whoever comes after this process is to know of that, if the server has been gone for a
 * while: one that has just gone may have ended in good order, together with all others. Nothing
 * is noted any more once it has been written again.
 */
void disk_note_owed(struct disk *d);
/* Whether a secure discard writes as many bytes as it is about. */
bool disk_overwrites(const struct disk *d);
bool disk_releases_late(const struct disk *d);
/*
 * Returns when the kernel refers to no page of what has been done. Takes some
 * milliseconds, where it does anything: for the end of a device's life.
 */
void disk_settle(const struct disk *d);

/* ---- for engines ----------------------------------------------------------- */

/* Hands an operation back. */
void disk_done(struct disk *d, struct disk_io *io, int err);
/* What every flush fails with from now on, or 0. Accepts NULL. */
int disk_flushes_lost(struct disk_flushes *f);
/* A flush has failed with err; one that cannot be had at all loses nothing. Accepts NULL. */
void disk_flushes_note(struct disk_flushes *f, int err);
/* The same as long as it is not known; true: it is on, and is to be taken back. Accepts NULL. */
bool disk_flushes_doubt(struct disk_flushes *f, bool on);
/*
 * How much of io->iov one system call may be given: the kernel takes no more. The
 * rest follows as after any short transfer.
 */
static inline uint32_t disk_iov_now(const struct disk_io *io)
{
	return io->nr_iov < DISK_IOV_MAX ? io->nr_iov : DISK_IOV_MAX;
}
/* Takes what was moved off the front of io: offset, bytes and iov. */
void disk_advance(struct disk_io *io, uint64_t moved_bytes);
/*
 * Does what is left of io by blocking system calls, in any thread; returns what
 * done is told. A read that meets the end of the image is DISK_SHORT: its size was
 * promised to the guest.
 */
#define DISK_SHORT (-ENXIO)
int disk_perform(const struct disk_config *cfg, struct disk_io *io);
#endif
