/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One version of a daemon after the other (upgrade.h).
 *
 * Hides: the rehearsal's process, deadlines, the text of the answer. Must not know: what is
 * handed over.
 */
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"
#include "process.h"
#include "util.h"

#define LOOK_MS 5
#define REHEARSAL_MS 20000u
#define SETTLE_MS 15000u	/* until no device starts or stops */
#define ASK_MS 1000u
#define COME_MS 30000u		/* until all is taken over */
#define UNREAD_MS 10000u	/* for so long the next one leaves an answer to who asked for it */
#define UNREAD_LOOK_MS 50
#define ARGS_MAX 256
#define PATH_BYTES 4096
#define LEFT_MAX 64		/* processes that nobody takes */
#define ANSWER_BYTES 65536

enum phase { IDLE, REHEARSING, SETTLING, COMING, ENDING };

struct upgrade {
	struct upgrade_env env;
	enum phase phase;
	struct evsource *look;		/* timer */
	uint64_t until_ms;		/* of the phase */
	uint64_t ask_ms;		/* again whether anything forbids to leave */
	bool again;			/* asked meanwhile */
	bool gave_up;			/* on devices that do not come, and no version to go back to */
	uint64_t request;
	uint64_t unread_until_ms;	/* an answer that nobody has taken */
	char own[PATH_BYTES];		/* where we were started from */
	char program[PATH_BYTES];	/* the next version */
	/* REHEARSING */
	pid_t pid;
	int output;			/* a pipe's end */
	/* ENDING */
	pid_t left[LEFT_MAX];
	uint32_t nr_left;
};

static struct takeover *coming(const struct upgrade *u)
{
	return u->env.config->takeover;
}

/* ---- the answer ------------------------------------------------------------------------- */

struct answer {
	char text[ANSWER_BYTES];
	size_t used;
	const struct upgrade *upgrade;
	uint64_t since_ns;
	uint32_t nr;
	uint64_t longest_us;
};

__attribute__((format(printf, 2, 3)))
static void add(struct answer *a, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(a->text + a->used, sizeof(a->text) - a->used, fmt, args);
	va_end(args);
	/* Cut at a whole line: with a thousand devices it is long enough. */
	if (n > 0 && (size_t)n < sizeof(a->text) - a->used)
		a->used += (size_t)n;
	a->text[a->used] = '\0';
}

static void add_device(void *arg, uint32_t frontend_id, uint32_t devid)
{
	struct answer *a = arg;
	const struct backend_config *config = a->upgrade->env.config;
	const struct rundir_name name = { config->kind, frontend_id, devid };
	uint64_t began_ns, pause_ns;
	char line[80];
	autoclose int fd = -1;

	if (rundir_open_journal(&config->rundir, &name, false, &fd) ||
	    a->upgrade->env.kind->read_pause(fd, &began_ns, &pause_ns) ||
	    began_ns < a->since_ns || !pause_ns)
		return;
	snprintf(line, sizeof(line), "device=%s-%u-%u ", config->kind, frontend_id, devid);
	if (strstr(a->text, line))	/* its other file */
		return;
	add(a, "%s%llu\n", line, (unsigned long long)pause_ns / 1000);
	a->nr++;
	a->longest_us = MAX(a->longest_us, pause_ns / 1000);
}

/* For who asked; nobody may have. */
static void write_answer(struct upgrade *u, const struct answer *a)
{
	int rc = rundir_write_file(&u->env.config->rundir, u->env.config->kind, UPGRADE_ANSWER,
				   a->text);

	if (rc)
		log_error("what came of the upgrade cannot be told: %s", strerror(-rc));
	else if (u->request)
		u->unread_until_ms = now_ms() + UNREAD_MS;
}

/* Who has asked takes the answer away. */
static bool is_unread(const struct upgrade *u)
{
	char text[64];

	return now_ms() < u->unread_until_ms &&
	       rundir_read_file(&u->env.config->rundir, u->env.config->kind, UPGRADE_ANSWER, text,
				sizeof(text)) != -ENOENT;
}

/* Its number; false: there is none. 0 is nobody's who waits. */
static bool look_for_request(const struct upgrade *u, char *text, size_t bytes, uint64_t *id)
{
	char number[24];

	*id = 0;
	if (rundir_read_file(&u->env.config->rundir, u->env.config->kind, UPGRADE_REQUEST, text,
			     bytes))
		return false;
	if (rundir_find_value(text, "id", number, sizeof(number)) ||
	    parse_u64(number, UINT64_MAX, id))
		*id = 0;
	return true;
}

