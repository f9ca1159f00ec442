/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that copies an image to another while a worker writes it: the mirror's helper.
 *
 * Hides: what is copied when, holes and zeros, how fast, when what was copied is made
 * durable. Must not know: rings, XenStore, what the copy is for (mirror.h).
 *
 * Why the copy is right in the end:
 *
 *   - Every write, and every discard, of the worker is marked in the map after it is in the
 *     source and before the guest is told (dirty-map.h). A chunk's bit is cleared before
 *     the chunk is read. So at any time each write that the guest has been told of is in
 *     the target, or its chunk is dirty.
 *   - A chunk that is written while it is read may be read torn. That write is marked when
 *     it ends, after the bit was cleared: the chunk is copied again.
 *   - Reads of the guest go to the source alone, and hinder nothing.
 *   - Where the source has a hole, or zeros, the target gets a hole or zeros, by looking
 *     after the bit was cleared: never by what was known before.
 *   - The source is read as the worker writes it, through the page cache or past it, so that
 *     no stale page is copied.
 *   - FINISH comes when nobody writes the source any more and nothing is on its way to it:
 *     then no bit is set anew, the map becomes empty, and source and target are equal.
 *     What was written to the target is made durable before FINISHED is said: so what the
 *     guest flushed before it is durable in the target, as is all else. A flush of the
 *     guest before that is the source's: until the end it is the source that counts.
 *   - An error of the target, or of its last fdatasync, is said and ends all; nobody takes a
 *     copy for whole that has had one. All writes are of this process, by one descriptor
 *     opened before the first, and by plain calls: once it has been reaped none is
 *     on its way, and no error has been told to somebody else.
 */
#ifndef PV_MIRROR_COPY_H
#define PV_MIRROR_COPY_H

#include "sandbox.h"
#include "worker.h"

/*
 * Until the supervisor at the other end of sock hangs up (worker.h has the messages). fds:
 * source, target, map; all its own. The whole map is to be dirty at first, by who made it.
 * Returns the process's exit status. sandbox as worker_main().
 */
int mirror_copy_main(int sock, const struct sandbox *sandbox, const struct worker_copy *what,
		     const int fds[3]);

#endif
