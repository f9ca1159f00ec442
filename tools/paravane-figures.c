/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Figures of a whole device (paravane-figures.h).
 */
#include "paravane-figures.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "paravane.h"
#include "paravane-runinfo.h"
#include "util.h"

/* Both structures are 64-bit numbers from the first to the last, histograms and all. */
#define WORDS(type) (sizeof(type) / sizeof(uint64_t))

int figures_reader_open(const struct inventory_device *dev, int flags,
			struct figures_reader *out)
{
	bool nic = is_nic(dev->kind);
	uint32_t kind = nic ? VIF_FIGURES_KIND : BLK_FIGURES_KIND;
	size_t bytes = nic ? sizeof(struct vif_figures) : sizeof(struct blk_figures);
	int rc;

	out->fd = runinfo_open_figures(dev, flags);
	if (out->fd < 0)
		return out->fd;
	rc = figures_read_layout(out->fd, &out->layout);
	if (!rc && (out->layout.kind != kind || out->layout.part_bytes != bytes))
		rc = -EBADMSG;
	if (rc)
		figures_reader_close(out);
	return rc;
}

void figures_reader_close(struct figures_reader *r)
{
	close_fd(&r->fd);
}

static void add(uint64_t *sum, const uint64_t *more, size_t words)
{
	for (size_t i = 0; i < words; i++)
		sum[i] += more[i];
}

/* part and sum are of the device's class. */
static bool read_all(const struct inventory_device *dev, uint64_t *sum, uint64_t *part,
		     size_t bytes)
{
	struct figures_reader r;
	bool good = true;

	memset(sum, 0, bytes);
	if (figures_reader_open(dev, O_RDONLY, &r))
		return false;
	for (uint32_t i = 0; good && i < r.layout.nr_parts; i++) {
		good = !figures_read(r.fd, &r.layout, i, part);
		if (good)
			add(sum, part, bytes / sizeof(*sum));
	}
	figures_reader_close(&r);
	return good;
}

bool figures_of_disk(const struct inventory_device *disk, struct blk_figures *out)
{
	struct blk_figures part;

	return read_all(disk, (uint64_t *)out, (uint64_t *)&part, sizeof(part));
}

bool figures_of_nic(const struct inventory_device *nic, struct vif_figures *out)
{
	struct vif_figures part;

	return read_all(nic, (uint64_t *)out, (uint64_t *)&part, sizeof(part));
}

/* ---- two readings ------------------------------------------------------------------- */

/*
 * A counter that went back began anew: what it has is what came. The switch takes some
 * frames back when they are lost later; that is no new beginning, but as rare as small.
 */
static void since(uint64_t *out, const uint64_t *now, const uint64_t *before, size_t words)
{
	for (size_t i = 0; i < words; i++)
		out[i] = now[i] >= before[i] ? now[i] - before[i] : now[i];
}

static uint64_t back(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void figures_disk_since(struct blk_figures *out, const struct blk_figures *now,
			const struct blk_figures *before)
{
	since((uint64_t *)out, (const uint64_t *)now, (const uint64_t *)before,
	      WORDS(struct blk_figures));
	out->in_flight = now->in_flight;
	out->cache_size_pages = now->cache_size_pages;
}

void figures_nic_since(struct vif_figures *out, const struct vif_figures *now,
		       const struct vif_figures *before)
{
	since((uint64_t *)out, (const uint64_t *)now, (const uint64_t *)before,
	      WORDS(struct vif_figures));
	out->port.out_frames = back(now->port.out_frames, before->port.out_frames);
	out->port.out_bytes = back(now->port.out_bytes, before->port.out_bytes);
	out->rx_waiting = now->rx_waiting;
	out->tx_in_flight = now->tx_in_flight;
}
