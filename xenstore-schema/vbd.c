/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tool stack says of a block device: image, mode, cache, hotplug.
 *
 * Hides: prefixes of params, the block script's spellings of mode. Must not
 * know: features and rings (vbd-back.c, vbd-front.c), stdio. Runs without an
 * operating system.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "vbd.h"
#include "xenbus-internal.h"

/* ---- params and physical-device ------------------------------------------ */

/*
 * xl and older tool stacks put one or more words before the path. What is not
 * listed stays: a file may have a colon in its name.
 */
static const char *skip_prefixes(const char *params)
{
	static const char *const prefix[] = {
		"tap:", "tap2:", "tapdisk:", "aio:", "phy:", "raw:", "file:",
	};
	size_t i = 0;

	while (i < sizeof(prefix) / sizeof(prefix[0])) {
		size_t n = strlen(prefix[i]);

		if (strncmp(params, prefix[i], n)) {
			i++;
			continue;
		}
		params += n;
		i = 0;
	}
	return params;
}

static void strip_prefixes(char *params)
{
	const char *path = skip_prefixes(params);

	memmove(params, path, strlen(path) + 1);
}

/* Reads hex digits at *at up to the character that ends them. */
static bool parse_hex(const char **at, char until, uint32_t max, uint32_t *out)
{
	uint32_t v = 0, digit;
	const char *c = *at;

	for (; *c && *c != until; c++) {
		if (*c >= '0' && *c <= '9')
			digit = (uint32_t)(*c - '0');
		else if ((*c | 32) >= 'a' && (*c | 32) <= 'f')
			digit = (uint32_t)((*c | 32) - 'a') + 10;
		else
			return false;
		v = v * 16 + digit;
		if (v > max)
			return false;
	}
	if (c == *at || *c != until)
		return false;
	*at = c + (until != '\0');
	*out = v;
	return true;
}

/* A script may give the numbers alone; the kernel keeps a name for each. */
static int path_of_physical_device(const char *value, char **path,
				   struct key_error *err)
{
	const size_t bytes = 48;
	uint32_t major, minor;
	const char *at = value;

	if (!parse_hex(&at, ':', 0xfff, &major) ||
	    !parse_hex(&at, '\0', 0xfffff, &minor)) {
		xenbus_blame(err, KEY_PHYSICAL_DEVICE, value, strlen(value),
			     "MAJOR:MINOR in hexadecimal");
		return -EINVAL;
	}
	*path = malloc(bytes);
	if (!*path)
		return -ENOMEM;
	return xenbus_text(*path, bytes, "/dev/block/%u:%u", (uint64_t)major,
			   (uint64_t)minor);
}

static int read_physical(struct xs_handle *xs, const char *dir,
			 struct vbd_toolstack *ts, struct key_error *err)
{
	char *value;
	int rc;

	rc = xenbus_read_optional(xs, dir, KEY_PHYSICAL_DEVICE_PATH, "a path",
			   &ts->physical_device_path, err);
	if (rc || ts->physical_device_path)
		return rc;
	rc = xenbus_read_optional(xs, dir, KEY_PHYSICAL_DEVICE,
			   "MAJOR:MINOR in hexadecimal", &value, err);
	if (rc || !value)
		return rc;
	rc = path_of_physical_device(value, &ts->physical_device_path, err);
	free(value);
	return rc;
}

static int read_params(struct xs_handle *xs, const char *dir, bool has_script,
		       struct vbd_toolstack *ts, struct key_error *err)
{
	static const char expected[] = "the path of an image file or block device";
	int rc = xenbus_read_optional(xs, dir, KEY_PARAMS, expected, &ts->params, err);

	if (rc || !ts->params)
		return rc;
	strip_prefixes(ts->params);
	if (*ts->params)
		return 0;
	free(ts->params);
	ts->params = NULL;
	/* Then nobody needs it: the script's words are its own. */
	if (ts->physical_device_path || has_script)
		return 0;
	ts->no_medium = ts->cdrom;
	if (ts->no_medium)
		return 0;
	xenbus_blame(err, KEY_PARAMS, "", 0, expected);
	return -EINVAL;
}

/* ---- words --------------------------------------------------------------- */

struct word {
	const char *text;
	int value;
};

static const char *word_of(const struct word *w, int value)
{
	while (w->text && w->value != value)
		w++;
	return w->text;
}

static int value_of(const struct word *w, const char *text, int *out)
{
	while (w->text && strcmp(w->text, text))
		w++;
	if (!w->text)
		return -EINVAL;
	*out = w->value;
	return 0;
}

/* -ENOENT: missing. -EINVAL with blame: none of the words. */
static int read_word(struct xs_handle *xs, const char *dir, const char *key,
		     const struct word *words, const char *expected, int *out,
		     struct key_error *err)
{
	char value[32];
	int rc = xenbus_read_text(xs, XBT_NULL, dir, key, value, sizeof(value));

