/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the monitor and the guest of the comparison agree on: where things are in
 * the guest's memory, ports, vectors, calls, the job and its results. Hides nothing;
 * must not know how either side works. Both sides are little-endian x86_64.
 */
#ifndef CMP_ABI_H
#define CMP_ABI_H

#ifndef __ASSEMBLER__
#include <stdint.h>
#endif

#define CMP_PAGE 4096u
#define CMP_RAM_BYTES (64u << 20)

/* Selectors, without the privilege level. */
#define CMP_USER_DATA 0x18
#define CMP_USER_CODE 0x20

/* Guest-physical addresses. Frames 0 and 1 are the store's and the console's on Xen. */
#define CMP_GPA_TABLES 0x2000u		/* PML4, PDPT, 4 page directories, GDT, TSS, its stack */
#define CMP_GPA_JOB 0x10000u		/* struct cmp_job */
#define CMP_GPA_IMAGE 0x100000u		/* the guest's program */
#define CMP_GPA_FRAMES 0x1800000u	/* from here on to the end: a NIC driver's buffers */
#define CMP_GPA_GRANTS 0x40000000u	/* the domain's grant table, version 1 */
#define CMP_GPA_PORTS 0x50000000u	/* the domain's event channel ports */
#define CMP_GPA_PEER 0x51000000u	/* the pages of the other ends' ports */
#define CMP_GPA_VIRTIO 0xd0000000u	/* virtio-mmio registers, nothing behind them */
#define CMP_GPA_LAPIC 0xfee00000u

/* Ports. */
#define CMP_PORT_CALL 0x500u		/* 4 bytes: address of a struct cmp_call */
#define CMP_PORT_KICK 0x510u		/* 4 bytes: an event channel port */
#define CMP_PORT_SENT 0x514u		/* 4 bytes, 0: an event was sent that wakes nobody */
#define CMP_PORT_ATA 0x1f0u		/* task file, 8 ports */
#define CMP_PORT_ATA_CONTROL 0x3f6u
#define CMP_PORT_BMIDE 0xc000u		/* primary channel, 8 ports */
#define CMP_PORT_RTL8139 0xc100u	/* 256 ports */

/* Interrupt vectors. */
#define CMP_VECTOR_ATA 0x30u
#define CMP_VECTOR_VIRTIO 0x31u
#define CMP_VECTOR_EVENT 0x32u
#define CMP_VECTOR_STORE 0x33u
#define CMP_VECTOR_RTL8139 0x34u
#define CMP_VECTOR_PEER 0x35u		/* the network's other end has caught up; no device's */
#define CMP_NR_VECTORS 6u

/* An event channel port as local Xen keeps it: localxen.h, lx_machine_tables(). */
#define CMP_PORT_STRIDE 32u
#define CMP_EVENT_PENDING 1u
#define CMP_EVENT_MASKED 2u

#ifndef __ASSEMBLER__

enum cmp_model {
	CMP_ATA_PIO, CMP_ATA_DMA, CMP_VIRTIO, CMP_XEN,
	CMP_RTL8139, CMP_VIRTIO_NET, CMP_XEN_NET,	/* network cards, from CMP_RTL8139 on */
	CMP_NR_MODELS
};
enum cmp_op {
	CMP_READ,	/* at random */
	CMP_WRITE,
	CMP_COPY,	/* the first half of the disk onto the second, once, in order */
	/* Of network cards, from CMP_SEND on; out and in are the guest's view: */
	CMP_SEND,
	CMP_RECEIVE,
	CMP_ROUND_TRIP,	/* one frame at a time, there and back */
	CMP_STREAM_OUT,	/* segments of TCP, many in a frame where the card takes them so */
	CMP_STREAM_IN,
	CMP_NR_OPS
};

#define CMP_EVERY_KICK 1u	/* notify for each request, not once for a pass */
#define CMP_EVERY_EVENT 2u	/* want an interrupt for each completion */
#define CMP_POLL 4u		/* look for completions instead of halting */
#define CMP_EXITS 8u		/* notifications are exits to the monitor, no ioeventfd */
#define CMP_NO_PERSISTENT 16u
#define CMP_NO_INDIRECT 32u
#define CMP_FRESH_GRANTS 64u	/* shared anew for each request */
#define CMP_BOUNCE 128u		/* data is copied to and from shared pages */
#define CMP_SAME_CPU 256u	/* the back end on the guest's CPU, and nowhere else */
#define CMP_OWN_CPU 512u	/* on another one */
#define CMP_NO_OFFLOADS 1024u	/* neither checksums nor segmentation */
#define CMP_NO_STATIC 2048u	/* no static grants: the back end copies by hypercall */
#define CMP_VERIFY 4096u	/* every octet of every frame is checked where it arrives */
#define CMP_FLOOD 8192u		/* who sends does not wait for who receives */

