/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a frame goes. What a hostile port may try is refused here in one order:
 * a header that is not all there, a source that cannot be or is not its own, a
 * VLAN it has no part in, protocols between switches, an address of another.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "vswitch-internal.h"

#define ETH_BYTES 14u
#define TYPE_8021Q 0x8100u
#define TYPE_8021AD 0x88a8u
#define TYPE_QINQ 0x9100u		/* what switches used before 802.1ad */
#define MAC_BROADCAST 0xffffffffffffull
#define MAC_LINK_LOCAL 0x0180c2000000ull	/* to ...0f: bridges do not forward them */
#define VID_MASK 0x0fffu

enum own_tag { TAG_NONE, TAG_PRIORITY, TAG_VLAN };

/* A frame, as far as the switch looks. */
struct seen {
	uint64_t dst, src;
	uint16_t vlan, tci;
	uint8_t to_tagging, to_others;	/* enum vswitch_tag, by kind of the receiver */
	bool tag_behind;		/* once it is untagged, another tag comes first */
};

const char *vswitch_drop_name(enum vswitch_drop why)
{
	static const char *const names[VSWITCH_NR_DROPS] = {
		[VSWITCH_FORWARDED] = "forwarded",
		[VSWITCH_RUNT] = "runt",
		[VSWITCH_BAD_SOURCE] = "bad-source",
		[VSWITCH_SPOOFED] = "spoofed",
		[VSWITCH_MOVED] = "moved",
		[VSWITCH_VLAN] = "vlan",
		[VSWITCH_LINK_LOCAL] = "link-local",
		[VSWITCH_NOWHERE] = "nowhere",
		[VSWITCH_QUEUE_FULL] = "queue-full",
		[VSWITCH_TOO_BIG] = "too-big",
		[VSWITCH_MALFORMED] = "malformed",
		[VSWITCH_RATE] = "rate",
	};

	return (unsigned int)why < VSWITCH_NR_DROPS ? names[why] : "unknown";
}

/* ---- what comes in --------------------------------------------------------------- */

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool is_tag(uint16_t type)
{
	return type == TYPE_8021Q || type == TYPE_8021AD || type == TYPE_QINQ;
}

static void set_tags(struct seen *f, enum own_tag tag)
{
	static const uint8_t to_tagging[] = { VSWITCH_TAG_PUSH, VSWITCH_TAG_SET,
					      VSWITCH_TAG_KEEP };

	f->to_tagging = to_tagging[tag];
	f->to_others = tag == TAG_NONE ? VSWITCH_TAG_KEEP : VSWITCH_TAG_POP;
}

/* Of a frame with a tag in front, which has all VSWITCH_HEADER_BYTES. */
static enum vswitch_drop classify_tagged(const struct vswitch *s, uint32_t port,
					 const uint8_t *header, struct seen *f)
{
	const struct vswitch_port *p = &s->ports[port];
	uint16_t tci = load16(header + 14), vid = tci & VID_MASK;

	/* Tags of others than 802.1Q mean nothing to a port that has VLANs. */
	if (load16(header + 12) != TYPE_8021Q)
		return VSWITCH_VLAN;
	f->tag_behind = is_tag(load16(header + 16));
	if (p->access && (vid || f->tag_behind))
		return VSWITCH_VLAN;
	f->vlan = vid ? vid : p->vlan;
	f->tci = (uint16_t)((tci & ~VID_MASK) | f->vlan);
	set_tags(f, vid ? TAG_VLAN : TAG_PRIORITY);
	return VSWITCH_FORWARDED;
}

static enum vswitch_drop classify(const struct vswitch *s, uint32_t port,
				  const uint8_t *header, uint32_t header_bytes,
				  struct seen *f)
{
	const struct vswitch_port *p = &s->ports[port];
	bool tagged = is_tag(load16(header + 12));
	enum vswitch_drop why;

	if (tagged && header_bytes < VSWITCH_HEADER_BYTES)
		return VSWITCH_RUNT;
	if (tagged && (!p->access || p->vlan)) {
		why = classify_tagged(s, port, header, f);
		if (why != VSWITCH_FORWARDED)
			return why;
	} else {
		f->vlan = f->tci = p->vlan;
		f->tag_behind = tagged;
		set_tags(f, TAG_NONE);
	}
	/* Of VSWITCH_VLAN_NONE nobody is a member. */
	return set_has(s->members + (size_t)f->vlan * s->set_words, port) ? VSWITCH_FORWARDED
									  : VSWITCH_VLAN;
}

