/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of images (storage.h).
 *
 * Hides: the spelling of URIs, formats and command lines. Must not know: files,
 * processes, XenStore.
 */
#include "storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util.h"

#define NBD_PORT "10809"

static const char *const formats[] = {
	"qcow2", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "luks", "parallels", "raw",
};

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* The format that a name begins with, up to ':' or '+'; NULL: none of ours. */
static const char *format_of(const char *name)
{
	size_t n = strcspn(name, ":+/");

	if (name[n] != ':' && name[n] != '+')
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (strlen(formats[i]) == n && !strncmp(name, formats[i], n))
			return formats[i];
	return NULL;
}

bool storage_is_remote(const char *name)
{
	const char *format = format_of(name);

	return begins(name, "nbd:") || begins(name, "nbds:") || begins(name, "nbd+") ||
	       begins(name, "nbds+") || begins(name, "nbdkit:") || format;
}

const char *storage_program(const struct storage *s)
{
	return !strcmp(s->format, "nbdkit") || !strcmp(s->format, "nbds") ? "nbdkit" : "qemu-nbd";
}

/* ---- pieces of URIs -------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Of n characters; -EINVAL: a % without two digits, or %00. */
static int percent_decode(const char *from, size_t n, char *to, size_t bytes)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			if (n - i < 3 || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
				return -EINVAL;
			c = hex(from[i + 1]) * 16 + hex(from[i + 2]);
			i += 2;
		}
		if (!c)
			return -EINVAL;
		if (used + 1 >= bytes)
			return -E2BIG;
		to[used++] = (char)c;
	}
	to[used] = '\0';
	return 0;
}

/* What key, with its "=", says among the words of a query; "" if it is not there. */
static int query_word(const char *query, const char *key, char *to, size_t bytes)
{
	size_t skip = strlen(key);

	to[0] = '\0';
	while (*query) {
		size_t n = strcspn(query, "&");

		if (begins(query, key))
			return percent_decode(query + skip, n - skip, to, bytes);
		query += n + (query[n] == '&');
	}
	return 0;
}

static int parse_tls(const char *query, struct storage *out)
{
	int err = query_word(query, "tls-certificates=", out->tls_certificates,
			     sizeof(out->tls_certificates));

	return err ? err : query_word(query, "tls-psk-file=", out->tls_keys,
				      sizeof(out->tls_keys));
}

/* HOST, HOST:PORT, [ADDRESS]:PORT. */
static int parse_authority(const char *at, size_t n, struct storage_address *out)
{
	size_t host = n;
	uint64_t port;

	if (n && at[0] == '[') {
		const char *end = memchr(at, ']', n);

		if (!end)
			return -EINVAL;
		host = (size_t)(end - at) + 1;
	} else {
		const char *colon = memchr(at, ':', n);

		if (colon)
			host = (size_t)(colon - at);
	}
	strcpy(out->port, NBD_PORT);
	if (host < n) {
		if (at[host] != ':' || n - host > sizeof(out->port) || n - host < 2)
			return -EINVAL;
		memcpy(out->port, at + host + 1, n - host - 1);
		out->port[n - host - 1] = '\0';
		if (parse_u64(out->port, 65535, &port) || !port)
			return -EINVAL;
	}
	if (at[0] == '[') {
		at++;
		host -= 2;
	}
	if (!host)
		return -EINVAL;
	return percent_decode(at, host, out->host, sizeof(out->host));
}

/* USER@ before it, for shared keys; returns how much that is. */
static int parse_user(const char *at, size_t n, struct storage *out, size_t *used)
{
	const char *end = memchr(at, '@', n);

	*used = end ? (size_t)(end - at) + 1 : 0;
	if (!end)
		return 0;
	return out->format[0] ? percent_decode(at, (size_t)(end - at), out->tls_user,
					       sizeof(out->tls_user)) : -EINVAL;
}

/* rest: behind "nbd" or "nbd+unix" and "://". */
static int parse_uri(const char *rest, bool is_unix, struct storage *out)
{
	size_t authority = strcspn(rest, "/?#"), path, user;
	const char *at = rest + authority, *query;
	int err = parse_user(rest, authority, out, &user);

	if (err)
		return err;
	if (*at == '/')
		at++;
	path = strcspn(at, "?#");
	err = percent_decode(at, path, out->export, sizeof(out->export));
	if (err)
		return err;
	query = at[path] == '?' ? at + path + 1 : "";
	err = parse_tls(query, out);
	if (err)
		return err;
	if (!is_unix)
		return parse_authority(rest + user, authority - user, &out->at);
	err = query_word(query, "socket=", out->at.socket, sizeof(out->at.socket));
	return err ? err : authority > user || out->at.socket[0] != '/' ? -EINVAL : 0;
}

