/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connected block device, served by one worker after another.
 *
 * Hides: crashes and successors, the journal that goes from one to the next,
 * the info file. Must not know: XenStore, device states. The loop's thread.
 */
#ifndef PV_VBD_SERVE_H
#define PV_VBD_SERVE_H

#include "device.h"
#include "remote.h"
#include "supervise.h"

/* What the command line says, for all disks. Outlives them. */
struct blkback_config {
	struct backend_config base;
	enum worker_engine engine;
	enum vbd_grants grants;		/* where the tool stack says nothing */
	uint32_t persistent_pages, persistent_idle_ms;	/* worker.h */
	uint32_t max_segments;		/* of an indirect request; 0: none are offered */
	uint32_t poll_us;
	uint32_t io_timeout_ms;		/* of a disk behind a server, as grants above */
};

struct vbd_serve_what {
	const struct blkback_config *config;
	struct rundir_name name;
	struct log_peer *log;
	struct worker_start start;	/* replay is set here, by this module */
	int image_fd;			/* the supervisor's own; opened anew from it */
	int elder_fd;			/* of the image, for the flushes of successors (disk.h) */
	struct remote *remote;		/* NULL: the image is here; outlives it */
	int mirror_map;			/* as vbd_serve_mirror(), from the beginning */
	uint64_t mirror_bytes;
	const char *image, *mode;	/* for the info file; copied into it */
	const char *frontend;		/* its directory, the same */
};

struct vbd_serve;

struct vbd_serve_events {
	void (*ready)(void *arg);
	/*
	 * The worker is prepared, and waits for that of the version before, which has been
	 * told to end and takes its time, or for room to map its rings: others need not wait
	 * with it.
	 */
	void (*lingers)(void *arg);
	void (*resized)(void *arg);	/* vbd_serve_sectors() has changed */
	/*
	 * No worker can be had at present, perhaps again and again; it is tried until one can,
	 * which ready says.
	 */
	void (*waits)(void *arg, const struct failure *why);
	/* The image's server has come or gone (remote.h). */
	void (*server)(void *arg);
	/* From now on all that is written is marked; perhaps more than once. */
	void (*mirrored)(void *arg);
	/*
	 * Once: nothing serves any more. CRASHED: gave up after too many. The
	 * callee calls vbd_serve_free().
	 */
	void (*ended)(void *arg, const struct worker_report *report);
};

/* Its worker's name in a takeover, and its image's: "vbd-3-51712". */
#define VBD_SERVE_TITLE_BYTES 80
void vbd_serve_title(const struct rundir_name *name, char title[VBD_SERVE_TITLE_BYTES]);

/*
 * Starts a worker. A worker that a version of before left to us serves until this one is
 * prepared (config.takeover, by that name). resume: goes on with a predecessor's journal, whose worker has
 * ended (predecessor.h); otherwise with a fresh one. what's strings must live as
 * long.
 * -errno of files or processes.
 */
int vbd_serve_start(struct evloop *loop, const struct vbd_serve_what *what,
		    bool resume, const struct vbd_serve_events *events, void *arg,
		    struct vbd_serve **out);
/*
 * The image has another size. The worker says when it holds requests against
 * it: before that the front end must not hear of more sectors.
 */
void vbd_serve_resize(struct vbd_serve *s, uint64_t sectors);
/* Its limits are these from now on, of a successor too. */
void vbd_serve_limit(struct vbd_serve *s, const struct limit *limit);
/*
 * What is written is to be marked (dirty-map.h), by successors too, or with map -1 not any more.
 * map stays the caller's, and open until then. mirrored follows.
 */
void vbd_serve_mirror(struct vbd_serve *s, int map, uint64_t image_bytes);
/* Whether the image is read and written past the page cache; once it is settled. */
bool vbd_serve_is_direct(const struct vbd_serve *s);
/* What the worker holds requests against; 0: none has been ready yet. */
uint64_t vbd_serve_sectors(const struct vbd_serve *s);
/* keep: leaves journal and info for the next daemon. ended follows, later. */
void vbd_serve_stop(struct vbd_serve *s, bool keep);
/*
 * What a daemon after us finds its rings by is in the run directory, or is written there now.
 * -errno with why: it is not, and none would go on with them.
 */
int vbd_serve_note(struct vbd_serve *s, char *why, size_t why_bytes);
/* A worker serves, and nothing is about to change. */
bool vbd_serve_is_settled(const struct vbd_serve *s);
/* For so long that an upgrade is done without it. */
bool vbd_serve_lingers(const struct vbd_serve *s);
/*
 * Its worker, and with image what else would not be the same again, for the next version of
 * this program. -errno.
 */
#define VBD_SERVE_WORDS "%d %d "	/* before the image's name: share, cache */
int vbd_serve_hand_over(struct vbd_serve *s, bool image, struct takeover *t);
/* Kills what still runs. Accepts NULL. */
void vbd_serve_free(struct vbd_serve *s);

/*
 * Writes that a disk's server had answered may be lost: if it has a journal, so that a front end
 * goes on with it, that hears of it at its next flush.
 */
void vbd_serve_lost_writes(const struct rundir *r, const struct rundir_name *name,
			   struct log_peer *log);
/* Whether there is a journal, and it is about the ring of front. */
bool vbd_serve_resumable(const struct rundir *r, const struct rundir_name *name,
			 const char *frontend, const struct vbd_frontend *front);

#endif
