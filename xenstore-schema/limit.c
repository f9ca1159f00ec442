/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's limits as text, and as nodes (limit.h). Must not know: buckets, stdio.
 */
#include "limit.h"

#include <errno.h>
#include <string.h>

#include "keys.h"
#include "xenbus-internal.h"

enum field { PER_SECOND, BURST, REQUEST_BYTES, WEIGHT };

struct name {
	const char *name;
	enum limit_unit unit;
	enum limit_way way;
	enum field field;
};

static const struct name of_disk[] = {
	{ "iops", LIMIT_REQUESTS, LIMIT_TOTAL, PER_SECOND },
	{ "read-iops", LIMIT_REQUESTS, LIMIT_IN, PER_SECOND },
	{ "write-iops", LIMIT_REQUESTS, LIMIT_OUT, PER_SECOND },
	{ "bytes-per-second", LIMIT_BYTES, LIMIT_TOTAL, PER_SECOND },
	{ "read-bytes-per-second", LIMIT_BYTES, LIMIT_IN, PER_SECOND },
	{ "write-bytes-per-second", LIMIT_BYTES, LIMIT_OUT, PER_SECOND },
	{ "iops-burst", LIMIT_REQUESTS, LIMIT_TOTAL, BURST },
	{ "read-iops-burst", LIMIT_REQUESTS, LIMIT_IN, BURST },
	{ "write-iops-burst", LIMIT_REQUESTS, LIMIT_OUT, BURST },
	{ "bytes-burst", LIMIT_BYTES, LIMIT_TOTAL, BURST },
	{ "read-bytes-burst", LIMIT_BYTES, LIMIT_IN, BURST },
	{ "write-bytes-burst", LIMIT_BYTES, LIMIT_OUT, BURST },
	{ "iops-size-bytes", LIMIT_BYTES, LIMIT_TOTAL, REQUEST_BYTES },
	{ NULL, 0, 0, 0 },
};

static const struct name of_nic[] = {
	{ "packets-per-second", LIMIT_REQUESTS, LIMIT_TOTAL, PER_SECOND },
	{ "tx-packets-per-second", LIMIT_REQUESTS, LIMIT_IN, PER_SECOND },
	{ "rx-packets-per-second", LIMIT_REQUESTS, LIMIT_OUT, PER_SECOND },
	{ "bytes-per-second", LIMIT_BYTES, LIMIT_TOTAL, PER_SECOND },
	{ "tx-bytes-per-second", LIMIT_BYTES, LIMIT_IN, PER_SECOND },
	{ "rx-bytes-per-second", LIMIT_BYTES, LIMIT_OUT, PER_SECOND },
	{ "packets-burst", LIMIT_REQUESTS, LIMIT_TOTAL, BURST },
	{ "tx-packets-burst", LIMIT_REQUESTS, LIMIT_IN, BURST },
	{ "rx-packets-burst", LIMIT_REQUESTS, LIMIT_OUT, BURST },
	{ "bytes-burst", LIMIT_BYTES, LIMIT_TOTAL, BURST },
	{ "tx-bytes-burst", LIMIT_BYTES, LIMIT_IN, BURST },
	{ "rx-bytes-burst", LIMIT_BYTES, LIMIT_OUT, BURST },
	{ "weight", LIMIT_REQUESTS, LIMIT_TOTAL, WEIGHT },
	{ NULL, 0, 0, 0 },
};

static const struct name *names_of(enum limit_device of)
{
	return of == LIMIT_OF_DISK ? of_disk : of_nic;
}

static uint64_t *field_of(struct limit *l, const struct name *n)
{
	struct limit_rate *rate = &l->rate[n->unit][n->way];

	switch (n->field) {
	case PER_SECOND: return &rate->per_second;
	case BURST: return &rate->burst;
	case WEIGHT: return &l->weight;
	default: return &l->request_bytes;
	}
}

