/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file system of one file, "image", that fails where and as it is told: for
 * trying a back end against devices, full disks and quotas that no test machine
 * has. Spoken to the kernel as linux/fuse.h has it, without a library.
 *
 *   fault-fs [--writeback] DIRECTORY FILE FAULTS
 *
 * FILE holds the data. FAULTS is a text file, read again at each operation:
 * lines "OPERATION ERRNO FROM TO", OPERATION one of read, write, fsync, discard;
 * the first that touches bytes FROM to TO (not included) fails so. An fsync
 * touches all. --writeback: writes stay in the kernel's cache and come later, so
 * that their errors are those of a write-back. Runs until it is unmounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WRITE_BYTES (128u << 10)
#define IMAGE_NODE 2u
#define NEVER_S 1000000000u

static int fuse, file;
static const char *faults;
static bool writeback;

static void die(const char *what)
{
	fprintf(stderr, "fault-fs: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- faults ------------------------------------------------------------------------- */

static int errno_named(const char *name)
{
	static const struct { const char *name; int err; } all[] = {
		{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EROFS", EROFS },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i].name, name))
			return all[i].err;
	fprintf(stderr, "fault-fs: no error %s\n", name);
	exit(2);
}

/* -errno, or 0: it goes well. */
static int fault(const char *operation, uint64_t at, uint64_t bytes)
{
	char op[16], err[16];
	unsigned long long from, to;
	FILE *f = fopen(faults, "re");
	int result = 0;

	while (f && !result && fscanf(f, "%15s %15s %llu %llu", op, err, &from, &to) == 4)
		if (!strcmp(op, operation) && at < to && at + bytes > from)
			result = -errno_named(err);
	if (f)
		fclose(f);
	return result;
}

/* ---- answers ------------------------------------------------------------------------ */

static void answer(uint64_t unique, int err, const void *body, size_t bytes)
{
	static char out[sizeof(struct fuse_out_header) + WRITE_BYTES];
	struct fuse_out_header h = { .error = err, .unique = unique };

	if (err)
		bytes = 0;
	h.len = (uint32_t)(sizeof(h) + bytes);
	memcpy(out, &h, sizeof(h));
	if (bytes)
		memcpy(out + sizeof(h), body, bytes);
	/* ENOENT: whoever asked was killed meanwhile. */
	if (write(fuse, out, h.len) < 0 && errno != ENOENT)
		die("answer");
}

static void fill_attr(uint64_t node, struct fuse_attr *a)
{
	struct stat st;

	memset(a, 0, sizeof(*a));
	a->ino = node;
	a->blksize = 4096;
	if (node != IMAGE_NODE) {
		a->mode = S_IFDIR | 0755;
		a->nlink = 2;
		return;
	}
	if (fstat(file, &st))
		die("fstat");
	a->mode = S_IFREG | 0600;
	a->nlink = 1;
	a->size = (uint64_t)st.st_size;
	a->blocks = (uint64_t)st.st_blocks;
}

static void answer_attr(uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = { .attr_valid = 0 };

	fill_attr(node, &out.attr);
	answer(unique, 0, &out, sizeof(out));
}

static void lookup(const struct fuse_in_header *h, const char *name)
{
	struct fuse_entry_out out = { .nodeid = IMAGE_NODE, .entry_valid = NEVER_S };

	if (strcmp(name, "image")) {
		answer(h->unique, -ENOENT, NULL, 0);
		return;
	}
	fill_attr(IMAGE_NODE, &out.attr);
	answer(h->unique, 0, &out, sizeof(out));
}

static void set_attr(const struct fuse_in_header *h, const struct fuse_setattr_in *in)
{
	int err = in->valid & FATTR_SIZE && ftruncate(file, (off_t)in->size) ? -errno : 0;

	if (err)
		answer(h->unique, err, NULL, 0);
	else
		answer_attr(h->unique, h->nodeid);
}

static void begin(const struct fuse_in_header *h, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead, .max_write = WRITE_BYTES,
		.flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES | FUSE_MAX_PAGES,
		.max_pages = WRITE_BYTES / 4096, .max_background = 16, .time_gran = 1,
	};

	if (writeback)
		out.flags |= FUSE_WRITEBACK_CACHE;
	answer(h->unique, 0, &out, sizeof(out));
}

/* ---- data ---------------------------------------------------------------------------- */

static void read_file(uint64_t unique, const struct fuse_read_in *in)
{
	static char data[WRITE_BYTES];
	int err = fault("read", in->offset, in->size);
	ssize_t n = 0;

	if (!err && (n = pread(file, data, in->size, (off_t)in->offset)) < 0)
		err = -errno;
	answer(unique, err, data, (size_t)n);
}

static void write_file(uint64_t unique, const struct fuse_write_in *in)
{
	int err = fault("write", in->offset, in->size);
	struct fuse_write_out out = { .size = in->size };

	if (!err && pwrite(file, in + 1, in->size, (off_t)in->offset) != (ssize_t)in->size)
		err = -errno;
	answer(unique, err, &out, sizeof(out));
}

static void discard(uint64_t unique, const struct fuse_fallocate_in *in)
{
	int err = fault("discard", in->offset, in->length);

	if (!err && fallocate(file, (int)in->mode, (off_t)in->offset, (off_t)in->length))
		err = -errno;
	answer(unique, err, NULL, 0);
}

static void serve(const struct fuse_in_header *h)
{
	const void *body = h + 1;
	struct fuse_open_out opened = { .open_flags = FOPEN_KEEP_CACHE };
	struct fuse_statfs_out fs = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 } };

	switch (h->opcode) {
	case FUSE_INIT: begin(h, body); break;
	case FUSE_LOOKUP: lookup(h, body); break;
	case FUSE_GETATTR: answer_attr(h->unique, h->nodeid); break;
	case FUSE_SETATTR: set_attr(h, body); break;
	case FUSE_OPEN: case FUSE_OPENDIR: answer(h->unique, 0, &opened, sizeof(opened)); break;
	case FUSE_READ: read_file(h->unique, body); break;
	case FUSE_WRITE: write_file(h->unique, body); break;
	case FUSE_FALLOCATE: discard(h->unique, body); break;
	case FUSE_FSYNC: answer(h->unique, fault("fsync", 0, UINT64_MAX), NULL, 0); break;
	case FUSE_STATFS: answer(h->unique, 0, &fs, sizeof(fs)); break;
	case FUSE_FLUSH: case FUSE_RELEASE: case FUSE_RELEASEDIR:
		answer(h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_INTERRUPT:
		break;
	default: answer(h->unique, -ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[WRITE_BYTES + 4096] __attribute__((aligned(8)));
	char options[128];
	ssize_t n;

	if (argc > 1 && !strcmp(argv[1], "--writeback")) {
		writeback = true;
		argv++, argc--;
	}
	if (argc != 4) {
		fprintf(stderr, "Usage: fault-fs [--writeback] DIRECTORY FILE FAULTS\n");
		return 2;
	}
	faults = argv[3];
	file = open(argv[2], O_RDWR | O_CLOEXEC);
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (file < 0 || fuse < 0)
		die(file < 0 ? argv[2] : "/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fuse);
	if (mount("fault-fs", argv[1], "fuse.fault-fs", MS_NOSUID | MS_NODEV, options))
		die(argv[1]);
	while ((n = read(fuse, request, sizeof(request))) >= 0 || errno == EINTR || errno == ENOENT)
		if (n > 0)
			serve((const struct fuse_in_header *)request);
	return errno == ENODEV ? 0 : 1;
}
