/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block device of the back end, for the files that it consists of: its life
 * (vbd-device.c), what is said of it (vbd-words.c), its image (vbd-image.c), and its way from
 * one version of the daemon to the next (vbd-takeover.c).
 */
#ifndef PV_VBD_DEVICE_INTERNAL_H
#define PV_VBD_DEVICE_INTERNAL_H

#include "vbd-device.h"
#include "device-limit.h"
#include "former.h"
#include "image.h"
#include "image-watch.h"
#include "mirror.h"
#include "mirror-wish.h"
#include "remote.h"
#include "vbd-serve.h"

#define VBD_NO_MEDIUM "(no medium)"	/* an image's name */
#define PATH_BYTES STORAGE_NAME_BYTES	/* with the 0 */

/* What all disks share. */
struct vbd_common {
	const struct blkback_config *config;
	struct image_watches *watches;
	struct vbd_device *devices;
	struct vbd_device *coming;	/* taken over now: one after the other, so that none waits */
	bool ending;			/* the daemon does: no server is wanted any more */
};

enum vbd_mirror_step {
	VBD_MIRROR_NONE,
	VBD_MIRROR_MARKING,		/* until all queues mark what they write */
	VBD_MIRROR_COPYING,
	VBD_MIRROR_PAUSING,		/* until the worker has ended */
	VBD_MIRROR_FINISHING,		/* until nothing is left to copy */
	VBD_MIRROR_RESUMING,		/* until the next worker serves */
};

/* A copy of it to another image (vbd-mirror.c). */
struct vbd_mirror {
	enum vbd_mirror_step step;
	struct mirror *run;		/* NULL: none, or none any more */
	struct mirror_wish wish;	/* of run */
	uint64_t over_id;		/* the wish that has come to its end */
	bool looked;			/* at what a daemon before us left */
	bool put_off;			/* a wish that has come in the middle of an upgrade */
	bool followed;			/* the target has been in sync */
	bool pivoted;			/* the image is another since the last worker ended */
	const char *outcome;		/* RESUMING: "pivoted", "stopped" */
	uint64_t began_ms, said_ms, said_copied, speed;
};

/*
 * A server that is asked for an image before that is opened, since opening it takes as long as
 * the server takes. It is for this name, mode and cache alone: vbd_server_take() gives it to no
 * other image, and what is not wanted any more is forgotten.
 */
struct vbd_asked {
	char name[PATH_BYTES];		/* "": nothing is asked */
	struct storage storage;
	enum vbd_cache cache;
	enum vbd_share share;
	int fd;				/* locked before the server is asked; -1 */
	bool patient;			/* a front end goes on with it, and waits */
	bool waits;			/* another device's, of the same image, is leaving */
	struct remote *remote;		/* NULL: waits, or err */
	bool known;			/* it has answered */
	bool said;			/* that it does not, in the error node */
	int err;			/* or why not */
	char why[PATH_BYTES + 256];
};

/*
 * The server of an image that has been released, until it has ended: it may still write, so
 * the image's lock is kept with it, and nothing is opened.
 */
struct vbd_leaving {
	struct remote *remote;		/* NULL: none */
	char name[PATH_BYTES];		/* the image's */
	int fd;				/* with its lock; -1 */
};

/* What a worker of the version before has, and goes on with. */
struct vbd_left {
	char name[PATH_BYTES];		/* "": it has left none, or has not said so */
	enum vbd_share share;
	enum vbd_cache cache;
};

struct vbd_device {
	struct device device;
	struct device_env env;
	struct vbd_common *common;
	struct vbd_device *next;
	struct vbd_toolstack ts;	/* as last read */
	bool complete;
	uint64_t inputs;
	/* The image, from open to release. */
	int image_fd;
	/*
	 * Of the same image, from connect until the front end is gone: one worker after another,
	 * it has not been told of what the kernel could not write (disk.h). -1: none.
	 */
	int elder_fd;
	struct image_watch *watch;
	uint64_t published_sectors;	/* features.sectors may be newer */
	char image[PATH_BYTES];
	uint64_t medium;		/* device_hash() of what was to be opened, even in vain */
	/* Of an image that is open; remote: its server, NULL where the image is here. */
	struct storage storage;
	struct remote *remote;
	struct vbd_asked asked;		/* only while no image is open */
	struct vbd_leaving leaving;
	struct vbd_frontend front;	/* of one that resumable() is about */
	bool said_format;		/* of a journal that is not for us */
	bool changing;			/* stopped for another medium, to go on with it */
	enum vbd_share share;
	enum vbd_cache cache;
	enum vbd_grants grants;
	struct image_info info;
	struct vbd_features features;
	uint32_t least_segments, least_queues;	/* what a predecessor has offered */
	struct device_limit limit;
	struct vbd_mirror mirror;
	/* What serves it, from connect to its end. */
	struct vbd_serve *serve;
	struct former *former;		/* of a version before, and asked to end */
	struct vbd_left left;
	bool is_ready, stopping, failed, resumed;
	uint64_t said_wait;		/* device_hash() of why no worker can be had; 0: one can */
	bool said_name;			/* that the image's is another file's */
	uint64_t said_bad;		/* device_hash() of what is bad and changes nothing; 0: nothing */
	bool awaits_turn;		/* to be taken over: vbd_has_come() */
	/* While it is tried to resume it: what its front end was told, and what it is not yet. */
	bool resuming, medium_changed;
	struct vbd_features told;
	struct failure failure;
	uint64_t connect_ms;
};

static inline struct vbd_device *vbd_of(const struct device *d)
{
	return (struct vbd_device *)d;
}