	if (rc) {
		xenbus_blame(err, key, rc == -E2BIG ? "(long text)" : "",
			     rc == -E2BIG ? 11 : 0, expected);
		return rc == -E2BIG ? -EINVAL : rc;
	}
	rc = value_of(words, value, out);
	if (rc)
		xenbus_blame(err, key, value, strlen(value), expected);
	return rc;
}

static const struct word share_words[] = {
	{ "r", VBD_READ_ONLY }, { "ro", VBD_READ_ONLY },
	{ "w", VBD_EXCLUSIVE }, { "rw", VBD_EXCLUSIVE },
	{ "w!", VBD_SHARED_WRITE }, { "rw!", VBD_SHARED_WRITE },
	{ NULL, 0 },
};

static const struct word cache_words[] = {
	{ "writeback", VBD_CACHE_WRITEBACK },
	{ "writethrough", VBD_CACHE_WRITETHROUGH },
	{ "none", VBD_CACHE_NONE },
	{ NULL, 0 },
};

static int read_mode(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		     struct key_error *err)
{
	int v, rc;

	/* Not optional: guessing would either refuse or allow writes. */
	rc = read_word(xs, dir, KEY_MODE, share_words, "r, w or w!", &v, err);
	if (!rc)
		ts->share = (enum vbd_share)v;
	return rc;
}

static int read_cache(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		      struct key_error *err)
{
	bool direct_io_safe;
	int v, rc;

	rc = xenbus_read_flag(xs, XBT_NULL, dir, KEY_DIRECT_IO_SAFE, false,
			      &direct_io_safe, err);
	if (rc)
		return rc;
	ts->cache = direct_io_safe ? VBD_CACHE_NONE : VBD_CACHE_WRITEBACK;
	rc = read_word(xs, dir, KEY_CACHE, cache_words, "writeback, writethrough or none",
		       &v, err);
	if (!rc)
		ts->cache = (enum vbd_cache)v;
	return rc == -ENOENT ? 0 : rc;
}

static const struct word grants_words[] = {
	{ "auto", VBD_GRANTS_AUTO },
	{ "persistent", VBD_GRANTS_PERSISTENT },
	{ "map", VBD_GRANTS_MAP },
	{ "copy", VBD_GRANTS_COPY },
	{ NULL, 0 },
};

const char *vbd_share_name(enum vbd_share share)
{
	return word_of(share_words, (int)share);
}

int vbd_share_parse(const char *text, enum vbd_share *out)
{
	int v, rc = value_of(share_words, text, &v);

	if (!rc)
		*out = (enum vbd_share)v;
	return rc;
}

const char *vbd_cache_name(enum vbd_cache cache)
{
	return word_of(cache_words, (int)cache);
}

int vbd_cache_parse(const char *text, enum vbd_cache *out)
{
	int v, rc = value_of(cache_words, text, &v);

	if (!rc)
		*out = (enum vbd_cache)v;
	return rc;
}

const char *vbd_grants_name(enum vbd_grants grants)
{
	return word_of(grants_words, (int)grants);
}

int vbd_grants_parse(const char *text, enum vbd_grants *out)
{
	int v, rc = value_of(grants_words, text, &v);

	if (!rc)
		*out = (enum vbd_grants)v;
	return rc;
}

static int read_grants(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		       struct key_error *err)
{
	int v = VBD_GRANTS_DEFAULT;
	int rc = read_word(xs, dir, KEY_GRANT_MODE, grants_words,
			   "auto, persistent, map or copy", &v, err);

	ts->grants = (enum vbd_grants)v;
	return rc == -ENOENT ? 0 : rc;
}

static int read_online(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		       struct key_error *err)
{
	int rc;

	ts->online = true;
	rc = xenbus_read_flag(xs, XBT_NULL, dir, KEY_ONLINE, true, &ts->online, err);
	if (rc)
		ts->online = true;
	return rc;
}

static int read_type(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		     struct key_error *err)
{
	char *type;
	int rc = xenbus_read_optional(xs, dir, KEY_DEVICE_TYPE, "disk or cdrom", &type, err);

	if (rc)
		return rc;
	ts->cdrom = type && !strcmp(type, "cdrom");
	free(type);
	return 0;
}

static int read_flags(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		      struct key_error *err)
{
	int rc = xenbus_read_flag(xs, XBT_NULL, dir, KEY_REMOVABLE, false, &ts->removable, err);

	return rc ? rc : xenbus_read_flag(xs, XBT_NULL, dir, KEY_DISCARD_ENABLE, true,
					  &ts->discard_enable, err);
}

/* A power of two from 512 up, 0 when missing. */
static int read_block_size(struct xs_handle *xs, const char *dir, const char *key,
			   uint32_t max, uint32_t *out, struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, out, err);

	if (rc == -ENOENT) {
		*out = 0;
		return 0;
	}
	if (rc || (*out >= VBD_SECTOR_BYTES && *out <= max && !(*out & (*out - 1))))
		return rc;
	xenbus_blame_u64(err, key, *out, max == VBD_LOGICAL_BLOCK_BYTES_MAX ?
			 "a power of two from 512 to 4096" :
			 "a power of two from 512 to 1048576");
	return -EINVAL;
}

