/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random life of a switch beside a model that is as simple as it can be: lists
 * looked through from front to back, rules asked of each port's configuration.
 * Every decision, counter and address must be the model's. The seed is fixed;
 * PV_SEED gives another.
 */
#include "unit.h"
#include "vswitch.h"

#define NR_PORTS 67
#define NR_ADDRESSES 24
#define STEPS 200000
#define BROADCAST 0xffffffffffffull

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static bool chance(uint32_t percent)
{
	return rnd(100) < percent;
}

/* ---- the model --------------------------------------------------------------------- */

struct model_port {
	bool used, filtering;
	struct vswitch_port_config c;
	struct vswitch_counters count;
	uint64_t mac;
	uint32_t nr_groups;
	uint64_t groups[8];
};

struct model_address {
	uint64_t mac, seen;
	uint16_t vlan;
	uint32_t port;
};

static struct model_port ports[NR_PORTS];
static struct model_address known[NR_ADDRESSES];	/* by when they were last seen */
static uint32_t nr_known, nr_ports;
static struct vswitch_config config;

struct model_frame {
	uint64_t dst, src;
	uint32_t port, bytes;
	bool tag, second;		/* 802.1Q tags */
	uint16_t tci, tci2;
};

struct verdict {
	enum vswitch_drop why;
	bool flooded;
	uint16_t tci;
	int tags[NR_PORTS];		/* -1: not to this port */
};

static bool carries(const struct vswitch_port_config *c, uint16_t vlan, bool *tagged)
{
	*tagged = false;
	if (vlan == c->vlan)
		return vlan != VSWITCH_VLAN_NONE;
	*tagged = c->mode == VSWITCH_TRUNK && (c->vlans[vlan / 8] >> vlan % 8 & 1);
	return *tagged;
}

static uint32_t held_by(uint32_t port)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < nr_known; i++)
		nr += known[i].port == port;
	return nr;
}

static void forget_at(uint32_t at)
{
	memmove(&known[at], &known[at + 1], (--nr_known - at) * sizeof(*known));
}

static void forget_oldest_of(uint32_t port)
{
	uint32_t at = 0;

	while (known[at].port != port)
		at++;
	forget_at(at);
}

static void make_room(uint32_t port)
{
	uint32_t most = 0, mine = held_by(port);

	if (mine == NR_ADDRESSES / 4) {
		forget_oldest_of(port);
	} else if (nr_known == NR_ADDRESSES) {
		for (uint32_t i = 0; i < NR_PORTS; i++)
			if (held_by(i) > held_by(most))
				most = i;
		forget_oldest_of(mine && mine + 1 >= held_by(most) ? port : most);
	}
}

static int find(uint64_t mac, uint16_t vlan)
{
	for (uint32_t i = 0; i < nr_known; i++)
		if (known[i].mac == mac && known[i].vlan == vlan)
			return (int)i;
	return -1;
}

static bool learn(uint64_t mac, uint16_t vlan, uint32_t port, uint64_t now)
{
	int at = find(mac, vlan);

	if (at >= 0 && known[at].port != port && now - known[at].seen < config.move_ms)
		return false;
	/* Within a millisecond the first to be seen stays the older. */
	if (at >= 0 && known[at].port == port && known[at].seen == now)
		return true;
	if (at >= 0)
		forget_at((uint32_t)at);
	make_room(port);
	known[nr_known++] = (struct model_address){ .mac = mac, .vlan = vlan, .port = port,
						    .seen = now };
	return true;
}

static int owner_of(uint64_t mac)
{
	for (uint32_t i = 0; i < NR_PORTS; i++)
		if (ports[i].used && !ports[i].c.any_source && ports[i].mac == mac)
			return (int)i;
	return -1;
}

static bool wants(const struct model_port *p, uint64_t group)
{
	if (!p->filtering || group == BROADCAST)
		return true;
	for (uint32_t i = 0; i < p->nr_groups; i++)
		if (p->groups[i] == group)
			return true;
	return false;
}

static enum vswitch_drop model_admit(const struct model_frame *f, uint16_t *vlan, bool *is_tagged,
				     bool *hidden)
{
	const struct model_port *p = &ports[f->port];
	bool transparent = p->c.mode == VSWITCH_ACCESS && !p->c.vlan, tagged;

	if (!f->src || f->src >> 40 & 1)
		return VSWITCH_BAD_SOURCE;
	if (p->c.any_source ? owner_of(f->src) >= 0 : f->src != p->mac)
		return VSWITCH_SPOOFED;
	*is_tagged = f->tag && !transparent;
	*hidden = f->tag && (transparent || f->second);
	*vlan = p->c.vlan;
	if (*is_tagged && f->tci & 0xfff)
		*vlan = f->tci & 0xfff;
	if (*is_tagged && p->c.mode == VSWITCH_ACCESS && (f->tci & 0xfff || f->second))
		return VSWITCH_VLAN;
	if (*vlan == VSWITCH_VLAN_NONE || !carries(&p->c, *vlan, &tagged))
		return VSWITCH_VLAN;
	return VSWITCH_FORWARDED;
}

