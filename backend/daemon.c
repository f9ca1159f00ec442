/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A back end's program (daemon.h).
 *
 * Hides: the common options, how a service manager is told. Must not know: devices.
 */
#include "daemon.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "backend.h"
#include "sandbox.h"
#include "upgrade.h"
#include "util.h"

#define STOP_MS_DEFAULT 30000u
#define SECONDS_MAX 86400u
#define OWN_OPTIONS_MAX 16
#define EXIT_USAGE 2

static const char common_usage[] =
	"      --close-timeout=S   seconds a front end may take to detach; 0: no limit\n"
	"                          (default)\n"
	"      --stop-timeout=S    seconds a worker may take to stop (default 30)\n"
	"      --driver-domain     no tool stack runs here: no hotplug script is waited\n"
	"                          for, detached devices' directories are removed\n"
	"      --user=NAME         the user of workers; own (default): each has one of its\n"
	"                          own, without a name\n"
	"      --seccomp=ACTION    what a system call outside a worker's list brings: kill\n"
	"                          (default), log, off\n"
	"      --rundir=DIR        instead of $PARAVANE_RUNDIR or /run/paravane\n"
	"      --log-level=LEVEL   error, warning, info (default), debug\n"
	"      --help, --version\n"
	"\n"
	"See %s(8).\n";

struct run {
	const struct daemon_program *program;
	struct backend_config *config;
	const char *rundir;
	enum log_level log_level;
	bool worker;
	const char *upgrade_check;	/* NULL: to serve */
	char *const *argv;		/* as it was given */
	struct upgrade *upgrade;
	struct backend *backend;
};

/* ---- options -------------------------------------------------------------- */

static const char *program_name;

