/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tool stack's side of a device: create its nodes as xl does, wait until
 * both ends are connected, take it away again.
 *
 * Hides: permissions, the two directories' mutual links, libxl's third copy,
 * the order of detach, and removal of parents that became empty. Must not
 * know: images, rings, event loops. Uses poll(2) on the store's descriptor.
 * Source: libxl's libxl_disk.c, libxl_nic.c and libxl_device.c as facts; docs of xenstore
 * paths.
 */
#ifndef PV_TOOLSTACK_H
#define PV_TOOLSTACK_H

#include "limit.h"
#include "vbd.h"

/* xvda, xvda1, sda, hda, d0p1, 51712 -> virtual-device number. -EINVAL. */
int toolstack_vdev(const char *text, uint32_t *devid);
/* The other way, for people: "xvda". */
int toolstack_vdev_name(uint32_t devid, char *buf, size_t bytes);
/* A number, or a name found under /local/domain/N/name. -ENOENT. */
int toolstack_find_domain(struct xs_handle *xs, const char *text, uint32_t *domid);

struct toolstack_disk {
	uint32_t domid, backend_domid, devid;
	const char *kind;		/* "vbd", "vbd3", "qdisk" */
	const char *params;		/* "aio:/path", "/dev/vg/lv", ... */
	enum vbd_share share;
	enum vbd_cache cache;
	enum vbd_grants grants;
	bool cdrom, removable;
	struct vbd_wishes wishes;
	struct limit limit;
	const char *script;		/* NULL: none */
	bool libxl;			/* write /libxl too, so that xl lists it */
};

/*
 * One transaction. -EEXIST: the device is there already. -ESRCH: the store has
 * no such domain. -EAGAIN never: it is tried again.
 */
int toolstack_create_disk(struct xs_handle *xs, const struct toolstack_disk *d);

struct toolstack_nic {
	uint32_t domid, backend_domid, devid;
	const char *kind;		/* "vif", "qnic" */
	uint8_t mac[6];
	const char *bridge;		/* the switch; NULL: the back end's default */
	const char *vifname;		/* NULL: vifDOMID.DEVID */
	const char *script;		/* NULL: none; else the back end waits for its word */
	bool script_done;		/* its word is written, too */
	const char *ip, *gatewaydev;	/* for scripts; NULL: none */
	const char *vlan;		/* as vif_parse_vlan(); NULL: none */
	uint32_t mtu_bytes;		/* 0: 1500 */
	uint64_t rate_bytes;		/* per rate_usec, as xl has it; 0: unlimited */
	uint32_t rate_usec;
	uint64_t rate_bits;		/* per second, over the former; 0: none */
	uint32_t max_queues;		/* that the back end may offer; 0: its own choice */
	struct limit limit;		/* beside the rates */
	bool isolated, any_source;
	bool libxl;			/* as above */
};

/* As toolstack_create_disk(). -EINVAL: a name, address, VLAN, MTU, rate is none. */
int toolstack_create_nic(struct xs_handle *xs, const struct toolstack_nic *n);
/*
 * xl's words for a rate, "10Mb/s", "250KB/s@20ms", as bytes in each so many
 * microseconds (50 ms). -EINVAL.
 */
int toolstack_rate(const char *text, uint64_t *bytes, uint32_t *usec);

/* What a wait saw last: for a message that says which end waits for what. */
struct toolstack_view {
	XenbusState back, front;
	char back_error[XENBUS_TEXT_BYTES], front_error[XENBUS_TEXT_BYTES];
	bool back_exists, front_exists;
	bool online;			/* not asked to close for good */
	uint64_t sectors;		/* as the back end says; 0: it does not */
};

int toolstack_look(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		   uint32_t domid, uint32_t devid, struct toolstack_view *out);
/*
 * Waits with watches of its own on xs and takes every event that is queued
 * there: use a handle on which nobody else waits.
 * Returns 0 when both ends are Connected, -ETIMEDOUT, or -ECONNABORTED when an
 * end went to Closing or Closed or wrote an error; view says why. timeout_ms
 * counts from now; -1: no deadline.
 */
int toolstack_wait_connected(struct xs_handle *xs, uint32_t backend_domid,
			     const char *kind, uint32_t domid, uint32_t devid,
			     int timeout_ms, struct toolstack_view *view);
/*
 * Has the back end look at the device again, and waits until it publishes that
 * many sectors. -ENOENT: no such device. -ETIMEDOUT: view says what it publishes.
 */
int toolstack_look_again(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
			 uint32_t domid, uint32_t devid, uint64_t sectors,
			 int timeout_ms, struct toolstack_view *view);
/*
 * Changes a device's limits (limit_change()), and waits until the back end says that it
 * keeps to what is set, when it is Connected; later it will. timeout_ms 0: only writes.
 * -ENOENT, -EINVAL, -ETIMEDOUT.
 */
int toolstack_set_limit(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
			uint32_t domid, uint32_t devid, enum limit_device of,
			const char *words, int timeout_ms);
/*
 * Detach in two steps, for a tool stack that has to do something between them
 * (its hotplug script). Close: online=0 and state=5 into the back end's node,
 * then waits for its Closed; -ENOENT: no such device, -ETIMEDOUT. Remove: both
 * directories, libxl's copy, parents that became empty, whatever the ends say.
 * Both, -EEXIST: somebody else has removed it meanwhile, and what is there now is
 * another device of that number, which is left alone.
 */
int toolstack_close(struct xs_handle *xs, uint32_t backend_domid,
			 const char *kind, uint32_t domid, uint32_t devid,
			 int timeout_ms, struct toolstack_view *view);
int toolstack_remove(struct xs_handle *xs, uint32_t backend_domid,
			  const char *kind, uint32_t domid, uint32_t devid);
/*
 * What a driver domain's tool stack (xl devd) does once a disk is closed: the back
 * end's own directory goes, and of what was above it and became empty as much as
 * this domain may remove; the other tool stack waits for that and sees to the rest.
 * -EAGAIN: not closed and offline now.
 */
int toolstack_remove_closed(struct xs_handle *xs, uint32_t backend_domid,
			    const char *kind, uint32_t domid, uint32_t devid);
/* What a back end said of a disk that has gone, and parents that became empty. */
int toolstack_remove_error(struct xs_handle *xs, uint32_t backend_domid,
			   const char *kind, uint32_t domid, uint32_t devid);
/*
 * Both steps. force: removes after the deadline all the same. -ENOENT: no such
 * device. -ETIMEDOUT: nothing was removed. -EEXIST as above.
 */
int toolstack_detach(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		     uint32_t domid, uint32_t devid, int timeout_ms, bool force,
		     struct toolstack_view *view);

/* Calls fn for every device of kind that backend_domid serves, until non-zero. */
int toolstack_each(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		   int (*fn)(void *arg, uint32_t domid, uint32_t devid), void *arg);

#endif
