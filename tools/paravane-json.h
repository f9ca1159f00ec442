/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON on standard output, for programs: a device's object, which list, explain
 * and attach print alike, and members for it.
 *
 * Hides: escapes, commas, the names of members. Must not know: where a view
 * comes from.
 */
#ifndef PV_PARAVANE_JSON_H
#define PV_PARAVANE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include "limit.h"

struct disk_view;
struct nic_view;

/* All members; more may be added by the functions below before the end. */
void json_disk_begin(const struct disk_view *v);
void json_nic_begin(const struct nic_view *v);
void json_device_end(void);

void json_text(const char *name, const char *text);	/* NULL and "": null */
void json_number(const char *name, uint64_t n);
void json_bool(const char *name, bool b);
/* An object of all that are set, by their names with '_'; the value alone. */
void json_limit(enum limit_device of, const struct limit *l);
void json_quoted(const char *text);			/* the value alone; libjansson has a json_string */

#endif
