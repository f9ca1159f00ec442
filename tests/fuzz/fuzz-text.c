/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: texts that people and tool stacks write, and the parsers that take them
 * apart: names of images, limits, what is said of bridges, files of lines key=value.
 *
 * The first octet says which; what is accepted must mean the same when it is written
 * and read again.
 */
#include <string.h>
#include "fake-xenstore.h"
#include "fuzz.h"
#include "limit.h"
#include "rundir.h"
#include "storage.h"
#include "switch-config.h"

#define TEXT_BYTES 1200u
#define BRIDGE "/local/domain/0/paravane-bridge/"

/* Ends in its own memory. */
#define IS_TEXT(array) (strnlen(array, sizeof(array)) < sizeof(array))

static size_t text(struct fuzz_in *in, char *to, size_t bytes)
{
	size_t n = fuzz_bytes(in, to, bytes - 1);

	to[n] = 0;
	return strlen(to);
}

/* ---- images ----------------------------------------------------------------------------- */

static void check_command(const struct storage *s, uint8_t how)
{
	struct storage_command c;
	const char *at;
	uint32_t nr = 0;

	memset(&c, 0xff, sizeof(c));
	FUZZ_NEED(storage_program(s));
	if (storage_command(s, how % 3u, how & 4, "/run/s", &c))
		return;
	FUZZ_NEED(c.nr && c.nr <= STORAGE_ARGS_MAX);
	for (at = c.words; nr < c.nr; nr++) {
		at = memchr(at, 0, sizeof(c.words) - (size_t)(at - c.words));
		FUZZ_NEED(at);
		at++;
	}
}

static void image(struct fuzz_in *in)
{
	char name[TEXT_BYTES], why[200];
	uint8_t how = fuzz_u8(in);
	struct storage s;
	int rc;

	text(in, name, sizeof(name));
	memset(&s, 0xff, sizeof(s));
	memset(why, 0xff, sizeof(why));
	rc = storage_parse(name, &s, why, sizeof(why));
	FUZZ_NEED(rc <= 0 && (!rc || (IS_TEXT(why) && why[0])));
	if (rc)
		return;
	FUZZ_NEED(s.kind == STORAGE_PATH || storage_is_remote(name));
	FUZZ_NEED(IS_TEXT(s.path) && IS_TEXT(s.at.socket) && IS_TEXT(s.at.host) && IS_TEXT(s.at.port));
	FUZZ_NEED(IS_TEXT(s.export) && IS_TEXT(s.format) && IS_TEXT(s.rest) && IS_TEXT(s.secret));
	FUZZ_NEED(IS_TEXT(s.tls_certificates) && IS_TEXT(s.tls_keys) && IS_TEXT(s.tls_user));
	if (s.kind == STORAGE_SERVED)
		check_command(&s, how);
	else if (s.kind == STORAGE_NBD)
		FUZZ_NEED(s.at.socket[0] || s.at.host[0]);
}

/* ---- limits ----------------------------------------------------------------------------- */

static void check_limit(enum limit_device of, const struct limit *l)
{
	char first[LIMIT_TEXT_BYTES], second[LIMIT_TEXT_BYTES];
	struct limit again = { 0 };
	uint64_t number;

	limit_format(of, l, first);
	FUZZ_NEED(IS_TEXT(first));
	FUZZ_NEED(!limit_parse(of, first, &again, NULL));
	limit_format(of, &again, second);
	FUZZ_NEED(!strcmp(first, second) && limit_is_none(l) == limit_is_none(&again));
	for (uint32_t i = 0; limit_each(of, l, i, &number); i++)
		FUZZ_NEED(number <= LIMIT_MAX && i < 64);
	limit_lonely_burst(of, l);
}

static void limits(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	enum limit_device of = how & 1 ? LIMIT_OF_NIC : LIMIT_OF_DISK;
	struct limit l = { 0 };
	char words[TEXT_BYTES];
	const char *at = NULL;
	size_t n = text(in, words, sizeof(words));

	if (limit_parse(of, words, &l, &at))
		FUZZ_NEED(at >= words && at <= words + n);
	else
		check_limit(of, &l);
}

/* ---- bridges ---------------------------------------------------------------------------- */

static struct xs_handle *xs;

static int read_uplink(void *arg, const char *ifname)
{
	struct switch_uplink up;
	struct key_error err = { .expected = "" };

	if (!switch_read_uplink(xs, 0, arg, ifname, &up, &err)) {
		FUZZ_NEED(IS_TEXT(up.ifname) && IS_TEXT(up.bridge) && up.port.any_source);
		FUZZ_NEED(!strcmp(up.ifname, ifname));
	}
	return 0;
}

static int read_switch(void *arg, const char *name)
{
	struct switch_config cfg;
	struct key_error err = { .expected = "" };

	(void)arg;
	FUZZ_NEED(strlen(name) < VIF_NAME_BYTES && !switch_check_name(name));
	if (!switch_read(xs, 0, name, &cfg, &err))
		FUZZ_NEED(cfg.ageing_ms);
	switch_each_uplink(xs, 0, name, read_uplink, (void *)name);
	return 0;
}

static void bridges(struct fuzz_in *in)
{
	static const char *const keys[] = {
		"ageing-ms", "move-ms", "uplink/%s/bridge", "uplink/%s/vlan",
		"uplink/%s/isolated", "uplink/%s/mtu", "uplink/%s", "%s",
	};
	char name[70], ifname[24], key[64], path[256], value[80];

	fake_xs_reset();
	xs = fake_xs_open(0);
	for (uint32_t i = 0; in->left && i < 16; i++) {
		size_t n = fuzz_u8(in) % sizeof(name);

		name[fuzz_bytes(in, name, n)] = 0;
		ifname[fuzz_bytes(in, ifname, fuzz_u8(in) % sizeof(ifname))] = 0;
		if (strchr(name, '/') || strchr(ifname, '/') || !name[0] || !ifname[0])
			continue;
		snprintf(key, sizeof(key), keys[fuzz_u8(in) % 8u], ifname);
		snprintf(path, sizeof(path), BRIDGE "%s/%s", name, key);
		n = fuzz_bytes(in, value, fuzz_u8(in) % sizeof(value));
		fake_xs_put_bytes(path, value, (uint32_t)n);
	}
	switch_each(xs, 0, read_switch, NULL);
	xs_close(xs);
}

/* ---- lines key=value -------------------------------------------------------------------- */

static void lines(struct fuzz_in *in)
{
	char all[TEXT_BYTES], key[16], value[40];
	size_t n, room = 1u + fuzz_u8(in) % sizeof(value);

	n = fuzz_u8(in) % sizeof(key);
	key[fuzz_bytes(in, key, n)] = 0;
	text(in, all, sizeof(all));
	memset(value, 0xff, sizeof(value));
	if (!rundir_find_value(all, key, value, room))
		FUZZ_NEED(strnlen(value, room) < room && !strchr(value, '\n'));
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };

	switch (fuzz_u8(&in) % 4) {
	case 0: image(&in); break;
	case 1: limits(&in); break;
	case 2: bridges(&in); break;
	default: lines(&in);
	}
}
