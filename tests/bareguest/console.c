/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines on the guest's console, by the ring that dom0's console daemon reads.
 * Hides the ring and the formatting of numbers; must not know what is said.
 */
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/console.h>

#include "bare.h"

#define FLUSH_NS UINT64_C(10000000000)

static struct xencons_interface *ring;
static uint32_t port;

/* ---- the ring -------------------------------------------------------------------- */

static uint32_t space(void)
{
	return (uint32_t)sizeof(ring->out) - (ring->out_prod - READ_ONCE(ring->out_cons));
}

static bool has_space(void *arg)
{
	(void)arg;
	return space() > 0;
}

static bool is_empty(void *arg)
{
	(void)arg;
	return space() == sizeof(ring->out);
}

static void put(const char *text, size_t bytes)
{
	uint32_t prod;

	if (!ring)
		return;
	while (bytes) {
		prod = ring->out_prod;
		for (; bytes && prod - READ_ONCE(ring->out_cons) < sizeof(ring->out); bytes--)
			ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = *text++;
		barrier();
		WRITE_ONCE(ring->out_prod, prod);
		events_notify(port);
		if (bytes && !wait_until(has_space, NULL, time_ns() + FLUSH_NS))
			return;		/* nobody reads: the rest is lost */
	}
}

void console_flush(void)
{
	if (ring)
		wait_until(is_empty, NULL, time_ns() + FLUSH_NS);
}

void console_init(const struct start_info *si)
{
	ring = memory_of_mfn(si->console.domU.mfn);
	port = si->console.domU.evtchn;
	events_listen(port);
}

/* ---- text ------------------------------------------------------------------------ */

struct out {
	char *at, *end;		/* end: the last byte, for the zero */
};

static void add(struct out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static void add_number(struct out *o, uint64_t v, unsigned int base, int width, char fill)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	for (; width > n; width--)
		add(o, fill);
	while (n)
		add(o, digits[--n]);
}

static uint64_t argument(va_list *args, int longs, bool is_signed)
{
	if (longs)
		return va_arg(*args, unsigned long);
	return is_signed ? (uint64_t)va_arg(*args, int) : va_arg(*args, unsigned int);
}

/* What stands behind a %; returns the letter's place. */
static const char *add_argument(struct out *o, const char *f, va_list *args)
{
	char fill = *f == '0' ? '0' : ' ';
	int width = 0, longs = 0;
	const char *s;
	uint64_t v;

	for (; *f >= '0' && *f <= '9'; f++)
		width = width * 10 + *f - '0';
	for (; *f == 'l' || *f == 'z'; f++)
		longs++;
	switch (*f) {
	case 's':
		for (s = va_arg(*args, const char *); *s; s++)
			add(o, *s);
		break;
	case 'c':
		add(o, (char)va_arg(*args, int));
		break;
	case 'd':
		v = argument(args, longs, true);
		if ((int64_t)v < 0) {
			add(o, '-');
			v = -v;
		}
		add_number(o, v, 10, width, fill);
		break;
	case 'u':
	case 'x':
		v = argument(args, longs, false);
		add_number(o, v, *f == 'u' ? 10 : 16, width, fill);
		break;
	default:
		add(o, *f);
	}
	return f;
}

int vformat(char *buf, size_t bytes, const char *fmt, va_list given)
{
	struct out o = { .at = buf, .end = buf + bytes - 1 };
	va_list args;

	va_copy(args, given);
	for (; *fmt; fmt++) {
		if (*fmt != '%')
			add(&o, *fmt);
		else
			fmt = add_argument(&o, fmt + 1, &args);
	}
	va_end(args);
	*o.at = 0;
	return (int)(o.at - buf);
}

int format(char *buf, size_t bytes, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vformat(buf, bytes, fmt, args);
	va_end(args);
	return n;
}

/* A terminal wants both characters at a line's end. */
void say(const char *fmt, ...)
{
	char text[700];
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = (size_t)vformat(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	if (n && text[n - 1] == '\n') {
		text[n - 1] = '\r';
		text[n++] = '\n';
	}
	put(text, n);
}
