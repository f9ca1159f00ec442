/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-blkback: the block back end's daemon, and its workers' entry.
 *
 * Hides: options, how a service manager is told. Must not know: devices.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "backend.h"
#include "keys.h"
#include "blkback.h"
#include "sandbox.h"
#include "util.h"
#include "worker-main.h"

#define PROGRAM "paravane-blkback"
#define POLL_US_DEFAULT 50u
#define POLL_US_MAX 1000000u
#define STOP_MS_DEFAULT 30000u
/* Four rings of a page, each full of requests of 33 pages. */
#define PERSISTENT_PAGES_DEFAULT 4224u
#define PERSISTENT_PAGES_MAX (1u << 24)
#define PERSISTENT_IDLE_MS_DEFAULT 60000u
#define SECONDS_MAX 86400u
#define EXIT_USAGE 2

static const char usage[] =
	"Usage: " PROGRAM " [OPTION]...\n"
	"Serves every block device of this domain, as XenStore lists them.\n"
	"\n"
	"      --kind=KIND         back end directory to serve: vbd (default) or vbd3\n"
	"      --engine=ENGINE     auto (default), buffered, direct; null loses\n"
	"                          all data: for measurements only\n"
	"      --grant-mode=MODE   how pages of guests are reached: auto (default),\n"
	"                          persistent, map, copy; what a disk's own nodes say\n"
	"                          goes first\n"
	"      --persistent-pages=N  most pages of a device that stay mapped; 0: none,\n"
	"                          and not offered (default 4224)\n"
	"      --persistent-idle=S seconds after which an unused one is unmapped\n"
	"                          (default 60)\n"
	"      --indirect-segments=N  pages of one request, at most, that guests are\n"
	"                          offered: 0 to 4096 (default 256); what a disk's\n"
	"                          own nodes say goes first\n"
	"      --poll-us=N         longest wait by polling before sleeping, in\n"
	"                          microseconds; 0: never (default 50)\n"
	"      --close-timeout=S   seconds a front end may take to detach; 0: no limit\n"
	"                          (default)\n"
	"      --stop-timeout=S    seconds a worker may take to stop (default 30)\n"
	"      --driver-domain     no tool stack runs here: no hotplug script is waited\n"
	"                          for, detached disks' directories are removed\n"
	"      --rundir=DIR        instead of $PARAVANE_RUNDIR or /run/paravane\n"
	"      --log-level=LEVEL   error, warning, info (default), debug\n"
	"      --help, --version\n"
	"\n"
	"See paravane-blkback(8).\n";

struct options {
	struct blkback_config config;
	const char *rundir;
	enum log_level log_level;
	bool worker;
};

/* ---- options -------------------------------------------------------------- */

static void usage_error(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static void usage_error(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, PROGRAM ": ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; try --help\n");
	exit(EXIT_USAGE);
}

static int choose(const char *option, const char *value, const char *const words[])
{
	char list[128] = "";
	size_t used = 0;
	int i;

	for (i = 0; words[i]; i++) {
		if (!strcmp(words[i], value))
			return i;
		used += snprintf(list + used, sizeof(list) - used, "%s%s",
				 i ? ", " : "", words[i]);
	}
	usage_error("--%s is '%s', expected one of: %s", option, value, list);
}

static uint32_t number(const char *option, const char *value, uint64_t max)
{
	uint64_t v;

	if (parse_u64(value, max, &v))
		usage_error("--%s is '%s', expected a number from 0 to %llu", option,
			    value, (unsigned long long)max);
	return (uint32_t)v;
}

static const char *const kinds[] = { "vbd", "vbd3", NULL };
static const char *const engines[] = {
	[WORKER_ENGINE_AUTO] = "auto", [WORKER_ENGINE_BUFFERED] = "buffered",
	[WORKER_ENGINE_DIRECT] = "direct", [WORKER_ENGINE_NULL] = "null", NULL,
};
/* From VBD_GRANTS_AUTO on. */
static const char *const grants[] = { "auto", "persistent", "map", "copy", NULL };
static const char *const levels[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug", NULL,
};

