/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus.c and xenbus-state.c: text, typed nodes with every kind of bad value,
 * the transition table in full, writes that must not revive a directory.
 */
#include <stdint.h>

#include "fake-xenstore.h"
#include "unit.h"
#include "xenbus.h"

#define BACK "/local/domain/0/backend/vbd/3/51712"
#define FRONT "/local/domain/3/device/vbd/51712"

static struct xs_handle *start(void)
{
	fake_xs_reset();
	return fake_xs_open(0);
}

/* ---- text ----------------------------------------------------------------- */

static void test_text(void)
{
	char buf[32];

	UNIT_EQ(xenbus_text(buf, sizeof(buf), "plain"), 0);
	UNIT_STREQ(buf, "plain");
	UNIT_EQ(xenbus_text(buf, sizeof(buf), ""), 0);
	UNIT_STREQ(buf, "");
	UNIT_EQ(xenbus_text(buf, sizeof(buf), "%s/%u", "dir", (uint64_t)0), 0);
	UNIT_STREQ(buf, "dir/0");
	UNIT_EQ(xenbus_text(buf, sizeof(buf), "%u %%", UINT64_MAX), 0);
	UNIT_STREQ(buf, "18446744073709551615 %");
	UNIT_EQ(xenbus_text(buf, sizeof(buf), "%s%s%s", "", "x", ""), 0);
	UNIT_STREQ(buf, "x");
}

static void test_text_fits_exactly(void)
{
	char buf[8];
	size_t bytes;

	for (bytes = 1; bytes <= sizeof(buf); bytes++) {
		memset(buf, '#', sizeof(buf));
		UNIT_EQ(xenbus_text(buf, bytes, "%s-%u", "ab", (uint64_t)123),
			bytes < 7 ? -ENAMETOOLONG : 0);
		UNIT_STREQ(buf, bytes < 7 ? "" : "ab-123");
		if (bytes < sizeof(buf))
			UNIT_EQ(buf[bytes], '#');
	}
}

static void test_paths(void)
{
	char buf[XENBUS_PATH_BYTES];

	UNIT_EQ(xenbus_frontend_path(buf, sizeof(buf), 3, "vbd", 51712), 0);
	UNIT_STREQ(buf, FRONT);
	UNIT_EQ(xenbus_backend_path(buf, sizeof(buf), 0, "vbd", 3, 51712), 0);
	UNIT_STREQ(buf, BACK);
	UNIT_EQ(xenbus_backend_path(buf, sizeof(buf), UINT32_MAX, "qdisk", UINT32_MAX,
				    UINT32_MAX), 0);
	UNIT_EQ(xenbus_backend_path(buf, 10, 0, "vbd", 3, 51712), -ENAMETOOLONG);
}

/* ---- typed nodes ---------------------------------------------------------- */

static void test_own_domid(void)
{
	struct xs_handle *dom0 = start(), *dom3 = fake_xs_open(3);
	struct xs_permissions own = { .id = 3, .perms = XS_PERM_NONE };
	uint32_t domid = 99;

	UNIT_EQ(xenbus_own_domid(dom0, &domid), -ENOENT);
	fake_xs_put("/local/domain/0/domid", "0");
	fake_xs_put("/local/domain/3/domid", "3");
	xs_set_permissions(dom0, XBT_NULL, "/local/domain/3/domid", &own, 1);
	UNIT_EQ(xenbus_own_domid(dom0, &domid), 0);
	UNIT_EQ(domid, 0);
	UNIT_EQ(xenbus_own_domid(dom3, &domid), 0);
	UNIT_EQ(domid, 3);
	xs_close(dom3);
	xs_close(dom0);
}

