/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv.h - inside the hypervisor process: what its parts know of each other.
 *
 * One thread, one epoll loop. A request is executed completely before the next
 * event is looked at. Functions return 0 or -errno.
 */
#ifndef LX_HV_H
#define LX_HV_H

#include <stdbool.h>
#include <sys/types.h>
#include "proto.h"
#include "shm.h"

/* Pages that one xengntshr_share_* call shared. */
struct hv_region {
	struct hv_region *next;
	uint64_t id;
	unsigned count;
	uint64_t notify_offset, notify_port;	/* LX_NO_NOTIFY: none */
	uint32_t *grefs, *frames;		/* one allocation with the region */
};

/* What happens when a mapping with notification goes. */
struct hv_notify {
	struct hv_notify *next;
	uint64_t id;
	unsigned slot;
	uint32_t gen, frame;
	uint64_t offset, port;
};

struct hv_proc {
	bool used;
	pid_t pid;
	int pidfd;
	unsigned dom_slot;
	struct hv_region *regions;
	struct hv_notify *notifies;
	uint16_t *heap_maps;	/* per heap page, NULL: none yet */
	bool has_flip;		/* has, or had, references or pages for transfers */
};

/* A page whose owner has unshared it while somebody still uses it. */
struct hv_kept {
	struct hv_kept *next;
	uint32_t gref, frame;
};

struct hv_dom {
	int mem_fd;
	uint32_t *free_grefs;	/* a stack */
	unsigned nr_free_grefs;
	uint8_t *frame_used;
	uint32_t frame_hint;
	struct hv_kept *kept;
	uint16_t *flip_proc;	/* by gref: process + 1 that receives pages with it */
};

/* A connection; proc is -1 for the localxen command's own. */
struct hv_client {
	int fd;
	pid_t pid;
	int proc;
	uint32_t proc_gen;	/* the slot is still this client's */
};

struct hv {
	const char *dir;
	int epoll_fd, listen_fd, shm_fd, heap_fd, signal_fd;
	struct lx_shm *shm;
	bool ending;
	uint32_t next_domid;
	uint64_t next_id;
	struct hv_dom dom[LX_MAX_DOMS];
	struct hv_proc proc[LX_MAX_PROCS];
	int handle_fd[LX_MAX_HANDLES];
	uint32_t handle_gen;
};
extern struct hv hv;

/* hv_main.c */
int hv_main(int argc, char **argv);

/*
 * hv_call.c. Takes the client's next message, if there is one, does what it asks and
 * answers. False: it has gone, or cannot be answered, and hv_client_gone() follows.
 */
bool hv_serve(struct hv_client *client);
/* Undoes what it had, if it was a process of a domain, and closes its socket. */
void hv_client_gone(struct hv_client *client);

/* hv_domain.c. Domain slots; -ESRCH when there is no such domain alive. */
int hv_find_domain(uint32_t domid);
int hv_domain_create(const struct lx_create *c, struct lx_rep *rep);
int hv_domain_destroy(uint32_t domid);
int hv_domain_shutdown(uint32_t domid, unsigned reason);
int hv_domain_belong(uint32_t domid, pid_t pid);
/* As lx_kill_members(), with those who have told us that they belong. */
void hv_kill_processes(int domid, pid_t spare, int timeout_ms);
/* Frees what was only waiting for its last user. True: something still waits. */
bool hv_reap(void);

/* hv_proc.c */
int hv_proc_add(uint32_t domid, pid_t pid, uint32_t flags, struct lx_rep *rep);
/* The process is dead, or has left: undoes all that it had. */
void hv_proc_release(unsigned slot);
/* Takes an entry's lock, from a dead owner if need be. */
void hv_lock_entry(unsigned slot, uint32_t gref);
void hv_unlock_entry(unsigned slot, uint32_t gref);
bool hv_has_holds_on(unsigned slot);

/* hv_share.c */
int hv_share(unsigned proc, const struct lx_req *req, struct lx_rep_share *rep);
int hv_unshare(unsigned proc, uint64_t id);
void hv_unshare_all(unsigned proc);
int hv_share_init(unsigned slot);
void hv_share_exit(unsigned slot);
bool hv_reap_kept(unsigned slot);
int hv_map_notify(unsigned proc, const struct lx_req *req, struct lx_rep *rep);
int hv_fire_notify(unsigned proc, uint64_t id);
void hv_fire_all(unsigned proc);

/* hv_heap.c. Counts from the first frame on; arrays of nr. */
int hv_heap_init(void);
unsigned hv_heap_increase(unsigned slot, uint64_t nr, uint32_t *mfns);
unsigned hv_heap_decrease(unsigned slot, uint64_t nr, const uint32_t *mfns);
int hv_heap_map(unsigned proc, uint64_t nr, const uint32_t *mfns, uint32_t *had);
void hv_heap_unmap(unsigned proc, uint64_t nr, const uint32_t *mfns);
/* Pages that came by transfer to this process: back to the heap. */
void hv_heap_give(unsigned proc, uint64_t nr, const uint32_t *mfns);
int hv_transfer(unsigned proc, uint64_t nr, const struct lx_transfer *t, int32_t *status);
void hv_heap_proc_exit(unsigned proc);
void hv_heap_domain_exit(unsigned slot);
/* True: a page still waits for a copy to end. */
bool hv_heap_reap(void);

/* hv_flip.c */
int hv_flip_grefs(unsigned proc, uint64_t nr, uint32_t *grefs);
void hv_flip_return(unsigned proc, uint64_t nr, const uint32_t *grefs);
/* The process + 1 that receives pages with gref, or 0. */
unsigned hv_flip_owner(unsigned slot, uint32_t gref);
void hv_flip_proc_exit(unsigned proc);
void hv_flip_domain_exit(unsigned slot);

/* hv_evtchn.c. port or -errno where a port is made. */
int hv_handle_open(unsigned proc, int fd, struct lx_rep *rep);
int hv_handle_close(unsigned proc, uint32_t id);
void hv_handle_close_all(unsigned proc);
int hv_handle_fd(uint32_t id);
int hv_alloc_unbound(unsigned slot, uint32_t handle, uint32_t remote_domid);
int hv_bind_interdomain(unsigned slot, uint32_t handle, uint32_t domid, uint32_t rport);
int hv_bind_virq(unsigned slot, uint32_t handle, uint32_t virq);
int hv_unbind(unsigned slot, uint32_t handle, uint32_t port, uint64_t *token_left);
int hv_adopt(unsigned slot, uint32_t handle, uint32_t port);
bool hv_owns_handle(unsigned proc, uint32_t id);
void hv_close_all_ports(unsigned slot);
/* Sends as the owner of port would. */
void hv_notify_peer(unsigned slot, uint32_t port);
/* Wakes who has the other end, deliverable already. 0, -EINVAL, -ENOTCONN. */
int hv_wake_peer(unsigned slot, uint32_t handle, uint32_t port);
void hv_raise_virq(uint32_t virq);
/* The sender of an event to this port died in the middle. */
void hv_repeat_token(unsigned slot, uint32_t port);

#endif
