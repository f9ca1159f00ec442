/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane mirror: a disk is copied to another image while its guest uses it.
 *
 * Hides: how a wish is made, changed and waited for; how progress is shown. Must not know:
 * how nodes are spelled, how anything is copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mirror-target.h"
#include "mirror-wish.h"
#include "paravane-deadline.h"
#include "paravane-json.h"
#include "paravane-mirror.h"
#include "paravane-view.h"
#include "util.h"

#define ANSWER_MS 10000u		/* a daemon that runs takes up a wish at once */
#define UPGRADE_MS 90000u		/* ... or when its upgrade is over */
#define LOOK_US 50000
#define SHOW_MS 500u
#define RATE_MAX_MIB (1u << 20)
#define NO_DEADLINE (-1)

static const char help_text[] =
"Usage: paravane mirror DOMAIN DEVICE TARGET [OPTION]...\n"
"       paravane mirror DOMAIN DEVICE --pivot | --stop-at-sync | --cancel | --status\n"
"\n"
"Copies a disk to TARGET while its guest uses it, and keeps TARGET as the disk is.\n"
"TARGET is a raw file (made when it is not there) or a block device of this machine,\n"
"as large as the disk or larger. Returns when TARGET has all that the disk has; the\n"
"guest is held for some tens of milliseconds when the mirror ends with:\n"
"\n"
"  --pivot          the guest goes on with TARGET, from then on its disk's image, also\n"
"                   for a daemon that is started later\n"
"  --stop-at-sync   the guest goes on as it was; TARGET is the disk of that moment\n"
"\n"
"Without these TARGET follows the disk, until one of them is said of it, or\n"
"\n"
"  --cancel         ends it; TARGET is then no whole copy of anything\n"
"  --status         shows how far it is, or how the last one ended\n"
"\n"
"  --rate MIB       copies no more than so many MiB a second; 0: as fast as it can.\n"
"                   Without TARGET: of the one that runs\n"
"  --dry-run        says what would be done, or why not, and does nothing\n"
"  --json           an object a line: now and then how far it is, last how it ended\n"
"  --backend DOMAIN the domain whose back end serves it; default: as found\n"
"  --kind KIND      vbd or vbd3; default: as found\n"
"  --wait SECONDS   deadline for what is waited for; the mirror goes on after it\n"
"                   (default: none)\n"
"  --no-wait        returns when the back end has begun\n"
"\n"
"Exit status: 0 done, or going on as asked, 1 error, or it failed, 2 wrong usage,\n"
"3 the deadline passed, 4 no such domain, device or mirror, 5 one runs already.\n";

enum { OPT_JSON = 256, OPT_PIVOT, OPT_STOP, OPT_CANCEL, OPT_STATUS, OPT_RATE, OPT_DRY_RUN };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "pivot", no_argument, NULL, OPT_PIVOT },
	{ "stop-at-sync", no_argument, NULL, OPT_STOP },
	{ "cancel", no_argument, NULL, OPT_CANCEL },
	{ "status", no_argument, NULL, OPT_STATUS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_NO_WAIT, OPTION_HELP,
	{ 0 }
};

struct asking {
	struct store store;
	struct common_options common;
	struct inventory_device disk;
	struct mirror_wish wish;
	bool json, pivots, stops, cancels, shows, has_rate, dry_run;
	const char *target;		/* NULL: of the mirror that runs */
	char label[160];
	uint64_t shown_ms;
	bool shown;			/* a line of progress is on the terminal */
};

/* ---- showing ----------------------------------------------------------------------- */

