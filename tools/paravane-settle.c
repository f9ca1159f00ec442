/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What follows when a device's nodes are written (paravane-settle.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "paravane-json.h"
#include "paravane-script.h"
#include "paravane-settle.h"
#include "paravane-view.h"

#define REMOVE_WAIT_MS 5000

bool libxl_wanted(struct store *store, enum libxl_choice choice, uint32_t domid)
{
	return choice == LIBXL_YES ||
	       (choice == LIBXL_AUTO && inventory_libxl_knows(store->xs, domid));
}

int script_wants_wait(const struct subcommand *command, const struct store *store,
		      const char *script, uint32_t backend_domid, int wait_ms)
{
	if (!script || wait_ms || backend_domid != store->own_domid)
		return STATUS_OK;
	return complain_usage(command, "hotplug script %s: it runs when the back end has taken the "
			      "device up, which --no-wait does not wait for", script);
}

int complain_not_created(int ret, const char *noun, uint32_t domid)
{
	if (ret == -ESRCH)
		return complain(STATUS_NO_SUCH, "domain %u is gone", domid);
	if (ret == -EACCES || ret == -EPERM)
		return complain(STATUS_ERROR,
				"XenStore refuses to create the %s: this domain may not; run it in dom0",
				noun);
	return complain(STATUS_ERROR, "cannot create the %s in XenStore: %s", noun,
			strerror(-ret));
}

/*
 * As detach by force. A script that has run has its turn, also one that failed, as with xl:
 * nobody else would give back what it made. It may have removed the nodes itself.
 */
static void take_away(struct store *store, const struct inventory_device *dev, bool scripted)
{
	struct toolstack_view view;
	char why[512];
	int ret = toolstack_close(store->xs, dev->backend_domid, dev->kind, dev->domid,
				  dev->devid, REMOVE_WAIT_MS, &view);

	if (!ret || ret == -ETIMEDOUT) {
		if (scripted && script_remove(store, dev, why, sizeof(why)) < 0)
			complain(STATUS_ERROR, "%s", why);
		ret = toolstack_remove(store->xs, dev->backend_domid, dev->kind, dev->domid,
				       dev->devid);
	}
	if (ret < 0 && ret != -EEXIST && ret != -ENOENT)
		complain(STATUS_ERROR, "the nodes of the %s could not be removed",
			 words_of(dev->kind)->noun);
}

static int refused(struct store *store, const struct newcomer *n, bool scripted,
		   const char *why)
{
	const struct inventory_device *dev = &n->dev;
	char domain[96], device[32];
	int status = complain(STATUS_ERROR, "%s for %s is not connected: %s",
			      device_label(dev->kind, dev->devid, device, sizeof(device)),
			      domain_label(store, dev->domid, domain, sizeof(domain)), why);

	if (n->created)
		take_away(store, dev, scripted);
	return status;
}

/* Nobody has refused it: a guest, or a back end, may yet come. */
static int not_in_time(struct store *store, const struct newcomer *n, const char *why)
{
	const struct inventory_device *dev = &n->dev;
	char domain[96], device[32];

	device_label(dev->kind, dev->devid, device, sizeof(device));
	return complain(STATUS_TIMEOUT,
			"%s for %s is not connected after %g s: %s; it stays attached (\"paravane detach %u %s\" removes it)",
			device, domain_label(store, dev->domid, domain, sizeof(domain)),
			n->wait_ms / 1000.0, why, dev->domid, device);
}

static int wait_connected(struct store *store, const struct newcomer *n)
{
	const struct inventory_device *dev = &n->dev;
	struct toolstack_view view = { 0 };
	bool scripted = false;
	char why[512];
	int ret;

	/* Of a disk that was there already, too: its back end came after who attached it. */
	if (n->script && dev->backend_domid == store->own_domid &&
	    (n->created || hotplug_pending(store, dev))) {
		ret = script_add(store, dev, n->wait_ms, &scripted, why, sizeof(why));
		if (ret == -ETIMEDOUT)
			return not_in_time(store, n, why);
		if (ret < 0)
			return refused(store, n, scripted, why);
	}
	ret = toolstack_wait_connected(store->xs, dev->backend_domid, dev->kind, dev->domid,
				       dev->devid, n->wait_ms, &view);
	if (!ret)
		return STATUS_OK;
	waits_for(store, dev, &view, why, sizeof(why));
	if (ret != -ETIMEDOUT)
		return refused(store, n, scripted, *why ? why : strerror(-ret));
	return not_in_time(store, n, why);
}

static void print_json(struct store *store, const struct inventory_device *dev)
{
	struct disk_view disk;
	struct nic_view nic;

	if (is_nic(dev->kind)) {
		nic_view_look(store, dev, &nic);
		json_nic_begin(&nic);
	} else {
		disk_view_look(store, dev, &disk);
		json_disk_begin(&disk);
		disk_view_close(&disk);
	}
	json_device_end();
	putchar('\n');
}

static void tell(struct store *store, const struct newcomer *n)
{
	const struct inventory_device *dev = &n->dev;
	char device[32], domain[96];

	if (n->json)
		print_json(store, dev);
	else
		printf("%s of %s: %s%s\n",
		       device_label(dev->kind, dev->devid, device, sizeof(device)),
		       domain_label(store, dev->domid, domain, sizeof(domain)),
		       n->created ? "" : "was there already, ",
		       n->wait_ms ? "connected" : "created, not waited for");
	if (!n->libxl && inventory_host_has_libxl(store->xs))
		complain(STATUS_OK, "xl does not know this %s (%s)", words_of(dev->kind)->noun,
			 n->choice == LIBXL_NO ? "--no-libxl" : "xl did not make this domain");
}

int newcomer_dry_run(struct store *store, const struct newcomer *n, bool named)
{
	const struct inventory_device *dev = &n->dev;
	const char *something = is_nic(dev->kind) ? "an interface" : "a disk";
	char device[32], domain[96];

	device_label(dev->kind, dev->devid, device, sizeof(device));
	if (!n->json) {
		printf("%s of %s: %s\n", named ? device : something,
		       domain_label(store, dev->domid, domain, sizeof(domain)),
		       n->created ? "would be attached" : "is attached already");
		return STATUS_OK;
	}
	printf("{\"dry_run\": true, \"domid\": %u, \"device\": ", dev->domid);
	if (named)
		printf("\"%s\", \"devid\": %u", device, dev->devid);
	else
		fputs("null, \"devid\": null", stdout);
	printf(", \"kind\": \"%s\", \"backend_domid\": %u, \"result\": \"%s\"}\n", dev->kind,
	       dev->backend_domid, n->created ? "absent" : "attached");
	return STATUS_OK;
}

int newcomer_settle(struct store *store, const struct newcomer *n)
{
	int status = n->wait_ms ? wait_connected(store, n) : STATUS_OK;

	if (!status)
		tell(store, n);
	return status;
}
