/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this machine's back ends tell about a device without being asked.
 *
 * Hides: where its run directory is and what its files look like. Must not
 * know: output. A file that is missing, or of another version, is no error:
 * the disk may have another back end.
 */
#ifndef PV_PARAVANE_RUNINFO_H
#define PV_PARAVANE_RUNINFO_H

#include "inventory.h"
#include "journal.h"

struct runinfo {
	bool found, has_counters;
	char engine[64], grants[16];		/* empty: not known */
	char sandbox[64];			/* sandbox_describe()'s words */
	uint32_t worker_pid;
	uint64_t restarts;
	struct journal_counters counters;	/* all queues added up */
};

#define RUNINFO_PATH_BYTES 512

/* The run directory of a daemon, "blkback" or "netback". */
void runinfo_directory(const char *daemon, char buf[RUNINFO_PATH_BYTES]);

/* Of a disk; of an interface, the sandbox and the worker alone. */
void runinfo_read(const struct inventory_device *disk, struct runinfo *out);
/* Whether a back end of ours on this machine says that it serves kind. */
bool runinfo_daemon_runs(const char *kind);

#endif
