/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-xenbus.c - the multiplexer of localxen-xenbus.
 *
 * It runs without a hypervisor: this file is the clients and, through the
 * ring's bytes, a store that answers what each test tells it to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <CUnit/Basic.h>
#include "xenbus.h"

#define DOMID 7
#define MSG_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct msg {
	struct xsd_sockmsg hdr;
	char body[XENSTORE_PAYLOAD_MAX + 1];
};

static struct xb_mux *mux;
static int fail_type, fail_errno;
static void *fail_cookie;
static unsigned log_lines;
static char last_log[256];

static int test_fail(void *arg, void *cookie, uint32_t type)
{
	CU_ASSERT_PTR_EQUAL(arg, &mux);
	return (int)type == fail_type && cookie == fail_cookie ? fail_errno : 0;
}

static void test_log(void *arg, const char *line)
{
	(void)arg;
	log_lines++;
	snprintf(last_log, sizeof(last_log), "%s", line);
}

static const struct xb_mux_ops ops = { .fail = test_fail, .log = test_log };

static void setup(void)
{
	fail_type = -1;
	log_lines = 0;
	xb_mux_open(DOMID, &ops, &mux, &mux);
}

static void teardown(void)
{
	xb_mux_close(mux);
	mux = NULL;
}

/* ---- bytes to messages and back ----------------------------------------- */

static size_t put(struct msg *m, uint32_t type, uint32_t req_id, uint32_t tx_id,
		  const char *body, size_t len)
{
	m->hdr = (struct xsd_sockmsg){ type, req_id, tx_id, len };
	memcpy(m->body, body, len);
	m->body[len] = 0;
	return sizeof(m->hdr) + len;
}

/* Sends a request whole; body may hold NULs. */
static int ask_bytes(struct xb_client *c, uint32_t type, uint32_t req_id, uint32_t tx_id,
		     const char *body, size_t len)
{
	struct msg m;
	size_t n = put(&m, type, req_id, tx_id, body, len);

	return xb_client_input(c, &m, n);
}

#define ASK(c, type, req_id, tx_id, body) \
	CU_ASSERT_EQUAL(ask_bytes(c, type, req_id, tx_id, body, sizeof(body)), 0)

static int answer_bytes(uint32_t type, uint32_t req_id, uint32_t tx_id, const char *body,
			size_t len)
{
	struct msg m;
	size_t n = put(&m, type, req_id, tx_id, body, len);

	return xb_mux_ring_input(mux, &m, n);
}

#define ANSWER(type, req_id, body) \
	CU_ASSERT_EQUAL(answer_bytes(type, req_id, 0, body, sizeof(body)), 0)

/* The next message for the ring. false: there is none. */
static bool ring_next(struct msg *m)
{
	const void *data;
	size_t n = xb_mux_ring_output(mux, &data);

	if (!n)
		return false;
	CU_ASSERT_FATAL(n >= sizeof(m->hdr) && n <= MSG_MAX);
	memcpy(m, data, n);
	CU_ASSERT_EQUAL(n, sizeof(m->hdr) + m->hdr.len);
	((char *)m)[n] = 0;
	xb_mux_ring_sent(mux, n);
	return true;
}

static bool client_next(struct xb_client *c, struct msg *m)
{
	const void *data;
	size_t n = xb_client_output(c, &data);

	if (!n)
		return false;
	CU_ASSERT_FATAL(n >= sizeof(m->hdr) && n <= MSG_MAX);
	memcpy(m, data, n);
	((char *)m)[n] = 0;
	xb_client_sent(c, n);
	return true;
}

static void expect_ring(struct msg *m, uint32_t type, uint32_t tx_id)
{
	CU_ASSERT_TRUE_FATAL(ring_next(m));
	CU_ASSERT_EQUAL(m->hdr.type, type);
	CU_ASSERT_EQUAL(m->hdr.tx_id, tx_id);
}

static void expect_client(struct xb_client *c, uint32_t type, uint32_t req_id,
			  const char *body)
{
	struct msg m;

	CU_ASSERT_TRUE_FATAL(client_next(c, &m));
	CU_ASSERT_EQUAL(m.hdr.type, type);
	CU_ASSERT_EQUAL(m.hdr.req_id, req_id);
	CU_ASSERT_STRING_EQUAL(m.body, body);
}