static int parse_nbd(const char *name, struct storage *out, char *why, size_t why_bytes)
{
	bool is_unix = begins(name, "nbd+unix://") || begins(name, "nbds+unix://");
	bool tls = begins(name, "nbds");
	int err = -EINVAL;

	out->kind = tls ? STORAGE_SERVED : STORAGE_NBD;
	if (tls)
		strcpy(out->format, "nbds");
	if (is_unix || begins(name, "nbd://") || begins(name, "nbds://"))
		err = parse_uri(strstr(name, "://") + 3, is_unix, out);
	if (err)
		snprintf(why, why_bytes, "'%.120s': %s", name, err == -E2BIG ?
			 "a part of it is too long, expected an export of at most 255 bytes and a socket of at most 107" :
			 "expected nbd://HOST[:PORT][/EXPORT] or nbd+unix:///[EXPORT]?socket=/PATH, or nbds for TLS");
	return err;
}

/* ---- what is served for us --------------------------------------------------------- */

static int parse_cache(const char *value, size_t n, struct storage *out)
{
	static const char *const modes[] = {
		[VBD_CACHE_WRITEBACK] = "writeback",
		[VBD_CACHE_WRITETHROUGH] = "writethrough", [VBD_CACHE_NONE] = "none",
	};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (strlen(modes[i]) == n && !strncmp(value, modes[i], n)) {
			out->cache = (enum vbd_cache)i;
			out->has_cache = true;
			return 0;
		}
	}
	return -EINVAL;
}

/* +OPTION=VALUE... up to the colon that comes before the path. */
static int parse_options(const char **at, struct storage *out, char *why, size_t why_bytes)
{
	while (**at == '+') {
		const char *option = *at + 1;
		size_t n = strcspn(option, "+:");
		int err = -EINVAL;

		if (begins(option, "cache=")) {
			err = parse_cache(option + 6, n - 6, out);
		} else if (begins(option, "secret=/") && n - 7 < sizeof(out->secret)) {
			memcpy(out->secret, option + 7, n - 7);
			out->secret[n - 7] = '\0';
			err = 0;
		}
		if (err) {
			snprintf(why, why_bytes, "option '%.*s' of the image's name: expected "
				 "cache=none, writethrough or writeback, or secret=/FILE",
				 (int)MIN(n, 80), option);
			return err;
		}
		*at = option + n;
	}
	return 0;
}

static int parse_format(const char *name, const char *format, struct storage *out, char *why,
			size_t why_bytes)
{
	const char *at = name + strlen(format);
	int err = parse_options(&at, out, why, why_bytes);

	if (err)
		return err;
	snprintf(out->format, sizeof(out->format), "%s", format);
	if (*at != ':' || at[1] != '/') {
		snprintf(why, why_bytes, "'%.120s': expected an absolute path after %s:", name,
			 format);
		return -EINVAL;
	}
	strcpy(out->path, at + 1);
	out->kind = STORAGE_SERVED;
	if (strcmp(format, "raw"))
		return 0;
	out->kind = STORAGE_PATH;
	if (!out->secret[0])
		return 0;
	snprintf(why, why_bytes, "'%.120s': a raw image has no secret; is it luks:?", name);
	return -EINVAL;
}

int storage_parse(const char *name, struct storage *out, char *why, size_t why_bytes)
{
	const char *format = format_of(name);

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= STORAGE_NAME_BYTES) {
		snprintf(why, why_bytes, "'%.60s...': the image's name is longer than %u bytes",
			 name, STORAGE_NAME_BYTES - 1);
		return -E2BIG;
	}
	if (format)
		return parse_format(name, format, out, why, why_bytes);
	if (begins(name, "nbdkit:")) {
		strcpy(out->format, "nbdkit");
		strcpy(out->rest, name + strlen("nbdkit:"));
		out->kind = STORAGE_SERVED;
	} else if (begins(name, "nbd:") || begins(name, "nbd+") || begins(name, "nbds:") ||
		   begins(name, "nbds+")) {
		return parse_nbd(name, out, why, why_bytes);
	} else {
		strcpy(out->path, name);
	}
	return 0;
}

/* ---- command lines -------------------------------------------------------------------- */

