/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane upgrade: the running daemons become another version of their programs, and their
 * guests see a pause.
 *
 * Hides: how a daemon is asked and answers (backend/upgrade.h: files in its run directory and
 * SIGHUP, which any version understands). Must not know: devices, XenStore.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-json.h"
#include "paravane-runinfo.h"
#include "upgrade.h"
#include "util.h"

#define DEFAULT_WAIT_MS 120000
#define LOOK_US 5000
#define ANSWER_BYTES 65536
#define PATH_BYTES 4096

static const char help_text[] =
"Usage: paravane upgrade [blkback|netback] [OPTION]...\n"
"\n"
"Replaces the running daemons of this machine by the programs that are installed now,\n"
"or by another, while their guests go on; prints for each device for how long its guest\n"
"was not served. A program that cannot take over leaves the old one running.\n"
"\n"
"  --program FILE   instead of the one that the daemon was started from; with blkback\n"
"                   or netback\n"
"  --json           a JSON array, one object a daemon; pause_us are microseconds\n"
"  --kind KIND      only the daemon that serves vbd, vbd3 or vif\n"
"  --wait SECONDS   deadline for each daemon's answer (default 120)\n"
"\n"
"Exit status: 0 all run the new version, 1 one does not, and why is said, 2 wrong\n"
"usage, 3 the deadline passed, 4 no daemon runs, 6 one is being upgraded already.\n";

enum { OPT_JSON = 256, OPT_PROGRAM };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "program", required_argument, NULL, OPT_PROGRAM },
	OPTION_KIND, OPTION_WAIT, OPTION_HELP,
	{ 0 }
};

struct upgrade_ask {
	struct common_options common;
	const char *daemon;		/* NULL: all */
	const char *program;		/* NULL: its own */
	bool json;
	unsigned nr;			/* daemons that run */
	unsigned nr_objects;		/* of those that answered, printed */
	unsigned nr_devices;
	int status;			/* the worst yet */
};

/* One that serves a kind. */
struct target {
	const char *daemon;		/* "blkback" */
	char kind[16], dir[RUNINFO_PATH_BYTES];
	pid_t pid;
	uint64_t id;
	char answer[ANSWER_BYTES];
};

/* ---- asking ---------------------------------------------------------------------- */

static void path_of(const struct target *t, const char *name, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s/%s.%s", t->dir, t->kind, name);
}

/* Its process, if one holds the lock. */
static pid_t find_daemon(const struct target *t)
{
	char path[PATH_BYTES], text[16] = "";
	autoclose int fd = -1;
	uint64_t pid;

	path_of(t, "lock", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK ||
	    read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, INT32_MAX, &pid) ? 0 : (pid_t)pid;
}

/*
 * All of it appears at once: a daemon that looks meanwhile, for another, would take up one
 * without a number, and answer nobody. -1 with errno.
 */
static int put_request(const struct upgrade_ask *ask, const struct target *t, const char *path)
{
	char dir[PATH_BYTES], whole[40];
	autoclose int fd = -1;	/* without a name until then: nothing is left by one that is killed */

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	fd = open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	snprintf(whole, sizeof(whole), "/proc/self/fd/%d", fd);
	return dprintf(fd, "id=%" PRIu64 "\n", t->id) < 0 ||
	       (ask->program && dprintf(fd, "program=%s\n", ask->program) < 0) ||
	       linkat(AT_FDCWD, whole, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? -1 : 0;
}

/*
 * One at a time. Another's is taken up when that upgrade's time comes; one whose asker was
 * killed before it had told the daemon, when we do. -1 with errno.
 */
static int make_request(const struct upgrade_ask *ask, const struct target *t, const char *path)
{
	uint64_t until = now_ms() + (uint64_t)ask->common.wait_ms;
	bool told = false;

	for (;;) {
		bool taken = !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);

		if (!taken && !put_request(ask, t, path))
			return 0;
		if (!taken && errno != EEXIST)
			return -1;
		if (now_ms() >= until) {
			errno = EEXIST;
			return -1;
		}
		if ((!told && kill(t->pid, SIGHUP)) || kill(t->pid, 0))
			return -1;
		told = true;
		usleep(LOOK_US);
	}
}

