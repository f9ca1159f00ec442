/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane trace: what each request of a disk, or frame of an interface, did and when, as a
 * table or as a file for a trace viewer.
 *
 * Hides: how records are fetched and shown. Must not know: how they come about
 * (blk-figures.h, vif-figures.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xen/io/blkif.h>

#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-figures.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane trace DOMAIN DEVICE [OPTION]...\n"
"\n"
"Shows each request of a disk, or frame of a network interface, from when its back end\n"
"takes it to when the answer is published: a table, until a signal comes. Of a disk:\n"
"when it was taken, after how many microseconds it was submitted to the storage engine,\n"
"completed, and its response published; operation, sector, bytes, segments, how the\n"
"guest's pages were reached, status, and whether an event was sent. Tracing costs the\n"
"worker some hundred instructions for each; what is faster than it is read is lost, and\n"
"counted at the end.\n"
"\n"
"  -n, --number N       end after N records\n"
"      --seconds S      end after so long\n"
"  -o, --output FILE    a file for ui.perfetto.dev or chrome://tracing, in Chrome's\n"
"                       trace format, instead of the table\n"
"      --json           the table as JSON objects, one a line\n"
"      --kind KIND      which, when several back ends name the same device\n"
"\n"
"Exit status: 0 ended, 1 error, 2 wrong usage, 3 XenStore does not answer, 4 no such\n"
"device.\n";

#define BATCH 1024u
#define PAUSE_MS 10
#define AGAIN_MS 200
#define TRACKS 4096u		/* of a queue */

enum { OPT_SECONDS = 256, OPT_JSON };

static const struct option options[] = {
	{ "number", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "output", required_argument, NULL, 'o' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "kind", required_argument, NULL, 'k' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

enum form { TABLE, JSON, CHROME };

struct trace {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	struct figures_reader reader;
	const char *output;
	enum form form;
	FILE *to;
	int err;			/* of the first write that failed */
	bool nic, on;
	uint64_t number, shown, lost, until_ms, first_ns;
	uint64_t next[FIGURES_PARTS_MAX];
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static double us(uint64_t ns)
{
	return (double)ns / 1e3;
}

/* ---- disks ------------------------------------------------------------------------------- */

static const char *operation_name(const struct blk_trace *r)
{
	static const char *const names[] = {
		[BLKIF_OP_READ] = "read", [BLKIF_OP_WRITE] = "write",
		[BLKIF_OP_WRITE_BARRIER] = "barrier", [BLKIF_OP_FLUSH_DISKCACHE] = "flush",
		[BLKIF_OP_DISCARD] = "discard",
	};

	return r->operation < ARRAY_LEN(names) && names[r->operation] ? names[r->operation] : "?";
}

static const char *pages_name(const struct blk_trace *r)
{
	static const char *const names[] = { "-", "persistent", "mapped", "copied" };

	return r->pages < ARRAY_LEN(names) ? names[r->pages] : "?";
}

static const char *status_name(const struct blk_trace *r)
{
	return r->status == BLKIF_RSP_OKAY ? "ok" : r->status == BLKIF_RSP_EOPNOTSUPP ?
	       "unsupported" : "error";
}

static void disk_row(const struct trace *t, uint32_t queue, const struct blk_trace *r)
{
	fprintf(t->to, "%12.1f %2u %-8s %12" PRIu64 " %8u %4u %-10s %8.1f %8.1f %8.1f %s%s\n",
		us(r->taken_ns - t->first_ns), queue, operation_name(r), r->sector, r->bytes,
		r->segments, pages_name(r), us(r->submitted_ns), us(r->completed_ns),
		us(r->published_ns), status_name(r), r->notified ? " event" : "");
}

static void disk_members(const struct trace *t, uint32_t queue, const struct blk_trace *r)
{
	fprintf(t->to, "\"queue\":%u,\"operation\":\"%s\",\"sector\":%" PRIu64 ",\"bytes\":%u,"
		"\"segments\":%u,\"indirect\":%s,\"pages\":\"%s\",\"submitted_us\":%.3f,"
		"\"completed_us\":%.3f,\"published_us\":%.3f,\"status\":\"%s\",\"notified\":%s",
		queue, operation_name(r), r->sector, r->bytes, r->segments,
		r->indirect ? "true" : "false", pages_name(r), us(r->submitted_ns),
		us(r->completed_ns), us(r->published_ns), status_name(r),
		r->notified ? "true" : "false");
}

/* ---- interfaces ---------------------------------------------------------------------------- */

static const char *direction_name(const struct vif_trace *r)
{
	return r->received ? "received" : "sent";
}

static void nic_row(const struct trace *t, uint32_t queue, const struct vif_trace *r)
{
	fprintf(t->to, "%12.1f %2u %-8s %7u %5u %6u %7u %8.1f %s%s\n",
		us(r->taken_ns - t->first_ns), queue, direction_name(r), r->bytes, r->slots,
		r->copies, r->large_bytes, us(r->done_ns), r->failed ? "failed" : "ok",
		r->blank ? " blank" : "");
}

static void nic_members(const struct trace *t, uint32_t queue, const struct vif_trace *r)
{
	fprintf(t->to, "\"queue\":%u,\"direction\":\"%s\",\"bytes\":%u,\"slots\":%u,\"copies\":%u,"
		"\"segment_bytes\":%u,\"done_us\":%.3f,\"failed\":%s,\"checksum_blank\":%s",
		queue, direction_name(r), r->bytes, r->slots, r->copies, r->large_bytes,
		us(r->done_ns), r->failed ? "true" : "false", r->blank ? "true" : "false");
}

/* ---- forms ---------------------------------------------------------------------------------- */

static void members(const struct trace *t, uint32_t queue, const void *record)
{
	if (t->nic)
		nic_members(t, queue, record);
	else
		disk_members(t, queue, record);
}

static void begin(const struct trace *t)
{
	if (t->form == CHROME)
		fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", t->to);
	else if (t->form == TABLE && t->nic)
		fprintf(t->to, "%12s %2s %-8s %7s %5s %6s %7s %8s STATUS\n", "TAKEN us", "Q", "WAY",
			"BYTES", "SLOTS", "COPIES", "SEGMENT", "DONE +us");
	else if (t->form == TABLE)
		fprintf(t->to, "%12s %2s %-8s %12s %8s %4s %-10s %8s %8s %8s STATUS\n", "TAKEN us",
			"Q", "OP", "SECTOR", "BYTES", "SEGS", "PAGES", "SUBM +us", "COMP +us",
			"PUBL +us");
}

/*
 * A complete event for each. In Chrome's format those of one track lie in each other or
 * apart; requests overlap as they like, so each goes to the first track of its queue that
 * is free. Those are some more than are on their way at a time (512 requests, or 256 slots
 * of frames and those that wait), since records come in the order of their ends.
 */
static void chrome(struct trace *t, uint32_t queue, const void *record, uint64_t taken_ns,
		   uint32_t took_ns, const char *name)
{
	static uint64_t busy_until[FIGURES_PARTS_MAX][TRACKS];
	uint32_t track = 0;

	while (track < TRACKS - 1 && busy_until[queue][track] > taken_ns)
		track++;
	busy_until[queue][track] = taken_ns + took_ns;
	fprintf(t->to, "%s{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
		"\"args\":{", t->shown ? ",\n" : "", name, t->dev.domid, queue * TRACKS + track,
		us(taken_ns), us(took_ns));
	members(t, queue, record);
	fputs("}}", t->to);
}

/* Right behind a write. */
static void note_failure(struct trace *t)
{
	if (!t->err && ferror(t->to))
		t->err = errno ? errno : EIO;
}

static void show(struct trace *t, uint32_t queue, const void *record)
{
	const struct blk_trace *disk = record;
	const struct vif_trace *nic = record;
	uint64_t taken_ns = t->nic ? nic->taken_ns : disk->taken_ns;

	if (!t->first_ns)
		t->first_ns = taken_ns;
	if (t->form == CHROME) {
		chrome(t, queue, record, taken_ns, t->nic ? nic->done_ns : disk->published_ns,
		       t->nic ? direction_name(nic) : operation_name(disk));
	} else if (t->form == JSON) {
		fprintf(t->to, "{\"taken_s\":%.9f,", (double)taken_ns / 1e9);
		members(t, queue, record);
		fputs("}\n", t->to);
	} else if (t->nic) {
		nic_row(t, queue, nic);
	} else {
		disk_row(t, queue, disk);
	}
	t->shown++;
	note_failure(t);
}

/* What cannot be written may be known only when the file is closed. */
static void end_output(struct trace *t)
{
	fflush(t->to);
	note_failure(t);
	if (t->to == stdout)
		return;
	if (fclose(t->to) && !t->err)
		t->err = errno;
	t->to = NULL;
}

static int finish(struct trace *t)
{
	if (t->form == CHROME)
		fputs("\n]}\n", t->to);
	end_output(t);
	fprintf(stderr, "paravane: %" PRIu64 " %s, %" PRIu64 " more were lost\n", t->shown,
		t->nic ? "frames" : "requests", t->lost);
	/* Who reads no more, has what it wants. */
	if (!t->err || (t->err == EPIPE && !t->output))
		return STATUS_OK;
	return complain(STATUS_ERROR, "%s: %s", t->output ? t->output : "standard output",
			strerror(t->err));
}

/* ---- fetching ---------------------------------------------------------------------------------- */

static bool is_over(const struct trace *t)
{
	return ended || (t->number && t->shown >= t->number) || ferror(t->to) ||
	       (t->until_ms && now_ms() >= t->until_ms);
}

/* How many came, or -errno. */
static int fetch(struct trace *t, uint32_t queue)
{
	static uint8_t records[BATCH][FIGURES_RECORD_BYTES] __attribute__((aligned(8)));
	uint64_t lost;
	int nr = figures_read_records(t->reader.fd, &t->reader.layout, queue, &t->next[queue],
				      records, BATCH, &lost);

	if (nr < 0)
		return nr;
	t->lost += lost;
	for (int i = 0; i < nr && !is_over(t); i++)
		show(t, queue, records[i]);
	return nr;
}

static int follow(struct trace *t)
{
	const struct timespec pause = { 0, PAUSE_MS * 1000000l };
	uint64_t asked_ms = now_ms();
	int rc = 0;

	while (rc >= 0 && !is_over(t)) {
		int came = 0;

		if (now_ms() - asked_ms >= AGAIN_MS) {
			figures_trace_on(t->reader.fd);
			asked_ms = now_ms();
		}
		for (uint32_t q = 0; rc >= 0 && q < t->reader.layout.nr_parts; q++) {
			rc = fetch(t, q);
			came += rc > 0;
		}
		fflush(t->to);
		note_failure(t);
		if (!came)
			nanosleep(&pause, NULL);
	}
	return rc < 0 ? rc : 0;
}

static int trace(struct trace *t)
{
	struct sigaction action = { .sa_handler = on_signal };
	int rc, status;

	for (uint32_t q = 0; q < FIGURES_PARTS_MAX; q++)
		t->next[q] = UINT64_MAX;
	/* From now on, before the first is written. */
	for (uint32_t q = 0; q < t->reader.layout.nr_parts; q++)
		fetch(t, q);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	rc = figures_trace(t->reader.fd, &t->reader.layout);
	t->on = !rc;
	if (rc)
		return complain(STATUS_ERROR, "trace: no room for records: %s", strerror(-rc));
	begin(t);
	rc = follow(t);
	status = finish(t);
	if (rc)
		return complain(STATUS_ERROR, "trace: %s", rc == -EBADMSG ?
				"the worker's figures are damaged" : strerror(-rc));
	return status;
}

/* ---- options -------------------------------------------------------------------------------------- */

static int take(struct trace *t, int opt, const char *word)
{
	uint64_t seconds;

	switch (opt) {
	case 'k':
		return parse_kind(&trace_command, optarg, &t->common.kind);
	case 'n':
		if (parse_u64(optarg, UINT32_MAX, &t->number) || !t->number)
			return complain_usage(&trace_command, "--number \"%s\": a number from 1 on is "
					      "expected", optarg);
		break;
	case 'o':
		t->output = optarg;
		t->form = CHROME;
		break;
	case OPT_JSON:
		t->form = JSON;
		break;
	case OPT_SECONDS:
		if (parse_u64(optarg, UINT32_MAX, &seconds) || !seconds)
			return complain_usage(&trace_command, "--seconds \"%s\": a number from 1 on is "
					      "expected", optarg);
		t->until_ms = now_ms() + seconds * 1000;
		break;
	case ':':
		return complain_usage(&trace_command, "trace: option \"%s\" needs a value", word);
	default:
		return complain_usage(&trace_command, "trace: unknown option \"%s\"", word);
	}
	return STATUS_OK;
}

static int open_trace(struct trace *t, char **argv)
{
	int rc, status = store_open(&t->store);

	if (!status)
		status = store_find(&t->store, &t->common, argv[optind], argv[optind + 1], &t->dev);
	if (status)
		return status;
	deadline_end();
	t->nic = is_nic(t->dev.kind);
	rc = figures_reader_open(&t->dev, O_RDWR, &t->reader);
	if (rc)
		return complain(STATUS_ERROR, "%s of domain %u: no worker of this machine's back end "
				"serves it now: %s", argv[optind + 1], t->dev.domid, strerror(-rc));
	t->to = t->output ? fopen(t->output, "we") : stdout;
	return t->to ? STATUS_OK : complain(STATUS_ERROR, "%s: %s", t->output, strerror(errno));
}

static void close_trace(struct trace *t)
{
	if (t->on)
		figures_trace_end(t->reader.fd);
	if (t->to && t->to != stdout)
		fclose(t->to);
	figures_reader_close(&t->reader);
	store_close(&t->store);
}

static int run(int argc, char **argv)
{
	struct trace t __attribute__((cleanup(close_trace))) = { .reader.fd = -1 };
	int opt, status = STATUS_OK;

	while (!status && (opt = getopt_long(argc, argv, ":hn:o:", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help_text, stdout);
			return STATUS_OK;
		}
		status = take(&t, opt, argv[optind - 1]);
	}
	if (!status)
		status = common_operands(&trace_command, argc, 2, 2);
	if (!status)
		status = open_trace(&t, argv);
	return status ? status : trace(&t);
}

const struct subcommand trace_command = {
	.name = "trace",
	.summary = "shows what each request did and when",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
