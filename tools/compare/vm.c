/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM: see vm.h. Interrupts are messages to the one local APIC, which is in the
 * kernel, so that an injection costs the guest what it costs in any virtual machine.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"
#include "counters.h"
#include "vm.h"

#define SLOTS_MAX 12u
#define TABLE(n) (CMP_GPA_TABLES + (n) * CMP_PAGE)
#define TSS TABLE(7)
#define TSS_PORTS 104u			/* a bit for each port, 0: user mode may use it */
#define TSS_LIMIT (TSS_PORTS + 8192u)
#define TSS_STACK_END (TSS + 4 * CMP_PAGE)
#define CPUID_ENTRIES 128u
#define CPUID_ENTRIES_MAX 4096u

struct stat_desc {
	char name[48];
	uint64_t at;
};

struct vm {
	int kvm_fd, vm_fd, cpu_fd, stats_fd;
	char *memory;
	size_t memory_bytes;
	const struct vm_ops *ops;
	struct kvm_run *run;
	size_t run_bytes;
	unsigned int nr_slots, nr_gsis;
	struct kvm_irq_routing *routing;
	struct stat_desc *stats;
	unsigned int nr_stats;
	struct vm_exits exits;
	bool stop;
};

static int vm_ioctl(int fd, unsigned long request, const void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

/* ---- opening ---------------------------------------------------------------- */

int vm_map(struct vm *vm, uint64_t gpa, void *memory, size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = vm->nr_slots,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};
	int r;

	if (vm->nr_slots == SLOTS_MAX)
		return -ENOSPC;
	r = vm_ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (!r)
		vm->nr_slots++;
	return r;
}

static int check_extensions(struct vm *vm)
{
	static const int needed[] = { KVM_CAP_IRQCHIP, KVM_CAP_IRQFD, KVM_CAP_IOEVENTFD,
		KVM_CAP_SIGNAL_MSI, KVM_CAP_IRQ_ROUTING, KVM_CAP_USER_MEMORY };

	if (ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, needed[i]) <= 0)
			return -ENOTSUP;
	return 0;
}

/*
 * The first 4 GiB one to one in pages of 2 MiB, for user mode too: the guest's work runs
 * there, with the right to use ports. It makes no difference to a CPU with virtualization,
 * and a KVM without such a CPU executes user mode at full speed, while it may interpret
 * a kernel.
 */
static void identity_tables(struct vm *vm)
{
	uint64_t *pml4 = (void *)(vm->memory + TABLE(0));
	uint64_t *pdpt = (void *)(vm->memory + TABLE(1));
	uint64_t *pd = (void *)(vm->memory + TABLE(2));
	uint64_t *gdt = (void *)(vm->memory + TABLE(6));

	pml4[0] = TABLE(1) | 7;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = TABLE(2 + i) | 7;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x87 | (i >= 3 * 512 ? 0x18 : 0);
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[CMP_USER_DATA / 8] = 0x00cff3000000ffff;
	gdt[CMP_USER_CODE / 8] = 0x00affb000000ffff;
	/* The stack for interrupts that come in user mode. */
	memcpy(vm->memory + TSS + 4, &(uint64_t){ TSS_STACK_END }, 8);
	memcpy(vm->memory + TSS + 102, &(uint16_t){ TSS_PORTS }, 2);
	vm->memory[TSS + TSS_LIMIT] = (char)0xff;
}

/* The mode that a 64-bit kernel is in once it has started. */
static int enter_long_mode(struct vm *vm)
{
	struct kvm_segment code = { .limit = ~0u, .selector = 8, .type = 11, .present = 1,
				    .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = ~0u, .selector = 16, .type = 3, .present = 1,
				    .db = 1, .s = 1, .g = 1 };
	struct kvm_sregs s;
	int r = vm_ioctl(vm->cpu_fd, KVM_GET_SREGS, &s);

	if (r)
		return r;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = TABLE(6);
	s.gdt.limit = 39;
	s.tr = (struct kvm_segment){ .base = TSS, .limit = TSS_LIMIT, .type = 11, .present = 1 };
	s.cr3 = TABLE(0);
	s.cr4 = 1 << 5;				/* PAE */
	s.cr0 = 1u << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1;	/* PG WP NE ET PE */
	s.efer = 1 << 8 | 1 << 10;		/* LME LMA */
	return vm_ioctl(vm->cpu_fd, KVM_SET_SREGS, &s);
}

static int give_some_cpuid(struct vm *vm, uint32_t room)
{
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + room * sizeof(id->entries[0]));
	int r;

	if (!id)
		return -ENOMEM;
	id->nent = room;
	r = vm_ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, id);
	if (!r)
		r = vm_ioctl(vm->cpu_fd, KVM_SET_CPUID2, id);
	free(id);
	return r;
}

