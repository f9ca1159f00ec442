/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison's ATA disk, with a driver that behaves and with guests that do not.
 */
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES (256u << 10)
#define COMPARE_GUEST_BYTES MEMORY_BYTES
#include "abi.h"
#include "ata.h"
#include "ata-regs.h"
#include "compare-guest.h"
#include "unit.h"

#define IMAGE_BYTES (1u << 20)
static int image;
static struct ata *ata;
static struct ata_host host = { .bytes = IMAGE_BYTES, .memory = guest_memory,
				.interrupt = guest_interrupt };

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at / 512 * 7 + at % 512);
}

static void setup(void)
{
	static uint8_t content[IMAGE_BYTES];

	image = memfd_create("image", 0);
	for (uint32_t i = 0; i < IMAGE_BYTES; i++)
		content[i] = pattern(i);
	UNIT_EQ(write(image, content, IMAGE_BYTES), IMAGE_BYTES);
	memset(guest, 0xee, sizeof(guest));
	interrupts = 0;
	host.fd = image;
	UNIT_EQ(ata_open(&host, &ata), 0);
}

static void teardown(void)
{
	struct { off_t end; } size = { lseek(image, 0, SEEK_END) };

	UNIT_EQ(size.end, IMAGE_BYTES);		/* nobody wrote behind the end */
	ata_close(ata);
	close(image);
}

static uint8_t in(unsigned int reg)
{
	uint8_t v;

	ata_in(ata, (uint16_t)(CMP_PORT_ATA + reg), &v, 1, 1);
	return v;
}

static void out(uint16_t port, uint8_t v)
{
	ata_out(ata, port, &v, 1, 1);
}

static void command(uint8_t code, uint32_t lba, unsigned int count)
{
	const uint16_t base = CMP_PORT_ATA;

	out(base + 6, (uint8_t)(0xe0 | lba >> 24));
	out(base + 2, (uint8_t)count);
	out(base + 3, (uint8_t)lba);
	out(base + 4, (uint8_t)(lba >> 8));
	out(base + 5, (uint8_t)(lba >> 16));
	out(base + 7, code);
}

static void prd(uint32_t at, uint32_t addr, uint16_t bytes, uint16_t flags)
{
	memcpy(guest + at, &addr, 4);
	memcpy(guest + at + 4, &bytes, 2);
	memcpy(guest + at + 6, &flags, 2);
}

static void dma(uint8_t code, uint32_t table, uint32_t lba, unsigned int count, uint8_t dir)
{
	ata_out(ata, CMP_PORT_BMIDE + 4, &table, 4, 1);
	out(CMP_PORT_BMIDE, dir);
	out(CMP_PORT_BMIDE + 2, 6);
	command(code, lba, count);
	out(CMP_PORT_BMIDE, dir | 1);
}

static uint8_t bm_status(void)
{
	uint8_t v;

	ata_in(ata, CMP_PORT_BMIDE + 2, &v, 1, 1);
	out(CMP_PORT_BMIDE, 0);
	return v;
}

static bool is_disk(const uint8_t *data, uint64_t at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		if (data[i] != pattern(at + i))
			return false;
	return true;
}

/* ---- a driver that behaves ------------------------------------------------------- */

static void test_identify(void)
{
	uint16_t id[256];

	setup();
	command(0xec, 0, 0);
	UNIT_EQ(interrupts, 1);
	UNIT_OK(in(7) & S_DRQ);
	ata_in(ata, CMP_PORT_ATA, id, 2, 256);
	UNIT_EQ(id[60] | id[61] << 16, IMAGE_BYTES / 512);
	UNIT_OK(!(in(7) & S_DRQ));
	teardown();
}

