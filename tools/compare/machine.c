/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See machine.h. The CPU's thread is the caller's; it does what a trapped access asks
 * for. The virtio disk has a thread, unless notifications are exits: then the CPU's
 * thread serves it, too. The Xen model's back end is another process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "ata.h"
#include "copied.h"
#include "counters.h"
#include "domain.h"
#include "machine.h"
#include "nic.h"
#include "pin.h"
#include "virtio-blk.h"
#include "vm.h"

struct machine {
	const struct machine_job *job;
	struct vm *vm;
	struct vm_ops ops;
	void *memory;
	size_t memory_bytes;
	struct domain *domain;
	struct ata *ata;
	struct ata_host ata_host;
	struct virtio_blk *virtio;
	struct virtio_blk_host virtio_host;
	struct nic *nic;
	int kick_fd, irq_fd;
	pthread_t server;
	bool serving, stopping;
	struct cmp_job *page;
	uint64_t call_exits, kick_exits;	/* kick_exits: of ports; virtio's are mmio */
	struct machine_counts begin, counts;
	int bind_error;			/* of the process that serves, -errno */
	bool done;
};

static volatile sig_atomic_t expired;

static void on_alarm(int sig)
{
	(void)sig;
	expired = 1;
}

/* ---- counting -------------------------------------------------------------------- */

/* Of devices; the network's other end has one that no real machine has. */
static uint64_t guest_interrupts(const struct machine *m)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < CMP_VECTOR_PEER - CMP_VECTOR_ATA; i++)
		n += m->page->irqs[i];
	return n;
}

static uint64_t copied_bytes(const struct machine *m)
{
	if (m->domain)
		return copied_by_back_end(m->job->figures, m->nic, domain_id(m->domain),
					  m->job->devid);
	return m->ata ? ata_copied_bytes(m->ata) : m->nic ? nic_copied_bytes(m->nic) :
	       m->virtio ? virtio_blk_copied_bytes(m->virtio) : 0;
}

static uint64_t back_ns(const struct machine *m)
{
	if (m->serving)
		return thread_cpu_ns(m->server);
	if (m->nic && !m->domain)
		return nic_back_ns(m->nic);
	return m->domain && domain_peer(m->domain) ? process_cpu_ns(domain_peer(m->domain)) :
						     CMP_UNKNOWN;
}

static void take_counts(const struct machine *m, struct machine_counts *c)
{
	const struct vm_exits *e = vm_exits(m->vm);

	*c = (struct machine_counts){
		.wall_ns = wall_ns(), .cpu_ns = own_cpu_ns(), .guest_ns = own_guest_ns(),
		.back_ns = back_ns(m), .exits = vm_kvm_counter(m->vm, "exits"),
		.port_exits = e->port_in + e->port_out - m->call_exits - m->kick_exits,
		.mmio_exits = e->mmio, .call_exits = m->call_exits,
		.kick_exits = m->kick_exits,
		.halts = vm_kvm_counter(m->vm, "halt_exits"),
		.interrupts = guest_interrupts(m), .kicks = m->page->kicks,
		.copied_bytes = copied_bytes(m), .arrived = m->nic ? nic_arrived(m->nic) : 0,
	};
}

static uint64_t since(uint64_t begin, uint64_t end)
{
	return begin == CMP_UNKNOWN || end == CMP_UNKNOWN ? CMP_UNKNOWN : end - begin;
}

#define DIFFERENCE(field) c->field = since(m->begin.field, c->field)
static void end_counts(struct machine *m)
{
	struct machine_counts *c = &m->counts;

	take_counts(m, c);
	DIFFERENCE(wall_ns);
	DIFFERENCE(cpu_ns);
	DIFFERENCE(guest_ns);
	DIFFERENCE(back_ns);
	DIFFERENCE(exits);
	DIFFERENCE(port_exits);
	DIFFERENCE(mmio_exits);
	DIFFERENCE(call_exits);
	DIFFERENCE(kick_exits);
	DIFFERENCE(halts);
	DIFFERENCE(interrupts);
	DIFFERENCE(kicks);
	DIFFERENCE(copied_bytes);
	DIFFERENCE(arrived);
	if (m->nic)
		nic_quiet(m->nic);
}

/* ---- which CPU --------------------------------------------------------------------- */

