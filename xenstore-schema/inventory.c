/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks and network interfaces by enumeration of the back ends' directories (see
 * inventory.h).
 *
 * Hides: the layout /local/domain/B/backend/KIND/DOMID/DEVID. Must not know:
 * what tools do with the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inventory.h"
#include "keys.h"
#include "xenbus-internal.h"
#include "util.h"

/* A class of devices: the front end's kind, and the back ends' kinds that serve it. */
struct class {
	const char *front;
	const char *back[4];		/* ends with NULL */
};

static const struct class classes[] = {
	[INVENTORY_DISKS] = { KIND_VBD, { KIND_VBD, KIND_VBD3, KIND_QDISK } },
	[INVENTORY_NICS] = { KIND_VIF, { KIND_VIF, KIND_QNIC } },
};

int inventory_class_of(const char *kind, enum inventory_class *out)
{
	for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
		for (size_t i = 0; classes[c].back[i]; i++) {
			if (strcmp(kind, classes[c].back[i]))
				continue;
			*out = (enum inventory_class)c;
			return 0;
		}
	}
	return -EINVAL;
}

static int fill_dirs(struct inventory_device *dev, const char *front_kind)
{
	int ret = xenbus_backend_path(dev->back_dir, sizeof(dev->back_dir),
				      dev->backend_domid, dev->kind, dev->domid,
				      dev->devid);

	return ret < 0 ? ret : xenbus_frontend_path(dev->front_dir, sizeof(dev->front_dir),
						    dev->domid, front_kind, dev->devid);
}

int inventory_name(const char *kind, uint32_t domid, uint32_t backend_domid,
		   uint32_t devid, struct inventory_device *out)
{
	enum inventory_class of;
	int ret = inventory_class_of(kind, &of);

	*out = (struct inventory_device){
		.domid = domid, .backend_domid = backend_domid, .devid = devid,
		.kind = kind,
	};
	return ret < 0 ? ret : fill_dirs(out, classes[of].front);
}

static int number(const char *text, uint32_t *out)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n >= INVENTORY_ANY)
			return -ERANGE;
	}
	*out = (uint32_t)n;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The entries of a directory that are numbers, ascending, to be freed by the
 * caller. A missing directory has none.
 */
static int numbers(struct xs_handle *xs, const char *path, uint32_t **out, unsigned *nr)
{
	unsigned nr_names, n = 0;
	char **names = xs_directory(xs, XBT_NULL, path, &nr_names);
	uint32_t *list;

	*out = NULL;
	*nr = 0;
	if (!names)
		return errno == ENOENT ? 0 : -errno;
	list = calloc(nr_names + 1, sizeof(*list));
	if (!list) {
		free(names);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < nr_names; i++)
		if (!number(names[i], &list[n]))
			n++;
	free(names);
	qsort(list, n, sizeof(*list), ascending);
	*out = list;
	*nr = n;
	return 0;
}

/* What numbers() lists, or the one number asked for. */
static int numbers_or(struct xs_handle *xs, uint32_t only, const char *path,
		      uint32_t **out, unsigned *nr)
{
	if (only == INVENTORY_ANY)
		return numbers(xs, path, out, nr);
	*out = malloc(sizeof(**out));
	if (!*out)
		return -ENOMEM;
	**out = only;
	*nr = 1;
	return 0;
}

static int devices_of(struct xs_handle *xs, const char *front_kind,
		      struct inventory_device *dev, inventory_fn *fn, void *arg)
{
	char path[XENBUS_PATH_BYTES];
	uint32_t *devids;
	unsigned nr;
	int ret;

	ret = xenbus_text(path, sizeof(path), DIR_LOCAL_DOMAIN "/%u/" DIR_BACKEND "/%s/%u",
			  (uint64_t)dev->backend_domid, dev->kind, (uint64_t)dev->domid);
	if (ret < 0)
		return ret;
	ret = numbers(xs, path, &devids, &nr);
	for (unsigned i = 0; !ret && i < nr; i++) {
		dev->devid = devids[i];
		ret = fill_dirs(dev, front_kind);
		if (!ret)
			ret = fn(arg, dev);
	}
	free(devids);
	return ret;
}

static int guests_of(struct xs_handle *xs, const char *front_kind,
		     struct inventory_device *dev, uint32_t domid, inventory_fn *fn, void *arg)
{
	char path[XENBUS_PATH_BYTES];
	uint32_t *domids;
	unsigned nr;
	int ret;

	ret = xenbus_text(path, sizeof(path), DIR_LOCAL_DOMAIN "/%u/" DIR_BACKEND "/%s",
			  (uint64_t)dev->backend_domid, dev->kind);
	if (ret < 0)
		return ret;
	ret = numbers_or(xs, domid, path, &domids, &nr);
	for (unsigned i = 0; !ret && i < nr; i++) {
		dev->domid = domids[i];
		ret = devices_of(xs, front_kind, dev, fn, arg);
	}
	free(domids);
	return ret;
}