static int read_max_segments(struct xs_handle *xs, const char *dir,
			     struct vbd_wishes *out, struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MAX_INDIRECT_SEGMENTS, UINT32_MAX,
				 &out->max_indirect_segments, err);

	out->limits_segments = !rc;
	if (rc || out->max_indirect_segments <= VBD_INDIRECT_SEGMENTS_MAX)
		return rc == -ENOENT ? 0 : rc;
	xenbus_blame_u64(err, KEY_MAX_INDIRECT_SEGMENTS, out->max_indirect_segments,
			 "a number from 0 to 4096");
	return -EINVAL;
}

static int read_io_timeout(struct xs_handle *xs, const char *dir, struct vbd_wishes *out,
			   struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_IO_TIMEOUT, UINT32_MAX,
				 &out->io_timeout_s, err);

	out->limits_io = !rc;
	if (rc || out->io_timeout_s <= VBD_IO_TIMEOUT_MAX_S)
		return rc == -ENOENT ? 0 : rc;
	xenbus_blame_u64(err, KEY_IO_TIMEOUT, out->io_timeout_s,
			 "seconds from 0 (for ever) to 86400");
	return -EINVAL;
}

static int read_discard_secure(struct xs_handle *xs, const char *dir,
			       struct vbd_wishes *out, struct key_error *err)
{
	uint64_t on;
	int rc = xenbus_read_u64(xs, XBT_NULL, dir, KEY_DISCARD_SECURE_ENABLE, 1, &on, err);

	if (!rc)
		out->discard_secure = on ? VBD_SECURE_OVERWRITE : VBD_SECURE_NEVER;
	return rc == -ENOENT ? 0 : rc;
}

static int read_wishes(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		       struct key_error *err)
{
	struct vbd_wishes *out = &ts->wishes;
	bool flush = true;
	int rc = read_block_size(xs, dir, KEY_LOGICAL_BLOCK_SIZE,
				 VBD_LOGICAL_BLOCK_BYTES_MAX, &out->logical_block_bytes, err);

	if (!rc)
		rc = read_block_size(xs, dir, KEY_PHYSICAL_BLOCK_SIZE,
				     VBD_PHYSICAL_BLOCK_BYTES_MAX,
				     &out->physical_block_bytes, err);
	if (!rc)
		rc = read_max_segments(xs, dir, out, err);
	if (!rc)
		rc = read_io_timeout(xs, dir, out, err);
	if (!rc)
		rc = xenbus_read_flag(xs, XBT_NULL, dir, KEY_FLUSH_ENABLE, true, &flush, err);
	out->barriers_only = !flush;
	return rc ? rc : read_discard_secure(xs, dir, out, err);
}

/* Where the image is, or that a script has yet to say. */
static int read_image(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
		      struct key_error *err)
{
	struct xenbus_hotplug hotplug;
	int rc = xenbus_read_hotplug(xs, dir, &hotplug, err);

	if (!rc)
		rc = read_physical(xs, dir, ts, err);
	if (!rc)
		rc = read_params(xs, dir, hotplug.script, ts, err);
	if (rc)
		return rc;
	ts->hotplug_pending = hotplug.pending;
	ts->hotplug_error = hotplug.error;
	return 0;
}

int vbd_read_toolstack_parts(struct xs_handle *xs, const char *back_dir,
			     struct vbd_toolstack *out, uint32_t *bad, struct key_error *err)
{
	static const struct {
		int (*read)(struct xs_handle *xs, const char *dir, struct vbd_toolstack *ts,
			    struct key_error *err);
		uint32_t part;
	} parts[] = {
		{ read_online, VBD_PART_ONLINE },
		{ read_type, VBD_PART_TYPE },	/* a drive may have no image */
		{ read_flags, VBD_PART_FLAGS },
		{ read_image, VBD_PART_IMAGE },
		{ read_mode, VBD_PART_MODE },
		{ read_cache, VBD_PART_CACHE },
		{ read_grants, VBD_PART_GRANTS },
		{ read_wishes, VBD_PART_WISHES },
	};
	int rc, first = 0;

	memset(out, 0, sizeof(*out));
	*bad = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		rc = parts[i].read(xs, back_dir, out, first ? NULL : err);
		if (rc && rc != -EINVAL && rc != -ENOENT) {
			vbd_free_toolstack(out);
			return rc;
		}
		first = first ? first : rc;
		*bad |= rc ? parts[i].part : 0;
	}
	return first;
}

int vbd_read_toolstack(struct xs_handle *xs, const char *back_dir,
		       struct vbd_toolstack *out, struct key_error *err)
{
	uint32_t bad;
	int rc = vbd_read_toolstack_parts(xs, back_dir, out, &bad, err);

	if (rc)
		vbd_free_toolstack(out);
	return rc;
}

void vbd_free_toolstack(struct vbd_toolstack *ts)
{
	free(ts->params);
	free(ts->physical_device_path);
	memset(ts, 0, sizeof(*ts));
}
