/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane limit: what a device may do in a second, shown and changed.
 *
 * Hides: how a change is waited for, and shown. Must not know: how nodes are spelled,
 * what a limit means to whom.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-json.h"
#include "paravane-limit.h"
#include "util.h"

#define DEFAULT_WAIT_MS 10000

static const char help_text[] =
"Usage: paravane limit DOMAIN DEVICE [NAME=NUMBER | none]... [OPTION]...\n"
"\n"
"Shows what a disk or network interface may do in a second, or changes it: what is\n"
"named, and nothing else. The back end follows at once, and so does one that is\n"
"started later. NUMBER may end with k, M, G (of 1000) or Ki, Mi, Gi (of 1024), and\n"
"one of bytes with B; 0 takes a limit away, \"none\" all of them.\n"
"\n"
"  Disks:           iops, bytes-per-second; read-... and write-... of each\n"
"                   (all that is no read is a write); what a rest saves up:\n"
"                   iops-burst, bytes-burst, read-..., write-...; and\n"
"                   iops-size-bytes: a request of more counts as several\n"
"  Interfaces:      packets-per-second, bytes-per-second, packets-burst,\n"
"                   bytes-burst; tx-... (what the guest sends) and rx-... of each;\n"
"                   and weight, 1 to 10000 (default 100): what it may send, in\n"
"                   proportion to others of its switch, while all want more\n"
"\n"
"  --json           an object with domid, device, devid, kind, backend_domid, limit\n"
"                   (as set) and in_force (as kept to; null: nothing serves it)\n"
"  --backend DOMAIN the domain whose back end serves it; default: as found\n"
"  --kind KIND      vbd, vbd3, vif ...; default: as found\n"
"  --wait SECONDS   deadline for the back end to keep to a change (default 10)\n"
"  --no-wait        returns when it is written\n"
"\n"
"Exit status: 0 shown, or kept to, 1 error, 2 wrong usage, 3 the deadline passed,\n"
"4 no such domain or device.\n";

enum { OPT_JSON = 256 };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_NO_WAIT, OPTION_HELP,
	{ 0 }
};

struct setting {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	enum limit_device of;
	struct limit limit;		/* as set */
	char words[LIMIT_TEXT_BYTES];	/* of the change, as one */
	bool json;
	char label[160];
};

/* ---- words ------------------------------------------------------------------------ */

int limit_words(const struct subcommand *command, enum limit_device of, const char *text,
		struct limit *l)
{
	const char *at = text, *lonely;

	if (limit_parse(of, text, l, &at))
		return complain_usage(command, "\"%s\": %s is expected", at,
				      of == LIMIT_OF_DISK ?
				      "a limit such as iops=500, read-bytes-per-second=10MiB or iops-burst=2k" :
				      "a limit such as rx-packets-per-second=5k, tx-bytes-per-second=10M or bytes-burst=1MiB, or a weight from 1 to 10000");
	lonely = limit_lonely_burst(of, l);
	if (lonely)
		return complain_usage(command, "%s: nothing is saved up without the limit that it is of",
				      lonely);
	return STATUS_OK;
}

int limit_option(const struct subcommand *command, enum limit_device of, const char *text,
		 struct limit *l, char all[LIMIT_TEXT_BYTES])
{
	size_t used = strlen(all);
	int n = snprintf(all + used, LIMIT_TEXT_BYTES - used, "%s%s", used ? "," : "", text);

	if (n >= (int)(LIMIT_TEXT_BYTES - used))
		return complain_usage(command, "--limit: too many words");
	return limit_words(command, of, text, l);
}

/* ---- showing ---------------------------------------------------------------------- */

static void print_words(const struct setting *s, const char *when, const struct limit *l)
{
	uint64_t number;
	const char *name;

	printf("%s: %s", s->label, when);
	for (uint32_t i = 0; (name = limit_each(s->of, l, i, &number)); i++)
		if (number)
			printf(" %s=%" PRIu64, name, number);
	puts(limit_is_none(l) ? " no limit" : "");
}

static void print_member(const struct setting *s, const char *member, const struct limit *l)
{
	printf(", \"%s\": ", member);
	json_limit(s->of, l);
}

/* False: nothing serves it, or what does knows no limits. */
static bool read_in_force(const struct setting *s, struct limit *out)
{
	struct toolstack_view view;
	char text[LIMIT_TEXT_BYTES];
	int rc = limit_read_in_force(s->store.xs, s->dev.back_dir, text);

	*out = (struct limit){ .request_bytes = 0 };
	if (!rc)
		return !limit_parse(s->of, text, out, NULL);
	toolstack_look(s->store.xs, s->dev.backend_domid, s->dev.kind, s->dev.domid,
		       s->dev.devid, &view);
	return rc == -ENOENT && view.back == XenbusStateConnected && limit_is_none(&s->limit);
}

