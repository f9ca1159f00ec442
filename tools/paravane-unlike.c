/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences in words (paravane-unlike.h).
 */
#include "paravane-unlike.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(char *buf, size_t bytes, const char *between, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void add(char *buf, size_t bytes, const char *between, const char *fmt, ...)
{
	size_t used = strlen(buf);
	va_list ap;

	if (used)
		used += (size_t)snprintf(buf + used, bytes - used, "%s", between);
	if (used >= bytes)
		return;
	va_start(ap, fmt);
	vsnprintf(buf + used, bytes - used, fmt, ap);
	va_end(ap);
}

void unlike_if(struct unlike *u, bool same, enum unlike_by by, const char *name,
	       const char *is, const char *asked)
{
	if (!asked || same)
		return;
	add(u->what, sizeof(u->what), "; ", "%s is %s, not %s", name, is && *is ? is : "none", asked);
	if (by == UNLIKE_BY_PORT)
		add(u->port, sizeof(u->port), " ", "%s=%s", name, asked);
	else
		u->anew = true;
}

void unlike_text(struct unlike *u, enum unlike_by by, const char *name, const char *is,
		 const char *asked)
{
	unlike_if(u, asked && is && !strcmp(is, asked), by, name, is, asked);
}

void unlike_number(struct unlike *u, bool said, enum unlike_by by, const char *name,
		   uint64_t is, uint64_t asked)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%" PRIu64, is);
	snprintf(b, sizeof(b), "%" PRIu64, asked);
	unlike_text(u, by, name, a, said ? b : NULL);
}

void unlike_limit(struct unlike *u, struct store *store, const struct inventory_device *dev,
		  const char *words)
{
	enum limit_device of = is_nic(dev->kind) ? LIMIT_OF_NIC : LIMIT_OF_DISK;
	char is[LIMIT_TEXT_BYTES], asked[LIMIT_TEXT_BYTES];
	struct limit now = { .weight = 0 }, wanted;

	if (!words)
		return;
	/* One that is not valid is not in force. */
	if (limit_read(store->xs, dev->back_dir, of, &now, NULL))
		now = (struct limit){ .weight = 0 };
	wanted = now;
	if (limit_parse(of, words, &wanted, NULL) || !memcmp(&now, &wanted, sizeof(now)))
		return;
	limit_format(of, &now, is);
	limit_format(of, &wanted, asked);
	add(u->what, sizeof(u->what), "; ", "limit is %s, not %s", *is ? is : "none",
	    *asked ? asked : "none");
	snprintf(u->limit, sizeof(u->limit), "%s", words);
}

int unlike_complain(const struct unlike *u, struct store *store,
		    const struct inventory_device *dev)
{
	char domain[96], device[32], how[2 * LIMIT_TEXT_BYTES] = "";

	if (!u->what[0])
		return STATUS_OK;
	domain_label(store, dev->domid, domain, sizeof(domain));
	device_label(dev->kind, dev->devid, device, sizeof(device));
	if (u->anew)
		add(how, sizeof(how), "", "\"paravane detach %u %s\" first", dev->domid, device);
	if (!u->anew && u->port[0])
		add(how, sizeof(how), " and ", "\"paravane bridge port %u %s %s\"", dev->domid, device,
		    u->port);
	if (!u->anew && u->limit[0])
		add(how, sizeof(how), " and ", "\"paravane limit %u %s %s\"", dev->domid, device,
		    u->limit);
	return complain(STATUS_EXISTS, "%s of %s exists, and is not as asked for: %s; what changes "
			"that: %s", device, domain, u->what, how);
}
