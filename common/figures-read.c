/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of figures for those who make and read them, which no worker does (figures.h).
 * Must not know: what is counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "figures-internal.h"

static bool is_possible(const struct figures_layout *l)
{
	return l->nr_parts && l->nr_parts <= FIGURES_PARTS_MAX && l->part_bytes &&
	       l->part_bytes <= FIGURES_PART_BYTES_MAX;
}

/* Space is reserved now: a full tmpfs would otherwise be the writer's SIGBUS later. */
int figures_format(int fd, const struct figures_layout *layout)
{
	struct figures_header h = { .magic = FIGURES_MAGIC, .layout = *layout };
	int err;

	if (!is_possible(layout))
		return -EINVAL;
	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)figures_file_bytes(layout)))
		return -errno;
	/* The rings' heads too: they are read whether there are records or not. */
	err = posix_fallocate(fd, 0, (off_t)figures_part_at(layout, layout->nr_parts));
	for (uint32_t i = 0; !err && i < layout->nr_parts; i++)
		err = posix_fallocate(fd, (off_t)figures_ring_at(layout, i), PAGE_BYTES);
	if (err)
		return -err;
	return pwrite(fd, &h, sizeof(h), 0) == sizeof(h) ? 0 : -EIO;
}

int figures_read_layout(int fd, struct figures_layout *out)
{
	struct figures_header h;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.magic != FIGURES_MAGIC ||
	    !is_possible(&h.layout) || (size_t)st.st_size != figures_file_bytes(&h.layout))
		return -EBADMSG;
	*out = h.layout;
	return 0;
}

int figures_check(int fd, const struct figures_layout *layout)
{
	struct figures_layout found;
	int rc = figures_read_layout(fd, &found);

	if (rc)
		return rc;
	return memcmp(&found, layout, sizeof(found)) ? -EBADMSG : 0;
}

/* ---- readers ---------------------------------------------------------------------- */

static int read_at(int fd, void *to, size_t bytes, size_t at)
{
	ssize_t got = pread(fd, to, bytes, (off_t)at);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EBADMSG;
}

int figures_read(int fd, const struct figures_layout *layout, uint32_t part, void *to)
{
	return read_at(fd, to, layout->part_bytes, figures_part_at(layout, part));
}

/*
 * Who traces holds a shared lock on the word, which goes with the process however it ends.
 * Nobody waits for one: the worker has the file too, and may be in a guest's hands.
 */
static bool lock_wanted(int fd, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET,
		.l_start = offsetof(struct figures_header, wanted), .l_len = 1,
	};

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

static int set_wanted(int fd, uint32_t wanted)
{
	if (pwrite(fd, &wanted, sizeof(wanted), offsetof(struct figures_header, wanted)) !=
	    sizeof(wanted))
		return -errno;
	return 0;
}

int figures_trace(int fd, const struct figures_layout *layout)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < layout->nr_parts; i++)
		err = posix_fallocate(fd, (off_t)figures_ring_at(layout, i), (off_t)RING_BYTES);
	return err ? -err : figures_trace_on(fd);
}

int figures_trace_on(int fd)
{
	lock_wanted(fd, F_RDLCK);
	return set_wanted(fd, 1);
}

/*
 * Its own lock goes first: of two that end at once neither would find itself alone.
 *
 * The pages stay until the writer has surely seen it. Who is in the middle of a record
 * would get its page back from a tmpfs that may be full.
 */
void figures_trace_end(int fd)
{
	lock_wanted(fd, F_UNLCK);
	if (!lock_wanted(fd, F_WRLCK))
		return;
	set_wanted(fd, 0);
	lock_wanted(fd, F_UNLCK);
}

/* Up to the ring's end, where a second call goes on. */
static int copy_records(int fd, size_t at, uint64_t first, uint32_t nr, uint8_t *to)
{
	uint32_t place = first & (FIGURES_RECORDS - 1);
	uint32_t here = nr < FIGURES_RECORDS - place ? nr : FIGURES_RECORDS - place;
	int rc = read_at(fd, to, (size_t)here * FIGURES_RECORD_BYTES,
			 at + PAGE_BYTES + (size_t)place * FIGURES_RECORD_BYTES);

	if (!rc && here < nr)
		rc = read_at(fd, to + (size_t)here * FIGURES_RECORD_BYTES,
			     (size_t)(nr - here) * FIGURES_RECORD_BYTES, at + PAGE_BYTES);
	return rc;
}

/*
 * What the writer has begun since it said head is up to MARGIN records behind it: these
 * places, a lap before, are no longer what they were.
 */
#define MARGIN 256u

static uint64_t oldest(uint64_t head)
{
	return head > FIGURES_RECORDS - MARGIN ? head - (FIGURES_RECORDS - MARGIN) : 0;
}

int figures_read_records(int fd, const struct figures_layout *layout, uint32_t part,
			 uint64_t *next, void *to, uint32_t max, uint64_t *lost)
{
	size_t at = figures_ring_at(layout, part);
	uint64_t head, first, gone;
	uint32_t nr;
	int rc = read_at(fd, &head, sizeof(head), at);

	*lost = 0;
	if (rc)
		return rc;
	if (*next > head)	/* from now on; or a writer that counts anew */
		*next = head;
	first = *next > oldest(head) ? *next : oldest(head);
	nr = head - first < max ? (uint32_t)(head - first) : max;
	rc = nr ? copy_records(fd, at, first, nr, to) : 0;
	if (!rc)
		rc = read_at(fd, &head, sizeof(head), at);
	if (rc)
		return rc;
	/* Written over while they were copied? */
	gone = oldest(head) > first ? oldest(head) - first : 0;
	if (gone > nr)
		gone = nr;
	memmove(to, (uint8_t *)to + gone * FIGURES_RECORD_BYTES,
		(size_t)(nr - gone) * FIGURES_RECORD_BYTES);
	*lost = first + gone - *next;
	*next = first + nr;
	return (int)(nr - gone);
}
