/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layout of the file of figures: a page that says what is in it, the parts, the rings.
 * For figures.c and figures-read.c.
 */
#ifndef PV_FIGURES_INTERNAL_H
#define PV_FIGURES_INTERNAL_H

#include "figures.h"

#define FIGURES_MAGIC 0x31304755464d5650ull	/* "PVMFUG01" */
#define PAGE_BYTES 4096u
#define RING_BYTES (PAGE_BYTES + (size_t)FIGURES_RECORDS * FIGURES_RECORD_BYTES)

/* The first page. */
struct figures_header {
	uint64_t magic;
	struct figures_layout layout;
	uint32_t wanted;		/* records: written by readers */
};

static inline size_t figures_part_at(const struct figures_layout *l, uint32_t part)
{
	size_t stride = ((size_t)l->part_bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);

	return PAGE_BYTES + part * stride;
}

/* A page with the head, then the records. */
static inline size_t figures_ring_at(const struct figures_layout *l, uint32_t part)
{
	return figures_part_at(l, l->nr_parts) + part * RING_BYTES;
}

static inline size_t figures_file_bytes(const struct figures_layout *l)
{
	return figures_ring_at(l, l->nr_parts);
}

#endif
