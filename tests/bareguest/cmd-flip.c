/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command flip: pages that a domain transfers to this one, without any device
 * between. The numbers of the entries stand in XenStore, and who transfers writes
 * how far he is. Hides what the pages hold; shows that the hypervisor does it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"

#define DIR "data/flip"
#define ENTRIES_MAX 256u
#define WAIT_MS 60000

static int write_number(const char *path, uint64_t v)
{
	char text[24];
	int n = format(text, sizeof(text), "%lu", v);

	return xs_write(front_env()->xs, XBT_NULL, path, text, (unsigned int)n) ? 0 : -errno;
}

static int let_peer_write(uint32_t domid)
{
	struct xs_permissions p[2] = { { .perms = XS_PERM_NONE },
				       { .id = domid, .perms = XS_PERM_READ | XS_PERM_WRITE } };
	char *own = xs_read(front_env()->xs, XBT_NULL, "domid", NULL);
	uint64_t id = 0;
	bool ok = own && number(own, &id);

	free(own);
	p[0].id = (unsigned int)id;
	return ok && xs_set_permissions(front_env()->xs, XBT_NULL, DIR, p, 2) ? 0 : -EIO;
}

/* "GREF GREF ..." for who transfers. */
static int publish(const uint32_t *gref, unsigned int nr)
{
	static char list[ENTRIES_MAX * 6 + 1];
	unsigned int i;
	int n = 0;

	for (i = 0; i < nr; i++)
		n += format(list + n, sizeof(list) - (size_t)n, "%u ", gref[i]);
	if (!xs_write(front_env()->xs, XBT_NULL, DIR "/grefs", list, (unsigned int)n))
		return -errno;
	return write_number(DIR "/nr", nr);
}

/* With disturbance there is no rest. */
static int wait_for_peer(bool disturb)
{
	struct xs_handle *xs = front_env()->xs;
	int left = WAIT_MS, no_time;
	char *done;

	if (!xs_watch(xs, DIR "/done", "flip"))
		return -errno;
	while (!(done = xs_read(xs, XBT_NULL, DIR "/done", NULL))) {
		no_time = 0;
		flip_disturb();
		if (front_env()->wait(NULL, FRONT_WAIT_STORE, disturb ? &no_time : &left) <= 0 &&
		    !disturb)
			break;
		free(xs_check_watch(xs));
	}
	xs_unwatch(xs, DIR "/done", "flip");
	if (!done) {
		say("flip: nobody transferred anything\n");
		return -ETIMEDOUT;
	}
	free(done);
	return 0;
}

/* Each page says in its first word which one it is, and in all others that plus the place. */
static unsigned int wrong_words(const uint64_t *page, uint64_t id)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		wrong += page[i] != id + i * UINT64_C(0x0001000100010001);
	return wrong;
}

static int take_all(const uint32_t *gref, unsigned int nr, unsigned int *got)
{
	void *page[ENTRIES_MAX];
	unsigned int i, wrong = 0;
	int r;

	for (i = 0; i < nr; i++) {
		page[i] = NULL;
		while ((r = flip_ops.take(NULL, gref[i], page + i)) == -EAGAIN)
			;
		if (r < 0)
			return r;
	}
	r = flip_ops.flush(NULL);
	for (i = 0; i < nr; i++)
		if (page[i]) {
			wrong += wrong_words(page[i], gref[i]);
			flip_ops.give(NULL, page[i]);
			++*got;
		}
	say("flip: %u of %u pages came, %u words wrong\n", *got, nr, wrong);
	if (r == 0)
		r = flip_ops.flush(NULL);
	return r < 0 ? r : wrong ? -EIO : 0;
}

static int round_of(uint32_t domid, unsigned int nr, enum flip_how how, unsigned int *got)
{
	uint32_t gref[ENTRIES_MAX];
	int r;

	xs_rm(front_env()->xs, XBT_NULL, DIR);
	xs_write(front_env()->xs, XBT_NULL, DIR, "", 0);
	r = let_peer_write(domid);
	if (r == 0)
		r = flip_ops.offer(NULL, domid, nr, gref);
	if (r < 0)
		return r;
	r = publish(gref, nr);
	if (r == 0)
		r = wait_for_peer(how == FLIP_UNSTABLE);
	xs_rm(front_env()->xs, XBT_NULL, DIR);	/* before the result, which may start another */
	return r < 0 ? r : take_all(gref, nr, got);
}

int cmd_flip(const struct words *w)
{
	unsigned int got = 0, grants = grants_used();
	enum flip_how how = FLIP_WELL;
	struct flip_counts c;
	uint64_t nr, domid;
	int r;

	if (w->nr < 4 || strcmp(w->word[1], "receive") || !number(w->word[2], &nr) || !nr ||
	    nr > ENTRIES_MAX || !number(w->word[3], &domid) ||
	    (w->nr > 4 && !flip_how(w->word[4], &how)))
		return usage("flip receive NR DOMID [full|access|other|unstable]");
	flip_be(how);
	r = round_of((uint32_t)domid, (unsigned int)nr, how, &got);
	flip_counts(&c);
	say("flip: %lu offered, %lu taken, %lu none, %lu given, %lu hypercalls\n", c.offered,
	    c.taken, c.none, c.given, c.hypercalls);
	if (r == 0 && (grants_used() != grants || c.held))
		r = -EBUSY;
	return r < 0 ? r : how != FLIP_WELL || got == nr ? 0 : -EIO;
}
