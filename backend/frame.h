/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside an Ethernet frame: headers found, offloads completed.
 *
 * Hides: Ethernet, 802.1Q, IPv4 with options, IPv6 with extension headers, TCP
 * and UDP; the Internet checksum; cutting a large TCP packet into segments and
 * joining segments; the Toeplitz hash. Must not know: rings, grants, ports, who
 * sends to whom.
 *
 * Pure functions on private copies: every length comes from a stranger, and
 * nothing is read beyond what the caller says is there. What frame_parse() found
 * is not looked up again: a later copy of the same headers, which a guest may
 * have changed meanwhile, leads nobody out of bounds. Any thread.
 * Sources: RFC 791, 8200, 9293, 768, 1071; xen/io/netif.h for offloads and hash.
 */
#ifndef PV_FRAME_H
#define PV_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_ETH_BYTES 14u
#define FRAME_TAG_BYTES 4u
/*
 * Enough for Ethernet, a tag, IPv4 or IPv6 with a few options or extensions, and
 * TCP with options; a TCP packet whose headers are longer is not segmented.
 */
#define FRAME_HEADER_MAX 256u

enum frame_l3 { FRAME_L3_OTHER, FRAME_IPV4, FRAME_IPV6 };
enum frame_l4 { FRAME_L4_OTHER, FRAME_TCP, FRAME_UDP };

struct frame {
	uint32_t bytes;			/* of the whole frame */
	enum frame_l3 l3;
	enum frame_l4 l4;		/* OTHER in all but the first IP fragment too */
	bool fragment;			/* of an IP packet */
	uint16_t l3_offset;		/* of the IP header; after any tags */
	uint16_t l4_offset;		/* of the TCP or UDP header */
	uint16_t payload_offset;	/* after it */
	uint16_t ip_bytes;		/* IP packet's length as its header says */
	uint16_t l4_bytes;		/* TCP or UDP with its payload; of a fragmented
					   datagram, what is in this frame */
};

/*
 * Finds the headers in header, the frame's first header_bytes octets. Returns
 * 0, or -EBADMSG: too short for Ethernet. What cannot be understood is OTHER;
 * lengths that contradict the frame's make it OTHER too, and so does an IPv6
 * routing header that has still a way to go, as the checksum is then over
 * another destination. When l4 is TCP or UDP, its header without TCP options is
 * in header. Octets after the IP packet (padding) belong to nothing.
 */
int frame_parse(const uint8_t *header, uint32_t header_bytes, uint32_t frame_bytes,
		struct frame *out);

/* ---- checksums -------------------------------------------------------------------- */

/*
 * Adds bytes octets to a running sum, as often as you like; a piece of an odd
 * length only at the end.
 */
uint64_t frame_sum(uint64_t sum, const void *data, size_t bytes);
/*
 * The 16 bits that go into a header, to be stored as they are (memcpy). UDP has
 * 0xffff where this is 0, which there means that there is no checksum.
 */
uint16_t frame_fold(uint64_t sum);
/*
 * Completes the TCP or UDP checksum of a whole frame in memory, as csum_blank
 * asks, whatever stands in its place. -EOPNOTSUPP: neither TCP nor UDP over IP, or
 * a fragment.
 */
int frame_complete_checksum(uint8_t *frame, const struct frame *f);
/*
 * The same when only headers are in one piece, up to payload_offset at least:
 * payload_sum is frame_sum() of the l4_bytes' rest.
 */
int frame_complete_headers(uint8_t *header, const struct frame *f, uint64_t payload_sum);
/*
 * Puts the pseudo header's sum where the TCP or UDP checksum is, which is what a
 * system wants that completes it later (virtio's and Linux's CHECKSUM_PARTIAL).
 * -EOPNOTSUPP as above.
 */
int frame_prepare_checksum(uint8_t *header, const struct frame *f);
/* Where that sum starts and where it goes, for a vnet header. */
static inline uint16_t frame_checksum_start(const struct frame *f)
{
	return f->l4_offset;
}
uint16_t frame_checksum_offset(const struct frame *f);
/*
 * Whether the TCP or UDP checksum of a whole frame in memory is right; over IPv4
 * UDP may have none. False for what has no such checksum.
 */
