/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where Xen enters the guest: the notes that the domain builder reads, the page
 * it fills with hypercalls, the first instruction, and the stubs of traps and of
 * the event upcall. Hides how Xen lays out the stack for each; must not know what
 * is done about any of them.
 *
 * Xen pushes SS, RSP, RFLAGS, CS, RIP, the error code where there is one, R11 and
 * RCX. The guest stays in the mode in which it was, so that a plain iretq returns,
 * once the selectors have the privilege level that the CPU really runs at.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>

	.macro note type, kind, value:vararg
	.pushsection .note.Xen, "a", @note
	.balign 4
	.long 2f - 1f, 4f - 3f, \type
1:	.asciz "Xen"
2:	.balign 4
3:	\kind \value
4:	.balign 4
	.popsection
	.endm

	note XEN_ELFNOTE_GUEST_OS, .asciz, "bareguest"
	note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
	note XEN_ELFNOTE_LOADER, .asciz, "generic"
	note XEN_ELFNOTE_VIRT_BASE, .quad, BASE
	note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
	note XEN_ELFNOTE_ENTRY, .quad, bare_entry
	note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
	note XEN_ELFNOTE_FEATURES, .asciz, "!writable_page_tables|pae_pgdir_above_4gb"

	.section .text.entry, "ax", @progbits
	.globl hypercall_page, bare_entry
	.balign 4096
hypercall_page:
	.skip 4096, 0xcc

bare_entry:
	cld
	mov $stack_end, %rsp
	xor %ebp, %ebp
	mov %rsi, %rdi
	call bare_main
	ud2

/* Between two instructions of a hypercall that blocks, and nowhere else: time.c. */
	.globl event_upcall
event_upcall:
	pop %rcx
	pop %r11
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbp
	mov %rsp, %rbp
	and $-16, %rsp
	cld
	call events_upcall
	mov %rbp, %rsp
	pop %rbp
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	orb $3, 8(%rsp)
	orb $3, 32(%rsp)
	iretq

/* Xen could not return to us: a selector was wrong. Nothing here loads one. */
	.globl failsafe_upcall
failsafe_upcall:
	mov $255, %edi
	jmp 1f

	.macro trap nr, has_error=0
	.globl trap_\nr
trap_\nr:
	pop %rcx
	pop %r11
	.if \has_error == 0
	push $0
	.endif
	mov $\nr, %edi
	jmp 1f
	.endm
	trap 0
	trap 1
	trap 2
	trap 3
	trap 4
	trap 5
	trap 6
	trap 7
	trap 8, 1
	trap 9
	trap 10, 1
	trap 11, 1
	trap 12, 1
	trap 13, 1
	trap 14, 1
	trap 16
	trap 17, 1
	trap 18
	trap 19
1:	mov %rsp, %rsi
	and $-16, %rsp
	cld
	call trap_report
	ud2

	.section .rodata
	.globl trap_stubs
	.balign 8
trap_stubs:
	.irp nr, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,16,17,18,19
	.quad \nr, trap_\nr
	.endr
	.quad 0, 0

	.bss
	.balign 4096
	.skip 65536
stack_end:

	.section .note.GNU-stack, "", @progbits
