/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane(1) share (see paravane.h).
 *
 * Hides: option parsing, the words of complaints. Must not know: XenStore
 * (paravane-store.c), what a subcommand does.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane.h"
#include "util.h"

#define WAIT_MAX_SECONDS 86400.0

static void print_line(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("paravane: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int complain(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
	return status;
}

int complain_usage(const struct subcommand *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
	fprintf(stderr, "paravane: \"paravane help %s\" says what it takes\n", command->name);
	return STATUS_USAGE;
}

int complain_word(const struct subcommand *command, const char *word, const char *value,
		  const char *expected)
{
	return complain_usage(command, "%s=\"%s\": %s is expected", word, value, expected);
}

int parse_word(const struct subcommand *command, const char *word, const char *value,
	       uint32_t min, uint32_t max, uint32_t *out)
{
	char expected[64];
	uint64_t n;

	snprintf(expected, sizeof(expected), "a number from %u to %u", min, max);
	if (parse_u64(value, max, &n) || n < min)
		return complain_word(command, word, value, expected);
	*out = (uint32_t)n;
	return STATUS_OK;
}

/* ---- options ------------------------------------------------------------- */

static int parse_wait(const struct subcommand *command, const char *text, int *wait_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0 ||
	    seconds > WAIT_MAX_SECONDS)
		return complain_usage(command, "--wait \"%s\": seconds are expected, 0 to %.0f",
				      text, WAIT_MAX_SECONDS);
	*wait_ms = (int)(seconds * 1000.0 + 0.5);
	return STATUS_OK;
}

int parse_kind(const struct subcommand *command, const char *text, const char **kind)
{
	static const char *const expected[] = {
		[OF_DISKS] = "vbd, vbd3 or qdisk",
		[OF_NICS] = "vif or qnic",
		[OF_DISKS | OF_NICS] = "vbd, vbd3, qdisk, vif or qnic",
	};
	enum inventory_class of;

	if (inventory_class_of(text, &of) || !(command->classes & 1u << of))
		return complain_usage(command, "--kind \"%s\": %s is expected", text,
				      expected[command->classes]);
	*kind = text;
	return STATUS_OK;
}

int common_getopt(int argc, char **argv, const struct option *table,
		  const struct subcommand *command, struct common_options *common,
		  int *status)
{
	for (;;) {
		int opt = getopt_long(argc, argv, ":h", table, NULL);

		*status = STATUS_OK;
		switch (opt) {
		case 'h':
			fputs(command->help, stdout);
			return '?';
		case 'k':
			*status = parse_kind(command, optarg, &common->kind);
			break;
		case 'b':
			common->backend = optarg;
			break;
		case 'w':
			*status = parse_wait(command, optarg, &common->wait_ms);
			break;
		case 'W':
			common->wait_ms = 0;
			break;
		case '?':
			*status = complain_usage(command, "%s: unknown option \"%s\"",
						 command->name, argv[optind - 1]);
			break;
		case ':':
			*status = complain_usage(command, "%s: option \"%s\" needs a value",
						 command->name, argv[optind - 1]);
			break;
		default:
			return opt;
		}
		if (*status)
			return '?';
	}
}

int common_operands(const struct subcommand *command, int argc, int min, int max)
{
	int given = argc - optind;

	if (given < min)
		return complain_usage(command, "%s: %s", command->name,
				      given ? "an argument is missing" : "arguments are missing");
	if (given > max)
		return complain_usage(command, "%s: too many arguments", command->name);
	return STATUS_OK;
}