static void test_good_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t v;
	} t[] = {
		{ "0", 0 }, { "1", 1 }, { "0000000000000000000000042", 42 },
		{ "4294967295", UINT32_MAX }, { "4294967296", 1ull << 32 },
		{ "18446744073709551615", UINT64_MAX },
	};
	struct xs_handle *xs = start();
	struct key_error err;
	uint64_t v;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(BACK "/sectors", t[i].text);
		UNIT_EQ(xenbus_read_u64(xs, XBT_NULL, BACK, "sectors", UINT64_MAX, &v,
					&err), 0);
		UNIT_OK(v == t[i].v);
		UNIT_EQ(xenbus_read_u64(xs, XBT_NULL, BACK, "sectors", t[i].v, &v,
					NULL), 0);
		if (t[i].v)
			UNIT_EQ(xenbus_read_u64(xs, XBT_NULL, BACK, "sectors",
						t[i].v - 1, &v, NULL), -EINVAL);
	}
	xs_close(xs);
}

static void test_bad_numbers(void)
{
	static const struct {
		const char *bytes;
		unsigned int len;
		const char *shown;
	} t[] = {
		{ "", 0, "" }, { "-1", 2, "-1" }, { "+1", 2, "+1" },
		{ " 1", 2, " 1" }, { "1 ", 2, "1 " }, { "1\n", 2, "1?" },
		{ "1\0", 2, "1?" }, { "\0", 1, "?" }, { "12\0003", 4, "12?3" },
		{ "0x10", 4, "0x10" }, { "1e3", 3, "1e3" }, { "12abc", 5, "12abc" },
		{ "1.5", 3, "1.5" }, { "\xff\xfe", 2, "??" }, { "NaN", 3, "NaN" },
		{ "18446744073709551616", 20, "18446744073709551616" },
		{ "99999999999999999999999999", 26, "99999999999999999999999999" },
	};
	struct xs_handle *xs = start();
	struct key_error err;
	uint64_t v;
	uint32_t w;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put_bytes(FRONT "/ring-ref", t[i].bytes, t[i].len);
		memset(&err, 0, sizeof(err));
		v = 77;
		UNIT_EQ(xenbus_read_u64(xs, XBT_NULL, FRONT, "ring-ref", UINT64_MAX,
					&v, &err), -EINVAL);
		UNIT_EQ(v, 77);
		UNIT_STREQ(err.key, "ring-ref");
		UNIT_STREQ(err.value, t[i].shown);
		UNIT_OK(err.expected && *err.expected);
		UNIT_EQ(xenbus_read_u32(xs, XBT_NULL, FRONT, "ring-ref", UINT32_MAX,
					&w, NULL), -EINVAL);
	}
	xs_close(xs);
}

/* A million digits from a guest end up as one short line. */
static void test_huge_value(void)
{
	struct xs_handle *xs = start();
	static char huge[1 << 20];
	struct key_error err;
	uint32_t v;

	memset(huge, '9', sizeof(huge));
	fake_xs_put_bytes(FRONT "/event-channel", huge, sizeof(huge));
	UNIT_EQ(xenbus_read_u32(xs, XBT_NULL, FRONT, "event-channel", UINT32_MAX, &v,
				&err), -EINVAL);
	UNIT_EQ(strlen(err.value), sizeof(err.value) - 1);
	UNIT_STREQ(err.value + strlen(err.value) - 5, "99...");
	xs_close(xs);
}

static void test_missing(void)
{
	struct xs_handle *xs = start();
	struct key_error err;
	char text[8];
	char *string;
	uint32_t v;

	UNIT_EQ(xenbus_read_u32(xs, XBT_NULL, FRONT, "ring-ref", 9, &v, &err),
		-ENOENT);
	UNIT_STREQ(err.key, "ring-ref");
	UNIT_STREQ(err.value, "");
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, FRONT, "x", text, 8), -ENOENT);
	UNIT_EQ(xenbus_read_string(xs, XBT_NULL, FRONT, "x", &string), -ENOENT);
	UNIT_OK(!xenbus_exists(xs, XBT_NULL, FRONT));
	UNIT_EQ(xenbus_remove(xs, XBT_NULL, FRONT, "x"), 0);
	xs_close(xs);
}

