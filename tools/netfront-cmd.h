/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane-netfront share: their arguments and an open
 * interface.
 *
 * Hides: what an interface needs before it can be used. Must not know: what a
 * subcommand does with frames.
 */
#ifndef PV_NETFRONT_CMD_H
#define PV_NETFRONT_CMD_H

#include "front-session.h"
#include "front-signals.h"
#include "netfront.h"

#define EXIT_NO_ANSWER EXIT_NO

/* ---- arguments: netfront-args.c ------------------------------------------------- */

struct args {
	struct front_args cli;
	struct netfront_options net;
	bool hash, static_grants, no_static_grants;
	/* tap */
	const char *ifname, *run;
	/* ping */
	uint8_t own_ip[4], peer_mac[6];
	bool has_own_ip, has_peer_mac, serve;
	unsigned int count, interval_ms, wait_ms;
	/* bench */
	const char *mode;
	unsigned int frame_bytes, batch, frames;
	bool verify;
	double seconds;
};

extern const struct front_program netfront_program;

/* ---- an open interface: netfront-main.c ------------------------------------------- */

struct session {
	const struct args *args;
	struct front_session front;
	struct netfront *n;
	struct netfront_info info;
	int static_pages;	/* that the back end keeps mapped */
};

/* Opens what args name; SIGINT and SIGTERM stop its waits. 0, or an exit status (printed). */
int session_open(struct session *s, const struct args *args);
/* Accepts the half-opened. Returns status, or worse if closing failed. */
int session_close(struct session *s, int status);
/* One line for a failed operation; returns the exit status. */
int session_error(struct session *s, int err, const char *what);
/* Whether to end: a signal, or the back end asks for the interface back. */
bool session_over(const struct session *s);

/* netfront-flip.c: receiving pages by transfer; NULL: this system cannot. */
const struct front_flip *flip_of_system(void);

/* ---- subcommands -------------------------------------------------------------------- */

int cmd_info(const struct args *a);
int cmd_tap(const struct args *a);
int cmd_ping(const struct args *a);
int cmd_bench(const struct args *a);

#endif
