/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A back end's program: the options that all of them take, signals, what a service
 * manager is told; and the entry of its workers.
 *
 * Hides: getopt, sd_notify's protocol, how the loop begins and ends. Must not know:
 * kinds of devices.
 */
#ifndef PV_DAEMON_H
#define PV_DAEMON_H

#include <getopt.h>
#include "device.h"
#include "sandbox.h"

struct daemon_program {
	const char *name;		/* "paravane-blkback" */
	const char *run_directory;	/* rundir.h's DAEMON */
	const char *usage;		/* up to its own options; the common ones follow */
	const struct option *options;	/* its own, ended by zeros; val: from 256 on */
	void (*take)(struct backend_config *config, int option, const char *value);
	const struct device_kind *kind;
	uint32_t journal_version;	/* that its workers go on from */
	/* a worker's life, after sandbox_early() */
	int (*worker)(int sock, const struct sandbox *sandbox);
};

/* config has the program's defaults. Returns main()'s status. */
int daemon_main(const struct daemon_program *p, struct backend_config *config,
		int argc, char **argv);

/* For take(): end the program with one line and status 2 when value is not right. */
int daemon_choose(const char *option, const char *value, const char *const words[]);
uint32_t daemon_number(const char *option, const char *value, uint64_t max);

#endif
