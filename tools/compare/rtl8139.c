/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See rtl8139.h. A frame is sent when its descriptor's status is written, in the thread
 * that does so, from where it is; one that arrives is put into the ring by whoever has it,
 * so that nothing is copied twice. The check sequence behind a received frame is there and
 * zero: a real card has it from the wire.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "rtl8139.h"
#include "rtl8139-regs.h"

#define RING_MIN 8192u
#define RING_MAX 65536u
#define WHOLE (RTL_HEAD + CMP_FRAME_MAX + RTL_FCS + 3)

struct rtl8139 {
	const struct rtl8139_host *host;
	uint8_t mac[6], groups[8], cr;
	uint32_t tsd[RTL_TX], tsad[RTL_TX], rbstart, tcr, rcr, missed;
	uint32_t read_at, write_at;		/* in the ring */
	uint16_t imr, isr;
	uint64_t copied_bytes;
};

static void reset(struct rtl8139 *r)
{
	uint64_t copied = r->copied_bytes;
	const struct rtl8139_host *host = r->host;

	*r = (struct rtl8139){ .host = host, .copied_bytes = copied };
	memcpy(r->mac, host->mac, sizeof(r->mac));
	for (unsigned int i = 0; i < RTL_TX; i++)
		r->tsd[i] = TSD_OWN;
}

int rtl8139_open(const struct rtl8139_host *host, struct rtl8139 **out)
{
	struct rtl8139 *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->host = host;
	reset(r);
	*out = r;
	return 0;
}

void rtl8139_close(struct rtl8139 *r)
{
	free(r);
}

/*
 * The line follows the two registers. Who listens hears it rise, and hears it again when
 * an acknowledgement leaves it up, as one does who looks at its level.
 */
static void set_interrupts(struct rtl8139 *r, uint16_t isr, uint16_t imr)
{
	bool was = r->isr & r->imr, acknowledged = r->isr & ~isr;

	r->isr = isr;
	r->imr = imr;
	if ((!was || acknowledged) && isr & imr)
		r->host->interrupt(r->host->ctx);
}

static void raise(struct rtl8139 *r, uint16_t cause)
{
	set_interrupts(r, r->isr | cause, r->imr);
}

/* ---- sending ------------------------------------------------------------------- */

static void send(struct rtl8139 *r, unsigned int i, uint32_t value)
{
	uint32_t bytes = value & TSD_BYTES;
	const void *frame;

	if (!(r->cr & CR_TX) || value & TSD_OWN) {
		r->tsd[i] = (r->tsd[i] & TSD_OWN) | (value & ~(uint32_t)TSD_OWN);
		return;
	}
	frame = bytes && bytes <= CMP_FRAME_MAX ?
		r->host->memory(r->host->ctx, r->tsad[i], bytes) : NULL;
	if (frame && r->host->transmit(r->host->ctx, frame, bytes)) {
		r->copied_bytes += bytes;
		r->tsd[i] = bytes | TSD_OWN | TSD_OK;
		raise(r, ISR_TX_OK);
	} else {
		r->tsd[i] = bytes | TSD_OWN | TSD_ABORTED;
		raise(r, ISR_TX_ERROR);
	}
}

/* ---- receiving ------------------------------------------------------------------ */

static uint32_t ring_bytes(const struct rtl8139 *r)
{
	return RING_MIN << (r->rcr >> RCR_SIZE_SHIFT & RCR_SIZE_MASK);
}

/* A ring that wraps in front of the driver leaves the last frame whole, past its end. */
static bool overhangs(const struct rtl8139 *r)
{
	return r->rcr & RCR_WRAP && ring_bytes(r) < RING_MAX;
}

static uint32_t used_bytes(const struct rtl8139 *r)
{
	return (r->write_at - r->read_at) & (ring_bytes(r) - 1);
}

/*
 * Where the bytes at offset of the next frame are, in one piece or two; 0: not in the
 * guest.
 */
static unsigned int pieces(const struct rtl8139 *r, uint32_t offset, uint32_t bytes,
			   struct iovec iov[2])
{
	uint32_t size = ring_bytes(r), at = r->write_at + offset, first = bytes;

	if (!overhangs(r)) {
		at &= size - 1;
		if (first > size - at)
			first = size - at;
	}
	iov[0].iov_base = r->host->memory(r->host->ctx, (uint64_t)r->rbstart + at, first);
	iov[0].iov_len = first;
	if (!iov[0].iov_base || first == bytes)
		return iov[0].iov_base ? 1 : 0;
	iov[1].iov_base = r->host->memory(r->host->ctx, r->rbstart, bytes - first);
	iov[1].iov_len = bytes - first;
	return iov[1].iov_base ? 2 : 0;
}

