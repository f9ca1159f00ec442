/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See nic.h. An RTL8139 sends in the exit that asks for it, on the CPU's thread; what
 * arrives is put into its ring by a thread, under a lock that both take. A virtio card is
 * served by the thread alone.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "counters.h"
#include "frames.h"
#include "nic.h"
#include "peer.h"
#include "pin.h"
#include "rtl8139.h"
#include "tap.h"
#include "virtio-net.h"

#define INTERFACE_MS 20000u

struct nic {
	struct nic_config cfg;
	struct cmp_job *page;
	struct peer *peer;
	struct rtl8139 *rtl;
	struct rtl8139_host rtl_host;
	pthread_mutex_t lock;		/* of rtl and starved */
	bool starved;			/* the thread waits for room in the ring */
	struct virtio_net *virtio;
	struct virtio_net_host virtio_host;
	int tap_fd, kick_fd, irq_fd, peer_fd;
	pthread_t thread;
	bool serving, stopping;
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;		/* an eventfd of ours that is full rings already */
}

static void drain_fd(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return;
}

static void *memory(void *ctx, uint64_t gpa, uint64_t bytes)
{
	const struct nic *n = ctx;

	return vm_memory(n->cfg.vm, gpa, bytes);
}

/* ---- the thread ----------------------------------------------------------------- */

/* True: look at the TAP device. The lock is the CPU's, too: one hold for many frames. */
static bool rtl_serve(struct nic *n)
{
	bool room;

	pthread_mutex_lock(&n->lock);
	room = rtl8139_receive(n->rtl);
	n->starved = !room;
	pthread_mutex_unlock(&n->lock);
	return room;
}

static bool serve_once(struct nic *n)
{
	return n->virtio ? virtio_net_serve(n->virtio) : rtl_serve(n);
}

static void *serve(void *arg)
{
	struct nic *n = arg;
	struct pollfd p[2] = { { .fd = n->kick_fd, .events = POLLIN },
			       { .fd = n->tap_fd, .events = POLLIN } };
	bool wants;

	while (!__atomic_load_n(&n->stopping, __ATOMIC_ACQUIRE)) {
		wants = serve_once(n);
		if (poll(p, wants ? 2 : 1, -1) > 0 && p[0].revents)
			drain_fd(n->kick_fd);
	}
	return NULL;
}

/* ---- the cards -------------------------------------------------------------------- */

static bool rtl_transmit(void *ctx, const void *frame, uint32_t bytes)
{
	const struct nic *n = ctx;

	return write(n->tap_fd, frame, bytes) == (ssize_t)bytes;
}

