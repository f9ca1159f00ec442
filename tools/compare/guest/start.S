/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first instructions: interrupts are set up, then the guest goes to user mode, with
 * the right to use ports by the TSS, and stays there. What user mode cannot do is halt: for that it
 * comes back here. The monitor has entered 64-bit mode with memory mapped one to one.
 */
#include "abi.h"

	.text
	.globl guest_entry, guest_halt
guest_entry:
	cld
	mov $guest_stack_end, %rsp
	xor %ebp, %ebp
	call irq_init
	pushq $CMP_USER_DATA | 3
	pushq $guest_stack_end
	pushq $0x202			/* IF */
	pushq $CMP_USER_CODE | 3
	pushq $1f
	iretq
1:	call guest_main
2:	jmp 2b

/*
 * The handler of a breakpoint, which is how user mode comes here, with interrupts off:
 * halts if there was none since the caller looked, at irq_total's value in rdi. The one
 * that ends the halt is taken behind it.
 */
guest_halt:
	cmp %rdi, irq_total
	jne 1f
	sti
	hlt
1:	iretq

	.bss
	.balign 4096
	.skip 65536
	.balign 16
guest_stack_end:

	.section .note.GNU-stack, "", @progbits
