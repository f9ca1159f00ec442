/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of paravane(1) share: exit statuses, the options that
 * mean the same everywhere, the open store.
 *
 * Hides: option parsing and the messages of bad usage. Must not know: what a
 * subcommand does. One thread.
 */
#ifndef PV_PARAVANE_H
#define PV_PARAVANE_H

#include <getopt.h>

#include "inventory.h"
#include "toolstack.h"

/* Documented in paravane(1). */
enum {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_TIMEOUT = 3,
	STATUS_NO_SUCH = 4,
	STATUS_EXISTS = 5,
	STATUS_BUSY = 6,
};

enum {
	OF_DISKS = 1u << INVENTORY_DISKS,
	OF_NICS = 1u << INVENTORY_NICS,
};

struct subcommand {
	const char *name, *summary;
	const char *help;		/* whole text of --help */
	unsigned int classes;		/* of devices it is for: OF_DISKS, OF_NICS */
	int (*run)(int argc, char **argv);	/* argv[0] is the name; a STATUS_ */
};

extern const struct subcommand attach_disk_command, attach_nic_command, bridge_command,
	capture_command, compare_command, detach_command, doctor_command,
	explain_command, limit_command, list_command, metrics_command, mirror_command, resize_command,
	top_command, trace_command, upgrade_command, watch_command, why_command;

/* The options that several subcommands take. */
struct common_options {
	const char *kind;		/* NULL: not given */
	const char *backend;		/* NULL: not given */
	int wait_ms;			/* 0: do not wait */
};

/* Each command names those that it heeds, and no others. */
#define OPTION_KIND	{ "kind", required_argument, NULL, 'k' }
#define OPTION_BACKEND	{ "backend", required_argument, NULL, 'b' }
#define OPTION_WAIT	{ "wait", required_argument, NULL, 'w' }
#define OPTION_NO_WAIT	{ "no-wait", no_argument, NULL, 'W' }
#define OPTION_HELP	{ "help", no_argument, NULL, 'h' }

/*
 * Next option of a subcommand; those above are dealt with here. Returns the option's
 * val, -1 after the last, or '?' when the subcommand is to return *status at once (--help,
 * or a complaint made).
 */
int common_getopt(int argc, char **argv, const struct option *table,
		  const struct subcommand *command, struct common_options *common,
		  int *status);
/* The argument of --kind, for who has other options than these; a STATUS_. */
int parse_kind(const struct subcommand *command, const char *text, const char **kind);
/* Complains unless between min and max operands are left; a STATUS_. */
int common_operands(const struct subcommand *command, int argc, int min, int max);

/* An error line on stderr: "paravane: ...". Return their STATUS_. */
int complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int complain_usage(const struct subcommand *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Of a WORD=VALUE operand. */
int complain_word(const struct subcommand *command, const char *word, const char *value,
		  const char *expected);
/* Its value as a number from min to max; else complains. */
int parse_word(const struct subcommand *command, const char *word, const char *value,
	       uint32_t min, uint32_t max, uint32_t *out);

struct store {
	struct xs_handle *xs;
	uint32_t own_domid;
};

/*
 * STATUS_; complains itself. From here on the command has a deadline (paravane-deadline.h),
 * if it has set none before. store_close() accepts a store never opened.
 */
int store_open(struct store *store);
void store_close(struct store *store);
#define autostore __attribute__((cleanup(store_close)))

/* STATUS_; complain themselves, naming text. */
int store_domain(struct store *store, const char *text, uint32_t *domid);
int store_backend(struct store *store, const struct common_options *common,
		  uint32_t fallback, uint32_t *domid);
int store_disk_name(const char *text, uint32_t *devid);
/*
 * What DEVICE means in this domain. It need not be there where the name says its number: a
 * disk's, vif0, libxl's vif3.0; of an address or another vifname it must.
 */
int store_device(struct store *store, uint32_t domid, const char *text,
		 enum inventory_class *of, uint32_t *devid);
/*
 * The device that DOMAIN DEVICE and the common options mean, half-made or not: a
 * disk by its name, a network interface as vif0, by its address or its vifname. DOMAIN
 * may have gone where a device of its number has not.
 */
int store_find(struct store *store, const struct common_options *common,
	       const char *domain, const char *device, struct inventory_device *out);

/* What a guest that has gone left, closed: it uses neither an image nor an address. */
bool store_is_left(struct store *store, const struct inventory_device *dev);

/* What disks, or network interfaces, and what serves them are called. */
struct class_words {
	const char *noun, *kind, *program, *driver;
};

const struct class_words *words_of(const char *kind);
bool is_nic(const char *kind);
bool is_of_qemu(const char *kind);

/* "guest1 (domain 3)", or "domain 3". */
const char *domain_label(struct store *store, uint32_t domid, char *buf, size_t bytes);
/* "xvda", "vif0" */
const char *device_label(const char *kind, uint32_t devid, char *buf, size_t bytes);

/*
 * Which end waits for what, and what to do about it; one line without a full
 * stop. Empty when both ends are connected.
 */
void waits_for(struct store *store, const struct inventory_device *dev,
	       const struct toolstack_view *view, char *buf, size_t bytes);
/* Whether the device's hotplug script has yet to run, or has failed. */
bool hotplug_pending(struct store *store, const struct inventory_device *dev);

#endif
