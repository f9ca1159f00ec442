/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers and commands of an ATA channel, for the device model and the guest's
 * driver. Hides nothing. Sources: ATA/ATAPI-6; Programming Interface for Bus Master IDE
 * Controller.
 */
#ifndef CMP_ATA_REGS_H
#define CMP_ATA_REGS_H

#include <stdint.h>

#define ATA_SECTOR 512u
#define ATA_MULTIPLE_MAX 16u

/* From CMP_PORT_ATA on. */
enum { R_DATA, R_ERROR, R_COUNT, R_LBA0, R_LBA1, R_LBA2, R_DEVICE, R_STATUS, NR_REGS };
enum { S_ERR = 1, S_DRQ = 8, S_DSC = 16, S_DRDY = 64, S_BSY = 128 };
enum { E_ABRT = 4, E_IDNF = 16, E_UNC = 64 };
enum { CONTROL_NO_INTERRUPT = 2, CONTROL_RESET = 4 };

/* From CMP_PORT_BMIDE on. */
enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4 };
enum { BM_START = 1, BM_TO_MEMORY = 8 };
enum { BMS_ACTIVE = 1, BMS_ERROR = 2, BMS_INTERRUPT = 4 };

#define C_READ 0x20
#define C_WRITE 0x30
#define C_READ_MULTIPLE 0xc4
#define C_WRITE_MULTIPLE 0xc5
#define C_SET_MULTIPLE 0xc6
#define C_READ_DMA 0xc8
#define C_WRITE_DMA 0xca
#define C_FLUSH 0xe7
#define C_IDENTIFY 0xec

/* An entry of the bus master's table. */
struct prd {
	uint32_t addr;
	uint16_t bytes;		/* 0: 64 KiB */
	uint16_t flags;
};
#define PRD_LAST 0x8000u

#endif
