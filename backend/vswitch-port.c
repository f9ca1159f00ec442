/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The switch's making, and what its ports are: a port's configuration becomes
 * bits in the sets that forwarding works with.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vswitch-internal.h"

/* ---- the switch --------------------------------------------------------------------- */

static bool config_is_odd(const struct vswitch_config *cfg)
{
	return !cfg->max_ports || cfg->max_ports > VSWITCH_PORTS_MAX || !cfg->max_addresses ||
	       cfg->max_addresses > VSWITCH_ADDRESSES_MAX || !cfg->ageing_ms;
}

static int allocate(struct vswitch *s)
{
	uint32_t nr = s->cfg.max_ports;
	size_t words = (size_t)s->set_words * VSWITCH_VLANS;
	int ret;

	s->ports = calloc(nr, sizeof(*s->ports));
	s->configs = calloc(nr, sizeof(*s->configs));
	s->multicast = calloc(nr, sizeof(*s->multicast));
	s->members = calloc(words, sizeof(*s->members));
	s->tagging = calloc(words, sizeof(*s->tagging));
	if (!s->ports || !s->configs || !s->multicast || !s->members || !s->tagging)
		return -ENOMEM;
	ret = mac_map_open(&s->fixed, nr);
	return ret ? ret : mac_table_open(&s->learned, s->cfg.max_addresses, nr);
}

int vswitch_open(const struct vswitch_config *cfg, struct vswitch **out)
{
	struct vswitch *s;
	int ret;

	*out = NULL;
	if (config_is_odd(cfg))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cfg = *cfg;
	s->set_words = (cfg->max_ports + 63) / 64;
	ret = allocate(s);
	if (ret) {
		vswitch_close(s);
		return ret;
	}
	*out = s;
	return 0;
}

void vswitch_close(struct vswitch *s)
{
	if (!s)
		return;
	mac_table_close(&s->learned);
	mac_map_close(&s->fixed);
	free(s->tagging);
	free(s->members);
	free(s->multicast);
	free(s->configs);
	free(s->ports);
	free(s);
}

int vswitch_configure(struct vswitch *s, const struct vswitch_config *cfg)
{
	if (config_is_odd(cfg) || cfg->max_ports != s->cfg.max_ports ||
	    cfg->max_addresses != s->cfg.max_addresses)
		return -EINVAL;
	s->cfg = *cfg;
	return 0;
}

/* ---- ports -------------------------------------------------------------------------- */

static void set_put(uint64_t *set, uint32_t port, bool on)
{
	uint64_t bit = 1ull << port % 64;

	set[port / 64] = on ? set[port / 64] | bit : set[port / 64] & ~bit;
}

static bool in_trunk(const struct vswitch_port_config *cfg, uint32_t vlan)
{
	return cfg->mode == VSWITCH_TRUNK && (cfg->vlans[vlan / 8] >> vlan % 8 & 1);
}

static int check_port(const struct vswitch *s, uint32_t port,
		      const struct vswitch_port_config *cfg)
{
	uint64_t mac = mac_load(cfg->mac);
	uint32_t owner;

	if (cfg->mode != VSWITCH_ACCESS && cfg->mode != VSWITCH_TRUNK)
		return -EINVAL;
	if (cfg->vlan > VSWITCH_VLAN_NONE ||
	    (cfg->vlan == VSWITCH_VLAN_NONE && cfg->mode == VSWITCH_ACCESS))
		return -EINVAL;
	if (in_trunk(cfg, 0) || in_trunk(cfg, VSWITCH_VLAN_NONE))
		return -EINVAL;
	if (cfg->any_source)
		return 0;
	if (!mac || mac_is_group(mac))
		return -EINVAL;
	owner = mac_map_find(&s->fixed, mac);
	return owner == MAC_MAP_NONE || owner == port ? 0 : -EEXIST;
}

/* An address that has become a port's only one is nobody else's. */
static bool is_not(const void *arg, uint64_t key)
{
	return mac_of_key(key) != *(const uint64_t *)arg;
}

static void fix_address(struct vswitch *s, uint32_t port, uint64_t mac)
{
	mac_map_add(&s->fixed, mac, port);
	for (uint32_t i = 0; i < s->cfg.max_ports; i++)
		mac_table_filter(&s->learned, i, is_not, &mac);
}

static void join_vlans(struct vswitch *s, uint32_t port,
		       const struct vswitch_port_config *cfg)
{
	for (uint32_t vlan = 0; vlan < VSWITCH_VLAN_NONE; vlan++) {
		bool native = vlan == cfg->vlan, tagged = in_trunk(cfg, vlan);

		set_put(s->members + (size_t)vlan * s->set_words, port, native || tagged);
		set_put(s->tagging + (size_t)vlan * s->set_words, port, tagged && !native);
	}
}

/* Of a port that is no member nothing else is looked at. */
static void leave_vlans(struct vswitch *s, uint32_t port)
{
	for (uint32_t vlan = 0; vlan < VSWITCH_VLAN_NONE; vlan++)
		set_put(s->members + (size_t)vlan * s->set_words, port, false);
}

