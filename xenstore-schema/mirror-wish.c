/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of a mirror, as a node (mirror-wish.h). Must not know: files, stdio.
 */
#include "mirror-wish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"
#include "util.h"

#define TEXT_BYTES (MIRROR_TARGET_BYTES + 128u)

static const char *const at_sync_names[] = {
	[MIRROR_FOLLOW] = "follow", [MIRROR_PIVOT] = "pivot", [MIRROR_STOP] = "stop",
};

const char *mirror_at_sync_name(enum mirror_at_sync at_sync)
{
	return at_sync_names[at_sync];
}

/* ---- text ------------------------------------------------------------------------ */

static int format(const struct mirror_wish *r, char *text)
{
	int rc = xenbus_text(text, TEXT_BYTES, "id=%u,at-sync=%s,bytes-per-second=%u,target=%s",
			     r->id, at_sync_names[r->at_sync], r->bytes_per_second, r->target);

	return rc ? -E2BIG : 0;
}

/* NAME=VALUE up to a comma; *at moves behind it. */
static bool take_value(char **at, const char *name, char **value)
{
	size_t n = strlen(name);
	char *end;

	if (strncmp(*at, name, n) || (*at)[n] != '=')
		return false;
	*value = *at + n + 1;
	end = strchr(*value, ',');
	if (!end)
		return false;
	*end = '\0';
	*at = end + 1;
	return true;
}

static bool parse_at_sync(const char *word, enum mirror_at_sync *out)
{
	for (size_t i = 0; i < ARRAY_LEN(at_sync_names); i++) {
		if (!strcmp(word, at_sync_names[i])) {
			*out = (enum mirror_at_sync)i;
			return true;
		}
	}
	return false;
}

/* Which would end a line of the files that tell of it. */
static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ')
			return true;
	return false;
}

/* The path comes last, and may have commas in it. */
static bool parse(char *text, struct mirror_wish *out)
{
	char *value;

	if (!take_value(&text, "id", &value) || parse_u64(value, UINT64_MAX, &out->id) ||
	    !take_value(&text, "at-sync", &value) || !parse_at_sync(value, &out->at_sync) ||
	    !take_value(&text, "bytes-per-second", &value) ||
	    parse_u64(value, UINT64_MAX, &out->bytes_per_second))
		return false;
	if (strncmp(text, "target=/", 8) || strlen(text + 7) >= sizeof(out->target) ||
	    has_control(text))
		return false;
	strcpy(out->target, text + 7);
	return true;
}

static int read_in(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		   struct mirror_wish *out, struct key_error *err)
{
	char text[TEXT_BYTES], copy[TEXT_BYTES];
	int rc = xenbus_read_text(xs, t, dir, KEY_MIRROR, text, sizeof(text));

	memset(out, 0, sizeof(*out));
	if (rc == -E2BIG)
		strcpy(text, "(long text)");
	else if (rc)
		return rc;
	memcpy(copy, text, sizeof(copy));
	if (rc || !parse(copy, out)) {
		xenbus_blame(err, KEY_MIRROR, text, strlen(text), "a mirror as \"paravane mirror\" asks for it");
		return -EINVAL;
	}
	return 0;
}

int mirror_wish_read(struct xs_handle *xs, const char *back_dir, struct mirror_wish *out,
		struct key_error *err)
{
	return read_in(xs, XBT_NULL, back_dir, out, err);
}

/* ---- wishes ---------------------------------------------------------------------- */

struct wish {
	const char *dir;
	struct mirror_wish wish;
};

static int write_wish(struct xs_handle *xs, xs_transaction_t t, const struct wish *w)
{
	char text[TEXT_BYTES];
	int rc = format(&w->wish, text);

	return rc ? rc : xenbus_write_text(xs, t, w->dir, KEY_MIRROR, text);
}

/* -EINVAL: what nobody could read. */
static int check(const struct mirror_wish *wish)
{
	return wish->target[0] != '/' || has_control(wish->target) ? -EINVAL : 0;
}

static int ask_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct wish *w = arg;
	struct mirror_wish there;
	int rc = xenbus_need_dir(xs, t, w->dir);

	if (rc)
		return rc;
	rc = read_in(xs, t, w->dir, &there, NULL);
	if (!rc)
		return -EEXIST;
	/* What nobody understands is in nobody's way. */
	return rc == -ENOENT || rc == -EINVAL ? write_wish(xs, t, w) : rc;
}

int mirror_wish_ask(struct xs_handle *xs, const char *back_dir, const struct mirror_wish *r)
{
	struct wish w = { .dir = back_dir, .wish = *r };
	int rc = check(r);

	return rc ? rc : xenbus_transact(xs, ask_in, &w);
}

/* -ENOENT: not that of the id. */
static int find_own(struct xs_handle *xs, xs_transaction_t t, const char *dir, uint64_t id,
		    struct mirror_wish *out)
{
	int rc = read_in(xs, t, dir, out, NULL);