static void usage_error(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static void usage_error(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; try --help\n");
	exit(EXIT_USAGE);
}

int daemon_choose(const char *option, const char *value, const char *const words[])
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

uint32_t daemon_number(const char *option, const char *value, uint64_t max)
{
	uint64_t v;

	if (parse_u64(value, max, &v))
		usage_error("--%s is '%s', expected a number from 0 to %llu", option,
			    value, (unsigned long long)max);
	return (uint32_t)v;
}

static const char *const levels[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug", NULL,
};

static const char *const filters[] = { "kill", "log", "off", NULL };

static const struct option common_options[] = {
	{ "close-timeout", required_argument, NULL, 'c' },
	{ "driver-domain", no_argument, NULL, 'd' },
	{ "stop-timeout", required_argument, NULL, 's' },
	{ "rundir", required_argument, NULL, 'r' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "user", required_argument, NULL, 'u' },
	{ "seccomp", required_argument, NULL, 'q' },
	{ "worker", no_argument, NULL, 'w' },
	{ "upgrade-check", required_argument, NULL, 'x' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static void say_help(const struct daemon_program *p)
{
	fputs(p->usage, stdout);
	printf(common_usage, p->name);
	exit(EXIT_SUCCESS);
}

static void take_option(struct run *run, int option, const char *value)
{
	struct backend_config *config = run->config;

	switch (option) {
	case 'c':
		config->close_ms = 1000 * daemon_number("close-timeout", value, SECONDS_MAX);
		break;
	case 's':
		config->stop_ms = 1000 * daemon_number("stop-timeout", value, SECONDS_MAX);
		break;
	case 'd': config->driver_domain = true; break;
	case 'r': run->rundir = value; break;
	case 'l':
		run->log_level = daemon_choose("log-level", value, levels);
		config->log_level = levels[run->log_level];
		break;
	case 'u': config->user = value; break;
	case 'q': config->seccomp = filters[daemon_choose("seccomp", value, filters)]; break;
	case 'w': run->worker = true; break;
	case 'x': run->upgrade_check = value; break;
	case 'h': say_help(run->program); break;
	case 'v': printf("%s " PACKAGE_VERSION "\n", run->program->name); exit(EXIT_SUCCESS);
	case '?': usage_error("unknown or incomplete option");
	default: run->program->take(config, option, value);
	}
}

static void read_options(struct run *run, int argc, char **argv)
{
	struct option all[OWN_OPTIONS_MAX + ARRAY_LEN(common_options)];
	int nr = 0, option;

	while (run->program->options[nr].name) {
		all[nr] = run->program->options[nr];
		nr++;
	}
	memcpy(all + nr, common_options, sizeof(common_options));
	while ((option = getopt_long(argc, argv, "", all, NULL)) >= 0)
		take_option(run, option, optarg);
	/* A worker's argument is there for ps. */
	if (optind < argc && !run->worker)
		usage_error("unexpected argument '%s'", argv[optind]);
}

/* ---- the service manager -------------------------------------------------- */

/* Where the service manager listens; not for workers, which are not the service. */
static char *notify_path;

static void take_notify_path(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	notify_path = path ? strdup(path) : NULL;
	unsetenv("NOTIFY_SOCKET");
}

/* sd_notify(3)'s protocol, of which this much is used. */
static void notify_ready(void)
{
	const char *path = notify_path, text[] = "READY=1";
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
	struct run *run = arg;

	log_info("%s: stops; devices stay connected for the next start",
		 strsignal((int)signo));
	backend_shutdown(run->backend);
}

static void on_hangup(void *arg, uint32_t signo)
{
	struct run *run = arg;

	(void)signo;
	upgrade_begin(run->upgrade);
}

static int work(const struct daemon_program *p, const struct backend_config *config)
{
	struct sandbox sandbox;
	int rc;

	if (sandbox_parse(&sandbox, config->user, config->seccomp))
		die("--user is '%s', expected a supervisor's word", config->user);

	/* The supervisor's word ends a worker, not a terminal's Ctrl-C. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	rc = sandbox_early();
	if (rc)
		die("privileges cannot be dropped: %s", strerror(-rc));
	return p->worker(PROCESS_FD, &sandbox);
}

/* Workers cannot look names up: they get numbers. */
static void choose_user(struct backend_config *config)
{
	static char numbers[32];
	const struct passwd *found;

	if (!config->user || !strcmp(config->user, "own"))
		return;
	if (geteuid())
		usage_error("--user=%s: only root can start workers as another user", config->user);
	found = getpwnam(config->user);
	if (!found)
		usage_error("--user=%s: there is no such user; make it (adduser --system --group "
			    "%s), or leave the option out: then each worker has a user of its own",
			    config->user, config->user);
	snprintf(numbers, sizeof(numbers), "%u:%u", (unsigned)found->pw_uid,
		 (unsigned)found->pw_gid);
	config->user = numbers;
}

/* Not to be gone on from: back to the version before, if there is one, or the end. */
static void cannot_start(struct run *run, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

static void cannot_start(struct run *run, const char *fmt, ...)
{
	char why[TAKEOVER_REASON_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	takeover_return(run->config->takeover, why);
	die("%s", why);
}

static struct xs_handle *open_store(struct run *run)
{
	struct xs_handle *xs = xs_open(0);

	if (!xs)
		cannot_start(run, "XenStore cannot be reached: %s; is xenstored running?",
			     strerror(errno));
	return xs;
}

/*
 * What can be known of a start without serving anybody: a version that is to be replaced by
 * us asks.
 */
static int check_upgrade(struct run *run)
{
	char why[300];

	if (upgrade_refuses(run->upgrade_check, run->program->journal_version, why, sizeof(why)))
		die("%s", why);
	xs_close(open_store(run));
	printf("upgrade-check: " PACKAGE_VERSION "\n");
	return EXIT_SUCCESS;
}

static int open_all(struct run *run, struct evloop *loop, struct xs_handle *xs)
{
	struct upgrade_env env = {
		.loop = loop, .kind = run->program->kind, .config = run->config,
		.argv = run->argv, .version = PACKAGE_VERSION,
		.journal_version = run->program->journal_version,
		.notify_socket = notify_path,
	};
	int rc = backend_open(loop, xs, run->program->kind, run->config, &run->backend);

	env.backend = run->backend;
	if (!rc)
		rc = upgrade_open(&env, &run->upgrade);
	if (!rc)
		rc = evloop_add_signal(loop, SIGTERM, on_signal, run, NULL);
	if (!rc)
		rc = evloop_add_signal(loop, SIGINT, on_signal, run, NULL);
	if (!rc)
		rc = evloop_add_signal(loop, SIGHUP, on_hangup, run, NULL);
	return rc;
}

/* The lock on the run directory is this process's from the version before on. */
static void open_rundir(struct run *run)
{
	struct backend_config *config = run->config;
	char why[300];
	int lock_fd = takeover_take(config->takeover, TAKEOVER_LOCK, config->kind, NULL);

	if (rundir_open(&config->rundir, run->rundir, run->program->run_directory,
			config->kind, lock_fd, why, sizeof(why)))
		cannot_start(run, "%s", why);
}

static int serve(struct run *run)
{
	struct backend_config *config = run->config;
	struct evloop *loop = NULL;
	struct xs_handle *xs;
	int rc = takeover_inherit(run->argv, &config->takeover);

	if (rc && rc != -ENOENT)
		die("what the version before left cannot be used: %s", strerror(-rc));
	take_notify_path();
	choose_user(config);
	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
	open_rundir(run);
	xs = open_store(run);
	rc = evloop_open(&loop);
	if (!rc)
		rc = open_all(run, loop, xs);
	if (rc)
		cannot_start(run, "cannot start: %s", strerror(-rc));
	log_info("ready: serves %s", config->kind);
	notify_ready();
	rc = evloop_run(loop);
	upgrade_close(run->upgrade);
	backend_close(run->backend);
	takeover_close(config->takeover);
	evloop_close(loop);
	xs_close(xs);
	rundir_close(&config->rundir);
	free(notify_path);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int daemon_main(const struct daemon_program *p, struct backend_config *config,
		int argc, char **argv)
{
	struct run run = { .program = p, .config = config, .log_level = LOG_LEVEL_INFO };
	char **given = calloc((size_t)argc + 1, sizeof(*given));	/* getopt changes the order */
	int status;

	program_name = p->name;
	config->program = "/proc/self/exe";
	config->name = p->name;
	config->log_level = levels[LOG_LEVEL_INFO];
	config->stop_ms = STOP_MS_DEFAULT;
	if (!given)
		die("out of memory");
	memcpy(given, argv, (size_t)argc * sizeof(*given));
	run.argv = given;
	read_options(&run, argc, argv);
	log_open(p->name, run.log_level);
	if (run.upgrade_check)
		status = check_upgrade(&run);
	else
		status = run.worker ? work(p, config) : serve(&run);
	free(given);
	return status;
}
