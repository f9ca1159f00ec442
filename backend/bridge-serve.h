/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bridges of a net back end, and the ports that join and leave them.
 *
 * Hides: worker processes (one for each bridge that has a port), messages
 * (bridge.h), numbers of ports, deadlines. Must not know: XenStore, what a port's
 * owner wants it for. The loop's thread.
 *
 * A bridge begins when a port names it and ends with its last port. A worker that
 * crashes takes its ports along: each is told, by EOWNERDEAD, and may join anew with its
 * journal. A worker that a version of before left to us goes on until ours is ready, and then
 * ends; what ours is told meanwhile waits until then. When ours dies, or cannot begin, it goes on
 * until another of ours is ready.
 */
#ifndef PV_BRIDGE_SERVE_H
#define PV_BRIDGE_SERVE_H

#include <stdbool.h>
#include <sys/types.h>
#include "bridge.h"
#include "device.h"

struct bridges;
struct bridge_port;

struct bridge_vif_name {
	uint32_t domid, devid;
};

struct bridges_env {
	const struct backend_config *config;
	struct evloop *loop;
	uint32_t domid;			/* our own */
	uint32_t poll_us;		/* a worker's longest spin before it sleeps */
	struct flip_helper *flip;	/* who gives pages; NULL: nobody is to */
	void (*changed)(void *arg);	/* bridges_is_idle() may be true now */
	void *arg;
};

struct bridge_port_events {
	/* Once: it takes part in the bridge. */
	void (*added)(void *arg);
	/*
	 * Once, last: nothing of it is mapped or bound any more. why: NULL when it
	 * was asked to leave. The callee calls bridge_port_free().
	 */
	void (*gone)(void *arg, const struct failure *why);
	/* Once: a vif that asked for pages gets copies from now on. NULL: of an uplink. */
	void (*flip_ended)(void *arg, const struct failure *why);
};

/* env is copied. -ENOMEM. */
int bridges_open(const struct bridges_env *env, struct bridges **out);
/* Kills what runs. Accepts NULL. */
void bridges_close(struct bridges *b);
/* No worker runs. */
bool bridges_is_idle(const struct bridges *b);
/* The name of one whose worker, or a port of which, begins or ends; NULL: there is none. */
const char *bridges_unsettled(const struct bridges *b);
/* The workers, for the next version of this program. -errno. */
int bridges_hand_over(const struct bridges *b, struct takeover *t);
/*
 * A worker of a version before serves its ports yet: whoever was on that bridge goes on there,
 * before anything else.
 */
bool bridges_are_left(struct bridges *b, const char *name);
/* What a version before left; NULL: nothing, or all has been taken. */
struct takeover *bridges_takeover(const struct bridges *b);
/* Of a bridge that there is or will be; live. */
void bridges_configure(struct bridges *b, const char *name, uint32_t ageing_ms,
		       uint32_t move_ms);

/* The flip helper is ready, again: workers are introduced to it. */
void bridges_flip_ready(struct bridges *b);

/*
 * Its answer is an event: added or gone. name: the bridge's. journal_fd, figures_fd: as
 * struct netback_vif says; they stay the caller's. -ENOMEM, or -errno of starting a process. events
 * is kept, not copied.
 */
int bridges_join(struct bridges *b, const char *name, const struct bridge_vif *vif,
		 int journal_fd, int figures_fd, const struct bridge_port_events *events,
		 void *arg, struct bridge_port **out);
/* fd: a TAP device; stays the caller's. */
int bridges_join_uplink(struct bridges *b, const char *name, const struct bridge_uplink *up,
			int fd, const struct bridge_port_events *events, void *arg,
			struct bridge_port **out);
/* gone follows. Again is fine. */
void bridge_port_leave(struct bridge_port *p);
/* Before gone: no more events; it leaves. Accepts NULL. */
void bridge_port_free(struct bridge_port *p);
/* Live, without an answer. */
void bridge_port_set(struct bridge_port *p, const struct vswitch_port_config *cfg);
void bridge_port_set_rate(struct bridge_port *p, const struct bridge_rate *rate);
void bridge_port_set_limit(struct bridge_port *p, const struct limit *limit);
void bridge_port_set_multicast(struct bridge_port *p, bool on);
/* The vif that has this address as its only one, or is about to; false: none takes part. */
bool bridges_find_owner(struct bridges *b, const char *name, const uint8_t *mac,
			struct bridge_vif_name *out);
/* Its worker has ended: gone is told, or will be once others have been. */
bool bridge_port_is_over(const struct bridge_port *p);
/* In gone: its worker has ended, so that why is not the port's own doing. */
bool bridge_port_fell(const struct bridge_port *p);
/* The worker's; 0: it has ended. */
pid_t bridge_port_pid(const struct bridge_port *p);
const char *bridge_port_sandbox(const struct bridge_port *p);	/* as process_sandbox() */

/* ---- questions -------------------------------------------------------------------- */

/* Until done or captured, one of which comes unless it is forgotten. */
struct bridge_answers {
	void (*counted)(void *arg, const struct bridge_port_info *info,
			const struct vswitch_counters *counters);
	void (*listed)(void *arg, const struct vswitch_address *address);
	void (*done)(void *arg, const struct netback_stats *all, const struct failure *why);
	void (*captured)(void *arg, const struct bridge_captured *capture);
};

/* pid 0: none yet. */
void bridges_each(const struct bridges *b,
		  void (*fn)(void *arg, const char *name, uint32_t nr_ports, pid_t pid),
		  void *arg);
/* counted for each port. -ENOENT: no such bridge runs; -ENOMEM. answers is kept. */
int bridges_count(struct bridges *b, const char *name, const struct bridge_answers *answers,
		  void *arg);
/* listed for at most BRIDGE_LIST_MAX addresses. */
int bridges_list(struct bridges *b, const char *name, const struct bridge_answers *answers,
		 void *arg);
/*
 * Of a whole bridge, or (vif not NULL, name not looked at) of an interface. fd is the
 * caller's. -ENOENT: no such bridge or interface takes part.
 */
int bridges_capture(struct bridges *b, const char *name, const struct bridge_vif_name *vif,
		    uint32_t snaplen, int fd, const struct bridge_answers *answers, void *arg);
/* captured follows. */
void bridges_stop_capture(struct bridges *b, void *arg);
/* No more answers to arg; its captures end. */
void bridges_forget(struct bridges *b, void *arg);

#endif
