/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane detach: asks both ends to let a device go, waits, removes its nodes.
 *
 * Hides: what a refusal means. Must not know: how nodes are spelled.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "paravane.h"
#include "paravane-script.h"
#include "util.h"

#define DEFAULT_WAIT_MS 10000

static const char help_text[] =
"Usage: paravane detach DOMAIN DEVICE [OPTION]...\n"
"\n"
"Takes a disk or network interface from a guest: asks both ends to close it,\n"
"waits, removes it.\n"
"\n"
"  DOMAIN           number or name\n"
"  DEVICE           xvda, sda1, 51712 ...; vif0, or an interface's address\n"
"\n"
"  --force          removes it after the deadline whatever the guest does, which\n"
"                   loses what it had not written\n"
"  --backend DOMAIN the domain whose back end serves it; default: as found\n"
"  --kind KIND      vbd, vbd3, qdisk, vif or qnic; default: as found\n"
"  --idempotent     a device that is not there is no error\n"
"  --wait SECONDS   deadline for both ends to close (default 10)\n"
"  --no-wait        with --force: removes at once\n"
"\n"
"What the guest does not let go stays attached, and is gone once the\n"
"guest lets go and detach is run again.\n"
"\n"
"Exit status: 0 gone, 1 error, 2 wrong usage, 3 the deadline passed, 4 no such\n"
"domain or device, 6 the guest refuses because it uses the disk.\n";

enum { OPT_FORCE = 256, OPT_IDEMPOTENT };

static const struct option options[] = {
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "idempotent", no_argument, NULL, OPT_IDEMPOTENT },
	COMMON_OPTIONS,
	{ 0 }
};

struct detach {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	bool force, idempotent;
};

static int parse(struct detach *d, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &detach_command, &d->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		d->force |= opt == OPT_FORCE;
		d->idempotent |= opt == OPT_IDEMPOTENT;
	}
	status = common_operands(&detach_command, argc, 2, 2);
	if (!status && !d->common.wait_ms && !d->force)
		status = complain_usage(&detach_command, "--no-wait goes with --force only");
	return status;
}

static int not_gone(struct detach *d, const struct toolstack_view *view)
{
	bool nic = is_nic(d->dev.kind);
	char domain[96], device[32];

	device_label(d->dev.kind, d->dev.devid, device, sizeof(device));
	domain_label(&d->store, d->dev.domid, domain, sizeof(domain));
	if (view->front_error[0])
		return complain(STATUS_BUSY,
				"%s stays attached: %s does not let it go: %s; %s there, or use --force",
				device, domain, view->front_error,
				nic ? "take it down" : "unmount it");
	if (view->front == XenbusStateConnected || view->front == XenbusStateClosing)
		return complain(STATUS_TIMEOUT,
				"%s is not gone after %g s: the front end in %s has not let go (state %s)%s --force removes it all the same",
				device, d->common.wait_ms / 1000.0, domain,
				xenbus_state_name(view->front),
				nic ? ";" : ": is it mounted there?");
	return complain(STATUS_TIMEOUT,
			"%s is not gone after %g s: the back end is %s and the front end in %s is %s; is the back end running? --force removes it all the same",
			device, d->common.wait_ms / 1000.0, xenbus_state_name(view->back),
			domain, xenbus_state_name(view->front));
}

/* The script's failure is said, and does not keep the device. */
static int remove_device(struct detach *d)
{
	char why[512];

	if (d->dev.backend_domid == d->store.own_domid &&
	    script_remove(&d->store, &d->dev, why, sizeof(why)) < 0)
		complain(STATUS_ERROR, "%s", why);
	return toolstack_remove(d->store.xs, d->dev.backend_domid, d->dev.kind,
				     d->dev.domid, d->dev.devid);
}

static int detach(struct detach *d)
{
	struct toolstack_view view = { 0 };
	char domain[96], device[32];
	int ret;

	ret = toolstack_close(d->store.xs, d->dev.backend_domid, d->dev.kind,
				   d->dev.domid, d->dev.devid, d->common.wait_ms, &view);
	if (!ret || (ret == -ETIMEDOUT && d->force))
		ret = remove_device(d);
	device_label(d->dev.kind, d->dev.devid, device, sizeof(device));
	domain_label(&d->store, d->dev.domid, domain, sizeof(domain));
	if (ret == -ETIMEDOUT)
		return not_gone(d, &view);
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH, "%s has no %s %s", domain,
				words_of(d->dev.kind)->noun, device);
	if (ret < 0)
		return complain(STATUS_ERROR, "%s of %s: %s", device, domain, strerror(-ret));
	printf("%s of %s: detached\n", device, domain);
	return STATUS_OK;
}

static void close_detach(struct detach *d)
{
	store_close(&d->store);
}

static int run(int argc, char **argv)
{
	struct detach d __attribute__((cleanup(close_detach))) = {
		.common.wait_ms = DEFAULT_WAIT_MS,
	};
	bool finished = false;
	int status = parse(&d, argc, argv, &finished);

	if (status || finished)
		return status;
	status = store_open(&d.store);
	if (!status)
		status = store_find(&d.store, &d.common, argv[optind], argv[optind + 1],
				    &d.dev);
	if (!status)
		status = detach(&d);
	if (status == STATUS_NO_SUCH && d.idempotent)
		return STATUS_OK;
	return status;
}

const struct subcommand detach_command = {
	.name = "detach",
	.summary = "takes a disk or network interface from a guest",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
