/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane(1) share (see paravane.h).
 *
 * Hides: option parsing, finding domains, the words of complaints. Must not
 * know: what a subcommand does.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane.h"
#include "util.h"

#define WAIT_MAX_SECONDS 86400.0

static void print_line(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("paravane: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int complain(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
	return status;
}

int complain_usage(const struct subcommand *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(fmt, ap);
	va_end(ap);
	fprintf(stderr, "paravane: \"paravane help %s\" says what it takes\n", command->name);
	return STATUS_USAGE;
}

/* ---- options ------------------------------------------------------------- */

static int parse_wait(const struct subcommand *command, const char *text, int *wait_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0 ||
	    seconds > WAIT_MAX_SECONDS)
		return complain_usage(command, "--wait \"%s\": seconds are expected, 0 to %.0f",
				      text, WAIT_MAX_SECONDS);
	*wait_ms = (int)(seconds * 1000.0 + 0.5);
	return STATUS_OK;
}

static int parse_kind(const struct subcommand *command, const char *text,
		      const char **kind)
{
	if (!inventory_is_disk_kind(text))
		return complain_usage(command,
				      "--kind \"%s\": vbd, vbd3 or qdisk is expected", text);
	*kind = text;
	return STATUS_OK;
}

int common_getopt(int argc, char **argv, const struct option *table,
		  const struct subcommand *command, struct common_options *common,
		  int *status)
{
	for (;;) {
		int opt = getopt_long(argc, argv, ":h", table, NULL);

		*status = STATUS_OK;
		switch (opt) {
		case 'h':
			fputs(command->help, stdout);
			return '?';
		case 'k':
			*status = parse_kind(command, optarg, &common->kind);
			break;
		case 'b':
			common->backend = optarg;
			break;
		case 'w':
			*status = parse_wait(command, optarg, &common->wait_ms);
			break;
		case 'W':
			common->wait_ms = 0;
			break;
		case '?':
			*status = complain_usage(command, "%s: unknown option \"%s\"",
						 command->name, argv[optind - 1]);
			break;
		case ':':
			*status = complain_usage(command, "%s: option \"%s\" needs a value",
						 command->name, argv[optind - 1]);
			break;
		default:
			return opt;
		}
		if (*status)
			return '?';
	}
}

int common_operands(const struct subcommand *command, int argc, int min, int max)
{
	int given = argc - optind;

	if (given < min)
		return complain_usage(command, "%s: %s", command->name,
				      given ? "an argument is missing" : "arguments are missing");
	if (given > max)
		return complain_usage(command, "%s: too many arguments", command->name);
	return STATUS_OK;
}

/* ---- the store ----------------------------------------------------------- */

int store_open(struct store *store)
{
	int ret;

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

int store_domain(struct store *store, const char *text, uint32_t *domid)
{
	int ret = toolstack_find_domain(store->xs, text, domid);

	/* A number is believed by the lookup: see whether it exists. */
	if (!ret && !inventory_domain_exists(store->xs, *domid))
		ret = -ENOENT;
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH,
				"no domain \"%s\"; a number or a name under /local/domain is expected",
				text);
	if (ret < 0)
		return complain(STATUS_ERROR, "domain \"%s\": %s", text, strerror(-ret));
	return STATUS_OK;
}

int store_backend(struct store *store, const struct common_options *common,
		  uint32_t fallback, uint32_t *domid)
{
	*domid = fallback;
	return common->backend ? store_domain(store, common->backend, domid) : STATUS_OK;
}

int store_device(const char *text, uint32_t *devid)
{
	if (toolstack_vdev(text, devid) < 0)
		return complain(STATUS_USAGE,
				"device \"%s\": a name like xvda, sda, hda, d0p1 or a number like 51712 is expected",
				text);
	return STATUS_OK;
}

/* A half-made disk has a front end's directory and no back end's. */
static int find_remains(struct store *store, uint32_t backend_domid, uint32_t domid,
			uint32_t devid, const char *kind, struct inventory_device *out)
{
	struct toolstack_view view = { 0 };

	*out = (struct inventory_device){
		.domid = domid, .devid = devid, .kind = kind ? kind : "vbd",
		.backend_domid = backend_domid == INVENTORY_ANY ? store->own_domid :
								   backend_domid,
	};
	xenbus_backend_path(out->back_dir, sizeof(out->back_dir), out->backend_domid,
			    out->kind, domid, devid);
	xenbus_frontend_path(out->front_dir, sizeof(out->front_dir), domid, "vbd", devid);
	if (toolstack_look(store->xs, out->backend_domid, out->kind, domid, devid, &view) < 0 ||
	    !view.front_exists)
		return -ENOENT;
	return 0;
}

int store_disk(struct store *store, const struct common_options *common,
	       const char *domain, const char *device, struct inventory_device *out)
{
	uint32_t domid, devid, backend_domid;
	struct inventory_device other;
	char label[96];
	int status, ret;

	status = store_device(device, &devid);
	if (!status)
		status = store_domain(store, domain, &domid);
	if (!status)
		status = store_backend(store, common, INVENTORY_ANY, &backend_domid);
	if (status)
		return status;
	ret = inventory_find(store->xs, store->own_domid, backend_domid, domid, devid,
			     common->kind, out);
	if (ret == -ENOENT && inventory_find(store->xs, store->own_domid, INVENTORY_ANY, domid,
					     devid, NULL, &other) == -ENOENT)
		ret = find_remains(store, backend_domid, domid, devid, common->kind, out);
	if (ret == -ENOTUNIQ)
		return complain(STATUS_USAGE,
				"several back ends have a disk %s for domain %u: say which with --backend and --kind",
				device, domid);
	if (ret == -ENOENT)
		return complain(STATUS_NO_SUCH,
				"%s has no disk %s (\"paravane list\" shows what there is)",
				domain_label(store, domid, label, sizeof(label)), device);
	if (ret < 0)
		return complain(STATUS_ERROR, "looking for %s: %s", device, strerror(-ret));
	return STATUS_OK;
}

const char *domain_label(struct store *store, uint32_t domid, char *buf, size_t bytes)
{
	char name[64];

	if (inventory_domain_name(store->xs, domid, name, sizeof(name)) < 0)
		snprintf(buf, bytes, "domain %u", domid);
	else
		snprintf(buf, bytes, "%s (domain %u)", name, domid);
	return buf;
}

const char *device_label(uint32_t devid, char *buf, size_t bytes)
{
	if (toolstack_vdev_name(devid, buf, bytes) < 0)
		snprintf(buf, bytes, "%u", devid);
	return buf;
}
