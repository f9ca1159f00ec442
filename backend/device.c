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
