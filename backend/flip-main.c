/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-flip: the one program of the net back end that makes hypercalls.
 *
 * Hides: who asks it. Must not know: rings, frames, XenStore. paravane-netback starts
 * it, when told to; it is of no use by itself. Who holds /dev/xen/privcmd can do
 * whatever this domain can: so it is small, and what it is told is checked here, not
 * believed (flip.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "evloop.h"
#include "flip-pages.h"
#include "process.h"
#include "sandbox.h"
#include "util.h"

#define PROGRAM "paravane-flip"
#define MAX_FDS 4096u

static const char usage[] =
	"Usage: " PROGRAM " [--help|--version]\n"
	"Gives pages of memory to guests that receive frames by page transfer. Started by\n"
	"paravane-netback --page-flip; does nothing when started by hand.\n"
	"\n"
	"See " PROGRAM "(8).\n";

/* A bridge's worker. */
struct client {
	struct client *next;
	struct helper *helper;
	int sock;
	struct evsource *source;
	struct flip_pool pool;
};

struct helper {
	struct evloop *loop;
	struct evsource *supervisor;
	struct flip_pages *pages;
	struct client *clients;
	struct flip_batch batch;
};

/* ---- workers -------------------------------------------------------------------------- */

static void end_if_idle(struct helper *h)
{
	if (!h->supervisor && !h->clients)
		evloop_stop(h->loop);
}

static void free_client(struct client *c)
{
	struct helper *h = c->helper;
	struct client **at = &h->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	flip_pages_empty(h->pages, &c->pool);
	evloop_remove(c->source);
	close_fd(&c->sock);
	free(c);
	end_if_idle(h);
}

/* syscalls flip: poll ppoll */
/*
 * A worker that waits no longer has answered its senders, whose grants may be of
 * something else now: what it asked for is not begun.
 */
static bool has_gone(const struct client *c)
{
	struct pollfd fd = { .fd = c->sock, .events = POLLRDHUP };

	return poll(&fd, 1, 0) != 0;
}

/* A worker that does not read has no room for its answer: nobody waits for it. */
static void on_client(void *arg, uint32_t events)
{
	struct client *c = arg;
	struct helper *h = c->helper;
	struct flip_answer answer = { .nr_ops = 0 };
	int rc = flip_receive_batch(c->sock, &h->batch);

	(void)events;
	if (!rc && has_gone(c))
		rc = -EPIPE;
	if (!rc) {
		if (h->batch.type == FLIP_TRANSFER)
			flip_pages_transfer(h->pages, &c->pool, &h->batch, &answer);
		if (c->pool.nr < FLIP_POOL_PAGES / 2)
			flip_pages_fill(h->pages, &c->pool);
		answer.nr_pages = c->pool.nr;
		rc = flip_send_answer(c->sock, &answer);
	}
	if (!rc)
		return;
	if (rc != -EPIPE && rc != -ECONNRESET)
		log_error("a worker is not served any more: %s",
			  rc == -EAGAIN ? "it does not read its answers" : strerror(-rc));
	free_client(c);
}

/* syscalls flip: fcntl(F_SETFL) */
static void add_client(struct helper *h, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    evloop_add_fd(h->loop, fd, EPOLLIN, on_client, c, &c->source)) {
		log_error("a worker cannot be served: %s", strerror(errno));
		close_fd(&fd);
		free(c);
		return;
	}
	c->helper = h;
	c->sock = fd;
	c->next = h->clients;
	h->clients = c;
}

/* ---- the supervisor ---------------------------------------------------------------------- */

static void on_supervisor(void *arg, uint32_t events)
{
	struct helper *h = arg;
	struct flip_hello hello;
	int fd = -1, rc = flip_receive_hello(PROCESS_FD, &hello, &fd);

	(void)events;
	if (!rc && hello.type == FLIP_JOIN && fd >= 0) {
		add_client(h, fd);
		return;
	}
	close_fd(&fd);
	if (rc == -EPIPE) {	/* its workers end by themselves */
		evloop_remove(h->supervisor);
		h->supervisor = NULL;
		end_if_idle(h);
	} else {
		log_error("a message from the supervisor was refused");
	}
}

static int start(struct helper *h, const struct sandbox *sandbox, char *why, size_t why_bytes)
{
	int rc = flip_pages_open(&h->pages, why, why_bytes);

	if (rc)
		return rc;
	rc = evloop_open(&h->loop);
	if (!rc)
		rc = evloop_add_fd(h->loop, PROCESS_FD, EPOLLIN, on_supervisor, h,
				   &h->supervisor);
	if (!rc)
		rc = sandbox_write_no_files();
	if (!rc)
		rc = sandbox_before_loop(sandbox, MAX_FDS);
	if (!rc)
		rc = sandbox_final(sandbox, &sandbox_flip, PROCESS_FD);
	if (rc)
		snprintf(why, why_bytes, "cannot start: %s", strerror(-rc));
	return rc;
}

/* ---- main ---------------------------------------------------------------------------------- */

/* What process.h starts a worker with; a person asks for help. */
static void read_options(int argc, char **argv, enum log_level *level, bool *worker,
			 struct sandbox *sandbox)
{
	const char *user = NULL, *seccomp = NULL;
	static const struct option options[] = {
		{ "worker", no_argument, NULL, 'w' }, { "log-level", required_argument, NULL, 'l' },
		{ "user", required_argument, NULL, 'u' },
		{ "seccomp", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'w': *worker = true; break;
		case 'l': *level = strcmp(optarg, "debug") ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG; break;
		case 'u': user = optarg; break;
		case 's': seccomp = optarg; break;
		case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
		case 'v': puts(PROGRAM " " PACKAGE_VERSION); exit(EXIT_SUCCESS);
		default: exit(2);
		}
	if (sandbox_parse(sandbox, user, seccomp))
		exit(2);
}

/* syscalls start: rt_sigaction */
int main(int argc, char **argv)
{
	struct flip_hello hello = { .version = FLIP_VERSION, .type = FLIP_READY };
	enum log_level level = LOG_LEVEL_INFO;
	struct helper h = { .loop = NULL };
	struct sandbox sandbox;
	bool worker = false;
	int rc;

	read_options(argc, argv, &level, &worker, &sandbox);
	if (!worker) {
		fputs(PROGRAM ": is started by paravane-netback --page-flip; try --help\n", stderr);
		return 2;
	}
	log_open(PROGRAM, level);
	/* The supervisor's end is ours, not a terminal's word: pages would be lost. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	rc = sandbox_early();
	if (!rc)
		rc = start(&h, &sandbox, hello.failure.reason, sizeof(hello.failure.reason));
	if (rc) {
		hello.type = FLIP_REFUSED;
		hello.failure.err = -rc;
	}
	if (!flip_send_hello(PROCESS_FD, &hello, -1) && !rc)
		rc = evloop_run(h.loop);
	while (h.clients)
		free_client(h.clients);
	evloop_close(h.loop);
	flip_pages_close(h.pages);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
