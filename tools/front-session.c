/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing for a program that drives a front end (front-session.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "front-session.h"
#include "front-signals.h"

/* What a signal ended is no error. A library that had to stop says -ECONNABORTED later. */
static bool interrupted(int err)
{
	return front_signals_caught() && (err == -EINTR || err == -ECONNABORTED);
}

static int print_problem(const struct front_session *s, const struct front_problem *p, int err)
{
	if (interrupted(err))
		return EXIT_INTERRUPTED;
	front_complain_of(s->args, EXIT_ERROR, "%s", p->text[0] ? p->text : strerror(-err));
	if (p->advice)
		fprintf(stderr, "  %s\n", p->advice);
	return EXIT_ERROR;
}

int front_session_begin(struct front_session *s, const struct front_args *a)
{
	const struct front_program *program = a->program;
	struct front_problem problem = { .err = 0 };
	static char hint[128];
	int r;

	*s = (struct front_session){ .args = a };
	r = front_linux_open(&s->fl, &problem);
	if (r == 0)
		r = front_linux_claim(s->fl, program->kind, a->devid, &problem);
	if (r < 0)
		return print_problem(s, &problem, r);
	front_signals_catch(s->fl);
	snprintf(hint, sizeof(hint), "%s: still waiting for the %s to be attached and served\n",
		 program->name, program->noun);
	if (!a->quiet)
		front_signals_hint(hint);
	return EXIT_OK;
}

int front_session_opened(struct front_session *s, int err, const struct front_problem *p)
{
	front_signals_hint(NULL);
	return err < 0 ? print_problem(s, p, err) : EXIT_OK;
}

void front_session_closing(struct front_session *s)
{
	front_signals_closing();
	if (s->fl)
		front_linux_resume(s->fl);
}

int front_session_end(struct front_session *s, int status, int err,
		      const struct front_problem *p)
{
	int closed = err < 0 ? print_problem(s, p, err) : EXIT_OK;

	front_signals_release();
	front_linux_close(s->fl);
	if (status == EXIT_OK)
		return closed;
	return front_signals_caught() ? EXIT_INTERRUPTED : status;
}

int front_session_error(const struct front_session *s, int err, const struct front_problem *p,
			const char *what, const char *why)
{
	if (interrupted(err))
		return EXIT_INTERRUPTED;
	front_complain_of(s->args, EXIT_ERROR, "%s: %s", what, why);
	if (p->err)
		fprintf(stderr, "  %s%s%s\n", p->text, p->advice ? "; " : "",
			p->advice ? p->advice : "");
	return EXIT_ERROR;
}