static void print_json(const struct asking *a, const struct mirror_info *m)
{
	char device[32];

	printf("{\"domid\": %u, \"device\": \"%s\", \"devid\": %u, \"kind\": \"%s\", \"status\": \"%s\", \"image\": ",
	       a->disk.domid, device_label(a->disk.kind, a->disk.devid, device, sizeof(device)),
	       a->disk.devid, a->disk.kind, m->status);
	json_quoted(m->image);
	fputs(", \"target\": ", stdout);
	json_quoted(m->target);
	printf(", \"at_sync\": \"%s\", \"bytes\": %" PRIu64 ", \"left_bytes\": %" PRIu64
	       ", \"copied_bytes\": %" PRIu64 ", \"percent\": %u, \"bytes_per_second\": %" PRIu64
	       ", \"rate_bytes_per_second\": %" PRIu64 ", \"finish_us\": %" PRIu64
	       ", \"seconds\": %" PRIu64 ", \"pause_us\": %" PRIu64 ", \"reason\": ",
	       m->at_sync, m->bytes, m->dirty_bytes, m->copied_bytes, mirror_info_percent(m),
	       m->bytes_per_second, m->rate_bytes_per_second, m->finish_us, m->seconds,
	       m->pause_us);
	json_quoted(m->reason);
	puts("}");
	fflush(stdout);
}

static void describe(const struct mirror_info *m, char *text, size_t bytes)
{
	char all[32], left[32], speed[32];

	human_bytes(m->bytes, all, sizeof(all));
	human_bytes(m->dirty_bytes, left, sizeof(left));
	human_bytes(m->bytes_per_second, speed, sizeof(speed));
	if (!strcmp(m->status, "following"))
		snprintf(text, bytes, "%s has what the disk has, but for %s; it is kept so, at %s/s",
			 m->target, left, speed);
	else
		snprintf(text, bytes, "%s to %s: %u%% of %s, %s left, %s/s", m->status, m->target,
			 mirror_info_percent(m), all, left, speed);
}

/* How far it is, on a terminal in one line that changes. */
static void show_progress(struct asking *a, const struct mirror_info *m)
{
	char text[700];

	if (now_ms() - a->shown_ms < SHOW_MS)
		return;
	a->shown_ms = now_ms();
	if (a->json) {
		print_json(a, m);
	} else if (isatty(STDERR_FILENO)) {
		describe(m, text, sizeof(text));
		fprintf(stderr, "\r\033[K%.120s", text);
		a->shown = true;
	}
}

static void clear_progress(struct asking *a)
{
	if (a->shown)
		fputs("\r\033[K", stderr);
	a->shown = false;
}

static void show_end(struct asking *a, const struct mirror_info *m)
{
	char text[700];

	clear_progress(a);
	if (a->json) {
		print_json(a, m);
		return;
	}
	if (!strcmp(m->status, "pivoted") || !strcmp(m->status, "stopped"))
		printf("%s: %s %s; its guest waited %" PRIu64 ".%03" PRIu64 " ms\n", a->label,
		       !strcmp(m->status, "pivoted") ? "goes on with" : "is copied to", m->target,
		       m->pause_us / 1000, m->pause_us % 1000);
	else if (!strcmp(m->status, "cancelled"))
		printf("%s: the mirror to %s is cancelled\n", a->label, m->target);
	else if (!mirror_info_is_over(m)) {
		describe(m, text, sizeof(text));
		printf("%s: %s\n", a->label, text);
	}
}

static int complain_failed(const struct asking *a, const struct mirror_info *m)
{
	return complain(STATUS_ERROR, "%s: the mirror to %s has failed: %s; the guest goes on with %s",
			a->label, m->target, m->reason, m->image[0] ? m->image : "its image");
}

/* ---- waiting ------------------------------------------------------------------------ */

/* What is waited for, once it is ours. */
static bool is_reached(const struct asking *a, const struct mirror_info *m)
{
	if (mirror_info_is_over(m))
		return true;
	return !a->pivots && !a->stops && !a->cancels &&
	       ((a->has_rate && !a->target) || !strcmp(m->status, "following"));
}

/* The daemon ended, and nobody has come after it to say so. */
static bool is_orphaned(const struct asking *a, uint64_t *since_ms)
{
	if (runinfo_daemon_runs(a->disk.kind))
		*since_ms = now_ms();
	return now_ms() - *since_ms > ANSWER_MS;
}

static uint64_t answer_ms(const struct asking *a)
{
	return runinfo_daemon_runs(a->disk.kind) ? UPGRADE_MS : ANSWER_MS;
}

