/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A back end's supervisor of any kind, against a store in this process and workers
 * that serve nothing.
 *
 * Hides: making and ending the daemon, waiting. Must not know: kinds of devices,
 * nodes. Used by back-world.h (disks) and vif-world.h (interfaces).
 */
#ifndef PV_DAEMON_WORLD_H
#define PV_DAEMON_WORLD_H

#include <stdbool.h>
#include <sys/types.h>
#include "backend.h"
#include "fake-xenstore.h"
#include "unit.h"

#define DEADLINE_MS 20000u

extern char dir[];			/* of this run, with the run directory in it */
extern struct evloop *loop;
extern struct backend *backend;
extern unsigned int dead_domid;		/* not introduced */

/* The daemon that world_start() starts; config is the caller's. */
struct daemon_world {
	const struct device_kind *kind;
	struct backend_config *config;
	const char *run_directory;	/* "blkback" */
};

void world_start(const struct daemon_world *w);
/* As the end of the process does it: whatever runs is killed. */
void world_end(const struct daemon_world *w);
/* A program beside this one, or as the environment's variable says. */
const char *world_program(const char *variable, const char *otherwise);

bool has_children(void);
unsigned run_files(const char *run_directory);	/* of devices */
bool pump_until(const char *path, const char *value);
bool pump_until_idle(void);	/* no child process is left */
void pump_quiet(void);		/* what happens without another event has happened */

int world_run(const char *suite, const struct unit_test *tests, size_t nr);

#endif
