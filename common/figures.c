/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writer's side of a file of figures (figures.h). Must not know: who reads.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "figures-internal.h"

struct figures {
	uint8_t *base;
	size_t bytes;
	struct figures_layout layout;
};

/* syscalls start: mmap munmap newfstatat */
/* syscalls bridge: mmap(data) munmap fstat newfstatat */
/* NULL: it is not what it should be. */
static uint8_t *map_file(int fd, const struct figures_layout *layout)
{
	size_t bytes = figures_file_bytes(layout);
	const struct figures_header *h;
	struct stat st;
	void *base;

	if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size != bytes)
		return NULL;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return NULL;
	h = base;
	if (h->magic == FIGURES_MAGIC && !memcmp(&h->layout, layout, sizeof(*layout)))
		return base;
	munmap(base, bytes);
	return NULL;
}

int figures_open(int fd, const struct figures_layout *layout, struct figures **out)
{
	struct figures *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->layout = *layout;
	f->bytes = figures_file_bytes(layout);
	f->base = map_file(fd, layout);
	if (!f->base)
		f->base = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->base == MAP_FAILED) {
		free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

/* syscalls disk: munmap */
void figures_close(struct figures *f)
{
	if (!f)
		return;
	munmap(f->base, f->bytes);
	free(f);
}

void *figures_part(struct figures *f, uint32_t part)
{
	assert(part < f->layout.nr_parts);
	return f->base + figures_part_at(&f->layout, part);
}

void figures_ring(struct figures *f, uint32_t part, struct figures_ring *out)
{
	uint8_t *at = f->base + figures_ring_at(&f->layout, part);

	assert(part < f->layout.nr_parts);
	out->wanted = &((struct figures_header *)f->base)->wanted;
	out->head = (uint64_t *)at;
	out->records = at + PAGE_BYTES;
}