/*
 * Without it the guest's CPU would have no local APIC, or another's features. KVM does not
 * say how many entries it has, only that there are more.
 */
static int give_cpuid(struct vm *vm)
{
	int r = -E2BIG;

	for (uint32_t room = CPUID_ENTRIES; r == -E2BIG && room <= CPUID_ENTRIES_MAX; room *= 2)
		r = give_some_cpuid(vm, room);
	return r;
}

static int open_cpu(struct vm *vm)
{
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;
	int r;

	vm->cpu_fd = vm_ioctl(vm->vm_fd, KVM_CREATE_VCPU, NULL);
	if (vm->cpu_fd < 0 || size < 0)
		return vm->cpu_fd < 0 ? vm->cpu_fd : -errno;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->cpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vm->run = run;
	vm->run_bytes = (size_t)size;
	r = give_cpuid(vm);
	return r ? r : enter_long_mode(vm);
}

/* KVM's own counters; before Linux 5.14 it gives none. */
static void open_stats(struct vm *vm)
{
	struct kvm_stats_header h;
	char desc[sizeof(struct kvm_stats_desc) + 256];
	const struct kvm_stats_desc *d = (void *)desc;

	vm->stats_fd = ioctl(vm->cpu_fd, KVM_GET_STATS_FD, NULL);
	if (vm->stats_fd < 0 || pread(vm->stats_fd, &h, sizeof(h), 0) != sizeof(h) ||
	    h.name_size > 256)
		return;
	vm->stats = calloc(h.num_desc, sizeof(*vm->stats));
	for (uint32_t i = 0; vm->stats && i < h.num_desc; i++) {
		size_t bytes = sizeof(*d) + h.name_size;

		if (pread(vm->stats_fd, desc, bytes, (off_t)(h.desc_offset + i * bytes)) !=
		    (ssize_t)bytes)
			return;
		desc[bytes - 1] = 0;
		snprintf(vm->stats[i].name, sizeof(vm->stats[i].name), "%.47s", d->name);
		vm->stats[i].at = h.data_offset + d->offset;
		vm->nr_stats = i + 1;
	}
}

int vm_open(void *memory, size_t bytes, const struct vm_ops *ops, struct vm **out)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r = -ENOMEM;

	if (!vm)
		return r;
	*vm = (struct vm){ .kvm_fd = -1, .vm_fd = -1, .cpu_fd = -1, .stats_fd = -1,
			   .memory = memory, .memory_bytes = bytes, .ops = ops };
	vm->routing = calloc(1, sizeof(*vm->routing) +
			     CMP_NR_VECTORS * sizeof(vm->routing->entries[0]));
	if (!vm->routing)
		goto fail;
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0) {
		r = -errno;
		goto fail;
	}
	r = check_extensions(vm);
	if (!r)
		vm->vm_fd = r = vm_ioctl(vm->kvm_fd, KVM_CREATE_VM, NULL);
	if (r >= 0)
		r = vm_ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP, NULL);
	if (!r)
		r = vm_map(vm, 0, memory, bytes);
	if (!r)
		r = open_cpu(vm);
	if (r)
		goto fail;
	identity_tables(vm);
	open_stats(vm);
	*out = vm;
	return 0;

fail:
	vm_close(vm);
	return r;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vm_close(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->run)
		munmap(vm->run, vm->run_bytes);
	close_fd(vm->stats_fd);
	close_fd(vm->cpu_fd);
	close_fd(vm->vm_fd);
	close_fd(vm->kvm_fd);
	free(vm->stats);
	free(vm->routing);
	free(vm);
}

/* ---- memory ------------------------------------------------------------------- */

void *vm_memory(const struct vm *vm, uint64_t gpa, uint64_t bytes)
{
	if (gpa > vm->memory_bytes || bytes > vm->memory_bytes - gpa)
		return NULL;
	return vm->memory + gpa;
}

static int load_segment(struct vm *vm, const char *elf, size_t bytes, const Elf64_Phdr *ph)
{
	char *to = vm_memory(vm, ph->p_paddr, ph->p_memsz);

	if (!to || ph->p_filesz > ph->p_memsz || ph->p_offset > bytes ||
	    ph->p_filesz > bytes - ph->p_offset)
		return -ENOEXEC;
	memcpy(to, elf + ph->p_offset, ph->p_filesz);
	memset(to + ph->p_filesz, 0, ph->p_memsz - ph->p_filesz);
	return 0;
}

