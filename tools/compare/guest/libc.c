/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of the C library that the front end and the compiler call, and a heap
 * of one size after the other: what is freed last is given out first. Hides nothing.
 */
#include <errno.h>
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

int *__errno_location(void);

int *__errno_location(void)
{
	static int err;

	return &err;
}

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

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	void *ret = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) :: "memory");
	return ret;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	char *t = (char *)to + bytes;
	const char *f = (const char *)from + bytes;

	if ((uintptr_t)to - (uintptr_t)from >= bytes)
		return memcpy(to, from, bytes);
	while (bytes--)
		*--t = *--f;
	return to;
}

void *memset(void *to, int c, size_t bytes)
{
	void *ret = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(c) : "memory");
	return ret;
}

int memcmp(const void *one, const void *other, size_t bytes)
{
	const unsigned char *a = one, *b = other;

	for (; bytes; bytes--, a++, b++)
		if (*a != *b)
			return *a - *b;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t bytes)
{
	for (; bytes && *a && *a == *b; bytes--, a++, b++)
		;
	return bytes ? (unsigned char)*a - (unsigned char)*b : 0;
}
