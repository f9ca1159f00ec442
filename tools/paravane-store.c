/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains and devices as people name them (see paravane.h).
 *
 * Hides: what a name may look like, where it is looked up, the words when there
 * is no such thing. Must not know: what a subcommand does with it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-deadline.h"
#include "util.h"
#include "vif.h"

#define NIC_PREFIX KIND_VIF	/* and the number */

static const struct class_words words[] = {
	[INVENTORY_DISKS] = {
		.noun = "disk", .kind = KIND_VBD, .program = "paravane-blkback",
		.driver = "Xen block driver",
	},
	[INVENTORY_NICS] = {
		.noun = "network interface", .kind = KIND_VIF,
		.program = "paravane-netback", .driver = "Xen network driver",
	},
};

bool is_nic(const char *kind)
{
	enum inventory_class of;

	return !inventory_class_of(kind, &of) && of == INVENTORY_NICS;
}

const struct class_words *words_of(const char *kind)
{
	return &words[is_nic(kind) ? INVENTORY_NICS : INVENTORY_DISKS];
}

bool is_of_qemu(const char *kind)
{
	return !strcmp(kind, KIND_QDISK) || !strcmp(kind, KIND_QNIC);
}

/* ---- the store ----------------------------------------------------------- */

int store_open(struct store *store)
{
	int ret;

	deadline_begin();
	store->xs = xs_open(0);
	if (!store->xs)
		return complain(STATUS_ERROR,
				"cannot reach XenStore: %s; is xenstored running? (On local Xen: localxen run -- paravane ...)",
				strerror(errno));
	ret = xenbus_own_domid(store->xs, &store->own_domid);
	if (ret < 0)
		return complain(STATUS_ERROR,
				"XenStore does not tell which domain this is: %s", strerror(-ret));
	return STATUS_OK;
}

void store_close(struct store *store)
{
	if (store->xs)
		xs_close(store->xs);
	store->xs = NULL;
}

static int is_any(void *arg, const struct inventory_device *dev)
{
	(void)arg;
	(void)dev;
	return 1;
}

static bool has_devices(struct store *store, uint32_t domid)
{
	return inventory_each(store->xs, INVENTORY_DISKS, INVENTORY_ANY, domid, is_any, NULL) > 0 ||
	       inventory_each(store->xs, INVENTORY_NICS, INVENTORY_ANY, domid, is_any, NULL) > 0;
}

/* gone: a number that has devices yet will do. */
static int find_domain(struct store *store, const char *text, bool gone, uint32_t *domid)
{
	int ret = toolstack_find_domain(store->xs, text, domid);
	uint64_t number;

	/* It may have gone since it was looked up. */
	if (!ret && !inventory_domain_exists(store->xs, *domid))
		ret = -ENOENT;
	if (ret == -ENOENT && gone && !parse_u64(text, UINT16_MAX, &number) &&
	    has_devices(store, (uint32_t)number)) {
		*domid = (uint32_t)number;
		return STATUS_OK;
	}
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH,
				"no domain \"%s\"; a number or a name under /local/domain is expected",
				text);
	if (ret < 0)
		return complain(STATUS_ERROR, "domain \"%s\": %s", text, strerror(-ret));
	return STATUS_OK;
}

int store_domain(struct store *store, const char *text, uint32_t *domid)
{
	return find_domain(store, text, false, domid);
}

int store_backend(struct store *store, const struct common_options *common,
		  uint32_t fallback, uint32_t *domid)
{
	*domid = fallback;
	return common->backend ? store_domain(store, common->backend, domid) : STATUS_OK;
}

/* ---- devices --------------------------------------------------------------- */

int store_disk_name(const char *text, uint32_t *devid)
{
	if (toolstack_vdev(text, devid) < 0)
		return complain(STATUS_USAGE,
				"device \"%s\": a name like xvda, sda, hda, d0p1 or a number like 51712 is expected",
				text);
	return STATUS_OK;
}

/* A nic by its address, or by the name that the tool stack gave it. */
struct nic_search {
	struct store *store;
	const char *vifname;
	uint8_t mac[VIF_MAC_BYTES];
	bool by_mac;
	uint32_t devid;
};

static int is_this_nic(void *arg, const struct inventory_device *dev)
{
	struct nic_search *s = arg;
	struct vif_toolstack ts;

	if (vif_read_toolstack(s->store->xs, dev->back_dir, &ts, NULL))
		return 0;
	if (s->by_mac ? !ts.has_mac || memcmp(ts.mac, s->mac, sizeof(s->mac)) :
			strcmp(ts.vifname, s->vifname))
		return 0;
	s->devid = dev->devid;
	return 1;
}