unsigned int rtl8139_room(const struct rtl8139 *r, struct iovec iov[2])
{
	/* All of it is never used, since empty and full would look the same. */
	if (!(r->cr & CR_RX) || ring_bytes(r) - used_bytes(r) <= WHOLE)
		return 0;
	return pieces(r, RTL_HEAD, CMP_FRAME_MAX, iov);
}

static void put(struct rtl8139 *r, uint32_t offset, const void *data, uint32_t bytes)
{
	struct iovec iov[2];
	unsigned int n = pieces(r, offset, bytes, iov);

	for (unsigned int i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, data, iov[i].iov_len);
		data = (const char *)data + iov[i].iov_len;
	}
}

static uint32_t group_bit(const uint8_t *mac)
{
	uint32_t crc = ~0u;

	for (unsigned int i = 0; i < 48; i++) {
		bool bit = (crc >> 31) ^ (mac[i / 8] >> i % 8 & 1);

		crc = crc << 1 ^ (bit ? 0x04c11db7u : 0);
	}
	return crc >> 26;
}

/* The status of a frame to this address; 0: it is not for us. */
static uint16_t accept(const struct rtl8139 *r, const uint8_t *mac)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
	uint32_t bit;

	if (!memcmp(mac, everybody, 6))
		return r->rcr & (RCR_BROADCAST | RCR_ALL) ? RTL_RX_OK | RTL_RX_BROADCAST : 0;
	if (mac[0] & 1) {
		bit = group_bit(mac);
		return r->rcr & RCR_ALL || (r->rcr & RCR_GROUPS && r->groups[bit / 8] >> bit % 8 & 1) ?
		       RTL_RX_OK | RTL_RX_GROUP : 0;
	}
	if (!memcmp(mac, r->mac, 6))
		return r->rcr & (RCR_OURS | RCR_ALL) ? RTL_RX_OK | RTL_RX_OURS : 0;
	return r->rcr & RCR_ALL ? RTL_RX_OK : 0;
}

static bool read_address(const struct rtl8139 *r, uint8_t mac[6])
{
	struct iovec iov[2];
	unsigned int n = pieces(r, RTL_HEAD, 6, iov);

	for (unsigned int i = 0; i < n; i++) {
		memcpy(mac, iov[i].iov_base, iov[i].iov_len);
		mac += iov[i].iov_len;
	}
	return n;
}

void rtl8139_received(struct rtl8139 *r, uint32_t bytes)
{
	uint16_t head[2];
	uint8_t mac[6];

	if (bytes < sizeof(mac) || bytes > CMP_FRAME_MAX || !read_address(r, mac))
		return;
	head[0] = accept(r, mac);
	if (!head[0])
		return;
	head[1] = (uint16_t)(bytes + RTL_FCS);
	put(r, RTL_HEAD + bytes, &(uint32_t){ 0 }, RTL_FCS);
	put(r, 0, head, sizeof(head));
	r->copied_bytes += bytes;
	r->write_at = (r->write_at + RTL_HEAD + bytes + RTL_FCS + 3) & ~3u & (ring_bytes(r) - 1);
	raise(r, ISR_RX_OK);
}

bool rtl8139_receive(struct rtl8139 *r)
{
	struct iovec iov[2];
	unsigned int nr;
	ssize_t got;

	for (unsigned int i = 0; i < RTL8139_TURN; i++) {
		nr = rtl8139_room(r, iov);
		if (!nr)
			return false;
		got = r->host->receive(r->host->ctx, iov, nr);
		if (got <= 0)
			break;
		rtl8139_received(r, (uint32_t)got);
	}
	return true;
}

/* ---- registers -------------------------------------------------------------------- */

bool rtl8139_has_port(uint16_t port)
{
	return port >= CMP_PORT_RTL8139 && port < CMP_PORT_RTL8139 + RTL_PORTS;
}

static uint32_t read8(const struct rtl8139 *r, unsigned int at)
{
	if (at < RTL_IDR + sizeof(r->mac))
		return r->mac[at - RTL_IDR];
	if (at >= RTL_MAR && at < RTL_MAR + sizeof(r->groups))
		return r->groups[at - RTL_MAR];
	if (at == RTL_CR)
		return r->cr | (used_bytes(r) ? 0 : CR_EMPTY);
	return 0;
}

