/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An ATA driver, register by register: PIO by multiples, and bus-master DMA. Hides the
 * task file; one request at a time, as the interface wants it.
 */
#include "ata-regs.h"
#include "guest.h"

static struct prd table[CMP_BLOCK_MAX / 65536u + 1] __attribute__((aligned(4096)));
static uint64_t irqs_seen;
static struct request *completed;

static uint8_t reg_in(unsigned int reg)
{
	return in8((uint16_t)(CMP_PORT_ATA + reg));
}

static void reg_out(unsigned int reg, uint32_t value)
{
	out8((uint16_t)(CMP_PORT_ATA + reg), (uint8_t)value);
}

static bool interrupted(void *arg)
{
	(void)arg;
	return irq_count(CMP_VECTOR_ATA) != irqs_seen;
}

/* With polling the status is read instead, which is an exit each time. */
static bool not_busy(void *arg)
{
	(void)arg;
	return !(in8(CMP_PORT_ATA_CONTROL) & S_BSY);
}

/* Waits for the disk's interrupt and acknowledges it; returns the status. */
static uint8_t await(void)
{
	uint8_t status;

	irq_wait(job->flags & CMP_POLL ? not_busy : interrupted, NULL);
	irqs_seen = irq_count(CMP_VECTOR_ATA);
	status = reg_in(R_STATUS);
	if (status & S_ERR)
		give_up(-5, "the ATA disk says ERR");
	return status;
}

static void issue(uint8_t command, uint64_t lba, uint32_t sectors)
{
	reg_out(R_DEVICE, 0xe0 | (uint32_t)(lba >> 24 & 15));
	while (reg_in(R_STATUS) & (S_BSY | S_DRQ))
		pause_cpu();
	reg_out(R_COUNT, sectors & 255);
	reg_out(R_LBA0, (uint32_t)lba);
	reg_out(R_LBA1, (uint32_t)(lba >> 8));
	reg_out(R_LBA2, (uint32_t)(lba >> 16));
	irqs_seen = irq_count(CMP_VECTOR_ATA);
	reg_out(R_STATUS, command);
}

static void ata_open(void)
{
	uint16_t id[ATA_SECTOR / 2];

	out8(CMP_PORT_ATA_CONTROL, job->flags & CMP_POLL ? CONTROL_NO_INTERRUPT : 0);
	issue(C_IDENTIFY, 0, 0);
	if (!(await() & S_DRQ))
		give_up(-6, "there is no ATA disk");
	in16_string(CMP_PORT_ATA + R_DATA, id, ARRAY_NR(id));
	if (((uint64_t)id[61] << 16 | id[60]) * ATA_SECTOR < job->disk_bytes)
		give_up(-6, "the ATA disk is smaller than it should be");
	issue(C_SET_MULTIPLE, 0, ATA_MULTIPLE_MAX);
	await();
}

static void pio_submit(struct request *r)
{
	uint32_t left = r->bytes / ATA_SECTOR, n;
	char *at = r->buf;

	issue(r->write ? C_WRITE_MULTIPLE : C_READ_MULTIPLE, r->offset_bytes / ATA_SECTOR, left);
	if (r->write)
		while (!(reg_in(R_STATUS) & S_DRQ))
			pause_cpu();
	while (left) {
		n = left < ATA_MULTIPLE_MAX ? left : ATA_MULTIPLE_MAX;
		if (r->write) {
			out16_string(CMP_PORT_ATA + R_DATA, at, n * ATA_SECTOR / 2);
			await();
		} else {
			await();
			in16_string(CMP_PORT_ATA + R_DATA, at, n * ATA_SECTOR / 2);
		}
		at += n * ATA_SECTOR;
		left -= n;
	}
	completed = r;
}

static void build_table(const struct request *r)
{
	uint64_t at = (uint64_t)r->buf, left = r->bytes, n;
	struct prd *p = table;

	for (; left; left -= n, at += n, p++) {
		n = 65536 - at % 65536;		/* no piece crosses such a border */
		if (n > left)
			n = left;
		*p = (struct prd){ (uint32_t)at, (uint16_t)n, n == left ? PRD_LAST : 0 };
	}
}

static void dma_submit(struct request *r)
{
	uint8_t direction = r->write ? 0 : BM_TO_MEMORY, status;

	build_table(r);
	out32(CMP_PORT_BMIDE + BM_TABLE, (uint32_t)(uint64_t)table);
	out8(CMP_PORT_BMIDE, direction);
	out8(CMP_PORT_BMIDE + BM_STATUS, BMS_ERROR | BMS_INTERRUPT | in8(CMP_PORT_BMIDE + BM_STATUS));
	issue(r->write ? C_WRITE_DMA : C_READ_DMA, r->offset_bytes / ATA_SECTOR,
	      r->bytes / ATA_SECTOR);
	out8(CMP_PORT_BMIDE, direction | BM_START);
	irq_wait(job->flags & CMP_POLL ? not_busy : interrupted, NULL);
	status = in8(CMP_PORT_BMIDE + BM_STATUS);
	out8(CMP_PORT_BMIDE, direction);
	if (status & BMS_ERROR)
		give_up(-5, "the bus master says that the transfer failed");
	await();
	completed = r;
}

static void ata_kick(void)
{
	/* Each command was its own. */
}

static void ata_wait(void)
{
	struct request *r = completed;

	completed = NULL;
	request_done(r, 0);
}

static void ata_close(void)
{
	issue(C_FLUSH, 0, 0);
	await();
}

const struct model model_ata_pio = {
	.max_depth = 1, .open = ata_open, .buffer = plain_buffer, .submit = pio_submit,
	.kick = ata_kick, .wait = ata_wait, .close = ata_close,
};

const struct model model_ata_dma = {
	.max_depth = 1, .open = ata_open, .buffer = plain_buffer, .submit = dma_submit,
	.kick = ata_kick, .wait = ata_wait, .close = ata_close,
};
