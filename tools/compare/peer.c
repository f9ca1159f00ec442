/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See peer.h. The words that both ends have in the guest's page: the guest may write
 * anything there, which costs it frames and nobody else anything. The other side of each
 * is guest/net.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "frames.h"
#include "peer.h"
#include "pin.h"

#define BATCH 32u
#define NAP_US 30
#define SOCKET_BYTES (32 << 20)
#define HEADER sizeof(struct virtio_net_hdr)

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

struct peer {
	struct peer_config cfg;
	struct cmp_job *page;
	struct cmp_job job;		/* as it was at the start */
	int fd;
	pthread_t thread;
	bool started, stop, going, quiet;
	uint64_t arrived;
	uint64_t given_up, moved_ns;	/* when something moved last */
	uint64_t received;		/* the guest's count when it was last looked at */
	uint32_t next, seen;		/* number or seq: to send, last that came */
	bool any_seen, wrong;
	char complaint[96];
	struct mmsghdr msgs[BATCH];
	struct iovec iovs[BATCH];
	uint8_t (*frames)[HEADER + CMP_LARGE_FRAME_MAX];
};

static uint64_t silence_ns(const struct peer *p)
{
	return cmp_silence_ms(p->job.flags) * 1000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_US * 1000 }, NULL);
}

/* ---- what arrives ----------------------------------------------------------------- */

static void complain(struct peer *p, const char *what, uint32_t number)
{
	if (p->wrong)
		return;
	snprintf(p->complaint, sizeof(p->complaint), "frame %u from the guest %s", number, what);
	STORE(p->wrong, true);
}

static void check_plain(struct peer *p, const uint8_t *frame, uint32_t bytes)
{
	uint32_t number = frame_get32(((const struct frame_plain *)frame)->number);

	if (p->any_seen && (int32_t)(number - p->seen) <= 0)
		complain(p, "came twice or late", number);
	else if (bytes != frame_bytes_of(&p->job, number))
		complain(p, "has another length", number);
	else if (!frame_check(frame + FRAME_PLAIN, frame_at(number), bytes - FRAME_PLAIN))
		complain(p, "has other contents", number);
	p->seen = number;
	p->any_seen = true;
}

