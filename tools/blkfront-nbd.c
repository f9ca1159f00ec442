/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-blkfront nbd: starts nbdkit with our plugin. Hides where the plugin
 * is and how its options are spelled; must not know NBD or the device.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfront-cmd.h"
#include "socket-path.h"

#define PLUGIN "nbdkit-paravane-plugin.so"
#define WORDS_MAX 64

struct words {
	char *word[WORDS_MAX];
	int nr;
};

static void add(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *w, const char *fmt, ...)
{
	va_list ap;

	if (w->nr >= WORDS_MAX - 1)
		die("too many arguments for nbdkit");
	va_start(ap, fmt);
	if (vasprintf(&w->word[w->nr++], fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
}

/* Beside a program that was built but not installed; else where it was installed. */
static void find_plugin(char *buf, size_t bytes)
{
	const char *env = getenv("PARAVANE_NBDKIT_PLUGIN");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (env && *env) {
		snprintf(buf, bytes, "%s", env);
		return;
	}
	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		*slash = 0;
		snprintf(buf, bytes, "%s/.libs/" PLUGIN, self);
		if (access(buf, R_OK) == 0)
			return;
	}
	snprintf(buf, bytes, PKGLIBDIR "/" PLUGIN);
}

static void add_device(struct words *w, const struct args *a)
{
	add(w, "device=%u", a->cli.devid);
	add(w, "timeout-ms=%d", a->cli.timeout_ms);
	add(w, "poll-us=%u", a->cli.poll_us);
	if (a->ring_order_given)
		add(w, "ring-order=%d", a->blk.ring_order < 0 ? 0 : a->blk.ring_order);
	if (a->blk.depth)
		add(w, "depth=%u", a->blk.depth);
	if (a->blk.max_segments)
		add(w, "segments=%u", a->blk.max_segments);
	if (a->blk.nr_queues)
		add(w, "queues=%u", a->blk.nr_queues);
	if (a->blk.pool_pages)
		add(w, "pool-pages=%u", a->blk.pool_pages);
	if (a->blk.no_persistent)
		add(w, "persistent=0");
	if (a->blk.no_indirect)
		add(w, "indirect=0");
	if (a->blk.fresh_grants)
		add(w, "fresh-grants=1");
}

int cmd_nbd(const struct args *a)
{
	struct words w = { .nr = 0 };
	char plugin[PATH_MAX + 64];
	const char *why;
	int i;

	if (!a->socket == !a->run)
		return front_complain(&a->cli, EXIT_USAGE, "say --socket PATH, to serve there until "
				      "interrupted, or --run CMD, to serve while CMD runs");
	why = a->socket ? socket_path_clear(a->socket) : NULL;
	if (why)
		return front_complain(&a->cli, EXIT_ERROR, "%s: %s", a->socket, why);
	find_plugin(plugin, sizeof(plugin));
	add(&w, "nbdkit");
	add(&w, "--foreground");
	if (a->socket) {
		add(&w, "--unix");
		add(&w, "%s", a->socket);
	} else {
		add(&w, "--unix");
		add(&w, "-");
	}
	for (i = 0; i < a->cli.argc; i++)
		add(&w, "%s", a->cli.argv[i]);
	add(&w, "%s", plugin);
	add_device(&w, a);
	if (a->run) {
		add(&w, "--run");
		add(&w, "%s", a->run);
	}
	execvp(w.word[0], w.word);
	return front_complain(&a->cli, EXIT_ERROR, "cannot run nbdkit: %s; install Debian's nbdkit",
			      strerror(errno));
}
