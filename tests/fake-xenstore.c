/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store inside the test's own process.
 *
 * Hides: that a transaction is a copy of the whole tree, and that the tree is
 * a list. Must not know: devices, keys.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake-xenstore.h"

#define PATH_BYTES 512
#define PERMS_MAX 8

struct node {
	struct node *next;
	char *path;
	char *value;
	unsigned int len;
	unsigned int nr_perms;
	struct xs_permissions perms[PERMS_MAX];
};

struct change {
	struct change *next;
	char *path;
	bool removed;
};

struct transaction {
	struct transaction *next;
	xs_transaction_t id;
	struct node *tree;
	struct change *changes;
	unsigned long generation;
};

struct event {
	struct event *next;
	char *path, *token;
};

struct watch {
	struct watch *next;
	char *path, *token;	/* path: absolute */
	size_t strip;		/* of a relative watch, from reported paths */
};

struct xs_handle {
	struct xs_handle *next;
	unsigned int domid;
	int fd;
	struct watch *watches;
	struct event *events, **events_end;
	struct transaction *transactions;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static struct node *tree;
static struct xs_handle *handles;
static unsigned long generation;
static xs_transaction_t last_id;
static unsigned int refuse_commits, fail_nth, requests;
static int fail_errno, refuse_watches;
static struct {
	char path[PATH_BYTES], value[64];
	unsigned int nth;
} change;

/* ---- trees --------------------------------------------------------------- */

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct node *find(struct node *t, const char *path)
{
	while (t && strcmp(t->path, path))
		t = t->next;
	return t;
}

static void free_node(struct node *n)
{
	free(n->path);
	free(n->value);
	free(n);
}

static void free_tree(struct node *t)
{
	struct node *next;

	for (; t; t = next) {
		next = t->next;
		free_node(t);
	}
}

static struct node *copy_tree(const struct node *t)
{
	struct node *copy = NULL, **end = &copy;

	for (; t; t = t->next) {
		struct node *n = must(malloc(sizeof(*n)));

		*n = *t;
		n->path = must(strdup(t->path));
		n->value = must(malloc(t->len + 1u));
		memcpy(n->value, t->value, t->len + 1u);
		n->next = NULL;
		*end = n;
		end = &n->next;
	}
	return copy;
}

/* Whether path is at or below top. */
static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (!strcmp(top, "/"))
		return true;
	return !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

static void parent_of(const char *path, char *parent)
{
	strcpy(parent, path);
	*strrchr(parent, '/') = '\0';
	if (!*parent)
		strcpy(parent, "/");
}

static void set_value(struct node *n, const void *value, unsigned int len)
{
	free(n->value);
	n->value = must(malloc(len + 1u));
	memcpy(n->value, value, len);
	n->value[len] = '\0';
	n->len = len;
}

static struct node *root(struct node **t)
{
	struct node *n = find(*t, "/");

	if (n)
		return n;
	n = must(calloc(1, sizeof(*n)));
	n->path = must(strdup("/"));
	set_value(n, "", 0);
	n->nr_perms = 1;
	n->perms[0] = (struct xs_permissions){ .id = 0, .perms = XS_PERM_NONE };
	n->next = *t;
	return *t = n;
}

/* ---- permissions --------------------------------------------------------- */

static bool may(const struct node *n, unsigned int domid, unsigned int want)
{
	unsigned int i, has = n->perms[0].perms;

	if (domid == 0 || n->perms[0].id == domid)
		return true;
	for (i = 1; i < n->nr_perms; i++)
		if (n->perms[i].id == domid)
			has = n->perms[i].perms;
	return has & want;
}

/* The node itself, or the nearest parent that exists, decides. */
static bool may_write(struct node **t, const char *path, unsigned int domid)
{
	char at[PATH_BYTES];
	struct node *n;

	strcpy(at, path);
	while (!(n = find(*t, at)) && strcmp(at, "/")) {
		char up[PATH_BYTES];

		parent_of(at, up);
		strcpy(at, up);
	}
	return may(n ? n : root(t), domid, XS_PERM_WRITE);
}

static struct node *make(struct node **t, const char *path, unsigned int domid)
{
	char up[PATH_BYTES];
	struct node *n = find(*t, path), *parent;

