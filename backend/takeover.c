/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From one program to the next in the same process (takeover.h).
 *
 * Hides: a file in memory whose descriptor the environment names; what may be done in a
 * signal handler. Must not know: who takes what.
 *
 * The descriptors that were inherited stay open as they are until takeover_close(); who takes
 * one gets a copy. So going back is possible at any instant, and is the same from anywhere:
 * unmark them, say why, execute.
 */
#include "takeover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util.h"

#define VARIABLE "PARAVANE_TAKEOVER"
#define WORD_BYTES 16
#define STRANGERS_MS 10000u
#define STRANGERS_TERM_MS 1000u
#define STRANGERS_KILLED_MS 1000u	/* what SIGKILL has not ended by then nobody waits for */
#define LINE_BYTES (TAKEOVER_NAME_BYTES + TAKEOVER_REASON_BYTES)

extern char **environ;

struct item {
	struct item *next;
	char what[WORD_BYTES], name[TAKEOVER_NAME_BYTES];
	int64_t number;
	int fd;
	bool taken;
	char *purpose;			/* takeover_is_for(); NULL: nobody has asked */
};

struct takeover {
	struct item *items;
	int file;			/* the text */
	int program;			/* the one before; -1: none to go back to */
	uint64_t request, since_ns;
	char from[64], returned[TAKEOVER_REASON_BYTES];
	/* Made before they are needed: a signal handler cannot. */
	char **argv, **env;
	char variable[sizeof(VARIABLE) + 16];
};

/* Whom a crash returns from. */
static struct takeover *coming;

static int set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

/* ---- leaving -------------------------------------------------------------------------- */

int takeover_new(struct takeover **out)
{
	struct takeover *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->file = t->program = -1;
	*out = t;
	return 0;
}

int takeover_add(struct takeover *t, const char *what, const char *name, int64_t number, int fd)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	snprintf(item->what, sizeof(item->what), "%s", what);
	snprintf(item->name, sizeof(item->name), "%s", name);
	item->number = number;
	item->fd = fd;
	item->next = t->items;
	t->items = item;
	return 0;
}

/* Libraries of others may have opened some without it; the next program opens its own. */
static void mark_all_cloexec(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (atoi(e->d_name) > STDERR_FILENO)
			set_cloexec(atoi(e->d_name), true);
	if (dir)
		closedir(dir);
}

static void mark_kept(const struct takeover *t, bool cloexec)
{
	set_cloexec(t->file, cloexec);
	set_cloexec(t->program, cloexec);
	for (const struct item *item = t->items; item; item = item->next)
		set_cloexec(item->fd, cloexec);
}

static int write_text(const struct takeover *t, uint64_t request, const char *version)
{
	int rc = dprintf(t->file, "paravane takeover %u\nprogram %d\nrequest %llu\nsince %llu\n"
			 "from %s\n", TAKEOVER_VERSION, t->program,
			 (unsigned long long)request, (unsigned long long)now_ns(), version);

	for (const struct item *item = t->items; rc >= 0 && item; item = item->next)
		rc = dprintf(t->file, "item %s %lld %d %s\n", item->what,
			     (long long)item->number, item->fd, item->name);
	return rc < 0 ? -errno : 0;
}

int takeover_execute(struct takeover *t, const char *program, char *const *argv,
		     uint64_t request, const char *version)
{
	char number[16];
	int rc;

	t->file = memfd_create("paravane-takeover", MFD_CLOEXEC);
	if (t->file < 0)
		return -errno;
	t->program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (t->program < 0)
		return -errno;
	rc = write_text(t, request, version);
	if (rc)
		return rc;
	snprintf(number, sizeof(number), "%d", t->file);
	setenv(VARIABLE, number, 1);
	mark_all_cloexec();
	mark_kept(t, false);
	execve(program, argv, environ);
	rc = -errno;
	mark_kept(t, true);
	unsetenv(VARIABLE);
	return rc;
}

/* ---- going back ------------------------------------------------------------------------- */

