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

char image[64], other[64];
struct blkback_config config;
static const struct daemon_world world = {
	.kind = &vbd_kind, .config = &config.base, .run_directory = "blkback",
};

void make_image(const char *path, off_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, bytes));
	close(fd);
}

void start_daemon(void)
{
	world_start(&world);
}

void end_daemon(void)
{
	world_end(&world);
}

void setup(void)
{
	fake_xs_reset();
	dead_domid = 99;
	unsetenv("PV_STUB");
	config = (struct blkback_config){
		.base = { .kind = "vbd", .program = world_program("STUB_WORKER", "tests/stub-worker"),
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

void teardown(void)
{
	UNIT_OK(!has_children());
	UNIT_EQ(run_files("blkback"), 0);
	end_daemon();
	UNIT_EQ(fake_xs_open_transactions(), 0);
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
