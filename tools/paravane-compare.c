/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane compare: one disk, one network, one guest, the same workload by emulated
 * devices, by virtio and by Xen's rings.
 *
 * Hides: the command line, which of the measurements are wanted. Must not know: how one is
 * made or shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paravane-compare.h"
#include "paravane.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane compare [OPTION]...\n"
"\n"
"Compares ways to give a guest a disk and a network. A virtual machine of its own on\n"
"/dev/kvm reads and writes one image in the page cache: by emulated ATA (PIO, and\n"
"bus-master DMA), by a virtio virtqueue, and by Xen's ring with paravane-blkback in a\n"
"local Xen. It sends frames to one program behind a TAP device, and receives them: by an\n"
"emulated RTL8139, by virtio-net, and by Xen's rings with paravane-netback. Exits,\n"
"notifications, copies and CPU time are counted, not computed.\n"
"\n"
"  --only TEXT      only measurements whose model or heading has TEXT in it\n"
"  --disk, --nic    only disks, only network cards\n"
"  --quick          no large blocks, nothing changed at a time, one round of 0.2 s each\n"
"  --ms N           length of each measurement in milliseconds (default 300)\n"
"  --rounds N       how often all are made in turn (default 3); the median by op/s is shown\n"
"  --size MIB       size of the image (default 64)\n"
"  --json           for programs, with all counters as they are\n"
"  --help           this text\n"
"\n"
"Columns, per operation unless said otherwise: exits of the CPU, counted by KVM; of\n"
"these, accesses that this program or the back end's library had to see (port, mmio,\n"
"call); halt: KVM's halts; kick: notifications to the back end; irq: interrupts taken;\n"
"copy: bytes copied per byte moved, the one between page cache and memory included;\n"
"vcpu us, back us: CPU time of the CPU's thread, and of the thread or process that serves\n"
"the device; lost: frames that were sent and did not arrive, in %; of a stream, a frame is\n"
"a segment of 1460 bytes, however many travel as one. \"not equal\" says what could not be\n"
"made equal.\n"
"\n"
"Network cards need a network namespace of their own (root, or user namespaces) and\n"
"/dev/net/tun; without them they are left out, and the output says so.\n"
"\n"
"It runs in a local Xen of its own and leaves nothing behind, also when interrupted.\n"
"docs/compare.md says how to read it.\n"
"\n"
"Exit status: 0 done, 1 error, 2 wrong usage, 77 /dev/kvm cannot be used.\n";

