/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every split front end does, whatever its kind: find its back end, wait
 * for states with a deadline, share pages, own event channel ports, publish in
 * one transaction, connect, notice that the peer leaves, close.
 *
 * Hides: the order of the handshake, watches and their events, what is written
 * to the error node. Must not know: rings, kinds of devices, how to sleep, what
 * operating system this is (memory, string and libxen* functions only).
 *
 * One thread per front_env. Source: xen/io/xenbus.h.
 */
#ifndef PV_FRONTDEV_H
#define PV_FRONTDEV_H

#include <stdbool.h>
#include <stddef.h>

#include "front.h"
#include "xenbus.h"

#define FRONTDEV_PORTS_MAX 33u	/* 16 queues of two, and one for control */
#define FRONTDEV_PAGE_BYTES 4096u

struct frontdev {
	struct front_env *env;
	struct frontdev *next;		/* in env->devices */
	struct xenbus_device bus;
	const char *kind;		/* static text */
	uint32_t devid;
	char token[32];
	bool watching;
	bool peer_news;			/* a watch fired since peer was read */
	bool connected;			/* both ends have been */
	XenbusState peer;		/* the back end's state as last read */
	uint32_t nr_ports;
	uint32_t port[FRONTDEV_PORTS_MAX];
	uint64_t port_events;		/* bit i: port[i] had an event */
	struct front_problem problem;
};

/*
 * Finds device kind/devid of our domain, waiting for the tool stack to attach
 * it, and brings both ends to the start: a device that an earlier user left
 * open is closed first. Returns 0 when the back end is in InitWait; the device
 * is registered with env. -ENOENT, -EINVAL: nodes missing or odd.
 * -ETIMEDOUT: problem says which end waits for what. On failure the
 * device is half-built: give it to frontdev_destroy().
 */
int frontdev_open(struct frontdev *dev, struct front_env *env, const char *kind,
		  uint32_t devid, int *left_ms);

/*
 * Pages shared with the back end, contiguous and zeroed. -ENOSPC: the
 * system has no more grants (Linux: xen_gntalloc.limit). Unshare gives back
 * exactly one such run; accepts NULL.
 */
int frontdev_share(struct frontdev *dev, uint32_t nr_pages, bool writable,
		   uint32_t *grefs, void **out);
void frontdev_unshare(struct frontdev *dev, void *pages, uint32_t nr_pages);

/* A port that the back end may bind. -ENOSPC: more than FRONTDEV_PORTS_MAX. */
int frontdev_add_port(struct frontdev *dev, uint32_t *out);

/*
 * Runs write in a transaction, again if the store says that it collided, then
 * goes to state to: Initialised, or Connected at once, which is what network back
 * ends wait for. The callback returns 0 or -errno, which ends it.
 */
int frontdev_publish(struct frontdev *dev, XenbusState to,
		     int (*write)(void *arg, xs_transaction_t t), void *arg);

/* Waits for the back end's Connected, then writes ours if it is not. As frontdev_open(). */
int frontdev_connect(struct frontdev *dev, int *left_ms);

/*
 * Sleeps until something happens to any device of the environment, and notes
 * what in peer_news and port_events. As front_wait_fn.
 */
int frontdev_wait(struct front_env *env, unsigned int what, int *left_ms);
/* Takes in what happened, without sleeping. */
int frontdev_poll(struct front_env *env);
/* A millisecond without events, taken off *left_ms. As front_wait_fn. */
int frontdev_nap(struct front_env *env, int *left_ms);

/*
 * Reads the peer's state again if a watch fired. True: peer changed or was rewritten. A
 * store that fails tells nothing: the news are there the next time.
 */
bool frontdev_peer_news(struct frontdev *dev);
/* Whether the back end left, is leaving, or has begun anew without us. */
bool frontdev_peer_gone(const struct frontdev *dev);

/*
 * Closing, until the back end has closed too, Closed. -ETIMEDOUT: the
 * back end still holds our pages; they must not be used for anything else.
 */
int frontdev_close(struct frontdev *dev, int *left_ms);
/* Ports, watch and registration; accepts the half-built and the zeroed. */
void frontdev_destroy(struct frontdev *dev);

/*
 * Notes a problem for people, the text as xenbus_text() builds it. Evaluates to
 * err, so that a failing path is one line.
 */
#define frontdev_fail(dev, err_, advice_, ...)					\
	(xenbus_text((dev)->problem.text, sizeof((dev)->problem.text),		\
		     __VA_ARGS__),						\
	 frontdev_set_problem(&(dev)->problem, err_, advice_))
int frontdev_set_problem(struct front_problem *p, int err, const char *advice);
/* -ENOMEM, said to who has no device yet; p may be NULL. */
int frontdev_no_memory(struct front_problem *p);
/* Also into our error node in the store. */
void frontdev_publish_error(struct frontdev *dev);

#endif
