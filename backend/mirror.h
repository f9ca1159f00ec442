/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror of one disk, from opening the target to its end: the supervisor's part.
 *
 * Hides: the target and its lock, the map, the process that copies (mirror-copy.h has the
 * argument why the copy is right). Must not know: XenStore, workers, what comes of the
 * target afterwards (vbd-mirror.c). The loop's thread.
 *
 *   mirror_open()      the target is ours, and every chunk is dirty
 *   (the caller has the disk's worker mark what it writes: mirror_map())
 *   mirror_start()     COPYING, then IN_SYNC and back, as the guest writes
 *   (the caller has the worker end: nothing writes the image any more)
 *   mirror_finish()    FINISHED: the target is equal to the image, and durable; or FAILED, also
 *                      when it takes too long, since the guest waits
 */
#ifndef PV_MIRROR_H
#define PV_MIRROR_H

#include <sys/stat.h>
#include "device.h"
#include "mirror-target.h"
#include "worker.h"

struct mirror;

enum mirror_phase {
	MIRROR_OPEN, MIRROR_COPYING, MIRROR_IN_SYNC, MIRROR_FINISHING, MIRROR_FINISHED,
	MIRROR_FAILED,
};

struct mirror_what {
	const struct backend_config *config;
	struct rundir_name name;
	struct mirror_source source;	/* the descriptor is the caller's */
	const char *target;		/* its path; copied */
	uint64_t bytes_per_second;	/* 0: as fast as it can */
};

/*
 * changed: from the loop, when phase or progress are others. Errors as
 * mirror_target_open()'s, and those of memory.
 */
int mirror_open(struct evloop *loop, const struct mirror_what *what, void (*changed)(void *arg),
		void *arg, struct mirror **out, char *why, size_t why_bytes);
/* For who marks; the mirror's. */
int mirror_map(const struct mirror *m);
uint64_t mirror_bytes(const struct mirror *m);
/* Everybody marks now. direct: the image is written past the page cache. -errno of processes. */
int mirror_start(struct mirror *m, bool direct);
void mirror_set_rate(struct mirror *m, uint64_t bytes_per_second);
/* Once, while it is COPYING or IN_SYNC. Within deadline_ms. */
void mirror_finish(struct mirror *m, uint32_t deadline_ms);
/* FAILED from now on; what copies is told to end. */
void mirror_end(struct mirror *m);

enum mirror_phase mirror_phase(const struct mirror *m);
/* Why it FAILED. */
const struct failure *mirror_failure(const struct mirror *m);
const struct worker_copied *mirror_progress(const struct mirror *m);
/* Of a target while it is open: the same file? */
bool mirror_holds(const struct mirror *m, const struct stat *st);
/* The target, with its lock, is the caller's from now on. Of one that is FINISHED. */
void mirror_take_target(struct mirror *m, struct mirror_target *out);
/*
 * Nothing copies any more: it may be closed without waiting for a process that may
 * itself wait for its storage.
 */
bool mirror_is_over(const struct mirror *m);
/* Accepts NULL. Waits until nothing copies. */
void mirror_close(struct mirror *m);

#endif
