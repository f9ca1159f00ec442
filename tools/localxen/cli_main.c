/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_main.c - the localxen command: which subcommand, and what all of them need.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"
#include "hv.h"

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "start a fresh Xen, run a command in its dom0, end it all" },
	{ "domain", cmd_domain, "make a guest; prints its domid" },
	{ "exec", cmd_exec, "run a command in a domain" },
	{ "destroy", cmd_destroy, "end a domain without goodbye" },
	{ "fail", cmd_fail, "make calls fail" },
	{ "status", cmd_status, "show domains, grants, ports, processes" },
};

int cli_error(const char *fmt, ...)
{
	va_list ap;

	fputs("localxen: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_OURS;
}

int cli_usage_error(const char *cmd, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "localxen %s: ", cmd);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'localxen %s --help'.\n", cmd);
	return EXIT_OURS;
}

int cli_connect(void)
{
	if (!getenv("LOCALXEN_DIR"))
		return cli_error("LOCALXEN_DIR is not set: this works inside "
				 "`localxen run -- ...` only");
	return lx_connect_tool() < 0 ? EXIT_OURS : 0;
}

int cli_slot_of(uint32_t domid)
{
	return domid < LX_DOMIDS ? lx.shm->slot_of[domid] - 1 : -1;
}

int cli_find_domain(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text && !*end && n < LX_DOMIDS && cli_slot_of(n) >= 0)
		return n;
	for (unsigned i = 0; i < LX_MAX_DOMS; i++) {
		struct lx_dom *d = &lx.shm->dom[i];

		if (d->state == LX_DOM_ALIVE && !strcmp(d->name, text))
			return d->domid;
	}
	cli_error("no domain %s; `localxen status` lists them", text);
	return -1;
}

bool cli_number(const char *what, const char *text, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 0);
	if (*text && !*end && !errno && *out >= min && *out <= max)
		return true;
	cli_error("%s: '%s' is not a number from %ld to %ld", what, text, min, max);
	return false;
}

static void usage(FILE *f)
{
	fputs("Usage: localxen COMMAND [OPTION]...\n"
	      "A Xen without Xen: the official libxen* calls on plain Linux, without root.\n\n",
	      f);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(f, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fputs("  help      what a command takes: 'localxen help COMMAND'\n\n"
	      "'localxen COMMAND --help' explains a command too, --version is the version.\n", f);
}

static bool asks_for_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static int run_command(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].fn(argc, argv);
	cli_error("no command '%s'", name);
	usage(stderr);
	return EXIT_OURS;
}

static int help(char *name)
{
	char option[] = "--help";
	char *argv[] = { name, option, NULL };

	if (name && !asks_for_help(name))
		return run_command(name, 2, argv);
	usage(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_OURS;
	}
	if (asks_for_help(argv[1]))
		return help(argv[2]);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("localxen " PACKAGE_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "hypervisor"))
		return hv_main(argc - 1, argv + 1);
	return run_command(argv[1], argc - 1, argv + 1);
}
