/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The nodes of a virtual block device, as typed values.
 *
 * Hides: the keys' names, units, defaults and the older spellings that real
 * front ends write. Must not know: rings, image files, event loops, stdio.
 * Keys and who writes them: keys.h. Source: xen/io/blkif.h.
 */
#ifndef PV_VBD_H
#define PV_VBD_H

#include "xenbus.h"

#define VBD_RING_ORDER_MAX 4u			/* 16 pages */
#define VBD_RING_PAGES_MAX (1u << VBD_RING_ORDER_MAX)
#define VBD_QUEUES_MAX 16u
#define VBD_SECTOR_BYTES 512u			/* the unit of `sectors`, always */
#define VBD_LOGICAL_BLOCK_BYTES_MAX 4096u	/* a segment is a page at most */
#define VBD_PHYSICAL_BLOCK_BYTES_MAX (1u << 20)
#define VBD_IO_TIMEOUT_MAX_S 86400u
#define VBD_INDIRECT_SEGMENTS_MAX 4096u		/* 8 pages of 512 */

/* ---- what the tool stack wrote into the back end's directory ------------- */

enum vbd_share {		/* key mode */
	VBD_READ_ONLY,		/* r */
	VBD_EXCLUSIVE,		/* w */
	VBD_SHARED_WRITE,	/* w! */
};

enum vbd_cache {		/* key cache, ours; direct-io-safe selects none */
	VBD_CACHE_WRITEBACK,	/* default */
	VBD_CACHE_WRITETHROUGH,
	VBD_CACHE_NONE,
};

/* How a front end's pages are reached: key grant-mode, ours. */
enum vbd_grants {
	VBD_GRANTS_DEFAULT,	/* the key is missing: as the daemon was told */
	VBD_GRANTS_AUTO,	/* persistent if the front end takes it, else by size */
	VBD_GRANTS_PERSISTENT,	/* mapped once and kept */
	VBD_GRANTS_MAP,		/* mapped for each request; persistent not offered */
	VBD_GRANTS_COPY,	/* copied for each request; persistent not offered */
};

/* What the tool stack may ask of the device itself, by Paravane's own keys; 0: nothing. */
struct vbd_wishes {
	uint32_t logical_block_bytes, physical_block_bytes;	/* 0: as the image has it */
	bool limits_segments;		/* to the next, instead of the daemon's option */
	uint32_t max_indirect_segments;
	bool limits_io;			/* to the next, instead of the daemon's option */
	uint32_t io_timeout_s;		/* of an image behind a server; 0: none */
	/*
	 * Barriers are all that is offered, and no flush. Then no indirect requests are: Linux's
	 * front end would have to send a large write with FUA as an indirect barrier,
	 * which does not exist, and stops at an assertion of its own.
	 */
	bool barriers_only;
	enum { VBD_SECURE_IF_DEVICE, VBD_SECURE_NEVER, VBD_SECURE_OVERWRITE } discard_secure;
};

struct vbd_toolstack {
	char *params;			/* prefix removed; malloc'd; NULL: missing */
	char *physical_device_path;	/* malloc'd; NULL: missing */
	enum vbd_share share;
	enum vbd_cache cache;
	enum vbd_grants grants;
	bool cdrom, removable, discard_enable, online;
	bool no_medium;			/* a CD drive whose params is there and empty */
	struct vbd_wishes wishes;
	bool hotplug_pending;		/* hotplug-status exists and is not "connected",
					   or `script` is set and it does not exist */
	bool hotplug_error;		/* hotplug-status = error */
};

/* -EINVAL: err names the node. Missing optional nodes take their defaults. */
int vbd_read_toolstack(struct xs_handle *xs, const char *back_dir,
		       struct vbd_toolstack *out, struct key_error *err);
/*
 * The same; on -EINVAL and -ENOENT out has what can be read, *bad is of what cannot, or is
 * missing and must not be, and err of the first of it.
 */
#define VBD_PART_ONLINE 0x01u		/* out says that it is */
#define VBD_PART_TYPE 0x02u		/* cdrom */
#define VBD_PART_FLAGS 0x04u		/* removable, discard_enable */
#define VBD_PART_IMAGE 0x08u		/* params, physical_device_path, no_medium, hotplug_... */
#define VBD_PART_MODE 0x10u
#define VBD_PART_CACHE 0x20u
#define VBD_PART_GRANTS 0x40u
#define VBD_PART_WISHES 0x80u
int vbd_read_toolstack_parts(struct xs_handle *xs, const char *back_dir,
			     struct vbd_toolstack *out, uint32_t *bad, struct key_error *err);
void vbd_free_toolstack(struct vbd_toolstack *ts);
/* As the key has it; NULL for the default of grants. The other way: -EINVAL. */
const char *vbd_share_name(enum vbd_share share);
int vbd_share_parse(const char *text, enum vbd_share *out);
const char *vbd_cache_name(enum vbd_cache cache);
int vbd_cache_parse(const char *text, enum vbd_cache *out);
const char *vbd_grants_name(enum vbd_grants grants);
int vbd_grants_parse(const char *text, enum vbd_grants *out);

/* ---- what a back end publishes ------------------------------------------- */

struct vbd_features {
	uint64_t sectors;		/* of VBD_SECTOR_BYTES */
	uint32_t sector_bytes, physical_sector_bytes;
	bool read_only, cdrom, removable;	/* `info` */
	bool flush, barrier, persistent;
	bool discard, discard_secure;
	uint32_t discard_granularity_bytes, discard_alignment_bytes;
	uint32_t max_indirect_segments;	/* 0: no indirect requests */
	uint32_t max_ring_order;
	uint32_t max_queues;		/* at least 1 */
};

int vbd_write_features(struct xs_handle *xs, xs_transaction_t t,
		       const char *back_dir, const struct vbd_features *f);
/*
 * As a front end meets them from any back end: what is missing is off.
 * -EINVAL/-ENOENT with err for sectors, sector-size, info; the transport's part (queues,
 * ring order, indirect segments) is filled in even then.
 */
int vbd_read_features(struct xs_handle *xs, const char *back_dir,
		      struct vbd_features *out, struct key_error *err);
/*
 * A new size for a connected device: sectors, and state 4 once more. -EAGAIN,
 * -ENOENT as xenbus_switch_state().
 */
int vbd_write_size(struct xenbus_device *back, uint64_t sectors);

/* ---- what a front end publishes ------------------------------------------ */

enum vbd_abi { VBD_ABI_NATIVE, VBD_ABI_X86_32, VBD_ABI_X86_64 };

struct vbd_ring {
	uint32_t order;			/* 1 << order pages */
	uint32_t gref[VBD_RING_PAGES_MAX];
	uint32_t port;			/* event channel, the front end's end */
};

struct vbd_frontend {
	enum vbd_abi abi;
	bool persistent;
	uint32_t nr_queues;
	struct vbd_ring queue[VBD_QUEUES_MAX];
};

/*
 * limits: what the back end published; more queues or a higher order is
 * -EINVAL with err. A missing protocol means native.
 */
int vbd_read_frontend(struct xs_handle *xs, const char *front_dir,
		      const struct vbd_features *limits, struct vbd_frontend *out,
		      struct key_error *err);
/* ring-ref alone for one page, ring-page-order and ring-ref%u for more. */
int vbd_write_frontend(struct xs_handle *xs, xs_transaction_t t,
		       const char *front_dir, const struct vbd_frontend *f);
int vbd_remove_frontend(struct xs_handle *xs, const char *front_dir);

#endif
