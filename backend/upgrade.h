/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replacing a running daemon by another version of its program, while its guests are served.
 *
 * Hides: what is asked of the new program first, when the old one may be left, how whoever asked
 * learns what came of it. Must not know: devices, workers (device.h hands them over, and takes
 * them). The loop's thread.
 *
 *	the version that runs		the one that comes
 *	SIGHUP: reads the request
 *	runs it once with
 *	--upgrade-check=A.B	->	can it start here, can it go on from our journals?
 *				<-	its version, or why not: then that is the end of it
 *	waits until no device
 *	starts or stops; none
 *	does for its front end
 *	until all is over
 *	execve()		->	the same process: takes the descriptors, serves
 *					XenStore; the workers have noticed nothing. Each is
 *					replaced: a successor is prepared, the old one reads the
 *					end of its socket, the successor goes on by the journal
 *	(execve() again)	<-	if that cannot be done: back, with the reason
 *					writes what came of it
 *
 * The process id stays. Request and answer are text files in the run directory
 * ("vbd.upgrade-request", "vbd.upgrade"), so that any version's tool understands any version's
 * daemon: lines key=value; request: id, program; answer: id, status (upgraded, refused,
 * returned), from, to, reason, and for each device device=KIND-DOMID-DEVID MICROSECONDS.
 * A request appears whole, under a name that has none. Who asked removes the answer; the next
 * upgrade waits for that, for some seconds.
 */
#ifndef PV_UPGRADE_H
#define PV_UPGRADE_H

#include "backend.h"

#define UPGRADE_ANSWER "upgrade"
#define UPGRADE_REQUEST "upgrade-request"

struct upgrade;

struct upgrade_env {
	struct evloop *loop;
	struct backend *backend;
	const struct device_kind *kind;
	/* takeover in it is closed, and set to NULL, when all has been taken over */
	struct backend_config *config;
	char *const *argv;
	const char *version;
	uint32_t journal_version;
	const char *notify_socket;	/* the service manager's, for the next version; or NULL */
};

/* Takes over what config says was left to us, if any. env is copied. -errno. */
int upgrade_open(const struct upgrade_env *env, struct upgrade **out);
/* Accepts NULL. */
void upgrade_close(struct upgrade *u);
/* SIGHUP's: looks for a request; without one, it is the program of the same name. */
void upgrade_begin(struct upgrade *u);
/*
 * --upgrade-check's argument, of a version that runs. NULL: we can go on from what it leaves;
 * else why not.
 */
const char *upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
			    size_t why_bytes);

#endif