int inventory_each(struct xs_handle *xs, enum inventory_class of, uint32_t backend_domid,
		   uint32_t domid, inventory_fn *fn, void *arg)
{
	const struct class *class = &classes[of];
	struct inventory_device dev = { 0 };
	uint32_t *backs;
	unsigned nr;
	int ret;

	ret = numbers_or(xs, backend_domid, DIR_LOCAL_DOMAIN, &backs, &nr);
	for (unsigned i = 0; !ret && i < nr; i++) {
		dev.backend_domid = backs[i];
		for (size_t k = 0; !ret && class->back[k]; k++) {
			dev.kind = class->back[k];
			ret = guests_of(xs, class->front, &dev, domid, fn, arg);
		}
	}
	free(backs);
	return ret;
}

struct search {
	uint32_t own_domid, devid;
	const char *kind;
	unsigned own, others;
	struct inventory_device *out;
};

static int seen(void *arg, const struct inventory_device *dev)
{
	struct search *s = arg;
	bool own = dev->backend_domid == s->own_domid;

	if (dev->devid != s->devid || (s->kind && strcmp(s->kind, dev->kind)))
		return 0;
	if (own ? !s->own : !s->own && !s->others)
		*s->out = *dev;
	s->own += own;
	s->others += !own;
	return 0;
}

int inventory_find(struct xs_handle *xs, enum inventory_class of, uint32_t own_domid,
		   uint32_t backend_domid, uint32_t domid, uint32_t devid,
		   const char *kind, struct inventory_device *out)
{
	struct search s = { .own_domid = own_domid, .devid = devid, .kind = kind,
			    .out = out };
	int ret = inventory_each(xs, of, backend_domid, domid, seen, &s);

	if (ret)
		return ret;
	if (s.own > 1 || (!s.own && s.others > 1))
		return -ENOTUNIQ;
	return s.own || s.others ? 0 : -ENOENT;
}

static bool exists(struct xs_handle *xs, const char *fmt, uint32_t domid)
{
	char path[XENBUS_PATH_BYTES];

	return xenbus_text(path, sizeof(path), fmt, (uint64_t)domid) >= 0 &&
	       xenbus_exists(xs, XBT_NULL, path);
}

bool inventory_domain_exists(struct xs_handle *xs, uint32_t domid)
{
	return exists(xs, DIR_LOCAL_DOMAIN "/%u", domid);
}

bool inventory_libxl_knows(struct xs_handle *xs, uint32_t domid)
{
	return exists(xs, DIR_LIBXL "/%u", domid);
}

bool inventory_host_has_libxl(struct xs_handle *xs)
{
	return xenbus_exists(xs, XBT_NULL, DIR_LIBXL);
}

int inventory_domain_name(struct xs_handle *xs, uint32_t domid, char *buf, size_t bytes)
{
	char path[XENBUS_PATH_BYTES];
	int ret = xenbus_text(path, sizeof(path), DIR_LOCAL_DOMAIN "/%u", (uint64_t)domid);

	return ret < 0 ? ret : xenbus_read_text(xs, XBT_NULL, path, KEY_NAME, buf, bytes);
}

int inventory_script(struct xs_handle *xs, const struct inventory_device *dev,
		     char *buf, size_t bytes)
{
	return xenbus_read_text(xs, XBT_NULL, dev->back_dir, KEY_SCRIPT, buf, bytes);
}

int inventory_script_error(struct xs_handle *xs, const struct inventory_device *dev,
			   char *buf, size_t bytes)
{
	return xenbus_read_text(xs, XBT_NULL, dev->back_dir, KEY_HOTPLUG_ERROR, buf, bytes);
}

/* ---- changes -------------------------------------------------------------- */

int inventory_watch(struct xs_handle *xs, uint32_t backend_domid, const char *token)
{
	static const char *const below[] = { DIR_BACKEND, DIR_ERROR };
	char path[XENBUS_PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		int ret = xenbus_text(path, sizeof(path), DIR_LOCAL_DOMAIN "/%u/%s",
				      (uint64_t)backend_domid, below[i]);

		if (ret < 0)
			return ret;
		if (!xs_watch(xs, path, token))
			return xenbus_store_error();
	}
	return 0;
}

int inventory_watch_front(struct xs_handle *xs, const struct inventory_device *dev, bool on)
{
	char path[XENBUS_PATH_BYTES];
	int ret = xenbus_text(path, sizeof(path), "%s/" KEY_STATE, dev->front_dir);

	if (ret < 0)
		return ret;
	if (!(on ? xs_watch(xs, path, dev->back_dir) : xs_unwatch(xs, path, dev->back_dir)))
		return xenbus_store_error();
	return 0;
}

/* "/local/domain/0/backend/vbd/3/51712/state", ".../error/backend/vbd/3/51712/error" */
int inventory_of_event(const char *path, uint32_t backend_domid, struct inventory_device *out)
{
	const char *at = strstr(path, "/" DIR_BACKEND "/");
	char text[XENBUS_PATH_BYTES], *rest = text, *part[3];
	uint32_t domid, devid;

	if (!at || strlen(at) >= sizeof(text))
		return -ENOENT;
	strcpy(text, at + strlen("/" DIR_BACKEND "/"));
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		part[i] = strsep(&rest, "/");
	if (!part[1] || !part[2] || number(part[1], &domid) || number(part[2], &devid))
		return -ENOENT;
	for (size_t c = 0; c < ARRAY_LEN(classes); c++)
		for (const char *const *kind = classes[c].back; *kind; kind++)
			if (!strcmp(part[0], *kind))
				return inventory_name(*kind, domid, backend_domid, devid, out);
	return -ENOENT;
}
