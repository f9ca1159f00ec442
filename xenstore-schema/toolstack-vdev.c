/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and numbers of virtual block devices, and domains by name.
 *
 * Hides: the encodings of virtual-device and their limits. Must not know:
 * device directories. Source: docs/man/xen-vbd-interface of Xen.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "toolstack.h"
#include "util.h"
#include "xenbus-internal.h"

#define XVD_MAJOR 202u
#define SD_MAJOR 8u
#define HD_MAJOR 3u		/* hda, hdb */
#define HD_MAJOR_2 22u		/* hdc, hdd */
#define EXTENDED (1u << 28)
#define EXTENDED_DISKS (1u << 20)

/* Up to nine digits; advances *text past them. */
static bool take_number(const char **text, uint32_t *out)
{
	uint32_t v = 0;
	int n;

	for (n = 0; **text >= '0' && **text <= '9'; n++, (*text)++) {
		if (n == 9)
			return false;
		v = v * 10 + (uint32_t)(**text - '0');
	}
	*out = v;
	return n;
}

/* a..z, aa..zz, ... -> 0, 1, ...; advances *text past the letters. */
static bool take_letters(const char **text, uint32_t *out)
{
	uint32_t v = 0;
	int n;

	for (n = 0; **text >= 'a' && **text <= 'z'; n++, (*text)++) {
		if (n == 4)
			return false;
		v = v * 26 + (uint32_t)(**text - 'a') + 1;
	}
	*out = v - 1;
	return n;
}

static int encode_xvd(uint32_t disk, uint32_t part, uint32_t *devid)
{
	if (disk < 16 && part < 16)
		*devid = XVD_MAJOR << 8 | disk << 4 | part;
	else if (disk < EXTENDED_DISKS && part < 256)
		*devid = EXTENDED | disk << 8 | part;
	else
		return -EINVAL;
	return 0;
}

static int encode_sd(uint32_t disk, uint32_t part, uint32_t *devid)
{
	if (disk >= 16 || part >= 16)
		return -EINVAL;
	*devid = SD_MAJOR << 8 | disk << 4 | part;
	return 0;
}

static int encode_hd(uint32_t disk, uint32_t part, uint32_t *devid)
{
	if (disk >= 4 || part >= 64)
		return -EINVAL;
	*devid = (disk < 2 ? HD_MAJOR : HD_MAJOR_2) << 8 | (disk & 1) << 6 | part;
	return 0;
}

/* LETTERS[PARTITION], to the end of the text. */
static bool take_disk_name(const char *text, uint32_t *disk, uint32_t *part)
{
	*part = 0;
	if (!take_letters(&text, disk))
		return false;
	return !*text || (take_number(&text, part) && !*text);
}

/* dDISK[pPARTITION]. */
static bool take_d_name(const char *text, uint32_t *disk, uint32_t *part)
{
	*part = 0;
	if (*text++ != 'd' || !take_number(&text, disk))
		return false;
	if (*text == 'p' && text++ && !take_number(&text, part))
		return false;
	return !*text;
}

static int parse_plain_number(const char *text, uint32_t *devid)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || *end || v >= EXTENDED << 1)
		return -EINVAL;
	*devid = (uint32_t)v;
	return 0;
}

int toolstack_vdev(const char *text, uint32_t *devid)
{
	uint32_t disk, part;

	if (*text >= '0' && *text <= '9')
		return parse_plain_number(text, devid);
	if (!strncmp(text, "xvd", 3) && take_disk_name(text + 3, &disk, &part))
		return encode_xvd(disk, part, devid);
	if (!strncmp(text, "sd", 2) && take_disk_name(text + 2, &disk, &part))
		return encode_sd(disk, part, devid);
	if (!strncmp(text, "hd", 2) && take_disk_name(text + 2, &disk, &part))
		return encode_hd(disk, part, devid);
	if (take_d_name(text, &disk, &part))
		return encode_xvd(disk, part, devid);
	return -EINVAL;
}

static void letters_of(uint32_t disk, char *buf)
{
	char back[8];
	size_t n = 0;

	for (disk++; disk; disk = (disk - 1) / 26)
		back[n++] = (char)('a' + (disk - 1) % 26);
	while (n)
		*buf++ = back[--n];
	*buf = '\0';
}

int toolstack_vdev_name(uint32_t devid, char *buf, size_t bytes)
{
	uint32_t major = devid >> 8, disk, part;
	const char *prefix = "xvd";
	char letters[8];
	int n;

	if (devid & EXTENDED) {
		disk = (devid & (EXTENDED - 1)) >> 8;
		part = devid & 0xff;
	} else if (major == XVD_MAJOR || major == SD_MAJOR) {
		prefix = major == SD_MAJOR ? "sd" : "xvd";
		disk = (devid & 0xff) >> 4;
		part = devid & 0xf;
	} else if (major == HD_MAJOR || major == HD_MAJOR_2) {
		prefix = "hd";
		disk = (major == HD_MAJOR ? 0 : 2) + ((devid & 0xff) >> 6);
		part = devid & 0x3f;
		if ((devid & 0xff) >> 6 > 1)
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	letters_of(disk, letters);
	n = part ? snprintf(buf, bytes, "%s%s%u", prefix, letters, part) :
		   snprintf(buf, bytes, "%s%s", prefix, letters);
	return n >= 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

/* ---- domains ------------------------------------------------------------- */

static bool domain_is_named(struct xs_handle *xs, const char *number,
			    const char *name)
{
	char dir[XENBUS_PATH_BYTES];
	autofree char *value = NULL;

	if (xenbus_text(dir, sizeof(dir), DIR_LOCAL_DOMAIN "/%s", number))
		return false;
	if (xenbus_read_string(xs, XBT_NULL, dir, KEY_NAME, &value))
		return false;
	return !strcmp(value, name);
}

int toolstack_find_domain(struct xs_handle *xs, const char *text, uint32_t *domid)
{
	autofree char **number = NULL;
	unsigned int nr, i;
	uint64_t v;

	errno = 0;
	number = xs_directory(xs, XBT_NULL, DIR_LOCAL_DOMAIN, &nr);
	if (!number)
		return xenbus_store_error();
	for (i = 0; i < nr; i++) {
		if (parse_u64(number[i], UINT16_MAX, &v))
			continue;
		if (!strcmp(number[i], text) ||
		    domain_is_named(xs, number[i], text)) {
			*domid = (uint32_t)v;
			return 0;
		}
	}
	return -ENOENT;
}
