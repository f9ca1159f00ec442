/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tool stack says of a network interface: switch, address, rate.
 *
 * Hides: how xl spells addresses and rates, our own keys beside xl's. Must not
 * know: VLANs (vif-port.c), features and rings (vif-back.c, vif-front.c), stdio.
 * Runs without an operating system.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "vif-internal.h"
#include "xenbus-internal.h"

#define RATE_USEC 50000u	/* xl's own interval */

static const char mac_words[] = "aa:bb:cc:dd:ee:ff, the address of one interface";
static const char rate_words[] = "BYTES,MICROSECONDS, each of at most 2147483648";
static const char rate_bits_words[] = "bits per second, at most 343597383680";

/* ---- addresses ------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int vif_parse_mac(const char *text, uint8_t *mac)
{
	uint8_t any = 0;
	unsigned int i;
	int high, low;

	for (i = 0; i < VIF_MAC_BYTES; i++, text += 3) {
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0 || text[2] != (i + 1 < VIF_MAC_BYTES ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
		any |= mac[i];
	}
	return mac[0] & 1 || !any ? -EINVAL : 0;
}

void vif_format_mac(const uint8_t *mac, char *buf, size_t bytes)
{
	static const char digit[] = "0123456789abcdef";
	unsigned int i;

	xenbus_assert(bytes >= VIF_MAC_BYTES * 3);
	for (i = 0; i < VIF_MAC_BYTES; i++) {
		*buf++ = digit[mac[i] >> 4];
		*buf++ = digit[mac[i] & 15];
		*buf++ = ':';
	}
	buf[-1] = '\0';
}

int vif_read_mac(struct xs_handle *xs, const char *dir, uint8_t *mac, bool *has,
		 struct key_error *err)
{
	char *text;
	int rc = xenbus_read_optional(xs, dir, KEY_MAC, mac_words, &text, err);

	*has = false;
	if (rc || !text)
		return rc;
	rc = vif_parse_mac(text, mac);
	if (rc)
		xenbus_blame(err, KEY_MAC, text, strlen(text), mac_words);
	*has = !rc;
	free(text);
	return rc;
}

/* ---- numbers in text ---------------------------------------------------------- */

int vif_take_number(const char **at, uint64_t max, uint64_t *out)
{
	const char *c = *at;
	uint64_t v = 0, digit;

	for (; *c >= '0' && *c <= '9'; c++) {
		digit = (uint64_t)(*c - '0');
		if (v > (max - digit) / 10)
			return -EINVAL;
		v = v * 10 + digit;
	}
	if (c == *at)
		return -EINVAL;
	*at = c;
	*out = v;
	return 0;
}

/* ---- rates -------------------------------------------------------------------------- */

/* 0 bytes would be a link that never carries anything: a mistake. */
static int parse_rate(const char *text, struct vif_toolstack *ts)
{
	uint64_t usec;
	int rc = vif_take_number(&text, VIF_RATE_MAX, &ts->rate_bytes);

	if (rc || *text++ != ',')
		return -EINVAL;
	rc = vif_take_number(&text, VIF_RATE_MAX, &usec);
	if (rc || *text || (usec && !ts->rate_bytes))
		return -EINVAL;
	ts->rate_usec = (uint32_t)usec;
	if (!usec)
		ts->rate_bytes = 0;
	return 0;
}

static int read_rate(struct xs_handle *xs, const char *dir, struct vif_toolstack *ts,
		     struct key_error *err)
{
	uint64_t bits;
	char *text;
	int rc = xenbus_read_u64(xs, XBT_NULL, dir, KEY_RATE_BITS, UINT64_MAX, &bits, err);

	_Static_assert(VIF_RATE_BITS_MAX == 343597383680 &&
		       VIF_RATE_BITS_MAX == 8ull * VIF_RATE_MAX * (1000000 / RATE_USEC), "the words above");
	if (!rc && bits > VIF_RATE_BITS_MAX) {
		xenbus_blame_u64(err, KEY_RATE_BITS, bits, rate_bits_words);
		return -EINVAL;
	}
	if (!rc) {
		ts->rate_usec = bits ? RATE_USEC : 0;
		ts->rate_bytes = bits / 8 / (1000000 / RATE_USEC);
		if (bits && !ts->rate_bytes)
			ts->rate_bytes = 1;
		return 0;
	}
	if (rc != -ENOENT)
		return rc;
	rc = xenbus_read_optional(xs, dir, KEY_RATE, rate_words, &text, err);
	if (rc || !text)
		return rc;
	rc = parse_rate(text, ts);
	if (rc)
		xenbus_blame(err, KEY_RATE, text, strlen(text), rate_words);
	free(text);
	return rc;
}

/* ---- the rest -------------------------------------------------------------------------- */

