/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device of a back end, for backend.c alone.
 *
 * Hides: how the store is looked at and what is done about it. Must not know:
 * who notices that something has changed. The loop's thread.
 */
#ifndef PV_BACKEND_DEVICE_H
#define PV_BACKEND_DEVICE_H

#include "device.h"
#include "openings.h"

struct backend_device_env {
	const struct device_kind *kind;
	void *common;			/* the kind's */
	const struct backend_config *config;
	struct evloop *loop;
	struct xs_handle *xs;
	uint32_t domid;			/* our own */
	struct openings **openings;	/* of all guests */
	void (*changed)(void *arg);	/* a device has become pending by itself */
	void *arg;
};

struct backend_device {
	struct backend_device *next;	/* the caller's */
	struct backend_device_env env;
	uint32_t frontend_id, devid;
	struct xenbus_device bus;
	struct log_peer log;
	bool pending;			/* to be looked at */
	bool store_failed;		/* the last look ended by an error of the store's */
	uint64_t look_at_ms;		/* the same, then; 0: only on a change */
	/* backend.c's: how often its front end may write and be looked at each time. */
	uint32_t front_tokens, front_delay_ms;
	uint64_t front_tokens_ms, front_due_ms;	/* due: 0, or when it is listened to again */
	uint32_t connections;		/* counted here, taken by backend.c */
	/* The rest is backend-device.c's and backend-look.c's. */
	bool linked, was_alive;
	bool front_muted;
	uint32_t front_free;		/* events to come that are of our listening, for backend.c */
	XenbusState front_node;		/* what the front end's said at the last look */
	/* What was refused, so that the same is not tried again and again until it changes. */
	bool refused;
	XenbusState refused_front;
	uint64_t refused_inputs;
	bool failure_said, said_missing, said_left, said_unheard;
	uint64_t said_inputs;
	uint64_t closing_ms;		/* since when the tool stack waits; 0: not */
	uint64_t both_closing_ms;	/* since when front end and we are at 5; 0: we are not */
	uint64_t front_ready_ms;	/* since when the front end waits; 0: not */
	struct openings *openings;
	uint64_t turn_ms;		/* openings_take()'s */
	bool resuming;			/* what is to serve it has not come yet */
	uint64_t resume_ms;		/* not resumed again before; 0: it has not failed */
	uint64_t resume_said;		/* device_hash() of why it failed, as people were told */
	struct device *device;
	struct predecessor *predecessor;	/* a former daemon's worker that runs yet */
	uint64_t differs_ms;	/* since when its front end names other rings; 0: it does not */
	bool inherited;		/* its worker is ours, of a version before: it serves yet */
};

/* env is copied. -ENOMEM. */
int backend_device_new(const struct backend_device_env *env, uint32_t frontend_id,
		       uint32_t devid, struct backend_device **out);
/* Kills what runs. Accepts NULL. */
void backend_device_free(struct backend_device *d);
bool backend_device_is_served(const struct backend_device *d);
/* Nothing of it is in the hands of a version before, and nothing is to be looked at. */
bool backend_device_is_settled(const struct backend_device *d);
/* As device_kind.stop(): a later daemon goes on. */
void backend_device_keep(struct backend_device *d);
/* What a version before serves still is let go; then it is resumed as after a crash. */
void backend_device_give_up(struct backend_device *d, const char *why);
/*
 * Looks and steps until there is nothing to do. false: the device has gone from
 * the store and nothing is left of it: free it.
 */
bool backend_device_advance(struct backend_device *d);

#endif
