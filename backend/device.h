/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seam between a back end's life and a kind of device: what every kind does,
 * step by step of lifecycle.h.
 *
 * Hides: whether a device is a disk (vbd-device.c) or an interface (vif-device.c).
 * Must not know: when each step is wanted (backend.c, backend-device.c). The
 * loop's thread.
 *
 * A kind embeds struct device in its own. What its devices share (watches on
 * images, bridges) is its "common" part, opened before any device. Steps that can
 * be refused say why, naming the thing and what was expected.
 */
#ifndef PV_DEVICE_H
#define PV_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "evloop.h"
#include "failure.h"
#include "lifecycle.h"
#include "process.h"
#include "rundir.h"
#include "takeover.h"
#include "util.h"
#include "xenbus.h"

/* What the command line says, for all devices of any kind. Outlives them. */
struct backend_config {
	const char *kind;		/* "vbd" */
	const char *program;		/* the worker's; /proc/self/exe */
	const char *name;		/* "paravane-blkback" */
	const char *log_level;		/* passed on to it */
	const char *user, *seccomp;	/* passed on: sandbox_parse()'s words */
	uint32_t stop_ms;		/* a worker's, from STOP to SIGKILL */
	uint32_t close_ms;		/* a front end's, to detach; 0: no limit */
	/* No tool stack runs in this domain: no script does, and directories of
	 * devices that are closed and offline are ours to remove. */
	bool driver_domain;
	struct rundir rundir;
	struct takeover *takeover;	/* what a version before left; NULL: nothing, or all is done */
	/* Another version is to take over, or does: what need not start now waits for that. */
	bool upgrading;
};

struct device_kind;

struct device {
	const struct device_kind *kind;
};

/* What the devices of a kind get, together. Outlives them. */
struct device_kind_env {
	const struct backend_config *config;
	struct evloop *loop;
	struct xs_handle *xs;
	uint32_t domid;			/* our own */
	void (*changed)(void *arg);	/* device_kind.is_idle may be true now */
	void *arg;
};

/* What one device gets. Outlives it. */
struct device_env {
	void *common;
	const struct backend_config *config;
	struct evloop *loop;
	struct xenbus_device *bus;
	struct log_peer *log;
	uint32_t frontend_id, devid;
	struct rundir_name name;	/* of its run files */
	void (*changed)(void *arg);	/* look again: something ended or is ready */
	void *arg;
};

struct device_kind {
	/* -errno, after which there is nothing to close. */
	int (*open)(const struct device_kind_env *env, void **common);
	void (*close)(void *common);
	/* An event of a watch whose token begins with KIND_TOKEN. NULL: no watches. */
	void (*event)(void *common, const char *path, const char *token);
	/* What is not one device's ends. NULL with is_idle: nothing of the sort. */
	void (*shutdown)(void *common);
	bool (*is_idle)(const void *common);

	int (*new)(const struct device_env *env, struct device **out);
	/* Kills what runs. Accepts NULL. */
	void (*free)(struct device *d);

	/*
	 * Reads what the tool stack says, and fills in the view: online, complete,
	 * script_*, worker, ready, failed, resumable, not_resumed, differs, resized, put_off (view
	 * has exists, back, front and what was refused already). What changed for whatever serves
	 * it is passed on here.
	 * Incomplete: why says what is missing. -errno: the store did not answer.
	 */
	int (*look)(struct device *d, struct lifecycle_view *view, char *why,
		    size_t why_bytes);
	/* Changes when the tool stack's words do. */
	uint64_t (*inputs)(const struct device *d);
	/* Why what served it ended (view.failed), or was to (view.not_resumed). */
	const struct failure *(*failure)(const struct device *d);