static void enter(struct upgrade *u, enum phase phase, uint32_t limit_ms)
{
	u->phase = phase;
	u->until_ms = now_ms() + limit_ms;
	/* Of one that was sent back nothing depends on when all has come. */
	u->env.config->upgrading = phase == SETTLING ||
				   (phase == COMING && !takeover_returned(coming(u)));
}

/* Who asked meanwhile is in a file: the program that was told is another by now. */
static void end(struct upgrade *u)
{
	char text[PATH_BYTES + 64];
	uint64_t id;
	bool asked = look_for_request(u, text, sizeof(text), &id) && (!id || id != u->request);

	enter(u, IDLE, 0);
	evloop_set_timer(u->look, asked || u->again ? 0 : -1, 0);
	u->again = false;
}

static void refuse(struct upgrade *u, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void refuse(struct upgrade *u, const char *fmt, ...)
{
	char why[TAKEOVER_REASON_BYTES];
	struct answer *a = calloc(1, sizeof(*a));
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_error("no upgrade: %s; this version goes on", why);
	if (a) {
		add(a, "id=%llu\nstatus=refused\nfrom=%s\nreason=%s\n",
		    (unsigned long long)u->request, u->env.version, why);
		write_answer(u, a);
	}
	free(a);
	end(u);
}

/* ---- the rehearsal ------------------------------------------------------------------------ */

const char *upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
			    size_t why_bytes)
{
	unsigned takeover, journal;

	if (sscanf(formats, "%u.%u", &takeover, &journal) != 2 || takeover != TAKEOVER_VERSION) {
		snprintf(why, why_bytes, "what the running version leaves is of format %.20s, expected "
			 "%u: restart the daemon instead", formats, TAKEOVER_VERSION);
		return why;
	}
	if (journal != journal_version) {
		snprintf(why, why_bytes, "the journals of the running version are of format %u, expected "
			 "%u: detach its devices, restart the daemon, and attach them again", journal,
			 journal_version);
		return why;
	}
	return NULL;
}

static int spawn_rehearsal(struct upgrade *u, int output)
{
	const struct launch_fd fds[] = {
		{ output, STDOUT_FILENO }, { output, STDERR_FILENO }, { -1, -1 },
	};
	const char *argv[ARGS_MAX + 2];
	char check[64];
	int nr = 0;

	snprintf(check, sizeof(check), "--upgrade-check=%u.%u", TAKEOVER_VERSION,
		 u->env.journal_version);
	for (; u->env.argv[nr] && nr < ARGS_MAX; nr++)
		argv[nr] = u->env.argv[nr];
	argv[0] = u->program;
	argv[nr++] = check;
	argv[nr] = NULL;
	return launch_program(u->program, argv, fds, STDERR_FILENO + 1, &u->pid);
}

static void rehearse(struct upgrade *u)
{
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		refuse(u, "no pipe: %s", strerror(errno));
		return;
	}
	rc = spawn_rehearsal(u, ends[1]);
	close(ends[1]);
	u->output = ends[0];
	if (rc) {
		close_fd(&u->output);
		refuse(u, "%s cannot be started: %s", u->program, strerror(-rc));
		return;
	}
	enter(u, REHEARSING, REHEARSAL_MS);
	evloop_set_timer(u->look, 0, LOOK_MS);
}

/* Its last line, whatever it wrote before. */
static void last_words(struct upgrade *u, char *out, size_t bytes)
{
	char text[4096];
	ssize_t got = read(u->output, text, sizeof(text) - 1);
	char *line;

	close_fd(&u->output);
	text[got > 0 ? got : 0] = '\0';
	while ((got = (ssize_t)strlen(text)) && text[got - 1] == '\n')
		text[got - 1] = '\0';
	line = strrchr(text, '\n');
	snprintf(out, bytes, "%.180s", line ? line + 1 : text);
}