static const struct option options[] = {
	{ "only", required_argument, NULL, 'o' }, { "quick", no_argument, NULL, 'q' },
	{ "ms", required_argument, NULL, 'm' }, { "size", required_argument, NULL, 's' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' }, { "inside", optional_argument, NULL, 'i' },
	{ "disk", no_argument, NULL, 'D' }, { "nic", no_argument, NULL, 'N' },
	{ "help", no_argument, NULL, 'h' }, { 0 } };

struct compare_options {
	const char *only;
	bool quick, json, inside, disk, nic;	/* disk, nic: only these; neither: both */
	const char *no_network;			/* why NICs cannot be measured, or NULL */
	uint32_t run_ms, size_mib, rounds;
	int nr_cpus;
};

#define ROUNDS_MAX 15u
#define ROWS_MAX 200u

/* ---- measurements ---------------------------------------------------------------- */

#define KIB 1024u

static bool wanted(const struct compare_row *row, const struct compare_options *o)
{
	if (row->flags[0] && !strcmp(row->flags[0], "own-cpu") && o->nr_cpus < 2)
		return false;
	if (row->nic ? o->disk : o->nic)
		return false;
	if (o->quick && (row->block_bytes > 4 * KIB || strstr(row->table, "at a time")))
		return false;
	return !o->only || strcasestr(row->model, o->only) || strcasestr(row->table, o->only) ||
	       strcasestr(row->label, o->only);
}

static int by_rate(const void *a, const void *b)
{
	const struct compare_result *x = a, *y = b;
	double one = (double)x->ops / (double)x->wall_ns, other = (double)y->ops / (double)y->wall_ns;

	return (one > other) - (one < other);
}

static int measure_all(const struct compare_options *o, struct compare_world *w,
		       const struct compare_row *rows, unsigned int nr,
		       struct compare_result (*results)[ROUNDS_MAX])
{
	unsigned int at = 0;
	int status;

	for (uint32_t round = 0; round < o->rounds; round++) {
		for (unsigned int i = 0; i < nr; i++) {
			fprintf(stderr, "%u of %u: %s, %s\n", ++at, nr * o->rounds, rows[i].table,
				rows[i].label);
			status = compare_run(w, &rows[i], o->run_ms, &results[i][round]);
			if (status)
				return status;
		}
	}
	return STATUS_OK;
}

static int select_rows(const struct compare_options *o, struct compare_row *rows,
		       unsigned int *nr)
{
	unsigned int nr_all;
	const struct compare_row *all = compare_rows(&nr_all);
	bool left_out = false;

	if (nr_all > ROWS_MAX)
		return complain(STATUS_ERROR, "there are more than %u measurements", ROWS_MAX);
	for (*nr = 0; nr_all; nr_all--, all++) {
		if (!wanted(all, o))
			continue;
		if (!all->nic || !o->no_network)
			rows[(*nr)++] = *all;
		else
			left_out = true;
	}
	if (*nr)
		return STATUS_OK;
	if (left_out)
		return complain(STATUS_SKIPPED, "%s; network cards need it: run as root, or where user "
				"namespaces are allowed", o->no_network);
	return complain(STATUS_USAGE, "no measurement has \"%s\" in it; "
			"expected a model such as xen, virtio, ata-dma, rtl8139 or part of a heading",
			o->only ? o->only : "");
}

/* By name, so that nobody takes a table that is not there for one that does not exist. */
static void say_left_out(const struct compare_options *o)
{
	unsigned int nr;
	const struct compare_row *row = compare_rows(&nr);
	const char *last = "";

	for (; nr; nr--, row++) {
		if (!row->nic || !o->no_network || !wanted(row, o))
			continue;
		if (strcmp(row->table, last))
			printf("%s%s\n", *last ? "  " : "\nLeft out:\n  ", row->table);
		last = row->table;
	}
	if (*last)
		printf("because %s; run as root, or where user namespaces are allowed\n",
		       o->no_network);
}

static int measure(const struct compare_options *o, struct compare_world *w,
		   const struct compare_row *rows, unsigned int nr)
{
	static struct compare_result results[ROWS_MAX][ROUNDS_MAX];
	static struct compare_result medians[ROWS_MAX];
	int status = measure_all(o, w, rows, nr, results);

	if (status)
		return status;
	for (unsigned int i = 0; i < nr; i++) {
		qsort(results[i], o->rounds, sizeof(results[i][0]), by_rate);
		medians[i] = results[i][o->rounds / 2];
	}
	if (o->json) {
		compare_show_json(rows, medians, nr, o->size_mib, o->run_ms, o->rounds);
		return STATUS_OK;
	}
	compare_show_table(rows, medians, nr);
	say_left_out(o);
	return STATUS_OK;
}

static int open_and_measure(const struct compare_options *o)
{
	static struct compare_row rows[ROWS_MAX];
	struct compare_world *w = NULL;
	bool disk = false, nic = false;
	unsigned int nr;
	int status = select_rows(o, rows, &nr);

	if (status)
		return status;
	for (unsigned int i = 0; i < nr; i++) {
		nic = nic || rows[i].nic;
		disk = disk || !rows[i].nic;
	}
	status = compare_world_open(o->size_mib, disk, nic, &w);
	if (!status)
		status = measure(o, w, rows, nr);
	compare_world_close(w);
	return status;
}

/* ---- the command -------------------------------------------------------------------- */

static int check_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return complain(STATUS_SKIPPED, "/dev/kvm: %s; this comparison needs a virtual "
				"machine of its own. Without one, tools/bench-xen of the source tree "
				"compares back ends with real Xen under QEMU, which needs no /dev/kvm",
				strerror(errno));
	close(fd);
	return STATUS_OK;
}

static int number(const struct subcommand *command, const char *option, const char *text,
		  uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n;

	if (parse_u64(text, max, &n) || n < min)
		return complain_usage(command, "%s \"%s\": expected a number from %u to %u",
				      option, text, min, max);
	*out = (uint32_t)n;
	return STATUS_OK;
}

/* -1: go on; else a status to end with. */
static int parse(int argc, char **argv, struct compare_options *o)
{
	const struct subcommand *command = &compare_command;
	int c, status = STATUS_OK;

	while (!status && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			o->only = optarg;
			break;
		case 'q':
			o->quick = true;
			o->run_ms = 200;
			o->rounds = 1;
			break;
		case 'm':
			status = number(command, "--ms", optarg, 10, 60000, &o->run_ms);
			break;
		case 'r':
			status = number(command, "--rounds", optarg, 1, ROUNDS_MAX, &o->rounds);
			break;
		case 's':
			status = number(command, "--size", optarg, 1, 4096, &o->size_mib);
			break;
		case 'j':
			o->json = true;
			break;
		case 'D':
			o->disk = true;
			break;
		case 'N':
			o->nic = true;
			break;
		case 'i':
			o->inside = true;
			o->no_network = optarg && *optarg ? optarg : NULL;
			break;
		case 'h':
			fputs(command->help, stdout);
			return STATUS_OK;
		default:
			return STATUS_USAGE;
		}
	}
	if (!status && o->disk && o->nic)
		o->disk = o->nic = false;
	if (!status && optind < argc)
		status = complain_usage(command, "\"%s\" is too much: only options are expected",
					argv[optind]);
	return status ? status : -1;
}

static int run_compare(int argc, char **argv)
{
	struct compare_options o = { .run_ms = 300, .size_mib = 64, .rounds = 3 };
	char why[128];
	cpu_set_t cpus;
	int status = parse(argc, argv, &o);

	if (status >= 0)
		return status;
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		o.nr_cpus = CPU_COUNT(&cpus);
	status = check_kvm();
	if (status)
		return status;
	if (!o.inside)
		return compare_enter_local_xen(argc, argv);
	if (!o.no_network && !compare_has_network(why))
		o.no_network = why;
	return open_and_measure(&o);
}

const struct subcommand compare_command = {
	.name = "compare",
	.summary = "measures emulated devices, virtio and Xen's rings side by side",
	.help = help_text,
	.run = run_compare,
};
