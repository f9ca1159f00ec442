/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest with many devices, for tools/bench-scale: opens vbds xvda, xvdb ... and vifs 0, 1
 * ... of its domain in one process, says so, holds them until its input ends, closes them.
 *
 * Hides: nothing. Must not know: how many guests there are, what is measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "blkfront.h"
#include "front-linux.h"
#include "netfront.h"
#include "util.h"

#define DEVICES_MAX 64u
#define TIMEOUT_MS 300000

static struct blkfront *vbd[DEVICES_MAX];
static struct netfront *vif[DEVICES_MAX];

static void failed(const char *what, uint32_t i, const struct front_problem *p)
{
	fprintf(stderr, "scale-front: %s %u: %s\n", what, i, p->text);
	exit(EXIT_FAILURE);
}

/* As "paravane attach-disk" numbers those that it is given no name for. */
static uint32_t devid(uint32_t i)
{
	return i < 16 ? 202u << 8 | i << 4 : 1u << 28 | i << 8;
}

static void open_all(struct front_env *env, uint32_t nr_vbds, uint32_t nr_vifs)
{
	const struct blkfront_options blk = { .ring_order = -1, .pool_pages = 2 };
	const struct netfront_options net = { .tx_pages = 2, .rx_pages = 2 };
	struct front_problem problem;

	for (uint32_t i = 0; i < nr_vbds; i++)
		if (blkfront_open(env, devid(i), &blk, TIMEOUT_MS, &vbd[i], &problem))
			failed("vbd", i, &problem);
	for (uint32_t i = 0; i < nr_vifs; i++)
		if (netfront_open(env, i, &net, TIMEOUT_MS, &vif[i], &problem))
			failed("vif", i, &problem);
}

static void close_all(void)
{
	for (uint32_t i = 0; i < DEVICES_MAX; i++) {
		blkfront_close(vbd[i], TIMEOUT_MS, NULL);
		netfront_close(vif[i], TIMEOUT_MS, NULL);
	}
}

int main(int argc, char **argv)
{
	struct front_linux *fl;
	struct front_problem problem;
	uint64_t nr_vbds, nr_vifs;
	char c;

	if (argc != 3 || parse_u64(argv[1], DEVICES_MAX, &nr_vbds) ||
	    parse_u64(argv[2], DEVICES_MAX, &nr_vifs)) {
		fputs("Usage: scale-front VBDS VIFS\n", stderr);
		return 2;
	}
	if (front_linux_open(&fl, &problem))
		failed("domain", 0, &problem);
	open_all(front_linux_env(fl), (uint32_t)nr_vbds, (uint32_t)nr_vifs);
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	close_all();
	front_linux_close(fl);
	return EXIT_SUCCESS;
}