static void check_segment(struct peer *p, const struct virtio_net_hdr *v, const uint8_t *frame,
			  uint32_t bytes)
{
	uint32_t seq = frame_get32(frame + FRAME_TCP_AT + 4);

	if (p->any_seen && (int32_t)(seq - p->seen) <= 0)
		complain(p, "came twice or late", seq);
	else if ((bytes - FRAME_SEGMENT) % CMP_SEGMENT)
		complain(p, "has another length", seq);
	else if (bytes > CMP_FRAME_MAX && (v->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 ||
					   v->gso_size != CMP_SEGMENT))
		complain(p, "is large and does not say of what segments", seq);
	else if (!frame_check(frame + FRAME_SEGMENT, seq, bytes - FRAME_SEGMENT))
		complain(p, "has other contents", seq);
	else if (!(v->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !frame_segment_sum_ok(frame, bytes))
		complain(p, "has a wrong checksum", seq);
	p->seen = seq;
	p->any_seen = true;
}

/* Units of one message; 0: none of ours. */
static uint32_t take(struct peer *p, const uint8_t *data, uint32_t bytes)
{
	bool stream = frame_is_stream(p->cfg.op), verify = p->job.flags & CMP_VERIFY;
	struct virtio_net_hdr v;

	if (bytes < HEADER + (stream ? FRAME_SEGMENT : FRAME_PLAIN))
		return 0;
	memcpy(&v, data, sizeof(v));
	data += HEADER;
	bytes -= (uint32_t)HEADER;
	if (verify && stream)
		check_segment(p, &v, data, bytes);
	else if (verify)
		check_plain(p, data, bytes);
	return stream ? (bytes - FRAME_SEGMENT) / CMP_SEGMENT : 1;
}

/* Nothing is as long as this without a reason: who waits for it would wait for ever. */
static void give_up_lost(struct peer *p, uint64_t wish)
{
	uint64_t credit = p->arrived + p->given_up;

	if (wall_ns() - p->moved_ns < silence_ns(p) || wish <= credit)
		return;
	p->given_up += wish - credit;
	p->moved_ns = wall_ns();
}

static void give_credit(struct peer *p)
{
	uint64_t wish;

	__atomic_store_n(&p->page->peer_credit, p->arrived + p->given_up, __ATOMIC_SEQ_CST);
	wish = __atomic_load_n(&p->page->wish, __ATOMIC_SEQ_CST);	/* await_credit() has a fence */
	if (!wish)
		return;
	give_up_lost(p, wish);
	if (p->arrived + p->given_up < wish)
		return;
	STORE(p->page->peer_credit, p->arrived + p->given_up);
	STORE(p->page->wish, 0);
	p->cfg.credit(p->cfg.ctx);
}

static void sink(struct peer *p)
{
	/* What is behind the headers need not come here, unless it is looked at. */
	size_t room = p->job.flags & CMP_VERIFY ? sizeof(p->frames[0]) : HEADER + FRAME_SEGMENT;
	uint64_t units;
	int n;

	while (!LOAD(p->stop)) {
		for (unsigned int i = 0; i < BATCH; i++)
			p->iovs[i] = (struct iovec){ p->frames[i], room };
		n = recvmmsg(p->fd, p->msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
		units = 0;
		for (int i = 0; i < n; i++)
			units += take(p, p->frames[i], p->msgs[i].msg_len);
		if (units) {
			STORE(p->arrived, p->arrived + units);
			p->moved_ns = wall_ns();
		}
		give_credit(p);
		if (n < (int)BATCH)
			nap();
	}
}

/* ---- what is sent ------------------------------------------------------------------- */

static void make_plain(struct peer *p, unsigned int i)
{
	uint8_t *frame = p->frames[i] + HEADER;
	uint32_t bytes = frame_bytes_of(&p->job, p->next);

	frame_plain_header((void *)frame, true, p->next);
	if (p->job.flags & CMP_VERIFY)
		frame_fill(frame + FRAME_PLAIN, frame_at(p->next), bytes - FRAME_PLAIN);
	p->iovs[i] = (struct iovec){ p->frames[i], HEADER + bytes };
	p->next++;
}

static void make_segments(struct peer *p, unsigned int i)
{
	struct virtio_net_hdr v = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = FRAME_SEGMENT, .gso_size = CMP_SEGMENT, .csum_start = FRAME_TCP_AT,
		.csum_offset = FRAME_CHECKSUM_AT };
	uint8_t *frame = p->frames[i] + HEADER;
	uint32_t bytes = CMP_SEGMENTS * CMP_SEGMENT;

	memcpy(p->frames[i], &v, sizeof(v));
	frame_segment_header((void *)frame, true, p->next, bytes);
	if (p->job.flags & CMP_VERIFY)
		frame_fill(frame + FRAME_SEGMENT, p->next, bytes);
	p->iovs[i] = (struct iovec){ p->frames[i], HEADER + FRAME_SEGMENT + bytes };
	p->next += bytes;
}

/* How many frames may leave now. */
static unsigned int allowance(struct peer *p, uint64_t sent, uint32_t units)
{
	uint64_t received = LOAD(p->page->received), under_way = sent - received - p->given_up;

	if (p->job.flags & CMP_FLOOD)
		return BATCH;
	if (under_way > sent)		/* the guest says that it has more than there was */
		under_way = 0;
	if (under_way + units <= p->job.depth || !under_way) {
		under_way = (p->job.depth - under_way) / units;
		return under_way < 1 ? 1 : under_way < BATCH ? (unsigned int)under_way : BATCH;
	}
	if (received != p->received) {
		p->received = received;
		p->moved_ns = wall_ns();
	} else if (wall_ns() - p->moved_ns > silence_ns(p)) {
		p->given_up = sent - received;
		p->moved_ns = wall_ns();
	}
	return 0;
}

static void source(struct peer *p)
{
	bool stream = frame_is_stream(p->cfg.op);
	uint32_t units = stream ? CMP_SEGMENTS : 1;
	uint64_t sent = 0;
	unsigned int nr;
	int n;

	while (!LOAD(p->stop) && !LOAD(p->quiet)) {
		nr = LOAD(p->going) ? allowance(p, sent, units) : 0;
		if (!nr) {
			nap();
			continue;
		}
		for (unsigned int i = 0; i < nr; i++) {
			if (stream)
				make_segments(p, i);
			else
				make_plain(p, i);
		}
		/* One that the interface had no room for ends the call, and is lost. */
		for (unsigned int at = 0; at < nr; at += (unsigned int)n) {
			n = sendmmsg(p->fd, p->msgs + at, nr - at, 0);
			n = n < 0 ? 1 : at + (unsigned int)n < nr ? n + 1 : n;
		}
		sent += (uint64_t)nr * units;
		STORE(p->page->peer_sent, sent);
	}
	STORE(p->page->peer_sent, sent);
	STORE(p->page->peer_done, 1);
}

/* ---- round trips ----------------------------------------------------------------------- */

static void echo(struct peer *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };
	uint8_t *data = p->frames[0], from[6];
	ssize_t n;

	while (!LOAD(p->stop)) {
		n = recv(p->fd, data, sizeof(p->frames[0]), MSG_DONTWAIT);
		if (n < 0)
			poll(&fd, 1, 100);
		if (n <= 0 || !take(p, data, (uint32_t)n))
			continue;
		memcpy(from, data + HEADER + 6, 6);
		memcpy(data + HEADER + 6, data + HEADER, 6);
		memcpy(data + HEADER, from, 6);
		memset(data, 0, HEADER);
		if (send(p->fd, data, (size_t)n, 0) == n)
			STORE(p->arrived, p->arrived + 1);
	}
}

