/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines by tables (front-cli.h).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front-cli.h"

#define OPTIONS_MAX 64u
#define ALL_COMMANDS (~0u)
#define OPTION_FOUND 1		/* what getopt_long() says of any in its table */

static struct front_args *cli_of(struct args *a)
{
	return (struct front_args *)a;
}

static void *member_of(const struct front_option *o, struct args *a)
{
	return (char *)a + o->at;
}

/* ---- mistakes ----------------------------------------------------------------------- */

static void complain(const struct front_args *a, const char *device, const char *fmt,
		     va_list ap)
{
	fprintf(stderr, "%s %s: ", a->program->name, a->command);
	if (device)
		fprintf(stderr, "%s: ", device);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int front_complain(const struct front_args *a, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(a, NULL, fmt, ap);
	va_end(ap);
	return status;
}

int front_complain_of(const struct front_args *a, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(a, a->device, fmt, ap);
	va_end(ap);
	return status;
}

/* ---- values ------------------------------------------------------------------------- */

int front_set_flag(const struct front_option *o, const char *value, struct args *a)
{
	(void)value;
	*(bool *)member_of(o, a) = true;
	return 0;
}

int front_set_text(const struct front_option *o, const char *value, struct args *a)
{
	*(const char **)member_of(o, a) = value;
	return 0;
}

int front_set_uint(const struct front_option *o, const char *value, struct args *a)
{
	uint64_t v;

	if (parse_u64(value, o->max, &v) < 0 || v < o->min)
		return -EINVAL;
	*(unsigned int *)member_of(o, a) = (unsigned int)v;
	return 0;
}

int front_set_size(const struct front_option *o, const char *value, struct args *a)
{
	static const char units[] = "KMGT";
	size_t n = strspn(value, "0123456789");
	const char *unit;
	char digits[24];
	int shift = 0;
	uint64_t v;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, value, n);
	digits[n] = 0;
	if (value[n]) {
		unit = strchr(units, value[n] & ~0x20);
		if (!unit || value[n + 1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
	}
	if (parse_u64(digits, UINT64_MAX >> shift, &v) < 0)
		return -EINVAL;
	*(uint64_t *)member_of(o, a) = v << shift;
	return 0;
}

int front_set_seconds(const struct front_option *o, const char *value, struct args *a)
{
	char *end;
	double v = strtod(value, &end);

	if (end == value || *end || !(v >= 0 && v < 1e6))
		return -EINVAL;
	*(double *)member_of(o, a) = v;
	return 0;
}

int front_choose(const char *const *words, const char *value)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(value, words[i]))
			return i;
	return -EINVAL;
}

static int set_timeout(const struct front_option *o, const char *value, struct args *a)
{
	uint64_t seconds;

	if (parse_u64(value, o->max, &seconds) < 0)
		return -EINVAL;
	cli_of(a)->timeout_ms = seconds ? (int)seconds * 1000 : -1;
	return 0;
}

/* ---- help ----------------------------------------------------------------------------- */

static const struct front_option common_options[] = {
	{ "quiet", NULL, ALL_COMMANDS, "no line that is not a result",
	  .set = front_set_flag, .at = offsetof(struct front_args, quiet) },
	{ "timeout", "SECONDS", ALL_COMMANDS,
	  "for opening and for closing (default 10; 0: for ever)",
	  .set = set_timeout, .max = 86400 },
	{ "help", NULL, ALL_COMMANDS, "this text", .set = NULL },	/* ends the parsing */
};

/* The program's options, then the common ones; NULL after the last. */
static const struct front_option *option_at(const struct front_program *p, unsigned int i)
{
	if (i < p->nr_options)
		return p->options + i;
	i -= p->nr_options;
	return i < ARRAY_LEN(common_options) ? common_options + i : NULL;
}

static const struct front_command *find_command(const struct front_program *p,
						const char *name)
{
	unsigned int i;

	for (i = 0; i < p->nr_commands; i++)
		if (!strcmp(name, p->commands[i].name))
			return p->commands + i;
	return NULL;
}

static void help_of_command(const struct front_program *p, const struct front_command *c)
{
	const struct front_option *o;
	char left[48];
	unsigned int i;

	printf("Usage: %s %s\n\n%s\n\nOptions:\n", p->name, c->synopsis, c->text);
	for (i = 0; (o = option_at(p, i)); i++) {
		if (!(o->commands & c->mask))
			continue;
		snprintf(left, sizeof(left), "--%s %s", o->name, o->arg ? o->arg : "");
		printf("  %-24s %s\n", left, o->help);
	}
}

