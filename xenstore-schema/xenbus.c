/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths, and typed access to the nodes of a device.
 *
 * Hides: how paths and values are spelled, what counts as a number, how the
 * store's errors reach us. Must not know: which keys a kind of device has,
 * states (xenbus-state.c), stdio. Runs without an operating system.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "xenbus-internal.h"

/* ---- text without stdio ------------------------------------------------- */

struct text {
	char *at, *end;		/* end: where the terminator goes at the latest */
	bool full;
};

static void text_add(struct text *t, const char *s, size_t n)
{
	if (n > (size_t)(t->end - t->at)) {
		t->full = true;
		return;
	}
	memcpy(t->at, s, n);
	t->at += n;
}

static void text_add_u64(struct text *t, uint64_t v)
{
	char digits[XENBUS_U64_DIGITS];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	text_add(t, digits + n, sizeof(digits) - n);
}

int xenbus_text(char *buf, size_t bytes, const char *fmt, ...)
{
	struct text t = { .at = buf, .end = buf + bytes - 1 };
	const char *s;
	va_list ap;

	xenbus_assert(bytes > 0);
	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			text_add(&t, fmt, 1);
			continue;
		}
		switch (*++fmt) {
		case 's':
			s = va_arg(ap, const char *);
			text_add(&t, s, strlen(s));
			break;
		case 'u':
			text_add_u64(&t, va_arg(ap, uint64_t));
			break;
		default:
			xenbus_assert(*fmt == '%');
			text_add(&t, fmt, 1);
		}
	}
	va_end(ap);
	*(t.full ? buf : t.at) = '\0';
	return t.full ? -ENAMETOOLONG : 0;
}

/* ---- paths --------------------------------------------------------------- */

int xenbus_frontend_path(char *buf, size_t bytes, uint32_t domid,
			 const char *kind, uint32_t devid)
{
	return xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_DEVICE "/%s/%u",
			   (uint64_t)domid, kind, (uint64_t)devid);
}

int xenbus_backend_path(char *buf, size_t bytes, uint32_t backend_domid,
			const char *kind, uint32_t frontend_domid, uint32_t devid)
{
	return xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_BACKEND "/%s/%u/%u",
			   (uint64_t)backend_domid, kind, (uint64_t)frontend_domid,
			   (uint64_t)devid);
}

int xenbus_own_domid(struct xs_handle *xs, uint32_t *out)
{
	return xenbus_read_u32(xs, XBT_NULL, "", KEY_DOMID, UINT16_MAX, out, NULL);
}

/* "" as dir: the key alone, relative to our own domain's directory. */
int xenbus_join(char *path, const char *dir, const char *key)
{
	if (!*dir)
		return xenbus_text(path, XENBUS_NODE_BYTES, "%s", key);
	return xenbus_text(path, XENBUS_NODE_BYTES, "%s/%s", dir, key);
}

int xenbus_store_error(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* ---- what was wrong ------------------------------------------------------ */

/* As much as fits, with anything that is not plain text shown as '?'. */
void xenbus_show(char *to, size_t bytes, const char *from, size_t len)
{
	size_t i, n = len < bytes ? len : bytes - 1;

	for (i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] < 0x7f ? from[i] : '?';
	to[n] = '\0';
	if (n < len)
		memcpy(to + n - 3, "...", 3);
}

void xenbus_blame(struct key_error *err, const char *key, const char *value,
		  size_t len, const char *expected)
{
	if (!err)
		return;
	xenbus_show(err->key, sizeof(err->key), key, strlen(key));
	xenbus_show(err->value, sizeof(err->value), value, len);
	err->expected = expected;
}

void xenbus_blame_u64(struct key_error *err, const char *key, uint64_t value,
		      const char *expected)
{
	char text[XENBUS_U64_DIGITS + 1];

	xenbus_text(text, sizeof(text), "%u", value);
	xenbus_blame(err, key, text, strlen(text), expected);
}

/* ---- reading ------------------------------------------------------------- */

int xenbus_read_raw(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, char **value, unsigned int *len)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dir, key);

	if (rc)
		return rc;
	errno = 0;
	*value = xs_read(xs, t, path, len);
	return *value ? 0 : xenbus_store_error();
}