static void test_pio(void)
{
	uint8_t data[20 * 512];

	setup();
	command(0xc6, 0, 8);
	interrupts = 0;
	command(0xc4, 100, 20);
	for (unsigned int i = 0; i < 20; i += 8) {
		UNIT_EQ(interrupts, i / 8 + 1);
		ata_in(ata, CMP_PORT_ATA, data + i * 512, 2, (i < 16 ? 8 : 4) * 256);
	}
	UNIT_OK(is_disk(data, 100 * 512, sizeof(data)));
	UNIT_OK(!(in(7) & (S_DRQ | S_ERR)));

	interrupts = 0;
	command(0x30, 7, 2);
	UNIT_EQ(interrupts, 0);
	ata_out(ata, CMP_PORT_ATA, data, 2, 256);
	UNIT_EQ(interrupts, 1);
	UNIT_OK(in(7) & S_DRQ);
	ata_out(ata, CMP_PORT_ATA, data + 512, 4, 128);
	UNIT_EQ(interrupts, 2);
	UNIT_EQ(pread(image, data + 1024, 1024, 7 * 512), 1024);
	UNIT_OK(!memcmp(data, data + 1024, 1024));
	teardown();
}

static void test_dma(void)
{
	setup();
	prd(0, 0x1000, 512, 0);
	prd(8, 0x3000, 1024, 0x8000);
	dma(0xc8, 0, 40, 3, 8);
	UNIT_EQ(interrupts, 1);
	UNIT_EQ(bm_status() & (BMS_ERROR | 1 | 4), 4);
	UNIT_OK(is_disk(guest + 0x1000, 40 * 512, 512));
	UNIT_OK(is_disk(guest + 0x3000, 41 * 512, 1024));
	UNIT_EQ(guest[0x3400], 0xee);
	dma(0xca, 0, 3, 3, 0);
	UNIT_EQ(bm_status() & BMS_ERROR, 0);
	UNIT_EQ(pread(image, guest + 0x8000, 1536, 3 * 512), 1536);
	UNIT_OK(is_disk(guest + 0x8000, 40 * 512, 1536));
	teardown();
}

/* ---- and guests that do not ------------------------------------------------------- */

static void test_dma_outside(void)
{
	setup();
	prd(0, MEMORY_BYTES - 512, 1024, 0x8000);
	dma(0xc8, 0, 0, 2, 8);
	UNIT_OK(bm_status() & BMS_ERROR);
	UNIT_OK(in(7) & S_ERR);
	UNIT_EQ(guest[MEMORY_BYTES - 1], 0xee);
	prd(0, 0xfffffffe, 0, 0x8000);		/* 64 KiB over the end of addresses */
	dma(0xc8, 0, 0, 128, 8);
	UNIT_OK(bm_status() & BMS_ERROR);
	dma(0xc8, MEMORY_BYTES - 4, 0, 1, 8);	/* the table itself */
	UNIT_OK(bm_status() & BMS_ERROR);
	dma(0xc8, 0xfffffffc, 0, 1, 8);
	UNIT_OK(bm_status() & BMS_ERROR);
	teardown();
}

static void test_dma_short_table(void)
{
	setup();
	prd(0, 0x1000, 512, 0x8000);
	prd(8, 0x2000, 512, 0x8000);		/* behind the last one */
	dma(0xc8, 0, 0, 2, 8);			/* two sectors, room for one */
	UNIT_OK(bm_status() & BMS_ERROR);
	UNIT_EQ(guest[0x2000], 0xee);
	prd(0, 0x1000, 512, 0x8000);
	dma(0xc8, 0, 0, 1, 0);			/* the wrong direction */
	UNIT_OK(bm_status() & BMS_ERROR);
	UNIT_EQ(guest[0x1000], 0xee);
	teardown();
}

static void test_range(void)
{
	const uint32_t end = IMAGE_BYTES / 512;

	setup();
	command(0x20, end, 1);
	UNIT_OK(in(7) & S_ERR);
	command(0x20, end - 1, 2);
	UNIT_OK(in(7) & S_ERR);
	command(0x30, 0xfffffff, 0);
	UNIT_OK(in(7) & S_ERR);
	command(0x20, end - 1, 1);
	UNIT_OK(!(in(7) & S_ERR));
	teardown();
}