int vif_read_word(struct xs_handle *xs, const char *dir, const char *key,
		  const char *expected, char *buf, size_t bytes, struct key_error *err)
{
	int rc = xenbus_read_text(xs, XBT_NULL, dir, key, buf, bytes);

	if (!rc)
		return 0;
	*buf = '\0';
	if (rc == -ENOENT)
		return 0;
	xenbus_blame(err, key, rc == -E2BIG ? "(long text)" : "", rc == -E2BIG ? 11 : 0,
		     expected);
	return rc == -E2BIG ? -EINVAL : rc;
}

bool vif_is_name(const char *text)
{
	size_t n = 0;

	if (*text == '.')
		return false;
	for (; text[n]; n++)
		if (text[n] <= ' ' || text[n] > '~' || text[n] == '/')
			return false;
	return n && n < VIF_NAME_BYTES;
}

int vif_read_name(struct xs_handle *xs, const char *dir, const char *key,
		  char buf[VIF_NAME_BYTES], struct key_error *err)
{
	static const char expected[] = "a name without spaces and slashes, below 64 letters";
	int rc = vif_read_word(xs, dir, key, expected, buf, VIF_NAME_BYTES, err);

	if (rc || !*buf || vif_is_name(buf))
		return rc;
	xenbus_blame(err, key, buf, strlen(buf), expected);
	return -EINVAL;
}

static int name_default(struct xs_handle *xs, const char *dir, struct vif_toolstack *ts)
{
	uint32_t domid = 0;
	int rc;

	if (*ts->vifname)
		return 0;
	rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_FRONTEND_ID, UINT16_MAX, &domid, NULL);
	if (rc && rc != -ENOENT && rc != -EINVAL)
		return rc;
	return xenbus_text(ts->vifname, sizeof(ts->vifname), "vif%u.%u", (uint64_t)domid,
			   (uint64_t)ts->handle);
}

int vif_read_mtu_written(struct xs_handle *xs, const char *dir, uint32_t *out,
			 struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MTU, UINT32_MAX, out, err);

	if (rc == -ENOENT) {
		*out = 0;
		return 0;
	}
	if (rc || (*out >= VIF_MTU_MIN && *out <= VIF_MTU_MAX))
		return rc;
	xenbus_blame_u64(err, KEY_MTU, *out, "from 68 to 65521 bytes");
	return -EINVAL;
}

int vif_read_mtu(struct xs_handle *xs, const char *dir, uint32_t *out,
		 struct key_error *err)
{
	int rc = vif_read_mtu_written(xs, dir, out, err);

	if (!rc && !*out)
		*out = VIF_MTU_DEFAULT;
	return rc;
}

static int read_names(struct xs_handle *xs, const char *dir, struct vif_toolstack *ts,
		      struct key_error *err)
{
	int rc = vif_read_name(xs, dir, KEY_BRIDGE, ts->bridge, err);

	if (!rc)
		rc = vif_read_name(xs, dir, KEY_VIFNAME, ts->vifname, err);
	if (!rc)
		rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_HANDLE, UINT32_MAX,
				     &ts->handle, err);
	if (rc == -ENOENT) {
		ts->handle = 0;
		rc = 0;
	}
	return rc ? rc : name_default(xs, dir, ts);
}

static int read_queues(struct xs_handle *xs, const char *dir, struct vif_toolstack *ts,
		       struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MAX_QUEUES, UINT32_MAX,
				 &ts->max_queues, err);

	if (rc == -ENOENT) {
		ts->max_queues = 0;
		return 0;
	}
	if (rc || (ts->max_queues && ts->max_queues <= VIF_QUEUES_MAX))
		return rc;
	xenbus_blame_u64(err, KEY_MAX_QUEUES, ts->max_queues, "from 1 to 16 queues");
	return -EINVAL;
}

int vif_read_toolstack(struct xs_handle *xs, const char *back_dir,
		       struct vif_toolstack *out, struct key_error *err)
{
	struct xenbus_hotplug hotplug;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = xenbus_read_flag(xs, XBT_NULL, back_dir, KEY_ONLINE, true, &out->online, err);
	if (rc == -EINVAL)
		out->online = true;
	if (!rc)
		rc = xenbus_read_hotplug(xs, back_dir, &hotplug, err);
	if (rc)
		return rc;
	out->hotplug_pending = hotplug.pending;
	out->hotplug_error = hotplug.error;
	rc = read_names(xs, back_dir, out, err);
	if (!rc)
		rc = vif_read_mac(xs, back_dir, out->mac, &out->has_mac, err);
	if (!rc)
		rc = vif_read_mtu(xs, back_dir, &out->mtu_bytes, err);
	if (!rc)
		rc = read_rate(xs, back_dir, out, err);
	if (!rc)
		rc = vif_read_port(xs, back_dir, &out->port, err);
	if (!rc)
		rc = read_queues(xs, back_dir, out, err);
	return rc;
}
