/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing the device for a subcommand, with signals and error
 * lines. Hides the front end's environment; must not know what is done with
 * the device.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blkfront-cmd.h"

#define HINT_S 2
#define NUDGE_NS 100000000

static struct front_linux *to_stop;
static pthread_t main_thread;
static volatile sig_atomic_t interrupted;
static timer_t nudge_timer;		/* SIGALRM */
static bool has_nudge_timer;

/*
 * A signal that comes between a look at interrupted and a read or write that
 * blocks ends neither. So alarms follow it, one of which will find the system
 * call under way.
 */
static void nudge(long every_ns)
{
	struct itimerspec when = { .it_value.tv_nsec = every_ns,
				   .it_interval.tv_nsec = every_ns };

	if (has_nudge_timer)
		timer_settime(nudge_timer, 0, &when, NULL);
}

/*
 * libxenstore's reader thread may be the one that gets the signal; it is the
 * main thread whose system call has to end.
 */
static bool is_for_main(int signo)
{
	if (pthread_equal(pthread_self(), main_thread))
		return true;
	pthread_kill(main_thread, signo);
	return false;
}

static void on_signal(int signo)
{
	if (!is_for_main(signo))
		return;
	interrupted = 1;
	if (to_stop)
		front_linux_stop(to_stop);
	nudge(NUDGE_NS);
}

bool session_interrupted(void)
{
	return interrupted;
}

/* A device that does not come at once may be a slip of the pen. */
static void on_alarm(int signo)
{
	static const char text[] = "paravane-blkfront: still waiting for the device to be "
				   "attached and served\n";
	ssize_t n;

	if (!is_for_main(signo) || interrupted)
		return;
	n = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)n;
}

static void catch_signals(struct front_linux *fl)
{
	struct sigaction stop = { .sa_handler = on_signal }, alarm = { .sa_handler = on_alarm };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };

	to_stop = fl;
	main_thread = pthread_self();
	has_nudge_timer = !timer_create(CLOCK_MONOTONIC, &event, &nudge_timer);
	sigaction(SIGALRM, &alarm, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
}

static int print_problem(const struct args *a, const struct front_problem *p, int err)
{
	if (interrupted)
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
		alarm(HINT_S);
	r = blkfront_open(front_linux_env(s->fl), a->devid, o, a->timeout_ms, &s->f, problem);
	alarm(0);
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
	catch_signals(s->fl);
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

	nudge(0);
	if (s->fl)
		front_linux_resume(s->fl);
	r = blkfront_close(s->f, s->args->timeout_ms, &problem);
	if (r < 0 && !interrupted) {
		print_problem(s->args, &problem, r);
		if (status == EXIT_OK)
			status = EXIT_ERROR;
	}
	to_stop = NULL;
	front_linux_close(s->fl);
	return interrupted ? EXIT_INTERRUPTED : status;
}

int session_error(struct session *s, int err, const char *fmt, ...)
{
	const struct front_problem *p = blkfront_problem(s->f);
	va_list ap;

	if (interrupted)
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
