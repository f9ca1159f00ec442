/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's files on tmpfs: who serves a kind, each device's journal, and a
 * few lines about each connected device.
 *
 * Hides: where they are, how they are named and replaced. Must not know: what
 * a journal holds, XenStore. Supervisor's thread.
 *
 *   BASE/DAEMON/KIND.lock			held by the one who serves KIND
 *   BASE/DAEMON/KIND.store-lost		while its daemon has no XenStore any more
 *   BASE/DAEMON/KIND.upgrade			what came of the last upgrade (upgrade.h)
 *   BASE/DAEMON/KIND.upgrade-request		what the next is to be
 *   BASE/DAEMON/KIND-DOMID-DEVID.journal	from connect to close
 *   BASE/DAEMON/KIND-DOMID-DEVID.info		the same time; lines key=value
 *   BASE/DAEMON/KIND-DOMID-DEVID.figures	the same time; figures.h
 *   BASE/DAEMON/KIND-DOMID-DEVID.mirror		from a first mirror to close; mirror.h
 *
 * DAEMON is blkback or netback; BASE is --rundir, else $PARAVANE_RUNDIR, else /run/paravane. Directories are
 * made with mode 0700. The info file is for people and tools (`paravane list`),
 * and tells a restarted daemon which ring its predecessor's journal is about.
 */
#ifndef PV_RUNDIR_H
#define PV_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "figures.h"

#define RUNDIR_PATH_BYTES 512
#define RUNDIR_MIRROR "mirror"		/* its suffix, for readers */

struct rundir {
	char path[RUNDIR_PATH_BYTES - 64];
	int lock_fd;
};

/* A device's name in here. */
struct rundir_name {
	const char *kind;
	uint32_t frontend_id, devid;
};

/*
 * base: --rundir's argument or NULL; daemon: as above. Makes the directory and takes the lock.
 * lock_fd: the lock, of a version before in this process, which becomes r's; else -1.
 * -EBUSY: another daemon serves kind; why has its process id. Other -errno of
 * mkdir and open, why names the path.
 */
int rundir_open(struct rundir *r, const char *base, const char *daemon,
		const char *kind, int lock_fd, char *why, size_t why_bytes);
void rundir_close(struct rundir *r);

/* fresh: an empty one in place of what is there. Else -ENOENT. */
int rundir_open_journal(const struct rundir *r, const struct rundir_name *name,
			bool fresh, int *fd);
void rundir_journal_path(const struct rundir *r, const struct rundir_name *name,
			 char *buf, size_t bytes);
/*
 * The file that a worker counts in, as layout says; fresh, or when what is there is not of
 * this layout: a new one. *fd -1: it cannot be made, which is logged, and no reason not to
 * serve.
 */
void rundir_open_figures(const struct rundir *r, const struct rundir_name *name, bool fresh,
			 const struct figures_layout *layout, int *fd);
/* Readers see the old text or the new one, never a part. */
int rundir_write_info(const struct rundir *r, const struct rundir_name *name,
		      const char *text);
/*
 * A file of the kind as a whole, "vbd.NAME", for people and tools; written as an info file,
 * read with all its text.
 */
int rundir_write_file(const struct rundir *r, const char *kind, const char *name,
		      const char *text);
int rundir_read_file(const struct rundir *r, const char *kind, const char *name, char *text,
		     size_t bytes);
void rundir_remove_file(const struct rundir *r, const char *kind, const char *name);
/* The value of a key in such a text. -ENOENT: it is not there. */
int rundir_find_value(const char *text, const char *key, char *buf, size_t bytes);

/* What is to be known of its mirror, the one that runs or the last; as the info file. */
int rundir_write_mirror(const struct rundir *r, const struct rundir_name *name,
			const char *text);
int rundir_read_mirror(const struct rundir *r, const struct rundir_name *name, char *text,
		       size_t bytes);
/* The value of one key. -ENOENT: no file, or no such key. */
int rundir_read_info(const struct rundir *r, const struct rundir_name *name,
		     const char *key, char *buf, size_t bytes);
/* Calls fn for each device of kind that has a file, perhaps for each of its files. */
void rundir_each(const struct rundir *r, const char *kind,
		 void (*fn)(void *arg, uint32_t frontend_id, uint32_t devid), void *arg);
/* All of its files; missing ones are fine. */
void rundir_remove(const struct rundir *r, const struct rundir_name *name);

#endif
