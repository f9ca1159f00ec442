/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shm.h - the layout of the memory that the hypervisor shares with its clients.
 *
 * One sparse memfd holds everything that real Xen keeps in the hypervisor:
 * domains, grant tables, active entries, maptrack, ports, processes. Every
 * client maps it whole. This file knows no protocol and no policy.
 *
 * Truth and derived state. A hold (one 64-bit word: who holds which gref of
 * which domain, how) is the truth: a maptrack word for a mapping, a thread's
 * pin word for a copy under way. The counts in struct lx_active and the
 * GTF_reading and GTF_writing flags follow from the holds. Holds and counts of
 * an entry change only under its lock, which names its owner; so when a process
 * dies at any instant the hypervisor can drop its holds, recount the entries
 * whose lock it held, and open those locks (hv_proc.c).
 */
#ifndef LX_SHM_H
#define LX_SHM_H

#include <stdatomic.h>
#include <stdint.h>
#include <xen/grant_table.h>

#define LX_MAGIC 0x4c585348
#define LX_VERSION 3
#define LX_PAGE_SIZE 4096u
#define LX_PAGE_SHIFT 12

#define LX_MAX_DOMS 64
#define LX_MAX_PROCS 2048
#define LX_MAX_THREADS 4096
#define LX_MAX_HANDLES 4096
#define LX_MAX_PORTS 4096
#define LX_MAX_RULES 64
#define LX_ENTRIES_PER_FRAME 512
#define LX_MAX_GRANT_FRAMES 256
#define LX_MAX_GRANTS (LX_MAX_GRANT_FRAMES * LX_ENTRIES_PER_FRAME)
#define LX_MAPTRACK_PER_FRAME 256
#define LX_MAX_MAPTRACK_FRAMES 4096
#define LX_MAX_MAPTRACK (LX_MAX_MAPTRACK_FRAMES * LX_MAPTRACK_PER_FRAME)
#define LX_DOMIDS 0x7ff0 /* DOMID_FIRST_RESERVED */

/*
 * The host's heap: machine pages that belong to no domain until one asks for them.
 * Their frame numbers are above all frames of any domain's own memory.
 */
#define LX_HEAP_BASE_MFN (UINT32_C(1) << 24)
#define LX_HEAP_PAGES 65536u
#define LX_IS_HEAP_MFN(mfn) ((uint64_t)(mfn) - LX_HEAP_BASE_MFN < LX_HEAP_PAGES)

/*
 * grant_entry_v1, with its first two fields as the one word that Xen compares
 * and swaps: flags in bits 0-15, domid in bits 16-31.
 */
struct lx_grant {
	_Atomic uint32_t hdr;
	_Atomic uint32_t frame;
};
_Static_assert(sizeof(struct lx_grant) == sizeof(grant_entry_v1_t), "v1 layout");

#define LX_GRANT_HDR(flags, domid) ((uint32_t)(flags) | (uint32_t)(domid) << 16)
#define LX_GRANT_FLAGS(hdr) ((uint16_t)(hdr))
#define LX_GRANT_DOMID(hdr) ((uint16_t)((hdr) >> 16))

/* The hypervisor's view of one grant entry. All fields but lock change under it. */
struct lx_active {
	_Atomic uint32_t lock;	/* owner's index in thread[] + 1, or 0 */
	uint32_t frame;		/* as read when the first hold was taken */
	uint16_t nr_read;	/* holds for reading only */
	uint16_t nr_write;
	uint16_t domid;		/* the holders' domain while there are any */
	uint16_t kept;		/* its owner wants it back: tell the hypervisor */
};
_Static_assert(sizeof(struct lx_active) == 16, "four entries per cache line");

/* A hold word; 0 is none. */
#define LX_HOLD(gref, granter_slot, write, proc)				\
	((uint64_t)(gref) | (uint64_t)(granter_slot) << 24 |			\
	 (uint64_t)!!(write) << 32 | ((uint64_t)(proc) + 1) << 48)
#define LX_HOLD_GREF(h) ((uint32_t)((h) & 0xffffff))
#define LX_HOLD_GRANTER(h) ((unsigned)((h) >> 24 & 0xff))
#define LX_HOLD_WRITE(h) ((unsigned)((h) >> 32 & 1))
#define LX_HOLD_PROC(h) ((unsigned)((h) >> 48) - 1)
#define LX_HOLD_ENTRY(h) ((h) & 0xffffffff)
/* In place of the granter's slot: a pin on heap page gref, of a copy by frame number. */
#define LX_HOLD_HEAP 0xff
_Static_assert(LX_MAX_DOMS <= LX_HOLD_HEAP, "no domain's slot");

/* What a thread is in the middle of; written before its effect. */
#define LX_INTENT_LOCK (UINT64_C(1) << 62)	/* | granter << 24 | gref */
#define LX_INTENT_NOTIFY (UINT64_C(2) << 62)	/* | domain slot << 24 | port */
#define LX_INTENT(kind, slot, n) ((kind) | (uint64_t)(slot) << 24 | (n))

struct lx_thread {
	_Atomic uint32_t proc;		/* index in proc[] + 1, or 0: free */
	uint32_t pad;
	_Atomic uint64_t intent;
	_Atomic uint64_t pin[2];	/* source and destination of a copy */
	uint64_t pad2[4];
};
_Static_assert(sizeof(struct lx_thread) == 64, "a cache line each");

#define LX_PROC_INFRA 1		/* xenstored or a xenbus process: `status --check` skips it */

struct lx_proc {
	_Atomic uint32_t used;
	_Atomic uint32_t gen;	/* changes when the hypervisor gives the slot up */
	uint32_t pid;
	uint32_t domid;
	uint32_t flags;
	char comm[16];
	uint32_t pad[7];
};

