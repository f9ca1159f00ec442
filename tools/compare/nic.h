/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's network: the card's device model with the thread that serves it and the
 * TAP device behind it, and the program at the other end. Of the Xen ring's card, whose
 * back end is another process, only the latter.
 *
 * Hides: threads, locks, which access belongs to which register. Must not know: how exits
 * come about, Xen. Accesses come on the CPU's thread. Functions return 0 or -errno.
 */
#ifndef CMP_NIC_H
#define CMP_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "vm.h"

struct nic;

struct nic_config {
	enum cmp_model model;
	enum cmp_op op;
	uint32_t flags;
	const char *ifname;		/* CMP_XEN_NET: somebody makes it; else it is made */
	struct vm *vm;
};

/* -EPERM and others: no TAP device or packet socket here. */
int nic_open(const struct nic_config *cfg, struct nic **out);
/* Its thread runs on the nth CPU alone. Without a thread nothing. */
int nic_pin(struct nic *n, int nth);
/* With the job's page as it is to be. */
int nic_start(struct nic *n, struct cmp_job *page);
void nic_close(struct nic *n);

/* False: it is none of the card's. */
bool nic_port_in(struct nic *n, uint16_t port, void *data, unsigned int bytes,
		 unsigned int count);
bool nic_port_out(struct nic *n, uint16_t port, const void *data, unsigned int bytes,
		  unsigned int count);
bool nic_mmio_read(struct nic *n, uint64_t gpa, void *data, unsigned int bytes);
bool nic_mmio_write(struct nic *n, uint64_t gpa, const void *data, unsigned int bytes);

/* The guest says that it has a driver; that what is counted is over. */
void nic_ready(struct nic *n);
void nic_quiet(struct nic *n);
/* Once the guest has ended: waits for what is under way, and ends the other end. */
void nic_settle(struct nic *n);

/* Units that have arrived at the other end. */
uint64_t nic_arrived(const struct nic *n);
/* That were sent, by whichever end, and did not arrive. After nic_settle(). */
uint64_t nic_sent(const struct nic *n);
uint64_t nic_lost(const struct nic *n);
/* By the device model. */
uint64_t nic_copied_bytes(struct nic *n);
/* CPU time of its thread; CMP_UNKNOWN: there is none. */
uint64_t nic_back_ns(const struct nic *n);
/* What the other end found wrong with a frame, or NULL. */
const char *nic_complaint(const struct nic *n);

#endif
