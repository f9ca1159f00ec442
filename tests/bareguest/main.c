/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest from its first C instruction to its last: brings the parts up, runs the
 * commands of its command line, says how many passed, powers off. Hides how the
 * command line is cut; must not know what a command does.
 */
#include <errno.h>
#include <string.h>

#include "bare.h"
#include "hypercall.h"

#define LINE_BYTES 1024

void bare_main(const struct start_info *si);

struct command {
	const char *name;
	int (*run)(const struct words *w);
	const char *words;		/* that it takes, for a person */
};

static const struct command commands[] = {
	{ "disk", cmd_disk, "disk ID [MIB] [verify|bench]" },
	{ "net", cmd_net, "net ID receive|send|bench-receive|bench-send ..." },
	{ "store", cmd_store, "store" },
	{ "events", cmd_events, "events" },
	{ "memory", cmd_memory, "memory" },
	{ "flip", cmd_flip, "flip receive NR DOMID [HOW]" },
	{ "hostile", cmd_hostile, "hostile disk|net ID SECONDS grants|ports|storm|die" },
	{ "idle", cmd_idle, "idle SECONDS" },
	{ "trap", cmd_trap, "trap" },
};

int usage(const char *text)
{
	say("usage: %s\n", text);
	return -EINVAL;
}

bool number(const char *word, uint64_t *out)
{
	uint64_t v = 0;

	if (!*word)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return false;
		v = v * 10 + (uint64_t)(*word - '0');
	}
	*out = v;
	return true;
}

static const struct command *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_NR(commands); i++)
		if (!strcmp(commands[i].name, name))
			return commands + i;
	say("no command %s; there are:\n", name);
	for (i = 0; i < ARRAY_NR(commands); i++)
		say("    %s\n", commands[i].words);
	return NULL;
}

/* Cuts text into its words, in place. */
static void split(char *text, struct words *w)
{
	w->nr = 0;
	for (;;) {
		while (*text == ' ')
			*text++ = 0;
		if (!*text || w->nr == ARRAY_NR(w->word))
			return;
		w->word[w->nr++] = text;
		while (*text && *text != ' ')
			text++;
	}
}

/* What the tool stack adds of its own (root=..., console=...) is no command. */
static bool is_setting(const char *word)
{
	for (; *word; word++)
		if (*word == '=')
			return true;
	return false;
}

static int run(char *text)
{
	const struct command *c;
	struct words w;
	uint64_t start = time_ns();
	unsigned int skip = 0;
	int r = -ENOENT;

	split(text, &w);
	while (skip < w.nr && is_setting(w.word[skip]))
		skip++;
	w.nr -= skip;
	memmove(w.word, w.word + skip, w.nr * sizeof(w.word[0]));
	if (!w.nr)
		return 1;
	c = find(w.word[0]);
	if (c)
		r = c->run(&w);
	say("bareguest: %s: %s (%lu ms)\n", w.word[0], r < 0 ? "failed" : "passed",
	    (time_ns() - start) / 1000000);
	return r < 0 ? r : 0;
}

static void run_all(char *line)
{
	unsigned int passed = 0, failed = 0;
	char *end;
	int r;

	for (; line; line = end) {
		for (end = line; *end && *end != ';'; end++)
			;
		if (*end)
			*end++ = 0;
		else
			end = NULL;
		r = run(line);
		passed += r == 0;
		failed += r < 0;
	}
	say("bareguest: %u passed, %u failed\n", passed, failed);
}

void bare_main(const struct start_info *si)
{
	static char line[LINE_BYTES];
	long version;

	memory_init(si);
	events_init();
	console_init(si);
	traps_init();
	time_init();
	version = xen_version(XENVER_version, NULL);
	say("bareguest: %lu pages on Xen %ld.%ld, %lu ms after the host's start\n", si->nr_pages,
	    version >> 16, version & 0xffff, time_ns() / 1000000);
	grants_init();
	store_init(si);
	memcpy(line, si->cmd_line, sizeof(line) - 1);
	run_all(line);
	console_flush();
	shutdown(SHUTDOWN_poweroff);
}