static int write_request(const struct upgrade_ask *ask, struct target *t)
{
	char path[PATH_BYTES];

	t->id = now_ns() ^ (uint64_t)getpid() << 48;
	path_of(t, UPGRADE_REQUEST, path, sizeof(path));
	if (!make_request(ask, t, path))
		return STATUS_OK;
	if (errno == ESRCH)
		return complain(STATUS_ERROR, "paravane-%s (%s): it ended meanwhile", t->daemon,
				t->kind);
	if (errno == EEXIST)
		return complain(STATUS_BUSY, "%s: an upgrade that was asked for before this one is "
				"not done (%s); the daemon's log may say why", t->kind, path);
	return complain(STATUS_ERROR, "%s: %s", path, strerror(errno));
}

/* Ours, if it is there; nobody else waits for it. */
static bool read_answer(struct target *t)
{
	char path[PATH_BYTES], number[24];
	autoclose int fd = -1;
	uint64_t id;
	ssize_t got;

	path_of(t, UPGRADE_ANSWER, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	got = fd < 0 ? -1 : read(fd, t->answer, sizeof(t->answer) - 1);
	if (got < 0)
		return false;
	t->answer[got] = '\0';
	if (sscanf(t->answer, "id=%23[0-9]", number) != 1 || parse_u64(number, UINT64_MAX, &id) ||
	    id != t->id)
		return false;
	unlink(path);	/* the next upgrade may begin */
	return true;
}

/* Not another's, which may be there by now. */
static int withdraw(const struct target *t, int status, const char *why)
{
	char path[PATH_BYTES], text[64] = "";
	autoclose int fd = -1;
	uint64_t id;

	path_of(t, UPGRADE_REQUEST, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && sscanf(text, "id=%" SCNu64, &id) == 1 &&
	    id == t->id)
		unlink(path);
	return complain(status, "paravane-%s (%s): %s", t->daemon, t->kind, why);
}

static int wait_for_answer(const struct upgrade_ask *ask, struct target *t)
{
	uint64_t until = now_ms() + (uint64_t)ask->common.wait_ms;

	for (;;) {
		if (read_answer(t))
			return STATUS_OK;
		if (kill(t->pid, 0) && errno == ESRCH)
			return withdraw(t, STATUS_ERROR, "it ended during the upgrade: start it "
					"again, and it goes on where it was");
		if (now_ms() >= until)
			return withdraw(t, STATUS_TIMEOUT, "no answer within the deadline; its log "
					"may say more");
		usleep(LOOK_US);
	}
}

/* ---- showing --------------------------------------------------------------------- */

static void value_of(const struct target *t, const char *key, char *buf, size_t bytes)
{
	size_t key_bytes = strlen(key);

	buf[0] = '\0';
	for (const char *line = t->answer; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_bytes) || line[key_bytes] != '=')
			continue;
		snprintf(buf, bytes, "%.*s", (int)strcspn(line, "\n") - (int)key_bytes - 1,
			 line + key_bytes + 1);
		return;
	}
}

static void show_device(struct upgrade_ask *ask, const struct target *t, uint32_t domid,
			uint32_t devid, uint64_t pause_us, bool first)
{
	char device[32];

	device_label(t->kind, devid, device, sizeof(device));
	if (ask->json) {
		printf("%s\n    {\"domid\": %u, \"device\": \"%s\", \"kind\": \"%s\", \"devid\": %u, "
		       "\"pause_us\": %" PRIu64 "}", first ? "" : ",", domid, device, t->kind,
		       devid, pause_us);
		return;
	}
	if (!ask->nr_devices++)
		printf("%-8s %-8s %-6s %s\n", "DOMAIN", "DEVICE", "KIND", "PAUSE MS");
	printf("%-8u %-8s %-6s %" PRIu64 ".%03" PRIu64 "\n", domid, device, t->kind,
	       pause_us / 1000, pause_us % 1000);
}

static void show_devices(struct upgrade_ask *ask, const struct target *t)
{
	bool first = true;
	uint32_t domid, devid;
	uint64_t pause_us;
	char kind[16];

	for (const char *line = strstr(t->answer, "\ndevice="); line;
	     line = strstr(line + 1, "\ndevice=")) {
		if (sscanf(line, "\ndevice=%15[a-z0-9]-%" SCNu32 "-%" SCNu32 " %" SCNu64, kind,
			   &domid, &devid, &pause_us) != 4)
			continue;
		show_device(ask, t, domid, devid, pause_us, first);
		first = false;
	}
}

