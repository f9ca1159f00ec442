/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rig of blkfront-rig.h.
 */
#include "blkfront-rig.h"
#include "unit.h"

struct blkfront *f;
struct front_problem problem;
uint8_t big[17u << 20], wanted[17u << 20];

void begin(void)
{
	fake_front_reset(DISK_BYTES);
}

bool go(const struct blkfront_options *o)
{
	int r = blkfront_open(fake_front_env(), FAKE_DEVID, o, 1000, &f, &problem);

	if (r < 0)
		fprintf(stderr, "\nopen: %d %s\n", r, problem.text);
	return r == 0;
}

void end(void)
{
	fake_back.twist = NULL;
	fake_back.stuck = false;
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
	UNIT_EQ(fake_back.bad_requests, 0);
	fake_front_end();
}

void on_done(struct blkfront_io *io, int result)
{
	struct result *r = io->arg;

	r->calls++;
	r->result = result;
}

void fill(uint8_t *p, size_t bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)(i * 31 + i / 4096 + seed);
}