static void expect_silence(struct xb_client *c)
{
	const void *data;

	CU_ASSERT_EQUAL(xb_client_output(c, &data), 0);
}

static void expect_quiet_ring(void)
{
	const void *data;

	CU_ASSERT_EQUAL(xb_mux_ring_output(mux, &data), 0);
}

static const char *token_of(const struct msg *m)
{
	return m->body + strlen(m->body) + 1;
}

/* An event for the watch that was forwarded as w. */
static void fire(const struct msg *w, const char *path)
{
	char body[XENSTORE_PAYLOAD_MAX];
	int n = snprintf(body, sizeof(body), "%s%c%s", path, 0, token_of(w)) + 1;

	CU_ASSERT_EQUAL(answer_bytes(XS_WATCH_EVENT, 0, 0, body, n), 0);
}

static void expect_event(struct xb_client *c, const char *path, const char *token)
{
	struct msg m;

	CU_ASSERT_TRUE_FATAL(client_next(c, &m));
	CU_ASSERT_EQUAL(m.hdr.type, XS_WATCH_EVENT);
	CU_ASSERT_EQUAL(m.hdr.len, strlen(path) + strlen(token) + 2);
	CU_ASSERT_STRING_EQUAL(m.body, path);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token);
}

/* Client c watches path with token; *w is what the store saw. */
#define WATCH(c, w, path, token) do {					\
		ASK(c, XS_WATCH, 77, 0, path "\0" token);		\
		expect_ring(w, XS_WATCH, 0);				\
		CU_ASSERT_STRING_EQUAL((w)->body, path);		\
		ANSWER(XS_WATCH, (w)->hdr.req_id, "OK");		\
		expect_client(c, XS_WATCH, 77, "OK");			\
	} while (0)

static void start_transaction(struct xb_client *c, const char *id)
{
	struct msg m;

	ASK(c, XS_TRANSACTION_START, 9, 0, "");
	expect_ring(&m, XS_TRANSACTION_START, 0);
	CU_ASSERT_EQUAL(answer_bytes(XS_TRANSACTION_START, m.hdr.req_id, 0, id,
				     strlen(id) + 1), 0);
	expect_client(c, XS_TRANSACTION_START, 9, id);
}

static struct xb_mux_count count(void)
{
	struct xb_mux_count n;

	xb_mux_count(mux, &n);
	return n;
}

/* ---- requests ----------------------------------------------------------- */

static void test_same_req_id(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);
	struct msg ma, mb;

	ASK(a, XS_READ, 5, 0, "a");
	ASK(b, XS_READ, 5, 0, "b");
	expect_ring(&ma, XS_READ, 0);
	expect_ring(&mb, XS_READ, 0);
	CU_ASSERT_STRING_EQUAL(ma.body, "a");
	CU_ASSERT_STRING_EQUAL(mb.body, "b");
	CU_ASSERT_NOT_EQUAL(ma.hdr.req_id, mb.hdr.req_id);
	/* Even in the wrong order each gets its own. */
	ANSWER(XS_READ, mb.hdr.req_id, "for b");
	expect_silence(a);
	ANSWER(XS_ERROR, ma.hdr.req_id, "ENOENT");
	expect_client(b, XS_READ, 5, "for b");
	expect_client(a, XS_ERROR, 5, "ENOENT");
	CU_ASSERT_EQUAL(count().requests, 0);
}

