/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor against a store in this process and workers that serve
 * nothing, for test-backend and test-backend-workers.
 *
 * Hides: nodes as a tool stack and a front end write them. Must not know: rings. The stub worker is $STUB_WORKER,
 * else tests/stub-worker. One device: vbd 3/51712, on image.
 */
#ifndef PV_BACK_WORLD_H
#define PV_BACK_WORLD_H

#include "daemon-world.h"
#include "util.h"
#include "vbd-device.h"
#include "vbd-serve.h"
#include "xenbus.h"

#define BACK(id) "/local/domain/0/backend/vbd/" id "/51712/"
#define FRONT(id) "/local/domain/" id "/device/vbd/51712/"
#define ERROR(id) "/local/domain/0/error/backend/vbd/" id "/51712/error"

extern char image[64], other[64];		/* images of 1 MiB in dir */
extern struct blkback_config config;

void setup(void);
void teardown(void);		/* nothing may be left */
void remove_and_teardown(void);	/* the tool stack removes the device first */
void start_daemon(void);
void end_daemon(void);
void make_image(const char *path, off_t bytes);

pid_t worker(void);		/* the device's, by its info file; 0: none */
void read_journal(char *buf, size_t bytes);
bool error_has(const char *words);

void attach(void);
void attach_with(const char *params, const char *mode);
void front_publish(const char *state);
bool attach_waits(void);	/* attach(), and the back end has gone to 2 */
bool connect_all(void);
bool reconnect(const char *state);	/* a closed front end comes back, by that state */
void remove_nodes(void);

#endif
