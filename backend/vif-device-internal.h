/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of an interface share (vif-device.c, vif-words.c, vif-serve.c, vif-wait.c);
 * nobody else includes it.
 *
 * Hides: nothing. What an interface is and when it connects is the first's; which words of
 * the tool stack count, the second's; what becomes of it on its bridge, the third's; of one
 * whose address another still has, or that finds no room on this host, the last's.
 */
#ifndef PV_VIF_DEVICE_INTERNAL_H
#define PV_VIF_DEVICE_INTERNAL_H

#include "bridge-serve.h"
#include "crashes.h"
#include "device-limit.h"
#include "vif-device.h"

/* What all interfaces share. */
struct vif_common {
	const struct vif_config *config;
	struct xs_handle *xs;
	struct bridges *bridges;
	struct flip_helper *flip;	/* NULL: not wanted */
	struct bridge_config *bridge_config;
	struct bridge_control *control;
	struct vif_device *devices;
	struct evsource *again;		/* timer: the next who is to be tried again */
};

struct vif_device {
	struct device device;
	struct device_env env;
	struct vif_common *common;
	struct vif_device *next;
	struct vif_toolstack ts;	/* as last read; while it is open, as last read and good */
	bool is_open;
	uint64_t inputs;
	uint64_t bad_words;		/* device_hash() of what is bad of them, as was said; 0: nothing */
	/* What serves it, from connect to its end. */
	struct bridge_port *port;
	char bridge[VIF_NAME_BYTES];	/* that it is on */
	struct vif_frontend front;	/* also of one that resumable() is about */
	struct vswitch_port_config set;	/* what the bridge has been told, until it is closed */
	uint8_t said_taken[VIF_MAC_BYTES];	/* ... that this, which it is to have, is another's */
	struct bridge_rate rate;
	struct device_limit limit;
	bool multicast, watches_multicast, muted;
	bool is_ready, stopping, keep, failed;
	bool not_resumed;		/* ... its rings where they are: this host is short of something */
	bool said_format;		/* ... of a journal that is not for us */
	bool journal_used;		/* a worker has taken part with it */
	bool resumed;			/* goes on after another daemon */
	struct crashes crashes;
	/* For its address, or for room. 0: it does not wait; it is not to be tried by time. */
	uint64_t waits_since_ms, retry_at_ms;
	bool waits_for_address;
	struct failure failure;
};

/* vif-words.c: what the tool stack says */
/*
 * -ENOENT, -EINVAL: something is missing, or bad: why; never while it is open, when only
 * what is good is taken. Any other: the store did not answer.
 */
int vif_words_read(struct vif_device *v, char *why, size_t why_bytes);
/* Of one that is open: whoever reads them anew could not serve it, as why says. */
bool vif_words_are_bad(const struct vif_device *v, char *why, size_t why_bytes);
/* To its bridge, where it is connected: what has changed since. */
void vif_words_pass_on(struct vif_device *v);
const char *vif_words_bridge(const struct vif_device *v);
struct vswitch_port_config vif_words_port(const struct vif_device *v);
struct bridge_rate vif_words_rate(const struct vif_device *v);

/* vif-serve.c: an interface on its bridge */
/* With the front end's words in v->front. by_peer: as device_kind.resume() has it. */
int vif_serve(struct vif_device *v, bool *by_peer, char *why, size_t why_bytes);
/* A predecessor served these rings, and no others. */
bool vif_serve_left(const struct vif_device *v, const struct vif_frontend *front);
/* What a predecessor left it with, before vif_serve(). */
void vif_serve_recall(struct vif_device *v);
/* For people, and for the next daemon. */
void vif_serve_write_info(struct vif_device *v);
/* It was served so, by us or a predecessor, and has not been closed since. */
bool vif_serve_had(const struct vif_device *v, const char *bridge, const uint8_t *mac);
/* Watches its front end's wishes for multicast, where they are wanted, or not any more. */
void vif_serve_watch(struct vif_device *v);

/*
 * vif-wait.c: an interface that waits for its address, or for what the host is short of; to
 * others it is starting
 */
/* It was not to be connected: why. False: it is not to wait, or not any longer. */
bool vif_wait_begin(struct vif_device *v, const struct failure *why);
/* It has what it waited for, or is not to connect any more; the next time is another wait. */
void vif_wait_end(struct vif_device *v);
/*
 * Somebody has left: those that wait there are tried, not from in here. A bridge whose last
 * port this was is about to end, and one whose worker has ended takes nobody any more.
 */
void vif_wait_retry(struct vif_common *c, const char *bridge);
/* The timer's: arg is the struct vif_common. */
void vif_wait_due(void *arg, uint32_t events);
/* "its address ... is vif 3/0's on bridge br0" */
void vif_wait_owner(const struct vif_device *v, char *out, size_t bytes);
/*
 * v->set's is another's, who was served with it and will be again: who connects now must not
 * have it. (Of those that are served the switch knows.)
 */
bool vif_wait_is_taken(const struct vif_device *v);
/*
 * Of one that is served: whether it may have that address instead of its own now. Else it is
 * looked at again, and whose the address is is said once.
 */
bool vif_wait_may_have(struct vif_device *v, const uint8_t *mac);

#endif
