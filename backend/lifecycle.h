/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a back end does next, from how things stand now.
 *
 * Hides: the order of a device's life: attach, wait for the hotplug script,
 * connect, close, reconnect, detach, and every interruption of these. Must not
 * know: XenStore, processes, kinds of devices. A pure function.
 *
 * The state of a device is never followed by counting events: whatever happened
 * since the last look, the caller describes how things are (a view), does the
 * one step that comes back, and asks again until that is LIFECYCLE_WAIT. So
 * events may be lost, doubled or merged, and a front end may write states in
 * any order at any speed.
 *
 * Which front ends want what (seen in their sources):
 *   Linux      1 -> 3 -> 4; detach: our 5 -> its 6, or 5 first (up to 5.13)
 *              while a mounted disk goes on with I/O, 6 after the last close
 *              after a crash (kdump) 5 -> (our 5 exactly, or 5 s) -> 6 -> (our 6)
 *              -> 1 -> (our 2)
 *   mini-os    1 -> 4; closes 5 -> (our 5 or 6) -> 6 -> (our 6) -> 1 -> (our 2)
 *   GRUB       4 -> 6 without 5, waits for our 6, then 1
 *   xl         waits for our 2 exactly, runs the script; detach: our 5, waits
 *              for our 6
 */
#ifndef PV_LIFECYCLE_H
#define PV_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/io/xenbus.h>

enum lifecycle_worker {		/* what serves the device */
	LIFECYCLE_IDLE,		/* nothing runs, nothing is mapped */
	LIFECYCLE_STARTING,
	LIFECYCLE_SERVING,
	LIFECYCLE_STOPPING,
};

struct lifecycle_view {
	/* from the store */
	bool exists;			/* our directory */
	XenbusState back, front;	/* front is Closed for a dead domain */
	bool online;			/* 0: nobody wants the device any more */
	bool complete;			/* all that the tool stack must say is there */
	bool script_pending, script_failed;
	/* ours */
	enum lifecycle_worker worker;
	bool ready;			/* the backing store is open and published */
	bool refused;			/* tried as things stand, and failed */
	uint64_t refused_inputs;	/* for these words of the tool stack's */
	bool failed;			/* what served it gave up: error is written */
	bool resumable;			/* a predecessor's journal fits the front end */
	bool differs;			/* ... is there, of this format, and does not */
	bool not_resumed;		/* what was to go on with it has ended, for want of
					   something that may come yet */
	bool resized;			/* what serves it has taken another size than
					   the one published */
	bool unseen;			/* our 5, to a front end at 5 that may wait for it */
	bool close_overdue;		/* the deadline of a detach has passed */
	bool put_off;			/* something waits until an upgrade is over */
	bool removes;			/* detached directories are ours to remove */
};

enum lifecycle_step {
	LIFECYCLE_WAIT,		/* nothing to do until something changes */
	LIFECYCLE_ANNOUNCE,	/* publish what is known without the store; state 2 */
	LIFECYCLE_OPEN,		/* open the backing store, publish; state 2 */
	LIFECYCLE_CONNECT,	/* read the front end's nodes, start a worker */
	LIFECYCLE_RESUME,	/* the same, going on where a predecessor ended */
	LIFECYCLE_CONNECTED,	/* write state 4 */
	LIFECYCLE_RESIZED,	/* publish the size, write state 4 once more */
	LIFECYCLE_CLOSING,	/* write state 5 */
	LIFECYCLE_STOP,		/* ask the worker to end */
	LIFECYCLE_RELEASE,	/* close the backing store */
	LIFECYCLE_CLOSED,	/* write state 6 */
	LIFECYCLE_REMOVE,	/* remove our directory */
	LIFECYCLE_SCRIPT_FAILED, /* refuse: the hotplug script said error */
	LIFECYCLE_FORGET,	/* free the device */
};

enum lifecycle_step lifecycle_next(const struct lifecycle_view *v);
const char *lifecycle_step_name(enum lifecycle_step step);

#endif