/* Async-signal-safe, as all that it calls. */
static void go_back(struct takeover *t, const char *reason, const char *more)
{
	static const char word[] = "returned ";
	sigset_t none;

	if (!t || t->program < 0 || t->returned[0])
		return;
	coming = NULL;
	if (lseek(t->file, 0, SEEK_END) < 0 || write(t->file, word, sizeof(word) - 1) < 0 ||
	    write(t->file, reason, strlen(reason)) < 0 ||
	    write(t->file, more, strlen(more)) < 0 || write(t->file, "\n", 1) < 0)
		return;
	mark_kept(t, false);
	sigemptyset(&none);
	sigaddset(&none, SIGSEGV);
	sigprocmask(SIG_UNBLOCK, &none, NULL);
	syscall(SYS_execveat, t->program, "", t->argv, t->env, AT_EMPTY_PATH);
	mark_kept(t, true);
}

static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };

static void on_crash(int signo)
{
	/* strsignal() is not for handlers. */
	static const char *const name[] = { "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT",
					    "SIGSYS" };
	const char *which = "a signal";

	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		if (crashes[i] == signo)
			which = name[i];
	go_back(coming, "the new version crashed: ", which);
	signal(signo, SIG_DFL);
	raise(signo);
}

static void on_exit_(void)
{
	go_back(coming, "the new version ended, as its log says", "");
}

static void guard(struct takeover *t)
{
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_NODEFER };
	static bool registered;

	coming = t;
	if (!registered && t)
		atexit(on_exit_);
	registered = true;
	if (!t)
		action.sa_handler = SIG_DFL;
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}

void takeover_return(struct takeover *t, const char *reason)
{
	if (!t || t->program < 0 || t->returned[0])
		return;
	log_error("goes back to the version before: %s", reason);
	go_back(t, reason, "");
}

/* ---- coming ------------------------------------------------------------------------------ */

static int take_item(struct takeover *t, const char *line)
{
	char what[WORD_BYTES];
	long long number;
	int fd, at = 0;

	if (sscanf(line, "%15s %lld %d %n", what, &number, &fd, &at) != 3 || !at)
		return -EPROTO;
	return takeover_add(t, what, line + at, number, fd);
}

static int take_line(struct takeover *t, char *line)
{
	unsigned long long n;

	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "item ", 5))
		return take_item(t, line + 5);
	if (sscanf(line, "program %d", &t->program) == 1)
		return 0;
	if (sscanf(line, "request %llu", &n) == 1)
		t->request = n;
	else if (sscanf(line, "since %llu", &n) == 1)
		t->since_ns = n;
	else if (!strncmp(line, "from ", 5))
		snprintf(t->from, sizeof(t->from), "%.63s", line + 5);
	else if (!strncmp(line, "returned ", 9))
		snprintf(t->returned, sizeof(t->returned), "%.255s", line + 9);
	return 0;
}

static int read_text(struct takeover *t)
{
	char line[LINE_BYTES];
	unsigned version = 0;
	int rc = 0, fd = dup(t->file);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f) {
		close_fd(&fd);
		return -errno;
	}
	rewind(f);
	if (!fgets(line, sizeof(line), f) ||
	    sscanf(line, "paravane takeover %u", &version) != 1 || version != TAKEOVER_VERSION)
		rc = -EPROTO;
	while (!rc && fgets(line, sizeof(line), f))
		rc = take_line(t, line);
	fclose(f);
	return rc;
}

/* Without allocation, and without our variable, which says the same as before. */
static int prepare_return(struct takeover *t, char *const *argv)
{
	size_t nr = 0, out = 0;

	while (environ[nr])
		nr++;
	t->argv = (char **)argv;
	t->env = calloc(nr + 2, sizeof(*t->env));
	if (!t->env)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		if (strncmp(environ[i], VARIABLE "=", sizeof(VARIABLE)))
			t->env[out++] = environ[i];
	snprintf(t->variable, sizeof(t->variable), VARIABLE "=%d", t->file);
	t->env[out] = t->variable;
	return 0;
}

/* Children that are in no item, and run yet. signo: what they are sent, or 0. */
static bool has_strangers(const struct takeover *t, int signo)
{
	char path[64];
	bool found = false;
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1) {
		if (takeover_has_process(t, pid) || waitpid(pid, NULL, WNOHANG))
			continue;
		found = true;
		if (signo)
			kill(pid, signo);
	}
	if (f)
		fclose(f);
	return found;
}