	/* Publishes what does not depend on the hotplug script. */
	int (*announce)(struct device *d);
	/* This and resume() may say DEVICE_LOOK_AGAIN. */
	int (*open_store)(struct device *d, char *why, size_t why_bytes);
	bool (*is_open)(const struct device *d);
	int (*connect)(struct device *d, char *why, size_t why_bytes);
	/*
	 * With the front end's words as look() read them when it said resumable: they may be
	 * others by now. by_peer, false before, becomes true if they are why it fails: then it
	 * is refused, and else tried again later. What comes of it after a return of 0 look()
	 * says: it serves, or view.not_resumed, until the next time.
	 */
	int (*resume)(struct device *d, bool *by_peer, char *why, size_t why_bytes);
	/* Publishes the size that what serves it has taken. NULL: never resized. */
	int (*resized)(struct device *d);
	/* keep: a later daemon resumes. changed() follows. */
	void (*stop)(struct device *d, bool keep);
	bool (*is_served)(const struct device *d);
	void (*release)(struct device *d);
	/*
	 * For the next version of this program (upgrade.h). Unsettled: the name of a device or
	 * a bridge that starts, stops or waits; NULL: none does, so that all can be handed over,
	 * or has been (coming: then those count as settled, too, that wait for what their worker
	 * of before has under way in its storage, since no version could mend that). -errno.
	 */
	const char *(*unsettled)(const void *common, bool coming);
	/* Something cannot be handed over, whenever it is asked: why. NULL: never. */
	bool (*cannot_leave)(const void *common, char *why, size_t why_bytes);
	int (*hand_over)(const void *common, struct takeover *t);
	/*
	 * A version before has left its worker to us, by its own name. NULL: left ones are known by
	 * the process in the info file alone.
	 */
	bool (*is_left)(const struct device *d);
	/* The worker that a version before left for it is to end. NULL: it does by itself. */
	void (*let_go)(struct device *d);
	/* Of a device's journal: as journal_read_pause() and journal_check_format(). */
	int (*read_pause)(int fd, uint64_t *began_ns, uint64_t *pause_ns);
	int (*check_format)(int fd, uint32_t *version);
	/*
	 * Whether watches of its own on its front end's words are wanted; they are to begin with.
	 * How many there are now. NULL: there never are.
	 */
	unsigned int (*listen)(struct device *d, bool on);
	/* The device has been closed, or has gone: failures and run files are over. */
	void (*closed)(struct device *d);
};

/* What a step needs has changed since look(): that is wanted again, at once. No errno. */
#define DEVICE_LOOK_AGAIN (-4096)

#define KIND_TOKEN "kind "
/*
 * Of watches on what a front end writes, of its domain and device number: each event has
 * the device looked at, within a bound that all of them share; beyond it none is (listen()).
 */
#define FRONT_TOKEN "front %u/%u"
#define FRONT_TOKEN_BYTES 32

static inline void device_front_token(char buf[FRONT_TOKEN_BYTES], uint32_t frontend_id,
				      uint32_t devid)
{
	snprintf(buf, FRONT_TOKEN_BYTES, FRONT_TOKEN, frontend_id, devid);
}

/* "WHOSE's KEY is 'VALUE', expected ...", as people are told. */
void device_say_key(const struct key_error *e, const char *whose, char *why,
		    size_t why_bytes);
/* Microseconds for which the guest was not served before its worker began; 0: not known. */
uint64_t device_pause_us(const struct device_kind *kind, const struct rundir *r,
			 const struct rundir_name *name);
/*
 * Whether this version of the program can go on from the journal that is there. Else people
 * are told so, once (*said, since it is looked at again and again): another version's was left,
 * and nothing is to be done with it.
 */
bool device_journal_fits(const struct device_kind *kind, const struct device_env *env, bool *said);
/*
 * Of a device that nobody of ours serves: a predecessor's journal is there, in this version's
 * format, and the front end names other rings, or none.
 */
bool device_differs(const struct device_kind *kind, const struct device_env *env,
		    const struct lifecycle_view *view, bool *said);
/* Of texts, to see that a change has happened; begin with DEVICE_HASH. */
uint64_t device_hash(uint64_t hash, const char *text);
#define DEVICE_HASH 0xcbf29ce484222325ull

#endif
