/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Paravane's back ends say they have copied for this guest's device, while they serve
 * it: their figures.
 *
 * Hides: where the figures are and what else is in them. Must not know: KVM, rings.
 */
#ifndef CMP_COPIED_H
#define CMP_COPIED_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

/*
 * Octets so far, of all queues. Of a disk: moved between image and memory, and between
 * memory and the guest's pages where these are not mapped; of a card: vif-figures.h.
 * CMP_UNKNOWN: they cannot be read. dir: the back end's directory, NULL: unknown.
 */
uint64_t copied_by_back_end(const char *dir, bool nic, uint32_t domid, uint32_t devid);

#endif