static bool reaches(const struct model_frame *f, uint32_t to, uint16_t vlan, bool hidden,
		    bool *tagged)
{
	const struct vswitch_port_config *c = &ports[to].c;

	if (!ports[to].used || to == f->port || !carries(c, vlan, tagged))
		return false;
	if (c->isolated && ports[f->port].c.isolated)
		return false;
	return !(hidden && c->mode == VSWITCH_TRUNK && !*tagged);
}

static bool is_link_local(uint64_t mac)
{
	return mac >= 0x0180c2000000ull && mac <= 0x0180c200000full;
}

static bool floods_to(const struct model_frame *f, uint32_t to)
{
	if (!(f->dst >> 40 & 1))
		return ports[to].c.any_source;
	if (is_link_local(f->dst))
		return ports[to].c.link_local;
	return wants(&ports[to], f->dst);
}

static int tag_action(const struct model_frame *f, bool is_tagged, bool out_tagged)
{
	if (!is_tagged)
		return out_tagged ? VSWITCH_TAG_PUSH : VSWITCH_TAG_KEEP;
	if (!out_tagged)
		return VSWITCH_TAG_POP;
	return f->tci & 0xfff ? VSWITCH_TAG_KEEP : VSWITCH_TAG_SET;
}

static void model_forward(const struct model_frame *f, uint64_t now, struct verdict *v)
{
	struct model_port *p = &ports[f->port];
	bool is_tagged = false, hidden = false, tagged;
	uint16_t vlan = 0;
	int only, at;

	for (uint32_t i = 0; i < NR_PORTS; i++)
		v->tags[i] = -1;
	v->flooded = false;
	v->why = model_admit(f, &vlan, &is_tagged, &hidden);
	if (v->why == VSWITCH_FORWARDED && is_link_local(f->dst) && !p->c.link_local)
		v->why = VSWITCH_LINK_LOCAL;
	if (v->why == VSWITCH_FORWARDED && p->c.any_source && !learn(f->src, vlan, f->port, now))
		v->why = VSWITCH_MOVED;
	v->tci = (uint16_t)(vlan | (is_tagged ? f->tci & 0xf000 : 0));
	p->count.in_frames++;
	p->count.in_bytes += f->bytes;
	if (v->why == VSWITCH_FORWARDED) {
		v->why = VSWITCH_NOWHERE;
		only = owner_of(f->dst);
		at = find(f->dst, vlan);
		if (only < 0 && at >= 0)
			only = (int)known[at].port;
		for (uint32_t i = 0; i < NR_PORTS; i++) {
			if (!reaches(f, i, vlan, hidden, &tagged) ||
			    (only >= 0 ? (int)i != only : !floods_to(f, i)))
				continue;
			v->why = VSWITCH_FORWARDED;
			v->flooded = only < 0;
			v->tags[i] = tag_action(f, is_tagged, tagged);
			ports[i].count.out_frames++;
			ports[i].count.out_bytes += f->bytes;
		}
	}
	p->count.dropped[v->why] += v->why != VSWITCH_FORWARDED;
	p->count.flooded += v->flooded;
}

/* ---- both -------------------------------------------------------------------------- */

static struct vswitch *s;
static uint64_t now;
static unsigned long seen_drops[VSWITCH_NR_DROPS], seen_tags[4], seen_floods, seen_evictions;

static void put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

static uint64_t some_unicast(void)
{
	return 0x020000000000ull + rnd(48);
}

static uint64_t some_group(void)
{
	switch (rnd(4)) {
	case 0: return BROADCAST;
	case 1: return 0x0180c2000000ull + rnd(18);
	default: return 0x01005e000000ull + rnd(10);
	}
}

static uint16_t some_vlan(void)
{
	static const uint16_t vlans[] = { 0, 0, 1, 2, 100, 4094 };

	return vlans[rnd(UNIT_LEN(vlans))];
}

static struct vswitch_port_config some_config(uint64_t *mac)
{
	struct vswitch_port_config c = { .vlan = some_vlan(), .any_source = chance(50),
		.isolated = chance(30), .link_local = chance(30), .mirror = chance(10) };

