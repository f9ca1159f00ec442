/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that serves nothing: it keeps the supervisor's protocol, or breaks
 * it as $PV_STUB says.
 *
 * Hides: nothing. Must not know: rings. Each incarnation adds a letter to the
 * journal: "f" when it starts fresh, "r" when it is to replay.
 *
 *   (nothing)	keeps the protocol	fail	FAILED at start
 *   broken	BROKEN after READY	crash	ends after READY, always
 *   deaf	ignores STOP		slow	READY only after STOP came
 *   mute	takes no RESIZE		garbage	once, the first: no message after READY
 *   wrong	the same, a message that is the supervisor's
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "image.h"
#include "worker.h"

static void say(uint32_t type, int err, const char *text)
{
	struct worker_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.version = WORKER_VERSION;
	msg.type = type;
	if (type == WORKER_READY) {
		snprintf(msg.engine, sizeof(msg.engine), "%s", text);
	} else {
		msg.failure.err = err;
		snprintf(msg.failure.reason, sizeof(msg.failure.reason), "%s", text);
	}
	worker_send(WORKER_FD, &msg, NULL, 0);
}

/* It goes on as if nothing were; only the supervisor can end it. */
static void talk_nonsense(bool garbage)
{
	if (garbage && write(WORKER_FD, "garbage", 7) != 7)
		exit(1);
	if (!garbage)
		say(WORKER_START, 0, "");
	for (;;)
		pause();
}

/* No other descriptor than these may have been inherited. */
static void check_descriptors(const int *fds)
{
	char path[64], to[256];
	int fd;

	for (fd = WORKER_FD + 1; fd < 256; fd++) {
		if (fd == fds[0] || fd == fds[1])
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, to, sizeof(to)) > 0) {
			say(WORKER_FAILED, EBADF, "inherited a descriptor");
			exit(0);
		}
	}
}

static void take_resize(struct worker_msg *msg)
{
	const char *stub = getenv("PV_STUB");

	msg->type = WORKER_RESIZED;
	if (!stub || strcmp(stub, "mute"))
		worker_send(WORKER_FD, msg, NULL, 0);
}

static void wait_for(uint32_t type)
{
	struct worker_msg msg;
	int rc;

	while (!(rc = worker_receive(WORKER_FD, &msg, NULL, NULL))) {
		if (msg.type == type)
			return;
		if (msg.type == WORKER_RESIZE)
			take_resize(&msg);
	}
	exit(rc == -EPIPE ? 0 : 1);
}

int main(void)
{
	const char *stub = getenv("PV_STUB") ? getenv("PV_STUB") : "";
	struct worker_msg msg;
	unsigned nr_fds = 2;
	int fds[2] = { -1, -1 };

	signal(SIGTERM, SIG_IGN);
	if (worker_receive(WORKER_FD, &msg, fds, &nr_fds) || nr_fds != 2)
		return 1;
	check_descriptors(fds);
	if (write(fds[1], "", 0) < 0 || lseek(fds[1], 0, SEEK_END) < 0 ||
	    write(fds[1], msg.start.replay ? "r" : "f", 1) != 1)
		return 1;
	if (image_fence(fds[0], msg.start.share, msg.start.frontend_id, msg.start.devid))
		return 1;
	if (!strcmp(stub, "fail")) {
		say(WORKER_FAILED, ENOENT, "gref 8 cannot be mapped");
		return 0;
	}
	if (!strcmp(stub, "slow"))
		wait_for(WORKER_STOP);
	say(WORKER_READY, 0, "stub");
	if (!strcmp(stub, "crash"))
		raise(SIGKILL);
	if (!msg.start.replay && (!strcmp(stub, "garbage") || !strcmp(stub, "wrong")))
		talk_nonsense(!strcmp(stub, "garbage"));
	if (!strcmp(stub, "broken"))
		say(WORKER_BROKEN, EPROTO, "req_prod is 4000000000");
	if (!strcmp(stub, "deaf"))
		for (;;)
			pause();
	if (strcmp(stub, "slow"))
		wait_for(WORKER_STOP);
	say(WORKER_STOPPED, 0, "");
	return 0;
}
