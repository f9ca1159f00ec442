/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kinds of devices share (device.h).
 *
 * Hides: wording. Must not know: kinds.
 */
#include "device.h"

#include <stdio.h>

void device_say_key(const struct key_error *e, const char *whose, char *why,
		    size_t why_bytes)
{
	if (*e->value)
		snprintf(why, why_bytes, "%s's %s is '%s', expected %s", whose, e->key,
			 e->value, e->expected);
	else
		snprintf(why, why_bytes, "%s's %s is missing or empty, expected %s",
			 whose, e->key, e->expected);
}

/* FNV-1a, enough to see a change. */
uint64_t device_hash(uint64_t hash, const char *text)
{
	if (!text)
		text = "\1";
	do
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	while (*text++);
	return hash;
}

uint64_t device_pause_us(const struct device_kind *kind, const struct rundir *r,
			 const struct rundir_name *name)
{
	uint64_t began_ns, pause_ns;
	autoclose int fd = -1;

	if (rundir_open_journal(r, name, false, &fd) || kind->read_pause(fd, &began_ns, &pause_ns))
		return 0;
	return pause_ns / 1000;
}

bool device_differs(const struct device_kind *kind, const struct device_env *env,
		    const struct lifecycle_view *view, bool *said)
{
	char dir[XENBUS_PATH_BYTES];

	return view->exists && !view->failed && !view->resumable &&
	       view->back == XenbusStateConnected &&
	       !rundir_read_info(&env->config->rundir, &env->name, "frontend", dir,
				 sizeof(dir)) &&
	       device_journal_fits(kind, env, said);
}

bool device_journal_fits(const struct device_kind *kind, const struct device_env *env, bool *said)
{
	char why[XENBUS_TEXT_BYTES];
	uint32_t version = 0;
	autoclose int fd = -1;

	if (rundir_open_journal(&env->config->rundir, &env->name, false, &fd) ||
	    kind->check_format(fd, &version) != -EPROTONOSUPPORT)
		return true;
	snprintf(why, sizeof(why), "its journal is of format %u, another version's: its guest waits "
		 "until that runs again; detach it there, and attach it with this one", version);
	if (!*said) {
		log_peer_at(env->log, LOG_LEVEL_ERROR, "%s", why);
		xenbus_write_error(env->bus, EPROTONOSUPPORT, why);
	}
	*said = true;
	return false;
}
