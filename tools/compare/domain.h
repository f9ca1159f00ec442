/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine as a domain of local Xen: its memory, grant table and ports are the
 * domain's, its store and event channels are reached by calls of the guest.
 *
 * Hides: liblocalxen, libxenevtchn, libxenstore. Must not know: models, workloads.
 * The program must run in the domain (localxen exec). domain_call() and domain_kick()
 * run on the CPU's thread. Functions return 0 or -errno.
 */
#ifndef CMP_DOMAIN_H
#define CMP_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi.h"
#include "vm.h"

struct domain;

/* Joins the domain and maps its memory, which is to be the machine's. */
int domain_open(struct domain **out);
void domain_close(struct domain *d);
uint32_t domain_id(const struct domain *d);
void *domain_memory(const struct domain *d, size_t *bytes);
/* Gives the machine its tables and interrupts. exits: no notification without an exit. */
int domain_attach(struct domain *d, struct vm *vm, bool exits);

/* Executes one of the guest's calls from CMP_CALL_EVTCHN_ALLOC on; the result for it. */
int64_t domain_call(struct domain *d, const struct cmp_call *call);
/* A notification that came as an exit. */
void domain_kick(struct domain *d, uint32_t port);
/* The process at the other end of the port asked for last, 0: none known. */
pid_t domain_peer(const struct domain *d);

#endif
