/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's world in one process (back-world.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "back-world.h"
#include "util.h"

#define IMAGE_BYTES (1 << 20)

/* ---- the world ------------------------------------------------------------ */

char dir[] = "/tmp/test-backend.XXXXXX";
char image[64], other[64];
struct blkback_config config;
struct evloop *loop;
static struct xs_handle *xs;
struct backend *backend;
unsigned int dead_domid;

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	(void)h;
	return domid != dead_domid;
}

void make_image(const char *path, off_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, bytes));
	close(fd);
}

void start_daemon(void)
{
	char why[200] = "";

	UNIT_EQ(rundir_open(&config.base.rundir, dir, "blkback", "vbd", why, sizeof(why)), 0);
	CU_ASSERT_FATAL(!evloop_open(&loop));
	xs = xs_open(0);
	CU_ASSERT_FATAL(xs && !backend_open(loop, xs, &vbd_kind, &config.base,
						&backend));
}

/* As the end of the process does it: whatever runs is killed. */
void end_daemon(void)
{
	backend_close(backend);
	backend = NULL;
	evloop_close(loop);
	loop = NULL;
	xs_close(xs);
	rundir_close(&config.base.rundir);
}

void setup(void)
{
	const char *stub = getenv("STUB_WORKER");

	fake_xs_reset();
	dead_domid = 99;
	unsetenv("PV_STUB");
	config = (struct blkback_config){
		.base = { .kind = "vbd", .program = stub ? stub : "tests/stub-worker",
			  .name = "paravane-blkback", .log_level = "error",
			  .stop_ms = 10000 },
		.max_segments = 256,
		.grants = VBD_GRANTS_AUTO, .persistent_pages = 4224,
	};
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	make_image(image, IMAGE_BYTES);
	make_image(other, IMAGE_BYTES);
	fake_xs_put("/local/domain/0/domid", "0");
	start_daemon();
}

bool has_children(void)
{
	return waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Files of the run directory but the lock. */
unsigned run_files(void)
{
	unsigned nr = 0;
	char path[80];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/blkback", dir);
	d = opendir(path);
	while (d && (e = readdir(d)))
		nr += e->d_name[0] != '.' && !strstr(e->d_name, ".lock");
	if (d)
		closedir(d);
	return nr;
}

void teardown(void)
{
	UNIT_OK(!has_children());
	UNIT_EQ(run_files(), 0);
	end_daemon();
	UNIT_EQ(fake_xs_open_transactions(), 0);
}

/* ---- pumping -------------------------------------------------------------- */

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

/* ---- tool stack and front end --------------------------------------------- */

void attach_with(const char *params, const char *mode)
{
	fake_xs_put(FRONT("3") "state", "1");
	fake_xs_put(FRONT("3") "backend", "/local/domain/0/backend/vbd/3/51712");
	fake_xs_put(BACK("3") "frontend-id", "3");
	fake_xs_put(BACK("3") "frontend", "/local/domain/3/device/vbd/51712");
	fake_xs_put(BACK("3") "online", "1");
	fake_xs_put(BACK("3") "mode", mode);
	if (params)
		fake_xs_put(BACK("3") "params", params);
	fake_xs_put(BACK("3") "state", "1");
}

void attach(void)
{
	attach_with(image, "w");
}

void front_publish(const char *state)
{
	fake_xs_put(FRONT("3") "ring-ref", "8");
	fake_xs_put(FRONT("3") "event-channel", "5");
	fake_xs_put(FRONT("3") "state", state);
}

bool attach_waits(void)
{
	attach();
	return pump_until(BACK("3") "state", "2");
}

bool reconnect(const char *state)
{
	fake_xs_put(FRONT("3") "state", "1");
	if (!pump_until(BACK("3") "state", "2"))
		return false;
	front_publish(state);
	return pump_until(BACK("3") "state", "4");
}

bool connect_all(void)
{
	if (!attach_waits())
		return false;
	front_publish("3");
	if (!pump_until(BACK("3") "state", "4"))
		return false;
	fake_xs_put(FRONT("3") "state", "4");
	return true;
}

void remove_nodes(void)
{
	struct xs_handle *h = fake_xs_open(0);

	xs_rm(h, XBT_NULL, "/local/domain/0/backend/vbd/3");
	xs_rm(h, XBT_NULL, "/local/domain/3/device");
	xs_close(h);
}

void remove_and_teardown(void)
{
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	teardown();
}

void read_journal(char *buf, size_t bytes)
{
	char path[96];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/blkback/vbd-3-51712.journal", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, buf, bytes - 1);
	buf[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

pid_t worker(void)
{
	struct rundir_name name = { "vbd", 3, 51712 };
	char text[32] = "0";

	rundir_read_info(&config.base.rundir, &name, "pid", text, sizeof(text));
	return atoi(text);
}

bool error_has(const char *words)
{
	const char *text = fake_xs_get(ERROR("3"));

	if (text && strstr(text, words))
		return true;
	fprintf(stderr, "\nerror is '%s', expected '%s' in it", text ? text : "(none)",
		words);
	return false;
}

int back_world_run(const char *suite, const struct unit_test *tests, size_t nr)
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
