/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of writes, against a model: what is added comes back in order until it is dropped,
 * and full is said in time.
 */
#include "unflushed.h"
#include "unit.h"

#define MODEL 4096u

struct model {
	uint64_t first, next;
	uint32_t bytes[MODEL];
};

static uint8_t filler(uint64_t number)
{
	return (uint8_t)(number * 31 + 7);
}

static bool add(struct unflushed *u, struct model *m, uint32_t bytes)
{
	static uint8_t data[UNFLUSHED_BYTES];
	struct iovec iov[2] = { { data, bytes / 2 }, { data + bytes / 2, bytes - bytes / 2 } };

	memset(data, filler(m->next), bytes);
	if (!unflushed_add(u, m->next * 512, iov, bytes))
		return false;
	m->bytes[m->next++ % MODEL] = bytes;
	return true;
}

static bool holds(struct unflushed *u, const struct model *m)
{
	uint64_t number = 0, offset, expected = m->first;
	struct iovec data;

	while (unflushed_next(u, &number, &offset, &data)) {
		const uint8_t *at = data.iov_base;

		if (offset != expected * 512 || data.iov_len != m->bytes[expected % MODEL] ||
		    at[0] != filler(expected) || at[data.iov_len - 1] != filler(expected))
			return false;
		expected++;
	}
	return expected == m->next && unflushed_mark(u) == m->next;
}

static void test_random(void)
{
	struct unflushed *u;
	struct model m = { 0 };
	unsigned refused = 0;

	UNIT_OK(!unflushed_open(&u));
	srandom(1);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t bytes = 512u << (random() % 13);

		if (!add(u, &m, bytes)) {
			refused++;
			m.first += (uint64_t)random() % (m.next - m.first + 1);
			unflushed_drop(u, m.first);
		}
		if (i % 16 == 0 && !holds(u, &m)) {
			UNIT_OK(!"what was added");
			break;
		}
	}
	UNIT_OK(refused > 10);
	unflushed_drop(u, UINT64_MAX);
	m.first = m.next;
	UNIT_OK(holds(u, &m));
	unflushed_close(u);
}

static void test_full(void)
{
	struct unflushed *u;
	struct model m = { 0 };
	uint32_t nr = 0;

	UNIT_OK(!unflushed_open(&u));
	UNIT_OK(add(u, &m, UNFLUSHED_BYTES));
	UNIT_OK(!add(u, &m, 512));
	unflushed_drop(u, m.first = m.next);
	while (add(u, &m, 512))
		nr++;
	UNIT_EQ(nr, UNFLUSHED_WRITES);
	UNIT_OK(holds(u, &m));
	/* An old mark drops nothing. */
	unflushed_drop(u, 0);
	UNIT_OK(holds(u, &m));
	unflushed_close(u);
	unflushed_close(NULL);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "adding and dropping at random", test_random },
		{ "full", test_full },
	};

	return unit_run("unflushed", tests, UNIT_LEN(tests));
}
