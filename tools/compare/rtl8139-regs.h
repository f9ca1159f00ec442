/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of an RTL8139 from CMP_PORT_RTL8139 on, and what it puts before a frame in
 * the receive ring, for the device model and the guest's driver. Hides nothing. Source:
 * RTL8139C(L) data sheet.
 */
#ifndef CMP_RTL8139_REGS_H
#define CMP_RTL8139_REGS_H

#define RTL_PORTS 256u
#define RTL_TX 4u			/* descriptors */

enum {
	RTL_IDR = 0x00,			/* 6 octets: the address */
	RTL_MAR = 0x08,			/* 8 octets: groups */
	RTL_TSD = 0x10,			/* 4 of 32 bits: status of a transmit descriptor */
	RTL_TSAD = 0x20,		/* 4 of 32 bits: where its frame is */
	RTL_RBSTART = 0x30,		/* 32 bits: the receive ring */
	RTL_CR = 0x37,
	RTL_CAPR = 0x38,		/* 16 bits: read up to here, less 16 */
	RTL_CBR = 0x3a,			/* 16 bits, read only: written up to here */
	RTL_IMR = 0x3c,			/* 16 bits */
	RTL_ISR = 0x3e,			/* 16 bits: ones written are taken away */
	RTL_TCR = 0x40,			/* 32 bits */
	RTL_RCR = 0x44,			/* 32 bits */
	RTL_MPC = 0x4c,			/* 24 bits: frames missed; a write clears */
	RTL_MSR = 0x58,			/* 8 bits: link */
};

enum { CR_EMPTY = 1, CR_TX = 4, CR_RX = 8, CR_RESET = 16 };
enum { ISR_RX_OK = 1, ISR_TX_OK = 4, ISR_TX_ERROR = 8, ISR_RX_OVERFLOW = 16,
       ISR_SYSTEM_ERROR = 0x8000 };
enum { TSD_BYTES = 0x1fff, TSD_OWN = 0x2000, TSD_OK = 0x8000, TSD_ABORTED = 1 << 30 };
enum { RCR_ALL = 1, RCR_OURS = 2, RCR_GROUPS = 4, RCR_BROADCAST = 8, RCR_WRAP = 0x80,
       RCR_SIZE_SHIFT = 11, RCR_SIZE_MASK = 3 };	/* 8, 16, 32, 64 KiB */
#define TCR_CHIP 0x74000000u		/* RTL8139C */

/* Before a frame: status, and its length with RTL_FCS; the next begins at a multiple of 4. */
#define RTL_HEAD 4u
#define RTL_FCS 4u
#define RTL_RX_OK 1u
#define RTL_RX_OURS 0x4000u
#define RTL_RX_BROADCAST 0x2000u
#define RTL_RX_GROUP 0x8000u
#define RTL_CAPR_LAG 16u		/* CAPR is this behind what was read */

#endif
