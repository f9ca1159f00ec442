/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device whose nodes have just been written: the wait for both ends, and what
 * is said and done about the outcome.
 *
 * Hides: the hotplug script's turn, when a failed device is taken away again, all
 * words. Must not know: what the device is, beyond its class.
 */
#ifndef PV_PARAVANE_SETTLE_H
#define PV_PARAVANE_SETTLE_H

#include "paravane.h"

/*
 * Whether a script of the new device can have its turn: it runs once the back end waits for
 * it, so that somebody has to wait for that. Another domain's are run there.
 */
int script_wants_wait(const struct subcommand *command, const struct store *store,
		      const char *script, uint32_t backend_domid, int wait_ms);

enum libxl_choice { LIBXL_AUTO, LIBXL_YES, LIBXL_NO };

/* Whether libxl's own nodes are to be written for a device of domid. */
bool libxl_wanted(struct store *store, enum libxl_choice choice, uint32_t domid);

struct newcomer {
	struct inventory_device dev;
	const char *script;		/* as in XenStore; NULL: none */
	int wait_ms;			/* 0: not waited for */
	bool created;			/* by us: ours to take away again */
	bool libxl;			/* its nodes were written */
	enum libxl_choice choice;	/* why, or why not */
	bool json;			/* the device's object instead of a line */
};

/* A STATUS_, with all said. */
int newcomer_settle(struct store *store, const struct newcomer *n);

/* --dry-run: what newcomer_settle() would begin with; named: its number is decided. */
int newcomer_dry_run(struct store *store, const struct newcomer *n, bool named);

/* ret of toolstack_create_*(), not 0 and not -EEXIST: a STATUS_, with all said. */
int complain_not_created(int ret, const char *noun, uint32_t domid);

#endif
