/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libnbd, in the processes that speak NBD and in no other.
 *
 * Linked, it and the twenty libraries that it brings (GnuTLS, libxml2, ICU, the C++ library)
 * would be in every worker: twice an idle one's memory, and that much more code within
 * reach of whoever took one over. So it is loaded when a process is to speak NBD.
 *
 * Hides: how. Must not know: what is said. Source: libnbd(3), whose ABI does not change.
 */
#ifndef PV_NBD_LIBRARY_H
#define PV_NBD_LIBRARY_H

#include <libnbd.h>
#include <stddef.h>

#define NBD_LIBRARY(F) \
	F(create) F(close) F(get_error) F(get_errno) \
	F(set_export_name) F(set_pread_initialize) \
	F(aio_connect_socket) F(aio_disconnect) F(aio_is_ready) F(aio_is_dead) F(aio_is_closed) \
	F(aio_get_direction) F(aio_notify_read) F(aio_notify_write) F(poll) \
	F(get_size) F(get_block_size) F(is_read_only) \
	F(can_flush) F(can_fua) F(can_trim) F(can_zero) F(can_multi_conn) \
	F(aio_pread) F(aio_pwrite) F(aio_flush) F(aio_command_completed) F(aio_trim) F(aio_zero)

#define NBD_LIBRARY_MEMBER(name) __typeof__(nbd_##name) *name;

/* Its functions by their names without nbd_; none before nbd_library_load(). */
extern struct nbd_library {
	NBD_LIBRARY(NBD_LIBRARY_MEMBER)
} libnbd;

/*
 * Before the sandbox, which opens no file, and by the only thread; again does nothing. It
 * stays until the process ends. 0, or -ENOENT, and in why a sentence for people.
 */
int nbd_library_load(char *why, size_t why_bytes);

#endif