static int find_nic(struct store *store, uint32_t domid, const char *text, uint32_t *devid)
{
	struct nic_search s = { .store = store, .vifname = text };
	char label[96];

	s.by_mac = !vif_parse_mac(text, s.mac);
	if (inventory_each(store->xs, INVENTORY_NICS, INVENTORY_ANY, domid, is_this_nic, &s) > 0) {
		*devid = s.devid;
		return STATUS_OK;
	}
	if (s.by_mac || !strncmp(text, NIC_PREFIX, strlen(NIC_PREFIX)))
		return complain(STATUS_NO_SUCH,
				"%s has no network interface %s (\"paravane list\" shows what there is)",
				domain_label(store, domid, label, sizeof(label)), text);
	return complain(STATUS_USAGE,
			"device \"%s\": a disk like xvda, sda, hda, d0p1 or 51712 is expected, or a network interface like vif0 or its address",
			text);
}

/* "0" of vif0, and of vif3.0, libxl's name for it in domain 3; NULL: neither. */
static const char *nic_number(const char *text, uint32_t domid)
{
	char own[32];

	if (strncmp(text, NIC_PREFIX, strlen(NIC_PREFIX)))
		return NULL;
	snprintf(own, sizeof(own), NIC_PREFIX "%u.", domid);
	return text + (strncmp(text, own, strlen(own)) ? strlen(NIC_PREFIX) : strlen(own));
}

int store_device(struct store *store, uint32_t domid, const char *text,
		 enum inventory_class *of, uint32_t *devid)
{
	const char *number;
	uint64_t n;

	*of = INVENTORY_DISKS;
	if (!toolstack_vdev(text, devid))
		return STATUS_OK;
	*of = INVENTORY_NICS;
	number = nic_number(text, domid);
	if (!number || parse_u64(number, UINT32_MAX, &n))
		return find_nic(store, domid, text, devid);
	*devid = (uint32_t)n;
	return STATUS_OK;
}

/* A half-made device has a front end's directory and no back end's. */
static int find_remains(struct store *store, const char *kind, uint32_t backend_domid,
			uint32_t domid, uint32_t devid, struct inventory_device *out)
{
	struct toolstack_view view = { 0 };

	if (backend_domid == INVENTORY_ANY)
		backend_domid = store->own_domid;
	if (inventory_name(kind, domid, backend_domid, devid, out) < 0 ||
	    toolstack_look(store->xs, backend_domid, kind, domid, devid, &view) < 0 ||
	    !view.front_exists)
		return -ENOENT;
	return 0;
}

bool store_is_left(struct store *store, const struct inventory_device *dev)
{
	struct toolstack_view view;

	return !inventory_domain_exists(store->xs, dev->domid) &&
	       !toolstack_look(store->xs, dev->backend_domid, dev->kind, dev->domid,
			       dev->devid, &view) &&
	       view.back == XenbusStateClosed;
}

int store_find(struct store *store, const struct common_options *common,
	       const char *domain, const char *device, struct inventory_device *out)
{
	uint32_t domid, devid, backend_domid;
	struct inventory_device other;
	enum inventory_class of;
	char label[96];
	int status, ret;

	status = find_domain(store, domain, true, &domid);
	if (!status)
		status = store_device(store, domid, device, &of, &devid);
	if (!status)
		status = store_backend(store, common, INVENTORY_ANY, &backend_domid);
	if (status)
		return status;
	ret = inventory_find(store->xs, of, store->own_domid, backend_domid, domid, devid,
			     common->kind, out);
	if (ret == -ENOENT && inventory_find(store->xs, of, store->own_domid, INVENTORY_ANY,
					     domid, devid, NULL, &other) == -ENOENT)
		ret = find_remains(store, common->kind ? common->kind : words[of].kind,
				   backend_domid, domid, devid, out);
	if (ret == -ENOTUNIQ)
		return complain(STATUS_USAGE,
				"several back ends have a %s %s for domain %u: say which with --backend and --kind",
				words[of].noun, device, domid);
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH,
				"%s has no %s %s (\"paravane list\" shows what there is)",
				domain_label(store, domid, label, sizeof(label)), words[of].noun,
				device);
	if (ret < 0)
		return complain(STATUS_ERROR, "looking for %s: %s", device, strerror(-ret));
	return STATUS_OK;
}

/* ---- as people read them ------------------------------------------------------ */

const char *domain_label(struct store *store, uint32_t domid, char *buf, size_t bytes)
{
	char name[64];

	if (inventory_domain_name(store->xs, domid, name, sizeof(name)) < 0)
		snprintf(buf, bytes, "domain %u", domid);
	else
		snprintf(buf, bytes, "%s (domain %u)", name, domid);
	return buf;
}

const char *device_label(const char *kind, uint32_t devid, char *buf, size_t bytes)
{
	if (is_nic(kind))
		snprintf(buf, bytes, NIC_PREFIX "%u", devid);
	else if (toolstack_vdev_name(devid, buf, bytes) < 0)
		snprintf(buf, bytes, "%u", devid);
	return buf;
}
