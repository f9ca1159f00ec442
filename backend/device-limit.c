/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits from the store and back (device-limit.h).
 */
#include "device-limit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void say_bad(struct device_limit *l, const struct device_env *env,
		    const struct key_error *err, bool complain)
{
	char why[sizeof(l->why)];

	device_say_key(err, "the tool stack", why, sizeof(why));
	if (!strcmp(why, l->why))
		return;
	memcpy(l->why, why, sizeof(why));
	if (complain)
		log_peer_at(env->log, LOG_LEVEL_ERROR, "%s; its limits stay as they are", why);
}

bool device_limit_look(struct device_limit *l, const struct device_env *env, bool complain)
{
	struct key_error err = { .expected = "" };
	struct limit limit;
	int rc = limit_read(env->bus->xs, env->bus->nodename, l->of, &limit, &err);

	if (rc == -EINVAL)
		say_bad(l, env, &err, complain);
	if (rc)
		return false;
	l->why[0] = '\0';
	if (!memcmp(&limit, &l->limit, sizeof(limit)))
		return false;
	l->limit = limit;
	return true;
}

void device_limit_recall(struct device_limit *l, const struct device_env *env)
{
	char text[LIMIT_TEXT_BYTES];

	memset(&l->limit, 0, sizeof(l->limit));
	if (!limit_read_in_force(env->bus->xs, env->bus->nodename, text) &&
	    limit_parse(l->of, text, &l->limit, NULL))
		memset(&l->limit, 0, sizeof(l->limit));
}

void device_limit_tell(struct device_limit *l, const struct device_env *env, bool resumed)
{
	bool none = limit_is_none(&l->limit);
	char text[LIMIT_TEXT_BYTES];
	int rc;

	if (none && !l->told &&
	    (!resumed || limit_read_in_force(env->bus->xs, env->bus->nodename, text)))
		return;
	/* Whoever waits for the end of a limit reads that there is none. */
	rc = limit_write_in_force(env->bus->xs, env->bus->nodename, l->of,
				  none && !l->told ? NULL : &l->limit);
	l->told = !none || l->told;
	if (rc && rc != -ENOENT)
		log_peer_at(env->log, LOG_LEVEL_WARNING, "its limits cannot be acknowledged: %s",
			    strerror(-rc));
}
