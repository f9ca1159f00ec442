/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror of a disk to a second image, as asked for: key `mirror` of a back end's directory.
 *
 * Hides: the node's text; which nodes name a disk's image. Must not know: how an image is
 * copied, files, stdio.
 *
 * The node is there as long as a mirror is wanted: who asks writes it, and removes it to
 * cancel; the back end removes it when it is over, however it ended. What becomes of it
 * meanwhile is in the back end's run directory, not here: numbers that change are not for
 * XenStore. The text is
 *
 *   id=NUMBER,at-sync=WORD,bytes-per-second=NUMBER,target=PATH
 *
 * of which at-sync and bytes-per-second may be changed while it runs.
 */
#ifndef PV_MIRROR_WISH_H
#define PV_MIRROR_WISH_H

#include "xenbus.h"

#define MIRROR_TARGET_BYTES 512u

/* What is to be done when the target has all that the disk's image has. */
enum mirror_at_sync {
	MIRROR_FOLLOW,		/* nothing: it is kept so */
	MIRROR_PIVOT,		/* the guest goes on with the target */
	MIRROR_STOP,		/* the guest goes on with its image, the target stays as it is */
};

struct mirror_wish {
	uint64_t id;			/* who asks chooses it, so that it knows its own again */
	enum mirror_at_sync at_sync;
	uint64_t bytes_per_second;	/* 0: as fast as it can */
	char target[MIRROR_TARGET_BYTES];
};

/* "follow", "pivot", "stop". */
const char *mirror_at_sync_name(enum mirror_at_sync at_sync);
/* -ENOENT: none is wanted. -EINVAL: err names the node. */
int mirror_wish_read(struct xs_handle *xs, const char *back_dir, struct mirror_wish *out,
		struct key_error *err);
/*
 * -EEXIST: one is wanted already. -ENOENT: no such device. -EINVAL: the target is no absolute
 * path, or has control characters.
 */
int mirror_wish_ask(struct xs_handle *xs, const char *back_dir, const struct mirror_wish *r);
/* What of the one with r's id may change becomes as r has it. -ENOENT: it is over. */
int mirror_wish_change(struct xs_handle *xs, const char *back_dir, const struct mirror_wish *r);
/* It is wanted no more; another than that of id stays. */
int mirror_wish_withdraw(struct xs_handle *xs, const char *back_dir, uint64_t id);

/*
 * The disk's image is the mirror's target from now on, for whoever reads the nodes: this
 * back end when it starts again, and the tool stack. In one transaction with the end of
 * the wish, so that it is done if and only if nobody has cancelled it.
 */
struct mirror_new_image {
	uint64_t id;
	const char *path;
	const char *old_path;		/* what the image was, as vbd_read_toolstack() has it */
	bool is_device;
	uint32_t major, minor;		/* of a device */
	uint32_t logical_block_bytes;	/* to be written, too; 0: not */
};

/* domid, kind, devid: for libxl's copy, where there is one. -ECANCELED: nobody wants it now. */
int mirror_wish_grant(struct xs_handle *xs, const char *back_dir, uint32_t domid,
		      const char *kind, uint32_t devid, const struct mirror_new_image *image);

#endif