static int not_taken_up(struct asking *a)
{
	mirror_wish_withdraw(a->store.xs, a->disk.back_dir, a->wish.id);
	return complain(STATUS_TIMEOUT, "%s: its back end does not answer; is that %s of this version, and does it run?",
			a->label, words_of(a->disk.kind)->program);
}

/* The store is not asked any more, so the whole has no deadline but the one that was given. */
static int wait_for_it(struct asking *a, struct mirror_info *m)
{
	uint64_t began = now_ms(), alive = began;
	bool taken_up = false;

	for (;;) {
		deadline_set(DEADLINE_STORE_MS);
		mirror_info_read(&a->disk, m);
		if (m->found && m->id == a->wish.id) {
			taken_up = true;
			if (!a->common.wait_ms || is_reached(a, m))
				return STATUS_OK;
			show_progress(a, m);
		} else if (taken_up) {
			clear_progress(a);
			return complain(STATUS_ERROR, "%s: has been disconnected, and its mirror with it",
					a->label);
		} else if (now_ms() - began > answer_ms(a)) {
			return not_taken_up(a);
		}
		if (taken_up && is_orphaned(a, &alive)) {
			clear_progress(a);
			return complain(STATUS_ERROR, "%s: the daemon has ended, and the mirror with it",
					a->label);
		}
		if (a->common.wait_ms > 0 && now_ms() - began > (uint64_t)a->common.wait_ms) {
			clear_progress(a);
			if (!taken_up)
				return not_taken_up(a);
			return complain(STATUS_TIMEOUT, "%s: after %g s the mirror goes on; \"paravane mirror DOMAIN DEVICE --status\" shows it",
					a->label, a->common.wait_ms / 1000.0);
		}
		usleep(LOOK_US);
	}
}

/* Whether the end is what was asked for. */
static int judge(const struct asking *a, const struct mirror_info *m)
{
	const char *wanted = a->pivots ? "pivoted" : a->stops ? "stopped" :
			     a->cancels ? "cancelled" : NULL;

	if (!strcmp(m->status, "failed"))
		return complain_failed(a, m);
	if (mirror_info_is_over(m) && (!wanted || strcmp(wanted, m->status)))
		return complain(STATUS_ERROR, "%s: the mirror to %s has ended otherwise: %s",
				a->label, m->target, m->status);
	return STATUS_OK;
}

static int wait_and_show(struct asking *a)
{
	struct mirror_info m;
	int status = wait_for_it(a, &m);

	if (status)
		return status;
	show_end(a, &m);
	return judge(a, &m);
}

/* ---- asking -------------------------------------------------------------------------- */

static enum mirror_at_sync at_sync_of(const struct asking *a, enum mirror_at_sync otherwise)
{
	return a->pivots ? MIRROR_PIVOT : a->stops ? MIRROR_STOP : otherwise;
}

static int begin(struct asking *a)
{
	int rc;

	if (strlen(a->target) >= sizeof(a->wish.target) || a->target[0] != '/')
		return complain_usage(&mirror_command, "%s: a path is expected that begins with / and has %zu characters at most",
				      a->target, sizeof(a->wish.target) - 1);
	strcpy(a->wish.target, a->target);
	a->wish.at_sync = at_sync_of(a, MIRROR_FOLLOW);
	a->wish.id = now_ns() ^ (uint64_t)getpid() << 44;
	rc = mirror_wish_ask(a->store.xs, a->disk.back_dir, &a->wish);
	if (rc == -EEXIST)
		return complain(STATUS_EXISTS, "%s: a mirror runs already; --status shows it, --cancel ends it",
				a->label);
	if (rc == -EINVAL)
		return complain_usage(&mirror_command, "%s has control characters", a->target);
	if (rc)
		return complain(rc == -ENOENT ? STATUS_NO_SUCH : STATUS_ERROR, "%s: %s", a->label,
				rc == -ENOENT ? "has gone" : strerror(-rc));
	return wait_and_show(a);
}