static ssize_t rtl_receive(void *ctx, const struct iovec *iov, unsigned int nr)
{
	const struct nic *n = ctx;
	ssize_t got;

	do
		got = readv(n->tap_fd, iov, (int)nr);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void rtl_interrupt(void *ctx)
{
	const struct nic *n = ctx;

	vm_interrupt(n->cfg.vm, CMP_VECTOR_RTL8139);
}

static int open_rtl8139(struct nic *n)
{
	n->rtl_host = (struct rtl8139_host){
		.mac = FRAME_GUEST_MAC, .memory = memory, .interrupt = rtl_interrupt,
		.transmit = rtl_transmit, .receive = rtl_receive, .ctx = n,
	};
	return rtl8139_open(&n->rtl_host, &n->rtl);
}

static void virtio_interrupt(void *ctx)
{
	const struct nic *n = ctx;

	signal_fd(n->irq_fd);
}

static void virtio_notified(void *ctx)
{
	const struct nic *n = ctx;

	signal_fd(n->kick_fd);
}

static void virtio_offloads(void *ctx, bool checksum, bool tso4)
{
	const struct nic *n = ctx;

	/* A kernel that has none leaves all to itself, which is right too. */
	tap_offloads(n->tap_fd, checksum, tso4);
}

static int open_virtio(struct nic *n)
{
	uint32_t flags = n->cfg.flags;
	int r;

	n->virtio_host = (struct virtio_net_host){
		.fd = n->tap_fd, .mac = FRAME_GUEST_MAC, .memory = memory,
		.interrupt = virtio_interrupt, .notified = virtio_notified,
		.offloads = virtio_offloads, .no_offloads = flags & CMP_NO_OFFLOADS,
		.no_event_index = flags & CMP_EVERY_EVENT,
		.every_event = flags & CMP_EVERY_EVENT, .ctx = n,
	};
	r = virtio_net_open(&n->virtio_host, &n->virtio);
	if (!r)
		r = vm_irqfd(n->cfg.vm, n->irq_fd, CMP_VECTOR_VIRTIO);
	if (!r && !(flags & CMP_EXITS))
		r = vm_ioeventfd(n->cfg.vm, CMP_GPA_VIRTIO + VIRTIO_NOTIFY, 4, VM_MMIO, 0,
				 n->kick_fd);
	return r;
}

static int open_card(struct nic *n)
{
	bool virtio = n->cfg.model == CMP_VIRTIO_NET;
	int r;

	n->tap_fd = tap_open(n->cfg.ifname, virtio ? (int)VIRTIO_NET_HEADER : 0);
	if (n->tap_fd < 0)
		return n->tap_fd;
	n->kick_fd = eventfd(0, EFD_CLOEXEC);
	n->irq_fd = eventfd(0, EFD_CLOEXEC);
	if (n->kick_fd < 0 || n->irq_fd < 0)
		return -errno;
	r = virtio ? open_virtio(n) : open_rtl8139(n);
	if (!r)
		r = -pthread_create(&n->thread, NULL, serve, n);
	n->serving = !r;
	return r;
}

/* ---- the other end ------------------------------------------------------------------- */

static void credit(void *ctx)
{
	const struct nic *n = ctx;

	signal_fd(n->peer_fd);
}

static int open_peer(struct nic *n)
{
	struct peer_config peer = { .ifname = n->cfg.ifname, .op = n->cfg.op,
				    .credit = credit, .ctx = n };
	int r = tap_interface(n->cfg.ifname, INTERFACE_MS);

	if (r)
		return r;
	n->peer_fd = eventfd(0, EFD_CLOEXEC);
	r = n->peer_fd < 0 ? -errno : vm_irqfd(n->cfg.vm, n->peer_fd, CMP_VECTOR_PEER);
	return r ? r : peer_open(&peer, &n->peer);
}

int nic_open(const struct nic_config *cfg, struct nic **out)
{
	struct nic *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->cfg = *cfg;
	n->tap_fd = n->kick_fd = n->irq_fd = n->peer_fd = -1;
	pthread_mutex_init(&n->lock, NULL);
	r = cfg->model == CMP_XEN_NET ? 0 : open_card(n);
	if (!r)
		r = open_peer(n);
	if (!r)
		*out = n;
	else
		nic_close(n);
	return r;
}

int nic_pin(struct nic *n, int nth)
{
	return n->serving ? pin_thread(n->thread, nth) : 0;
}

int nic_start(struct nic *n, struct cmp_job *page)
{
	n->page = page;
	return peer_start(n->peer, page);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void nic_close(struct nic *n)
{
	if (!n)
		return;
	peer_close(n->peer);
	if (n->serving) {
		__atomic_store_n(&n->stopping, true, __ATOMIC_RELEASE);
		signal_fd(n->kick_fd);
		pthread_join(n->thread, NULL);
	}
	rtl8139_close(n->rtl);
	virtio_net_close(n->virtio);
	close_fd(n->tap_fd);
	close_fd(n->kick_fd);
	close_fd(n->irq_fd);
	close_fd(n->peer_fd);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* ---- accesses ---------------------------------------------------------------------------- */

bool nic_port_in(struct nic *n, uint16_t port, void *data, unsigned int bytes,
		 unsigned int count)
{
	if (!n->rtl || !rtl8139_has_port(port))
		return false;
	pthread_mutex_lock(&n->lock);
	rtl8139_in(n->rtl, port, data, bytes, count);
	pthread_mutex_unlock(&n->lock);
	return true;
}

bool nic_port_out(struct nic *n, uint16_t port, const void *data, unsigned int bytes,
		  unsigned int count)
{
	struct iovec iov[2];
	bool wake;

	if (!n->rtl || !rtl8139_has_port(port))
		return false;
	pthread_mutex_lock(&n->lock);
	rtl8139_out(n->rtl, port, data, bytes, count);
	wake = n->starved && rtl8139_room(n->rtl, iov);
	if (wake)
		n->starved = false;
	pthread_mutex_unlock(&n->lock);
	if (wake)
		signal_fd(n->kick_fd);
	return true;
}

static bool is_virtio(const struct nic *n, uint64_t gpa)
{
	return n->virtio && gpa - CMP_GPA_VIRTIO < VIRTIO_REGISTERS;
}

bool nic_mmio_read(struct nic *n, uint64_t gpa, void *data, unsigned int bytes)
{
	if (!is_virtio(n, gpa))
		return false;
	virtio_mmio_read(virtio_net_mmio(n->virtio), gpa - CMP_GPA_VIRTIO, data, bytes);
	return true;
}

bool nic_mmio_write(struct nic *n, uint64_t gpa, const void *data, unsigned int bytes)
{
	if (!is_virtio(n, gpa))
		return false;
	virtio_mmio_write(virtio_net_mmio(n->virtio), gpa - CMP_GPA_VIRTIO, data, bytes);
	return true;
}

/* ---- the job ------------------------------------------------------------------------------ */

void nic_ready(struct nic *n)
{
	peer_go(n->peer);
}

void nic_quiet(struct nic *n)
{
	peer_quiet(n->peer);
}

uint64_t nic_arrived(const struct nic *n)
{
	return peer_arrived(n->peer);
}

static bool guest_receives(const struct nic *n)
{
	return n->cfg.op == CMP_RECEIVE || n->cfg.op == CMP_STREAM_IN;
}

void nic_settle(struct nic *n)
{
	if (!guest_receives(n))
		peer_settle(n->peer, n->page->sent);
	peer_end(n->peer);
}

uint64_t nic_sent(const struct nic *n)
{
	return guest_receives(n) ? n->page->peer_sent : n->page->sent;
}

uint64_t nic_lost(const struct nic *n)
{
	uint64_t sent = nic_sent(n), there = guest_receives(n) ? n->page->received : nic_arrived(n);

	return sent > there ? sent - there : 0;
}

uint64_t nic_copied_bytes(struct nic *n)
{
	uint64_t bytes;

	if (!n->rtl)
		return n->virtio ? virtio_net_copied_bytes(n->virtio) : 0;
	pthread_mutex_lock(&n->lock);
	bytes = rtl8139_copied_bytes(n->rtl);
	pthread_mutex_unlock(&n->lock);
	return bytes;
}

uint64_t nic_back_ns(const struct nic *n)
{
	return n->serving ? thread_cpu_ns(n->thread) : CMP_UNKNOWN;
}

const char *nic_complaint(const struct nic *n)
{
	return peer_complaint(n->peer);
}