	return rc == -EINVAL || (!rc && out->id != id) ? -ENOENT : rc;
}

static int change_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct wish *w = arg;
	struct mirror_wish there;
	int rc = find_own(xs, t, w->dir, w->wish.id, &there);

	return rc ? rc : write_wish(xs, t, w);
}

int mirror_wish_change(struct xs_handle *xs, const char *back_dir, const struct mirror_wish *r)
{
	struct wish w = { .dir = back_dir, .wish = *r };

	return xenbus_transact(xs, change_in, &w);
}

static int withdraw_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct wish *w = arg;
	struct mirror_wish there;
	int rc = find_own(xs, t, w->dir, w->wish.id, &there);

	return rc ? rc : xenbus_remove(xs, t, w->dir, KEY_MIRROR);
}

int mirror_wish_withdraw(struct xs_handle *xs, const char *back_dir, uint64_t id)
{
	struct wish w = { .dir = back_dir, .wish.id = id };
	int rc = xenbus_transact(xs, withdraw_in, &w);

	return rc == -ENOENT ? 0 : rc;
}

/* ---- another image ------------------------------------------------------------------ */

struct take {
	const char *dir;
	struct toolstack_dirs dirs;
	const struct mirror_new_image *image;
};

static bool has(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *key)
{
	char path[XENBUS_NODE_BYTES];

	return !xenbus_join(path, dir, key) && xenbus_exists(xs, t, path);
}

/* Whether params is the path, perhaps behind words of older tool stacks. */
static bool params_name(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			const char *path)
{
	autofree char *params = NULL;
	size_t n = strlen(path), all;

	if (xenbus_read_string(xs, t, dir, KEY_PARAMS, &params))
		return false;
	all = strlen(params);
	return all >= n && !strcmp(params + all - n, path);
}

/*
 * A script's words for its image, in params, are the script's: it needs them to give back
 * what it has made. They stay, where they are not the image's path.
 */
static int write_image(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const struct mirror_new_image *image)
{
	bool scripted = has(xs, t, dir, KEY_PHYSICAL_DEVICE_PATH) ||
			has(xs, t, dir, KEY_PHYSICAL_DEVICE);
	int rc = 0;

	if (!scripted || params_name(xs, t, dir, image->old_path))
		rc = xenbus_write_text(xs, t, dir, KEY_PARAMS, image->path);
	if (!rc && scripted)
		rc = xenbus_write_text(xs, t, dir, KEY_PHYSICAL_DEVICE_PATH, image->path);
	return rc;
}

/* Hexadecimal, which xenbus_text() does not write. */
static void format_numbers(uint32_t major, uint32_t minor, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = 8; shift >= 0; shift -= 4)
		if (major >> shift || !shift)
			*text++ = digits[major >> shift & 15];
	*text++ = ':';
	for (int shift = 16; shift >= 0; shift -= 4)
		if (minor >> shift || !shift)
			*text++ = digits[minor >> shift & 15];
	*text = '\0';
}

static int write_numbers(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			 const struct mirror_new_image *image)
{
	char text[16];

	if (!has(xs, t, dir, KEY_PHYSICAL_DEVICE))
		return 0;
	if (!image->is_device)
		return xenbus_remove(xs, t, dir, KEY_PHYSICAL_DEVICE);
	format_numbers(image->major & 0xfff, image->minor & 0xfffff, text);
	return xenbus_write_text(xs, t, dir, KEY_PHYSICAL_DEVICE, text);
}

/* libxl's is dom0's alone: a driver domain can do without. */
static void write_libxl(struct xs_handle *xs, xs_transaction_t t, const struct take *take)
{
	if (params_name(xs, t, take->dirs.libxl, take->image->old_path))
		(void)xenbus_write_text(xs, t, take->dirs.libxl, KEY_PARAMS, take->image->path);
}

static int take_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct take *take = arg;
	struct mirror_wish there;
	int rc = find_own(xs, t, take->dir, take->image->id, &there);

	if (rc)
		return rc == -ENOENT ? -ECANCELED : rc;
	rc = write_image(xs, t, take->dir, take->image);
	if (!rc)
		rc = write_numbers(xs, t, take->dir, take->image);
	if (!rc && take->image->logical_block_bytes)
		rc = xenbus_write_u64(xs, t, take->dir, KEY_LOGICAL_BLOCK_SIZE,
				      take->image->logical_block_bytes);
	if (!rc)
		rc = xenbus_remove(xs, t, take->dir, KEY_MIRROR);
	if (!rc)
		write_libxl(xs, t, take);
	return rc;
}

int mirror_wish_grant(struct xs_handle *xs, const char *back_dir, uint32_t domid,
		      const char *kind, uint32_t devid, const struct mirror_new_image *image)
{
	struct take take = { .dir = back_dir, .image = image };
	int rc = toolstack_dirs(&take.dirs, 0, kind, domid, devid);

	return rc ? rc : xenbus_transact(xs, take_in, &take);
}