/* A version before has left it (takeover.h). */
bool vbd_is_left_to_us(const struct vbd_device *v, const char *what);
void vbd_take_left(struct vbd_device *v);
/*
 * While a front end waits to go on with what a worker that is left to us serves, that is its
 * image, in its mode, and not what the tool stack has written since: so it was before. Returns
 * the parts of ts that it has set (VBD_PART_...).
 */
uint32_t vbd_recall(const struct vbd_device *v, struct vbd_toolstack *ts);
/* The image of that name, its own, is what was left. */
bool vbd_image_is_left_to_us(const struct vbd_device *v, const char *name);
/*
 * It has been taken over, never will be, or may take long: the next one's turn, which is
 * looked at. So any other device may have gone afterwards.
 */
void vbd_has_come(struct vbd_device *v);
/* As device.h has them. */
void vbd_device_let_go(struct device *d);
bool vbd_is_left(const struct device *d);
const char *vbd_kind_unsettled(const void *common, bool coming);
bool vbd_kind_cannot_leave(const void *common, char *why, size_t why_bytes);
int vbd_kind_hand_over(const void *common, struct takeover *t);

/* ---- words (vbd-words.c) ---- */

/*
 * Reads v->ts, limits too. A tool stack that writes without a transaction is seen half way: what
 * is missing is waited for, -ENOENT. What is there and bad is for open_store() to refuse: -EINVAL.
 * Of a disk in use neither changes anything: what is served with, or a daemon before us noted, is
 * gone by instead, and the log says so; but for the image, which nobody guesses.
 */
int vbd_words_read(struct vbd_device *v, char *why, size_t why_bytes);
/*
 * What a daemon before us has offered: the front end goes on using it, whatever we would offer
 * now, and is not to be told again of the same size.
 */
void vbd_words_told(const struct vbd_device *v, struct vbd_features *out);

/* The image's name, as tool stack or script has it; NULL: none. */
const char *vbd_image_name(const struct vbd_toolstack *ts);
/*
 * Opens what v->image names: image_fd, info, storage, cache, remote. It is locked. That a front end
 * goes on with is of any size, and in the sectors that it was told.
 */
int vbd_image_open(struct vbd_device *v, char *why, size_t why_bytes);
/* Opens what is locked for an image that is asked for: itself, or a file that stands for it. */
int vbd_image_lock_asked(const struct vbd_device *v, int *fd, char *why, size_t why_bytes);
/* Whether another version could open it as this one has it; opens nothing. 0, or -errno. */
int vbd_image_try(const struct vbd_device *v, char *why, size_t why_bytes);
/* How large it is now; whole sectors. */
int vbd_image_measure(const struct vbd_device *v, uint64_t *bytes);
/* With what a server was asked for another. A server of ours then ends by itself: leaving. */
void vbd_image_release(struct vbd_device *v);
/* The same, and waits for that: for a daemon that ends. */
void vbd_image_free(struct vbd_device *v);
/* The elder: a front end begins, or goes on, with the image. -errno. */
int vbd_image_open_elder(struct vbd_device *v, bool resume);
/*
 * Nothing serves it, and its elder is about to be closed, or the daemon to end: what the elder
 * would have told the next worker's flush is noted in the journal. Does not wait for storage.
 * -errno: it cannot be noted, which is logged.
 */
int vbd_image_ask_elder(const struct vbd_device *v);
/* A change of its size is noticed from now on. */
void vbd_image_watch(struct vbd_device *v);

/* ---- servers (vbd-server.c) ---- */

/* What a name says of it counts more than what the tool stack does. */
enum vbd_cache vbd_cache_of(const struct storage *s, const struct vbd_toolstack *ts);
/*
 * Asks the server of an image that is wanted, and forgets one that is not. True: there is no
 * answer yet, and the device is not complete before. resumable: a front end goes on with it.
 */
bool vbd_server_awaited(struct vbd_device *v, const struct lifecycle_view *view,
			bool (*resumable)(struct vbd_device *v, const struct lifecycle_view *view));
/*
 * v->remote becomes the server that has been asked for v->image, as the tool stack wants it now,
 * and v->image_fd what is locked of it. DEVICE_LOOK_AGAIN: another has been asked, or none; or
 * the name is another file's by now. Else -errno.
 */
int vbd_server_take(struct vbd_device *v, char *why, size_t why_bytes);
/* Nothing is asked. */
void vbd_server_none(struct vbd_asked *a);
/* What was asked is not wanted. */
void vbd_server_forget(struct vbd_device *v);
/* Takes both over; *fd, of the image's lock, is kept as long as a server of ours runs. */
void vbd_server_leave(struct vbd_device *v, struct remote *remote, const char *name, int *fd);
/* Waits for servers of ours. */
void vbd_server_free(struct vbd_device *v);

/* ---- mirrors (vbd-mirror.c) ---- */

/* What is wished of one, as the store has it now. Only of a device that is there. */
void vbd_mirror_look(struct vbd_device *v, XenbusState back);
/* What a worker that is started now is to mark in; -1, 0: no mirror goes on. */
int vbd_mirror_map(const struct vbd_device *v);
uint64_t vbd_mirror_bytes(const struct vbd_device *v);
/* Its worker marks; serves; has ended. */
void vbd_mirror_marks(struct vbd_device *v);
void vbd_mirror_served(struct vbd_device *v);
void vbd_mirror_unserved(struct vbd_device *v, enum worker_end end);
/* The device has gone, and nothing serves it. */
void vbd_mirror_gone(struct vbd_device *v);
/* The guest waits for the end of a mirror: no worker is to be started. */
bool vbd_mirror_holds_back(const struct vbd_device *v);
/* Accepts one that never was. */
void vbd_mirror_free(struct vbd_device *v);

#endif
