/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A supervisor's world in one process (daemon-world.h).
 */
#include "daemon-world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util.h"

char dir[] = "/tmp/test-daemon.XXXXXX";
struct evloop *loop;
struct backend *backend;
unsigned int dead_domid;
static struct xs_handle *xs;

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	(void)h;
	return domid != dead_domid;
}

void world_start(const struct daemon_world *w)
{
	char why[200] = "";

	UNIT_EQ(rundir_open(&w->config->rundir, dir, w->run_directory, w->config->kind, -1,
			    why, sizeof(why)), 0);
	CU_ASSERT_FATAL(!evloop_open(&loop));
	xs = xs_open(0);
	CU_ASSERT_FATAL(xs && !backend_open(loop, xs, w->kind, w->config, &backend));
}

void world_end(const struct daemon_world *w)
{
	backend_close(backend);
	backend = NULL;
	evloop_close(loop);
	loop = NULL;
	xs_close(xs);
	rundir_close(&w->config->rundir);
}

const char *world_program(const char *variable, const char *otherwise)
{
	const char *program = getenv(variable);

	return program ? program : otherwise;
}

bool has_children(void)
{
	return waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0;
}

unsigned run_files(const char *run_directory)
{
	unsigned nr = 0;
	char path[80];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, run_directory);
	d = opendir(path);
	while (d && (e = readdir(d)))
		nr += strstr(e->d_name, ".info") || strstr(e->d_name, ".journal");
	if (d)
		closedir(d);
	return nr;
}

static bool node_is(const char *path, const char *value)
{
	const char *now = fake_xs_get(path);

	return value ? now && !strcmp(now, value) : !now;
}

bool pump_until(const char *path, const char *value)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while (!node_is(path, value) && now_ms() < end)
		evloop_turn(loop, 20);
	if (node_is(path, value))
		return true;
	fprintf(stderr, "\n%s is %s, expected %s", path,
		fake_xs_get(path) ? fake_xs_get(path) : "(missing)",
		value ? value : "(missing)");
	return false;
}

bool pump_until_idle(void)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while (has_children() && now_ms() < end)
		evloop_turn(loop, 20);
	return !has_children();
}

/* Whatever is going to happen without another event has happened. */
void pump_quiet(void)
{
	int quiet = 0;

	while (quiet < 5)
		quiet = evloop_turn(loop, 20) ? 0 : quiet + 1;
}

int world_run(const char *suite, const struct unit_test *tests, size_t nr)
{
	char command[64];
	int rc;

	log_open(suite, LOG_LEVEL_ERROR);
	if (!mkdtemp(dir))
		return 1;
	rc = unit_run(suite, tests, nr);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || rc;
}
