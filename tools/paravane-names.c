/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that asks the store for names (paravane-names.h).
 */
#include "paravane-names.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "inventory.h"

#define PATIENCE_S 2

struct names {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct timespec until;
	/* Below, under the lock. */
	pthread_t thread;
	bool runs, asked, end;		/* asked: it has a question and no answer */
	uint32_t domid;
	int rc;
	char name[64];
};

int names_open(struct names **out)
{
	struct names *n = calloc(1, sizeof(*n));
	pthread_condattr_t by;

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&by);
	pthread_condattr_setclock(&by, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &by);
	pthread_condattr_destroy(&by);
	*out = n;
	return 0;
}

/* What is in the middle of a question cannot be ended, and keeps n until the process does. */
void names_close(struct names *n)
{
	bool asked;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	asked = n->asked;
	n->end = true;
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
	if (asked)
		return;
	if (n->runs)
		pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

void names_begin(struct names *n)
{
	clock_gettime(CLOCK_MONOTONIC, &n->until);
	n->until.tv_sec += PATIENCE_S;
}

/* ---- the thread ----------------------------------------------------------------------- */

/* *xs is NULL when there is no connection, or none any more. */
static int ask(struct xs_handle **xs, uint32_t domid, char *name, size_t bytes)
{
	int rc;

	if (!*xs)
		*xs = xs_open(0);
	if (!*xs)
		return -ENOTCONN;
	rc = inventory_domain_name(*xs, domid, name, bytes);
	if (rc && rc != -ENOENT) {
		xs_close(*xs);
		*xs = NULL;
	}
	return rc;
}

static void *serve(void *arg)
{
	struct names *n = arg;
	struct xs_handle *xs = NULL;

	pthread_mutex_lock(&n->lock);
	while (!n->end) {
		char name[sizeof(n->name)] = "";
		uint32_t domid = n->domid;
		int rc;

		if (!n->asked) {
			pthread_cond_wait(&n->changed, &n->lock);
			continue;
		}
		pthread_mutex_unlock(&n->lock);
		rc = ask(&xs, domid, name, sizeof(name));
		pthread_mutex_lock(&n->lock);
		n->rc = rc;
		snprintf(n->name, sizeof(n->name), "%s", name);
		n->asked = false;
		pthread_cond_broadcast(&n->changed);
	}
	pthread_mutex_unlock(&n->lock);
	if (xs)
		xs_close(xs);
	return NULL;
}

/* Signals are for who waits for them. */
static bool start(struct names *n)
{
	sigset_t all, before;

	if (n->runs)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	n->runs = !pthread_create(&n->thread, NULL, serve, n);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n->runs;
}

int names_get(struct names *n, uint32_t domid, char *buf, size_t bytes)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&n->lock);
	if (!n->asked && start(n)) {
		n->domid = domid;
		n->asked = true;
		pthread_cond_broadcast(&n->changed);
		while (n->asked && !pthread_cond_timedwait(&n->changed, &n->lock, &n->until))
			;
		if (!n->asked)
			rc = n->rc;
	}
	if (!rc)
		snprintf(buf, bytes, "%s", n->name);
	pthread_mutex_unlock(&n->lock);
	return rc;
}