#define CMP_DEPTH_MAX 64u
#define CMP_BLOCK_MAX (128u << 10)
#define CMP_WINDOW_MAX 4096u	/* of frames, see cmp_job.depth */
#define CMP_FRAME_MIN 60u
#define CMP_FRAME_MAX 1514u
#define CMP_SEGMENT 1460u	/* payload of a stream's frame that is not cut */
#define CMP_SEGMENTS 44u	/* in a large frame */
#define CMP_LARGE_FRAME_MAX 65536u
#define CMP_LOOP 2000u
#define CMP_HIST_SUB 32u	/* buckets per power of two */
#define CMP_HIST_NR (48u * CMP_HIST_SUB)

struct cmp_job {
	/* The monitor's. */
	/*
	 * depth: requests in flight; of a network, how many units (a frame, a segment of a
	 * stream) the sending program is ahead of the receiving one. block_bytes: of a
	 * frame, too.
	 */
	uint32_t model, op, flags, depth;
	uint32_t block_bytes, devid;
	uint64_t disk_bytes, warm_ticks, run_ticks, seed, ticks_per_ms;
	/* The guest's, valid after CMP_CALL_DONE. */
	int32_t status;			/* 0 or -errno */
	char text[460];			/* what failed */
	uint64_t ops, latency_ticks, kicks, halts, copied_bytes;
	uint64_t irqs[CMP_NR_VECTORS];
	uint64_t loop_ticks;		/* that CMP_LOOP turns of two instructions took */
	uint32_t segments;		/* pages per request as negotiated, 0: no limit */
	uint32_t persistent, indirect;
	uint64_t hist[CMP_HIST_NR];	/* of ticks, see cmp_bucket() */
	/*
	 * Of a network, in units, written while the job runs, each by one side alone, and by
	 * no device: both ends are programs that know of each other. The other end's:
	 */
	uint64_t peer_credit;		/* that have arrived there, or are given up */
	uint64_t peer_sent, peer_done;	/* done: it sends no more */
	/* The guest's: */
	uint64_t sent, received;
	uint64_t wish;			/* not 0: CMP_VECTOR_PEER when peer_credit is this */
	uint32_t frame_bytes, unit_bytes;	/* as sent; what a unit counts for */
	uint32_t offloads;		/* 1: checksums and large frames */
};

/*
 * Of those with such flags, after how long what has not arrived is lost. Who gives a frame up sends
 * another: too early, when a machine has stood still, and a card's ring has no room for both. Of a
 * flood much is lost anyway.
 */
static inline uint64_t cmp_silence_ms(uint32_t flags)
{
	return flags & CMP_FLOOD ? 100 : flags & CMP_VERIFY ? 100000 : 2000;
}

/* Below CMP_HIST_SUB one bucket for each value; then CMP_HIST_SUB for each doubling. */
static inline unsigned int cmp_bucket(uint64_t v)
{
	unsigned int log2;

	if (v < CMP_HIST_SUB)
		return (unsigned int)v;
	log2 = 63u - (unsigned int)__builtin_clzl(v);
	v = (log2 - 4u) * CMP_HIST_SUB + ((v >> (log2 - 5u)) & (CMP_HIST_SUB - 1u));
	return v < CMP_HIST_NR ? (unsigned int)v : CMP_HIST_NR - 1u;
}

/* The smallest value in a bucket. */
static inline uint64_t cmp_bucket_value(unsigned int bucket)
{
	unsigned int octave = bucket / CMP_HIST_SUB, sub = bucket % CMP_HIST_SUB;

	return octave ? (uint64_t)(CMP_HIST_SUB + sub) << (octave - 1u) : sub;
}

/* What the guest asks of the monitor: its hypercalls. Results are 0, a count or -errno. */
enum cmp_call_nr {
	CMP_CALL_BEGIN,		/* what is counted begins */
	CMP_CALL_END,
	CMP_CALL_DONE,		/* the job is over, its page is filled in */
	CMP_CALL_READY,		/* the network's other end may begin */
	CMP_CALL_EVTCHN_ALLOC,	/* domid; a port that it may bind */
	CMP_CALL_EVTCHN_UNBIND,	/* port */
	CMP_CALL_EVTCHN_PEER,	/* port; where in CMP_GPA_PEER the other end's word is */
	/* Of the store: transaction, path, its bytes; then as said. */
	CMP_CALL_XS_READ,	/* buffer, its bytes; how many there are */
	CMP_CALL_XS_WRITE,	/* data, bytes */
	CMP_CALL_XS_RM,
	CMP_CALL_XS_DIRECTORY,	/* buffer, its bytes: texts, each with its 0 */
	CMP_CALL_XS_PERMS,	/* array of struct xs_permissions, how many */
	CMP_CALL_XS_START,	/* a transaction */
	CMP_CALL_XS_END,	/* transaction, 0, 0, abort */
	CMP_CALL_XS_WATCH,	/* 0, path, bytes, token, bytes */
	CMP_CALL_XS_UNWATCH,
	CMP_CALL_XS_CHECK,	/* 0, buffer, its bytes: path and token, each with its 0 */
	CMP_NR_CALLS
};

struct cmp_call {
	uint64_t nr;
	uint64_t arg[6];
	int64_t ret;
};

#endif
#endif
