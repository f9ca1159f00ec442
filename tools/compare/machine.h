/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One job in one virtual machine: the models' device models put together, what is
 * counted while the guest says so.
 *
 * Hides: threads, which access belongs to which device. Must not know: the command
 * line, how results are shown. Functions return 0 or -errno.
 */
#ifndef CMP_MACHINE_H
#define CMP_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "counters.h"

struct machine_job {
	enum cmp_model model;
	enum cmp_op op;
	uint32_t flags, depth, block_bytes, devid;
	uint64_t seed;
	unsigned int warm_ms, run_ms, deadline_s;
	int fd;			/* the image; not used by CMP_XEN */
	uint64_t bytes;		/* its size, or how much of the vbd is used */
	const char *ifname;	/* of a network: the TAP device, see nic.h */
	const char *figures;	/* the directory of Xen's back end, or NULL: see copied.h */
};

/* Each may be CMP_UNKNOWN. Between the guest's CMP_CALL_BEGIN and CMP_CALL_END. */
struct machine_counts {
	uint64_t wall_ns;
	uint64_t cpu_ns;		/* of the CPU's thread, all of it */
	uint64_t guest_ns;		/* the part in the guest's own instructions */
	uint64_t back_ns;		/* of the thread or process that serves the device */
	uint64_t exits;			/* all that KVM counts */
	uint64_t port_exits, mmio_exits, call_exits, kick_exits;	/* to the monitor */
	uint64_t halts;			/* KVM's */
	uint64_t interrupts;		/* that the guest's handlers took */
	uint64_t kicks;			/* notifications the guest sent */
	uint64_t copied_bytes;		/* of the back end or device model */
	uint64_t arrived;		/* units, at the network's other end */
};

struct machine_result {
	struct cmp_job job;		/* as the guest left it */
	struct machine_counts counts;
	uint64_t sent, lost;	/* units of a network, of the whole job */
	uint32_t tsc_khz;
};

/*
 * -ETIMEDOUT: the deadline. -EIO: the guest gave up, a frame was not as it was sent, KVM
 * lacks something: result->job.text says what, result->job.status why. -EXDEV: guest and
 * back end cannot be bound to CPUs as the job wants; result->job as well. Others as vm_open(), domain_open() and nic_open(). elf is the
 * guest's program.
 */
int machine_run(const struct machine_job *job, const void *elf, size_t elf_bytes,
		struct machine_result *result);

#endif