enum lx_port_state { LX_PORT_FREE, LX_PORT_UNBOUND, LX_PORT_INTERDOMAIN, LX_PORT_VIRQ };

#define LX_PORT_PENDING 1u
#define LX_PORT_MASKED 2u

/*
 * One end of an event channel. word is changed by sender and receiver with
 * atomic operations; the rest by the hypervisor alone. peer packs what a
 * sender must read together. A free port, and one without handle, is MASKED.
 */
struct lx_port {
	_Atomic uint32_t word;
	_Atomic uint32_t handle;	/* id of the handle that gets the events, or 0 */
	_Atomic uint64_t peer;		/* LX_PEER() */
	uint32_t infra;			/* made by the domain builder */
	uint32_t virq;
	uint64_t pad;
};
_Static_assert(sizeof(struct lx_port) == 32, "two ports per cache line");

#define LX_PEER(state, slot, domid, port)					\
	((uint64_t)(state) | (uint64_t)(slot) << 8 | (uint64_t)(domid) << 16 |	\
	 (uint64_t)(port) << 32)
#define LX_PEER_STATE(p) ((unsigned)((p) & 0xff))
#define LX_PEER_SLOT(p) ((unsigned)((p) >> 8 & 0xff))
#define LX_PEER_DOMID(p) ((unsigned)((p) >> 16 & 0xffff))
#define LX_PEER_PORT(p) ((uint32_t)((p) >> 32))

/* An event handle's id: index in bits 0-11, generation above, never 0. */
#define LX_HANDLE_INDEX(id) ((id) & 0xfff)
_Static_assert(LX_MAX_HANDLES <= 0x1000, "index fits");

struct lx_handle {
	_Atomic uint32_t id;	/* 0: free */
	uint32_t proc;
};

struct lx_rule {
	_Atomic uint32_t used;
	uint32_t call;		/* enum lx_call */
	int32_t domid;		/* -1: any */
	int32_t pid;		/* 0: any */
	uint32_t nth;		/* first hit, from 1 */
	uint32_t count;		/* hits; 0: all from then on */
	int32_t err;		/* errno, or 0 */
	int32_t status;		/* GNTST_*, or 0 */
	_Atomic uint32_t seen;
	_Atomic uint32_t hits;
};

/*
 * A page of the heap. Only the hypervisor writes; who copies looks at owner after it
 * has published its pin, and the hypervisor looks at the pins after it has set
 * LX_HEAP_CLAIMED: one of both sees the other.
 */
struct lx_heap_page {
	_Atomic uint32_t owner;	/* domain's slot + 1; 0: free */
	uint32_t nr_maps;	/* a reference each */
	uint16_t proc;		/* + 1: dies with this process; 0: with the domain */
	uint16_t released;	/* its owner gave it up; free with its last reference */
};
#define LX_HEAP_CLAIMED (UINT32_C(1) << 31)	/* it is being decided whose it is */

enum lx_dom_state { LX_DOM_FREE, LX_DOM_ALIVE, LX_DOM_DYING };

struct lx_dom {
	_Atomic uint32_t state;
	_Atomic uint32_t gen;		/* changes when the slot gets a new domain */
	uint32_t domid;
	_Atomic uint32_t shutdown;	/* reason + 1, or 0 */
	char name[64];
	uint32_t nr_mem_frames;
	uint32_t nr_grants;
	uint32_t nr_maptrack;
	_Atomic uint32_t maptrack_high;	/* no hold at or above this index */
	uint32_t gntalloc_limit_pages;
	_Atomic uint32_t gntalloc_used_pages;	/* kept-back pages count */
	_Atomic uint32_t gntalloc_kept_pages;
	_Atomic uint32_t tot_pages;	/* own memory and pages of the heap */
	uint32_t max_pages;
	uint32_t not_pv;		/* its pages cannot be transferred */
	uint32_t store_port;
	_Atomic uint32_t nr_ports;	/* ports at or above this index are free */
	uint64_t start_ns;		/* CLOCK_MONOTONIC */

	_Alignas(4096) struct lx_port port[LX_MAX_PORTS];
	_Alignas(4096) struct lx_grant grant[LX_MAX_GRANTS];
	_Alignas(4096) struct lx_active active[LX_MAX_GRANTS];
	_Alignas(4096) _Atomic uint64_t maptrack[LX_MAX_MAPTRACK];
};

struct lx_shm {
	uint32_t magic, version;
	uint64_t size_bytes;
	uint32_t hv_pid;
	_Atomic uint32_t nr_rules;	/* 0: no call needs to look at rule[] */
	_Atomic uint32_t nr_threads;	/* records at or above this index are free */
	_Atomic uint32_t nr_procs;
	uint32_t no_transfer;		/* Xen's gnttab=no-transfer */
	_Atomic uint32_t heap_free_pages;
	_Alignas(64) struct lx_rule rule[LX_MAX_RULES];
	_Alignas(64) struct lx_proc proc[LX_MAX_PROCS];
	_Alignas(64) struct lx_thread thread[LX_MAX_THREADS];
	_Alignas(64) struct lx_handle handle[LX_MAX_HANDLES];
	_Alignas(64) _Atomic uint8_t slot_of[LX_DOMIDS]; /* slot + 1 by domid */
	_Alignas(64) struct lx_heap_page heap[LX_HEAP_PAGES];
	_Alignas(4096) struct lx_dom dom[LX_MAX_DOMS];
};

/* The thread record that the hypervisor itself locks with. */
#define LX_HV_THREAD 0

#endif
