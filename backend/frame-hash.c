/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hashes of flows: Toeplitz, as the control ring's front ends know it, and one of
 * our own that costs a few multiplications.
 */
#include "frame-internal.h"
#include <xen/io/netif.h>

#define TUPLE_BYTES_MAX 36u		/* IPv6 addresses and ports */

/* Bit i of data, when set, adds the 32 bits of the key from its bit i on. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *data, uint32_t bytes)
{
	uint64_t window = frame_get32(key);
	uint32_t hash = 0, i;

	for (i = 0; i < bytes; i++) {
		window = window << 8 | key[i + 4];
		for (unsigned int bit = 0; bit < 8; bit++)
			hash ^= (uint32_t)(window >> (8 - bit)) &
				-(uint32_t)(data[i] >> (7 - bit) & 1);
	}
	return hash;
}

static uint32_t by_ports(const struct frame *f)
{
	if (f->l4 != FRAME_TCP || f->fragment)
		return 0;
	return f->l3 == FRAME_IPV4 ? XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP
				   : XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP;
}

static uint32_t by_addresses(const struct frame *f)
{
	if (f->l3 == FRAME_L3_OTHER)
		return 0;
	return f->l3 == FRAME_IPV4 ? XEN_NETIF_CTRL_HASH_TYPE_IPV4
				   : XEN_NETIF_CTRL_HASH_TYPE_IPV6;
}

uint32_t frame_hash(const uint8_t *header, const struct frame *f, const uint8_t *key,
		    uint32_t types, uint32_t *type)
{
	uint8_t tuple[TUPLE_BYTES_MAX];
	const uint8_t *addresses;
	uint32_t bytes;

	_Static_assert(TUPLE_BYTES_MAX + 4 <= FRAME_HASH_KEY_BYTES, "the key's last bits");
	*type = types & by_ports(f);
	if (!*type)
		*type = types & by_addresses(f);
	if (!*type)
		return 0;
	addresses = frame_ip_addresses(header, f, &bytes);
	memcpy(tuple, addresses, bytes);
	if (*type == by_ports(f)) {
		memcpy(tuple + bytes, header + f->l4_offset, 4);
		bytes += 4;
	}
	return toeplitz(key, tuple, bytes);
}

static uint64_t mix(uint64_t hash, const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	v = (v ^ hash) * 0x9e3779b97f4a7c15ull;
	return v ^ v >> 32;
}

uint32_t frame_flow(const uint8_t *header, const struct frame *f)
{
	uint8_t last[8] = { 0 };
	const uint8_t *p = header;
	uint32_t bytes = 8;
	uint64_t hash = 0;

	if (f->l3 == FRAME_L3_OTHER) {
		memcpy(last, header + 8, 4);	/* the rest of Ethernet's addresses */
	} else {
		p = frame_ip_addresses(header, f, &bytes);
		if (f->l4 != FRAME_L4_OTHER && !f->fragment)
			memcpy(last, header + f->l4_offset, 4);
	}
	for (; bytes; bytes -= 8, p += 8)
		hash = mix(hash, p);
	return (uint32_t)(mix(hash, last) >> 16);
}
