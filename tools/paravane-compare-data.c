/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the JSON of a comparison. See paravane-compare-data.h. What is in a file was
 * written by anybody: every member's type and range is checked, unknown ones are left.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane-compare-data.h"
#include "paravane.h"
#include "util.h"

/* Nothing that is counted here comes near; more would only spoil what is drawn. */
#define NUMBER_MAX 1e18
#define TEXT_MAX 4096u
#define RECORDS_MAX 10000u

enum field_type { TEXT, NUMBER };

struct field {
	const char *key;
	enum field_type type;
	bool required;
	size_t at;
};

#define RECORD(key, type, required) { #key, type, required, offsetof(struct compare_record, key) }
static const struct field record_fields[] = {
	RECORD(table, TEXT, true), RECORD(label, TEXT, true), RECORD(device, TEXT, true),
	RECORD(model, TEXT, true), RECORD(operation, TEXT, true), RECORD(changed, TEXT, false),
	RECORD(not_equal, TEXT, false), RECORD(guest, TEXT, false),
	RECORD(back_end, TEXT, false), RECORD(command, TEXT, false), RECORD(block_bytes, NUMBER, false),
	RECORD(frame_bytes, NUMBER, false), RECORD(depth, NUMBER, false),
	RECORD(ops_per_s, NUMBER, true), RECORD(bytes_copied_per_byte, NUMBER, false),
	RECORD(ops, NUMBER, false), RECORD(wall_ns, NUMBER, false),
	RECORD(latency_mean_ns, NUMBER, false), RECORD(latency_p50_ns, NUMBER, false),
	RECORD(latency_p99_ns, NUMBER, false), RECORD(exits, NUMBER, false),
	RECORD(port_exits, NUMBER, false), RECORD(mmio_exits, NUMBER, false),
	RECORD(call_exits, NUMBER, false), RECORD(hypercalls, NUMBER, false),
	RECORD(halts, NUMBER, false), RECORD(notifications_sent, NUMBER, false),
	RECORD(interrupts, NUMBER, false), RECORD(frames_sent, NUMBER, false),
	RECORD(frames_lost, NUMBER, false), RECORD(vcpu_cpu_ns, NUMBER, false),
	RECORD(vcpu_guest_cpu_ns, NUMBER, false), RECORD(dom0_cpu_ns, NUMBER, false),
	RECORD(back_end_cpu_ns, NUMBER, false),
};

#define RUN(key, type, required) { #key, type, required, offsetof(struct comparison, key) }
static const struct field run_fields[] = {
	RUN(where, TEXT, true), RUN(clock, TEXT, true), RUN(started, TEXT, true),
	RUN(command, TEXT, false), RUN(image_mib, NUMBER, false), RUN(run_ms, NUMBER, false),
	RUN(rounds, NUMBER, false), RUN(guest_instruction_ns, NUMBER, false),
};
static const struct field machine_fields[] = {
	RUN(cpu, TEXT, true), RUN(kernel, TEXT, true), RUN(hypervisor, TEXT, false),
	RUN(governor, TEXT, false), RUN(cpus, NUMBER, false), RUN(memory_mib, NUMBER, false),
};

/* Where in which file, for complaints. */
struct place {
	const char *file, *in;
	unsigned int index;		/* of results, from 1; 0: not there */
};

static int wrong(const struct place *p, const char *key, const char *expected)
{
	if (p->index)
		return complain(STATUS_ERROR, "%s: \"%s\" of result %u: expected %s", p->file,
				key, p->index, expected);
	return complain(STATUS_ERROR, "%s: \"%s\"%s%s: expected %s", p->file, key,
			*p->in ? " of " : "", p->in, expected);
}

static int take_text(const struct place *p, const struct field *f, const json_t *value,
		     const char **out)
{
	*out = "";
	if (!f->required && (!value || json_is_null(value)))
		return STATUS_OK;
	if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
		return wrong(p, f->key, f->required ? "a text" : "a text or null");
	*out = json_string_value(value);
	return STATUS_OK;
}

static int take_number(const struct place *p, const struct field *f, const json_t *value,
		       double *out)
{
	*out = NAN;
	if (!f->required && (!value || json_is_null(value)))
		return STATUS_OK;
	*out = json_is_number(value) ? json_number_value(value) : -1;
	if (*out >= 0 && *out <= NUMBER_MAX)
		return STATUS_OK;
	return wrong(p, f->key, f->required ? "a number from 0 to 1e18" :
					      "a number from 0 to 1e18, or null");
}

static int take_fields(const struct place *p, const struct field *fields, size_t nr,
		       const json_t *object, void *out)
{
	int status = STATUS_OK;

	for (size_t i = 0; !status && i < nr; i++) {
		const json_t *value = json_object_get(object, fields[i].key);
		void *member = (char *)out + fields[i].at;

		if (!value && fields[i].required)
			status = wrong(p, fields[i].key, "it to be there");
		else if (fields[i].type == TEXT)
			status = take_text(p, &fields[i], value, member);
		else
			status = take_number(p, &fields[i], value, member);
	}
	return status;
}

/* Three numbers; the first is of the last minute. */
static int take_load(const struct place *p, const json_t *machine, double *out)
{
	static const struct field one = { "load_average", NUMBER, true, 0 };
	const json_t *value = json_object_get(machine, "load_average");

	*out = NAN;
	if (!value || json_is_null(value))
		return STATUS_OK;
	if (!json_is_array(value) || json_array_size(value) != 3)
		return wrong(p, "load_average", "three numbers or null");
	return take_number(p, &one, json_array_get(value, 0), out);
}