static bool pinned(const struct machine *m)
{
	return m->job->flags & (CMP_SAME_CPU | CMP_OWN_CPU);
}

static int back_cpu(const struct machine *m)
{
	return m->job->flags & CMP_OWN_CPU ? 1 : 0;
}

/* The guest's CPU is the first. */
static int bind_threads(const struct machine *m, int nr_cpus)
{
	int r;

	if (!pinned(m))
		return 0;
	r = nr_cpus <= back_cpu(m) ? -ENODEV : pin_self(0);
	if (!r && m->serving)
		r = pin_thread(m->server, back_cpu(m));
	return r || !m->nic ? r : nic_pin(m->nic, back_cpu(m));
}

/* The process that serves is known once it is connected. */
static int bind_peer(const struct machine *m, int cpu)
{
	if (!pinned(m) || !m->domain || !domain_peer(m->domain))
		return 0;
	return pin_process(domain_peer(m->domain), cpu);
}

static void begin(struct machine *m)
{
	m->bind_error = bind_peer(m, back_cpu(m));
	if (m->bind_error)
		vm_stop(m->vm);
	take_counts(m, &m->begin);
}

/* ---- the guest's calls ------------------------------------------------------------- */

static void guest_call(struct machine *m, uint32_t gpa)
{
	struct cmp_call *at = vm_memory(m->vm, gpa, sizeof(*at)), c;

	m->call_exits++;
	if (!at || gpa % sizeof(uint64_t))
		return;
	memcpy(&c, at, sizeof(c));
	switch (c.nr) {
	case CMP_CALL_BEGIN:
		begin(m);
		at->ret = 0;
		break;
	case CMP_CALL_END:
		end_counts(m);
		at->ret = 0;
		break;
	case CMP_CALL_READY:
		if (m->nic)
			nic_ready(m->nic);
		at->ret = 0;
		break;
	case CMP_CALL_DONE:
		m->done = true;
		vm_stop(m->vm);
		break;
	default:
		at->ret = m->domain ? domain_call(m->domain, &c) : -ENOSYS;
	}
}

/* ---- trapped accesses ---------------------------------------------------------------- */

static void port_in(void *ctx, uint16_t port, void *data, unsigned int bytes,
		    unsigned int count)
{
	struct machine *m = ctx;

	if (m->ata && ata_has_port(port))
		ata_in(m->ata, port, data, bytes, count);
	else if (!m->nic || !nic_port_in(m->nic, port, data, bytes, count))
		memset(data, 0xff, (size_t)bytes * count);
}

static void port_out(void *ctx, uint16_t port, const void *data, unsigned int bytes,
		     unsigned int count)
{
	struct machine *m = ctx;
	uint32_t value;

	if (m->ata && ata_has_port(port)) {
		ata_out(m->ata, port, data, bytes, count);
		return;
	}
	if ((m->nic && nic_port_out(m->nic, port, data, bytes, count)) || bytes != 4)
		return;
	memcpy(&value, data, 4);
	if (port == CMP_PORT_CALL) {
		guest_call(m, value);
	} else if (port == CMP_PORT_KICK && m->domain) {
		m->kick_exits++;
		domain_kick(m->domain, value);
	}
}

static bool is_virtio(const struct machine *m, uint64_t gpa)
{
	return m->virtio && gpa - CMP_GPA_VIRTIO < VIRTIO_REGISTERS;
}

static void mmio_read(void *ctx, uint64_t gpa, void *data, unsigned int bytes)
{
	struct machine *m = ctx;

	if (is_virtio(m, gpa))
		virtio_mmio_read(virtio_blk_mmio(m->virtio), gpa - CMP_GPA_VIRTIO, data, bytes);
	else if (!m->nic || !nic_mmio_read(m->nic, gpa, data, bytes))
		memset(data, 0xff, bytes);
}

static void mmio_write(void *ctx, uint64_t gpa, const void *data, unsigned int bytes)
{
	struct machine *m = ctx;

	if (is_virtio(m, gpa))
		virtio_mmio_write(virtio_blk_mmio(m->virtio), gpa - CMP_GPA_VIRTIO, data, bytes);
	else if (m->nic)
		nic_mmio_write(m->nic, gpa, data, bytes);
}

/* ---- devices --------------------------------------------------------------------------- */

