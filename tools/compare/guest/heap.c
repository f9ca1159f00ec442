/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A heap of one size after the other: what is freed last is given out first. Hides how
 * pieces are found.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define HEAP_BYTES (2u << 20)
#define CLASSES 20u

struct piece {
	uint64_t class;
	struct piece *next;
};

static char heap[HEAP_BYTES] __attribute__((aligned(16)));
static size_t heap_used;
static struct piece *free_pieces[CLASSES];

/* Pieces of 16 << class bytes; a freed one waits for the next of its class. */
void *malloc(size_t bytes)
{
	struct piece *p;
	uint64_t class = 0;

	while (class < CLASSES && (size_t)16 << class < bytes)
		class++;
	if (class == CLASSES)
		return NULL;
	p = free_pieces[class];
	if (p) {
		free_pieces[class] = p->next;
		return p + 1;
	}
	bytes = ((size_t)16 << class) + sizeof(*p);
	if (bytes > HEAP_BYTES - heap_used)
		return NULL;
	p = (struct piece *)(void *)(heap + heap_used);
	heap_used += bytes;
	p->class = class;
	return p + 1;
}

void *calloc(size_t nr, size_t bytes)
{
	void *p = bytes && nr > HEAP_BYTES / bytes ? NULL : malloc(nr * bytes);

	return p ? memset(p, 0, nr * bytes) : NULL;
}

void free(void *memory)
{
	struct piece *p = (struct piece *)memory - 1;

	if (!memory)
		return;
	p->next = free_pieces[p->class];
	free_pieces[p->class] = p;
}