static void show_json(struct upgrade_ask *ask, const struct target *t, const char *status,
		      const char *reason)
{
	char from[64], to[64];

	value_of(t, "from", from, sizeof(from));
	value_of(t, "to", to, sizeof(to));
	printf("%s{\"daemon\": \"paravane-%s\", \"kind\": \"%s\", \"pid\": %d, \"status\": ",
	       ask->nr_objects++ ? ",\n" : "[\n", t->daemon, t->kind, (int)t->pid);
	json_quoted(status);
	fputs(", \"from\": ", stdout);
	json_quoted(from);
	fputs(", \"to\": ", stdout);
	json_quoted(to);
	fputs(", \"reason\": ", stdout);
	json_quoted(reason);
	fputs(", \"devices\": [", stdout);
	show_devices(ask, t);
	fputs("]}", stdout);
}

static int show(struct upgrade_ask *ask, const struct target *t)
{
	char status[32], reason[512];

	value_of(t, "status", status, sizeof(status));
	value_of(t, "reason", reason, sizeof(reason));
	if (ask->json)
		show_json(ask, t, status, reason);
	else
		show_devices(ask, t);
	if (!strcmp(status, "upgraded"))
		return STATUS_OK;
	return complain(STATUS_ERROR, "paravane-%s (%s) goes on as it was: %s", t->daemon, t->kind,
			reason);
}

/* ---- all of them ------------------------------------------------------------------ */

static int upgrade(struct upgrade_ask *ask, struct target *t)
{
	int status;

	t->pid = find_daemon(t);
	if (!t->pid)
		return STATUS_OK;
	ask->nr++;
	status = write_request(ask, t);
	if (status)
		return status;
	if (kill(t->pid, SIGHUP))
		return withdraw(t, STATUS_ERROR, strerror(errno));
	status = wait_for_answer(ask, t);
	return status ? status : show(ask, t);
}

static void upgrade_daemon(struct upgrade_ask *ask, const char *daemon)
{
	static const char suffix[] = ".lock";
	static struct target t;
	struct dirent *e;
	DIR *dir;

	if (ask->daemon && strcmp(ask->daemon, daemon))
		return;
	t.daemon = daemon;
	runinfo_directory(daemon, t.dir);
	dir = opendir(t.dir);
	while (dir && (e = readdir(dir))) {
		size_t n = strlen(e->d_name);

		if (n <= sizeof(suffix) - 1 || n - sizeof(suffix) + 1 >= sizeof(t.kind) ||
		    strcmp(e->d_name + n - sizeof(suffix) + 1, suffix))
			continue;
		snprintf(t.kind, sizeof(t.kind), "%.*s", (int)(n - sizeof(suffix) + 1), e->d_name);
		if (!ask->common.kind || !strcmp(ask->common.kind, t.kind)) {
			int status = upgrade(ask, &t);

			if (status)
				ask->status = status;
		}
	}
	if (dir)
		closedir(dir);
}

static int parse(struct upgrade_ask *ask, int argc, char **argv, bool *finished)
{
	static char path[PATH_BYTES];
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &upgrade_command, &ask->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		ask->json |= opt == OPT_JSON;
		if (opt == OPT_PROGRAM)
			/* What is not there, the daemon says. */
			ask->program = realpath(optarg, path) ? path : optarg;
	}
	status = common_operands(&upgrade_command, argc, 0, 1);
	if (status)
		return status;
	ask->daemon = optind < argc ? argv[optind] : NULL;
	if (ask->daemon && strcmp(ask->daemon, "blkback") && strcmp(ask->daemon, "netback"))
		return complain_usage(&upgrade_command, "\"%s\" is no daemon: blkback or netback",
				      ask->daemon);
	if (ask->program && !ask->daemon)
		return complain_usage(&upgrade_command, "--program is of one daemon: say blkback or "
				      "netback, too");
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	struct upgrade_ask ask = { .common.wait_ms = DEFAULT_WAIT_MS };
	bool finished = false;
	int status = parse(&ask, argc, argv, &finished);

	if (status || finished)
		return status;
	upgrade_daemon(&ask, "blkback");
	upgrade_daemon(&ask, "netback");
	if (ask.json)
		fputs(ask.nr_objects ? "\n]\n" : "[]\n", stdout);
	if (!ask.nr)
		return complain(STATUS_NO_SUCH, "no daemon of ours runs here");
	if (!ask.json && !ask.status && !ask.nr_devices)
		puts("upgraded; no device was connected");
	if (fflush(stdout) || ferror(stdout))
		return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	return ask.status;
}

const struct subcommand upgrade_command = {
	.name = "upgrade",
	.summary = "replaces the running daemons by another version, under their guests",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
