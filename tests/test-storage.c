/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of images: what each means, what is refused, which program serves it.
 */
#include "storage.h"
#include "unit.h"

static int parse(const char *name, struct storage *s)
{
	static char why[256];

	return storage_parse(name, s, why, sizeof(why));
}

static void test_paths(void)
{
	struct storage s;

	UNIT_OK(!storage_is_remote("/srv/disk.img"));
	UNIT_OK(!storage_is_remote("/srv/nbd:x"));
	UNIT_OK(!storage_is_remote("rawish:/x"));
	UNIT_OK(!parse("/srv/a:b", &s) && s.kind == STORAGE_PATH);
	UNIT_STREQ(s.path, "/srv/a:b");
	UNIT_OK(!parse("raw+cache=none:/srv/x", &s) && s.kind == STORAGE_PATH);
	UNIT_OK(s.has_cache && s.cache == VBD_CACHE_NONE);
	UNIT_STREQ(s.path, "/srv/x");
	UNIT_EQ(parse("raw+secret=/k:/x", &s), -EINVAL);
}

static void test_nbd(void)
{
	struct storage s;

	UNIT_OK(!parse("nbd://host", &s) && s.kind == STORAGE_NBD);
	UNIT_STREQ(s.at.host, "host");
	UNIT_STREQ(s.at.port, "10809");
	UNIT_STREQ(s.export, "");
	UNIT_OK(!parse("nbd://[fe80::1]:77/a/b%20c", &s));
	UNIT_STREQ(s.at.host, "fe80::1");
	UNIT_STREQ(s.at.port, "77");
	UNIT_STREQ(s.export, "a/b c");
	UNIT_OK(!parse("nbd+unix:///x?foo=1&socket=/run/a%3fb", &s));
	UNIT_STREQ(s.at.socket, "/run/a?b");
	UNIT_STREQ(s.export, "x");
	UNIT_OK(!s.tls_keys[0]);
}

static void test_bad(void)
{
	static const char *const bad[] = {
		"nbd:", "nbd://", "nbd:///x", "nbd://h:0", "nbd://h:65536", "nbd://h:x",
		"nbd://[::1", "nbd://h/%", "nbd://h/%zz", "nbd://h/%00", "nbd://me@h/x",
		"nbd+unix:///x", "nbd+unix:///?socket=relative", "nbd+unix://h/?socket=/x",
		"nbd+vsock://1/x", "qcow2:", "qcow2:relative", "qcow2+:/x", "qcow2+cache=:/x",
		"qcow2+cache=unsafe:/x", "qcow2+secret=k:/x", "luks+secret=/k", "nbds:x",
	};
	char name[700];
	struct storage s;

	for (size_t i = 0; i < UNIT_LEN(bad); i++)
		if (parse(bad[i], &s) != -EINVAL) {
			fprintf(stderr, "\n'%s' is taken", bad[i]);
			UNIT_OK(!"refused");
		}
	memset(name, 'x', sizeof(name));
	memcpy(name, "nbd://h/", 8);
	name[300] = '\0';
	UNIT_EQ(parse(name, &s), -E2BIG);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	UNIT_EQ(parse(name, &s), -E2BIG);
}

/* The command's words, "|" between them. */
static const char *command(const char *name, bool read_only)
{
	static char text[2000];
	struct storage_command c;
	struct storage s;
	const char *at;

	if (parse(name, &s) || s.kind != STORAGE_SERVED ||
	    storage_command(&s, s.cache, read_only, "/s", &c))
		return "refused";
	text[0] = '\0';
	at = c.words;
	for (unsigned i = 0; i < c.nr; i++, at += strlen(at) + 1)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? "|" : "",
			 at);
	return text;
}

static void test_commands(void)
{
	UNIT_STREQ(command("qcow2:/a,b", false), "qemu-nbd|--persistent|--shared=0|"
		   "--discard=unmap|--socket=/s|--cache=writeback|--image-opts|"
		   "driver=qcow2,file.driver=file,file.filename=/a,,b");
	UNIT_STREQ(command("luks+cache=none+secret=/k,1:/dev/x", true), "qemu-nbd|--persistent|"
		   "--shared=0|--discard=unmap|--socket=/s|--cache=none|--read-only|--object|"
		   "secret,id=secret0,file=/k,,1|--image-opts|driver=luks,key-secret=secret0,"
		   "file.driver=host_device,file.filename=/dev/x");
	UNIT_STREQ(command("qcow2+secret=/k:/x", false), "qemu-nbd|--persistent|--shared=0|"
		   "--discard=unmap|--socket=/s|--cache=writeback|--object|"
		   "secret,id=secret0,file=/k|--image-opts|driver=qcow2,"
		   "encrypt.key-secret=secret0,file.driver=file,file.filename=/x");
	UNIT_STREQ(command("nbdkit:file  /x fileopt=1", true), "nbdkit|--foreground|"
		   "--exit-with-parent|--unix=/s|--readonly|file|/x|fileopt=1");
	UNIT_STREQ(command("nbds://alice@h/x?tls-psk-file=/k", false), "nbdkit|--foreground|"
		   "--exit-with-parent|--unix=/s|--filter=retry|nbd|hostname=h|port=10809|"
		   "export=x|tls=require|tls-psk=/k|tls-username=alice|retries=1000000|"
		   "retry-delay=1|retry-exponential=no");
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "paths", test_paths },
		{ "NBD URIs", test_nbd },
		{ "what is none", test_bad },
		{ "servers' command lines", test_commands },
	};

	return unit_run("storage", tests, UNIT_LEN(tests));
}
