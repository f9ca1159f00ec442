/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the guest know of each other: instructions, interrupts, calls to
 * the monitor, the models' drivers. One CPU, one thread, in user mode with the right to use
 * ports; interrupt handlers, in kernel mode, only count.
 */
#ifndef CMP_GUEST_H
#define CMP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define ARRAY_NR(a) (sizeof(a) / sizeof((a)[0]))

/* ---- instructions ---------------------------------------------------------------- */

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline void in16_string(uint16_t port, void *to, size_t words)
{
	__asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(port) : "memory");
}

static inline void out16_string(uint16_t port, const void *from, size_t words)
{
	__asm__ volatile("rep outsw" : "+S"(from), "+c"(words) : "d"(port) : "memory");
}

static inline uint64_t now_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (uint64_t)high << 32 | low;
}

static inline void write32(uint64_t address, uint32_t v)
{
	__asm__ volatile("movl %0, %1" :: "r"(v), "m"(*(volatile uint32_t *)address) : "memory");
}

static inline uint32_t read32(uint64_t address)
{
	uint32_t v;

	__asm__ volatile("movl %1, %0" : "=r"(v) : "m"(*(volatile uint32_t *)address) : "memory");
	return v;
}

static inline void pause_cpu(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* ---- irq.c ------------------------------------------------------------------------- */

void irq_init(void);		/* start.S calls it */
void guest_halt(void);		/* start.S; not to be called */
extern volatile uint64_t irq_total;
/* Interrupts of a vector so far; vector is one of abi.h. */
uint64_t irq_count(unsigned int vector);
/*
 * Returns once ready(arg): halts in between, without a gap in which an interrupt is
 * missed, or looks all the time with CMP_POLL.
 */
void irq_wait(bool (*ready)(void *arg), void *arg);

/* ---- main.c ------------------------------------------------------------------------ */

#define job ((struct cmp_job *)(uint64_t)CMP_GPA_JOB)

int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
/* Ends the job with a line for people. */
_Noreturn void give_up(int err, const char *text);

/* ---- models -------------------------------------------------------------------------- */

struct request {
	bool write;
	uint64_t offset_bytes;
	uint32_t bytes;
	void *buf;		/* as model->buffer() gave it */
	uint64_t start_ticks;
	struct request *next;	/* of a list, the model's while the request is in flight */
	unsigned int index;	/* in the array of requests, below CMP_DEPTH_MAX */
};

struct model {
	unsigned int max_depth;
	/* give_up() themselves. */
	void (*open)(void);
	void *(*buffer)(unsigned int index);	/* of job->block_bytes */
	void (*submit)(struct request *r);
	void (*kick)(void);			/* notifies for all that was submitted */
	void (*wait)(void);			/* until request_done() was called at least once */
	void (*close)(void);			/* all is on the disk */
	uint64_t (*copied_bytes)(void);		/* by the guest, so far; NULL: never */
};

extern const struct model model_ata_pio, model_ata_dma, model_virtio, model_xen;

/* ---- network cards ------------------------------------------------------------------- */

#define NIC_PIECES 18u

struct nic_frame {
	unsigned int nr;
	struct {
		void *base;
		uint32_t bytes;
	} piece[NIC_PIECES];
	uint32_t bytes;
	/* Sent: the checksum is the pseudo header's. Received: it need not be looked at. */
	bool blank;
	uint16_t gso_bytes;		/* 0: a frame as it goes over a wire */
	uint64_t handle;		/* the driver's */
};

#define NIC_RECEIVABLE 1u
#define NIC_SENDABLE 2u

struct nic_model {
	/* give_up() themselves. True: checksums and large frames may be left to the card. */
	bool (*open)(void);
	/* Room for a frame of so many bytes, in memory that is sent from. False: none now. */
	bool (*get)(struct nic_frame *f, uint32_t bytes);
	/* A frame from get(), with its contents. */
	void (*send)(struct nic_frame *f);
	bool (*receive)(struct nic_frame *f);
	void (*release)(struct nic_frame *f);	/* received: its memory may be used again */
	void (*kick)(void);		/* tells of all that was sent and released */
	void (*wait)(unsigned int what);	/* until one of what is likely */
	unsigned int (*in_flight)(void);	/* frames sent and not known to be gone */
	void (*close)(void);
	uint64_t (*copied_bytes)(void);	/* by the guest, so far; NULL: never */
};

extern const struct nic_model nic_rtl8139, nic_virtio, nic_xen;

/* The whole job, but for its end. */
void net_run(const struct nic_model *nic);
/* bytes of memory for frames at a page's border, once. */
void *net_memory(size_t bytes);

/* The models' report; err is 0 or -errno. */
void request_done(struct request *r, int err);

/* Page-aligned memory for data, one piece for each request. */
void *plain_buffer(unsigned int index);

#endif
