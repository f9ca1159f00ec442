/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See ata.h. A command is executed when its last register is written, in the thread
 * that runs the guest's CPU; what a real disk does meanwhile takes no time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi.h"
#include "ata.h"
#include "ata-regs.h"

#define LBA28_SECTORS ((uint64_t)1 << 28)
#define IOVS 64

/* Who waits for the guest. */
enum phase { IDLE, PIO_IN, PIO_OUT, DMA_IN, DMA_OUT };

struct ata {
	const struct ata_host *host;
	uint8_t reg[NR_REGS];
	uint8_t error, control, multiple;
	uint8_t bm_command, bm_status;
	uint32_t bm_table;
	enum phase phase;
	uint64_t lba;
	uint32_t left;		/* sectors that are not in or through the buffer yet */
	uint32_t block;		/* sectors for each interrupt */
	uint32_t at, end;	/* in buffer */
	uint64_t copied_bytes;
	uint8_t buffer[ATA_MULTIPLE_MAX * ATA_SECTOR];
};

int ata_open(const struct ata_host *host, struct ata **out)
{
	struct ata *ata = calloc(1, sizeof(*ata));

	if (!ata)
		return -ENOMEM;
	ata->host = host;
	ata->reg[R_STATUS] = S_DRDY | S_DSC;
	*out = ata;
	return 0;
}

void ata_close(struct ata *ata)
{
	free(ata);
}

static uint64_t nr_sectors(const struct ata *ata)
{
	uint64_t n = ata->host->bytes / ATA_SECTOR;

	return n < LBA28_SECTORS ? n : LBA28_SECTORS - 1;
}

/* ---- how a command ends ------------------------------------------------------ */

static void interrupt(struct ata *ata)
{
	ata->bm_status |= BMS_INTERRUPT;
	if (!(ata->control & CONTROL_NO_INTERRUPT))
		ata->host->interrupt(ata->host->ctx);
}

static void finish(struct ata *ata, uint8_t error)
{
	ata->phase = IDLE;
	ata->at = ata->end = 0;
	ata->error = error;
	ata->reg[R_STATUS] = S_DRDY | S_DSC | (error ? S_ERR : 0);
	ata->bm_status &= (uint8_t)~BMS_ACTIVE;
	interrupt(ata);
}

/* ---- PIO ---------------------------------------------------------------------- */

static uint32_t block_bytes(const struct ata *ata)
{
	return (ata->left < ata->block ? ata->left : ata->block) * ATA_SECTOR;
}

static bool transfer(struct ata *ata, bool write, uint32_t bytes)
{
	off_t at = (off_t)(ata->lba * ATA_SECTOR);
	ssize_t n = write ? pwrite(ata->host->fd, ata->buffer, bytes, at) :
			    pread(ata->host->fd, ata->buffer, bytes, at);

	ata->copied_bytes += bytes;
	ata->lba += bytes / ATA_SECTOR;
	ata->left -= bytes / ATA_SECTOR;
	return n == (ssize_t)bytes;
}

static void offer_block(struct ata *ata)
{
	uint32_t bytes = block_bytes(ata);

	if (!transfer(ata, false, bytes)) {
		finish(ata, E_UNC);
		return;
	}
	ata->at = 0;
	ata->end = bytes;
	ata->reg[R_STATUS] = S_DRDY | S_DSC | S_DRQ;
	interrupt(ata);
}

static void want_block(struct ata *ata)
{
	ata->at = 0;
	ata->end = block_bytes(ata);
	ata->reg[R_STATUS] = S_DRDY | S_DSC | S_DRQ;
}

static void block_taken(struct ata *ata)
{
	if (ata->left) {
		offer_block(ata);
		return;
	}
	ata->phase = IDLE;	/* a read ends without an interrupt of its own */
	ata->reg[R_STATUS] = S_DRDY | S_DSC;
}

static void block_given(struct ata *ata)
{
	if (!transfer(ata, true, ata->end)) {
		finish(ata, E_UNC);
	} else if (!ata->left) {
		finish(ata, 0);
	} else {
		want_block(ata);
		interrupt(ata);
	}
}

static void data_in(struct ata *ata, uint8_t *data, unsigned int bytes)
{
	memset(data, 0xff, bytes);
	if (ata->phase != PIO_IN || bytes > ata->end - ata->at)
		return;
	memcpy(data, ata->buffer + ata->at, bytes);
	ata->at += bytes;
	ata->copied_bytes += 2 * bytes;		/* here, and in KVM into the guest */
	if (ata->at == ata->end)
		block_taken(ata);
}

static void data_out(struct ata *ata, const uint8_t *data, unsigned int bytes)
{
	if (ata->phase != PIO_OUT || bytes > ata->end - ata->at)
		return;
	memcpy(ata->buffer + ata->at, data, bytes);
	ata->at += bytes;
	ata->copied_bytes += 2 * bytes;
	if (ata->at == ata->end)
		block_given(ata);
}

/* ---- DMA ----------------------------------------------------------------------- */