int vm_load(struct vm *vm, const void *elf, size_t bytes)
{
	struct kvm_regs regs = { .rflags = 2 };
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int r;

	if (bytes < sizeof(eh))
		return -ENOEXEC;
	memcpy(&eh, elf, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_machine != EM_X86_64 ||
	    eh.e_phoff > bytes || eh.e_phnum > (bytes - eh.e_phoff) / sizeof(ph))
		return -ENOEXEC;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		memcpy(&ph, (const char *)elf + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		r = ph.p_type == PT_LOAD ? load_segment(vm, elf, bytes, &ph) : 0;
		if (r)
			return r;
	}
	regs.rip = eh.e_entry;
	return vm_ioctl(vm->cpu_fd, KVM_SET_REGS, &regs);
}

/* ---- interrupts and notifications ------------------------------------------------ */

int vm_irqfd(struct vm *vm, int fd, unsigned int vector)
{
	unsigned int gsi = vm->nr_gsis;
	struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = gsi };
	int r;

	if (gsi == CMP_NR_VECTORS)
		return -ENOSPC;
	vm->routing->entries[gsi] = (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = CMP_GPA_LAPIC, .data = vector },
	};
	vm->routing->nr = ++vm->nr_gsis;
	r = vm_ioctl(vm->vm_fd, KVM_SET_GSI_ROUTING, vm->routing);
	return r ? r : vm_ioctl(vm->vm_fd, KVM_IRQFD, &irqfd);
}

void vm_interrupt(struct vm *vm, unsigned int vector)
{
	struct kvm_msi msi = { .address_lo = CMP_GPA_LAPIC, .data = vector };

	ioctl(vm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

int vm_ioeventfd(struct vm *vm, uint64_t addr, unsigned int bytes, enum vm_space space,
		 uint32_t value, int fd)
{
	struct kvm_ioeventfd e = { .addr = addr, .len = bytes, .fd = fd };

	if (space == VM_PORT) {
		e.flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH;
		e.datamatch = value;
	}
	return vm_ioctl(vm->vm_fd, KVM_IOEVENTFD, &e);
}

/* ---- running --------------------------------------------------------------------- */

static void port_exit(struct vm *vm)
{
	const struct kvm_run *run = vm->run;
	char *data = (char *)vm->run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		vm->exits.port_in++;
		vm->ops->port_in(vm->ops->ctx, run->io.port, data, run->io.size, run->io.count);
	} else {
		vm->exits.port_out++;
		vm->ops->port_out(vm->ops->ctx, run->io.port, data, run->io.size, run->io.count);
	}
}

static void mmio_exit(struct vm *vm)
{
	struct kvm_run *run = vm->run;

	vm->exits.mmio++;
	if (run->mmio.is_write)
		vm->ops->mmio_write(vm->ops->ctx, run->mmio.phys_addr, run->mmio.data,
				    run->mmio.len);
	else
		vm->ops->mmio_read(vm->ops->ctx, run->mmio.phys_addr, run->mmio.data,
				   run->mmio.len);
}

static int odd_exit(struct vm *vm)
{
	struct kvm_regs regs = { 0 };

	vm->exits.other++;
	if (vm->run->exit_reason == KVM_EXIT_INTR)
		return -EINTR;
	ioctl(vm->cpu_fd, KVM_GET_REGS, &regs);
	fprintf(stderr, "compare: the guest stopped with KVM's exit reason %u at 0x%llx; "
		"expected it to end its job\n", vm->run->exit_reason, regs.rip);
	return -EFAULT;
}

int vm_run(struct vm *vm)
{
	int r = 0;

	while (!r && !vm->stop) {
		r = vm_ioctl(vm->cpu_fd, KVM_RUN, NULL);
		if (r)
			break;
		switch (vm->run->exit_reason) {
		case KVM_EXIT_IO:
			port_exit(vm);
			break;
		case KVM_EXIT_MMIO:
			mmio_exit(vm);
			break;
		default:
			r = odd_exit(vm);
		}
	}
	return r;
}

void vm_stop(struct vm *vm)
{
	vm->stop = true;
}

/* ---- counters -------------------------------------------------------------------- */

const struct vm_exits *vm_exits(const struct vm *vm)
{
	return &vm->exits;
}

uint64_t vm_kvm_counter(const struct vm *vm, const char *name)
{
	uint64_t value;

	for (unsigned int i = 0; i < vm->nr_stats; i++)
		if (!strcmp(vm->stats[i].name, name))
			return pread(vm->stats_fd, &value, sizeof(value),
				     (off_t)vm->stats[i].at) == sizeof(value) ? value : CMP_UNKNOWN;
	return CMP_UNKNOWN;
}

uint32_t vm_tsc_khz(const struct vm *vm)
{
	int khz = ioctl(vm->cpu_fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint32_t)khz : 0;
}
