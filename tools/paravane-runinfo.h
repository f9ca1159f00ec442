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

#include <string.h>
#include "inventory.h"
#include "paravane-figures.h"

struct runinfo {
	bool found, has_counters;
	char engine[64], grants[16];		/* empty: not known */
	char server[160];	/* of an image behind one: "connected", or why not */
	char cache[16];		/* the image's name may say another than the nodes */
	uint64_t io_timeout_s;
	char sandbox[64];			/* sandbox_describe()'s words */
	char store[256];			/* the image, or the bridge */
	uint32_t worker_pid;
	uint64_t restarts;
	struct blk_figures counters;		/* all queues added up */
	uint32_t flush_lost;			/* errno of a flush that failed, or 0 */
};

#define RUNINFO_PATH_BYTES 512

/* The run directory of a daemon, "blkback" or "netback". */
void runinfo_directory(const char *daemon, char buf[RUNINFO_PATH_BYTES]);

/* The file that the device's worker counts in, opened as open(2) says; -errno. */
int runinfo_open_figures(const struct inventory_device *dev, int flags);
/* Of a disk; of an interface, the sandbox and the worker alone. */
void runinfo_read(const struct inventory_device *disk, struct runinfo *out);
/* Of server, why the image's server is away; NULL: it is not, or there is none. */
static inline const char *runinfo_why_away(const char *server)
{
	const char *why = strstr(server, ": ");

	if (strncmp(server, "away", 4))
		return NULL;
	return why ? why + 2 : "connecting";
}
/*
 * Calls fn for each device that has a worker here, in no order, by the run directories
 * alone; kind is valid during the call. Asks nobody.
 */
void runinfo_each(void (*fn)(void *arg, const char *kind, uint32_t domid, uint32_t devid),
		  void *arg);
/*
 * Each of these whose worker runs, with what its file says: what can be known without
 * XenStore. Of dev only kind, domid and devid are set.
 */
void runinfo_each_served(void (*fn)(void *arg, const struct inventory_device *dev,
				    const struct runinfo *info), void *arg);
/* The daemons that run and have no XenStore any more, whether there is one again or not. */
void runinfo_each_lost(void (*fn)(void *arg, const char *daemon, const char *kind), void *arg);
/* Whether a back end of ours on this machine says that it serves kind. */
bool runinfo_daemon_runs(const char *kind);

#endif
