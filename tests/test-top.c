/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of paravane top: whatever names there are, a row says which device it is of, and is
 * as wide as it may be.
 */
#include "paravane-top.h"
#include "unit.h"

/* The table's sampler has no part in its lines. */
int sampler_look(struct sampler *s)
{
	(void)s;
	return 0;
}

uint32_t sampler_nr(const struct sampler *s)
{
	(void)s;
	return 0;
}

const struct sample *sampler_get(const struct sampler *s, uint32_t index)
{
	(void)s;
	(void)index;
	return NULL;
}

void sampler_close(struct sampler *s)
{
	(void)s;
}

static char line[512];

static void row_of(const char *domain, const char *device, uint32_t width)
{
	static struct sample sample;
	const struct top_row row = { .sample = &sample, .rates.operations_per_s = 4321 };

	memset(&sample, 0, sizeof(sample));
	sample.has_since = true;
	snprintf(sample.domain, sizeof(sample.domain), "%s", domain);
	snprintf(sample.device, sizeof(sample.device), "%s", device);
	top_row_line(&row, width, line, sizeof(line));
}

static bool begins(const char *text)
{
	bool does = !strncmp(line, text, strlen(text));

	if (!does)
		fprintf(stderr, "\nthe line is \"%s\"", line);
	return does;
}

static void test_names(void)
{
	row_of("web", "xvda", 80);
	UNIT_OK(begins("web/xvda              4321"));
	UNIT_EQ(strlen(line), 80);

	/* The longest that fits, and one letter more. */
	row_of("fourteen-chars", "xvda", 80);
	UNIT_OK(begins("fourteen-chars/xvda   4321"));
	row_of("fifteen-letters", "xvda", 80);
	UNIT_OK(begins("fifteen-lette~/xvda   4321"));
	UNIT_EQ(strlen(line), 80);
	row_of("a-guest-of-a-customer-with-a-name", "vif12345", 80);
	UNIT_OK(begins("a-guest-o~/vif12345   4321"));
	row_of("a-guest-of-a-customer-with-a-name", "vif12345", 132);
	UNIT_OK(begins("a-guest-of-a-customer-with-a-n~/vif12345   4321"));

	/* Of a name as long as the column nothing is left, and the line is no longer. */
	row_of("web", "nineteen-characters", 80);
	UNIT_OK(begins("~/nineteen-characte   4321"));
	UNIT_EQ(strlen(line), 80);
	row_of("we\033b", "xvda", 80);
	UNIT_OK(begins("we?b/xvda "));
}

static const struct unit_test tests[] = {
	{ "a long domain's name is cut, and the device is there", test_names },
};

int main(void)
{
	return unit_run("top", tests, UNIT_LEN(tests));
}