bool limit_is_none(const struct limit *l)
{
	for (uint32_t unit = 0; unit < LIMIT_NR_UNITS; unit++)
		for (uint32_t way = 0; way < LIMIT_NR_WAYS; way++)
			if (l->rate[unit][way].per_second)
				return false;
	return !l->weight;
}

/* ---- text ------------------------------------------------------------------------ */

static int take_digits(const char **at, uint64_t *out)
{
	const char *c = *at;
	uint64_t v = 0;

	for (; *c >= '0' && *c <= '9'; c++) {
		v = v * 10 + (uint64_t)(*c - '0');
		if (v > LIMIT_MAX)
			return -EINVAL;
	}
	if (c == *at)
		return -EINVAL;
	*at = c;
	*out = v;
	return 0;
}

/* How often to multiply, from a suffix; by what. */
static uint32_t take_suffix(const char **at, uint64_t *base)
{
	static const char letters[] = "kMGT";
	const char *letter = **at ? strchr(letters, **at == 'K' ? 'k' : **at) : NULL;

	*base = 1000;
	if (!letter)
		return 0;
	++*at;
	if (**at == 'i') {
		*base = 1024;
		++*at;
	}
	return (uint32_t)(letter - letters) + 1;
}

static int take_amount(const char **at, enum limit_unit unit, uint64_t *out)
{
	uint64_t v = 0, base;
	uint32_t times;
	int rc;

	if (!strncmp(*at, "none", 4)) {
		*at += 4;
		*out = 0;
		return 0;
	}
	rc = take_digits(at, &v);
	if (rc)
		return rc;
	for (times = take_suffix(at, &base); times; times--) {
		v *= base;
		if (v > LIMIT_MAX)
			return -EINVAL;
	}
	if (unit == LIMIT_BYTES && **at == 'B')
		++*at;
	*out = v;
	return 0;
}

static const struct name *find_name(enum limit_device of, const char *text, size_t len)
{
	for (const struct name *n = names_of(of); n->name; n++)
		if (strlen(n->name) == len && !strncmp(n->name, text, len))
			return n;
	return NULL;
}

static int take_word(enum limit_device of, const char **at, struct limit *l)
{
	size_t len = strcspn(*at, "=,");
	const struct name *n = find_name(of, *at, len);
	const char *c = *at + len;
	int rc;

	if (!n || *c++ != '=')
		return -EINVAL;
	rc = take_amount(&c, n->unit, field_of(l, n));
	if (rc || (*c && *c != ',') || (n->field == WEIGHT && l->weight > LIMIT_WEIGHT_MAX))
		return -EINVAL;
	*at = c;
	return 0;
}

int limit_parse(enum limit_device of, const char *text, struct limit *l, const char **at)
{
	int rc = 0;

	if (!strcmp(text, "none")) {
		*l = (struct limit){ .request_bytes = 0 };
		return 0;
	}
	while (!rc && *text) {
		if (at)
			*at = text;
		rc = take_word(of, &text, l);
		if (!rc && *text == ',' && !*++text)
			rc = -EINVAL;
	}
	return rc;
}

const char *limit_lonely_burst(enum limit_device of, const struct limit *l)
{
	for (const struct name *n = names_of(of); n->name; n++) {
		const struct limit_rate *rate = &l->rate[n->unit][n->way];

		if (n->field == BURST && rate->burst && !rate->per_second)
			return n->name;
	}
	return NULL;
}

const char *limit_each(enum limit_device of, const struct limit *l, uint32_t i,
		       uint64_t *number)
{
	const struct name *n = &names_of(of)[i];
	struct limit copy = *l;

	if (n->name)
		*number = *field_of(&copy, n);
	return n->name;
}

