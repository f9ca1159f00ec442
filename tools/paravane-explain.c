/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane explain: one device, what its two ends offered and agreed on, what
 * that means, and what they wait for.
 *
 * Hides: what is shown and how. Must not know: the judgement
 * (paravane-meaning.h), the states' words (paravane-waits.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "paravane-json.h"
#include "paravane-meaning.h"

#define INDENT 13
#define COLUMNS 79

static const char help_text[] =
"Usage: paravane explain DOMAIN DEVICE [OPTION]...\n"
"\n"
"Says of a disk or network interface what each end offered, what they agreed on,\n"
"and what that means for speed and for the guest; and, when it is not connected,\n"
"which end waits for what. Works for devices that others serve, too.\n"
"\n"
"  DOMAIN           number or name\n"
"  DEVICE           xvda, sda1, 51712 ...; vif0, or an interface's address\n"
"\n"
"  --json           an object, as list prints it, with the explanation\n"
"  --backend DOMAIN the domain whose back end serves it; default: as found\n"
"  --kind KIND      vbd, vbd3, qdisk, vif or qnic; default: as found\n"
"\n"
"Exit status: 0 explained, connected or not, 1 error, 2 wrong usage, 3 XenStore does\n"
"not answer, 4 no such domain or device.\n";

enum { OPT_JSON = 256 };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_HELP,
	{ 0 }
};

struct explain {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	bool json;
};

/* ---- for people ------------------------------------------------------------- */

/* Fills lines, the first of which begins at column INDENT already. */
static void print_wrapped(const char *text)
{
	size_t at = INDENT;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (at > INDENT && at + 1 + word > COLUMNS) {
			printf("\n%*s", INDENT, "");
			at = INDENT;
		} else if (at > INDENT) {
			putchar(' ');
			at++;
		}
		fwrite(text, 1, word, stdout);
		at += word;
		text += word + strspn(text + word, " ");
	}
	putchar('\n');
}

static void print_row(const char *topic, const char *text)
{
	printf("  %-*s", INDENT - 2, topic);
	print_wrapped(text);
}

static const char *served_by(const struct device_view *v)
{
	if (is_of_qemu(v->dev->kind))
		return "QEMU";
	if (v->ours)
		return words_of(v->dev->kind)->program;
	return v->ends.back == XenbusStateInitialising ? "nobody yet" : "another back end";
}

/* what: its size or so; may be empty. topic and text: a row of its own, or NULL. */
static void print_head(struct explain *e, const struct device_view *v, const char *what,
		       const char *topic, const char *text)
{
	char domain[96], back[96];

	printf("%s of %s%s%s, kind %s, served by %s in %s\n", v->device,
	       domain_label(&e->store, v->dev->domid, domain, sizeof(domain)),
	       *what ? ": " : "", what, v->dev->kind, served_by(v),
	       domain_label(&e->store, v->dev->backend_domid, back, sizeof(back)));
	if (text)
		print_row(topic, text);
	print_row("back end", xenbus_state_name(v->ends.back));
	print_row("front end", xenbus_state_name(v->ends.front));
	if (v->waits[0])
		print_row("waits", v->waits);
}

static void print_meanings(const struct device_view *v, const struct meaning *m, unsigned n)
{
	if (n)
		printf("\n%s:\n", view_is_agreed(v) ? "Agreed" :
		       "The back end's offer, which no front end has answered");
	for (unsigned i = 0; i < n; i++) {
		print_row(m[i].topic, m[i].is);
		if (m[i].means[0])
			print_row("", m[i].means);
		if (m[i].advice[0])
			print_row("", m[i].advice);
	}
}

/* ---- for programs ------------------------------------------------------------- */

static void json_meanings(const struct meaning *m, unsigned n)
{
	fputs(",\n    \"explanation\": [", stdout);
	for (unsigned i = 0; i < n; i++) {
		printf("%s\n    {\n    \"topic\": \"%s\"", i ? "," : "", m[i].topic);
		json_text("is", m[i].is);
		json_text("means", m[i].means);
		json_text("advice", m[i].advice);
		fputs("\n    }", stdout);
	}
	putchar(']');
	json_device_end();
	putchar('\n');
}

/* ---- the two classes ------------------------------------------------------------- */

static void explain_disk(struct explain *e)
{
	struct meaning m[MEANINGS_MAX];
	struct disk_view v;
	char size[32] = "";
	unsigned n;

	disk_view_look(&e->store, &e->dev, &v);
	n = disk_meanings(&v, m);
	if (e->json) {
		json_disk_begin(&v);
		json_bool("agreed", view_is_agreed(&v.base));
		if (n) {
			json_number("requests_in_flight_max", view_requests_max(&v));
			json_number("request_bytes_max", view_request_bytes_max(&v));
		}
		json_meanings(m, n);
	} else {
		if (v.base.has_features)
			human_bytes(disk_view_bytes(&v), size, sizeof(size));
		print_head(e, &v.base, size, "image", v.ts.params);
		print_meanings(&v.base, m, n);
	}
	disk_view_close(&v);
}

static void explain_nic(struct explain *e)
{
	struct meaning m[MEANINGS_MAX];
	struct nic_view v;
	unsigned n;

	nic_view_look(&e->store, &e->dev, &v);
	n = nic_meanings(&v, m);
	if (e->json) {
		json_nic_begin(&v);
		json_bool("agreed", view_is_agreed(&v.base));
		json_meanings(m, n);
	} else {
		print_head(e, &v.base, "", "name", v.ts.vifname[0] ? v.ts.vifname : NULL);
		print_meanings(&v.base, m, n);
	}
}

/* ---- the command ---------------------------------------------------------------- */

static int parse(struct explain *e, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &explain_command, &e->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		e->json |= opt == OPT_JSON;
	}
	return common_operands(&explain_command, argc, 2, 2);
}

static int explain(struct explain *e)
{
	if (is_nic(e->dev.kind))
		explain_nic(e);
	else
		explain_disk(e);
	if (fflush(stdout) || ferror(stdout))
		return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	return STATUS_OK;
}

static void close_explain(struct explain *e)
{
	store_close(&e->store);
}

static int run(int argc, char **argv)
{
	struct explain e __attribute__((cleanup(close_explain))) = { 0 };
	bool finished = false;
	int status = parse(&e, argc, argv, &finished);

	if (status || finished)
		return status;
	status = store_open(&e.store);
	if (!status)
		status = store_find(&e.store, &e.common, argv[optind], argv[optind + 1], &e.dev);
	return status ? status : explain(&e);
}

const struct subcommand explain_command = {
	.name = "explain",
	.summary = "says what a device's two ends agreed on, and what it means",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
