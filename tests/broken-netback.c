/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As broken-blkback.c, of the net back end:
 *
 *	worker	its workers crash at once	port	when they are given an interface
 *	journal	its journals are of another format	uplink	they take no uplink
 *	tap	it takes over no TAP device
 *	once	one of its workers crashes at once, if there is a file of its name with .once
 *	poor	they cannot begin, while there is a file of its name with .poor, and there is
 *		none at all for the first uplink
 *	gap	none of these: before it looks at anything, its file's name with .sh is run
 *
 * Hides: nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "backend.h"
#include "bridge-serve.h"
#include "netback.h"
#include "upgrade.h"
#include "uplink.h"

int __real_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out);
int __wrap_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out);
int __real_netback_open(const struct netback_config *cfg, struct netback **out);
int __wrap_netback_open(const struct netback_config *cfg, struct netback **out);
int __real_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *out,
			   char *why, size_t why_bytes);
int __wrap_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *out,
			   char *why, size_t why_bytes);
int __real_netback_add_uplink(struct netback *nb, int fd, bool offloads,
			      const struct vswitch_port_config *port, struct log_peer *log,
			      uint32_t *out);
int __wrap_netback_add_uplink(struct netback *nb, int fd, bool offloads,
			      const struct vswitch_port_config *port, struct log_peer *log,
			      uint32_t *out);
int __real_bridges_join_uplink(struct bridges *b, const char *name, const struct bridge_uplink *up,
			       int fd, const struct bridge_port_events *events, void *arg,
			       struct bridge_port **out);
int __wrap_bridges_join_uplink(struct bridges *b, const char *name, const struct bridge_uplink *up,
			       int fd, const struct bridge_port_events *events, void *arg,
			       struct bridge_port **out);
int __real_uplink_adopt(const struct uplink_config *cfg, int fd, int state, struct uplink **out,
			char *why, size_t why_bytes);
int __wrap_uplink_adopt(const struct uplink_config *cfg, int fd, int state, struct uplink **out,
			char *why, size_t why_bytes);
const char *__real_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes);
const char *__wrap_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes);

/* Before the sandbox: the worker has no name for its program afterwards. */
static bool is(const char *how)
{
	static char path[4096];
	char *dash;

	if (!path[0] && readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return false;
	dash = strrchr(path, '-');
	return dash && !strcmp(dash + 1, how);
}

static bool is_poor(void)
{
	return is("poor") && !system("test -e \"$(readlink /proc/$PPID/exe).poor\"");
}

int __wrap_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out)
{
	if (is("gap") && config->takeover &&
	    system("sh -e \"$(readlink /proc/$PPID/exe).sh\""))
		fprintf(stderr, "the gap's script failed\n");
	return __real_backend_open(loop, xs, kind, config, out);
}

int __wrap_netback_open(const struct netback_config *cfg, struct netback **out)
{
	if (is("once") && !system("rm \"$(readlink /proc/$PPID/exe).once\" 2>/dev/null"))
		raise(SIGKILL);
	if (is_poor())
		return -ENOMEM;
	if (is("worker"))
		raise(SIGKILL);	/* which no sanitizer makes a report of */
	return __real_netback_open(cfg, out);
}

int __wrap_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *out,
			   char *why, size_t why_bytes)
{
	if (is("port"))
		__builtin_trap();
	return __real_netback_add_vif(nb, cfg, out, why, why_bytes);
}

int __wrap_netback_add_uplink(struct netback *nb, int fd, bool offloads,
			      const struct vswitch_port_config *port, struct log_peer *log,
			      uint32_t *out)
{
	return is("uplink") ? -ENOMEM :
	       __real_netback_add_uplink(nb, fd, offloads, port, log, out);
}

int __wrap_bridges_join_uplink(struct bridges *b, const char *name, const struct bridge_uplink *up,
			       int fd, const struct bridge_port_events *events, void *arg,
			       struct bridge_port **out)
{
	static bool had_one;

	if (!had_one && is_poor()) {
		had_one = true;
		return -EAGAIN;
	}
	return __real_bridges_join_uplink(b, name, up, fd, events, arg, out);
}

int __wrap_uplink_adopt(const struct uplink_config *cfg, int fd, int state, struct uplink **out,
			char *why, size_t why_bytes)
{
	if (!is("tap"))
		return __real_uplink_adopt(cfg, fd, state, out, why, why_bytes);
	snprintf(why, why_bytes, "no room for %s", cfg->ifname);
	return -ENOMEM;
}

const char *__wrap_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes)
{
	return __real_upgrade_refuses(formats, journal_version + is("journal"), why, why_bytes);
}
