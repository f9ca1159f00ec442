/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a block device adds to a back end's life (lifecycle.h): its image, the
 * nodes it publishes, the front end's rings.
 *
 * Hides: images, features, what serves the device. Must not know: when each of
 * these is wanted (backend.c calls them), watches. The loop's thread.
 *
 * This is the seam between backend.c and a kind of device. Each function does
 * one step of lifecycle.h; those that can be refused say so in why, naming the
 * thing and what was expected.
 */
#ifndef PV_VBD_DEVICE_H
#define PV_VBD_DEVICE_H

#include "lifecycle.h"
#include "vbd-serve.h"

struct vbd_device;

/* What a device gets from backend.c. Outlives it. */
struct vbd_device_env {
	const struct blkback_config *config;
	struct evloop *loop;
	struct xenbus_device *bus;
	struct log_peer *log;
	uint32_t frontend_id, devid;
	void (*changed)(void *arg);	/* look again: something ended or is ready */
	/* The name of another device that has the image of fd open, or NULL. */
	const char *(*holder)(void *arg, int fd);
	struct image_watches *watches;
	void *arg;
};

int vbd_device_new(const struct vbd_device_env *env, struct vbd_device **out);
/* Kills what runs. Accepts NULL. */
void vbd_device_free(struct vbd_device *v);

/*
 * Reads what the tool stack says, and fills in the view: online, complete,
 * script_*, worker, ready, failed, resumable, resized (view has exists, back and
 * front already).
 * An image that has another size now becomes the worker's matter here.
 * Incomplete: why says what is missing. -errno: the store did not answer.
 */
int vbd_device_look(struct vbd_device *v, struct lifecycle_view *view, char *why,
		    size_t why_bytes);
/* Changes when the tool stack's words about the image do. */
uint64_t vbd_device_inputs(const struct vbd_device *v);
/* Why what served it ended (view.failed). */
const struct worker_failure *vbd_device_failure(const struct vbd_device *v);

/* Publishes what does not depend on the image. */
int vbd_device_announce(struct vbd_device *v);
int vbd_device_open(struct vbd_device *v, char *why, size_t why_bytes);
int vbd_device_connect(struct vbd_device *v, char *why, size_t why_bytes);
/* Publishes the size that the worker has taken. As vbd_write_size(). */
int vbd_device_resized(struct vbd_device *v);
int vbd_device_resume(struct vbd_device *v, char *why, size_t why_bytes);
/* keep: a later daemon resumes. changed() follows. */
void vbd_device_stop(struct vbd_device *v, bool keep);
bool vbd_device_is_served(const struct vbd_device *v);
void vbd_device_release(struct vbd_device *v);
/* The device has been closed, or has gone: failures and run files are over. */
void vbd_device_closed(struct vbd_device *v);

/* Whether it has the image of fd, by a descriptor of its own. */
bool vbd_device_holds(const struct vbd_device *v, int fd);
bool vbd_device_is_open(const struct vbd_device *v);

#endif
