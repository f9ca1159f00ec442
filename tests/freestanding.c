/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes code of every inline function in ring.h and spin.h, so that
 * freestanding.sh sees what they need. Never runs.
 */
#include "ring.h"
#include "spin.h"

void *const freestanding_inline[] = {
	(void *)ring_nr_slots, (void *)ring_crossed, (void *)ring_copy_out,
	(void *)ring_back_init, (void *)ring_back_resume, (void *)ring_back_start,
	(void *)ring_back_inflight, (void *)ring_back_pending,
	(void *)ring_back_take, (void *)ring_back_put, (void *)ring_back_push,
	(void *)ring_back_final, (void *)ring_back_final_beyond, (void *)ring_front_init,
	(void *)ring_front_inflight, (void *)ring_front_free,
	(void *)ring_front_put, (void *)ring_front_push,
	(void *)ring_front_pending, (void *)ring_front_take,
	(void *)ring_front_final, (void *)spin_now_cycles, (void *)spin_pause,
	(void *)spin_init, (void *)spin_budget, (void *)spin_hit,
	(void *)spin_miss,
};
