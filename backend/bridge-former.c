/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workers of bridges that a version before has left (bridge-serve-internal.h).
 *
 * Hides: for how long one serves beside those that are to succeed it. Must not know: ports,
 * messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bridge-serve-internal.h"

#define FORMER_CRASHES 3u	/* before CRASHES_MAX of them have been too many for a port */
#define FORMER_ALONE_MS 5000	/* whoever is to join anew tries once a second */

static void free_former(struct bridge_former *f)
{
	struct bridge_former **at = &f->all->formers;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	if (f->bridge)
		f->bridge->former = NULL;
	former_free(f->former);
	evloop_remove(f->alone);
	free(f);
}

static void on_alone(void *arg, uint32_t events)
{
	struct bridge_former *f = arg;

	(void)events;
	former_hang_up(f->former);
}

/*
 * It serves on, whatever became of the worker that was to succeed it: the ports join another,
 * at once or soon. Not for ever, if such workers crash: the ports give up after some.
 */
void bridge_former_leave(struct bridge *b)
{
	struct bridge_former *f = b->former;

	if (!f)
		return;
	b->former = NULL;
	f->bridge = NULL;
	f->crashes += b->failure.err == 0;
	if (!b->ports || f->crashes >= FORMER_CRASHES)
		former_hang_up(f->former);
	evloop_set_timer(f->alone, FORMER_ALONE_MS, 0);
}

static void on_former_ended(void *arg, bool in_order)
{
	struct bridge_former *f = arg;
	struct bridge *b = f->bridge;

	(void)in_order;
	free_former(f);
	if (b)
		bridge_tell_held(b);
}

static struct bridge_former *find_former(const struct bridges *all, const char *name)
{
	struct bridge_former *f = all->formers;

	while (f && strcmp(f->name, name))
		f = f->next;
	return f;
}

/* NULL: none was left. */
static int new_former(struct bridges *all, const char *name, struct bridge_former **out)
{
	const struct backend_config *config = all->env.config;
	struct bridge_former *f = calloc(1, sizeof(*f));
	char title[BRIDGE_TITLE_BYTES];
	struct former_options o = {
		.loop = all->env.loop, .takeover = config->takeover, .title = title,
		.stop_ms = config->stop_ms, .ended = on_former_ended, .arg = f,
	};
	int rc;

	*out = NULL;
	if (!f)
		return -ENOMEM;
	f->all = all;
	f->next = all->formers;
	all->formers = f;
	snprintf(f->name, sizeof(f->name), "%s", name);
	o.who = f->name;
	bridge_title(name, title);
	rc = evloop_add_timer(all->env.loop, on_alone, f, &f->alone);
	if (!rc)
		rc = former_adopt(&o, &f->former);
	if (f->former)
		*out = f;
	else
		free_former(f);
	return rc;
}

int bridge_former_adopt(struct bridge *b)
{
	struct bridge_former *f = find_former(b->all, b->name);
	int rc = 0;

	if (!f)
		rc = new_former(b->all, b->name, &f);
	if (!f)
		return rc;
	f->bridge = b;
	b->former = f;
	evloop_set_timer(f->alone, -1, 0);
	return 0;
}

void bridge_former_hang_up(struct bridge *b)
{
	if (b->former)
		former_hang_up(b->former->former);
}

void bridge_formers_close(struct bridges *all)
{
	while (all->formers)
		free_former(all->formers);
}

bool bridges_are_left(struct bridges *all, const char *name)
{
	char title[BRIDGE_TITLE_BYTES];

	bridge_title(name, title);
	return find_former(all, name) ||
	       takeover_has(all->env.config->takeover, TAKEOVER_WORKER, title);
}
