/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An ATA disk on a legacy channel: task file, PIO by sectors and by multiples, and a
 * bus master for DMA. What a trap-and-emulate device model does at each access.
 *
 * Hides: registers and what a guest may do to them in any order. Must not know: KVM,
 * threads. The guest is not trusted: all addresses come from host->memory(). One
 * thread. Sources: ATA/ATAPI-6; Programming Interface for Bus Master IDE Controller.
 */
#ifndef CMP_ATA_H
#define CMP_ATA_H

#include <stdbool.h>
#include <stdint.h>

struct ata_host {
	int fd;				/* the disk image, the caller's */
	uint64_t bytes;			/* whole sectors; what LBA28 cannot reach is not seen */
	/* Guest memory, or NULL unless all of it is the guest's. */
	void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes);
	void (*interrupt)(void *ctx);
	void *ctx;
};

struct ata;

/* host must stay until ata_close(). 0 or -ENOMEM. */
int ata_open(const struct ata_host *host, struct ata **out);
void ata_close(struct ata *ata);

/* Whether the port is one of the channel's. */
bool ata_has_port(uint16_t port);
/* count units of bytes (1, 2, 4) each. Other widths than a register's read as ones. */
void ata_in(struct ata *ata, uint16_t port, void *data, unsigned int bytes,
	    unsigned int count);
void ata_out(struct ata *ata, uint16_t port, const void *data, unsigned int bytes,
	     unsigned int count);

/* Bytes that went through a buffer here or in KVM on their way, each time. */
uint64_t ata_copied_bytes(const struct ata *ata);

#endif