/* The one that runs. */
static int change(struct asking *a)
{
	uint64_t rate = a->wish.bytes_per_second;
	int rc = mirror_wish_read(a->store.xs, a->disk.back_dir, &a->wish, NULL);

	if (!rc) {
		a->wish.at_sync = at_sync_of(a, a->wish.at_sync);
		if (a->has_rate)
			a->wish.bytes_per_second = rate;
		rc = a->cancels ? mirror_wish_withdraw(a->store.xs, a->disk.back_dir, a->wish.id) :
				  mirror_wish_change(a->store.xs, a->disk.back_dir, &a->wish);
	}
	if (rc == -ENOENT || rc == -EINVAL)
		return complain(STATUS_NO_SUCH, "%s: no mirror runs", a->label);
	if (rc)
		return complain(STATUS_ERROR, "%s: %s", a->label, strerror(-rc));
	return wait_and_show(a);
}

static int show(struct asking *a)
{
	struct mirror_info m;

	mirror_info_read(&a->disk, &m);
	if (!m.found)
		return complain(STATUS_NO_SUCH, "%s: no mirror runs, nor has one since it was connected",
				a->label);
	show_end(a, &m);
	if (!a->json && !strcmp(m.status, "failed"))
		printf("%s: the mirror to %s has failed: %s\n", a->label, m.target, m.reason);
	return STATUS_OK;
}

/* ---- what would be done ------------------------------------------------------------------ */

static int look_at_disk(struct asking *a, const char **unfit, struct mirror_source *source,
			struct vbd_toolstack *ts)
{
	struct vbd_features features;
	const char *path;

	if (vbd_read_toolstack(a->store.xs, a->disk.back_dir, ts, NULL) ||
	    vbd_read_features(a->store.xs, a->disk.back_dir, &features, NULL))
		return complain(STATUS_ERROR, "%s: its back end has published nothing yet (\"paravane list\" says why)",
				a->label);
	path = ts->physical_device_path ? ts->physical_device_path : ts->params;
	source->fd = path && path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	source->bytes = features.sectors * VBD_SECTOR_BYTES;
	source->sector_bytes = features.sector_bytes;
	*unfit = ts->cdrom ? "a CD drive's medium is not mirrored" :
		 ts->share == VBD_SHARED_WRITE ? "its mode is w!" :
		 source->fd < 0 ? "its image is no file or block device of this machine" : NULL;
	return STATUS_OK;
}

static void print_plan(const struct asking *a, const struct mirror_source *source,
		       const struct mirror_target *target)
{
	const char *then = a->pivots ? "the guest goes on with it" :
			   a->stops ? "the guest goes on as it was" : "it follows the disk";
	char size[32], has[32];

	human_bytes(source->bytes, size, sizeof(size));
	human_bytes(target->info.bytes, has, sizeof(has));
	if (a->json) {
		fputs("{\"dry_run\": true, \"target\": ", stdout);
		json_quoted(a->target);
		printf(", \"target_exists\": %s, \"target_is_device\": %s, \"bytes\": %" PRIu64
		       ", \"at_sync\": \"%s\"}\n", target->fd >= 0 ? "true" : "false",
		       target->info.is_device ? "true" : "false", source->bytes,
		       mirror_at_sync_name(at_sync_of(a, MIRROR_FOLLOW)));
		return;
	}
	printf("%s: %s would be copied to %s (%s); then %s\n", a->label, size, a->target,
	       target->fd < 0 ? "which would be made" : target->info.bytes ? has : "empty", then);
}

static int dry_run(struct asking *a)
{
	struct mirror_source source = { .fd = -1 };
	struct mirror_target target;
	struct vbd_toolstack ts = { .params = NULL };
	const char *unfit = NULL;
	char why[600];
	int status = look_at_disk(a, &unfit, &source, &ts);

	vbd_free_toolstack(&ts);
	if (!status && unfit)
		status = complain(STATUS_ERROR, "%s: %s", a->label, unfit);
	if (!status && mirror_target_open(a->target, &source, true, &target, why, sizeof(why)))
		status = complain(STATUS_ERROR, "%s", why);
	close_fd(&source.fd);
	if (status)
		return status;
	print_plan(a, &source, &target);
	close_fd(&target.fd);
	return STATUS_OK;
}

