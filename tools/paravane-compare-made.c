/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report's part on how a run was made: on what machine, with which versions, by which
 * commands. See paravane-compare-report.h. Hides which of it is known. Must not know the
 * page. All text of a comparison goes through html_text().
 */
#include <string.h>

#include "paravane-compare-report.h"

const char *compare_place(const struct comparison *c)
{
	return !strcmp(c->where, "kvm") ? "a virtual machine of the tool's own, local Xen" :
	       !strcmp(c->where, "xenhost") ? "real Xen under QEMU" :
	       !strcmp(c->where, "xen") ? "a Xen host" : c->where;
}

static void put_fact(FILE *f, const char *name, const char *text)
{
	if (!*text)
		return;
	fputs("<dt>", f);
	html_text(f, name);
	fputs("</dt><dd>", f);
	html_text(f, text);
	fputs("</dd>\n", f);
}

static void put_number(FILE *f, const char *name, double n, int digits, const char *unit)
{
	if (counted(n))
		fprintf(f, "<dt>%s</dt><dd>%.*f%s</dd>\n", name, digits, n, unit);
}

/* ---- what was run --------------------------------------------------------------------- */

static void put_code(FILE *f, const char *command)
{
	fputs("<code>", f);
	html_text(f, command);
	fputs("</code>", f);
}

static void put_commands(FILE *f, const struct comparison *c)
{
	json_t *command;
	size_t i;

	if (!json_array_size(c->commands))
		return;
	fputs("<p>What was run for all of it, each once, whichever rows it was for:</p>\n<ul>\n", f);
	json_array_foreach(c->commands, i, command) {
		fputs("<li>", f);
		put_code(f, json_string_value(command));
		fputs("</li>\n", f);
	}
	fputs("</ul>\n", f);
}

/* What made the load, row by row: long, so it is shown to who opens it. */
static void put_loads(FILE *f, const struct comparison *c)
{
	bool any = false;

	for (unsigned int i = 0; i < c->nr; i++) {
		const struct compare_record *r = &c->records[i];

		if (!*r->command)
			continue;
		fputs(any ? "" : "<details>\n<summary>What made the load, row by row</summary>\n<ul>\n", f);
		any = true;
		fputs("<li>", f);
		html_text(f, r->table);
		fputs(": ", f);
		html_text(f, r->label);
		fputs(": ", f);
		put_code(f, r->command);
		fputs("</li>\n", f);
	}
	fputs(any ? "</ul>\n</details>\n" : "", f);
}

void compare_put_run(FILE *f, const struct comparison *c)
{
	const char *name;
	json_t *version;

	fputs("<dl class=\"words\">\n", f);
	put_fact(f, "command", c->command);
	put_fact(f, "begun", c->started);
	put_fact(f, "where", compare_place(c));
	put_fact(f, "clock", c->clock);
	put_fact(f, "CPU", c->cpu);
	put_number(f, "CPUs", c->cpus, 0, "");
	put_number(f, "memory", c->memory_mib, 0, " MiB");
	put_fact(f, "kernel", c->kernel);
	put_fact(f, "hypervisor", *c->hypervisor ? c->hypervisor : "none seen");
	put_fact(f, "frequency governor", *c->governor ? c->governor : "not known");
	put_number(f, "load at the beginning", c->load_average, 2, "");
	put_number(f, "image", c->image_mib, 0, " MiB");
	put_number(f, "length of a measurement", c->run_ms, 0, " ms");
	put_number(f, "rounds", c->rounds, 0, "");
	put_number(f, "a guest's instruction", c->guest_instruction_ns, 3, " ns");
	json_object_foreach(c->versions, name, version)
		put_fact(f, name, json_string_value(version));
	fputs("</dl>\n", f);
	put_commands(f, c);
	put_loads(f, c);
}
