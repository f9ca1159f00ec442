/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The switch's memory of addresses: which port each was seen at, and when.
 *
 * Hides: hashing, the order in which a port's addresses were seen, who loses an
 * address when there is no room. Must not know: frames, what ports may do. Keys
 * are mac_key()s; a port is a number below the nr_ports given to open.
 *
 * Everything is allocated by open. The thread is the switch's.
 */
#ifndef PV_VSWITCH_TABLE_H
#define PV_VSWITCH_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define MAC_MAP_NONE UINT32_MAX

/* An address in a VLAN. */
static inline uint64_t mac_key(uint64_t mac, uint16_t vlan)
{
	return (uint64_t)vlan << 48 | mac;
}

static inline uint64_t mac_of_key(uint64_t key)
{
	return key & 0xffffffffffffull;
}

static inline uint16_t vlan_of_key(uint64_t key)
{
	return (uint16_t)(key >> 48);
}

/* ---- keys to numbers --------------------------------------------------------- */

/*
 * Open addressing, half full at most. The seed is random: who can choose keys
 * still cannot choose keys that meet.
 */
struct mac_map {
	struct mac_slot {
		uint64_t key;
		uint32_t value;		/* MAC_MAP_NONE: the slot is free */
	} *slots;
	uint64_t mask, seed[2];
};

/* -ENOMEM, or what getrandom() says. max: keys at a time, the caller's duty. */
int mac_map_open(struct mac_map *m, uint32_t max);
void mac_map_close(struct mac_map *m);
void mac_map_add(struct mac_map *m, uint64_t key, uint32_t value);	/* a new key */
void mac_map_remove(struct mac_map *m, uint64_t key);	/* a key that is there */

/* The product's both halves: every bit of the key moves every bit of the place. */
static inline uint64_t mac_map_place(const struct mac_map *m, uint64_t key)
{
	unsigned __int128 p = (unsigned __int128)(key ^ m->seed[0]) * m->seed[1];

	return ((uint64_t)p ^ (uint64_t)(p >> 64)) & m->mask;
}

/* The value, or MAC_MAP_NONE. */
static inline uint32_t mac_map_find(const struct mac_map *m, uint64_t key)
{
	uint64_t at = mac_map_place(m, key);

	while (m->slots[at].value != MAC_MAP_NONE && m->slots[at].key != key)
		at = (at + 1) & m->mask;
	return m->slots[at].value;
}

/* ---- learned addresses ---------------------------------------------------------- */

#define MAC_TABLE_END UINT32_MAX

struct mac_entry {
	uint64_t key, seen_ms;
	uint32_t older, newer;		/* of the same port; MAC_TABLE_END */
	uint32_t port;
};

struct mac_holder {			/* a port's addresses, by when last seen */
	uint32_t oldest, newest;
};

struct mac_table {
	struct mac_map map;		/* key to entry */
	struct mac_entry *entries;
	struct mac_holder *holders;
	uint32_t *held;			/* by port; apart, to be looked through quickly */
	uint32_t max, nr, share, nr_ports;
	uint32_t free;			/* a list by newer */
};

/* A port holds at most a quarter of max, and one at least. -ENOMEM. */
int mac_table_open(struct mac_table *t, uint32_t max, uint32_t nr_ports);
void mac_table_close(struct mac_table *t);

/*
 * key was seen at port. False: it was seen at another less than move_ms ago, and
 * stays there. A port whose share is full forgets its own oldest address; when
 * the whole table is full, the port that holds most forgets one.
 */
bool mac_table_see(struct mac_table *t, uint64_t key, uint32_t port, uint64_t now_ms,
		   uint64_t move_ms);
/* The port, or MAC_MAP_NONE. */
static inline uint32_t mac_table_find(const struct mac_table *t, uint64_t key)
{
	uint32_t at = mac_map_find(&t->map, key);

	return at == MAC_MAP_NONE ? at : t->entries[at].port;
}
/* Forgets a port's addresses not seen for ageing_ms. */
void mac_table_age(struct mac_table *t, uint32_t port, uint64_t now_ms,
		   uint64_t ageing_ms);
/* Forgets those of a port's addresses for which keep (NULL: none) says false. */
void mac_table_filter(struct mac_table *t, uint32_t port,
		      bool (*keep)(const void *arg, uint64_t key), const void *arg);

#endif