/* ---- the command --------------------------------------------------------------------------- */

static int take_rate(struct asking *a, const char *text)
{
	uint64_t mib;

	if (parse_u64(text, RATE_MAX_MIB, &mib))
		return complain_usage(&mirror_command, "--rate \"%s\": MiB a second are expected, 0 to %u",
				      text, RATE_MAX_MIB);
	a->has_rate = true;
	a->wish.bytes_per_second = mib << 20;
	return STATUS_OK;
}

static int take_option(struct asking *a, int opt)
{
	a->json |= opt == OPT_JSON;
	a->pivots |= opt == OPT_PIVOT;
	a->stops |= opt == OPT_STOP;
	a->cancels |= opt == OPT_CANCEL;
	a->shows |= opt == OPT_STATUS;
	a->dry_run |= opt == OPT_DRY_RUN;
	return opt == OPT_RATE ? take_rate(a, optarg) : STATUS_OK;
}

static int check_usage(const struct asking *a)
{
	int verbs = a->pivots + a->stops + a->cancels + a->shows;

	if (verbs > 1)
		return complain_usage(&mirror_command, "mirror: --pivot, --stop-at-sync, --cancel and --status exclude each other");
	if (a->target && (a->cancels || a->shows))
		return complain_usage(&mirror_command, "mirror: --cancel and --status are of the mirror that runs, and take no TARGET");
	if (!a->target && a->dry_run)
		return complain_usage(&mirror_command, "mirror: --dry-run needs a TARGET");
	if (!a->target && !verbs && !a->has_rate)
		return complain_usage(&mirror_command, "mirror: a TARGET is missing, or what is to become of the mirror that runs");
	return STATUS_OK;
}

static int parse(struct asking *a, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &mirror_command, &a->common,
				    &status)) != -1) {
		if (opt != '?')
			status = take_option(a, opt);
		if (opt == '?' || status) {
			*finished = true;
			return status;
		}
	}
	status = common_operands(&mirror_command, argc, 2, 3);
	if (status)
		return status;
	a->target = argc - optind > 2 ? argv[optind + 2] : NULL;
	return check_usage(a);
}

static int find_disk(struct asking *a, char **argv)
{
	char domain[96], device[32];
	int status = store_open(&a->store);

	if (!status)
		status = store_find(&a->store, &a->common, argv[0], argv[1], &a->disk);
	if (status)
		return status;
	if (is_nic(a->disk.kind))
		return complain_usage(&mirror_command, "%s has no image: a disk is expected", argv[1]);
	snprintf(a->label, sizeof(a->label), "%s of %s",
		 device_label(a->disk.kind, a->disk.devid, device, sizeof(device)),
		 domain_label(&a->store, a->disk.domid, domain, sizeof(domain)));
	if (a->disk.backend_domid != a->store.own_domid)
		return complain(STATUS_ERROR, "%s is served by domain %u: run \"paravane mirror\" there",
				a->label, a->disk.backend_domid);
	if (is_of_qemu(a->disk.kind))
		return complain(STATUS_ERROR, "%s is served by QEMU, which has mirrors of its own (drive-mirror)",
				a->label);
	return STATUS_OK;
}

static void close_asking(struct asking *a)
{
	store_close(&a->store);
}

static int run(int argc, char **argv)
{
	struct asking a __attribute__((cleanup(close_asking))) = {
		.common.wait_ms = NO_DEADLINE,
	};
	bool finished = false;
	int status = parse(&a, argc, argv, &finished);

	if (status || finished)
		return status;
	deadline_set(DEADLINE_STORE_MS);
	status = find_disk(&a, argv + optind);
	if (status)
		return status;
	if (a.dry_run)
		return dry_run(&a);
	if (a.shows)
		return show(&a);
	return a.target ? begin(&a) : change(&a);
}

const struct subcommand mirror_command = {
	.name = "mirror",
	.summary = "copies a disk to another image under its guest, and moves it there",
	.help = help_text,
	.classes = OF_DISKS,
	.run = run,
};
