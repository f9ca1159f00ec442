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
#include "paravane-deadline.h"
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
"  --dry-run        says what it would do, and which state the ends are in\n"
"  --json           an object with domid, device, devid, kind, backend_domid and\n"
"                   result: detached, forced (the guest had not let go), absent,\n"
"                   attached (--dry-run)\n"
"  --wait SECONDS   deadline for both ends to close (default 10)\n"
"  --no-wait        with --force: removes at once\n"
"\n"
"What the guest does not let go stays attached, and is gone once the\n"
"guest lets go and detach is run again.\n"
"\n"
"It ends in any case, also when XenStore does not answer: 10 seconds after the\n"
"deadline at the latest, and 40 more where a hotplug script hangs.\n"
"\n"
"Exit status: 0 gone, 1 error, 2 wrong usage, 3 the deadline passed, 4 no such\n"
"domain or device, 6 the guest refuses because it uses the disk.\n";

enum { OPT_FORCE = 256, OPT_IDEMPOTENT, OPT_DRY_RUN, OPT_JSON };

static const struct option options[] = {
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "idempotent", no_argument, NULL, OPT_IDEMPOTENT },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_NO_WAIT, OPTION_HELP,
	{ 0 }
};

struct detach {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	bool force, idempotent, dry_run, json;
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
		d->dry_run |= opt == OPT_DRY_RUN;
		d->json |= opt == OPT_JSON;
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
	if (view->back_error[0])
		return complain(STATUS_TIMEOUT,
				"%s is not gone after %g s: its back end says: %s; --force removes it all the same",
				device, d->common.wait_ms / 1000.0, view->back_error);
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

static void print_result(const struct detach *d, const char *result)
{
	char device[32];

	printf("{\"domid\": %u, \"device\": \"%s\", \"devid\": %u, \"kind\": \"%s\", \"backend_domid\": %u, \"result\": \"%s\"}\n",
	       d->dev.domid, device_label(d->dev.kind, d->dev.devid, device, sizeof(device)),
	       d->dev.devid, d->dev.kind, d->dev.backend_domid, result);
}

static int detach(struct detach *d)
{
	struct toolstack_view view = { 0 };
	char domain[96], device[32];
	bool forced, replaced;
	int ret;

	ret = toolstack_close(d->store.xs, d->dev.backend_domid, d->dev.kind,
				   d->dev.domid, d->dev.devid, d->common.wait_ms, &view);
	forced = ret == -ETIMEDOUT && d->force;
	if (!ret || forced)
		ret = remove_device(d);
	replaced = ret == -EEXIST;	/* by a new one, when somebody else had removed ours */
	forced &= !replaced;
	if (replaced)
		ret = 0;
	device_label(d->dev.kind, d->dev.devid, device, sizeof(device));
	domain_label(&d->store, d->dev.domid, domain, sizeof(domain));
	if (ret == -ETIMEDOUT)
		return not_gone(d, &view);
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH, "%s has no %s %s", domain,
				words_of(d->dev.kind)->noun, device);
	if (ret < 0)
		return complain(STATUS_ERROR, "%s of %s: %s", device, domain, strerror(-ret));
	if (d->json)
		print_result(d, forced ? "forced" : "detached");
	else
		printf("%s of %s: detached%s\n", device, domain,
		       replaced ? "; another has been attached since" :
		       forced ? ", though not let go" : "");
	return STATUS_OK;
}

static int dry_run(struct detach *d)
{
	struct toolstack_view view = { 0 };
	char domain[96], device[32];

	toolstack_look(d->store.xs, d->dev.backend_domid, d->dev.kind, d->dev.domid,
		       d->dev.devid, &view);
	if (d->json) {
		print_result(d, "attached");
		return STATUS_OK;
	}
	printf("%s of %s: would be detached; the back end is %s, the front end %s\n",
	       device_label(d->dev.kind, d->dev.devid, device, sizeof(device)),
	       domain_label(&d->store, d->dev.domid, domain, sizeof(domain)),
	       xenbus_state_name(view.back), xenbus_state_name(view.front));
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
	deadline_set(d.common.wait_ms);
	status = store_open(&d.store);
	if (!status)
		status = store_find(&d.store, &d.common, argv[optind], argv[optind + 1],
				    &d.dev);
	if (!status)
		status = d.dry_run ? dry_run(&d) : detach(&d);
	if (status != STATUS_NO_SUCH || !d.idempotent)
		return status;
	if (d.json)
		puts("{\"result\": \"absent\"}");
	return STATUS_OK;
}

const struct subcommand detach_command = {
	.name = "detach",
	.summary = "takes a disk or network interface from a guest",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
