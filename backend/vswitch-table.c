/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The address table: a hash map from address to entry, and for each port a list
 * of its entries by when they were last seen, so that the oldest is at hand.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include "vswitch-table.h"

/* ---- keys to numbers --------------------------------------------------------- */

/* syscalls bridge: getrandom */
int mac_map_open(struct mac_map *m, uint32_t max)
{
	uint64_t nr = 4, at;

	while (nr < 2 * (uint64_t)max)
		nr *= 2;
	m->mask = nr - 1;
	if (getrandom(m->seed, sizeof(m->seed), 0) != sizeof(m->seed))
		return -errno;
	m->seed[1] |= 1;
	m->slots = malloc(nr * sizeof(*m->slots));
	if (!m->slots)
		return -ENOMEM;
	for (at = 0; at < nr; at++)
		m->slots[at] = (struct mac_slot){ .value = MAC_MAP_NONE };
	return 0;
}

void mac_map_close(struct mac_map *m)
{
	free(m->slots);
	m->slots = NULL;
}

void mac_map_add(struct mac_map *m, uint64_t key, uint32_t value)
{
	uint64_t at = mac_map_place(m, key);

	while (m->slots[at].value != MAC_MAP_NONE) {
		assert(m->slots[at].key != key);
		at = (at + 1) & m->mask;
	}
	m->slots[at] = (struct mac_slot){ .key = key, .value = value };
}

/* What stood behind the removed key because of it moves up: no slot is a grave. */
void mac_map_remove(struct mac_map *m, uint64_t key)
{
	uint64_t hole = mac_map_place(m, key), at, place;

	while (m->slots[hole].key != key || m->slots[hole].value == MAC_MAP_NONE) {
		assert(m->slots[hole].value != MAC_MAP_NONE);
		hole = (hole + 1) & m->mask;
	}
	for (at = hole;;) {
		at = (at + 1) & m->mask;
		if (m->slots[at].value == MAC_MAP_NONE)
			break;
		place = mac_map_place(m, m->slots[at].key);
		if (((at - place) & m->mask) < ((at - hole) & m->mask))
			continue;
		m->slots[hole] = m->slots[at];
		hole = at;
	}
	m->slots[hole].value = MAC_MAP_NONE;
}

/* ---- a port's list ----------------------------------------------------------------- */

static void unlink_entry(struct mac_table *t, uint32_t at)
{
	struct mac_entry *e = &t->entries[at];
	struct mac_holder *h = &t->holders[e->port];

	*(e->older == MAC_TABLE_END ? &h->oldest : &t->entries[e->older].newer) = e->newer;
	*(e->newer == MAC_TABLE_END ? &h->newest : &t->entries[e->newer].older) = e->older;
	t->held[e->port]--;
}

static void link_newest(struct mac_table *t, uint32_t at, uint32_t port)
{
	struct mac_entry *e = &t->entries[at];
	struct mac_holder *h = &t->holders[port];

	e->port = port;
	e->newer = MAC_TABLE_END;
	e->older = h->newest;
	*(h->newest == MAC_TABLE_END ? &h->oldest : &t->entries[h->newest].newer) = at;
	h->newest = at;
	t->held[port]++;
}

static void forget(struct mac_table *t, uint32_t at)
{
	mac_map_remove(&t->map, t->entries[at].key);
	unlink_entry(t, at);
	t->entries[at].newer = t->free;
	t->free = at;
	t->nr--;
}

/* ---- the table ---------------------------------------------------------------------- */

int mac_table_open(struct mac_table *t, uint32_t max, uint32_t nr_ports)
{
	int ret;

	*t = (struct mac_table){ .max = max, .nr_ports = nr_ports,
				 .share = max < 4 ? 1 : max / 4 };
	ret = mac_map_open(&t->map, max);
	if (ret)
		return ret;
	t->entries = calloc(max, sizeof(*t->entries));
	t->holders = calloc(nr_ports, sizeof(*t->holders));
	t->held = calloc(nr_ports, sizeof(*t->held));
	if (!t->entries || !t->holders || !t->held)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr_ports; i++)
		t->holders[i] = (struct mac_holder){ MAC_TABLE_END, MAC_TABLE_END };
	for (uint32_t i = 0; i < max; i++)
		t->entries[i].newer = i + 1 < max ? i + 1 : MAC_TABLE_END;
	return 0;
}

void mac_table_close(struct mac_table *t)
{
	mac_map_close(&t->map);
	free(t->entries);
	free(t->holders);
	free(t->held);
	*t = (struct mac_table){ 0 };
}

static uint32_t who_holds_most(const struct mac_table *t)
{
	uint32_t most = 0;

	for (uint32_t i = 1; i < t->nr_ports; i++)
		if (t->held[i] > t->held[most])
			most = i;
	return most;
}

/* Ports with less take from the one with most, until they hold the same. */
static void make_room(struct mac_table *t, uint32_t port)
{
	uint32_t loser = port;

	if (t->held[port] < t->share) {
		if (t->nr < t->max)
			return;
		loser = who_holds_most(t);
		if (t->held[port] && t->held[port] + 1 >= t->held[loser])
			loser = port;
	}
	forget(t, t->holders[loser].oldest);
}

static void learn(struct mac_table *t, uint64_t key, uint32_t port, uint64_t now_ms)
{
	uint32_t at;

	make_room(t, port);
	at = t->free;
	t->free = t->entries[at].newer;
	t->nr++;
	t->entries[at].key = key;
	t->entries[at].seen_ms = now_ms;
	link_newest(t, at, port);
	mac_map_add(&t->map, key, at);
}

bool mac_table_see(struct mac_table *t, uint64_t key, uint32_t port, uint64_t now_ms,
		   uint64_t move_ms)
{
	uint32_t at = mac_map_find(&t->map, key);
	struct mac_entry *e;

	if (at == MAC_MAP_NONE) {
		learn(t, key, port, now_ms);
		return true;
	}
	e = &t->entries[at];
	if (e->port != port) {
		if (now_ms - e->seen_ms < move_ms)
			return false;
		forget(t, at);
		learn(t, key, port, now_ms);
		return true;
	}
	/* Once per millisecond is often enough to keep the order. */
	if (e->seen_ms == now_ms)
		return true;
	e->seen_ms = now_ms;
	if (e->newer != MAC_TABLE_END) {
		unlink_entry(t, at);
		link_newest(t, at, port);
	}
	return true;
}

void mac_table_age(struct mac_table *t, uint32_t port, uint64_t now_ms,
		   uint64_t ageing_ms)
{
	const struct mac_holder *h = &t->holders[port];

	while (h->oldest != MAC_TABLE_END &&
	       now_ms - t->entries[h->oldest].seen_ms >= ageing_ms)
		forget(t, h->oldest);
}

void mac_table_filter(struct mac_table *t, uint32_t port,
		      bool (*keep)(const void *arg, uint64_t key), const void *arg)
{
	uint32_t at = t->holders[port].oldest, next;

	for (; at != MAC_TABLE_END; at = next) {
		next = t->entries[at].newer;
		if (!keep || !keep(arg, t->entries[at].key))
			forget(t, at);
	}
}
