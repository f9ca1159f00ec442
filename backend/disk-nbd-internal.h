/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine for images behind an NBD server, for the files that it consists of: its connection
 * and time (disk-nbd.c), and how an operation becomes commands (disk-nbd-commands.c).
 */
#ifndef PV_DISK_NBD_INTERNAL_H
#define PV_DISK_NBD_INTERNAL_H

#include <sys/queue.h>
#include "disk.h"
#include "disk-stage.h"
#include "nbd-library.h"
#include "unflushed.h"

#define COMMANDS 256u			/* of a connection, at a time */

/* One operation, from submit to done. */
struct job {
	struct disk_io *io;
	TAILQ_ENTRY(job) link;		/* of active, or of free */
	uint64_t since_ms;		/* submitted */
	uint64_t progress_ms;		/* ... or last answered in part, or first of all since */
	/* How much of it has been sent: where the next command begins. */
	uint64_t at_bytes;
	uint32_t iov, iov_bytes;
	uint32_t commands;		/* on their way */
	uint32_t lost;			/* how many connections have ended with it on its way */
	int err;
	bool flushed;			/* of a write that is to be followed by a flush */
	uint64_t mark;			/* unflushed.h: what its flush is for */
	enum { JOB_DATA, JOB_FLUSH, JOB_SENT } phase;
};

struct command {
	struct nbd_disk *disk;
	struct job *job;		/* NULL: free */
	struct command *next;		/* of free, or of finished */
	void *staged;
	uint64_t staged_bytes;
	struct iovec *scatter;		/* where what is staged goes */
	int err;
};

TAILQ_HEAD(jobs, job);

struct nbd_disk {
	struct disk disk;
	const struct disk_remote *remote;
	struct disk_flushes *flushes;	/* NULL: none is remembered */
	bool dsync;
	int epoll_fd, timer_fd;
	bool ticking;
	struct nbd_handle *nbd;		/* NULL: no connection */
	/*
	 * A copy of the connection's descriptor, for epoll: libnbd closes its own when it
	 * likes, and what is closed but open elsewhere stays in epoll for ever. -1: none.
	 */
	int sock;
	uint32_t events;		/* what epoll waits for of it */
	bool ready;			/* negotiated: commands may go */
	/* what the server can, once ready */
	bool flush, fua, trim, zero;
	uint32_t max_bytes;
	uint64_t lost_ms, ready_ms;	/* when the last connection went, or this began; came */
	uint64_t link_ms;		/* when the socket came */
	bool gave_up;			/* waited its time: what comes fails at once */
	struct jobs active, free;
	struct job *next_job;		/* the first of active with something to send */
	struct job *jobs;
	struct command commands[COMMANDS];
	struct command *free_commands, *finished;
	struct disk_stage stage;
	struct unflushed *unflushed;	/* NULL: the server is trusted to keep what it has */
	/* Makes those again, one at a time, on a new connection before anything else. */
	struct job again;
	struct disk_io again_io;
	struct iovec again_iov;
	uint64_t again_next;
	bool again_runs;
	bool doubted;			/* what it has is noted as lost, until it is written again */
	int last_flush;			/* of closing: its error; -1: it is on its way */
	bool busy;			/* in the engine already: no second pass inside */
};

/* It has not been begun. */
void disk_nbd_rewind(struct job *j);
/* Its deadline is as long from now. */
void disk_nbd_progress(const struct nbd_disk *d, struct job *j);
/* Hands its operation back. */
void disk_nbd_finish(struct nbd_disk *d, struct job *j, int err);
void disk_nbd_free_command(struct nbd_disk *d, struct command *c);
/* The next command of a job that has one; libnbd may refuse it, which ends the job. */
void disk_nbd_send_next(struct nbd_disk *d, struct job *j);
/* Sends what the connection takes. */
void disk_nbd_pump(struct nbd_disk *d);

#endif
