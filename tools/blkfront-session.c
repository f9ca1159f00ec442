/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing the device for a subcommand, with signals and error
 * lines. Hides the front end's environment; must not know what is done with
 * the device.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "blkfront-cmd.h"
#include "front-signals.h"

bool session_interrupted(void)
{
	return front_signals_caught();
}

static int print_problem(const struct args *a, const struct front_problem *p, int err)
{
	if (front_signals_caught())
		return EXIT_INTERRUPTED;
	fprintf(stderr, "paravane-blkfront %s: %s: %s\n", a->command, a->device,
		p->text[0] ? p->text : strerror(-err));
	if (p->advice)
		fprintf(stderr, "  %s\n", p->advice);
	return EXIT_ERROR;
}

static int open_device(struct session *s, const struct blkfront_options *o,
		       struct front_problem *problem)
{
	const struct args *a = s->args;
	int r;

	if (!a->quiet)
		front_signals_hint("paravane-blkfront: still waiting for the device to be "
				   "attached and served\n");
	r = blkfront_open(front_linux_env(s->fl), a->devid, o, a->timeout_ms, &s->f, problem);
	front_signals_hint(NULL);
	return r;
}

int session_open(struct session *s, const struct args *args)
{
	struct blkfront_options o = args->blk;
	struct front_problem problem = { .err = 0 };
	int r;

	*s = (struct session){ .args = args };
	r = front_linux_open(&s->fl, &problem);
	if (r == 0)
		r = front_linux_claim(s->fl, "vbd", args->devid, &problem);
	if (r < 0)
		return print_problem(args, &problem, r);
	front_signals_catch(s->fl);
	o.poll_cycles = front_linux_cycles(args->poll_us);
	r = open_device(s, &o, &problem);
	if (r < 0)
		return print_problem(args, &problem, r);
	blkfront_info(s->f, &s->info);
	if (s->info.short_of_grants && !args->quiet)
		fprintf(stderr, "paravane-blkfront %s: %s: only %u of %u data pages could be "
			"shared; raise xen_gntalloc.limit for more requests in flight\n",
			args->command, args->device, s->info.pool_pages,
			s->info.pool_wanted_pages);
	return 0;
}

int session_close(struct session *s, int status)
{
	struct front_problem problem = { .err = 0 };
	int r;

	front_signals_closing();
	if (s->fl)
		front_linux_resume(s->fl);
	r = blkfront_close(s->f, s->args->timeout_ms, &problem);
	if (r < 0 && !front_signals_caught()) {
		print_problem(s->args, &problem, r);
		if (status == EXIT_OK)
			status = EXIT_ERROR;
	}
	front_signals_release();
	front_linux_close(s->fl);
	return front_signals_caught() ? EXIT_INTERRUPTED : status;
}

int session_error(struct session *s, int err, const char *fmt, ...)
{
	const struct front_problem *p = blkfront_problem(s->f);
	va_list ap;

	if (front_signals_caught())
		return EXIT_INTERRUPTED;
	fprintf(stderr, "paravane-blkfront %s: %s: ", s->args->command, s->args->device);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", err == -EROFS ? "the disk is read-only" :
		err == -ERANGE ? "past the end of the disk" :
		err == -EIO ? "the back end reports an I/O error" : strerror(-err));
	if (p->err)
		fprintf(stderr, "  %s%s%s\n", p->text, p->advice ? "; " : "",
			p->advice ? p->advice : "");
	return EXIT_ERROR;
}

int session_range(struct session *s, bool aligned, uint64_t *offset, uint64_t *length)
{
	const struct args *a = s->args;
	uint64_t size = s->info.size_bytes;

	*offset = a->offset_bytes;
	*length = a->length_bytes;
	if (*offset > size || *length > size - *offset) {
		fprintf(stderr, "paravane-blkfront %s: %s has %llu bytes; offset %llu and "
			"length %llu reach past its end\n", a->command, a->device,
			(unsigned long long)size, (unsigned long long)*offset,
			(unsigned long long)*length);
		return EXIT_USAGE;
	}
	if (!*length)
		*length = size - *offset;
	if (aligned && (*offset | *length) % s->info.sector_bytes) {
		fprintf(stderr, "paravane-blkfront %s: %s: offset and length must be multiples "
			"of its sector size, %u bytes\n", a->command, a->device,
			s->info.sector_bytes);
		return EXIT_USAGE;
	}
	return 0;
}