static enum vswitch_drop check_source(const struct vswitch *s,
				      const struct vswitch_port *p, uint64_t src)
{
	if (mac_is_group(src) || !src)
		return VSWITCH_BAD_SOURCE;
	if (!p->any_source)
		return src == p->mac ? VSWITCH_FORWARDED : VSWITCH_SPOOFED;
	return mac_map_find(&s->fixed, src) == MAC_MAP_NONE ? VSWITCH_FORWARDED
							     : VSWITCH_SPOOFED;
}

static bool is_link_local(uint64_t mac)
{
	return (mac & ~0xfull) == MAC_LINK_LOCAL;
}

/* Everything that makes a frame unwelcome wherever it wants to go. */
static enum vswitch_drop admit(struct vswitch *s, uint32_t port, const uint8_t *header,
			       uint32_t header_bytes, uint64_t now_ms, struct seen *f)
{
	const struct vswitch_port *p = &s->ports[port];
	enum vswitch_drop why;

	if (header_bytes < ETH_BYTES)
		return VSWITCH_RUNT;
	f->dst = load64(header) >> 16;
	f->src = load64(header + 4) & MAC_BROADCAST;
	why = check_source(s, p, f->src);
	if (why == VSWITCH_FORWARDED)
		why = classify(s, port, header, header_bytes, f);
	if (why != VSWITCH_FORWARDED)
		return why;
	if (is_link_local(f->dst) && !p->link_local)
		return VSWITCH_LINK_LOCAL;
	if (p->any_source &&
	    !mac_table_see(&s->learned, mac_key(f->src, f->vlan), port, now_ms,
			   s->cfg.move_ms))
		return VSWITCH_MOVED;
	return VSWITCH_FORWARDED;
}

/* ---- where it goes ------------------------------------------------------------------ */

/* The ports of word w that may get f from port, whatever its destination. */
static uint64_t may_get(const struct vswitch *s, uint32_t port, const struct seen *f,
			uint32_t w)
{
	size_t at = (size_t)f->vlan * s->set_words + w;
	uint64_t set = s->members[at];

	if (s->ports[port].isolated)
		set &= ~s->isolated[w];
	if (f->tag_behind)
		set &= ~(s->trunk[w] & ~s->tagging[at]);
	if (w == port / 64)
		set &= ~(1ull << port % 64);
	return set;
}

static void give(struct vswitch *s, const struct seen *f, uint32_t to, uint32_t bytes,
		 struct vswitch_decision *d)
{
	struct vswitch_port *p = &s->ports[to];
	bool tagging = set_has(s->tagging + (size_t)f->vlan * s->set_words, to);

	d->out[d->nr].port = (uint16_t)to;
	d->out[d->nr].tag = tagging ? f->to_tagging : f->to_others;
	d->nr++;
	d->mirror |= p->mirror;
	p->counters->out_frames++;
	p->counters->out_bytes += bytes;
}

static uint64_t without_unwanted(const struct vswitch *s, uint64_t set, uint32_t w,
				 uint64_t mac)
{
	uint64_t filtering = set & s->filtering[w];

	for (; filtering; filtering &= filtering - 1)
		if (!vswitch_multicast_wanted(s, w * 64 + (uint32_t)__builtin_ctzll(filtering),
					      mac))
			set &= ~(filtering & -filtering);
	return set;
}

static void flood(struct vswitch *s, uint32_t port, const struct seen *f, uint32_t bytes,
		  struct vswitch_decision *d)
{
	bool group = mac_is_group(f->dst), link_local = is_link_local(f->dst);
	uint64_t set;

	for (uint32_t w = 0; w < s->set_words; w++) {
		set = may_get(s, port, f, w);
		if (!group)
			set &= s->any_source[w];
		else if (link_local)
			set &= s->link_local[w];
		else if (f->dst != MAC_BROADCAST)
			set = without_unwanted(s, set, w, f->dst);
		for (; set; set &= set - 1)
			give(s, f, w * 64 + (uint32_t)__builtin_ctzll(set), bytes, d);
	}
	d->flooded = d->nr > 0;
}

static void choose(struct vswitch *s, uint32_t port, const struct seen *f, uint32_t bytes,
		   struct vswitch_decision *d)
{
	uint32_t to = MAC_MAP_NONE;

	if (!mac_is_group(f->dst)) {
		to = mac_map_find(&s->fixed, f->dst);
		if (to == MAC_MAP_NONE)
			to = mac_table_find(&s->learned, mac_key(f->dst, f->vlan));
	}
	if (to == MAC_MAP_NONE)
		flood(s, port, f, bytes, d);
	else if (may_get(s, port, f, to / 64) >> to % 64 & 1)
		give(s, f, to, bytes, d);
}