bool frame_checksum_is_right(const uint8_t *frame, const struct frame *f);

/* ---- segmentation ------------------------------------------------------------------ */

/*
 * Cuts a TCP packet into segments of at most mss octets of payload. The payload
 * is not touched: each step gives the new headers and says which part of the
 * packet's payload follows them.
 */
struct frame_cut {
	struct frame frame;
	uint32_t mss, at;		/* octets of payload given out */
	uint32_t index;
	uint8_t header[FRAME_HEADER_MAX];
};

struct frame_segment {
	uint32_t header_bytes;		/* Ethernet to TCP; in the caller's buffer */
	uint32_t payload_offset;	/* in the large frame */
	uint32_t payload_bytes;
	struct frame frame;		/* the segment as frame_parse() would see it */
};

/*
 * -EOPNOTSUPP: not a TCP packet, a fragment, headers longer than
 * FRAME_HEADER_MAX or than header_bytes; -EINVAL: mss 0, or so small that more than
 * FRAME_SEGMENTS_MAX would come. A packet without payload is one segment.
 */
#define FRAME_SEGMENTS_MAX 1024u
int frame_cut_start(struct frame_cut *c, const uint8_t *header, uint32_t header_bytes,
		    const struct frame *f, uint32_t mss);
/*
 * The next segment: writes its headers into the FRAME_HEADER_MAX octets at header,
 * with lengths, IPv4's id and checksum, TCP's sequence number and flags (FIN and
 * PSH in the last, CWR in the first), and the pseudo header's sum in the TCP
 * checksum (finish with frame_complete_headers(), or pass it on blank). False:
 * there are no more.
 */
bool frame_cut_next(struct frame_cut *c, uint8_t *header, struct frame_segment *out);
uint32_t frame_cut_count(const struct frame_cut *c);
/* Goes on with the segment of that index. */
void frame_cut_skip(struct frame_cut *c, uint32_t index);

/* ---- joining ------------------------------------------------------------------------ */

/*
 * The other way: TCP segments that follow each other become a packet that
 * frame_cut_start() would cut into the same segments again. They are joined only when
 * nothing is lost by it: all headers alike but for lengths, sequence, checksums and
 * ids; no flags but ACK and PSH, and PSH in the last alone; no padding; each but the
 * last of one length.
 */
struct frame_join {
	struct frame frame;		/* the packet's so far */
	const uint8_t *header;		/* the first segment's */
	uint32_t bytes_max, mss;	/* of the packet; payload of a segment */
	uint32_t nr;			/* segments */
	bool ended, pushes;
};

/*
 * False: f, whose headers up to payload_offset are in header, joins nothing. header
 * must stay there until frame_join_header(). bytes_max limits the packet.
 */
bool frame_join_start(struct frame_join *j, const uint8_t *header, const struct frame *f,
		      uint32_t bytes_max);
/* Whether f is the next segment; it belongs to the packet then. */
bool frame_join_next(struct frame_join *j, const uint8_t *header, const struct frame *f);
/*
 * The packet's headers, frame.payload_offset octets, with the pseudo header's sum in
 * the TCP checksum. What follows are the segments' payloads.
 */
void frame_join_header(const struct frame_join *j, uint8_t *header);

/* ---- hash ---------------------------------------------------------------------------- */

#define FRAME_HASH_KEY_BYTES 40u

/*
 * Toeplitz over what types asks for: bits as XEN_NETIF_CTRL_HASH_TYPE_*, the most
 * that fits: a TCP packet that is no fragment by its ports too. *type: the one bit
 * used, 0: none fits and the hash is 0.
 */
uint32_t frame_hash(const uint8_t *header, const struct frame *f, const uint8_t *key,
		    uint32_t types, uint32_t *type);
/*
 * A cheap hash of the flow, to spread flows over queues; equal for equal flows. A
 * datagram's fragments have one, and what is not IP has one by its addresses.
 */
uint32_t frame_flow(const uint8_t *header, const struct frame *f);

#endif