static uint32_t read16(const struct rtl8139 *r, unsigned int at)
{
	switch (at) {
	case RTL_CAPR:
		return (uint16_t)(r->read_at - RTL_CAPR_LAG);
	case RTL_CBR:
		return (uint16_t)r->write_at;
	case RTL_IMR:
		return r->imr;
	case RTL_ISR:
		return r->isr;
	default:
		return 0;
	}
}

static uint32_t read32(const struct rtl8139 *r, unsigned int at)
{
	if (at >= RTL_TSD && at < RTL_TSD + 4 * RTL_TX && at % 4 == 0)
		return r->tsd[(at - RTL_TSD) / 4];
	if (at >= RTL_TSAD && at < RTL_TSAD + 4 * RTL_TX && at % 4 == 0)
		return r->tsad[(at - RTL_TSAD) / 4];
	switch (at) {
	case RTL_RBSTART:
		return r->rbstart;
	case RTL_TCR:
		return r->tcr | TCR_CHIP;
	case RTL_RCR:
		return r->rcr;
	case RTL_MPC:
		return r->missed;
	default:
		return 0;
	}
}

static void write8(struct rtl8139 *r, unsigned int at, uint32_t value)
{
	if (at < RTL_IDR + sizeof(r->mac)) {
		r->mac[at - RTL_IDR] = (uint8_t)value;
	} else if (at >= RTL_MAR && at < RTL_MAR + sizeof(r->groups)) {
		r->groups[at - RTL_MAR] = (uint8_t)value;
	} else if (at == RTL_CR) {
		if (value & CR_RESET)
			reset(r);
		else
			r->cr = value & (CR_TX | CR_RX);
	}
}

static void write16(struct rtl8139 *r, unsigned int at, uint32_t value)
{
	switch (at) {
	case RTL_CAPR:
		r->read_at = value + RTL_CAPR_LAG;
		break;
	case RTL_IMR:
		set_interrupts(r, r->isr, (uint16_t)value);
		break;
	case RTL_ISR:
		set_interrupts(r, r->isr & (uint16_t)~value, r->imr);
		break;
	}
}

static void set_rcr(struct rtl8139 *r, uint32_t value)
{
	uint32_t before = ring_bytes(r);

	r->rcr = value;
	if (ring_bytes(r) != before)
		r->read_at = r->write_at = 0;
}

static void write32(struct rtl8139 *r, unsigned int at, uint32_t value)
{
	if (at >= RTL_TSD && at < RTL_TSD + 4 * RTL_TX && at % 4 == 0) {
		send(r, (at - RTL_TSD) / 4, value);
		return;
	}
	if (at >= RTL_TSAD && at < RTL_TSAD + 4 * RTL_TX && at % 4 == 0) {
		r->tsad[(at - RTL_TSAD) / 4] = value;
		return;
	}
	switch (at) {
	case RTL_RBSTART:
		r->rbstart = value;
		r->read_at = r->write_at = 0;
		break;
	case RTL_TCR:
		r->tcr = value & 0x07000700;
		break;
	case RTL_RCR:
		set_rcr(r, value);
		break;
	case RTL_MPC:
		r->missed = 0;
		break;
	}
}

void rtl8139_in(struct rtl8139 *r, uint16_t port, void *data, unsigned int bytes,
		unsigned int count)
{
	unsigned int at = port - CMP_PORT_RTL8139;
	uint32_t value;

	for (char *to = data; count--; to += bytes) {
		value = bytes == 1 ? read8(r, at) : bytes == 2 ? read16(r, at) : read32(r, at);
		memset(to, 0, bytes);
		memcpy(to, &value, bytes < sizeof(value) ? bytes : sizeof(value));
	}
}

void rtl8139_out(struct rtl8139 *r, uint16_t port, const void *data, unsigned int bytes,
		 unsigned int count)
{
	unsigned int at = port - CMP_PORT_RTL8139;
	uint32_t value;

	for (const char *from = data; count--; from += bytes) {
		value = 0;
		memcpy(&value, from, bytes < sizeof(value) ? bytes : sizeof(value));
		if (bytes == 1)
			write8(r, at, value);
		else if (bytes == 2)
			write16(r, at, value);
		else
			write32(r, at, value);
	}
}

uint64_t rtl8139_copied_bytes(const struct rtl8139 *r)
{
	return r->copied_bytes;
}
