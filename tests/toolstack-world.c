/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests of the tool stack begin with (toolstack-world.h).
 */
#include "toolstack-world.h"

struct xs_handle *toolstack_world(void)
{
	struct xs_permissions own = { .id = 3, .perms = XS_PERM_NONE };
	struct xs_handle *xs;

	fake_xs_reset();
	xs = fake_xs_open(0);
	fake_xs_put("/local/domain/0/name", "Domain-0");
	fake_xs_put("/local/domain/3/name", "guest");
	xs_mkdir(xs, XBT_NULL, "/local/domain/3/device");
	xs_set_permissions(xs, XBT_NULL, "/local/domain/3/device", &own, 1);
	return xs;
}

void world_expect(const struct world_node *nodes, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const char *got = fake_xs_get(nodes[i].path), *want = nodes[i].value;
		bool same = got && want ? !strcmp(got, want) : !got && !want;

		UNIT_OK(same);
		if (!same)
			fprintf(stderr, "\n%s is %s, expected %s", nodes[i].path,
				got ? got : "missing", want ? want : "none");
	}
}

unsigned int world_all_or_nothing(int (*create)(struct xs_handle *xs, const void *what),
				  const void *what)
{
	struct xs_handle *xs = toolstack_world();
	unsigned int before = fake_xs_count(), nr = fake_xs_requests(), n;

	UNIT_EQ(create(xs, what), 0);
	nr = fake_xs_requests() - nr;
	xs_close(xs);
	for (n = 1; n <= nr; n++) {
		xs = toolstack_world();
		fake_xs_fail_nth(n, EIO);
		UNIT_EQ(create(xs, what), -EIO);
		fake_xs_fail_nth(0, 0);
		UNIT_EQ(fake_xs_count(), before);
		UNIT_EQ(fake_xs_open_transactions(), 0);
		xs_close(xs);
	}
	return nr;
}
