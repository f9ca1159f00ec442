/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's program as bytes of the monitor, so that the two always fit. Hides
 * nothing; GUEST is the file that was built.
 */
	.section .rodata
	.globl guest_image, guest_image_end
	.balign 8
guest_image:
	.incbin GUEST
guest_image_end:
	.section .note.GNU-stack, "", @progbits
