/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See copied.h. A file of figures is there as long as the device is connected, and is read
 * twice in a job; so it is opened each time.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "blk-figures.h"
#include "copied.h"
#include "vif-figures.h"

#define SECTOR_BYTES 512u

union part {
	struct blk_figures disk;
	struct vif_figures nic;
};

static uint64_t copied(const union part *p, bool nic)
{
	if (nic)
		return p->nic.copied_bytes;
	return (p->disk.read_sectors + p->disk.written_sectors) * SECTOR_BYTES +
	       p->disk.copied_bytes;
}

static uint64_t add_parts(int fd, bool nic)
{
	const struct figures_layout disk_layout = blk_figures_layout(1);
	const struct figures_layout nic_layout = vif_figures_layout(1);
	const struct figures_layout *expected = nic ? &nic_layout : &disk_layout;
	struct figures_layout l;
	uint64_t bytes = 0;
	union part p;

	if (figures_read_layout(fd, &l) || l.kind != expected->kind ||
	    l.part_bytes != expected->part_bytes)
		return CMP_UNKNOWN;
	for (uint32_t i = 0; i < l.nr_parts; i++) {
		if (figures_read(fd, &l, i, &p))
			return CMP_UNKNOWN;
		bytes += copied(&p, nic);
	}
	return bytes;
}

uint64_t copied_by_back_end(const char *dir, bool nic, uint32_t domid, uint32_t devid)
{
	char path[PATH_MAX];
	uint64_t bytes;
	int fd;

	if (!dir)
		return CMP_UNKNOWN;
	snprintf(path, sizeof(path), "%s/%s-%u-%u.figures", dir, nic ? "vif" : "vbd", domid,
		 devid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return CMP_UNKNOWN;
	bytes = add_parts(fd, nic);
	close(fd);
	return bytes;
}
