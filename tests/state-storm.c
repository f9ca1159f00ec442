/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state-storm PATH N USEC SEED: writes N random values, mostly XenbusStates, to
 * a node, USEC apart (0: as fast as the store takes them).
 *
 * A hostile guest's half of a test; knows nothing of Paravane.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

int main(int argc, char **argv)
{
	static const char *const odd[] = { "", "-1", "9", "4294967300", "abc", "04" };
	const char *value;
	struct xs_handle *xs;
	char digit[2] = "0";
	unsigned seed;
	long i, n, written = 0;
	int pause_us;

	if (argc != 5)
		return 2;
	n = atol(argv[2]);
	pause_us = atoi(argv[3]);
	seed = (unsigned)atoi(argv[4]);
	xs = xs_open(0);
	if (!xs)
		return 1;
	for (i = 0; i < n; i++) {
		digit[0] = (char)('1' + rand_r(&seed) % 6);
		value = rand_r(&seed) % 20 ? digit : odd[rand_r(&seed) % 6];
		/* The tool stack may be removing the node and making it again. */
		written += xs_write(xs, XBT_NULL, argv[1], value, strlen(value));
		if (pause_us)
			usleep((unsigned)pause_us);
	}
	xs_close(xs);
	return written > n / 4 ? 0 : 1;
}
