/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames into a capture file that others read while it is written.
 *
 * Hides: the pcap format, how much is waiting to be written, a reader that is
 * slow or gone. Must not know: what a switch is, why a frame is captured.
 *
 * Nothing here waits: frames are put into a buffer of a fixed size, whole or not
 * at all, and pcap_flush() writes what the descriptor takes. What finds no room is
 * dropped and counted. One thread. Source: draft-ietf-opsawg-pcap.
 */
#ifndef PV_PCAP_H
#define PV_PCAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define PCAP_SNAPLEN_MAX 262144u	/* readers refuse more */
#define PCAP_RECORD_BYTES 16u		/* before each frame */

struct pcap_writer;

struct pcap_config {
	uint32_t snaplen;		/* octets kept of a frame, 1 to PCAP_SNAPLEN_MAX */
	uint32_t buffer_bytes;		/* at least snaplen and 40 */
	uint64_t max_bytes;		/* of the whole file; 0: no limit */
	bool microseconds;		/* for readers that know no nanoseconds */
};

struct pcap_counters {
	uint64_t frames, bytes;		/* taken; octets with all headers */
	uint64_t dropped;		/* frames */
};

/*
 * fd: a file, pipe or socket, made non-blocking; it stays the caller's and
 * outlives the writer. The process ignores SIGPIPE. The file's header is written
 * by the first flush. -EINVAL: a number out of its bounds; -ENOMEM; what fcntl says.
 */
int pcap_writer_open(int fd, const struct pcap_config *cfg, struct pcap_writer **out);
/* What is still in the buffer is lost, unless it was flushed. Accepts NULL. */
void pcap_writer_close(struct pcap_writer *w);

/*
 * The pieces of a frame of frame_bytes octets, as far as they are at hand; time_ns
 * since 1970. False: dropped, as there was no room or the file is full.
 */
bool pcap_writer_frame(struct pcap_writer *w, uint64_t time_ns, const struct iovec *pieces,
		       int nr, uint32_t frame_bytes);
/*
 * Once a pass, and when fd can be written to. 0: all is written; 1: the rest waits
 * for the descriptor, or for room on the disk; -EPIPE or another: nobody will read
 * it, and frames are dropped from now on.
 */
int pcap_writer_flush(struct pcap_writer *w);
void pcap_writer_counters(const struct pcap_writer *w, struct pcap_counters *out);

#endif
