/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An RTL8139 network card: four transmit descriptors, a receive ring that it masters the
 * bus for, an interrupt line. What a trap-and-emulate device model does at each access.
 *
 * Hides: registers and what a guest may do to them in any order. Must not know: KVM,
 * threads, where frames go. The guest is not trusted: all addresses come from
 * host->memory(). One thread at a time. Source: RTL8139C(L) data sheet.
 */
#ifndef CMP_RTL8139_H
#define CMP_RTL8139_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct rtl8139_host {
	uint8_t mac[6];
	void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes);
	void (*interrupt)(void *ctx);	/* the line has gone up */
	/* A frame in the guest's memory; true: it has left. */
	bool (*transmit)(void *ctx, const void *frame, uint32_t bytes);
	/* The next frame from the wire into pieces of guest memory; its bytes, or -errno. */
	ssize_t (*receive)(void *ctx, const struct iovec *iov, unsigned int nr);
	void *ctx;
};

struct rtl8139;

/* host must stay until close. 0 or -ENOMEM. */
int rtl8139_open(const struct rtl8139_host *host, struct rtl8139 **out);
void rtl8139_close(struct rtl8139 *r);

bool rtl8139_has_port(uint16_t port);
/* count units of bytes (1, 2, 4) each. What is no register reads as zero. */
void rtl8139_in(struct rtl8139 *r, uint16_t port, void *data, unsigned int bytes,
		unsigned int count);
void rtl8139_out(struct rtl8139 *r, uint16_t port, const void *data, unsigned int bytes,
		 unsigned int count);

/*
 * Where the next frame is to be put, in the guest's memory: the number of pieces, all
 * together CMP_FRAME_MAX bytes; 0: no room, or the receiver is off.
 */
unsigned int rtl8139_room(const struct rtl8139 *r, struct iovec iov[2]);
/* A frame of so many bytes was put there. */
void rtl8139_received(struct rtl8139 *r, uint32_t bytes);

#define RTL8139_TURN 64u		/* frames; as many as virtio-net's device takes */
/*
 * Takes frames from the wire, RTL8139_TURN at most: the whole turn is one hold of whatever
 * lock the caller has. True: the wire may have more now; false: not before there is room.
 */
bool rtl8139_receive(struct rtl8139 *r);

/* Bytes that the model had copied between the guest and the wire, each once. */
uint64_t rtl8139_copied_bytes(const struct rtl8139 *r);

#endif