uint32_t vswitch_forward(struct vswitch *s, uint32_t port, const uint8_t *header,
			 uint32_t header_bytes, uint32_t bytes, uint64_t now_ms,
			 struct vswitch_decision *d)
{
	struct vswitch_port *p = &s->ports[port];
	struct seen f;

	assert(vswitch_has_port(s, port));
	p->counters->in_frames++;
	p->counters->in_bytes += bytes;
	d->nr = 0;
	d->tci = 0;
	d->flooded = false;
	d->mirror = p->mirror;
	d->why = admit(s, port, header, header_bytes < bytes ? header_bytes : bytes, now_ms,
		       &f);
	if (d->why == VSWITCH_FORWARDED) {
		d->tci = f.tci;
		choose(s, port, &f, bytes, d);
		if (!d->nr)
			d->why = VSWITCH_NOWHERE;
	}
	if (d->why != VSWITCH_FORWARDED)
		p->counters->dropped[d->why]++;
	p->counters->flooded += d->flooded;
	return d->nr;
}

void vswitch_note(struct vswitch *s, uint32_t port, uint32_t bytes, enum vswitch_drop why)
{
	struct vswitch_counters *c;

	assert(why > VSWITCH_NOWHERE && why < VSWITCH_NR_DROPS);
	if (!vswitch_has_port(s, port))
		return;
	c = s->ports[port].counters;
	/* The port may be new, under the number of one that went. */
	if (!c->out_frames || c->out_bytes < bytes)
		return;
	c->out_frames--;
	c->out_bytes -= bytes;
	c->dropped[why]++;
}

void vswitch_note_part(struct vswitch *s, uint32_t port, enum vswitch_drop why)
{
	assert(why > VSWITCH_NOWHERE && why < VSWITCH_NR_DROPS);
	if (vswitch_has_port(s, port))
		s->ports[port].counters->dropped[why]++;
}

void vswitch_refuse(struct vswitch *s, uint32_t port, uint32_t bytes,
		    enum vswitch_drop why)
{
	struct vswitch_counters *c = s->ports[port].counters;

	assert(vswitch_has_port(s, port));
	assert(why > VSWITCH_NOWHERE && why < VSWITCH_NR_DROPS);
	c->in_frames++;
	c->in_bytes += bytes;
	c->dropped[why]++;
}

void vswitch_age(struct vswitch *s, uint64_t now_ms)
{
	for (uint32_t i = 0; i < s->cfg.max_ports; i++)
		mac_table_age(&s->learned, i, now_ms, s->cfg.ageing_ms);
}

/* ---- looking ------------------------------------------------------------------------ */

int vswitch_counters(const struct vswitch *s, uint32_t port, struct vswitch_counters *out)
{
	if (!vswitch_has_port(s, port))
		return -ENOENT;
	*out = *s->ports[port].counters;
	return 0;
}

void vswitch_count_in(struct vswitch *s, uint32_t port, struct vswitch_counters *where)
{
	s->ports[port].counters = where ? where : &s->ports[port].own;
}

static void store_mac(uint8_t *mac, uint64_t v)
{
	for (unsigned int i = VSWITCH_MAC_BYTES; i-- > 0; v >>= 8)
		mac[i] = (uint8_t)v;
}

int vswitch_each_address(const struct vswitch *s, uint64_t now_ms,
			 int (*fn)(void *arg, const struct vswitch_address *a), void *arg)
{
	const struct mac_table *t = &s->learned;
	struct vswitch_address a;
	uint32_t i, at;
	int ret = 0;

	for (i = 0; i < s->cfg.max_ports && !ret; i++) {
		if (!s->ports[i].used)
			continue;
		if (!s->ports[i].any_source) {
			a = (struct vswitch_address){ .vlan = s->ports[i].vlan, .port = i,
						      .fixed = true };
			store_mac(a.mac, s->ports[i].mac);
			ret = fn(arg, &a);
		}
		for (at = t->holders[i].oldest; at != MAC_TABLE_END && !ret;
		     at = t->entries[at].newer) {
			a = (struct vswitch_address){ .vlan = vlan_of_key(t->entries[at].key),
						      .port = i,
						      .age_ms = now_ms - t->entries[at].seen_ms };
			store_mac(a.mac, mac_of_key(t->entries[at].key));
			ret = fn(arg, &a);
		}
	}
	return ret;
}