/* ---- open and close ---------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct peer *p = arg;

	prctl(PR_SET_TIMERSLACK, 1000);
	pin_self(PIN_ANY);
	for (unsigned int i = 0; i < BATCH; i++) {
		p->msgs[i].msg_hdr.msg_iov = p->iovs + i;
		p->msgs[i].msg_hdr.msg_iovlen = 1;
	}
	p->moved_ns = wall_ns();
	switch (p->cfg.op) {
	case CMP_SEND:
	case CMP_STREAM_OUT:
		sink(p);
		break;
	case CMP_RECEIVE:
	case CMP_STREAM_IN:
		source(p);
		break;
	default:
		echo(p);
	}
	return NULL;
}

static int open_socket(const struct peer_config *cfg)
{
	uint16_t type = htons(frame_is_stream(cfg->op) ? ETH_P_IP : FRAME_ETHERTYPE);
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = type,
				  .sll_ifindex = (int)if_nametoindex(cfg->ifname) };
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, bytes = SOCKET_BYTES, err;

	if (s < 0)
		return -errno;
	if (!setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) &&
	    !bind(s, (struct sockaddr *)&at, sizeof(at))) {
		/* As much as may be. */
		if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		if (setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(s, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		return s;
	}
	err = errno;
	close(s);
	return -err;
}

int peer_open(const struct peer_config *cfg, struct peer **out)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->cfg = *cfg;
	p->frames = calloc(BATCH, sizeof(p->frames[0]));
	p->fd = p->frames ? open_socket(cfg) : -ENOMEM;
	if (p->fd < 0) {
		int r = p->fd;

		peer_close(p);
		return r;
	}
	*out = p;
	return 0;
}

int peer_start(struct peer *p, struct cmp_job *page)
{
	int r;

	p->page = page;
	p->job = *page;
	r = -pthread_create(&p->thread, NULL, run, p);
	p->started = !r;
	return r;
}

void peer_end(struct peer *p)
{
	STORE(p->stop, true);
	if (p->started)
		pthread_join(p->thread, NULL);
	p->started = false;
}

void peer_close(struct peer *p)
{
	if (!p)
		return;
	peer_end(p);
	if (p->fd >= 0)
		close(p->fd);
	free(p->frames);
	free(p);
}

void peer_go(struct peer *p)
{
	STORE(p->going, true);
}

void peer_quiet(struct peer *p)
{
	STORE(p->quiet, true);
}

uint64_t peer_arrived(const struct peer *p)
{
	return LOAD(p->arrived);
}

void peer_settle(const struct peer *p, uint64_t sent)
{
	uint64_t last = 0, since = wall_ns(), now;
	bool over = false;

	while ((now = peer_arrived(p)) < sent && !over) {
		over = now == last && wall_ns() - since > silence_ns(p);
		if (now != last)
			since = wall_ns();
		last = now;
		nap();
	}
}

const char *peer_complaint(const struct peer *p)
{
	return LOAD(p->wrong) ? p->complaint : NULL;
}