	*mac = some_unicast();
	put_mac(c.mac, *mac);
	if (!chance(50))
		return c;
	c.mode = VSWITCH_TRUNK;
	if (chance(20))
		c.vlan = VSWITCH_VLAN_NONE;
	for (uint32_t i = 0; i < 3; i++) {
		uint16_t vlan = some_vlan();

		c.vlans[vlan / 8] |= (uint8_t)(vlan ? 1 << vlan % 8 : 0);
	}
	return c;
}

static void forget_mac(uint64_t mac)
{
	for (uint32_t i = nr_known; i-- > 0;)
		if (known[i].mac == mac)
			forget_at(i);
}

static void forget_port(uint32_t port, bool all)
{
	bool tagged;

	for (uint32_t i = nr_known; i-- > 0;)
		if (known[i].port == port &&
		    (all || !carries(&ports[port].c, known[i].vlan, &tagged)))
			forget_at(i);
}

static bool step_set(uint32_t port)
{
	uint64_t mac;
	struct vswitch_port_config c = some_config(&mac);
	int owner = c.any_source ? -1 : owner_of(mac), got;
	uint32_t number = port;

	if (!ports[port].used) {
		for (number = 0; ports[number].used; number++)
			;
		got = vswitch_add_port(s, &c, &port);
	} else {
		got = vswitch_set_port(s, port, &c);
	}
	if (owner >= 0 && (uint32_t)owner != number)
		return got == -EEXIST;
	if (got || port != number)
		return false;
	nr_ports += !ports[port].used;
	ports[port].used = true;
	ports[port].c = c;
	ports[port].mac = mac;
	if (!c.any_source)
		forget_mac(mac);
	forget_port(port, !c.any_source);
	return true;
}

static bool step_remove(uint32_t port)
{
	vswitch_remove_port(s, port);
	nr_ports -= ports[port].used;
	ports[port] = (struct model_port){ 0 };
	forget_port(port, true);
	return true;
}

static bool step_multicast(uint32_t port)
{
	struct model_port *p = &ports[port];
	uint64_t group = 0x01005e000000ull + rnd(8);
	uint8_t mac[6];
	uint32_t at = 0;

	put_mac(mac, group);
	if (!p->used)
		return vswitch_multicast_add(s, port, mac) == -ENOENT;
	while (at < p->nr_groups && p->groups[at] != group)
		at++;
	if (chance(30)) {
		p->filtering = chance(60);
		return !vswitch_multicast_filter(s, port, p->filtering);
	}
	if (chance(50)) {
		if (at == p->nr_groups)
			p->groups[p->nr_groups++] = group;
		return !vswitch_multicast_add(s, port, mac);
	}
	if (at == p->nr_groups)
		return vswitch_multicast_del(s, port, mac) == -ENOENT;
	p->groups[at] = p->groups[--p->nr_groups];
	return !vswitch_multicast_del(s, port, mac);
}

static bool step_age(void)
{
	vswitch_age(s, now);
	for (uint32_t i = nr_known; i-- > 0;)
		if (now - known[i].seen >= config.ageing_ms)
			forget_at(i);
	return true;
}

static void fill_frame(uint8_t *header, const struct model_frame *f)
{
	memset(header, 0, VSWITCH_HEADER_BYTES);
	put_mac(header, f->dst);
	put_mac(header + 6, f->src);
	header[12] = f->tag ? 0x81 : 0x08;
	header[14] = (uint8_t)(f->tci >> 8);
	header[15] = (uint8_t)f->tci;
	header[16] = f->tag && f->second ? 0x81 : 0x08;
}

static struct model_frame some_frame(uint32_t port)
{
	struct model_frame f = { .port = port, .bytes = 60 + rnd(1000), .tag = chance(50),
		.second = chance(30), .tci = (uint16_t)(rnd(8) << 13 | some_vlan()) };

	f.dst = chance(30) ? some_group() : some_unicast();
	f.src = chance(2) ? some_group() : chance(1) ? 0 : some_unicast();
	if (!ports[port].c.any_source && chance(80))
		f.src = ports[port].mac;
	return f;
}

