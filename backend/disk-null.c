/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine that answers and moves nothing: what remains is the cost of guest,
 * ring and grants, the ceiling of every other engine. For measurements: what is
 * written is lost, what is read is whatever the pages held. Must not know who
 * submits.
 */
#include <errno.h>
#include <stdlib.h>
#include "disk.h"

static int null_open(const struct disk_config *cfg, struct disk **out,
		     char *why, size_t why_bytes)
{
	(void)cfg, (void)why, (void)why_bytes;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void null_close(struct disk *d)
{
	free(d);
}

static void null_submit(struct disk *d, struct disk_io *chain)
{
	struct disk_io *next;

	for (; chain; chain = next) {
		next = chain->next;	/* done may use the operation again */
		disk_done(d, chain, 0);
	}
}

static void null_reap(struct disk *d)
{
	(void)d;
}

static int null_fd(struct disk *d)
{
	(void)d;
	return -1;
}

const struct disk_ops disk_null = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.submit = null_submit,
	.reap = null_reap,
	.fd = null_fd,
};
