/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits as people write them, for commands that take some.
 *
 * Hides: the words of complaints. Must not know: whose limits they are.
 */
#ifndef PV_PARAVANE_LIMIT_H
#define PV_PARAVANE_LIMIT_H

#include "limit.h"
#include "paravane.h"

/* What text names is changed in *l, as limit_parse(). STATUS_; complains itself. */
int limit_words(const struct subcommand *command, enum limit_device of, const char *text,
		struct limit *l);
/* The same of an option that may be there several times; all is its texts, one after the other. */
int limit_option(const struct subcommand *command, enum limit_device of, const char *text,
		 struct limit *l, char all[LIMIT_TEXT_BYTES]);

#endif
