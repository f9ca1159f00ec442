/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flip helper's life, seen from the supervisor (flip-serve.h).
 *
 * Hides: where the program is. Must not know: what it does.
 */
#include "flip-serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flip.h"
#include "process.h"
#include "util.h"

#define PROGRAM "paravane-flip"
#define AGAIN_MS 1000
#define FIRST_WORD_MS 10000
#define LEAVE_MS 2000

struct flip_helper {
	struct evloop *loop;
	const struct backend_config *config;
	void (*changed)(void *arg);
	void *arg;
	struct process *process;
	struct evsource *again;
	bool ready, is_open;
	bool refused;			/* for good: it said why */
};

static void start(struct flip_helper *h);

static void set_ready(struct flip_helper *h, bool ready)
{
	if (h->ready == ready)
		return;
	h->ready = ready;
	if (h->is_open)
		h->changed(h->arg);
}

static bool on_heard(void *arg, int sock)
{
	struct flip_helper *h = arg;
	struct flip_hello hello;
	int fd = -1, rc = flip_receive_hello(sock, &hello, &fd);

	close_fd(&fd);
	if (rc == -EPROTO)
		log_error(PROGRAM " is of another version: page flip is off");
	if (rc)
		return false;
	if (hello.type == FLIP_REFUSED) {
		h->refused = true;
		log_warning("page flip is off: %s", hello.failure.reason);
	} else {
		log_info("page flip is offered");
		set_ready(h, true);
	}
	return true;
}

static void on_ended(void *arg, bool killed, const char *how)
{
	struct flip_helper *h = arg;

	(void)killed;
	process_free(h->process);
	h->process = NULL;
	if (h->refused)
		return;
	log_error(PROGRAM " %s; frames are copied until it runs again", how);
	set_ready(h, false);
	evloop_set_timer(h->again, AGAIN_MS, 0);
}

static const struct process_events events = { .heard = on_heard, .ended = on_ended };

/* Beside our own program, wherever that was started from. */
static int helper_path(char *out, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", out, bytes - sizeof(PROGRAM));
	char *slash;

	if (n < 0)
		return -errno;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return -ENOENT;
	strcpy(slash + 1, PROGRAM);
	return access(out, X_OK) ? -errno : 0;
}

static void start(struct flip_helper *h)
{
	char path[4096];
	const struct process_options o = {
		.program = path, .name = PROGRAM, .title = "page-flip",
		.log_level = h->config->log_level, .stop_ms = h->config->stop_ms,
		.user = h->config->user, .seccomp = h->config->seccomp,
	};
	int rc = helper_path(path, sizeof(path));

	if (!rc)
		rc = process_open(h->loop, &o, &events, h, &h->process);
	if (!rc)
		rc = process_start(h->process, &o);
	if (!rc)
		return;
	log_error("page flip is off: %s cannot be started: %s", path, strerror(-rc));
	process_free(h->process);
	h->process = NULL;
}

static void on_again(void *arg, uint32_t what)
{
	(void)what;
	start(arg);
}

bool flip_helper_ready(const struct flip_helper *h)
{
	return h && h->ready;
}

int flip_helper_connect(struct flip_helper *h, int *sock)
{
	struct flip_hello join = { .version = FLIP_VERSION, .type = FLIP_JOIN };
	int pair[2], rc;

	if (!flip_helper_ready(h))
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	rc = flip_send_hello(process_sock(h->process), &join, pair[1]);
	close(pair[1]);
	if (rc)
		close(pair[0]);
	else
		*sock = pair[0];
	return rc;
}

/* So that the first interfaces are offered what there is. */
static void hear_first_word(struct flip_helper *h)
{
	struct pollfd fd = { .events = POLLIN };

	if (!h->process)
		return;
	fd.fd = process_sock(h->process);
	while (poll(&fd, 1, FIRST_WORD_MS) > 0 && process_take_note(h->process))
		;
	if (poll(&fd, 1, 0) > 0)
		on_heard(h, fd.fd);	/* an end of the stream stays one, for the loop */
}

int flip_helper_open(struct evloop *loop, const struct backend_config *config,
		     void (*changed)(void *arg), void *arg, struct flip_helper **out)
{
	struct flip_helper *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->config = config;
	h->changed = changed;
	h->arg = arg;
	rc = evloop_add_timer(loop, on_again, h, &h->again);
	if (rc) {
		free(h);
		return rc;
	}
	start(h);
	hear_first_word(h);
	h->is_open = true;
	*out = h;
	return 0;
}

int flip_helper_hand_over(const struct flip_helper *h, struct takeover *t)
{
	return h && h->process ? takeover_add(t, TAKEOVER_WORKER, PROGRAM, process_pid(h->process),
					      process_sock(h->process)) : 0;
}

void flip_helper_close(struct flip_helper *h)
{
	if (!h)
		return;
	/* Its pages go back to the hypervisor. */
	process_leave(h->process, LEAVE_MS);
	process_free(h->process);
	evloop_remove(h->again);
	free(h);
}
