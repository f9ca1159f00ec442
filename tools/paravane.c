/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane(1): the control program's table of subcommands.
 *
 * Hides: how a subcommand is found. Must not know: XenStore, devices.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "paravane.h"
#include "util.h"

static const struct subcommand *const commands[] = {
	&attach_disk_command,
	&attach_nic_command,
	&bridge_command,
	&capture_command,
	&compare_command,
	&detach_command,
	&doctor_command,
	&explain_command,
	&limit_command,
	&list_command,
	&metrics_command,
	&mirror_command,
	&resize_command,
	&top_command,
	&trace_command,
	&upgrade_command,
	&watch_command,
	&why_command,
};

static void print_help(FILE *to)
{
	fputs("Usage: paravane COMMAND [ARGUMENT]...\n\n"
	      "Attaches, detaches, lists and explains the disks and network interfaces of Xen\n"
	      "guests, and the switches that the interfaces are on.\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-12s  %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help COMMAND  what a command takes\n\n"
	      "  --version     the version\n"
	      "  --help        this text\n\n"
	      "Exit status: 0 done, 1 error, 2 wrong usage, 3 the deadline passed,\n"
	      "4 no such device or domain, 5 exists already, 6 busy, 77 the machine lacks what a\n"
	      "comparison needs.\n", to);
}

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int unknown(const char *name)
{
	return complain(STATUS_USAGE, "no command \"%s\"; \"paravane help\" lists them", name);
}

static bool asks_for_help(const char *name)
{
	return !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help");
}

static int help(const char *name)
{
	const struct subcommand *command = name ? find(name) : NULL;

	if (name && !command && !asks_for_help(name))
		return unknown(name);
	if (command)
		fputs(command->help, stdout);
	else
		print_help(stdout);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct subcommand *command;

	log_open("paravane", LOG_LEVEL_WARNING);
	signal(SIGCHLD, SIG_DFL);	/* who started us may ignore the ends of children; we wait */
	if (!name) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (asks_for_help(name))
		return help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(name, "--version")) {
		puts("paravane " PACKAGE_VERSION);
		return STATUS_OK;
	}
	command = find(name);
	if (!command)
		return unknown(name);
	return command->run(argc - 1, argv + 1);
}