/*
 * The next entries of the table as pieces of guest memory, for at most bytes. Returns
 * how many pieces, or 0 when the guest's table is wrong. *table moves on.
 */
static unsigned int gather(struct ata *ata, uint64_t *table, uint64_t bytes,
			   struct iovec *iov, uint64_t *got)
{
	const struct prd *entry;
	struct prd prd = { 0 };
	unsigned int n = 0;
	uint64_t len;

	for (*got = 0; n < IOVS && *got < bytes; n++) {
		entry = prd.flags & PRD_LAST ? NULL :
			ata->host->memory(ata->host->ctx, *table, sizeof(prd));
		if (!entry)
			return 0;
		memcpy(&prd, entry, sizeof(prd));
		*table += sizeof(prd);
		len = prd.bytes & ~1u ? prd.bytes & ~1u : 65536u;
		if (len > bytes - *got)
			len = bytes - *got;
		iov[n].iov_base = ata->host->memory(ata->host->ctx, prd.addr & ~1u, len);
		iov[n].iov_len = len;
		if (!iov[n].iov_base)
			return 0;
		*got += len;
	}
	return n;
}

static bool dma(struct ata *ata)
{
	uint64_t left = (uint64_t)ata->left * ATA_SECTOR, got, table = ata->bm_table;
	off_t at = (off_t)(ata->lba * ATA_SECTOR);
	struct iovec iov[IOVS];
	unsigned int n;
	ssize_t done;

	while (left) {
		n = gather(ata, &table, left, iov, &got);
		if (!n)
			return false;
		done = ata->phase == DMA_IN ? preadv(ata->host->fd, iov, (int)n, at) :
					      pwritev(ata->host->fd, iov, (int)n, at);
		if (done != (ssize_t)got)
			return false;
		ata->copied_bytes += got;
		at += (off_t)got;
		left -= got;
	}
	return true;
}

/* Both the command and the bus master have been started, in whichever order. */
static void dma_if_ready(struct ata *ata)
{
	bool in = ata->phase == DMA_IN;

	if (!(ata->bm_command & BM_START) || (!in && ata->phase != DMA_OUT))
		return;
	if (in == !!(ata->bm_command & BM_TO_MEMORY) && dma(ata)) {
		finish(ata, 0);
		return;
	}
	ata->bm_status |= BMS_ERROR;
	finish(ata, E_ABRT);
}

/* ---- commands -------------------------------------------------------------------- */

static void identify_text(uint8_t *to, const char *text, unsigned int bytes)
{
	size_t len = strlen(text);

	for (unsigned int i = 0; i < bytes; i++)
		to[i ^ 1] = i < len ? (uint8_t)text[i] : ' ';
}

static void identify(struct ata *ata)
{
	uint64_t n = nr_sectors(ata);
	uint16_t id[ATA_SECTOR / 2] = {
		[0] = 0x40, [47] = 0x8000 | ATA_MULTIPLE_MAX, [49] = 0x0300,
		[53] = 6, [59] = ata->multiple ? 0x100 | ata->multiple : 0,
		[60] = (uint16_t)n, [61] = (uint16_t)(n >> 16), [63] = 7,
		[80] = 0x40, [82] = 0, [83] = 0x5000, [88] = 0x3f,
	};

	memcpy(ata->buffer, id, sizeof(id));
	identify_text(ata->buffer + 20, "1", 20);
	identify_text(ata->buffer + 46, "1", 8);
	identify_text(ata->buffer + 54, "PARAVANE COMPARE", 40);
	ata->phase = PIO_IN;
	ata->left = 0;
	ata->at = 0;
	ata->end = ATA_SECTOR;
	ata->reg[R_STATUS] = S_DRDY | S_DSC | S_DRQ;
	interrupt(ata);
}

static void start_transfer(struct ata *ata, enum phase phase, uint32_t block)
{
	const uint8_t *r = ata->reg;
	uint64_t lba = (uint64_t)(r[R_DEVICE] & 15) << 24 | (uint64_t)r[R_LBA2] << 16 |
		       (uint64_t)r[R_LBA1] << 8 | r[R_LBA0];
	uint32_t count = r[R_COUNT] ? r[R_COUNT] : 256;

	if (!(r[R_DEVICE] & 0x40) || !block) {
		finish(ata, E_ABRT);
		return;
	}
	if (lba > nr_sectors(ata) || count > nr_sectors(ata) - lba) {
		finish(ata, E_IDNF);
		return;
	}
	ata->phase = phase;
	ata->lba = lba;
	ata->left = count;
	ata->block = block;
	ata->error = 0;
	if (phase == PIO_IN)
		offer_block(ata);
	else if (phase == PIO_OUT)
		want_block(ata);
	else
		dma_if_ready(ata);
}

static void set_multiple(struct ata *ata)
{
	uint8_t n = ata->reg[R_COUNT];
	bool ok = n <= ATA_MULTIPLE_MAX && !(n & (n - 1));

	if (ok)
		ata->multiple = n;
	finish(ata, ok ? 0 : E_ABRT);
}