static void test_cut_anywhere(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	const void *data;
	struct msg m, in;
	size_t n, i;

	n = put(&m, XS_WRITE, 3, 0, "key\0value", 9);
	for (i = 0; i < n; i++) {
		expect_quiet_ring();
		CU_ASSERT_EQUAL(xb_client_input(c, (char *)&m + i, 1), 0);
	}
	/* The ring takes one byte at a time. */
	for (i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(xb_mux_ring_output(mux, &data), n - i);
		((char *)&in)[i] = *(const char *)data;
		xb_mux_ring_sent(mux, 1);
	}
	expect_quiet_ring();
	CU_ASSERT_EQUAL(in.hdr.len, 9);
	CU_ASSERT_EQUAL(memcmp(in.body, "key\0value", 9), 0);
	n = put(&m, XS_WRITE, in.hdr.req_id, 0, "OK", 3);
	for (i = 0; i < n; i++) {
		expect_silence(c);
		CU_ASSERT_EQUAL(xb_mux_ring_input(mux, (char *)&m + i, 1), 0);
	}
	/* So does the client. */
	for (i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(xb_client_output(c, &data), n - i);
		((char *)&in)[i] = *(const char *)data;
		xb_client_sent(c, 1);
	}
	CU_ASSERT_EQUAL(in.hdr.req_id, 3);
	CU_ASSERT_EQUAL(in.hdr.type, XS_WRITE);
	expect_silence(c);
}

static void test_many_in_one_read(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	char buf[1000];
	size_t n = 0;
	struct msg m;
	int i;

	for (i = 0; i < 10; i++) {
		size_t k = put(&m, XS_READ, 100 + i, 0, "x", 2);

		memcpy(buf + n, &m, k);
		n += k;
	}
	CU_ASSERT_EQUAL(xb_client_input(c, buf, n), 0);
	for (i = 0; i < 10; i++) {
		expect_ring(&m, XS_READ, 0);
		ANSWER(XS_READ, m.hdr.req_id, "y");
		expect_client(c, XS_READ, 100 + i, "y");
	}
}

static void test_privileged_pass(void)
{
	static const uint32_t types[] = {
		XS_INTRODUCE, XS_RELEASE, XS_RESUME, XS_SET_TARGET, XS_CONTROL,
		XS_IS_DOMAIN_INTRODUCED, XS_GET_DOMAIN_PATH, XS_DIRECTORY_PART,
		XS_TYPE_COUNT, 255,
	};
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ASK(c, types[i], i, 0, "1");
		expect_ring(&m, types[i], 0);
		ANSWER(XS_ERROR, m.hdr.req_id, "EACCES");
		expect_client(c, XS_ERROR, i, "EACCES");
	}
}

static void test_garbage(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);
	struct xsd_sockmsg too_long = {
		.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1,
	};
	struct xsd_sockmsg odd_type = { .type = 0x47455420 };
	struct msg m;

	CU_ASSERT_EQUAL(xb_client_input(a, &too_long, sizeof(too_long)), -EPROTO);
	CU_ASSERT_EQUAL(log_lines, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_log, "4097"));
	xb_client_gone(a);
	a = xb_client_add(mux, NULL);
	CU_ASSERT_EQUAL(xb_client_input(a, &odd_type, sizeof(odd_type)), -EPROTO);
	CU_ASSERT_EQUAL(log_lines, 2);
	xb_client_gone(a);
	expect_quiet_ring();
	/* The other one goes on. */
	ASK(b, XS_READ, 1, 0, "k");
	expect_ring(&m, XS_READ, 0);
	ANSWER(XS_READ, m.hdr.req_id, "v");
	expect_client(b, XS_READ, 1, "v");
	CU_ASSERT_EQUAL(count().clients, 1);
}

static void test_longest_payload(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	static char body[XENSTORE_PAYLOAD_MAX];
	struct msg m;

	memset(body, 'z', sizeof(body));
	CU_ASSERT_EQUAL(ask_bytes(c, XS_WRITE, 1, 0, body, sizeof(body)), 0);
	expect_ring(&m, XS_WRITE, 0);
	CU_ASSERT_EQUAL(m.hdr.len, sizeof(body));
	CU_ASSERT_EQUAL(memcmp(m.body, body, sizeof(body)), 0);
}

static void test_insane_store(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct xsd_sockmsg too_long = { .type = XS_READ, .len = 0x80000000 };

	/* An answer to nothing is ignored; one without end is not. */
	ANSWER(XS_READ, 4711, "what");
	CU_ASSERT_EQUAL(log_lines, 1);
	expect_silence(c);
	CU_ASSERT_EQUAL(xb_mux_ring_input(mux, &too_long, sizeof(too_long)), -EPROTO);
	CU_ASSERT_EQUAL(log_lines, 2);
}