static void look_at_rehearsal(struct upgrade *u)
{
	char words[200];
	int status;
	pid_t pid = waitpid(u->pid, &status, WNOHANG);

	if (!pid && now_ms() < u->until_ms)
		return;
	if (!pid)
		process_end(u->pid);
	u->pid = 0;
	last_words(u, words, sizeof(words));
	if (!pid) {
		refuse(u, "%s did not say within %u s that it can start", u->program,
		       REHEARSAL_MS / 1000);
	} else if (WIFSIGNALED(status)) {
		refuse(u, "%s ended by signal %d (%s)", u->program, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	} else if (WEXITSTATUS(status)) {
		refuse(u, "%s cannot start (status %d): %s", u->program, WEXITSTATUS(status), words);
	} else if (strncmp(words, "upgrade-check: ", 15)) {
		refuse(u, "%s is no version of this program that can take over", u->program);
	} else {
		enter(u, SETTLING, SETTLE_MS);
	}
}

/* ---- leaving ---------------------------------------------------------------------------------- */

static int collect(const struct upgrade *u, struct takeover *t)
{
	int rc = takeover_add(t, TAKEOVER_LOCK, u->env.config->kind, 0,
			      u->env.config->rundir.lock_fd);

	return rc ? rc : backend_hand_over(u->env.backend, t);
}

/* Returns only if it is not possible. */
static void leave(struct upgrade *u)
{
	struct takeover *t = NULL;
	char *argv[ARGS_MAX + 1];
	int nr, rc = takeover_new(&t);

	for (nr = 0; u->env.argv[nr] && nr < ARGS_MAX; nr++)
		argv[nr] = u->env.argv[nr];
	argv[0] = u->program;
	argv[nr] = NULL;
	if (!rc)
		rc = collect(u, t);
	if (!rc) {
		log_info("%s takes over", u->program);
		if (u->env.notify_socket)
			setenv("NOTIFY_SOCKET", u->env.notify_socket, 1);
		rc = takeover_execute(t, u->program, argv, u->request, u->env.version);
	}
	unsetenv("NOTIFY_SOCKET");
	takeover_close(t);
	refuse(u, "%s: %s", u->program, strerror(-rc));
}

/* Looked for on every image's storage: while others are waited for once a second. */
static bool may_leave_soon(struct upgrade *u, bool settled)
{
	uint64_t now = now_ms();

	if (!settled && now < u->ask_ms)
		return false;
	u->ask_ms = now + ASK_MS;
	return true;
}

static void look_whether_settled(struct upgrade *u)
{
	const char *unsettled = backend_unsettled(u->env.backend, false);
	char why[TAKEOVER_REASON_BYTES];

	if (may_leave_soon(u, !unsettled) && backend_cannot_leave(u->env.backend, why, sizeof(why)))
		refuse(u, "%s", why);
	else if (!unsettled)
		leave(u);
	else if (now_ms() >= u->until_ms)
		refuse(u, "for %u s there has always been one that starts or stops: now it is "
		       "%s; paravane why tells more", SETTLE_MS / 1000, unsettled);
}

/* ---- coming ------------------------------------------------------------------------------------- */

static void say_done(struct upgrade *u)
{
	struct takeover *t = coming(u);
	const char *returned = takeover_returned(t);
	struct answer *a = calloc(1, sizeof(*a));

	if (!a)
		return;
	a->upgrade = u;
	a->since_ns = takeover_since_ns(t);
	add(a, "id=%llu\nstatus=%s\nfrom=%s\nto=%s\n", (unsigned long long)u->request,
	    returned ? "returned" : "upgraded", takeover_from(t), u->env.version);
	if (returned)
		add(a, "reason=%s\n", returned);
	rundir_each(&u->env.config->rundir, u->env.config->kind, add_device, a);
	if (returned)
		log_error("no upgrade: %s; this version goes on", returned);
	else
		log_info("took over from version %s: %u devices, the longest pause %llu.%03llu ms",
			 takeover_from(t), a->nr, (unsigned long long)a->longest_us / 1000,
			 (unsigned long long)a->longest_us % 1000);
	write_answer(u, a);
	free(a);
}

/* A worker ends when it reads the end of its socket. */
static void hang_up(pid_t pid, int sock)
{
	(void)pid;
	shutdown(sock, SHUT_WR);
}

static void terminate(pid_t pid, int sock)
{
	(void)sock;
	if (!waitpid(pid, NULL, WNOHANG))
		kill(pid, SIGTERM);
}

/* Processes that nobody has taken: they are told to end, and reaped later. */
static void end_left(struct upgrade *u, const char *what, void (*tell)(pid_t pid, int sock))
{
	const char *name;
	int64_t pid;

	while (u->nr_left < LEFT_MAX && (name = takeover_left(coming(u), what))) {
		autoclose int sock = takeover_take(coming(u), what, name, &pid);

		if (sock < 0)
			break;
		tell((pid_t)pid, sock);
		u->left[u->nr_left++] = (pid_t)pid;
	}
}

static void reap_left_workers(struct upgrade *u, bool kill_them)
{
	for (uint32_t i = u->nr_left; i-- > 0;) {
		if (kill_them && !waitpid(u->left[i], NULL, WNOHANG))
			kill(u->left[i], SIGKILL);
		if (waitpid(u->left[i], NULL, WNOHANG))	/* or it is no child of ours any more */
			u->left[i] = u->left[--u->nr_left];
	}
}

/* Who waits for a server, or for a process that does not end, goes on so without us. */
static bool has_come(const struct upgrade *u)
{
	return !backend_unsettled(u->env.backend, true) ||
	       (u->gave_up && !backend_inherits(u->env.backend));
}

static void look_whether_come(struct upgrade *u)
{
	/* Of bridges that have lost their last port meanwhile, and the flip helper. */
	if (!backend_inherits(u->env.backend))
		end_left(u, TAKEOVER_WORKER, hang_up);
	reap_left_workers(u, false);
	if (has_come(u)) {
		/* Of disks that went meanwhile: nobody speaks to them now. */
		end_left(u, TAKEOVER_SERVER, terminate);
		/* More than can be waited for at a time: the others next time. */
		if (takeover_left(coming(u), TAKEOVER_WORKER) ||
		    takeover_left(coming(u), TAKEOVER_SERVER))
			return;
		say_done(u);
		takeover_close(coming(u));
		u->env.config->takeover = NULL;
		enter(u, ENDING, u->env.config->stop_ms);
	} else if (now_ms() >= u->until_ms) {
		takeover_return(coming(u), "a device was not taken over in time");
		/* There is no version to go back to: what is not served is let go. */
		backend_give_up(u->env.backend, "was not taken over in time");
		u->gave_up = true;
	}
}

static void look_whether_ended(struct upgrade *u)
{
	reap_left_workers(u, now_ms() >= u->until_ms);
	if (!u->nr_left)
		end(u);
}

static void on_look(void *arg, uint32_t events)
{
	struct upgrade *u = arg;

	(void)events;
	switch (u->phase) {
	case REHEARSING: look_at_rehearsal(u); break;
	case SETTLING: look_whether_settled(u); break;
	case COMING: look_whether_come(u); break;
	case ENDING: look_whether_ended(u); break;
	case IDLE: upgrade_begin(u); break;
	}
}

/* ---- asking ------------------------------------------------------------------------------------- */

static void read_request(struct upgrade *u)
{
	const struct rundir *r = &u->env.config->rundir;
	const char *kind = u->env.config->kind;
	char text[PATH_BYTES + 64];

	strcpy(u->program, u->own);
	if (!look_for_request(u, text, sizeof(text), &u->request))
		return;
	rundir_remove_file(r, kind, UPGRADE_REQUEST);
	rundir_find_value(text, "program", u->program, sizeof(u->program));
}

void upgrade_begin(struct upgrade *u)
{
	if (u->phase != IDLE) {
		u->again = true;
		return;
	}
	if (is_unread(u)) {
		evloop_set_timer(u->look, UNREAD_LOOK_MS, 0);
		return;
	}
	read_request(u);
	log_info("upgrade: asks %s", u->program);
	rehearse(u);
}

/* Under its name, whatever has become of the file that we are. */
static void find_own_path(struct upgrade *u)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", u->own, sizeof(u->own) - 1);

	u->own[n > 0 ? n : 0] = '\0';
	if (n > (ssize_t)sizeof(deleted) &&
	    !strcmp(u->own + n - (ssize_t)sizeof(deleted) + 1, deleted))
		u->own[n - (ssize_t)sizeof(deleted) + 1] = '\0';
}

int upgrade_open(const struct upgrade_env *env, struct upgrade **out)
{
	struct upgrade *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->env = *env;
	u->output = -1;
	find_own_path(u);
	rc = evloop_add_timer(env->loop, on_look, u, &u->look);
	if (rc) {
		free(u);
		return rc;
	}
	if (coming(u)) {
		u->request = takeover_request(coming(u));
		enter(u, COMING, COME_MS);
		evloop_set_timer(u->look, 0, LOOK_MS);
	} else {
		rundir_remove_file(&env->config->rundir, env->config->kind, UPGRADE_REQUEST);
	}
	*out = u;
	return 0;
}

void upgrade_close(struct upgrade *u)
{
	if (!u)
		return;
	if (u->pid > 0)
		process_end(u->pid);
	close_fd(&u->output);
	evloop_remove(u->look);
	free(u);
}