static void help_of_program(const struct front_program *p)
{
	unsigned int i;

	printf("Usage: %s COMMAND [OPTIONS]\n\n%s\n\nCommands:\n", p->name, p->summary);
	for (i = 0; i < p->nr_commands; i++)
		printf("  %s\n", p->commands[i].synopsis);
	printf("  help [COMMAND]\n\n%s COMMAND --help shows a command's options, %s --version "
	       "the version.\n", p->name, p->name);
}

static int help(const struct front_program *p, const struct front_command *c)
{
	if (c)
		help_of_command(p, c);
	else
		help_of_program(p);
	printf("\nExit status: 0 done, 1 error, 2 wrong usage, 3 %s, 130 interrupted.\n", p->no);
	return EXIT_OK;
}

/* ---- parsing -------------------------------------------------------------------------- */

static int bad_value(const struct front_args *a, const struct front_option *o,
		     const char *value)
{
	char range[64];

	snprintf(range, sizeof(range), "a number from %u to %u", o->min, o->max);
	return front_complain(a, EXIT_USAGE, "--%s: '%s' is not %s; see %s %s --help", o->name,
			      value, o->expected ? o->expected : range, a->program->name,
			      a->command);
}

/* What getopt did not like; word is where it stopped. */
static int bad_option(const struct front_args *a, int id, const char *word)
{
	const char letter[] = { '-', (char)optopt, 0 };

	if (id == '?' && optopt > OPTION_FOUND)
		word = letter;
	return front_complain(a, EXIT_USAGE, id == ':' ? "%s needs a value; see %s %s --help" :
			      optopt == OPTION_FOUND ? "%s: it takes no value; see %s %s --help" :
			      "no option %s; see %s %s --help",
			      word, a->program->name, a->command);
}

/* -1 to go on, or the exit status. */
static int parse(const struct front_command *c, struct args *a, int argc, char **argv)
{
	const struct front_option *o, *known[OPTIONS_MAX];
	struct option table[OPTIONS_MAX + 1] = { 0 };
	struct front_args *cli = cli_of(a);
	unsigned int i, nr = 0;
	int id, at;

	for (i = 0; (o = option_at(cli->program, i)) && nr < OPTIONS_MAX; i++) {
		if (!(o->commands & c->mask))
			continue;
		table[nr] = (struct option){ o->name, o->arg ? required_argument : no_argument,
					     NULL, OPTION_FOUND };
		known[nr++] = o;
	}
	optind = 1;
	while ((id = getopt_long(argc, argv, ":", table, &at)) != -1) {
		if (id != OPTION_FOUND)
			return bad_option(cli, id, argv[optind - 1]);
		if (!known[at]->set)
			return help(cli->program, c);
		if (known[at]->set(known[at], optarg, a) < 0)
			return bad_value(cli, known[at], optarg);
	}
	cli->argc = argc - optind;
	cli->argv = argv + optind;
	if (c->words_max < 0 || cli->argc <= c->words_max)
		return -1;
	return front_complain(cli, EXIT_USAGE, "'%s' is a word too many; see %s %s --help",
			      cli->argv[c->words_max], cli->program->name, cli->command);
}

static int no_command(const struct front_program *p, const char *name)
{
	unsigned int i;

	fprintf(stderr, "%s: no command '%s'; the commands are ", p->name, name);
	for (i = 0; i < p->nr_commands; i++)
		fprintf(stderr, "%s%s", p->commands[i].name, i + 2 < p->nr_commands ? ", " :
			i + 2 == p->nr_commands ? " and " : "\n");
	return EXIT_USAGE;
}

static bool asks_for_help(const char *name)
{
	return !strcmp(name, "--help") || !strcmp(name, "help");
}

int front_main(const struct front_program *p, struct args *a, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	bool is_help = name && asks_for_help(name);
	const struct front_command *c;
	int r;

	log_open(p->name, LOG_LEVEL_INFO);
	if (!name) {
		fprintf(stderr, "%s: which command? Try %s --help\n", p->name, p->name);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "--version")) {
		printf("%s %s\n", p->name, PACKAGE_VERSION);
		return EXIT_OK;
	}
	if (is_help && (argc == 2 || asks_for_help(argv[2])))
		return help(p, NULL);
	c = find_command(p, argv[1 + is_help]);
	if (!c)
		return no_command(p, argv[1 + is_help]);
	if (is_help)
		return help(p, c);
	cli_of(a)->program = p;
	cli_of(a)->command = c->name;
	r = parse(c, a, argc - 1, argv + 1);
	return r < 0 ? c->run(a) : r;
}