static void test_flags(void)
{
	static const char *const bad[] = { "", "2", "true", "-1", "01x", "yes" };
	struct xs_handle *xs = start();
	struct key_error err;
	bool v;
	size_t i;

	UNIT_EQ(xenbus_read_flag(xs, XBT_NULL, BACK, "online", true, &v, &err), 0);
	UNIT_OK(v);
	UNIT_EQ(xenbus_read_flag(xs, XBT_NULL, BACK, "online", false, &v, &err), 0);
	UNIT_OK(!v);
	fake_xs_put(BACK "/online", "0");
	UNIT_EQ(xenbus_read_flag(xs, XBT_NULL, BACK, "online", true, &v, &err), 0);
	UNIT_OK(!v);
	fake_xs_put(BACK "/online", "1");
	UNIT_EQ(xenbus_read_flag(xs, XBT_NULL, BACK, "online", false, &v, &err), 0);
	UNIT_OK(v);
	for (i = 0; i < UNIT_LEN(bad); i++) {
		fake_xs_put(BACK "/online", bad[i]);
		UNIT_EQ(xenbus_read_flag(xs, XBT_NULL, BACK, "online", false, &v,
					 &err), -EINVAL);
		UNIT_STREQ(err.value, bad[i]);
		UNIT_STREQ(err.expected, "0 or 1");
	}
	xs_close(xs);
}

static void test_texts(void)
{
	struct xs_handle *xs = start();
	char *string = NULL;
	char text[8];

	fake_xs_put(BACK "/mode", "w!");
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, BACK, "mode", text, sizeof(text)), 0);
	UNIT_STREQ(text, "w!");
	fake_xs_put(BACK "/mode", "1234567");
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, BACK, "mode", text, sizeof(text)), 0);
	UNIT_STREQ(text, "1234567");
	fake_xs_put(BACK "/mode", "12345678");
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, BACK, "mode", text, sizeof(text)),
		-E2BIG);
	UNIT_EQ(xenbus_read_string(xs, XBT_NULL, BACK, "mode", &string), 0);
	UNIT_STREQ(string, "12345678");
	free(string);
	fake_xs_put_bytes(BACK "/mode", "w\0r", 3);
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, BACK, "mode", text, sizeof(text)),
		-EINVAL);
	UNIT_EQ(xenbus_read_string(xs, XBT_NULL, BACK, "mode", &string), -EINVAL);
	UNIT_EQ(xenbus_write_text(xs, XBT_NULL, BACK, "mode", ""), 0);
	UNIT_EQ(xenbus_read_text(xs, XBT_NULL, BACK, "mode", text, sizeof(text)), 0);
	UNIT_STREQ(text, "");
	xs_close(xs);
}

static void test_store_errors(void)
{
	struct xs_handle *xs = start(), *guest = fake_xs_open(3);
	struct key_error err;
	uint32_t v;

	fake_xs_put(BACK "/sectors", "8");
	fake_xs_fail_nth(1, EIO);
	UNIT_EQ(xenbus_read_u32(xs, XBT_NULL, BACK, "sectors", 9, &v, &err), -EIO);
	fake_xs_fail_nth(1, ENOSPC);
	UNIT_EQ(xenbus_write_u64(xs, XBT_NULL, BACK, "sectors", 9), -ENOSPC);
	fake_xs_fail_nth(1, EIO);
	UNIT_EQ(xenbus_remove(xs, XBT_NULL, BACK, "sectors"), -EIO);
	UNIT_EQ(xenbus_read_u32(guest, XBT_NULL, BACK, "sectors", 9, &v, &err),
		-EACCES);
	UNIT_EQ(xenbus_write_u64(guest, XBT_NULL, BACK, "sectors", 9), -EACCES);
	UNIT_STREQ(fake_xs_get(BACK "/sectors"), "8");
	xs_close(guest);
	xs_close(xs);
}