	if (n)
		return n;
	if (!strcmp(path, "/"))
		return root(t);
	parent_of(path, up);
	parent = make(t, up, domid);
	n = must(calloc(1, sizeof(*n)));
	n->path = must(strdup(path));
	set_value(n, "", 0);
	n->nr_perms = parent->nr_perms;
	memcpy(n->perms, parent->perms, sizeof(n->perms));
	if (domid)
		n->perms[0].id = domid;
	n->next = parent->next;
	return parent->next = n;
}

/* ---- watches ------------------------------------------------------------- */

static void queue_event(struct xs_handle *h, const struct watch *w, const char *path)
{
	struct event *e = must(calloc(1, sizeof(*e)));
	uint64_t one = 1;

	e->path = must(strdup(path + w->strip));
	e->token = must(strdup(w->token));
	*h->events_end = e;
	h->events_end = &e->next;
	if (write(h->fd, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_cond_broadcast(&woken);
}

static void fire(const char *path, bool removed)
{
	struct xs_handle *h;
	struct watch *w;

	generation++;
	for (h = handles; h; h = h->next) {
		for (w = h->watches; w; w = w->next) {
			if (is_below(path, w->path))
				queue_event(h, w, path);
			else if (removed && is_below(w->path, path))
				queue_event(h, w, w->path);
		}
	}
}

/* Outside a transaction at once, inside when it commits. */
static void changed(struct transaction *t, const char *path, bool removed)
{
	struct change *c, **end;

	if (!t) {
		fire(path, removed);
		return;
	}
	c = must(calloc(1, sizeof(*c)));
	c->path = must(strdup(path));
	c->removed = removed;
	for (end = &t->changes; *end; end = &(*end)->next)
		;
	*end = c;
}

/* ---- requests ------------------------------------------------------------ */

struct request {
	struct xs_handle *h;
	struct transaction *t;
	struct node **tree;
	char path[PATH_BYTES];
};

static struct transaction *find_transaction(struct xs_handle *h, xs_transaction_t id)
{
	struct transaction *t = h->transactions;

	while (t && t->id != id)
		t = t->next;
	return t;
}

static void absolute(const struct xs_handle *h, const char *path, char *out)
{
	if (*path == '/' || *path == '@')
		snprintf(out, PATH_BYTES, "%s", path);
	else
		snprintf(out, PATH_BYTES, "/local/domain/%u/%s", h->domid, path);
}

static bool count_request(void)
{
	requests++;
	if (!fail_nth || --fail_nth)
		return true;
	errno = fail_errno;
	return false;
}

/* Takes the lock in any case. */
static bool begin(struct request *r, struct xs_handle *h, xs_transaction_t id,
		  const char *path)
{
	size_t n;

	pthread_mutex_lock(&lock);
	r->h = h;
	r->t = id ? find_transaction(h, id) : NULL;
	r->tree = r->t ? &r->t->tree : &tree;
	absolute(h, path, r->path);
	root(r->tree);
	if (!count_request())
		return false;
	n = strlen(r->path);
	if ((id && !r->t) || (n > 1 && r->path[n - 1] == '/') ||
	    strstr(r->path, "//")) {
		errno = id && !r->t ? ENOENT : EINVAL;
		return false;
	}
	return true;
}

static struct node *readable(struct request *r)
{
	struct node *n = find(*r->tree, r->path);

	if (!n)
		errno = ENOENT;
	else if (!may(n, r->h->domid, XS_PERM_READ))
		errno = EACCES;
	else
		return n;
	return NULL;
}

static bool writable(struct request *r)
{
	if (may_write(r->tree, r->path, r->h->domid))
		return true;
	errno = EACCES;
	return false;
}

static void change_after(const struct request *r)
{
	if (r->t || !change.nth || strcmp(r->path, change.path) || --change.nth)
		return;
	set_value(make(r->tree, r->path, 0), change.value, (unsigned int)strlen(change.value));
}

void *xs_read(struct xs_handle *h, xs_transaction_t id, const char *path,
	      unsigned int *len)
{
	struct request r;
	struct node *n;
	char *copy = NULL;

	if (begin(&r, h, id, path) && (n = readable(&r))) {
		copy = must(malloc(n->len + 1u));
		memcpy(copy, n->value, n->len + 1u);
		if (len)
			*len = n->len;
		change_after(&r);
	}
	pthread_mutex_unlock(&lock);
	return copy;
}

bool xs_write(struct xs_handle *h, xs_transaction_t id, const char *path,
	      const void *data, unsigned int len)
{
	struct request r;
	bool ok = begin(&r, h, id, path) && writable(&r);

	if (ok) {
		set_value(make(r.tree, r.path, h->domid), data, len);
		changed(r.t, r.path, false);
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t id, const char *path)
{
	struct request r;
	bool ok = begin(&r, h, id, path);

	if (ok && !find(*r.tree, r.path)) {
		ok = writable(&r);
		if (ok) {
			make(r.tree, r.path, h->domid);
			changed(r.t, r.path, false);
		}
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t id, const char *path)
{
	struct node **at, *n;
	char up[PATH_BYTES];
	struct request r;
	bool ok = begin(&r, h, id, path);

	if (ok && !find(*r.tree, r.path)) {
		/* As xenstored has it: fine below an existing parent. */
		parent_of(r.path, up);
		ok = find(*r.tree, up);
		if (!ok)
			errno = ENOENT;
		pthread_mutex_unlock(&lock);
		return ok;
	}
	ok = ok && writable(&r);
	for (at = r.tree; ok && (n = *at);) {
		if (!is_below(n->path, r.path)) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		free_node(n);
	}
	if (ok)
		changed(r.t, r.path, true);
	pthread_mutex_unlock(&lock);
	return ok;
}

/* The names below dir: one block of pointers and texts, freed at once. */
static char **list(const struct node *t, const char *dir, unsigned int *num)
{
	size_t top = strcmp(dir, "/") ? strlen(dir) : 0, bytes = 0;
	const struct node *n;
	char **out, *text;

	*num = 0;
	for (n = t; n; n = n->next) {
		if (!is_below(n->path, dir) || strlen(n->path) <= top + 1 ||
		    strchr(n->path + top + 1, '/'))
			continue;
		++*num;
		bytes += strlen(n->path + top);
	}
	out = must(malloc(*num * sizeof(*out) + bytes + 1));
	text = (char *)(out + *num);
	*num = 0;
	for (n = t; n; n = n->next) {
		if (!is_below(n->path, dir) || strlen(n->path) <= top + 1 ||
		    strchr(n->path + top + 1, '/'))
			continue;
		out[(*num)++] = strcpy(text, n->path + top + 1);
		text += strlen(text) + 1;
	}
	return out;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t id, const char *path,
		    unsigned int *num)
{
	struct request r;
	char **out = NULL;

	if (begin(&r, h, id, path) && readable(&r))
		out = list(*r.tree, r.path, num);
	pthread_mutex_unlock(&lock);
	return out;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t id, const char *path,
			struct xs_permissions *perms, unsigned int nr)
{
	struct request r;
	struct node *n = NULL;

	if (begin(&r, h, id, path) && writable(&r) && (n = readable(&r))) {
		n->nr_perms = nr < PERMS_MAX ? nr : PERMS_MAX;
		memcpy(n->perms, perms, n->nr_perms * sizeof(*perms));
		changed(r.t, r.path, false);
	}
	pthread_mutex_unlock(&lock);
	return n;
}

/* ---- transactions -------------------------------------------------------- */

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	struct transaction *t;
	struct request r;

	if (!begin(&r, h, XBT_NULL, "/")) {
		pthread_mutex_unlock(&lock);
		return XBT_NULL;
	}
	t = must(calloc(1, sizeof(*t)));
	t->id = ++last_id;
	t->tree = copy_tree(tree);
	t->generation = generation;
	t->next = h->transactions;
	h->transactions = t;
	pthread_mutex_unlock(&lock);
	return t->id;
}

static void free_transaction(struct transaction *t, bool commit)
{
	struct change *c;

	while ((c = t->changes)) {
		t->changes = c->next;
		if (commit)
			fire(c->path, c->removed);
		free(c->path);
		free(c);
	}
	free_tree(t->tree);
	free(t);
}

static bool end_transaction(struct transaction *t, bool abandon)
{
	bool stale = t->generation != generation || refuse_commits;

	if (refuse_commits && !abandon)
		refuse_commits--;
	if (!abandon && !stale) {
		free_tree(tree);
		tree = t->tree;
		t->tree = NULL;
	}
	free_transaction(t, !abandon && !stale);
	if (!abandon && stale)
		errno = EAGAIN;
	return abandon || !stale;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t id, bool abandon)
{
	struct transaction *t, **at;
	struct request r;
	bool ok = begin(&r, h, id, "/");

	for (at = &h->transactions; *at && (*at)->id != id; at = &(*at)->next)
		;
	t = *at;
	if (t) {
		*at = t->next;
		/* A request that failed on its way has ended it all the same. */
		ok = end_transaction(t, abandon || !ok) && ok;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

/* ---- handles and their watches ------------------------------------------- */

struct xs_handle *fake_xs_open(unsigned int domid)
{
	struct xs_handle *h = must(calloc(1, sizeof(*h)));

	h->domid = domid;
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->fd < 0)
		abort();
	h->events_end = &h->events;
	pthread_mutex_lock(&lock);
	h->next = handles;
	handles = h;
	pthread_mutex_unlock(&lock);
	return h;
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	return fake_xs_open(0);
}

static void free_watch(struct watch *w)
{
	free(w->path);
	free(w->token);
	free(w);
}

static struct event *take_event(struct xs_handle *h)
{
	struct event *e = h->events;
	uint64_t all;

	if (!e)
		return NULL;
	h->events = e->next;
	if (!h->events) {
		h->events_end = &h->events;
		if (read(h->fd, &all, sizeof(all)) != sizeof(all))
			abort();
	}
	return e;
}

static void free_event(struct event *e)
{
	free(e->path);
	free(e->token);
	free(e);
}

void xs_close(struct xs_handle *h)
{
	struct xs_handle **at;
	struct transaction *t;
	struct watch *w;
	struct event *e;

	if (!h)
		return;
	pthread_mutex_lock(&lock);
	for (at = &handles; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	while ((t = h->transactions)) {
		h->transactions = t->next;
		free_transaction(t, false);
	}
	while ((w = h->watches)) {
		h->watches = w->next;
		free_watch(w);
	}
	while ((e = take_event(h)))
		free_event(e);
	pthread_mutex_unlock(&lock);
	close(h->fd);
	free(h);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	char full[PATH_BYTES];
	struct watch *w;
	bool ok;

	pthread_mutex_lock(&lock);
	ok = count_request() && !refuse_watches;
	if (!ok && refuse_watches)
		errno = refuse_watches;
	if (ok) {
		absolute(h, path, full);
		w = must(calloc(1, sizeof(*w)));
		w->path = must(strdup(full));
		w->token = must(strdup(token));
		w->strip = strlen(full) - strlen(path);
		w->next = h->watches;
		h->watches = w;
		queue_event(h, w, full);
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	char full[PATH_BYTES];
	struct watch **at, *w;

	pthread_mutex_lock(&lock);
	absolute(h, path, full);
	for (at = &h->watches; (w = *at); at = &w->next)
		if (!strcmp(w->path, full) && !strcmp(w->token, token))
			break;
	if (w) {
		*at = w->next;
		free_watch(w);
	} else {
		errno = ENOENT;
	}
	pthread_mutex_unlock(&lock);
	return w;
}

int xs_fileno(struct xs_handle *h)
{
	return h->fd;
}

/* The event as libxenstore gives it: one block, [0] path, [1] token. */
static char **event_as_array(struct event *e)
{
	size_t path = strlen(e->path) + 1, token = strlen(e->token) + 1;
	char **out = must(malloc(2 * sizeof(*out) + path + token));

	out[XS_WATCH_PATH] = memcpy(out + 2, e->path, path);
	out[XS_WATCH_TOKEN] = memcpy((char *)(out + 2) + path, e->token, token);
	free_event(e);
	return out;
}

char **xs_check_watch(struct xs_handle *h)
{
	struct event *e;

	pthread_mutex_lock(&lock);
	e = take_event(h);
	pthread_mutex_unlock(&lock);
	if (e)
		return event_as_array(e);
	errno = EAGAIN;
	return NULL;
}

char **xs_read_watch(struct xs_handle *h, unsigned int *num)
{
	struct event *e;

	pthread_mutex_lock(&lock);
	while (!(e = take_event(h)))
		pthread_cond_wait(&woken, &lock);
	pthread_mutex_unlock(&lock);
	*num = 2;
	return event_as_array(e);
}

/* ---- for tests ----------------------------------------------------------- */

void fake_xs_reset(void)
{
	if (handles)
		abort();
	free_tree(tree);
	tree = NULL;
	generation = 0;
	refuse_commits = fail_nth = requests = change.nth = 0;
	fail_errno = refuse_watches = 0;
}

void fake_xs_refuse_commits(unsigned int nr)
{
	refuse_commits = nr;
}

void fake_xs_refuse_watches(int err)
{
	refuse_watches = err;
}

void fake_xs_fail_nth(unsigned int nth, int err)
{
	fail_nth = nth;
	fail_errno = err;
}

unsigned int fake_xs_requests(void)
{
	return requests;
}

unsigned int fake_xs_open_transactions(void)
{
	struct transaction *t;
	struct xs_handle *h;
	unsigned int nr = 0;

	for (h = handles; h; h = h->next)
		for (t = h->transactions; t; t = t->next)
			nr++;
	return nr;
}

void fake_xs_put_bytes(const char *path, const void *value, unsigned int len)
{
	pthread_mutex_lock(&lock);
	root(&tree);
	set_value(make(&tree, path, 0), value, len);
	fire(path, false);
	pthread_mutex_unlock(&lock);
}

void fake_xs_put_unheard(const char *path, const char *value)
{
	pthread_mutex_lock(&lock);
	root(&tree);
	set_value(make(&tree, path, 0), value, (unsigned int)strlen(value));
	pthread_mutex_unlock(&lock);
}

void fake_xs_change_after(const char *path, unsigned int nth, const char *value)
{
	pthread_mutex_lock(&lock);
	snprintf(change.path, sizeof(change.path), "%s", path);
	snprintf(change.value, sizeof(change.value), "%s", value);
	change.nth = nth;
	pthread_mutex_unlock(&lock);
}

void fake_xs_put(const char *path, const char *value)
{
	fake_xs_put_bytes(path, value, (unsigned int)strlen(value));
}

const char *fake_xs_get(const char *path)
{
	static char copy[4096];
	struct node *n;

	pthread_mutex_lock(&lock);
	n = find(tree, path);
	if (n)
		snprintf(copy, sizeof(copy), "%s", n->value);
	pthread_mutex_unlock(&lock);
	return n ? copy : NULL;
}

const char *fake_xs_perms(const char *path)
{
	static const char letter[] = "nrwb";
	static char text[64];
	const struct node *n = find(tree, path);
	unsigned int i;
	int used = 0;

	if (!n)
		return NULL;
	for (i = 0; i < n->nr_perms; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%c%u",
				 letter[n->perms[i].perms & 3], n->perms[i].id);
	return text;
}

unsigned int fake_xs_count(void)
{
	const struct node *n;
	unsigned int nr = 0;

	for (n = tree; n; n = n->next)
		nr += strcmp(n->path, "/") != 0;
	return nr;
}
