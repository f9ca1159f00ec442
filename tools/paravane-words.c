/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of devices as all subcommands spell them (paravane-view.h).
 */
#include <stdio.h>
#include <string.h>

#include "paravane-view.h"
#include "util.h"

const char *abi_name(enum vbd_abi abi)
{
	static const char *const names[] = {
		[VBD_ABI_NATIVE] = "native", [VBD_ABI_X86_32] = "x86_32",
		[VBD_ABI_X86_64] = "x86_64",
	};

	return names[abi];
}

uint64_t disk_view_bytes(const struct disk_view *v)
{
	return v->features.sectors * VBD_SECTOR_BYTES;
}

const char *human_bytes(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1024;
	snprintf(buf, len, i ? "%.1f %s" : "%.0f %s", n, units[i]);
	return buf;
}

uint64_t rate_bits_per_s(const struct vif_toolstack *ts)
{
	return ts->rate_usec ? (uint64_t)((double)ts->rate_bytes * 8e6 / ts->rate_usec) : 0;
}

const char *human_rate(const struct vif_toolstack *ts, char *buf, size_t len)
{
	static const char *const units[] = { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s" };
	double n = (double)rate_bits_per_s(ts);
	size_t i = 0;

	for (; n >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000;
	if (ts->rate_usec)
		snprintf(buf, len, "%.4g %s", n, units[i]);
	else
		snprintf(buf, len, "none");
	return buf;
}

bool mirror_info_is_over(const struct mirror_info *m)
{
	return strcmp(m->status, "copying") && strcmp(m->status, "following") &&
	       strcmp(m->status, "finishing");
}

unsigned mirror_info_percent(const struct mirror_info *m)
{
	if (!m->bytes || m->dirty_bytes > m->bytes)
		return 0;
	return (unsigned)((double)(m->bytes - m->dirty_bytes) * 100.0 / (double)m->bytes);
}