static void test_request_limit(void)
{
	struct xb_client *c = xb_client_add(mux, NULL), *d = xb_client_add(mux, NULL);
	struct msg m;
	unsigned i;

	for (i = 0; i < XB_MAX_REQUESTS; i++) {
		CU_ASSERT_TRUE(xb_client_wants_input(c));
		ASK(c, XS_READ, i, 0, "k");
	}
	CU_ASSERT_FALSE(xb_client_wants_input(c));
	CU_ASSERT_TRUE(xb_client_wants_input(d));
	expect_ring(&m, XS_READ, 0);
	ANSWER(XS_READ, m.hdr.req_id, "v");
	CU_ASSERT_TRUE(xb_client_wants_input(c));
}

static void test_unread_replies(void)
{
	static const char big[XENSTORE_PAYLOAD_MAX];
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;
	unsigned i;

	for (i = 0; i < XB_MAX_REPLY_BYTES / sizeof(big) + 1; i++) {
		ASK(c, XS_READ, i, 0, "k");
		expect_ring(&m, XS_READ, 0);
		CU_ASSERT_EQUAL(answer_bytes(XS_READ, m.hdr.req_id, 0, big,
					     sizeof(big)), 0);
	}
	CU_ASSERT_FALSE(xb_client_wants_input(c));
	CU_ASSERT_FALSE(xb_client_overrun(c));
	while (client_next(c, &m))
		;
	CU_ASSERT_TRUE(xb_client_wants_input(c));
}

static void test_ring_backlog(void)
{
	static const char big[XENSTORE_PAYLOAD_MAX];
	struct xb_client *c = xb_client_add(mux, NULL), *d = xb_client_add(mux, NULL);
	struct msg m;

	while (xb_client_wants_input(c))
		CU_ASSERT_EQUAL(ask_bytes(c, XS_WRITE, 1, 0, big, sizeof(big)), 0);
	CU_ASSERT_TRUE(count().requests < XB_MAX_REQUESTS);
	CU_ASSERT_FALSE(xb_client_wants_input(d));
	expect_ring(&m, XS_WRITE, 0);
	CU_ASSERT_TRUE(xb_client_wants_input(d));
}

/* ---- watches ------------------------------------------------------------ */

static void test_same_path_and_token(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);
	struct msg wa, wb, m;

	WATCH(a, &wa, "/p", "tok");
	WATCH(b, &wb, "/p", "tok");
	CU_ASSERT_STRING_NOT_EQUAL(token_of(&wa), token_of(&wb));
	fire(&wa, "/p/x");
	expect_event(a, "/p/x", "tok");
	expect_silence(b);
	fire(&wb, "/p/x");
	expect_event(b, "/p/x", "tok");
	expect_silence(a);

	ASK(a, XS_UNWATCH, 8, 0, "/p\0tok");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(m.body, "/p");
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&wa));
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	expect_client(a, XS_UNWATCH, 8, "OK");
	fire(&wa, "/p");		/* stale */
	expect_silence(a);
	fire(&wb, "/p");
	expect_event(b, "/p", "tok");
	CU_ASSERT_EQUAL(count().watches, 1);
}

static void test_watch_twice(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg w, m;

	WATCH(c, &w, "dev/vbd", "t");
	ASK(c, XS_WATCH, 1, 0, "dev/vbd\0t");
	expect_client(c, XS_ERROR, 1, "EEXIST");
	ASK(c, XS_WATCH, 2, 0, "/local/domain/7/dev/vbd\0t");
	expect_client(c, XS_ERROR, 2, "EEXIST");
	expect_quiet_ring();
	/* These differ. */
	ASK(c, XS_WATCH, 3, 0, "dev/vbd\0u");
	expect_ring(&m, XS_WATCH, 0);
	ASK(c, XS_WATCH, 4, 0, "/dev/vbd\0t");
	expect_ring(&m, XS_WATCH, 0);
	ASK(c, XS_WATCH, 5, 0, "/local/domain/70/dev/vbd\0t");
	expect_ring(&m, XS_WATCH, 0);
	ASK(c, XS_UNWATCH, 6, 0, "/local/domain/7/dev/vbd\0t");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&w));
	ASK(c, XS_UNWATCH, 7, 0, "dev/vbd\0t");
	expect_client(c, XS_ERROR, 7, "ENOENT");
}

