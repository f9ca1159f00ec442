/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxenstore by calls to the monitor, which is a client of the domain's store. Only
 * for opening and closing: nothing here is on the data path. Hides the calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "guest-xen.h"

#define VALUE_MAX 4096u

static char value[VALUE_MAX + 1];
static uint64_t store_seen;	/* interrupts that were followed by an empty check */
static bool store_news = true;

struct xs_handle {
	int unused;
};

struct xs_handle *xs_open(unsigned long flags)
{
	static struct xs_handle handle;

	(void)flags;
	return &handle;
}

void xs_close(struct xs_handle *xsh)
{
	(void)xsh;
}

int xs_fileno(struct xs_handle *xsh)
{
	(void)xsh;
	return -1;
}

static int64_t store_call(uint64_t nr, uint64_t t, const char *path, const void *data,
			  uint64_t bytes)
{
	int64_t r = call(nr, t, (uint64_t)path, path ? strlen(path) : 0, (uint64_t)data, bytes);

	if (r < 0)
		errno = (int)-r;
	return r;
}

static void *copy_of(const char *from, size_t bytes)
{
	char *to = malloc(bytes + 1);

	if (!to) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(to, from, bytes);
	to[bytes] = 0;
	return to;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
	int64_t n = store_call(CMP_CALL_XS_READ, t, path, value, VALUE_MAX);

	(void)h;
	if (n < 0)
		return NULL;
	if (len)
		*len = (unsigned int)n;
	return copy_of(value, (size_t)n);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	(void)h;
	return store_call(CMP_CALL_XS_WRITE, t, path, data, len) >= 0;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	(void)h;
	return store_call(CMP_CALL_XS_RM, t, path, NULL, 0) >= 0;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int num_perms)
{
	(void)h;
	return store_call(CMP_CALL_XS_PERMS, t, path, perms, num_perms) >= 0;
}

/* One allocation: pointers, then texts, as libxenstore gives it. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
		    unsigned int *num)
{
	int64_t n = store_call(CMP_CALL_XS_DIRECTORY, t, path, value, VALUE_MAX);
	unsigned int nr = 0;
	char **list, *text;

	(void)h;
	if (n < 0)
		return NULL;
	for (int64_t i = 0; i < n; i++)
		nr += !value[i];
	list = malloc((nr + 1) * sizeof(*list) + (size_t)n);
	if (!list) {
		errno = ENOMEM;
		return NULL;
	}
	text = (char *)(list + nr + 1);
	memcpy(text, value, (size_t)n);
	for (unsigned int i = 0; i < nr; i++, text += strlen(text) + 1)
		list[i] = text;
	*num = nr;
	return list;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	int64_t t = store_call(CMP_CALL_XS_START, 0, NULL, NULL, 0);

	(void)h;
	return t < 0 ? XBT_NULL : (xs_transaction_t)t;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	(void)h;
	return store_call(CMP_CALL_XS_END, t, NULL, NULL, abort) >= 0;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	return store_call(CMP_CALL_XS_WATCH, 0, path, token, strlen(token)) >= 0;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	return store_call(CMP_CALL_XS_UNWATCH, 0, path, token, strlen(token)) >= 0;
}

/* The monitor interrupts after each check that found nothing, once there is something. */
bool store_ready(void)
{
	return store_news || irq_count(CMP_VECTOR_STORE) != store_seen;
}

char **xs_check_watch(struct xs_handle *h)
{
	uint64_t irqs = irq_count(CMP_VECTOR_STORE);
	int64_t n = call(CMP_CALL_XS_CHECK, 0, (uint64_t)value, VALUE_MAX, 0, 0);
	char **list;

	(void)h;
	store_news = n >= 0;
	if (n < 0) {
		store_seen = irqs;
		errno = EAGAIN;
		return NULL;
	}
	list = malloc(2 * sizeof(*list) + (size_t)n);
	if (!list)
		give_up(-ENOMEM, "no memory for a watch event");
	memcpy(list + 2, value, (size_t)n);
	list[XS_WATCH_PATH] = (char *)(list + 2);
	list[XS_WATCH_TOKEN] = list[XS_WATCH_PATH] + strlen(list[XS_WATCH_PATH]) + 1;
	return list;
}