/*
 * Workers of the version that did not stay end, since their sockets have closed; they may
 * hold rings that we are to go on with. Servers that it started have to be told, after
 * those who use them have ended: they write back what they have.
 */
static void wait_for_strangers(const struct takeover *t)
{
	uint64_t began = now_ms(), told = 0, ms = 0;
	int signo = 0;

	/* One that its storage holds ends when that lets go: fences keep it from harm. */
	while (ms < STRANGERS_MS + STRANGERS_KILLED_MS && has_strangers(t, signo)) {
		usleep(2000);
		ms = now_ms() - began;
		signo = ms >= STRANGERS_MS ? SIGKILL :
			ms >= STRANGERS_TERM_MS && !told++ ? SIGTERM : 0;
	}
}

int takeover_inherit(char *const *argv, struct takeover **out)
{
	const char *text = getenv(VARIABLE);
	struct takeover *t;
	uint64_t fd;
	int rc;

	if (!text)
		return -ENOENT;
	if (parse_u64(text, INT32_MAX, &fd))
		return -EPROTO;
	rc = takeover_new(&t);
	if (rc)
		return rc;
	t->file = (int)fd;
	rc = prepare_return(t, argv);
	if (!rc)
		rc = read_text(t);
	unsetenv(VARIABLE);	/* workers are not to know it */
	mark_kept(t, true);
	guard(t);
	if (rc) {
		go_back(t, "what was left is of another format", "");
		takeover_close(t);
		return rc;
	}
	if (t->returned[0])
		wait_for_strangers(t);
	*out = t;
	return 0;
}

uint64_t takeover_request(const struct takeover *t)
{
	return t->request;
}

const char *takeover_from(const struct takeover *t)
{
	return t->from;
}

uint64_t takeover_since_ns(const struct takeover *t)
{
	return t->since_ns;
}

const char *takeover_returned(const struct takeover *t)
{
	return t->returned[0] ? t->returned : NULL;
}

static struct item *find(const struct takeover *t, const char *what, const char *name)
{
	for (struct item *item = t ? t->items : NULL; item; item = item->next)
		if (!item->taken && !strcmp(item->what, what) &&
		    (!name || !strcmp(item->name, name)))
			return item;
	return NULL;
}

bool takeover_has(const struct takeover *t, const char *what, const char *name)
{
	return find(t, what, name);
}

bool takeover_has_process(const struct takeover *t, pid_t pid)
{
	for (const struct item *item = t ? t->items : NULL; item; item = item->next)
		if (item->number == pid && (!strcmp(item->what, TAKEOVER_WORKER) ||
					    !strcmp(item->what, TAKEOVER_SERVER)))
			return true;
	return false;
}

bool takeover_is_for(struct takeover *t, const char *what, const char *name,
		     const char *purpose)
{
	struct item *item = find(t, what, name);

	if (!item)
		return false;
	if (!item->purpose)
		item->purpose = strdup(purpose);
	return !item->purpose || !strcmp(item->purpose, purpose);
}

int takeover_take(struct takeover *t, const char *what, const char *name, int64_t *number)
{
	struct item *item = find(t, what, name);
	int fd;

	if (!item)
		return -ENOENT;
	fd = fcntl(item->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return -errno;
	item->taken = strcmp(what, TAKEOVER_IMAGE);
	if (number)
		*number = item->number;
	return fd;
}

const char *takeover_left(const struct takeover *t, const char *what)
{
	const struct item *item = find(t, what, NULL);

	return item ? item->name : NULL;
}

void takeover_close(struct takeover *t)
{
	struct item *item;

	if (!t)
		return;
	if (coming == t)
		guard(NULL);
	while ((item = t->items)) {
		t->items = item->next;
		/* Those of a version that leaves are its modules'. */
		if (t->env)
			close(item->fd);
		free(item->purpose);
		free(item);
	}
	close_fd(&t->file);
	close_fd(&t->program);
	free(t->env);
	free(t);
}