static void show(const struct setting *s)
{
	struct limit in_force;
	bool serves = read_in_force(s, &in_force);
	char device[32];

	if (s->json) {
		printf("{\"domid\": %u, \"device\": \"%s\", \"devid\": %u, \"kind\": \"%s\", \"backend_domid\": %u",
		       s->dev.domid, device_label(s->dev.kind, s->dev.devid, device, sizeof(device)),
		       s->dev.devid, s->dev.kind, s->dev.backend_domid);
		print_member(s, "limit", &s->limit);
		if (serves)
			print_member(s, "in_force", &in_force);
		puts(serves ? "}" : ", \"in_force\": null}");
		return;
	}
	if (serves && !memcmp(&in_force, &s->limit, sizeof(in_force))) {
		print_words(s, "in force:", &s->limit);
		return;
	}
	print_words(s, "set:", &s->limit);
	if (serves)
		print_words(s, "in force:", &in_force);
}

/* ---- changing --------------------------------------------------------------------- */

static int change(struct setting *s)
{
	int rc = toolstack_set_limit(s->store.xs, s->dev.backend_domid, s->dev.kind,
				     s->dev.domid, s->dev.devid, s->of, s->words,
				     s->common.wait_ms);

	if (rc == -ETIMEDOUT)
		return complain(STATUS_TIMEOUT,
				"%s: the limit is written, and after %g s its back end does not say that it keeps to it; is that %s, and does it run?",
				s->label, s->common.wait_ms / 1000.0,
				words_of(s->dev.kind)->program);
	if (rc == -ENOENT)
		return complain(STATUS_NO_SUCH, "%s: has gone", s->label);
	if (rc == -EINVAL)
		return complain(STATUS_ERROR, "%s: somebody else has changed its limits meanwhile, and these do not go with them",
				s->label);
	return rc ? complain(STATUS_ERROR, "%s: %s", s->label, strerror(-rc)) : STATUS_OK;
}

static int read_now(struct setting *s)
{
	struct key_error err = { .expected = "" };
	int rc = limit_read(s->store.xs, s->dev.back_dir, s->of, &s->limit, &err);

	if (rc == -EINVAL) {
		complain(STATUS_OK, "%s: what is set is not valid: %s; it is not in force",
			 s->label, err.value);
		s->limit = (struct limit){ .request_bytes = 0 };
		return STATUS_OK;
	}
	return rc ? complain(STATUS_ERROR, "%s: %s", s->label, strerror(-rc)) : STATUS_OK;
}

/* All at once: a burst may stand before its limit. What is wrong is said before a change. */
static int take_words(struct setting *s, int nr, char **words)
{
	struct limit changed = s->limit;
	size_t used = 0, bytes = sizeof(s->words);

	for (int i = 0; i < nr; i++) {
		int n = snprintf(s->words + used, bytes - used, "%s%s", i ? "," : "", words[i]);

		if (n >= (int)(bytes - used))
			return complain_usage(&limit_command, "limit: too many words");
		used += (size_t)n;
	}
	return limit_words(&limit_command, s->of, s->words, &changed);
}

/* ---- the command ------------------------------------------------------------------ */

static int parse(struct setting *s, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &limit_command, &s->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		s->json |= opt == OPT_JSON;
	}
	return common_operands(&limit_command, argc, 2, 34);
}

static void name_device(struct setting *s)
{
	char domain[96], device[32];

	s->of = is_nic(s->dev.kind) ? LIMIT_OF_NIC : LIMIT_OF_DISK;
	snprintf(s->label, sizeof(s->label), "%s of %s",
		 device_label(s->dev.kind, s->dev.devid, device, sizeof(device)),
		 domain_label(&s->store, s->dev.domid, domain, sizeof(domain)));
}

static void close_setting(struct setting *s)
{
	store_close(&s->store);
}

static int run(int argc, char **argv)
{
	struct setting s __attribute__((cleanup(close_setting))) = {
		.common.wait_ms = DEFAULT_WAIT_MS,
	};
	bool finished = false, changes;
	int status = parse(&s, argc, argv, &finished);

	if (status || finished)
		return status;
	deadline_set(s.common.wait_ms);
	status = store_open(&s.store);
	if (!status)
		status = store_find(&s.store, &s.common, argv[optind], argv[optind + 1], &s.dev);
	if (status)
		return status;
	name_device(&s);
	changes = argc - optind > 2;
	status = read_now(&s);
	if (!status && changes)
		status = take_words(&s, argc - optind - 2, argv + optind + 2);
	if (!status && changes)
		status = change(&s);
	if (!status && changes)
		status = read_now(&s);
	if (!status)
		show(&s);
	return status;
}

const struct subcommand limit_command = {
	.name = "limit",
	.summary = "shows or changes what a device may do in a second",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
