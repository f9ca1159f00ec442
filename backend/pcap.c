/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring of octets between frames and the descriptor. The descriptor may take half
 * a record; the other half is then the first thing that it gets, so that what a
 * reader sees is always a whole file up to where it has read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pcap.h"

#define FILE_HEADER_BYTES 24u
#define MAGIC_US 0xa1b2c3d4u	/* in the machine's order, by which a reader knows it */
#define MAGIC_NS 0xa1b23c4du
#define LINKTYPE_ETHERNET 1u
#define NS_PER_SECOND 1000000000ull

struct pcap_writer {
	int fd, failed;			/* 0 or -errno */
	struct pcap_config cfg;
	struct pcap_counters counters;
	uint64_t in, out;		/* octets put and taken, ever */
	uint8_t buffer[];
};

static void put(struct pcap_writer *w, const void *data, uint32_t bytes)
{
	uint32_t size = w->cfg.buffer_bytes, at = (uint32_t)(w->in % size);
	uint32_t first = bytes < size - at ? bytes : size - at;

	memcpy(w->buffer + at, data, first);
	memcpy(w->buffer, (const uint8_t *)data + first, bytes - first);
	w->in += bytes;
}

static void put_file_header(struct pcap_writer *w)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t reserved[2], snaplen, linktype;
	} header = { w->cfg.microseconds ? MAGIC_US : MAGIC_NS, 2, 4, { 0, 0 },
		     w->cfg.snaplen, LINKTYPE_ETHERNET };

	_Static_assert(sizeof(header) == FILE_HEADER_BYTES, "the file's header");
	put(w, &header, sizeof(header));
	w->counters.bytes = sizeof(header);
}

static bool config_is_odd(const struct pcap_config *cfg)
{
	return !cfg->snaplen || cfg->snaplen > PCAP_SNAPLEN_MAX ||
	       cfg->buffer_bytes < cfg->snaplen ||
	       cfg->buffer_bytes - cfg->snaplen < FILE_HEADER_BYTES + PCAP_RECORD_BYTES ||
	       (cfg->max_bytes && cfg->max_bytes < FILE_HEADER_BYTES);
}

/* syscalls bridge: fcntl(F_GETFL) fcntl(F_SETFL) */
int pcap_writer_open(int fd, const struct pcap_config *cfg, struct pcap_writer **out)
{
	struct pcap_writer *w;
	int flags;

	*out = NULL;
	if (config_is_odd(cfg))
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	w = malloc(sizeof(*w) + cfg->buffer_bytes);
	if (!w)
		return -ENOMEM;
	*w = (struct pcap_writer){ .fd = fd, .cfg = *cfg };
	put_file_header(w);
	*out = w;
	return 0;
}

void pcap_writer_close(struct pcap_writer *w)
{
	free(w);
}

/* ---- frames -------------------------------------------------------------------------- */

static uint64_t at_hand(const struct iovec *pieces, int nr)
{
	uint64_t bytes = 0;

	for (int i = 0; i < nr; i++)
		bytes += pieces[i].iov_len;
	return bytes;
}

static bool has_room(const struct pcap_writer *w, uint32_t bytes)
{
	if (w->failed || bytes > w->cfg.buffer_bytes - (w->in - w->out))
		return false;
	return !w->cfg.max_bytes || bytes <= w->cfg.max_bytes - w->counters.bytes;
}

static void put_record(struct pcap_writer *w, uint64_t time_ns, uint32_t kept,
		       uint32_t frame_bytes)
{
	uint64_t ns = time_ns % NS_PER_SECOND;
	const uint32_t record[] = { (uint32_t)(time_ns / NS_PER_SECOND),
				    (uint32_t)(w->cfg.microseconds ? ns / 1000 : ns), kept,
				    frame_bytes };

	_Static_assert(sizeof(record) == PCAP_RECORD_BYTES, "a record's header");
	put(w, record, sizeof(record));
}

bool pcap_writer_frame(struct pcap_writer *w, uint64_t time_ns, const struct iovec *pieces,
		       int nr, uint32_t frame_bytes)
{
	uint64_t known = at_hand(pieces, nr);
	uint32_t kept = frame_bytes < w->cfg.snaplen ? frame_bytes : w->cfg.snaplen, left, n;

	if (kept > known)
		kept = (uint32_t)known;
	if (!has_room(w, PCAP_RECORD_BYTES + kept)) {
		w->counters.dropped++;
		return false;
	}
	put_record(w, time_ns, kept, frame_bytes);
	for (left = kept; left; left -= n, pieces++) {
		n = pieces->iov_len < left ? (uint32_t)pieces->iov_len : left;
		put(w, pieces->iov_base, n);
	}
	w->counters.frames++;
	w->counters.bytes += PCAP_RECORD_BYTES + kept;
	return true;
}

/* ---- writing -------------------------------------------------------------------------- */

/* syscalls bridge: writev */
static ssize_t write_some(struct pcap_writer *w)
{
	uint32_t size = w->cfg.buffer_bytes, at = (uint32_t)(w->out % size);
	uint64_t waiting = w->in - w->out;
	size_t first = waiting < size - at ? waiting : size - at;
	const struct iovec iov[] = { { w->buffer + at, first },
				     { w->buffer, waiting - first } };

	return writev(w->fd, iov, 2);
}

int pcap_writer_flush(struct pcap_writer *w)
{
	ssize_t n;

	while (!w->failed && w->out < w->in) {
		n = write_some(w);
		if (n > 0)
			w->out += (uint64_t)n;
		else if (n == 0 || errno == EAGAIN || errno == ENOSPC || errno == EDQUOT)
			return 1;
		else if (errno != EINTR)
			w->failed = -errno;
	}
	return w->failed;
}

void pcap_writer_counters(const struct pcap_writer *w, struct pcap_counters *out)
{
	*out = w->counters;
}
