/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fixed structures and descriptors over a SOCK_SEQPACKET socket.
 *
 * Hides: SCM_RIGHTS, short and interrupted calls. Must not know: what the
 * structures mean. Any thread.
 */
#ifndef PV_PACKET_H
#define PV_PACKET_H

#include <stddef.h>

#define PACKET_FDS_MAX 5u

/* fds may be NULL with nr_fds 0. 0 or -errno; -EPIPE: the other end is gone. */
int packet_send(int sock, const void *packet, size_t bytes, const int *fds, unsigned nr_fds);
/*
 * Receives one packet of exactly bytes; descriptors, at most *nr_fds (nr_fds may be
 * NULL), become the caller's, those beyond are closed. -EPROTO: another size;
 * -EPIPE: end of stream. flags as recv(2)'s (MSG_DONTWAIT: -EAGAIN).
 */
int packet_receive(int sock, void *packet, size_t bytes, int flags, int *fds, unsigned *nr_fds);
void packet_close_fds(const int *fds, unsigned nr);

#endif
