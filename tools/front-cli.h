/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a program that drives a front end: PROGRAM COMMAND
 * [OPTIONS] [WORDS]. The program says in tables what commands and options it
 * has; parser and help use the same ones.
 *
 * Hides: getopt, help texts, what a value may look like, how a mistake is told.
 * Must not know: kinds of devices.
 */
#ifndef PV_FRONT_CLI_H
#define PV_FRONT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

enum cmd_exit {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_NO = 3,		/* it worked, and the answer is no: struct front_program's no */
	EXIT_INTERRUPTED = 130,
};

struct front_program;

/* What every command of every program has. A program's struct args begins with it. */
struct front_args {
	const struct front_program *program;
	const char *command;
	uint32_t devid;
	char device[24];	/* as a person would name it */
	int timeout_ms;		/* -1: for ever */
	unsigned int poll_us;
	bool json, quiet;
	int argc;		/* the words that are no options */
	char **argv;
};

/* Each program's own: { struct front_args cli; ... }. */
struct args;

struct front_command {
	const char *name;
	unsigned int mask;	/* its bit in front_option's commands */
	const char *synopsis, *text;
	int (*run)(const struct args *a);	/* returns an exit status */
	int words_max;		/* without options; -1: any number */
};

struct front_option;

/* Keeps value (NULL: a flag). 0 or -EINVAL. */
typedef int front_set_fn(const struct front_option *o, const char *value, struct args *a);

struct front_option {
	const char *name, *arg;	/* arg NULL: a flag */
	unsigned int commands;
	const char *help;
	front_set_fn *set;
	size_t at;		/* in struct args, where set keeps it */
	unsigned int min, max;
	const char *expected;	/* "a number of seconds"; NULL: min and max say it */
};

/* set and what it needs, for a member of struct args of the right type. */
#define FRONT_AT(type, member)							\
	.at = _Generic(((struct args *)0)->member, type: offsetof(struct args, member))
#define FRONT_FLAG(member)	.set = front_set_flag, FRONT_AT(bool, member)
#define FRONT_TEXT(member)	.set = front_set_text, FRONT_AT(const char *, member)
#define FRONT_UINT(member, least, most)						\
	.set = front_set_uint, FRONT_AT(unsigned int, member), .min = least, .max = most
/* 4096, 64K, 1M, 2G; into a uint64_t. */
#define FRONT_SIZE(member)							\
	.set = front_set_size, FRONT_AT(uint64_t, member),			\
	.expected = "a number of bytes such as 4096, 64K or 1G"
#define FRONT_SECONDS(member)							\
	.set = front_set_seconds, FRONT_AT(double, member),			\
	.expected = "a number of seconds"
/* Of the program's own. */
#define FRONT_OWN(function, what)	.set = function, .expected = what

front_set_fn front_set_flag, front_set_text, front_set_uint, front_set_size, front_set_seconds;
/* Which of the words (NULL-terminated) value is, or -EINVAL. */
int front_choose(const char *const *words, const char *value);

struct front_program {
	const char *name, *summary;
	const char *no;		/* what EXIT_NO means: "nobody answered" */
	const char *kind;	/* of the device in XenStore: vbd, vif */
	const char *noun;	/* device, interface */
	const struct front_command *commands;
	unsigned int nr_commands;
	const struct front_option *options;	/* beside --quiet, --timeout and --help */
	unsigned int nr_options;
};

/*
 * Runs the command that argv names with a, in which the defaults are. Serves
 * --help, --version and "help [COMMAND]" too. Returns the exit status.
 */
int front_main(const struct front_program *p, struct args *a, int argc, char **argv);

/*
 * A line "PROGRAM COMMAND: ..." on standard error, front_complain_of() "PROGRAM
 * COMMAND: DEVICE: ...". Return status.
 */
int front_complain(const struct front_args *a, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int front_complain_of(const struct front_args *a, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
