/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli.h - the localxen command: what its subcommands share.
 *
 * Each subcommand gets argv with its own name first and returns an exit status.
 */
#ifndef LX_CLI_H
#define LX_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "lx.h"

/* Exit statuses of our own failures, as env(1) and timeout(1) have them. */
#define EXIT_OURS 125
#define EXIT_CANNOT_EXEC 126
#define EXIT_NOT_FOUND 127

int cmd_run(int argc, char **argv);
int cmd_domain(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_fail(int argc, char **argv);
int cmd_status(int argc, char **argv);

/* "localxen: ..." on stderr; returns EXIT_OURS. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with the usage hint of a subcommand. */
int cli_usage_error(const char *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Joins the instance that LOCALXEN_DIR names. 0, or EXIT_OURS after a message. */
int cli_connect(void);
/* A domain by number or name; -1 after a message. */
int cli_find_domain(const char *text);
/* The domain's slot, also when it is dying; -1 if there is none. */
int cli_slot_of(uint32_t domid);
/* Text to number, within [min, max]; false after a message naming what. */
bool cli_number(const char *what, const char *text, long min, long max, long *out);

/* cli_env.c: where things are, and what a domain's processes see. */
int cli_find_paths(void);
const char *cli_lib_dir(void);
/* "DIR/NAME" of a helper program or library; static storage per kind. */
void cli_helper_path(const char *name, char *out, size_t size);
void cli_store_path(const char *dir, uint32_t domid, char *out, size_t size);
/* Sets the environment of the calling process to that of a domain's processes. */
void cli_enter_domain(const char *dir, uint32_t domid);
/* Makes the calling process (a child) a helper: own session, quiet, infra. */
void cli_become_helper(const char *log_path);
/* Executes argv, or exits with 126 or 127 after a message. */
void cli_exec(char **argv) __attribute__((noreturn));

#endif
