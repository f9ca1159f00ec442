/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * localxen.h - what local Xen offers beyond the official libxen* calls.
 *
 * These functions live in liblocalxen.so, the private shared object behind the
 * drop-in libraries. They stand for what a kernel has and a program on real
 * Xen does not: the domain's own start-of-day pages and ports, and the fault
 * rules. Only local Xen's own helpers (the xenbus process, the /proc/xen shim)
 * use them; a program that must also run on real Xen does not.
 *
 * All of them connect to the hypervisor on first use, with LOCALXEN_DIR (the
 * instance) and LOCALXEN_DOMID (the caller's domain, default 0) from the
 * environment. They may be called from any thread.
 */
#ifndef LOCALXEN_H
#define LOCALXEN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xenevtchn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pages of a domain's memory with a fixed meaning. */
#define LX_GFN_XENSTORE 0
#define LX_GFN_CONSOLE 1

/* The caller's own domid. Returns it, or -1 with errno. */
int lx_own_domid(void);

/*
 * Maps one page of the caller's own domain, shared and writable.
 * Returns its address, or NULL with errno: EINVAL (no such frame), ENOTCONN.
 * The caller owns the mapping and ends it with munmap(addr, 4096).
 */
void *lx_map_own_frame(uint64_t gfn);

/*
 * A new file descriptor (close-on-exec) of the caller's own domain memory;
 * frame N begins at byte N * 4096. Returns it or -1 with errno. The caller
 * closes it.
 */
int lx_own_memory_fd(void);

/*
 * The port of the caller's own domain that the domain builder reserved for the
 * store; what /proc/xen/xsd_port reads in dom0. Returns it or -1 with errno.
 */
int lx_store_port(void);

/*
 * The descriptor of this process's connection to the hypervisor, to be polled
 * for POLLHUP and nothing else: it says that the hypervisor has gone, or has
 * given this process up. Returns it or -1 with errno. It stays the library's.
 */
int lx_hypervisor_fd(void);

/*
 * Attaches a port that exists in the caller's domain without a handle (one made
 * by the domain builder) to xce, as the kernel's handler takes over the store's
 * port at boot. An event that arrived before is delivered.
 * Returns 0, or -1 with errno: EINVAL (no such port), EBUSY (another handle
 * has it), EBADF (the handle is of before a fork).
 */
int lx_evtchn_adopt(xenevtchn_handle *xce, evtchn_port_t port);

/*
 * Receiving pages by GNTTABOP_transfer: what a guest's kernel would do. The functions
 * are those of struct front_flip (paravane/front.h); ctx is not used. References and
 * pages belong to the calling process and go back when it ends, by whatever means.
 *
 * lx_flip_offer: 0, or -ENOSPC (no free grant entries), -ENOMEM (the domain may not
 * have so many more pages), -ENOTCONN.
 * lx_flip_take: 1 and *page, 0, -EAGAIN, or -EINVAL (gref is not offered).
 * lx_flip_give: *page is wiped; the heap has it after lx_flip_flush, or before.
 */
int lx_flip_offer(void *ctx, uint32_t domid, unsigned nr, uint32_t *grefs);
int lx_flip_take(void *ctx, uint32_t gref, void **page);
void lx_flip_give(void *ctx, void *page);
int lx_flip_flush(void *ctx);

/*
 * For a virtual machine monitor that is a process of the domain and gives its guest the
 * domain's memory (lx_own_memory_fd(), as it is, from address 0): what on Xen the guest's
 * kernel has in its memory, to be mapped into the guest as well.
 *
 * grants: the grant table, version 1. Who uses it so does not use xengntshr in the same
 * domain. ports: LX_PORT_STRIDE bytes for each port; the first four are an atomic word.
 * A receiver takes an event by changing the word from pending alone to masked; a sender
 * sets pending, and if the word was 0 before, wakes the receiver. Its own handle's
 * xenevtchn_fd() is an eventfd that each sender to the domain writes to: an irqfd.
 */
#define LX_PORT_STRIDE 32
#define LX_PORT_WORD_PENDING 1
#define LX_PORT_WORD_MASKED 2

struct lx_machine {
	void *grants, *ports;		/* whole pages, shared; the library's */
	size_t grants_bytes, ports_bytes;
};

/* 0, or -1 with errno. */
int lx_machine_tables(struct lx_machine *out);

/* The other end of an event channel, for a guest that sends without a call. */
struct lx_machine_peer {
	void *page;			/* with its word, at offset; the library's */
	size_t offset;
	int event_fd;			/* wakes it; the caller closes it */
	pid_t pid;			/* the process that receives */
};

/*
 * Valid until the other end closes its port. A sender that dies between word and
 * wake-up is not made good here. 0, or -1 with errno: ENOTCONN (nobody is bound).
 */
int lx_machine_peer(evtchn_port_t port, struct lx_machine_peer *out);

/* Calls that `localxen fail` can make fail. Names: lx_call_name(). */
enum lx_call {
	LX_CALL_MAP,		/* xengnttab_map_*; nth counts calls, or grefs with --status */
	LX_CALL_UNMAP,
	LX_CALL_COPY,		/* xengnttab_grant_copy; likewise calls or segments */
	LX_CALL_SHARE,		/* xengntshr_share_* */
	LX_CALL_UNSHARE,
	LX_CALL_ALLOC,		/* xenevtchn_bind_unbound_port */
	LX_CALL_BIND,		/* xenevtchn_bind_interdomain */
	LX_CALL_VIRQ,
	LX_CALL_UNBIND,
	LX_CALL_NOTIFY,
	LX_CALL_PENDING,
	LX_CALL_UNMASK,
	LX_CALL_OPEN,		/* xengnttab_open, xenevtchn_open, xengntshr_open ... */
	LX_CALL_FOREIGN,	/* xenforeignmemory_map */
	LX_CALL_XENCALL,
	LX_CALL_TRANSFER,	/* GNTTABOP_transfer; nth counts calls, or pages with --status */
	LX_CALL_INCREASE,	/* XENMEM_increase_reservation */
	LX_CALL_DECREASE,
	LX_CALL_STORE_READ,	/* the store calls are asked by the xenbus process */
	LX_CALL_STORE_WRITE,
	LX_CALL_STORE_MKDIR,
	LX_CALL_STORE_RM,
	LX_CALL_STORE_DIRECTORY,
	LX_CALL_STORE_PERMS,
	LX_CALL_STORE_WATCH,
	LX_CALL_STORE_TRANSACTION,	/* start and end */
	LX_CALL_MAX
};

/*
 * Asks whether a fault rule hits this call of the calling process in its
 * domain. Costs one load while no rule exists. Returns 0 (go on) or the errno
 * to fail with, as a positive number.
 */
int lx_fail_check(enum lx_call call);

/*
 * The same on behalf of another process: pid is the client's. The xenbus
 * process uses it, so that `localxen fail --pid` names the client.
 */
int lx_fail_check_pid(enum lx_call call, int pid);

/* "map", "store-write", ...; NULL if call is out of range. */
const char *lx_call_name(enum lx_call call);

#ifdef __cplusplus
}
#endif

#endif