/* ---- states --------------------------------------------------------------- */

/* to[from] as digits: written down again here, not computed. */
static const char *const back_table[9] = {
	"12356", "12356", "23456", "3456", "45678", "56", "1256", "5678", "4568",
};
static const char *const front_table[9] = {
	"13456", "13456", "23456", "3456", "4567", "56", "16", "4567", "4568",
};

static void test_transitions(void)
{
	int from, to;

	for (from = -1; from <= 10; from++) {
		for (to = -1; to <= 10; to++) {
			bool known = from >= 0 && from <= 8 && to > 0 && to <= 8;
			bool back = known && strchr(back_table[from], '0' + to);
			bool front = known && strchr(front_table[from], '0' + to);

			if (back != xenbus_may_change(XENBUS_BACKEND,
						      (XenbusState)from,
						      (XenbusState)to))
				UNIT_EQ(from * 100 + to, -1);
			if (front != xenbus_may_change(XENBUS_FRONTEND,
						       (XenbusState)from,
						       (XenbusState)to))
				UNIT_EQ(from * 100 + to, -2);
		}
	}
}

static bool walk(enum xenbus_side side, const char *states)
{
	for (; states[1]; states++)
		if (!xenbus_may_change(side, (XenbusState)(states[0] - '0'),
				       (XenbusState)(states[1] - '0')))
			return false;
	return true;
}

/* What real front and back ends are known to do. */
static void test_real_walks(void)
{
	UNIT_OK(walk(XENBUS_FRONTEND, "1345613456"));	/* Linux, reloaded */
	UNIT_OK(walk(XENBUS_FRONTEND, "1456145"));	/* mini-os */
	UNIT_OK(walk(XENBUS_FRONTEND, "1461346"));	/* GRUB, then its kernel */
	UNIT_OK(walk(XENBUS_FRONTEND, "13474"));	/* netfront and XDP */
	UNIT_OK(walk(XENBUS_BACKEND, "12456"));
	UNIT_OK(walk(XENBUS_BACKEND, "12456245"));	/* the front end came back */
	UNIT_OK(walk(XENBUS_BACKEND, "124461244456"));	/* resized */
	UNIT_OK(walk(XENBUS_BACKEND, "156"));		/* image missing */
	UNIT_OK(walk(XENBUS_BACKEND, "1256"));		/* tool stack's 5 */
	UNIT_OK(walk(XENBUS_BACKEND, "1356"));
	UNIT_OK(walk(XENBUS_BACKEND, "656"));		/* its 5, too late */
	UNIT_OK(walk(XENBUS_BACKEND, "12484"));
	UNIT_OK(!walk(XENBUS_BACKEND, "14"));		/* xl waits for 2 */
	UNIT_OK(!walk(XENBUS_BACKEND, "42"));
	UNIT_OK(!walk(XENBUS_BACKEND, "54"));
	UNIT_OK(!walk(XENBUS_BACKEND, "64"));
	UNIT_OK(!walk(XENBUS_FRONTEND, "64"));
	UNIT_OK(!walk(XENBUS_FRONTEND, "54"));
	UNIT_OK(!walk(XENBUS_FRONTEND, "41"));
}

static void test_state_names(void)
{
	UNIT_STREQ(xenbus_state_name(XenbusStateInitWait), "InitWait");
	UNIT_STREQ(xenbus_state_name(XenbusStateReconfigured), "Reconfigured");
	UNIT_STREQ(xenbus_state_name((XenbusState)9), "Unknown");
	UNIT_STREQ(xenbus_state_name((XenbusState)-1), "Unknown");
}

static void test_read_state(void)
{
	static const char *const bad[] = { "", "9", "-1", "4x", "Connected" };
	struct xs_handle *xs = start();
	size_t i;

	UNIT_EQ(xenbus_read_state(xs, FRONT), XenbusStateUnknown);
	fake_xs_put(FRONT "/state", "4");
	UNIT_EQ(xenbus_read_state(xs, FRONT), XenbusStateConnected);
	for (i = 0; i < UNIT_LEN(bad); i++) {
		fake_xs_put(FRONT "/state", bad[i]);
		UNIT_EQ(xenbus_read_state(xs, FRONT), XenbusStateUnknown);
	}
	xs_close(xs);
}

