/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of the C library that the front ends call, and those that the
 * compiler does, for guests without an operating system; a heap is their own. Hides
 * nothing; words at a time where it is simple. Must not know: who links it.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

int *__errno_location(void);

int *__errno_location(void)
{
	static int err;

	return &err;
}

/* The string instructions: eight bytes at a time, which no CPU is slow at. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	void *ret = to;
	size_t words = bytes / 8;

	bytes %= 8;
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) :: "memory");
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
	uint64_t word = (unsigned char)c * UINT64_C(0x0101010101010101);
	void *ret = to;
	size_t words = bytes / 8;

	bytes %= 8;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(word) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(word) : "memory");
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
