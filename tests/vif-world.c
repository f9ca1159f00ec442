/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vif-world.h says. Must not know: what is tried. */
#include "vif-world.h"

struct vif_config config;
static const struct daemon_world world = {
	.kind = &vif_kind, .config = &config.base, .run_directory = "netback",
};
static char notes[96];

/* ---- the world ------------------------------------------------------------------------ */

void setup(const char *stub)
{
	fake_xs_reset();
	dead_domid = 99;
	setenv("PV_STUB", stub, 1);
	snprintf(notes, sizeof(notes), "%s/notes", dir);
	setenv("PV_STUB_NOTES", notes, 1);
	unlink(notes);
	config = (struct vif_config){
		.base = { .kind = "vif", .name = "paravane-netback", .log_level = "error",
			  .program = world_program("STUB_BRIDGE", "tests/stub-bridge"),
			  .stop_ms = 10000 },
		.max_queues = 4,
	};
	fake_xs_put("/local/domain/0/domid", "0");
	world_start(&world);
}

static void remove_nodes(void)
{
	struct xs_handle *h = fake_xs_open(0);

	xs_rm(h, XBT_NULL, "/local/domain/0/backend/vif");
	xs_rm(h, XBT_NULL, "/local/domain/3/device");
	xs_rm(h, XBT_NULL, "/local/domain/4/device");
	xs_close(h);
}

void start_daemon(void)
{
	world_start(&world);
}

void end_daemon(void)
{
	backend_shutdown(backend);
	UNIT_EQ(evloop_run(loop), 0);
	world_end(&world);
}

void lose_daemon(void)
{
	world_end(&world);
}

/* Whatever state it is in: nothing may be left. */
void teardown(void)
{
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	UNIT_EQ(run_files("netback"), 0);
	world_end(&world);
	UNIT_EQ(fake_xs_open_transactions(), 0);
}

static const char *path_of(const char *dir_format, const char *id, const char *key)
{
	static char path[128];
	char dir_path[96];

	snprintf(dir_path, sizeof(dir_path), dir_format, id);
	snprintf(path, sizeof(path), "%s%s", dir_path, key);
	return path;
}

#define BACK_FORMAT "/local/domain/0/backend/vif/%s/0/"
#define FRONT_FORMAT "/local/domain/%s/device/vif/0/"

void put_back(const char *id, const char *key, const char *value)
{
	fake_xs_put(path_of(BACK_FORMAT, id, key), value);
}

void remove_back(const char *id, const char *key)
{
	struct xs_handle *h = fake_xs_open(0);

	xs_rm(h, XBT_NULL, path_of(BACK_FORMAT, id, key));
	xs_close(h);
}

void put_front(const char *id, const char *key, const char *value)
{
	fake_xs_put(path_of(FRONT_FORMAT, id, key), value);
}

void attach(const char *id, const char *bridge)
{
	char mac[24], text[80];

	snprintf(mac, sizeof(mac), "00:16:3e:00:00:0%s", id);
	put_front(id, "state", "1");
	snprintf(text, sizeof(text), "/local/domain/0/backend/vif/%s/0", id);
	put_front(id, "backend", text);
	put_back(id, "frontend-id", id);
	snprintf(text, sizeof(text), "/local/domain/%s/device/vif/0", id);
	put_back(id, "frontend", text);
	put_back(id, "online", "1");
	put_back(id, "mac", mac);
	if (bridge)
		put_back(id, "bridge", bridge);
	put_back(id, "state", "1");
}

void front_publish(const char *id)
{
	put_front(id, "tx-ring-ref", "8");
	put_front(id, "rx-ring-ref", "9");
	put_front(id, "event-channel", "5");
	put_front(id, "request-rx-copy", "1");
	put_front(id, "feature-rx-notify", "1");
	put_front(id, "state", "4");
}

bool back_reaches(const char *id, const char *state)
{
	return pump_until(path_of(BACK_FORMAT, id, "state"), state);
}

bool connects(const char *id, const char *bridge)
{
	attach(id, bridge);
	if (!back_reaches(id, "2"))
		return false;
	front_publish(id);
	return back_reaches(id, "4");
}

/* What the workers were told, all of it, since the last time it was asked. */
const char *told(void)
{
	static char text[1000];
	FILE *f = fopen(notes, "r");
	size_t got = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[got] = '\0';
	if (f)
		fclose(f);
	unlink(notes);
	return text;
}

bool error_has(const char *id, const char *words)
{
	char path[80];
	const char *text = NULL;

	snprintf(path, sizeof(path), "/local/domain/0/error/backend/vif/%s/0/error", id);
	for (uint64_t until = now_ms() + DEADLINE_MS; now_ms() < until; evloop_turn(loop, 10)) {
		text = fake_xs_get(path);
		if (text && strstr(text, words))
			return true;
	}
	fprintf(stderr, "\nerror is '%s', expected '%s' in it", text ? text : "(none)", words);
	return false;
}

/* What told() will say has that in it. */
bool will_be_told(const char *words)
{
	char text[1000];

	for (int i = 0; i < 200; i++) {
		FILE *f = fopen(notes, "r");
		size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

		if (f)
			fclose(f);
		text[n] = '\0';
		if (strstr(text, words))
			return true;
		pump_quiet();
	}
	return false;
}

pid_t worker_of(const char *id)
{
	const struct rundir_name name = { "vif", (uint32_t)atoi(id), 0 };
	char text[16];

	return rundir_read_info(&config.base.rundir, &name, "pid", text, sizeof(text)) ? 0 :
	       (pid_t)atoi(text);
}

/* How often the log says words, since it goes into file. */
unsigned int said(FILE *file, const char *words)
{
	char line[512];
	unsigned int nr = 0;

	pump_quiet();
	rewind(file);
	while (fgets(line, sizeof(line), file))
		nr += strstr(line, words) != NULL;
	fseek(file, 0, SEEK_END);
	return nr;
}

bool error_goes(const char *id)
{
	for (uint64_t until = now_ms() + DEADLINE_MS; now_ms() < until;) {
		if (!fake_xs_get(path_of("/local/domain/0/error/backend/vif/%s/0/", id, "error")))
			return true;
		evloop_turn(loop, 10);
	}
	return false;
}

bool kill_worker_of(const char *id)
{
	pid_t before = worker_of(id);

	if (before <= 0 || kill(before, SIGKILL))
		return false;
	for (uint64_t until = now_ms() + DEADLINE_MS; worker_of(id) == before;) {
		if (now_ms() >= until)
			return false;
		evloop_turn(loop, 10);
	}
	return true;
}
