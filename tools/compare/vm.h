/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtual machine with one CPU on /dev/kvm: memory, entry, exits, interrupts,
 * notifications.
 *
 * Hides: KVM's descriptors and structures, page tables, what an exit looks like.
 * Must not know: devices, models, Xen. One thread runs the CPU; vm_interrupt() may
 * be called from any. Functions return 0 or -errno. Source: Linux,
 * Documentation/virt/kvm/api.rst.
 */
#ifndef CMP_VM_H
#define CMP_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* Accesses of the guest that nothing in the kernel answers; bytes is 1, 2, 4 or 8. */
struct vm_ops {
	/* count units of bytes each, one after the other, from or to data. */
	void (*port_in)(void *ctx, uint16_t port, void *data, unsigned int bytes,
			unsigned int count);
	void (*port_out)(void *ctx, uint16_t port, const void *data, unsigned int bytes,
			 unsigned int count);
	void (*mmio_read)(void *ctx, uint64_t gpa, void *data, unsigned int bytes);
	void (*mmio_write)(void *ctx, uint64_t gpa, const void *data, unsigned int bytes);
	void *ctx;
};

/* Exits that reached this program, since the beginning. */
struct vm_exits {
	uint64_t port_in, port_out, mmio, other;
};

/*
 * memory is bytes of page-aligned memory that becomes the guest's from address 0, and
 * stays the caller's. -ENOENT, -EACCES and others: /dev/kvm does not open. -ENOTSUP:
 * this KVM lacks what is needed.
 */
int vm_open(void *memory, size_t bytes, const struct vm_ops *ops, struct vm **out);
void vm_close(struct vm *vm);

/* More memory at another address. */
int vm_map(struct vm *vm, uint64_t gpa, void *memory, size_t bytes);
/* Loads an ELF program into the memory. -ENOEXEC: it does not fit or is none. */
int vm_load(struct vm *vm, const void *elf, size_t bytes);
/*
 * Guest memory as this program sees it, or NULL unless all of it is in the memory of
 * vm_open(). The one way from a guest's address to a pointer.
 */
void *vm_memory(const struct vm *vm, uint64_t gpa, uint64_t bytes);

/* Writing to fd (an eventfd, the caller's) injects the vector. */
int vm_irqfd(struct vm *vm, int fd, unsigned int vector);
/* Injects it now. */
void vm_interrupt(struct vm *vm, unsigned int vector);
/*
 * A write of bytes to the address (VM_MMIO), or of value, 4 bytes, to the port (VM_PORT),
 * signals fd and does not exit to the program.
 */
enum vm_space { VM_MMIO, VM_PORT };
int vm_ioeventfd(struct vm *vm, uint64_t addr, unsigned int bytes, enum vm_space space,
		 uint32_t value, int fd);

/*
 * Runs until vm_stop(), which a vm_ops function calls. -EINTR: a signal came.
 * -EFAULT: the guest did what cannot be continued; a line about it is on stderr.
 */
int vm_run(struct vm *vm);
void vm_stop(struct vm *vm);

const struct vm_exits *vm_exits(const struct vm *vm);
/* A counter that KVM itself keeps for the CPU, by its name; CMP_UNKNOWN (counters.h): it does not. */
uint64_t vm_kvm_counter(const struct vm *vm, const char *name);
/* The guest's time stamp counter; 0: KVM does not say. */
uint32_t vm_tsc_khz(const struct vm *vm);

#endif
