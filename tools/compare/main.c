/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-compare-vm: runs one job of the comparison and prints what was counted, a
 * NAME=VALUE on each line. `paravane compare` starts it; the words are between the two.
 *
 * Hides: the command line, the output. Must not know: virtual machines.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

#define EXIT_SKIPPED 77
#define EXIT_NOT_BOUND 78

extern const char guest_image[], guest_image_end[];

static const char *const model_names[] = {
	"ata-pio", "ata-dma", "virtio", "xen", "rtl8139", "virtio-net", "xen-net" };
static const char *const op_names[] = {
	"read", "write", "copy", "send", "receive", "ping", "stream-out", "stream-in" };
static const struct {
	const char *name;
	uint32_t flag;
} flag_names[] = {
	{ "every-kick", CMP_EVERY_KICK }, { "every-event", CMP_EVERY_EVENT },
	{ "poll", CMP_POLL }, { "exits", CMP_EXITS },
	{ "no-persistent", CMP_NO_PERSISTENT }, { "no-indirect", CMP_NO_INDIRECT },
	{ "fresh-grants", CMP_FRESH_GRANTS }, { "bounce", CMP_BOUNCE },
	{ "same-cpu", CMP_SAME_CPU }, { "own-cpu", CMP_OWN_CPU },
	{ "no-offloads", CMP_NO_OFFLOADS }, { "no-static-grants", CMP_NO_STATIC },
	{ "verify", CMP_VERIFY }, { "flood", CMP_FLOOD },
};

static _Noreturn void usage(const char *what, const char *value)
{
	fprintf(stderr, "paravane-compare-vm: %s \"%s\"; expected --model M --op O"
		" --image FILE or --ifname NAME [--figures DIR] [--bs BYTES] [--depth N] [--ms N]"
		" [--flag F]...; "
		"`paravane compare` is the program to run\n", what, value);
	exit(2);
}

static int word(const char *what, const char *const *names, int nr, const char *value)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(names[i], value))
			return i;
	usage(what, value);
}

static uint32_t flag(const char *value)
{
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(*flag_names); i++)
		if (!strcmp(flag_names[i].name, value))
			return flag_names[i].flag;
	usage("no such flag", value);
}

static uint32_t number(const char *value, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || n < min || n > max)
		usage("no number, or out of range:", value);
	return (uint32_t)n;
}

static void parse(int argc, char **argv, struct machine_job *job, const char **image)
{
	static const struct option options[] = {
		{ "model", 1, NULL, 'm' }, { "op", 1, NULL, 'o' }, { "image", 1, NULL, 'i' },
		{ "ifname", 1, NULL, 'n' }, { "figures", 1, NULL, 'c' },
		{ "bs", 1, NULL, 'b' }, { "depth", 1, NULL, 'd' }, { "ms", 1, NULL, 's' },
		{ "flag", 1, NULL, 'f' }, { "deadline", 1, NULL, 't' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			job->model = (enum cmp_model)word("no such model", model_names, CMP_NR_MODELS,
						       optarg);
			break;
		case 'o':
			job->op = (enum cmp_op)word("no such operation", op_names, CMP_NR_OPS,
						 optarg);
			break;
		case 'i':
			*image = optarg;
			break;
		case 'b':
			job->block_bytes = number(optarg, CMP_FRAME_MIN, CMP_BLOCK_MAX);
			break;
		case 'n':
			job->ifname = optarg;
			break;
		case 'c':
			job->figures = optarg;
			break;
		case 'd':
			job->depth = number(optarg, 1, CMP_WINDOW_MAX);
			break;
		case 's':
			job->run_ms = number(optarg, 1, 600000);
			break;
		case 't':
			job->deadline_s = number(optarg, 1, 3600);
			break;
		case 'f':
			job->flags |= flag(optarg);
			break;
		default:
			usage("option", argv[optind - 1]);
		}
	}
}

/* Nothing of what is not known. */
static void show(const char *name, uint64_t value)
{
	if (value == CMP_UNKNOWN)
		return;
	printf("%s=%" PRIu64 "\n", name, value);
}

/* The smallest latency that so many per mille of the requests did not exceed. */
static uint64_t percentile_ticks(const struct cmp_job *j, unsigned int per_mille)
{
	uint64_t left = j->ops * per_mille / 1000;

	for (unsigned int i = 0; i < CMP_HIST_NR; i++) {
		if (j->hist[i] > left)
			return cmp_bucket_value(i + 1);
		left -= j->hist[i];
	}
	return 0;
}

static uint64_t ticks_to_ns(uint64_t ticks, uint32_t khz)
{
	return khz ? (uint64_t)((double)ticks * 1e6 / khz) : 0;
}