static void test_watch_malformed(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	static char body[XENSTORE_PAYLOAD_MAX];

	ASK(c, XS_WATCH, 1, 0, "path only");
	expect_client(c, XS_ERROR, 1, "EINVAL");
	ASK(c, XS_WATCH, 2, 0, "p\0t\0three");
	expect_client(c, XS_ERROR, 2, "EINVAL");
	CU_ASSERT_EQUAL(ask_bytes(c, XS_UNWATCH, 3, 0, "p\0t", 3), 0);
	expect_client(c, XS_ERROR, 3, "EINVAL");
	CU_ASSERT_EQUAL(ask_bytes(c, XS_WATCH, 4, 0, "", 0), 0);
	expect_client(c, XS_ERROR, 4, "EINVAL");
	/* With our token instead of "" it would not fit a message. */
	memset(body, 'p', sizeof(body) - 2);
	CU_ASSERT_EQUAL(ask_bytes(c, XS_WATCH, 5, 0, body, sizeof(body)), 0);
	expect_client(c, XS_ERROR, 5, "EINVAL");
	expect_quiet_ring();
	CU_ASSERT_EQUAL(count().watches, 0);
}

static void test_watch_refused(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;

	ASK(c, XS_WATCH, 1, 0, "p\0t");
	expect_ring(&m, XS_WATCH, 0);
	ANSWER(XS_ERROR, m.hdr.req_id, "E2BIG");
	expect_client(c, XS_ERROR, 1, "E2BIG");
	CU_ASSERT_EQUAL(count().watches, 0);
	ASK(c, XS_UNWATCH, 2, 0, "p\0t");
	expect_client(c, XS_ERROR, 2, "ENOENT");
}

static void test_long_token(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	char body[XENSTORE_PAYLOAD_MAX], path[200];
	struct msg w;

	/* "p", then a token that fills the message. */
	memset(body, 't', sizeof(body));
	strcpy(body, "p");
	body[sizeof(body) - 1] = 0;
	CU_ASSERT_EQUAL(ask_bytes(c, XS_WATCH, 1, 0, body, sizeof(body)), 0);
	expect_ring(&w, XS_WATCH, 0);
	CU_ASSERT_TRUE(w.hdr.len < 20);
	fire(&w, "p");
	expect_event(c, "p", body + 2);
	memset(path, 'q', sizeof(path));
	path[sizeof(path) - 1] = 0;
	fire(&w, path);
	expect_silence(c);
}

static void test_coalesce(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	const void *data;
	struct msg w, v, m;

	WATCH(c, &w, "a", "t");
	WATCH(c, &v, "a", "u");
	fire(&w, "a");
	fire(&w, "a/b");
	fire(&v, "a");
	fire(&w, "a");		/* says nothing new */
	fire(&w, "a/b");
	expect_event(c, "a", "t");
	expect_event(c, "a/b", "t");
	expect_event(c, "a", "u");
	expect_silence(c);

	/* One that is under way does not stand for a later one. */
	fire(&w, "a");
	CU_ASSERT_TRUE(xb_client_output(c, &data) > 1);
	xb_client_sent(c, 1);
	fire(&w, "a");
	CU_ASSERT_TRUE(client_next(c, &m));
	expect_event(c, "a", "t");
	expect_silence(c);

	/* Nor does one of a former watch stand for the first of a new one. */
	fire(&w, "a");
	ASK(c, XS_UNWATCH, 1, 0, "a\0t");
	expect_ring(&m, XS_UNWATCH, 0);
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	ASK(c, XS_WATCH, 2, 0, "a\0t");
	expect_ring(&w, XS_WATCH, 0);
	ANSWER(XS_WATCH, w.hdr.req_id, "OK");
	fire(&w, "a");
	expect_event(c, "a", "t");
	expect_client(c, XS_UNWATCH, 1, "OK");
	expect_client(c, XS_WATCH, 2, "OK");
	expect_event(c, "a", "t");
}

