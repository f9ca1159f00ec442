/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * malloc, calloc and free on a heap that does not grow. Hides how free pieces are
 * kept: a list in order of address, first fit, neighbours joined.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"

#define HEAP_BYTES (4ul << 20)
#define UNIT sizeof(struct piece)

struct piece {
	size_t units;		/* with this header */
	struct piece *next;	/* while it is free */
};

static struct piece heap[HEAP_BYTES / UNIT] __attribute__((aligned(16)));
static struct piece *free_list;
static bool ready;
static size_t used;

static void first_use(void)
{
	heap[0].units = ARRAY_NR(heap);
	heap[0].next = NULL;
	free_list = heap;
	ready = true;
}

void *malloc(size_t bytes)
{
	size_t units = (bytes + UNIT - 1) / UNIT + 1;
	struct piece **link, *p;

	if (!ready)
		first_use();
	for (link = &free_list; (p = *link); link = &p->next)
		if (p->units >= units)
			break;
	if (bytes > HEAP_BYTES || !p) {
		errno = ENOMEM;
		return NULL;
	}
	if (p->units == units) {
		*link = p->next;
	} else {	/* the end of it, so that the list stays */
		p->units -= units;
		p += p->units;
		p->units = units;
	}
	used += units;
	return p + 1;
}

void *calloc(size_t nr, size_t bytes)
{
	void *p;

	if (bytes && nr > HEAP_BYTES / bytes) {
		errno = ENOMEM;
		return NULL;
	}
	p = malloc(nr * bytes);
	if (p)
		memset(p, 0, nr * bytes);
	return p;
}

static void join(struct piece *p)
{
	if (p->next && p + p->units == p->next) {
		p->units += p->next->units;
		p->next = p->next->next;
	}
}

void free(void *memory)
{
	struct piece *p = (struct piece *)memory - 1, *before = NULL, **link;

	if (!memory)
		return;
	if (p < heap || p >= heap + ARRAY_NR(heap) || !p->units)
		panic("free of what malloc did not give: %lx", (unsigned long)memory);
	used -= p->units;
	for (link = &free_list; *link && *link < p; link = &before->next)
		before = *link;
	p->next = *link;
	*link = p;
	join(p);
	if (before)
		join(before);
}

size_t heap_used_bytes(void)
{
	return used * UNIT;
}
