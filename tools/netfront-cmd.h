/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane-netfront share: their arguments and an open
 * interface.
 *
 * Hides: option parsing, signals, error lines. Must not know: what a subcommand
 * does with frames.
 */
#ifndef PV_NETFRONT_CMD_H
#define PV_NETFRONT_CMD_H

#include "front-linux.h"
#include "front-signals.h"
#include "netfront.h"
#include "util.h"

enum cmd_exit {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_NO_ANSWER = 3,	/* ping: nobody answered */
	EXIT_INTERRUPTED = 130,
};

/* ---- arguments: netfront-args.c ------------------------------------------------- */

struct args {
	const char *command;
	uint32_t devid;
	int timeout_ms;
	unsigned int poll_us;
	struct netfront_options net;
	bool json, quiet;
	bool hash, static_grants;
	/* tap */
	const char *ifname, *run;
	/* ping */
	uint8_t own_ip[4], peer_mac[6];
	bool has_own_ip, has_peer_mac, serve;
	unsigned int count, interval_ms, wait_ms;
	/* bench */
	const char *mode;
	unsigned int frame_bytes, batch;
	double seconds;
	/* the rest of the command line */
	int argc;
	char **argv;
};

/*
 * Parses argv after the command's name. Prints help or what is wrong, and
 * returns -1 to go on or the exit status to end with.
 */
int args_parse(struct args *a, const char *command, int argc, char **argv);
void args_help(const char *command);	/* NULL: of the program */
/* What is left over is a mistake: says so. 0 or EXIT_USAGE. */
int args_no_rest(const struct args *a);

/* ---- an open interface: netfront-main.c ------------------------------------------- */

struct session {
	const struct args *args;
	struct front_linux *fl;
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

/* ---- subcommands -------------------------------------------------------------------- */

int cmd_tap(const struct args *a);
int cmd_ping(const struct args *a);
int cmd_bench(const struct args *a);

#endif