static void *guest_memory(void *ctx, uint64_t gpa, uint64_t bytes)
{
	struct machine *m = ctx;

	return vm_memory(m->vm, gpa, bytes);
}

static void ata_interrupt(void *ctx)
{
	struct machine *m = ctx;

	vm_interrupt(m->vm, CMP_VECTOR_ATA);
}

static void virtio_interrupt(void *ctx)
{
	struct machine *m = ctx;
	uint64_t one = 1;

	if (m->irq_fd < 0)
		vm_interrupt(m->vm, CMP_VECTOR_VIRTIO);
	else if (write(m->irq_fd, &one, sizeof(one)) < 0)
		return;		/* an eventfd of ours that is full: it was not read, so it rings */
}

static void virtio_notified(void *ctx)
{
	struct machine *m = ctx;

	if (!m->serving)
		virtio_blk_serve(m->virtio);
}

static void *serve(void *arg)
{
	struct machine *m = arg;
	uint64_t n;

	while (read(m->kick_fd, &n, sizeof(n)) == sizeof(n) &&
	       !__atomic_load_n(&m->stopping, __ATOMIC_ACQUIRE))
		virtio_blk_serve(m->virtio);
	return NULL;
}

static int start_server(struct machine *m)
{
	int r;

	m->kick_fd = eventfd(0, EFD_CLOEXEC);
	m->irq_fd = eventfd(0, EFD_CLOEXEC);
	if (m->kick_fd < 0 || m->irq_fd < 0)
		return -errno;
	r = vm_irqfd(m->vm, m->irq_fd, CMP_VECTOR_VIRTIO);
	if (!r)
		r = vm_ioeventfd(m->vm, CMP_GPA_VIRTIO + VIRTIO_NOTIFY, 4, VM_MMIO, 0,
				 m->kick_fd);
	if (!r)
		r = -pthread_create(&m->server, NULL, serve, m);
	m->serving = !r;
	return r;
}

static int open_virtio(struct machine *m)
{
	const struct machine_job *job = m->job;
	int r;

	m->virtio_host = (struct virtio_blk_host){
		.fd = job->fd, .bytes = job->bytes, .memory = guest_memory,
		.interrupt = virtio_interrupt, .notified = virtio_notified,
		.no_event_index = job->flags & CMP_EVERY_EVENT,
		.every_event = job->flags & CMP_EVERY_EVENT, .ctx = m,
	};
	r = virtio_blk_open(&m->virtio_host, &m->virtio);
	return r || job->flags & CMP_EXITS ? r : start_server(m);
}

static bool is_xen(const struct machine *m)
{
	return m->job->model == CMP_XEN || m->job->model == CMP_XEN_NET;
}

static int open_nic(struct machine *m)
{
	const struct machine_job *job = m->job;
	struct nic_config nic = { .model = job->model, .op = job->op, .flags = job->flags,
				  .ifname = job->ifname, .vm = m->vm };

	return job->model < CMP_RTL8139 ? 0 : nic_open(&nic, &m->nic);
}

static int open_devices(struct machine *m)
{
	const struct machine_job *job = m->job;
	int r = open_nic(m);

	if (r)
		return r;
	m->ata_host = (struct ata_host){ job->fd, job->bytes, guest_memory, ata_interrupt, m };
	switch (job->model) {
	case CMP_ATA_PIO:
	case CMP_ATA_DMA:
		return ata_open(&m->ata_host, &m->ata);
	case CMP_VIRTIO:
		return open_virtio(m);
	case CMP_XEN:
	case CMP_XEN_NET:
		return domain_attach(m->domain, m->vm, job->flags & CMP_EXITS);
	default:
		return 0;
	}
}

static int open_memory(struct machine *m)
{
	int r;

	if (is_xen(m)) {
		r = domain_open(&m->domain);
		if (!r)
			m->memory = domain_memory(m->domain, &m->memory_bytes);
		return r || m->memory_bytes >= CMP_RAM_BYTES ? r : -ENOMEM;
	}
	m->memory_bytes = CMP_RAM_BYTES;
	m->memory = mmap(NULL, m->memory_bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->memory != MAP_FAILED)
		return 0;
	m->memory = NULL;
	return -errno;
}