static const struct option long_options[] = {
	{ "kind", required_argument, NULL, 'k' },
	{ "engine", required_argument, NULL, 'e' },
	{ KEY_GRANT_MODE, required_argument, NULL, 'g' },
	{ "persistent-pages", required_argument, NULL, 'P' },
	{ "persistent-idle", required_argument, NULL, 'i' },
	{ "indirect-segments", required_argument, NULL, 'm' },
	{ "poll-us", required_argument, NULL, 'p' },
	{ "close-timeout", required_argument, NULL, 'c' },
	{ "driver-domain", no_argument, NULL, 'd' },
	{ "stop-timeout", required_argument, NULL, 's' },
	{ "rundir", required_argument, NULL, 'r' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "worker", no_argument, NULL, 'w' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static void take_option(struct options *o, int option, const char *value)
{
	switch (option) {
	case 'k': o->config.kind = kinds[choose("kind", value, kinds)]; break;
	case 'e': o->config.engine = choose("engine", value, engines); break;
	case 'g':
		o->config.grants = VBD_GRANTS_AUTO + choose(KEY_GRANT_MODE, value, grants);
		break;
	case 'P':
		o->config.persistent_pages = number("persistent-pages", value,
						    PERSISTENT_PAGES_MAX);
		break;
	case 'i':
		o->config.persistent_idle_ms = 1000 * number("persistent-idle", value,
							     SECONDS_MAX);
		break;
	case 'm':
		o->config.max_segments = number("indirect-segments", value,
						VBD_INDIRECT_SEGMENTS_MAX);
		break;
	case 'p': o->config.poll_us = number("poll-us", value, POLL_US_MAX); break;
	case 'c':
		o->config.close_ms = 1000 * number("close-timeout", value, SECONDS_MAX);
		break;
	case 's':
		o->config.stop_ms = 1000 * number("stop-timeout", value, SECONDS_MAX);
		break;
	case 'd': o->config.driver_domain = true; break;
	case 'r': o->rundir = value; break;
	case 'l':
		o->log_level = choose("log-level", value, levels);
		o->config.log_level = levels[o->log_level];
		break;
	case 'w': o->worker = true; break;
	case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
	case 'v': puts(PROGRAM " " PACKAGE_VERSION); exit(EXIT_SUCCESS);
	default: usage_error("unknown or incomplete option");
	}
}

static void read_options(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){
		.config = { .kind = kinds[0], .program = "/proc/self/exe",
			    .grants = VBD_GRANTS_AUTO,
			    .persistent_pages = PERSISTENT_PAGES_DEFAULT,
			    .persistent_idle_ms = PERSISTENT_IDLE_MS_DEFAULT,
			    .max_segments = BLKBACK_SEGMENTS_DEFAULT,
			    .poll_us = POLL_US_DEFAULT, .stop_ms = STOP_MS_DEFAULT,
			    .log_level = levels[LOG_LEVEL_INFO] },
		.log_level = LOG_LEVEL_INFO,
	};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		take_option(o, option, optarg);
	/* A worker's argument is there for ps. */
	if (optind < argc && !o->worker)
		usage_error("unexpected argument '%s'", argv[optind]);
}

/* ---- the service manager -------------------------------------------------- */

/* sd_notify(3)'s protocol, of which this much is used. */
static void notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), text[] = "READY=1";
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	autoclose int fd = -1;

	if (!path || strlen(path) >= sizeof(to.sun_path) || !*path)
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL,
			     (struct sockaddr *)&to,
			     offsetof(struct sockaddr_un, sun_path) + strlen(path)) < 0)
		log_warning("NOTIFY_SOCKET: %s", strerror(errno));
	/* Workers are not the service. */
	unsetenv("NOTIFY_SOCKET");
}

/* Four descriptors a device; the usual soft limit is for select(2)'s sake. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- main ----------------------------------------------------------------- */

static void on_signal(void *arg, uint32_t signo)
{
	log_info("%s: stops; devices stay connected for the next start",
		 strsignal((int)signo));
	backend_shutdown(arg);
}

static int worker(void)
{
	int rc;

	/* The supervisor's word ends a worker, not a terminal's Ctrl-C. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	rc = sandbox_early();
	if (rc)
		die("privileges cannot be dropped: %s", strerror(-rc));
	return worker_main(WORKER_FD);
}

static int serve(struct options *o)
{
	struct backend *backend = NULL;
	struct evloop *loop = NULL;
	struct xs_handle *xs;
	char why[300];
	int rc;

	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	if (rundir_open(&o->config.rundir, o->rundir, o->config.kind, why, sizeof(why)))
		die("%s", why);
	xs = xs_open(0);
	if (!xs)
		die("XenStore cannot be reached: %s; is xenstored running?",
		    strerror(errno));
	rc = evloop_open(&loop);
	if (!rc)
		rc = backend_open(loop, xs, &o->config, &backend);
	if (!rc)
		rc = evloop_add_signal(loop, SIGTERM, on_signal, backend, NULL);
	if (!rc)
		rc = evloop_add_signal(loop, SIGINT, on_signal, backend, NULL);
	if (rc)
		die("cannot start: %s", strerror(-rc));
	log_info("ready: serves %s", o->config.kind);
	notify_ready();
	rc = evloop_run(loop);
	backend_close(backend);
	evloop_close(loop);
	xs_close(xs);
	rundir_close(&o->config.rundir);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options o;

	read_options(&o, argc, argv);
	log_open(PROGRAM, o.log_level);
	return o.worker ? worker() : serve(&o);
}
