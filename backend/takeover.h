/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one version of a daemon leaves to the next, which replaces it in the same process by
 * execve(2): descriptors, with a few words about each.
 *
 * Hides: how they are carried, and how the process goes back to the program that it was when
 * the new one cannot go on. Must not know: devices, when a program is replaced (upgrade.h).
 * The loop's thread.
 *
 * Carried is what cannot be had again without a gap: the run directory's lock, images with
 * their locks, uplinks, servers and connections to them, and the sockets of workers, which end
 * when theirs closes. All else is in XenStore and the run directory. The form is text, of this version:
 */
#ifndef PV_TAKEOVER_H
#define PV_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TAKEOVER_VERSION 2u
#define TAKEOVER_NAME_BYTES 128
#define TAKEOVER_REASON_BYTES 256

/* What an item is; number and descriptor: */
#define TAKEOVER_LOCK "lock"		/* -, the run directory's */
#define TAKEOVER_WORKER "worker"	/* its process, the supervisor's end of its socket */
#define TAKEOVER_IMAGE "image"		/* -, the supervisor's own of the image */
#define TAKEOVER_WORDS "words"		/* -, a file of an image's name, mode and cache */
#define TAKEOVER_ELDER "elder"		/* -, the oldest of the image (disk.h) */
#define TAKEOVER_UPLINK "uplink"	/* uplink.h's, the TAP device */
#define TAKEOVER_REMOTE "remote"	/* -, a file of what is known of an image's server */
#define TAKEOVER_SERVER "server"	/* its process, the supervisor's end of its socket */
#define TAKEOVER_LINK "link"		/* the queue, a copy of its connection to a server */

struct takeover;

/* ---- the version that leaves ------------------------------------------------------ */

int takeover_new(struct takeover **out);
/* The descriptor stays the caller's. A name has no line break. */
int takeover_add(struct takeover *t, const char *what, const char *name, int64_t number,
		 int fd);
/*
 * Replaces this program. request: what the next version answers to (upgrade.h); version:
 * our own. Returns if that fails, -errno, with everything as before.
 */
int takeover_execute(struct takeover *t, const char *program, char *const *argv,
		     uint64_t request, const char *version);

/* ---- the version that comes ------------------------------------------------------- */

/*
 * From then on until takeover_close() a crash, or an end of the process by exit(3), goes
 * back to the program before. -ENOENT: nothing was left to us. argv: for that program.
 */
int takeover_inherit(char *const *argv, struct takeover **out);
uint64_t takeover_request(const struct takeover *t);
const char *takeover_from(const struct takeover *t);	/* its version */
uint64_t takeover_since_ns(const struct takeover *t);	/* now_ns() when it was left */
/* Why the program that was to come is not here, and we are again; NULL: we are new. */
const char *takeover_returned(const struct takeover *t);
/* All of these accept a NULL takeover, which has nothing. */
bool takeover_has(const struct takeover *t, const char *what, const char *name);
bool takeover_has_process(const struct takeover *t, pid_t pid);
/*
 * Whether it is for this, which the first who asks decides: a device that is detached and
 * attached again under its name may have been given another image.
 */
bool takeover_is_for(struct takeover *t, const char *what, const char *name,
		     const char *purpose);
/*
 * A descriptor of the caller's own; number may be NULL. -ENOENT; once for each, but for an
 * image, which a device may close and open again while its lock is held here.
 */
int takeover_take(struct takeover *t, const char *what, const char *name, int64_t *number);
/* The name of one that nobody has taken; NULL: none. */
const char *takeover_left(const struct takeover *t, const char *what);
/*
 * Goes back to the program before, which gets everything as we did. Returns if there is
 * none, or it has come back once already.
 */
void takeover_return(struct takeover *t, const char *reason);
/* Accepts NULL. */
void takeover_close(struct takeover *t);

#endif