static void device(struct xenbus_device *dev, struct xs_handle *xs)
{
	memset(dev, 0, sizeof(*dev));
	dev->xs = xs;
	dev->side = XENBUS_BACKEND;
	dev->domid = 0;
	dev->otherend_id = 3;
	strcpy(dev->nodename, BACK);
	strcpy(dev->otherend, FRONT);
	dev->state = XenbusStateInitialising;
}

static void test_switch(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device dev;

	device(&dev, xs);
	fake_xs_put(BACK "/state", "1");
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateInitWait), 0);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "2");
	UNIT_EQ(dev.state, XenbusStateInitWait);
	fake_xs_refuse_commits(3);
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateConnected), 0);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "4");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

/* Who interferes without end does not hold us for ever. */
static void test_switch_never_committed(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device dev;

	device(&dev, xs);
	fake_xs_put(BACK "/state", "1");
	fake_xs_refuse_commits(XENBUS_COMMITS - 1);
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateInitWait), 0);
	fake_xs_refuse_commits(1000000);
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateConnected), -EBUSY);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "2");
	UNIT_EQ(dev.state, XenbusStateInitWait);
	UNIT_EQ(fake_xs_open_transactions(), 0);
	fake_xs_refuse_commits(0);
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateConnected), 0);
	xs_close(xs);
}

/* The tool stack wrote 5, or made the device anew, after we last looked. */
static void test_switch_overtaken(void)
{
	static const struct {
		const char *node;
		XenbusState from, to;
		int rc;
	} t[] = {
		{ "5", XenbusStateInitWait, XenbusStateConnected, -EAGAIN },
		{ "1", XenbusStateInitWait, XenbusStateConnected, -EAGAIN },
		{ "5", XenbusStateConnected, XenbusStateConnected, -EAGAIN },
		{ "5", XenbusStateClosed, XenbusStateInitWait, -EAGAIN },
		{ "5", XenbusStateConnected, XenbusStateClosing, 0 },
		{ "5", XenbusStateConnected, XenbusStateClosed, 0 },
		{ "1", XenbusStateConnected, XenbusStateClosed, 0 },
		{ "1", XenbusStateInitialising, XenbusStateInitWait, 0 },
		{ "3", XenbusStateInitWait, XenbusStateConnected, 0 },
		{ "junk", XenbusStateInitWait, XenbusStateConnected, 0 },
	};
	struct xs_handle *xs = start();
	struct xenbus_device dev;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		device(&dev, xs);
		dev.state = t[i].from;
		fake_xs_put(BACK "/state", t[i].node);
		UNIT_EQ(xenbus_switch_state(&dev, t[i].to), t[i].rc);
		UNIT_EQ(dev.state, t[i].rc ? t[i].from : t[i].to);
		if (t[i].rc)
			UNIT_STREQ(fake_xs_get(BACK "/state"), t[i].node);
		UNIT_EQ(fake_xs_open_transactions(), 0);
	}
	xs_close(xs);
}

static void test_switch_does_not_revive(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device dev;

	device(&dev, xs);
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateInitWait), -ENOENT);
	UNIT_EQ(dev.state, XenbusStateInitialising);
	UNIT_EQ(fake_xs_count(), 0);
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