static void test_overrun(void)
{
	struct xb_client *c = xb_client_add(mux, NULL), *d = xb_client_add(mux, NULL);
	struct msg wc, wd;
	char path[100];
	unsigned i;

	WATCH(c, &wc, "a", "t");
	WATCH(d, &wd, "a", "t");
	for (i = 0; i < XB_MAX_EVENT_BYTES / 16 && !xb_client_overrun(c); i++) {
		snprintf(path, sizeof(path), "a/%u", i);
		fire(&wc, path);
		fire(&wd, path);
		expect_event(d, path, "t");
	}
	CU_ASSERT_TRUE(xb_client_overrun(c));
	CU_ASSERT_FALSE(xb_client_overrun(d));
	CU_ASSERT_TRUE(i > 1000);
	CU_ASSERT_EQUAL(log_lines, 1);
	xb_client_gone(c);
	CU_ASSERT_TRUE(xb_client_wants_input(d));
}

/* ---- transactions ------------------------------------------------------- */

static void test_transaction(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;

	start_transaction(c, "12");
	ASK(c, XS_WRITE, 2, 12, "k\0v");
	expect_ring(&m, XS_WRITE, 12);
	/* Refused, so it goes on. */
	ASK(c, XS_TRANSACTION_END, 3, 12, "X");
	expect_ring(&m, XS_TRANSACTION_END, 12);
	ANSWER(XS_ERROR, m.hdr.req_id, "EINVAL");
	expect_client(c, XS_ERROR, 3, "EINVAL");
	CU_ASSERT_EQUAL(count().transactions, 1);
	ASK(c, XS_TRANSACTION_END, 4, 12, "T");
	expect_ring(&m, XS_TRANSACTION_END, 12);
	CU_ASSERT_STRING_EQUAL(m.body, "T");
	ANSWER(XS_ERROR, m.hdr.req_id, "EAGAIN");
	expect_client(c, XS_ERROR, 4, "EAGAIN");
	CU_ASSERT_EQUAL(count().transactions, 0);
	xb_client_gone(c);
	expect_quiet_ring();
}

static void test_foreign_transaction(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);

	start_transaction(a, "12");
	ASK(b, XS_WRITE, 2, 12, "k\0v");
	expect_client(b, XS_ERROR, 2, "ENOENT");
	ASK(b, XS_TRANSACTION_END, 3, 12, "F");
	expect_client(b, XS_ERROR, 3, "ENOENT");
	expect_quiet_ring();
	CU_ASSERT_EQUAL(count().transactions, 1);
}

/* ---- clients that go ---------------------------------------------------- */

static void test_death(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);
	struct msg w1, w2, m, read;

	WATCH(a, &w1, "p", "t");
	WATCH(a, &w2, "q", "t");
	WATCH(b, &m, "p", "t");
	start_transaction(a, "3");
	start_transaction(b, "4");
	start_transaction(a, "5");
	ASK(a, XS_READ, 1, 3, "k");
	xb_client_gone(a);

	expect_ring(&read, XS_READ, 3);
	expect_ring(&m, XS_TRANSACTION_END, 3);
	CU_ASSERT_EQUAL(m.hdr.len, 2);
	CU_ASSERT_STRING_EQUAL(m.body, "F");
	ANSWER(XS_READ, read.hdr.req_id, "nobody reads this");
	ANSWER(XS_TRANSACTION_END, m.hdr.req_id, "OK");
	expect_ring(&m, XS_TRANSACTION_END, 5);
	ANSWER(XS_TRANSACTION_END, m.hdr.req_id, "OK");
	fire(&w2, "q");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&w1));
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&w2));
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	expect_quiet_ring();
	expect_silence(b);
	CU_ASSERT_EQUAL(count().clients, 1);
	CU_ASSERT_EQUAL(count().watches, 1);
	CU_ASSERT_EQUAL(count().transactions, 1);
	CU_ASSERT_EQUAL(count().requests, 0);
	CU_ASSERT_EQUAL(log_lines, 0);
}

