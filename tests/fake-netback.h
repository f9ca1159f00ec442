/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network back end inside the test's own process, that does what a test tells
 * it to, runs when the front end sleeps, and may lie.
 *
 * Hides: the handshake, how a frame lies in slots. Must not know: the front
 * end's inside.
 */
#ifndef PV_FAKE_NETBACK_H
#define PV_FAKE_NETBACK_H

#include "fake-env.h"
#include "ring.h"
#include "vif.h"

#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>

#define FAKE_VIF 0u
#define FAKE_FRONT_DIR "/local/domain/3/device/vif/0"
#define FAKE_BACK_DIR "/local/domain/0/backend/vif/3/0"
#define FAKE_FRAMES_MAX 1024u
#define FAKE_SLOTS_MAX 24u

/* A frame as the back end found it on a tx ring. */
struct fake_frame {
	uint8_t *data;
	uint32_t bytes, nr_slots, queue;
	struct netif_tx_request req[FAKE_SLOTS_MAX];
	struct netif_extra_info extra[4];
	uint32_t nr_extras;
};

struct fake_netback {
	struct vif_features features;
	bool late;		/* ignores rings until told to */
	bool mute;		/* no reaction to states */
	bool never_closes;
	bool stuck;		/* takes no requests */
	bool echo;		/* sends what it receives back, on the same queue */
	bool reverse;		/* answers frames in reverse order */
	bool hold;		/* takes requests, answers with fake_answer_held() */
	int16_t status;		/* of all tx answers */
	uint32_t ctrl_status;	/* of all control answers; 0: do it */
	bool ctrl_mute;
	/* Called for each tx answer before it is put; may change it, false: drop it. */
	bool (*twist_tx)(struct fake_netback *b, struct netif_tx_response *rsp);
	bool (*twist_ctrl)(struct fake_netback *b, struct xen_netif_ctrl_response *rsp);
	void (*on_sleep)(struct fake_netback *b);
	/* Where to write for a gref that is no shared page; NULL: bad. fill: it is used. */
	uint8_t *(*page_of)(uint32_t gref, bool fill);
	bool raw_fills;		/* fake_rx_raw() uses its buffer */
	/* state */
	struct vif_frontend front;
	struct ring_back tx[VIF_QUEUES_MAX], rx[VIF_QUEUES_MAX], ctrl;
	bool connected;
	struct fake_frame frame[FAKE_FRAMES_MAX];
	uint32_t nr_frames, nr_answered, sleeps, events_sent, bad_requests;
	uint8_t group[64][6];
	uint32_t nr_groups;
	/* control: what was set */
	uint32_t algorithm, hash_types, map[1024], nr_map, map_limit;
	uint8_t key[64];
	uint32_t nr_key, gref_limit, nr_mapped;
	struct xen_netif_gref mapped[4096];
};

extern struct fake_netback fake_nb;

void fake_netback_reset(void);
struct front_env *fake_netback_env(void);
void fake_netback_end(void);

/* ---- from the back end, to be called by a test or on_sleep ------------------------ */

/*
 * One frame into the front end's buffers, in slots of at most slot_bytes, offset
 * bytes into each page. extras lie between the first slot and the second. False:
 * too few buffers. Not told before fake_rx_push().
 */
bool fake_rx_frame(uint32_t queue, const void *data, uint32_t bytes, uint32_t slot_bytes,
		   uint32_t offset, uint16_t flags, const struct netif_extra_info *extra,
		   uint32_t nr_extras);
/* One response as given, with the id of the request that it consumes unless keep_id. */
bool fake_rx_raw(uint32_t queue, struct netif_rx_response rsp, bool keep_id);
bool fake_rx_extra(uint32_t queue, const struct netif_extra_info *extra);
void fake_rx_push(uint32_t queue);
/* Buffers that wait on a queue's rx ring. */
uint32_t fake_rx_buffers(uint32_t queue);
/* One tx answer as given. */
void fake_tx_raw(uint32_t queue, struct netif_tx_response rsp);
void fake_tx_push(uint32_t queue);
/* Answers the next nr frames that are held. */
void fake_answer_held(uint32_t nr);
/* Takes what is on the rings now, told or not. */
void fake_netback_serve(void);

#endif
