/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Octet by octet, so that it can be read beside the RFCs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "frame-build.h"

#define GUARDED_BYTES (1u << 17)

uint64_t build_seed = 1;

uint32_t build_random(uint32_t below)
{
	build_seed = build_seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(build_seed >> 33) % below;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint16_t naive_sum(uint32_t start, const uint8_t *p, size_t bytes)
{
	uint32_t sum = start;

	for (size_t i = 0; i < bytes; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint16_t naive_l4_sum(const uint8_t *ip, const uint8_t *l4, uint32_t l4_bytes, uint8_t protocol)
{
	bool v6 = ip[0] >> 4 == 6;
	uint16_t sum = naive_sum(0, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
	uint8_t rest[4] = { 0, protocol, (uint8_t)(l4_bytes >> 8), (uint8_t)l4_bytes };

	return naive_sum(naive_sum(sum, rest, 4), l4, l4_bytes);
}

/* ---- layers -------------------------------------------------------------------------- */

static void fill(uint8_t *p, uint32_t bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < bytes; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static uint32_t put_ethernet(const struct build *b, uint8_t *p)
{
	uint32_t at = 12;

	fill(p, 12, b->seed);
	for (int i = 0; i < 3 && b->tags[i]; i++, at += 4) {
		put16(p + at, b->tags[i]);
		put16(p + at + 2, 7);
	}
	put16(p + at, b->version == 4 ? 0x0800 : b->version == 6 ? 0x86dd : 0x0806);
	return at + 2;
}

static uint32_t put_ipv4(const struct build *b, uint8_t *ip)
{
	ip[0] = (uint8_t)(0x40 | (20 + b->options_bytes) / 4);
	put16(ip + 4, b->id);
	put16(ip + 6, b->fragment);
	ip[8] = 64;
	ip[9] = b->protocol;
	fill(ip + 12, 8, b->seed + 1);
	memset(ip + 20, 1, b->options_bytes);		/* no operation */
	return 20u + b->options_bytes;
}

static uint32_t extension_bytes(const struct build *b, uint8_t number)
{
	if (number == 44)
		return 8;
	return 8u + 8u * b->extension_units;
}

static void put_extension(const struct build *b, uint8_t number, uint8_t *p)
{
	uint32_t bytes = extension_bytes(b, number);

	fill(p + 1, bytes - 1, b->seed + 3);
	if (number == 44)
		put16(p + 2, b->fragment6);
	else
		p[1] = (uint8_t)(number == 51 ? bytes / 4 - 2 : bytes / 8 - 1);
	if (number == 43)
		p[3] = b->segments_left;
}

static uint32_t put_ipv6(const struct build *b, uint8_t *ip)
{
	uint8_t *next = ip + 6;
	uint32_t at = 40;

	ip[0] = 0x60;
	ip[7] = 64;
	fill(ip + 8, 32, b->seed + 1);
	for (int i = 0; i < BUILD_EXTENSIONS && b->extensions[i]; i++) {
		*next = b->extensions[i] == 100 ? 0 : b->extensions[i];
		next = ip + at;
		put_extension(b, b->extensions[i], ip + at);
		at += extension_bytes(b, b->extensions[i]);
	}
	*next = b->protocol;
	return at;
}

static uint32_t put_l4(const struct build *b, uint8_t *p)
{
	fill(p, 4, b->seed + 2);
	if (b->protocol == 6) {
		put16(p + 4, b->sequence >> 16);
		put16(p + 6, b->sequence);
		fill(p + 8, 4, b->seed + 4);
		p[12] = (uint8_t)((20 + b->tcp_options_bytes) / 4 << 4);
		p[13] = b->tcp_flags;
		fill(p + 14, 2, b->seed + 5);
		memset(p + 20, 1, b->tcp_options_bytes);
		return 20u + b->tcp_options_bytes;
	}
	if (b->protocol == 17) {
		put16(p + 4, 8 + b->payload_bytes);
		return 8;
	}
	return 0;
}

static void put_checksums(const struct build *b, const struct built *o)
{
	uint8_t *ip = o->frame + o->l3, *l4 = o->frame + o->l4;
	uint32_t l4_bytes = o->l3 + o->ip_bytes - o->l4;
	uint16_t sum;

	if (b->version == 4)
		put16(ip + 10, (uint16_t)~naive_sum(0, ip, 20u + b->options_bytes));
	if (b->protocol != 6 && b->protocol != 17)
		return;
	sum = (uint16_t)~naive_l4_sum(ip, l4, l4_bytes, b->protocol);
	put16(l4 + (b->protocol == 6 ? 16 : 6), b->protocol == 17 && !sum ? 0xffff : sum);
}

void build_frame(const struct build *b, struct built *out)
{
	uint8_t *p = out->frame;

	memset(p, 0, 512);
	out->l3 = out->l4 = put_ethernet(b, p);
	if (b->version == 4)
		out->l4 += put_ipv4(b, p + out->l3);
	else if (b->version == 6)
		out->l4 += put_ipv6(b, p + out->l3);
	out->payload = out->l4 + (b->version ? put_l4(b, p + out->l4) : 0);
	out->bytes = out->payload + b->payload_bytes;
	assert(out->bytes + b->padding_bytes <= BUILD_MAX);
	fill(p + out->payload, b->payload_bytes, b->seed + 6);
	out->ip_bytes = out->bytes - out->l3;
	if (b->version == 4)
		put16(p + out->l3 + 2, out->ip_bytes);
	else if (b->version == 6)
		put16(p + out->l3 + 4, out->ip_bytes - 40);
	if (b->version)
		put_checksums(b, out);
	fill(p + out->bytes, b->padding_bytes, b->seed + 7);
	out->bytes += b->padding_bytes;
}

uint8_t *guarded(const uint8_t *p, uint32_t bytes)
{
	static uint8_t *area;
	uint8_t *copy;

	assert(bytes <= GUARDED_BYTES);
	if (!area) {
		area = mmap(NULL, GUARDED_BYTES + 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert(area != MAP_FAILED);
		if (mprotect(area + GUARDED_BYTES, 4096, PROT_NONE))
			abort();
	}
	copy = area + GUARDED_BYTES - bytes;
	memcpy(copy, p, bytes);
	return copy;
}
