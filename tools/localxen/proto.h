/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proto.h - the messages between a client and the hypervisor.
 *
 * One SOCK_SEQPACKET connection per process to LOCALXEN_DIR/hypervisor; one
 * request, one reply, each one packet, each with at most one descriptor. The
 * hypervisor executes a request completely before it reads the next, so a
 * client killed at any instant leaves either all of it or nothing.
 */
#ifndef LX_PROTO_H
#define LX_PROTO_H

#include <stdint.h>
#include <sys/types.h>

#define LX_SOCKET_NAME "hypervisor"
#define LX_SHARE_MAX_PAGES 8192
#define LX_NO_NOTIFY UINT64_MAX

enum lx_op {
	LX_OP_HELLO = 1,	/* domid, a: LX_HELLO_*; reply a: proc, b: its gen, c: domain
				 * slot, fd: the shared memory */
	LX_OP_MEMORY,		/* a: domain slot, b: its gen; fd: its memory */
	LX_OP_SHARE,		/* domid, a: pages, b: writable, c: notify offset, d: port;
				 * reply a: region, data: grefs then frames */
	LX_OP_UNSHARE,		/* a: region */
	LX_OP_MAP_NOTIFY,	/* domid, a: gref, b: frame, c: offset, d: port; reply a: id */
	LX_OP_FIRE_NOTIFY,	/* a: id */
	LX_OP_EVTCHN_OPEN,	/* fd: eventfd; reply a: handle */
	LX_OP_EVTCHN_CLOSE,	/* a: handle */
	LX_OP_EVTCHN_FD,	/* a: any process's handle; fd: its eventfd */
	LX_OP_ALLOC_UNBOUND,	/* a: handle, domid; reply a: port */
	LX_OP_BIND_INTERDOMAIN,	/* a: handle, domid, b: remote port; reply a: port */
	LX_OP_BIND_VIRQ,	/* a: handle, b: virq; reply a: port */
	LX_OP_UNBIND,		/* a: handle, b: port; reply a: a token is left over */
	LX_OP_ADOPT,		/* a: handle, b: port; reply a: port */
	LX_OP_WAKE,		/* a: handle, b: port: a token for who has its other end */
	LX_OP_POKE,		/* no reply: something that waits may be free now */
	LX_OP_CREATE,		/* struct lx_create in data; reply a: domid, b: store port */
	LX_OP_DESTROY,		/* domid */
	LX_OP_SHUTDOWN,		/* domid, a: reason */
	LX_OP_BELONG,		/* domid: the calling process dies with this domain */
	LX_OP_HEAP,		/* fd: the heap's pages */
	LX_OP_INCREASE,		/* a: pages; reply a: how many, data: their frames */
	LX_OP_DECREASE,		/* frames; reply a: how many, from the first */
	LX_OP_HEAP_MAP,		/* frames; reply data: 0 or 1 if the reference is had */
	LX_OP_HEAP_UNMAP,	/* frames */
	LX_OP_TRANSFER,		/* struct lx_transfer; reply data: GNTST_* as int32 */
	LX_OP_FLIP_GREFS,	/* a: how many; reply data: grant references for transfers */
	LX_OP_FLIP_RETURN,	/* grant references that are not needed any more */
	LX_OP_FLIP_GIVE,	/* frames that came through them; they go to the heap */
	LX_OP_RULE_ADD,		/* struct lx_rule in data; reply a: its number */
	LX_OP_RULE_CLEAR,	/* a: number, or -1: all */
	LX_OP_TEARDOWN,		/* the whole instance ends */
};

#define LX_HELLO_TOOL 1		/* the localxen command: no process slot */
#define LX_HELLO_INFRA 2

struct lx_create {
	char name[64];
	uint32_t memory_frames;		/* 0 in any: the default */
	uint32_t gntalloc_limit_pages;
	uint32_t has_gntalloc_limit;
	uint32_t grant_frames;
	uint32_t maptrack_frames;
	uint32_t domid;			/* 0: the next that is free */
	uint32_t extra_pages;		/* max pages above memory_frames */
	uint16_t has_extra_pages;
	uint16_t not_pv;
};

struct lx_req {
	uint32_t op;
	uint32_t domid;
	uint64_t a, b, c, d;
	char data[96];
};

/* Requests about many pages: req.a items follow, at most LX_BATCH_MAX. */
#define LX_BATCH_MAX 1024

struct lx_transfer {
	uint32_t mfn;
	uint32_t domid, gref;
	int32_t status;		/* 0, or what a fault rule wants */
};

struct lx_req_batch {
	struct lx_req req;
	union {
		uint32_t frame[LX_BATCH_MAX];
		struct lx_transfer transfer[LX_BATCH_MAX];
	};
};
#define LX_BATCH_SIZE(nr, size) (sizeof(struct lx_req) + (size_t)(nr) * (size))

struct lx_rep {
	int32_t err;	/* 0 or -errno */
	uint32_t pad;
	uint64_t a, b, c, d;
};

struct lx_rep_share {
	struct lx_rep rep;
	uint32_t data[2 * LX_SHARE_MAX_PAGES];
};

struct lx_rep_batch {
	struct lx_rep rep;
	uint32_t data[LX_BATCH_MAX];
};

/*
 * One packet with a descriptor, or -1 for none; flags as for send(2). As
 * sendmsg(2) and recvmsg(2) return, but never EINTR.
 */
ssize_t lx_send(int sock, const void *data, size_t len, int fd, int flags);
ssize_t lx_recv(int sock, void *data, size_t len, int *fd, int flags);

#endif