static void put_bits(struct vswitch *s, uint32_t port, const struct vswitch_port *p)
{
	set_put(s->any_source, port, p->any_source);
	set_put(s->isolated, port, p->isolated);
	set_put(s->link_local, port, p->link_local);
	set_put(s->trunk, port, !p->access);
}

/* cfg was checked. */
static void apply(struct vswitch *s, uint32_t port, const struct vswitch_port_config *cfg)
{
	struct vswitch_port *p = &s->ports[port];
	uint64_t mac = cfg->any_source ? 0 : mac_load(cfg->mac);

	if (p->mac != mac) {
		if (p->mac)
			mac_map_remove(&s->fixed, p->mac);
		if (mac)
			fix_address(s, port, mac);
	}
	s->configs[port] = *cfg;
	p->used = true;
	p->access = cfg->mode == VSWITCH_ACCESS;
	p->any_source = cfg->any_source;
	p->isolated = cfg->isolated;
	p->link_local = cfg->link_local;
	p->mirror = cfg->mirror;
	p->vlan = cfg->vlan;
	p->mac = mac;
	put_bits(s, port, p);
	join_vlans(s, port, cfg);
}

int vswitch_add_port(struct vswitch *s, const struct vswitch_port_config *cfg,
		     uint32_t *out)
{
	uint32_t port = 0;
	int ret;

	while (port < s->cfg.max_ports && s->ports[port].used)
		port++;
	if (port == s->cfg.max_ports)
		return -ENOSPC;
	ret = check_port(s, port, cfg);
	if (ret)
		return ret;
	s->ports[port].counters = &s->ports[port].own;
	apply(s, port, cfg);
	*out = port;
	return 0;
}

struct where {
	const struct vswitch *s;
	uint32_t port;
};

static bool still_carried(const void *arg, uint64_t key)
{
	const struct where *at = arg;

	return set_has(at->s->members + (size_t)vlan_of_key(key) * at->s->set_words, at->port);
}

int vswitch_set_port(struct vswitch *s, uint32_t port,
		     const struct vswitch_port_config *cfg)
{
	const struct where at = { .s = s, .port = port };
	int ret;

	if (!vswitch_has_port(s, port))
		return -ENOENT;
	ret = check_port(s, port, cfg);
	if (ret)
		return ret;
	apply(s, port, cfg);
	mac_table_filter(&s->learned, port, cfg->any_source ? still_carried : NULL, &at);
	return 0;
}

int vswitch_get_port(const struct vswitch *s, uint32_t port,
		     struct vswitch_port_config *out)
{
	if (!vswitch_has_port(s, port))
		return -ENOENT;
	*out = s->configs[port];
	return 0;
}

void vswitch_remove_port(struct vswitch *s, uint32_t port)
{
	struct vswitch_port *p;

	if (!vswitch_has_port(s, port))
		return;
	p = &s->ports[port];
	if (p->mac)
		mac_map_remove(&s->fixed, p->mac);
	mac_table_filter(&s->learned, port, NULL, NULL);
	*p = (struct vswitch_port){ 0 };
	leave_vlans(s, port);
	set_put(s->filtering, port, false);
	s->multicast[port].nr = 0;
}

/* ---- multicast ---------------------------------------------------------------------- */

static uint32_t multicast_find(const struct vswitch_multicast *m, uint64_t mac)
{
	uint32_t i = 0;

	while (i < m->nr && m->macs[i] != mac)
		i++;
	return i;
}

bool vswitch_multicast_wanted(const struct vswitch *s, uint32_t port, uint64_t mac)
{
	const struct vswitch_multicast *m = &s->multicast[port];

	return multicast_find(m, mac) < m->nr;
}

int vswitch_multicast_filter(struct vswitch *s, uint32_t port, bool on)
{
	if (!vswitch_has_port(s, port))
		return -ENOENT;
	set_put(s->filtering, port, on);
	return 0;
}

int vswitch_multicast_add(struct vswitch *s, uint32_t port, const uint8_t *mac)
{
	uint64_t v = mac_load(mac);
	struct vswitch_multicast *m;

	if (!vswitch_has_port(s, port))
		return -ENOENT;
	if (!mac_is_group(v))
		return -EINVAL;
	m = &s->multicast[port];
	if (multicast_find(m, v) < m->nr)
		return 0;
	if (m->nr == VSWITCH_MULTICAST_MAX)
		return -ENOSPC;
	m->macs[m->nr++] = v;
	return 0;
}

int vswitch_multicast_del(struct vswitch *s, uint32_t port, const uint8_t *mac)
{
	struct vswitch_multicast *m;
	uint32_t at;

	if (!vswitch_has_port(s, port))
		return -ENOENT;
	m = &s->multicast[port];
	at = multicast_find(m, mac_load(mac));
	if (at == m->nr)
		return -ENOENT;
	m->macs[at] = m->macs[--m->nr];
	return 0;
}

void vswitch_multicast_clear(struct vswitch *s, uint32_t port)
{
	if (vswitch_has_port(s, port))
		s->multicast[port].nr = 0;
}