static bool same_decision(const struct vswitch_decision *d, const struct verdict *v,
			  const struct model_frame *f)
{
	bool mirror = ports[f->port].c.mirror;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < NR_PORTS; i++)
		nr += v->tags[i] >= 0;
	if (d->nr != nr || d->why != v->why || d->flooded != v->flooded)
		return false;
	for (uint32_t i = 0; i < d->nr; i++) {
		/* In order, and so each port once. */
		if (i && d->out[i].port <= d->out[i - 1].port)
			return false;
		if (v->tags[d->out[i].port] != d->out[i].tag)
			return false;
		seen_tags[d->out[i].tag]++;
		mirror |= ports[d->out[i].port].c.mirror;
		if ((d->out[i].tag == VSWITCH_TAG_PUSH || d->out[i].tag == VSWITCH_TAG_SET) &&
		    d->tci != v->tci)
			return false;
	}
	return d->mirror == mirror;
}

static bool step_frame(uint32_t port)
{
	static struct vswitch_decision d;
	uint8_t header[VSWITCH_HEADER_BYTES];
	struct model_frame f = some_frame(port);
	uint32_t before = nr_known;
	struct verdict v;

	if (!ports[port].used)
		return true;
	fill_frame(header, &f);
	vswitch_forward(s, port, header, sizeof(header), f.bytes, now, &d);
	model_forward(&f, now, &v);
	seen_drops[v.why]++;
	seen_floods += v.flooded;
	seen_evictions += before == NR_ADDRESSES;
	return same_decision(&d, &v, &f);
}

/* ---- comparing -------------------------------------------------------------------- */

struct tally {
	uint32_t learned, fixed;
	bool wrong;
};

static int tally_one(void *arg, const struct vswitch_address *a)
{
	struct tally *t = arg;
	uint64_t mac = 0;
	int at;

	for (int i = 0; i < 6; i++)
		mac = mac << 8 | a->mac[i];
	at = find(mac, a->vlan);
	if (a->fixed)
		t->wrong |= owner_of(mac) != (int)a->port;
	else
		t->wrong |= at < 0 || known[at].port != a->port ||
			    now - known[at].seen != a->age_ms;
	t->learned += !a->fixed;
	t->fixed += a->fixed;
	return 0;
}

static bool same_addresses(void)
{
	struct tally t = { 0 };
	uint32_t fixed = 0;

	vswitch_each_address(s, now, tally_one, &t);
	for (uint32_t i = 0; i < NR_PORTS; i++)
		fixed += ports[i].used && !ports[i].c.any_source;
	return !t.wrong && t.learned == nr_known && t.fixed == fixed;
}

static bool same_counters(void)
{
	struct vswitch_counters c;

	for (uint32_t i = 0; i < NR_PORTS; i++) {
		if (vswitch_counters(s, i, &c) != (ports[i].used ? 0 : -ENOENT))
			return false;
		if (ports[i].used && memcmp(&c, &ports[i].count, sizeof(c)))
			return false;
	}
	return true;
}

static bool step(void)
{
	uint32_t port = rnd(NR_PORTS);

	now += chance(50) ? 0 : rnd(40);
	if (chance(96))
		return step_frame(port);
	switch (rnd(8)) {
	case 0: return nr_ports < 8 || step_remove(port);
	case 1: return step_age();
	case 2: case 3: return step_multicast(port);
	case 4: return same_addresses() && same_counters();
	default: return step_set(port);
	}
}

static void test_random(void)
{
	unsigned long at;
	bool same = true;

	config = (struct vswitch_config){ .max_ports = NR_PORTS, .max_addresses = NR_ADDRESSES,
					  .ageing_ms = 4000, .move_ms = 300 };
	UNIT_NEED(vswitch_open(&config, &s) == 0);
	now = 5000;
	for (at = 0; at < NR_PORTS; at++)
		same = same && step_set((uint32_t)at);
	for (at = 0; at < STEPS && same; at++)
		same = step();
	UNIT_EQ(at, STEPS);
	UNIT_OK(same_addresses());
	UNIT_OK(same_counters());
	vswitch_close(s);
}

/* A model that never met a rule has not tested it. */
static void test_everything_happened(void)
{
	for (unsigned int i = VSWITCH_FORWARDED; i <= VSWITCH_NOWHERE; i++)
		UNIT_OK(i == VSWITCH_RUNT || seen_drops[i] > 100);
	for (unsigned int i = 0; i < UNIT_LEN(seen_tags); i++)
		UNIT_OK(seen_tags[i] > 100);
	UNIT_OK(seen_floods > 1000);
	UNIT_OK(seen_evictions > 1000);
}

static const struct unit_test tests[] = {
	{ "as the model says", test_random },
	{ "every rule was met", test_everything_happened },
};

int main(void)
{
	seed = getenv("PV_SEED") ? strtoull(getenv("PV_SEED"), NULL, 0) : 20261121;
	printf("seed %llu\n", (unsigned long long)seed);
	return unit_run("vswitch, random", tests, UNIT_LEN(tests));
}
