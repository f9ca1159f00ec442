/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * procxen.c - localxen-procxen.so: the two files of /proc/xen that xenstored opens.
 *
 * Preloaded into xenstored alone. On a Xen host Linux offers /proc/xen/xsd_port
 * (the store's port in dom0, in decimal) and /proc/xen/xsd_kva (whose first page
 * is dom0's store ring); here opening one of these two names gives a descriptor
 * with the same contents. Every other name goes to the C library unchanged. It
 * must not know anything else of xenstored.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "localxen.h"

/* The fortified variants, which no header declares. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

#define NOT_OURS (-2)

static int open_port(void)
{
	int port = lx_store_port();
	int fd;

	if (port < 0)
		return -1;
	fd = memfd_create("xsd_port", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	dprintf(fd, "%d", port);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int open_ours(const char *path)
{
	if (!path || strncmp(path, "/proc/xen/", 10))
		return NOT_OURS;
	if (!strcmp(path, "/proc/xen/xsd_port"))
		return open_port();
	if (!strcmp(path, "/proc/xen/xsd_kva"))
		return lx_own_memory_fd();
	return NOT_OURS;
}

/* The next definition of name: the C library's. */
static void *libc_symbol(const char *name)
{
	void *sym = dlsym(RTLD_NEXT, name);

	if (!sym) {
		fprintf(stderr, "localxen-procxen: the C library has no %s()\n", name);
		abort();
	}
	return sym;
}

#define LIBC(name) ((__typeof__(&(name)))libc_symbol(#name))

/* mode is there only with these flags; as an unsigned int, as va_arg promotes. */
#define MODE(flags, mode)						\
	do {								\
		if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
			va_list ap;					\
									\
			va_start(ap, flags);				\
			(mode) = va_arg(ap, unsigned int);		\
			va_end(ap);					\
		}							\
	} while (0)

int open(const char *path, int flags, ...)
{
	int fd = open_ours(path);
	unsigned int mode = 0;

	MODE(flags, mode);
	return fd != NOT_OURS ? fd : LIBC(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	int fd = open_ours(path);
	unsigned int mode = 0;

	MODE(flags, mode);
	return fd != NOT_OURS ? fd : LIBC(open64)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	int fd = open_ours(path);
	unsigned int mode = 0;

	MODE(flags, mode);
	return fd != NOT_OURS ? fd : LIBC(openat)(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	int fd = open_ours(path);
	unsigned int mode = 0;

	MODE(flags, mode);
	return fd != NOT_OURS ? fd : LIBC(openat64)(dir, path, flags, mode);
}

int __open_2(const char *path, int flags)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fd : LIBC(__open_2)(path, flags);
}

int __open64_2(const char *path, int flags)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fd : LIBC(__open64_2)(path, flags);
}

int __openat_2(int dir, const char *path, int flags)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fd : LIBC(__openat_2)(dir, path, flags);
}

int __openat64_2(int dir, const char *path, int flags)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fd : LIBC(__openat64_2)(dir, path, flags);
}

static FILE *fopen_ours(int fd, const char *mode)
{
	FILE *f = fd < 0 ? NULL : fdopen(fd, mode);

	if (!f && fd >= 0)
		close(fd);
	return f;
}

FILE *fopen(const char *path, const char *mode)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fopen_ours(fd, mode) : LIBC(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	int fd = open_ours(path);

	return fd != NOT_OURS ? fopen_ours(fd, mode) : LIBC(fopen64)(path, mode);
}
