/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the name of an image says about where it is: a file or device of this host,
 * an NBD server, or an image that a program of this host serves to us by NBD.
 *
 * Hides: URIs, prefixes of formats, the command lines of qemu-nbd and nbdkit. Must not
 * know: processes, connections, XenStore. Pure: nothing here looks at a file.
 *
 *   /PATH, raw:/PATH				a file or block device
 *   nbd://HOST[:PORT][/EXPORT]			an NBD server
 *   nbd+unix:///[EXPORT]?socket=/PATH		the same, on this host
 *   nbds://..., nbds+unix://...		with TLS: through nbdkit, which has the keys;
 *						?tls-certificates=/DIR or tls-psk-file=/FILE
 *   FORMAT:/PATH				by qemu-nbd: qcow2 qcow qed vmdk vdi vhdx vpc
 *						luks parallels
 *   nbdkit:PLUGIN [WORD]...			by nbdkit
 *
 * FORMAT and raw may have options, FORMAT+OPTION=VALUE+...:/PATH: cache=MODE;
 * secret=/FILE, of an encrypted image.
 * Source: the NBD project's doc/uri.md; qemu-nbd(8); nbdkit-nbd-plugin(1).
 */
#ifndef PV_STORAGE_H
#define PV_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include "vbd.h"

#define STORAGE_NAME_BYTES 512
#define STORAGE_EXPORT_BYTES 256
#define STORAGE_SOCKET_BYTES 108	/* sockaddr_un's */
#define STORAGE_ARGS_MAX 32
#define STORAGE_ARGS_BYTES 1536

/* Where an NBD server listens: a socket's path, or a host and a port. */
struct storage_address {
	char socket[STORAGE_SOCKET_BYTES];	/* "": TCP */
	char host[256], port[8];
};

enum storage_kind { STORAGE_PATH, STORAGE_NBD, STORAGE_SERVED };

struct storage {
	enum storage_kind kind;
	/* PATH; SERVED: the image, for its lock, or "" where there is none */
	char path[STORAGE_NAME_BYTES];
	bool has_cache;			/* the name says one */
	enum vbd_cache cache;
	struct storage_address at;	/* NBD */
	char export[STORAGE_EXPORT_BYTES];
	/* SERVED: "qcow2", "nbdkit", "nbds"; what follows the prefix */
	char format[16], rest[STORAGE_NAME_BYTES];
	char secret[STORAGE_NAME_BYTES];
	/* of nbds: a directory of certificates, a file of shared keys, a name in it */
	char tls_certificates[STORAGE_NAME_BYTES], tls_keys[STORAGE_NAME_BYTES], tls_user[64];
};

/* Whether the name is one of other than a path's, as cheaply as that can be told. */
bool storage_is_remote(const char *name);
/* -EINVAL, -E2BIG: why names what was expected. */
int storage_parse(const char *name, struct storage *out, char *why, size_t why_bytes);
/* The server of a SERVED one: "qemu-nbd", "nbdkit". */
const char *storage_program(const struct storage *s);

/* A program and its words, in a piece of memory that can be sent. */
struct storage_command {
	unsigned nr;
	char words[STORAGE_ARGS_BYTES];	/* each ends with a 0 */
};

/*
 * The server of a SERVED one, listening at socket. -E2BIG: more than a command line
 * of ours holds.
 */
int storage_command(const struct storage *s, enum vbd_cache cache, bool read_only,
		    const char *socket, struct storage_command *out);

#endif