static int take_machine(const struct place *at, struct comparison *c)
{
	const struct place p = { at->file, "machine", 0 };
	const json_t *machine = json_object_get(c->json, "machine");
	int status;

	if (!json_is_object(machine))
		return wrong(at, "machine", "an object");
	status = take_fields(&p, machine_fields, ARRAY_LEN(machine_fields), machine, c);
	return status ? status : take_load(&p, machine, &c->load_average);
}

/* An array of texts; NULL: none. */
static int take_list(const struct place *p, const char *key, const struct comparison *c,
		     json_t **out)
{
	json_t *value;
	size_t i;

	*out = json_object_get(c->json, key);
	if (json_is_null(*out))
		*out = NULL;
	if (*out && !json_is_array(*out))
		return wrong(p, key, "an array of texts");
	json_array_foreach(*out, i, value)
		if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
			return wrong(p, key, "an array of texts");
	return STATUS_OK;
}

/* Of "versions", an object of texts, and of the arrays of texts. */
static int take_texts(const struct place *p, struct comparison *c)
{
	const char *key;
	json_t *value;
	int status;

	c->versions = json_object_get(c->json, "versions");
	if (json_is_null(c->versions))
		c->versions = NULL;
	if (c->versions && !json_is_object(c->versions))
		return wrong(p, "versions", "an object of texts");
	json_object_foreach(c->versions, key, value)
		if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
			return wrong(p, "versions", "an object of texts");
	status = take_list(p, "notes", c, &c->notes);
	return status ? status : take_list(p, "commands", c, &c->commands);
}

static bool one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(word, *words))
		words++;
	return *words;
}

static int take_record(struct place *p, const json_t *value, struct compare_record *r)
{
	int status;

	if (!json_is_object(value))
		return wrong(p, "results", "an object");
	status = take_fields(p, record_fields, ARRAY_LEN(record_fields), value, r);
	if (!status && !one_of(r->device, (const char *const[]){ "disk", "nic", NULL }))
		status = wrong(p, "device", "disk or nic");
	return status;
}

static int take_results(const struct place *at, struct comparison *c)
{
	const json_t *results = json_object_get(c->json, "results");
	struct place p = { at->file, "", 0 };
	size_t nr = json_array_size(results);
	int status = STATUS_OK;

	if (!nr || nr > RECORDS_MAX)
		return wrong(at, "results", "an array of 1 to 10000 objects");
	c->records = calloc(nr, sizeof(*c->records));
	if (!c->records)
		return complain(STATUS_ERROR, "%s: %s", at->file, strerror(ENOMEM));
	for (c->nr = 0; !status && c->nr < nr; c->nr++) {
		p.index = c->nr + 1;
		status = take_record(&p, json_array_get(results, c->nr), &c->records[c->nr]);
	}
	return status;
}

static int take_all(struct comparison *c)
{
	const struct place p = { c->name, "", 0 };
	const json_t *value = json_object_get(c->json, "guest_is_interpreted");
	int status;

	if (!json_is_object(c->json))
		return complain(STATUS_ERROR, "%s: expected an object, as paravane compare --json "
				"writes it", c->name);
	status = take_fields(&p, run_fields, ARRAY_LEN(run_fields), c->json, c);
	if (!status && !one_of(c->clock, (const char *const[]){ "real", "instructions", NULL }))
		status = wrong(&p, "clock", "real or instructions");
	if (!status && value && !json_is_boolean(value) && !json_is_null(value))
		status = wrong(&p, "guest_is_interpreted", "true, false or null");
	c->guest_is_interpreted = json_is_true(value);
	if (!status)
		status = take_machine(&p, c);
	if (!status)
		status = take_texts(&p, c);
	return status ? status : take_results(&p, c);
}

int comparison_open(json_t *json, const char *name, struct comparison **out)
{
	struct comparison *c = calloc(1, sizeof(*c));
	int status;

	*out = NULL;
	if (!c || !json) {
		json_decref(json);
		free(c);
		return complain(STATUS_ERROR, "%s: %s", name, strerror(ENOMEM));
	}
	c->json = json;
	c->name = name;
	status = take_all(c);
	if (status)
		comparison_close(c);
	else
		*out = c;
	return status;
}

int comparison_open_file(const char *path, struct comparison **out)
{
	json_error_t error;
	FILE *f = fopen(path, "re");
	json_t *json;

	*out = NULL;
	if (!f)
		return complain(STATUS_ERROR, "%s: %s", path, strerror(errno));
	json = json_loadf(f, JSON_REJECT_DUPLICATES, &error);
	fclose(f);
	if (!json)
		return complain(STATUS_ERROR, "%s: line %d, column %d: no JSON: %s", path,
				error.line, error.column, error.text);
	return comparison_open(json, path, out);
}

void comparison_close(struct comparison *c)
{
	if (!c)
		return;
	free(c->records);
	json_decref(c->json);
	free(c);
}

/* ---- what follows from it ------------------------------------------------------- */

double compare_per_op(const struct compare_record *r, double total)
{
	return r->ops >= 1 ? total / r->ops : NAN;
}

bool compare_is_nic(const struct compare_record *r)
{
	return !strcmp(r->device, "nic");
}

double compare_rate(const struct compare_record *r)
{
	return compare_is_nic(r) ? r->ops_per_s * r->frame_bytes * 8 / 1e6 :
	       r->ops_per_s * r->block_bytes / 1048576;
}

unsigned int compare_table_rows(const struct compare_record *records, unsigned int nr)
{
	unsigned int n = nr ? 1 : 0;

	while (n < nr && !strcmp(records[n].table, records->table))
		n++;
	return n;
}