/* It goes while the store still works on its watch and its transaction. */
static void test_death_half_way(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg watch, start, m;

	ASK(c, XS_WATCH, 1, 0, "p\0t");
	ASK(c, XS_TRANSACTION_START, 2, 0, "");
	ASK(c, XS_WATCH, 3, 0, "q\0t");
	CU_ASSERT_EQUAL(xb_client_input(c, "half a header", 5), 0);
	xb_client_gone(c);
	expect_ring(&watch, XS_WATCH, 0);
	ANSWER(XS_WATCH, watch.hdr.req_id, "OK");
	expect_ring(&start, XS_TRANSACTION_START, 0);
	ANSWER(XS_TRANSACTION_START, start.hdr.req_id, "99");
	expect_ring(&m, XS_WATCH, 0);
	ANSWER(XS_ERROR, m.hdr.req_id, "E2BIG");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&watch));
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	expect_ring(&m, XS_UNWATCH, 0);
	ANSWER(XS_ERROR, m.hdr.req_id, "ENOENT");
	expect_ring(&m, XS_TRANSACTION_END, 99);
	CU_ASSERT_STRING_EQUAL(m.body, "F");
	ANSWER(XS_TRANSACTION_END, m.hdr.req_id, "OK");
	expect_quiet_ring();
	CU_ASSERT_EQUAL(count().watches + count().transactions + count().requests, 0);
}

/* Its commit is under way: it counts, and nothing is aborted. */
static void test_death_in_commit(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;

	start_transaction(c, "3");
	ASK(c, XS_TRANSACTION_END, 1, 3, "T");
	xb_client_gone(c);
	expect_ring(&m, XS_TRANSACTION_END, 3);
	CU_ASSERT_STRING_EQUAL(m.body, "T");
	expect_quiet_ring();
}

static void test_reset_watches(void)
{
	struct xb_client *a = xb_client_add(mux, NULL), *b = xb_client_add(mux, NULL);
	struct msg wa, wb, m;

	WATCH(a, &wa, "p", "t");
	WATCH(b, &wb, "p", "t");
	start_transaction(a, "3");
	start_transaction(b, "4");
	ASK(a, XS_RESET_WATCHES, 6, 0, "");
	expect_client(a, XS_RESET_WATCHES, 6, "OK");
	expect_ring(&m, XS_TRANSACTION_END, 3);
	ANSWER(XS_TRANSACTION_END, m.hdr.req_id, "OK");
	expect_ring(&m, XS_UNWATCH, 0);
	CU_ASSERT_STRING_EQUAL(token_of(&m), token_of(&wa));
	ANSWER(XS_UNWATCH, m.hdr.req_id, "OK");
	expect_quiet_ring();
	expect_silence(a);
	fire(&wb, "p");
	expect_event(b, "p", "t");
	CU_ASSERT_EQUAL(count().transactions, 1);
}

/* ---- fault rules -------------------------------------------------------- */

static void test_fault(void)
{
	int me, you;
	struct xb_client *a = xb_client_add(mux, &me), *b = xb_client_add(mux, &you);
	struct msg m;

	fail_type = XS_WRITE;
	fail_errno = ENOSPC;
	fail_cookie = &me;
	ASK(a, XS_WRITE, 1, 0, "k\0v");
	expect_client(a, XS_ERROR, 1, "ENOSPC");
	expect_quiet_ring();
	ASK(b, XS_WRITE, 1, 0, "k\0v");
	expect_ring(&m, XS_WRITE, 0);
	fail_errno = ENOTTY;		/* the protocol has no name for it */
	ASK(a, XS_WRITE, 2, 0, "k\0v");
	expect_client(a, XS_ERROR, 2, "EIO");
	CU_ASSERT_EQUAL(count().requests, 1);
}