static void test_out_of_turn(void)
{
	uint8_t data[1024];

	setup();
	memset(data, 0, sizeof(data));
	ata_out(ata, CMP_PORT_ATA, data, 2, 256);	/* nobody asked */
	ata_in(ata, CMP_PORT_ATA, data, 2, 256);
	UNIT_EQ(data[0], 0xff);
	command(0x20, 1, 1);
	command(0x20, 9, 1);			/* in the middle of a transfer: not taken */
	memset(data, 0, sizeof(data));
	ata_out(ata, CMP_PORT_ATA, data, 2, 100);	/* it is the disk's turn */
	ata_in(ata, CMP_PORT_ATA, data, 2, 512);	/* more than there is */
	UNIT_OK(is_disk(data, 512, 512));
	UNIT_EQ(data[512], 0xff);
	command(0xc4, 0, 4);			/* multiple was not set */
	UNIT_OK(in(7) & S_ERR);
	command(0xc6, 0, 3);
	UNIT_OK(in(7) & S_ERR);
	command(0xc6, 0, 128);
	UNIT_OK(in(7) & S_ERR);
	command(0x30, 0, 1);
	out(CMP_PORT_ATA_CONTROL, 4);		/* reset while it waits for data */
	memset(data, 0, sizeof(data));
	ata_out(ata, CMP_PORT_ATA, data, 2, 256);
	UNIT_EQ(pread(image, data, 512, 0), 512);
	UNIT_OK(is_disk(data, 0, 512));
	teardown();
}

static void test_no_interrupt(void)
{
	setup();
	out(CMP_PORT_ATA_CONTROL, 2);
	command(0xec, 0, 0);
	UNIT_EQ(interrupts, 0);
	out(CMP_PORT_ATA + 6, 0xf0);		/* the drive that is not there */
	UNIT_EQ(in(7), 0);
	teardown();
}

/* Whatever a guest does in whatever order: the sanitizers and teardown() look on. */
static void test_random(void)
{
	static const uint8_t codes[] = { 0x20, 0x30, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xec };
	static const uint8_t widths[] = { 1, 2, 4 };
	uint8_t data[4096];

	setup();
	for (unsigned int i = 0; i < 200000; i++) {
		uint16_t port = (uint16_t)(rnd(3) ? CMP_PORT_ATA + rnd(8) :
					   rnd(8) ? CMP_PORT_BMIDE + rnd(8) : CMP_PORT_ATA_CONTROL);
		unsigned int bytes = widths[rnd(3)], count = 1 + rnd(512);

		for (unsigned int j = 0; j < 4; j++)
			data[j] = (uint8_t)rnd(256);
		if (port == CMP_PORT_ATA + 7)
			data[0] = codes[rnd(sizeof(codes))];
		if (!rnd(4))
			prd(rnd(512) * 8, rnd(2 * MEMORY_BYTES), (uint16_t)rnd(65536),
			    (uint16_t)rnd(65536));
		if (rnd(2))
			ata_out(ata, port, data, bytes, port == CMP_PORT_ATA ? count : 1);
		else
			ata_in(ata, port, data, bytes, port == CMP_PORT_ATA ? count : 1);
	}
	teardown();
}

static const struct unit_test tests[] = {
	{ "identify", test_identify },
	{ "PIO by multiples, and back", test_pio },
	{ "DMA by a table of two", test_dma },
	{ "DMA outside of the guest's memory", test_dma_outside },
	{ "DMA with less room than data, or backwards", test_dma_short_table },
	{ "sectors behind the end", test_range },
	{ "data and commands out of turn", test_out_of_turn },
	{ "interrupts off, no second drive", test_no_interrupt },
	{ "at random", test_random },
};

int main(void)
{
	return unit_run("compare-ata", tests, UNIT_LEN(tests));
}