/* Any single request may fail: no transaction stays open, no state is believed. */
static void test_switch_fails(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device dev;
	unsigned int before, n, nr;

	device(&dev, xs);
	fake_xs_put(BACK "/state", "1");
	before = fake_xs_requests();
	UNIT_EQ(xenbus_switch_state(&dev, XenbusStateInitWait), 0);
	nr = fake_xs_requests() - before;
	UNIT_OK(nr >= 4);
	for (n = 1; n <= nr; n++) {
		device(&dev, xs);
		fake_xs_put(BACK "/state", "1");
		fake_xs_fail_nth(n, EIO);
		UNIT_EQ(xenbus_switch_state(&dev, XenbusStateInitWait), -EIO);
		UNIT_EQ(dev.state, XenbusStateInitialising);
		UNIT_STREQ(fake_xs_get(BACK "/state"), "1");
		UNIT_EQ(fake_xs_open_transactions(), 0);
	}
	xs_close(xs);
}

/* ---- errors for people ---------------------------------------------------- */

static void test_error_node(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device dev;
	char text[XENBUS_TEXT_BYTES];

	device(&dev, xs);
	UNIT_EQ(xenbus_read_error(xs, BACK, text, sizeof(text)), -ENOENT);
	UNIT_EQ(xenbus_write_error(&dev, ENOENT, "params /no/image"), 0);
	UNIT_STREQ(fake_xs_get("/local/domain/0/error/backend/vbd/3/51712/error"),
		   "2 params /no/image");
	UNIT_STREQ(fake_xs_perms("/local/domain/0/error/backend/vbd/3/51712/error"), "n0r3");
	UNIT_EQ(xenbus_read_error(xs, BACK, text, sizeof(text)), 0);
	UNIT_STREQ(text, "2 params /no/image");
	UNIT_EQ(xenbus_clear_error(&dev), 0);
	UNIT_OK(!fake_xs_get("/local/domain/0/error/backend/vbd/3/51712"));
	UNIT_EQ(xenbus_clear_error(&dev), 0);
	UNIT_EQ(xenbus_read_error(xs, BACK, text, sizeof(text)), -ENOENT);
	UNIT_EQ(xenbus_read_error(xs, "/elsewhere/x", text, sizeof(text)), -EINVAL);
	UNIT_EQ(xenbus_read_error(xs, "/local/domain/", text, sizeof(text)), -EINVAL);
	xs_close(xs);
}

/* A guest writes what it likes into its error node. */
static void test_hostile_error(void)
{
	struct xs_handle *xs = start();
	char text[XENBUS_TEXT_BYTES];
	static char huge[4000];

	memset(huge, 'A', sizeof(huge));
	memcpy(huge, "\033[2J\n", 5);
	fake_xs_put_bytes("/local/domain/3/error/device/vbd/51712/error", huge,
			  sizeof(huge));
	UNIT_EQ(xenbus_read_error(xs, FRONT, text, sizeof(text)), 0);
	UNIT_EQ(strlen(text), sizeof(text) - 1);
	UNIT_OK(!strncmp(text, "?[2J?AAA", 8));
	UNIT_STREQ(text + strlen(text) - 4, "A...");
	xs_close(xs);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "text", test_text },
		{ "text that just fits, or not", test_text_fits_exactly },
		{ "paths", test_paths },
		{ "own domid", test_own_domid },
		{ "numbers and their limits", test_good_numbers },
		{ "what is not a number", test_bad_numbers },
		{ "a million digits", test_huge_value },
		{ "missing nodes", test_missing },
		{ "flags", test_flags },
		{ "texts", test_texts },
		{ "the store's own errors", test_store_errors },
		{ "every transition of both sides", test_transitions },
		{ "walks of real drivers", test_real_walks },
		{ "state names", test_state_names },
		{ "reading a state", test_read_state },
		{ "switching", test_switch },
		{ "a switch that somebody always interferes with", test_switch_never_committed },
		{ "a switch that the tool stack overtook", test_switch_overtaken },
		{ "a late switch does not revive", test_switch_does_not_revive },
		{ "a switch that fails at any request", test_switch_fails },
		{ "the error node", test_error_node },
		{ "a guest's error node", test_hostile_error },
	};

	return unit_run("schema", tests, UNIT_LEN(tests));
}