/* Digits only, all of them; an embedded NUL is not a digit. */
static int parse_number(const char *s, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (!len)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s[i] - '0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		v = v * 10 + digit;
	}
	if (v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

static const char *number_words(uint64_t max)
{
	if (max == UINT64_MAX)
		return "a decimal number below 2^64";
	if (max == UINT32_MAX)
		return "a decimal number below 2^32";
	if (max == 1)
		return "0 or 1";
	return "a decimal number within its limit";
}

int xenbus_read_u64(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, uint64_t max, uint64_t *out,
		    struct key_error *err)
{
	unsigned int len;
	char *value;
	int rc = xenbus_read_raw(xs, t, dir, key, &value, &len);

	if (rc) {
		xenbus_blame(err, key, "", 0, number_words(max));
		return rc;
	}
	rc = parse_number(value, len, max, out);
	if (rc)
		xenbus_blame(err, key, value, len, number_words(max));
	free(value);
	return rc;
}

int xenbus_read_u32(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, uint32_t max, uint32_t *out,
		    struct key_error *err)
{
	uint64_t v;
	int rc = xenbus_read_u64(xs, t, dir, key, max, &v, err);

	if (!rc)
		*out = (uint32_t)v;
	return rc;
}

int xenbus_read_flag(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, bool fallback, bool *out,
		     struct key_error *err)
{
	uint64_t v = fallback;
	int rc = xenbus_read_u64(xs, t, dir, key, 1, &v, err);

	if (rc && rc != -ENOENT)
		return rc;
	*out = v;
	return 0;
}

int xenbus_read_text(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, char *buf, size_t bytes)
{
	unsigned int len;
	char *value;
	int rc = xenbus_read_raw(xs, t, dir, key, &value, &len);

	if (rc)
		return rc;
	if (strlen(value) != len)
		rc = -EINVAL;
	else if (len >= bytes)
		rc = -E2BIG;
	else
		memcpy(buf, value, len + 1u);
	free(value);
	return rc;
}

int xenbus_read_string(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const char *key, char **out)
{
	unsigned int len;
	char *value;
	int rc = xenbus_read_raw(xs, t, dir, key, &value, &len);

	if (rc)
		return rc;
	if (strlen(value) != len) {
		free(value);
		return -EINVAL;
	}
	*out = value;
	return 0;
}

int xenbus_read_optional(struct xs_handle *xs, const char *dir, const char *key,
			 const char *expected, char **out, struct key_error *err)
{
	int rc = xenbus_read_string(xs, XBT_NULL, dir, key, out);

	if (!rc)
		return 0;
	*out = NULL;
	if (rc == -ENOENT)
		return 0;
	xenbus_blame(err, key, "", 0, expected);
	return rc;
}

int xenbus_read_offer(struct xs_handle *xs, const char *dir, const char *key,
		      uint32_t fallback, uint32_t *out)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, out, NULL);

	if (!rc)
		return 0;
	*out = fallback;
	return rc == -ENOENT || rc == -EINVAL ? 0 : rc;
}

int xenbus_read_offered_flag(struct xs_handle *xs, const char *dir, const char *key,
			     bool *out)
{
	uint32_t v;
	int rc = xenbus_read_offer(xs, dir, key, 0, &v);

	*out = v;
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

int xenbus_write_text(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		      const char *key, const char *value)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dir, key);

	if (rc)
		return rc;
	errno = 0;
	if (!xs_write(xs, t, path, value, (unsigned int)strlen(value)))
		return xenbus_store_error();
	return 0;
}

int xenbus_write_u64(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, uint64_t value)
{
	char text[XENBUS_U64_DIGITS + 1];

	xenbus_text(text, sizeof(text), "%u", value);
	return xenbus_write_text(xs, t, dir, key, text);
}

int xenbus_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		  const char *key)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dir, key);

	if (rc)
		return rc;
	errno = 0;
	if (!xs_rm(xs, t, path) && errno != ENOENT)
		return xenbus_store_error();
	return 0;
}

int xenbus_need_dir(struct xs_handle *xs, xs_transaction_t t, const char *dir)
{
	unsigned int len;
	char *value;

	errno = 0;
	value = xs_read(xs, t, dir, &len);
	if (!value)
		return xenbus_store_error();
	free(value);
	return 0;
}

bool xenbus_exists(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
	return !xenbus_need_dir(xs, t, path);
}

/* ---- transactions -------------------------------------------------------- */

int xenbus_transact(struct xs_handle *xs, xenbus_transaction_fn *fn, void *arg)
{
	xs_transaction_t t;
	unsigned int n;
	int rc;

	for (n = 0; n < XENBUS_COMMITS; n++) {
		errno = 0;
		t = xs_transaction_start(xs);
		if (t == XBT_NULL)
			return xenbus_store_error();
		rc = fn(xs, t, arg);
		if (rc) {
			xs_transaction_end(xs, t, true);
			return rc;
		}
		errno = 0;
		if (xs_transaction_end(xs, t, false))
			return 0;
		/* Someone changed what we had read or written: again. */
		if (errno != EAGAIN)
			return xenbus_store_error();
	}
	return -EBUSY;
}
