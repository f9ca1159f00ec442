/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.h - what the shared memory says at one moment, in lists that can be
 * printed: who holds which grant, which ports there are, what does not fit.
 *
 * It is read while others change it; on a quiet instance it is exact.
 */
#ifndef LX_SNAPSHOT_H
#define LX_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Holds that one process has on one grant in the same way. */
struct snap_hold {
	uint32_t granter_domid, gref, frame;
	uint32_t domid, pid;
	const char *comm;
	bool write, copy, infra;
	unsigned count;
};

struct snap_port {
	uint32_t domid, port, state;
	uint32_t remote_domid, remote_port, virq;
	bool pending, masked;
	bool infra;		/* the domain builder's, or of xenstored or xenbus */
	uint32_t pid;		/* of the handle's owner; 0: no handle */
	const char *comm;
};

struct snapshot {
	struct snap_hold *holds;
	struct snap_port *ports;
	size_t nr_holds, nr_ports;
	unsigned maptrack_used[64];	/* by domain slot */
	unsigned grants_used[64];	/* entries that somebody may use */
	unsigned ports_used[64];
	/* Entries whose counts, flags or lock do not match the holds. */
	unsigned nr_wrong;
	char wrong[160];		/* the first of them */
};

/* 0 or -ENOMEM. */
int snapshot_take(struct snapshot **out);
void snapshot_free(struct snapshot *s);
/* Something is left over of anything but the store's own. */
bool snapshot_is_clean(const struct snapshot *s);

#endif