void limit_format(enum limit_device of, const struct limit *l, char buf[LIMIT_TEXT_BYTES])
{
	size_t used = 0;
	const char *name;
	uint64_t number;

	*buf = '\0';
	for (uint32_t i = 0; (name = limit_each(of, l, i, &number)); i++) {
		int rc = 0;

		if (number)
			rc = xenbus_text(buf + used, LIMIT_TEXT_BYTES - used, "%s%s=%u",
					 used ? "," : "", name, number);
		xenbus_assert(!rc);	/* the longest of all fits */
		used += strlen(buf + used);
	}
}

/* ---- nodes ------------------------------------------------------------------------- */

static const char *expected_of(enum limit_device of)
{
	return of == LIMIT_OF_DISK ?
	       "limits as paravane limit takes them (iops=500,read-bytes-per-second=10MiB)" :
	       "limits as paravane limit takes them (tx-bytes-per-second=10M,rx-packets-per-second=5k,weight=200)";
}

static int read_in(struct xs_handle *xs, xs_transaction_t t, const char *back_dir,
		   enum limit_device of, struct limit *out, struct key_error *err)
{
	char text[LIMIT_TEXT_BYTES];
	int rc = xenbus_read_text(xs, t, back_dir, KEY_LIMIT, text, sizeof(text));

	*out = (struct limit){ .request_bytes = 0 };
	if (rc == -ENOENT)
		return 0;
	if (rc == -E2BIG)
		strcpy(text, "(long text)");
	if (!rc) {
		rc = limit_parse(of, text, out, NULL);
		if (!rc && limit_lonely_burst(of, out))
			rc = -EINVAL;
	}
	if (rc == -E2BIG || rc == -EINVAL) {
		xenbus_blame(err, KEY_LIMIT, text, strlen(text), expected_of(of));
		rc = -EINVAL;
	}
	return rc;
}

int limit_read(struct xs_handle *xs, const char *back_dir, enum limit_device of,
	       struct limit *out, struct key_error *err)
{
	return read_in(xs, XBT_NULL, back_dir, of, out, err);
}

struct writing {
	const char *dir, *key, *text;	/* NULL: removed */
};

static int write_text(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct writing *w = arg;
	int rc = xenbus_need_dir(xs, t, w->dir);

	if (rc)
		return rc;
	return w->text ? xenbus_write_text(xs, t, w->dir, w->key, w->text) :
			 xenbus_remove(xs, t, w->dir, w->key);
}

struct change {
	const char *dir, *words;
	enum limit_device of;
};

/* Nonsense that is there is replaced: it limits nothing. */
static int change_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct change *c = arg;
	char text[LIMIT_TEXT_BYTES];
	struct writing w = { .dir = c->dir, .key = KEY_LIMIT };
	struct limit l;
	int rc = read_in(xs, t, c->dir, c->of, &l, NULL);

	if (rc == -EINVAL)
		l = (struct limit){ .request_bytes = 0 };
	else if (rc)
		return rc;
	if (limit_parse(c->of, c->words, &l, NULL) || limit_lonely_burst(c->of, &l))
		return -EINVAL;
	limit_format(c->of, &l, text);
	if (*text)
		w.text = text;
	return write_text(xs, t, &w);
}

int limit_change(struct xs_handle *xs, const char *back_dir, enum limit_device of,
		 const char *words)
{
	struct change c = { .dir = back_dir, .words = words, .of = of };

	return xenbus_transact(xs, change_in, &c);
}

int limit_read_in_force(struct xs_handle *xs, const char *back_dir,
			char buf[LIMIT_TEXT_BYTES])
{
	return xenbus_read_text(xs, XBT_NULL, back_dir, KEY_LIMIT_IN_FORCE, buf,
				LIMIT_TEXT_BYTES);
}

int limit_write_in_force(struct xs_handle *xs, const char *back_dir, enum limit_device of,
			 const struct limit *l)
{
	char text[LIMIT_TEXT_BYTES];
	struct writing w = { .dir = back_dir, .key = KEY_LIMIT_IN_FORCE };

	if (l) {
		limit_format(of, l, text);
		w.text = text;
	}
	return xenbus_transact(xs, write_text, &w);
}
