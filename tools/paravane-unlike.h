/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --idempotent: what a device that is there already has, against what was asked for.
 *
 * Hides: the words about it, and which command changes what. Must not know: what the
 * device is, where its settings are.
 */
#ifndef PV_PARAVANE_UNLIKE_H
#define PV_PARAVANE_UNLIKE_H

#include "limit.h"
#include "paravane.h"

struct unlike {
	char what[600];			/* "vlan is none, not 10; ..."; empty: all is as asked */
	char port[400];			/* words for paravane bridge port */
	char limit[LIMIT_TEXT_BYTES];	/* words for paravane limit */
	bool anew;			/* something is as it was attached */
};

/* What changes it. */
enum unlike_by { UNLIKE_BY_PORT, UNLIKE_BY_ATTACHING };

/* Not compared with what was not said: asked is NULL then. is NULL or empty: "none". */
void unlike_text(struct unlike *u, enum unlike_by by, const char *name, const char *is,
		 const char *asked);
/* Like the former where same is false. */
void unlike_if(struct unlike *u, bool same, enum unlike_by by, const char *name,
	       const char *is, const char *asked);
void unlike_number(struct unlike *u, bool said, enum unlike_by by, const char *name,
		   uint64_t is, uint64_t asked);
/* words: as limit_parse() takes them; NULL: none were said. */
void unlike_limit(struct unlike *u, struct store *store, const struct inventory_device *dev,
		  const char *words);
/* STATUS_OK when all is as asked; else complains, STATUS_EXISTS. */
int unlike_complain(const struct unlike *u, struct store *store,
		    const struct inventory_device *dev);

#endif
