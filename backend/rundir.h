/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's files on tmpfs: who serves a kind, each device's journal, and a
 * few lines about each connected device.
 *
 * Hides: where they are, how they are named and replaced. Must not know: what
 * a journal holds, XenStore. Supervisor's thread.
 *
 *   BASE/DAEMON/KIND.lock			held by the one who serves KIND
 *   BASE/DAEMON/KIND-DOMID-DEVID.journal	from connect to close
 *   BASE/DAEMON/KIND-DOMID-DEVID.info		the same time; lines key=value
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

#define RUNDIR_PATH_BYTES 512

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
 * -EBUSY: another daemon serves kind; why has its process id. Other -errno of
 * mkdir and open, why names the path.
 */
int rundir_open(struct rundir *r, const char *base, const char *daemon,
		const char *kind, char *why, size_t why_bytes);
void rundir_close(struct rundir *r);

/* fresh: an empty one in place of what is there. Else -ENOENT. */
int rundir_open_journal(const struct rundir *r, const struct rundir_name *name,
			bool fresh, int *fd);
void rundir_journal_path(const struct rundir *r, const struct rundir_name *name,
			 char *buf, size_t bytes);
/* Readers see the old text or the new one, never a part. */
int rundir_write_info(const struct rundir *r, const struct rundir_name *name,
		      const char *text);
/* The value of one key. -ENOENT: no file, or no such key. */
int rundir_read_info(const struct rundir *r, const struct rundir_name *name,
		     const char *key, char *buf, size_t bytes);
/* Calls fn for each device of kind that has a file, perhaps for each of its files. */
void rundir_each(const struct rundir *r, const char *kind,
		 void (*fn)(void *arg, uint32_t frontend_id, uint32_t devid), void *arg);
/* Both files; missing ones are fine. */
void rundir_remove(const struct rundir *r, const struct rundir_name *name);

#endif
