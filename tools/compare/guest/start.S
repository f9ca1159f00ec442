/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first instruction: a stack. The monitor has entered 64-bit mode with memory
 * mapped one to one. Hides nothing; must not know what the guest does.
 */
	.text
	.globl guest_entry
guest_entry:
	cld
	mov $guest_stack_end, %rsp
	xor %ebp, %ebp
	call guest_main
1:	hlt
	jmp 1b

	.bss
	.balign 4096
	.skip 65536
guest_stack_end:

	.section .note.GNU-stack, "", @progbits
