/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The net back end's supervisor with stub-bridge for its workers, and interfaces of two
 * guests, 3 and 4, on it.
 *
 * Hides: paths, what a front end publishes. Must not know: what is tried with them.
 */
#ifndef PV_VIF_WORLD_H
#define PV_VIF_WORLD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon-world.h"
#include "util.h"
#include "vif-device.h"

#define BACK(id) "/local/domain/0/backend/vif/" id "/0/"
#define FRONT(id) "/local/domain/" id "/device/vif/0/"
#define LAN "/local/domain/0/paravane-bridge/lan/"
#define ERROR(id) "/local/domain/0/error/backend/vif/" id "/0/error"

extern struct vif_config config;

/* Workers are as stub-bridge has it by that word; so are later ones, while $PV_STUB says it. */
void setup(const char *stub);
/* The daemon ends in order, or is gone; then the next one begins. */
void start_daemon(void);
void end_daemon(void);
void lose_daemon(void);
/* Whatever state it is in: nothing may be left. */
void teardown(void);

void put_back(const char *id, const char *key, const char *value);
void remove_back(const char *id, const char *key);
void put_front(const char *id, const char *key, const char *value);
/* bridge NULL: none is named. */
void attach(const char *id, const char *bridge);
void front_publish(const char *id);
bool back_reaches(const char *id, const char *state);
bool connects(const char *id, const char *bridge);

/* What the workers were told, all of it, since the last time it was asked. */
const char *told(void);
/* What told() will say has that in it. */
bool will_be_told(const char *words);
/* Or will have, or not any more. */
bool error_has(const char *id, const char *words);
bool error_goes(const char *id);
/* How often the log says words, since it goes into file. */
unsigned int said(FILE *file, const char *words);
pid_t worker_of(const char *id);
/* Ends it, and waits for the next. */
bool kill_worker_of(const char *id);

#endif