struct builder {
	struct storage_command *out;
	size_t used;
	bool over;
};

static void add(struct builder *b, const char *word)
{
	size_t n = strlen(word) + 1;

	if (b->used + n > sizeof(b->out->words) || b->out->nr == STORAGE_ARGS_MAX) {
		b->over = true;
		return;
	}
	memcpy(b->out->words + b->used, word, n);
	b->used += n;
	b->out->nr++;
}

static void add_pair(struct builder *b, const char *word, const char *value)
{
	char text[STORAGE_NAME_BYTES + 40];

	snprintf(text, sizeof(text), "%s%s", word, value);
	add(b, text);
}

/* A comma ends an option of QEMU's; two are one. */
static void append_escaped(char *to, size_t bytes, const char *from)
{
	size_t used = strlen(to);

	for (; *from && used + 2 < bytes; from++) {
		to[used++] = *from;
		if (*from == ',')
			to[used++] = ',';
	}
	to[used] = '\0';
}

/* The protocol below a format is guessed from the path by nobody: "file" opens devices too. */
static void add_qemu_image(struct builder *b, const struct storage *s)
{
	char text[2 * STORAGE_NAME_BYTES + 120] = "";

	snprintf(text, sizeof(text), "driver=%s,%s%sfile.driver=%s,file.filename=", s->format,
		 s->secret[0] && !strcmp(s->format, "qcow2") ? "encrypt." : "",
		 s->secret[0] ? "key-secret=secret0," : "",
		 begins(s->path, "/dev/") ? "host_device" : "file");
	append_escaped(text, sizeof(text), s->path);
	add(b, "--image-opts");
	add(b, text);
}

static void qemu_command(struct builder *b, const struct storage *s, enum vbd_cache cache,
			 bool read_only, const char *socket)
{
	static const char *const modes[] = {
		[VBD_CACHE_WRITEBACK] = "writeback",
		[VBD_CACHE_WRITETHROUGH] = "writethrough", [VBD_CACHE_NONE] = "none",
	};
	char text[2 * STORAGE_NAME_BYTES] = "secret,id=secret0,file=";

	add(b, "qemu-nbd");
	add(b, "--persistent");
	add(b, "--shared=0");
	add(b, "--discard=unmap");
	add_pair(b, "--socket=", socket);
	add_pair(b, "--cache=", modes[cache]);
	if (read_only)
		add(b, "--read-only");
	if (s->secret[0]) {
		append_escaped(text, sizeof(text), s->secret);
		add(b, "--object");
		add(b, text);
	}
	add_qemu_image(b, s);
}

/* What fails for the connection behind it is tried again there; we wait for the answer. */
static void add_tls_client(struct builder *b, const struct storage *s)
{
	add(b, "--filter=retry");
	add(b, "nbd");
	if (s->at.socket[0]) {
		add_pair(b, "socket=", s->at.socket);
	} else {
		add_pair(b, "hostname=", s->at.host);
		add_pair(b, "port=", s->at.port);
	}
	add_pair(b, "export=", s->export);
	add(b, "tls=require");
	if (s->tls_certificates[0])
		add_pair(b, "tls-certificates=", s->tls_certificates);
	if (s->tls_keys[0])
		add_pair(b, "tls-psk=", s->tls_keys);
	if (s->tls_user[0])
		add_pair(b, "tls-username=", s->tls_user);
	add(b, "retries=1000000");
	add(b, "retry-delay=1");
	add(b, "retry-exponential=no");
}

static void nbdkit_command(struct builder *b, const struct storage *s, bool read_only,
			   const char *socket)
{
	char text[STORAGE_NAME_BYTES], *word, *save = NULL;

	add(b, "nbdkit");
	add(b, "--foreground");
	add(b, "--exit-with-parent");
	add_pair(b, "--unix=", socket);
	if (read_only)
		add(b, "--readonly");
	if (!strcmp(s->format, "nbds")) {
		add_tls_client(b, s);
		return;
	}
	strcpy(text, s->rest);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		add(b, word);
}

int storage_command(const struct storage *s, enum vbd_cache cache, bool read_only,
		    const char *socket, struct storage_command *out)
{
	struct builder b = { .out = out };

	memset(out, 0, sizeof(*out));
	if (!strcmp(storage_program(s), "nbdkit"))
		nbdkit_command(&b, s, read_only, socket);
	else
		qemu_command(&b, s, cache, read_only, socket);
	return b.over ? -E2BIG : 0;
}