/* What it sends counts where it arrives. */
static bool is_sender(const struct cmp_job *j)
{
	return j->op == CMP_SEND || j->op == CMP_STREAM_OUT;
}

static void print(const struct machine_result *r)
{
	const struct machine_counts *c = &r->counts;
	const struct cmp_job *j = &r->job;

	show("ops", is_sender(j) ? c->arrived : j->ops);
	show("depth", j->depth);
	show("wall_ns", c->wall_ns);
	show("latency_mean_ns", j->ops ? ticks_to_ns(j->latency_ticks / j->ops, r->tsc_khz) : 0);
	show("latency_p50_ns", ticks_to_ns(percentile_ticks(j, 500), r->tsc_khz));
	show("latency_p99_ns", ticks_to_ns(percentile_ticks(j, 990), r->tsc_khz));
	show("exits", c->exits);
	show("port_exits", c->port_exits);
	show("mmio_exits", c->mmio_exits);
	show("call_exits", c->call_exits);
	show("kick_exits", c->kick_exits);
	show("halts", c->halts);
	show("kicks", c->kicks);
	show("interrupts", c->interrupts);
	show("copied_bytes", c->copied_bytes);
	show("guest_copied_bytes", j->copied_bytes);
	show("vcpu_ns", c->cpu_ns);
	show("vcpu_guest_ns", c->guest_ns);
	show("back_ns", c->back_ns);
	show("segments", j->segments);
	show("persistent", j->persistent);
	show("indirect", j->indirect);
	show("frame_bytes", j->frame_bytes);
	show("unit_bytes", j->unit_bytes);
	show("offloads", j->offloads);
	show("sent", r->sent);
	show("lost", r->lost);
	show("tsc_khz", r->tsc_khz);
	show("instruction_ps", 1000 * ticks_to_ns(j->loop_ticks, r->tsc_khz) / (2 * CMP_LOOP));
}

/* What the words are to each other. */
static void check_job(struct machine_job *job)
{
	bool nic = job->model >= CMP_RTL8139;

	if (nic != (job->op >= CMP_SEND))
		usage("not an operation of this model:", op_names[job->op]);
	if (nic && !job->ifname)
		usage("no interface for", model_names[job->model]);
	if (nic && job->block_bytes > CMP_FRAME_MAX)
		usage("--bs is more than a frame has, for", model_names[job->model]);
	if (!nic && (job->depth > CMP_DEPTH_MAX || job->block_bytes % 512))
		usage("--depth or --bs is none for", model_names[job->model]);
	if (nic)
		job->devid = 0;
	if (job->warm_ms > job->run_ms)
		job->warm_ms = job->run_ms;
}

static void open_image(struct machine_job *job, const char *image)
{
	struct stat st;

	job->fd = image ? open(image, O_RDWR | O_CLOEXEC) : -1;
	if (job->fd < 0 || fstat(job->fd, &st)) {
		fprintf(stderr, "paravane-compare-vm: image %s: %s\n", image ? image : "not given",
			image ? strerror(errno) : "expected --image FILE");
		exit(1);
	}
	job->bytes = (uint64_t)st.st_size / (2 * CMP_BLOCK_MAX) * (2 * CMP_BLOCK_MAX);
	if (!job->bytes) {
		fprintf(stderr, "paravane-compare-vm: image %s has %lld bytes; expected %u or more\n",
			image, (long long)st.st_size, 2 * CMP_BLOCK_MAX);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct machine_job job = { .model = CMP_VIRTIO, .block_bytes = 4096, .depth = 1,
				   .warm_ms = 100, .run_ms = 1000, .deadline_s = 60,
				   .devid = 51712, .seed = 88172645463325252u };
	static struct machine_result result;
	const char *image = NULL;
	int r;

	parse(argc, argv, &job, &image);
	check_job(&job);
	if (job.model < CMP_RTL8139)
		open_image(&job, image);
	r = machine_run(&job, guest_image, (size_t)(guest_image_end - guest_image), &result);
	if (!r) {
		print(&result);
		return 0;
	}
	if ((r == -EIO || r == -EXDEV) && result.job.text[0])
		fprintf(stderr, "paravane-compare-vm: %s (%s)\n", result.job.text,
			strerror(-result.job.status));
	else if (r == -ETIMEDOUT)
		fprintf(stderr, "paravane-compare-vm: the guest did not end its job within %u s\n",
			job.deadline_s);
	else
		fprintf(stderr, "paravane-compare-vm: the machine does not start or run: %s\n",
			strerror(-r));
	if (r == -EXDEV)
		return EXIT_NOT_BOUND;
	return r == -ENOENT || r == -EACCES || r == -ENOTSUP || r == -ENODEV || r == -EPERM ?
	       EXIT_SKIPPED : 1;
}
