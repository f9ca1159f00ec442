/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing the device for a subcommand, and what is said when it
 * fails. Must not know what is done with the device.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "blkfront-cmd.h"

int session_open(struct session *s, const struct args *args)
{
	struct blkfront_options o = args->blk;
	struct front_problem problem = { .err = 0 };
	int r;

	*s = (struct session){ .args = args };
	r = front_session_begin(&s->front, &args->cli);
	if (r != EXIT_OK)
		return r;
	o.poll_cycles = front_linux_cycles(args->cli.poll_us);
	r = blkfront_open(front_linux_env(s->front.fl), args->cli.devid, &o,
			  args->cli.timeout_ms, &s->f, &problem);
	r = front_session_opened(&s->front, r, &problem);
	if (r != EXIT_OK)
		return r;
	blkfront_info(s->f, &s->info);
	if (s->info.short_of_grants && !args->cli.quiet)
		front_complain_of(&args->cli, EXIT_OK, "only %u of %u data pages could be shared; "
				  "raise xen_gntalloc.limit for more requests in flight",
				  s->info.pool_pages, s->info.pool_wanted_pages);
	return EXIT_OK;
}

int session_close(struct session *s, int status)
{
	struct front_problem problem = { .err = 0 };
	int r;

	front_session_closing(&s->front);
	r = blkfront_close(s->f, s->args->cli.timeout_ms, &problem);
	return front_session_end(&s->front, status, r, &problem);
}

int session_error(struct session *s, int err, const char *fmt, ...)
{
	char what[96];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return front_session_error(&s->front, err, blkfront_problem(s->f), what,
				   err == -EROFS ? "the disk is read-only" :
				   err == -ERANGE ? "past the end of the disk" :
				   err == -EIO ? "the back end reports an I/O error" :
				   strerror(-err));
}

int session_range(struct session *s, bool aligned, uint64_t *offset, uint64_t *length)
{
	const struct args *a = s->args;
	uint64_t size = s->info.size_bytes;

	*offset = a->offset_bytes;
	*length = a->length_bytes;
	if (*offset > size || *length > size - *offset)
		return front_complain(&a->cli, EXIT_USAGE, "%s has %llu bytes; offset %llu and "
				      "length %llu reach past its end", a->cli.device,
				      (unsigned long long)size, (unsigned long long)*offset,
				      (unsigned long long)*length);
	if (!*length)
		*length = size - *offset;
	if (aligned && (*offset | *length) % s->info.sector_bytes)
		return front_complain_of(&a->cli, EXIT_USAGE, "offset and length must be multiples "
					 "of its sector size, %u bytes", s->info.sector_bytes);
	return EXIT_OK;
}
