/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One block front end and the back end that it meets, for its tests.
 *
 * Must not know: what is tested.
 */
#ifndef PV_BLKFRONT_RIG_H
#define PV_BLKFRONT_RIG_H

#include <stdbool.h>
#include "blkfront-priv.h"
#include "fake-front.h"

#define DISK_BYTES (18u << 20)
#define PAGE 4096u

extern struct blkfront *f;
extern struct front_problem problem;
extern uint8_t big[17u << 20], wanted[17u << 20];

/* Opens against an honest back end; change fake_back between begin and go. */
void begin(void);
bool go(const struct blkfront_options *o);
void end(void);

struct result {
	int calls, result;
};

void on_done(struct blkfront_io *io, int result);
void fill(uint8_t *p, size_t bytes, unsigned int seed);

#endif