static void write_job(struct machine *m)
{
	const struct machine_job *job = m->job;
	uint64_t khz = vm_tsc_khz(m->vm);

	m->page = vm_memory(m->vm, CMP_GPA_JOB, sizeof(*m->page));
	memset(m->page, 0, sizeof(*m->page));
	m->page->model = job->model;
	m->page->op = job->op;
	m->page->flags = job->flags;
	m->page->depth = job->depth;
	m->page->block_bytes = job->block_bytes;
	m->page->devid = job->devid;
	m->page->disk_bytes = job->bytes;
	m->page->seed = job->seed;
	m->page->warm_ticks = khz * job->warm_ms;
	m->page->run_ticks = khz * job->run_ms;
	m->page->ticks_per_ms = khz;
}

static void stop_server(struct machine *m)
{
	uint64_t one = 1;

	__atomic_store_n(&m->stopping, true, __ATOMIC_RELEASE);
	if (write(m->kick_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(m->server, NULL);
}

static void machine_close(struct machine *m)
{
	if (m->serving)
		stop_server(m);
	(void)bind_peer(m, PIN_ANY);	/* it may have gone */
	nic_close(m->nic);
	vm_close(m->vm);
	virtio_blk_close(m->virtio);
	ata_close(m->ata);
	if (m->domain)
		domain_close(m->domain);
	else if (m->memory)
		munmap(m->memory, m->memory_bytes);
	if (m->kick_fd >= 0)
		close(m->kick_fd);
	if (m->irq_fd >= 0)
		close(m->irq_fd);
}

/* Rings again each second, in case it came between a check and KVM. */
static int run(struct machine *m)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval after = { .it_value.tv_sec = m->job->deadline_s,
				   .it_interval.tv_sec = 1 };
	int r;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &after, NULL);
	do
		r = vm_run(m->vm);
	while (r == -EINTR && !expired);
	after = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &after, NULL);
	return r == -EINTR ? -ETIMEDOUT : r;
}

static void take_result(struct machine *m, struct machine_result *result)
{
	if (m->nic && m->done)
		nic_settle(m->nic);
	memcpy(&result->job, m->page, sizeof(result->job));
	result->job.text[sizeof(result->job.text) - 1] = 0;
	result->counts = m->counts;
	if (!m->nic)
		return;
	result->sent = nic_sent(m->nic);
	result->lost = nic_lost(m->nic);
	if (!result->job.status && nic_complaint(m->nic)) {
		result->job.status = -EBADMSG;
		snprintf(result->job.text, sizeof(result->job.text), "%s", nic_complaint(m->nic));
	}
}

/* For result->job, when there is nothing of the guest's. */
static int complain(struct machine_result *result, const char *text, int err, int r)
{
	snprintf(result->job.text, sizeof(result->job.text), "%s", text);
	result->job.status = err;
	return r;
}

static int not_bound(struct machine_result *result, int err)
{
	return complain(result, "guest and back end cannot be bound to their CPUs", err, -EXDEV);
}

static int start(struct machine *m, const void *elf, size_t elf_bytes, int nr_cpus,
		 struct machine_result *result)
{
	int r = vm_open(m->memory, m->memory_bytes, &m->ops, &m->vm), bound;

	if (!r)
		r = open_devices(m);
	if (!r)
		r = vm_load(m->vm, elf, elf_bytes);
	if (r)
		return r;
	bound = bind_threads(m, nr_cpus);
	if (bound)
		return not_bound(result, bound);
	result->tsc_khz = vm_tsc_khz(m->vm);
	if (!result->tsc_khz)
		return complain(result, "KVM does not say how fast the guest's clock is "
				"(KVM_GET_TSC_KHZ), so nothing can be timed", -ENOTSUP, -EIO);
	write_job(m);
	return m->nic ? nic_start(m->nic, m->page) : 0;
}

int machine_run(const struct machine_job *job, const void *elf, size_t elf_bytes,
		struct machine_result *result)
{
	struct machine m = { .job = job, .kick_fd = -1, .irq_fd = -1 };
	int cpus = pin_init(), r = open_memory(&m);

	m.ops = (struct vm_ops){ port_in, port_out, mmio_read, mmio_write, &m };
	if (!r)
		r = start(&m, elf, elf_bytes, cpus, result);
	if (!r) {
		r = run(&m);
		take_result(&m, result);
		if (m.bind_error)
			r = not_bound(result, m.bind_error);
		else if (!r && result->job.status)
			r = -EIO;
	}
	machine_close(&m);
	return r;
}