static void command(struct ata *ata, uint8_t code)
{
	if (ata->reg[R_DEVICE] & 0x10)
		return;		/* there is no second drive */
	switch (code) {
	case C_READ:
		start_transfer(ata, PIO_IN, 1);
		break;
	case C_WRITE:
		start_transfer(ata, PIO_OUT, 1);
		break;
	case C_READ_MULTIPLE:
		start_transfer(ata, PIO_IN, ata->multiple);
		break;
	case C_WRITE_MULTIPLE:
		start_transfer(ata, PIO_OUT, ata->multiple);
		break;
	case C_READ_DMA:
		start_transfer(ata, DMA_IN, 1);
		break;
	case C_WRITE_DMA:
		start_transfer(ata, DMA_OUT, 1);
		break;
	case C_SET_MULTIPLE:
		set_multiple(ata);
		break;
	case C_FLUSH:
		finish(ata, fdatasync(ata->host->fd) ? E_ABRT : 0);
		break;
	case C_IDENTIFY:
		identify(ata);
		break;
	default:
		finish(ata, E_ABRT);
	}
}

/* ---- registers --------------------------------------------------------------------- */

bool ata_has_port(uint16_t port)
{
	return (port >= CMP_PORT_ATA && port < CMP_PORT_ATA + NR_REGS) ||
	       port == CMP_PORT_ATA_CONTROL ||
	       (port >= CMP_PORT_BMIDE && port < CMP_PORT_BMIDE + 8);
}

static uint8_t read_register(struct ata *ata, uint16_t port)
{
	bool absent = ata->reg[R_DEVICE] & 0x10;

	if (port == CMP_PORT_ATA_CONTROL)
		return absent ? 0 : ata->reg[R_STATUS];
	if (port >= CMP_PORT_BMIDE) {
		switch (port - CMP_PORT_BMIDE) {
		case BM_COMMAND:
			return ata->bm_command;
		case BM_STATUS:
			return ata->bm_status;
		default:
			return 0;
		}
	}
	if (absent && port != CMP_PORT_ATA + R_DEVICE)
		return 0;
	return port == CMP_PORT_ATA + R_ERROR ? ata->error : ata->reg[port - CMP_PORT_ATA];
}

static void reset(struct ata *ata)
{
	ata->phase = IDLE;
	ata->at = ata->end = 0;
	ata->left = 0;
	ata->multiple = 0;
	ata->error = 1;
	ata->reg[R_STATUS] = S_DRDY | S_DSC;
}

static void write_bus_master(struct ata *ata, unsigned int at, uint8_t value)
{
	bool started;

	if (at == BM_COMMAND) {
		started = value & ~ata->bm_command & BM_START;
		ata->bm_command = value & (BM_START | BM_TO_MEMORY);
		if (!started)
			return;
		ata->bm_status |= BMS_ACTIVE;
		dma_if_ready(ata);
	} else if (at == BM_STATUS) {
		ata->bm_status &= (uint8_t)~(value & (BMS_ERROR | BMS_INTERRUPT));
	}
}

static void write_register(struct ata *ata, uint16_t port, uint8_t value)
{
	if (port == CMP_PORT_ATA_CONTROL) {
		if (value & ~ata->control & CONTROL_RESET)
			reset(ata);
		ata->control = value;
	} else if (port >= CMP_PORT_BMIDE) {
		write_bus_master(ata, port - CMP_PORT_BMIDE, value);
	} else if (port != CMP_PORT_ATA + R_STATUS) {
		ata->reg[port - CMP_PORT_ATA] = value;
	} else if (ata->phase == IDLE) {
		command(ata, value);
	}
}

void ata_in(struct ata *ata, uint16_t port, void *data, unsigned int bytes,
	    unsigned int count)
{
	uint8_t *to = data;

	for (unsigned int i = 0; i < count; i++, to += bytes) {
		if (port == CMP_PORT_ATA) {
			data_in(ata, to, bytes);
		} else if (port == CMP_PORT_BMIDE + BM_TABLE && bytes == 4) {
			memcpy(to, &ata->bm_table, 4);
		} else {
			memset(to, 0xff, bytes);
			if (bytes == 1)
				*to = read_register(ata, port);
		}
	}
}

void ata_out(struct ata *ata, uint16_t port, const void *data, unsigned int bytes,
	     unsigned int count)
{
	const uint8_t *from = data;

	for (unsigned int i = 0; i < count; i++, from += bytes) {
		if (port == CMP_PORT_ATA) {
			data_out(ata, from, bytes);
		} else if (port == CMP_PORT_BMIDE + BM_TABLE && bytes == 4) {
			memcpy(&ata->bm_table, from, 4);
			ata->bm_table &= ~3u;
		} else if (bytes == 1) {
			write_register(ata, port, *from);
		}
	}
}

uint64_t ata_copied_bytes(const struct ata *ata)
{
	return ata->copied_bytes;
}
