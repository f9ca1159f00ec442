/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network front end whose rings, pages and ports are in the test's own hands.
 *
 * Hides: the handshake, waiting. Must not know: which lies are told.
 */
#ifndef PV_HOSTILE_VIF_H
#define PV_HOSTILE_VIF_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>
#include "frontdev.h"
#include "hostile-base.h"
#include "ring.h"
#include "vif.h"

#define VIF_PAGES 64u		/* of each direction */

enum vif_ring { VIF_TX, VIF_RX, VIF_CTRL, VIF_RINGS };

struct vif {
	struct front_env *env;
	struct frontdev dev;
	struct vif_features back;
	struct vif_frontend front;
	uint8_t mac[VIF_MAC_BYTES];
	void *page[VIF_RINGS];
	struct ring_front ring[VIF_RINGS];
	uint32_t port[VIF_RINGS];
	uint8_t *data, *buffers, *list;		/* to send, to receive into, for lists */
	uint32_t data_gref[VIF_PAGES], buffer_gref[VIF_PAGES], list_gref;
	uint8_t *ro, *foreign;			/* a page read-only, one of nobody's but ours */
	uint32_t ro_gref, foreign_gref;
	uint32_t posted[256];			/* buffer of each rx slot */
	uint16_t last_id;
};

/* Up to rings that only we know, and from there to Connected. */
void vif_prepare(struct vif *v, struct front_env *env, uint32_t devid);
void vif_publish(struct vif *v);
void vif_connect(struct vif *v);
/* All three. */
void vif_open(struct vif *v, struct front_env *env, uint32_t devid);
/* Waits until the back end has closed; it must not hold anything of ours. */
void vif_close(struct vif *v);
/* The back end closes by itself. Why it says in a node that a guest cannot read. */
void vif_stopped(struct vif *v);
bool vif_is_gone(struct vif *v);

/* One of its nodes, valid until the next call. */
const char *vif_node(const struct vif *v, const char *key);
/* The producer of answers, as the shared page says. */
uint32_t vif_answered(const struct vif *v, enum vif_ring ring);
/* Of a page that was granted until now. */
uint32_t vif_ended_gref(struct vif *v);

/* ---- sending ------------------------------------------------------------------- */

/* A frame to everybody, or to a vif, in page; bytes 14 to the end are of seed. */
void vif_frame(const struct vif *v, uint8_t *page, const uint8_t *to, uint32_t bytes,
	       uint8_t seed);
/* A slot; its id. Nothing is published. */
uint16_t vif_slot(struct vif *v, uint32_t gref, uint32_t offset, uint32_t bytes, uint16_t flags);
void vif_extra(struct vif *v, uint8_t type, uint8_t flags, uint16_t gso_bytes);
void vif_notify(struct vif *v, enum vif_ring ring);
/* Publishes, and notifies whether or not that was asked for. */
void vif_push(struct vif *v, enum vif_ring ring);
/* The next answer; the vif must stay connected. */
struct netif_tx_response vif_answer(struct vif *v);
/* A good frame is taken. */
void vif_good(struct vif *v);

/* ---- receiving ------------------------------------------------------------------ */

void vif_post(struct vif *v, uint32_t nr);
void vif_post_gref(struct vif *v, uint32_t gref, uint32_t buffer);
/* The next response, and the buffer of its slot. */
struct netif_rx_response vif_take(struct vif *v, uint32_t *buffer);

/* ---- control --------------------------------------------------------------------- */

/* A message and its status. */
uint32_t vif_ask(struct vif *v, uint16_t type, uint32_t a, uint32_t b, uint32_t c);

#endif