static void test_fault_in_commit(void)
{
	struct xb_client *c = xb_client_add(mux, NULL);
	struct msg m;

	start_transaction(c, "3");
	fail_type = XS_TRANSACTION_END;
	fail_errno = EAGAIN;
	fail_cookie = NULL;
	ASK(c, XS_TRANSACTION_END, 1, 3, "T");
	expect_client(c, XS_ERROR, 1, "EAGAIN");
	expect_ring(&m, XS_TRANSACTION_END, 3);
	CU_ASSERT_STRING_EQUAL(m.body, "F");
	ANSWER(XS_TRANSACTION_END, m.hdr.req_id, "OK");
	expect_silence(c);
	CU_ASSERT_EQUAL(count().transactions, 0);
}

/* ---- the ring page ------------------------------------------------------ */

/* Real traffic through a page: every message crosses the end of the ring. */
static void test_ring_and_mux(void)
{
	static struct xenstore_domain_interface r;
	static char sent[20 * 1024], got[20 * 1024];
	struct xb_client *c = xb_client_add(mux, NULL);
	size_t nr_sent = 0, nr_got = 0;
	const void *data;
	unsigned i;
	void *room;
	int n;

	memset(&r, 0, sizeof(r));
	r.req_cons = r.req_prod = 0xfffffd00;
	for (i = 0; i < 15; i++) {
		char body[1100];

		memset(body, 'a' + i, sizeof(body));
		CU_ASSERT_EQUAL(ask_bytes(c, XS_WRITE, i, 0, body, sizeof(body)), 0);
	}
	while (xb_mux_ring_output(mux, &data) || r.req_prod != r.req_cons) {
		size_t want = xb_mux_ring_output(mux, &data);

		n = xb_ring_writable(&r, &room);
		if (want < (size_t)n)
			n = want;
		memcpy(room, data, n);
		memcpy(sent + nr_sent, data, n);
		nr_sent += n;
		xb_ring_produced(&r, n);
		xb_mux_ring_sent(mux, n);
		/* The store reads a few bytes of it. */
		for (n = 0; n < 333 && r.req_cons != r.req_prod; n++)
			got[nr_got++] = r.req[MASK_XENSTORE_IDX(r.req_cons++)];
	}
	CU_ASSERT_EQUAL(nr_sent, 15 * (1100 + sizeof(struct xsd_sockmsg)));
	CU_ASSERT_EQUAL(nr_got, nr_sent);
	CU_ASSERT_EQUAL(memcmp(sent, got, nr_sent), 0);
}

int main(void)
{
	CU_TestInfo mux_tests[] = {
		{ "two clients use one request id", test_same_req_id },
		{ "messages cut at every byte", test_cut_anywhere },
		{ "many requests in one read", test_many_in_one_read },
		{ "the tool stack's requests just pass", test_privileged_pass },
		{ "garbage ends one client only", test_garbage },
		{ "the longest payload passes", test_longest_payload },
		{ "a store that talks nonsense", test_insane_store },
		{ "requests outstanding are bounded", test_request_limit },
		{ "unread replies are bounded", test_unread_replies },
		{ "bytes waiting for the ring are bounded", test_ring_backlog },
		{ "two clients, one path, one token", test_same_path_and_token },
		{ "a watch twice, relative and absolute", test_watch_twice },
		{ "malformed watch requests", test_watch_malformed },
		{ "a watch the store refuses", test_watch_refused },
		{ "the longest token", test_long_token },
		{ "equal events waiting are one", test_coalesce },
		{ "events waiting are bounded", test_overrun },
		{ "a transaction from start to end", test_transaction },
		{ "another client's transaction", test_foreign_transaction },
		{ "a dead client leaves nothing", test_death },
		{ "a client dies before it is answered", test_death_half_way },
		{ "a client dies in its commit", test_death_in_commit },
		{ "resetting watches is private", test_reset_watches },
		{ "a fault rule hits one client", test_fault },
		{ "a fault rule hits a commit", test_fault_in_commit },
		{ "messages through a ring page", test_ring_and_mux },
		CU_TEST_INFO_NULL
	};
	CU_SuiteInfo suites[] = {
		{ "xenbus", NULL, NULL, setup, teardown, mux_tests },
		CU_SUITE_INFO_NULL
	};

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	if (CU_register_suites(suites) != CUE_SUCCESS)
		return 99;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	return CU_get_number_of_failures() ? 1 : 0;
}
