/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the hostile front ends share, whatever their device: failing, chance, pages
 * to share, a thread that lies while the other works.
 *
 * Must not know: devices. A failure prints what was expected and exits with status 1.
 */
#ifndef PV_HOSTILE_BASE_H
#define PV_HOSTILE_BASE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "front.h"

#define PAGE_BYTES 4096u
#define HOSTILE_FILL 0xee	/* what fresh pages hold */
/* Every deadline: only what hangs reaches it. */
#define HOSTILE_WAIT_MS 180000

/* For messages: set by main, and as the cases go. */
extern const char *hostile_program, *hostile_case;

void hostile_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t hostile_now_ms(void);
uint64_t hostile_random(void);	/* any thread */

void *hostile_share(struct front_env *env, uint32_t domid, uint32_t nr, bool writable,
		    uint32_t *grefs);
/* Accepts NULL. */
void hostile_unshare(struct front_env *env, void *page, uint32_t nr);

/*
 * What a guest's kernel may write at any time: of the page no more than a part is granted, so
 * that it can be copied and not be mapped. In local Xen.
 */
void hostile_sub_page(uint32_t gref);

/* make is called again and again until the end. */
struct hostile_noise {
	void (*make)(void *arg);
	void *arg;
	volatile bool stop;
	pthread_t thread;
	uint64_t nr;
};

void hostile_noise_start(struct hostile_noise *n, void (*make)(void *arg), void *arg);
void hostile_noise_end(struct hostile_noise *n);

#endif
