/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane compare on a Xen host: this machine if it is one, or a host under QEMU with a
 * clock that counts instructions. What is measured, and how, is tools/compare-xen, which
 * runs in dom0 in both cases.
 *
 * Hides: programs, where the source tree is, the form of what they print. Must not know:
 * measurements, tables.
 */
#ifndef PV_PARAVANE_COMPARE_XEN_H
#define PV_PARAVANE_COMPARE_XEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct compare_xen_options {
	bool emulated;			/* a host under QEMU, not this machine */
	bool all, quick, disk, nic;		/* disk, nic: only these; neither: both */
	const char *only;		/* NULL: all */
};

/* Is this machine the dom0 of a Xen host? */
bool compare_is_dom0(void);
/*
 * Measures; *out is the JSON of paravane-compare-data.h, the caller's, or NULL. Ends what it
 * started also when interrupted. Complains and returns a STATUS_: where something failed,
 * *out has what could be measured all the same.
 */
int compare_on_xen(const struct compare_xen_options *o, const char *command, json_t **out);
/*
 * Lines of KEY=VALUE with tabs between, the first of the machine, into the JSON's
 * "machine", "versions" and "results"; lines note=TEXT and ran=TEXT into "notes" and
 * "commands". file is for complaints. For the above, and for tests.
 */
int compare_xen_read(FILE *f, const char *file, json_t *json);

#endif
