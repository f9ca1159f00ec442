/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane compare: one disk, one network, one guest, the same workload by emulated
 * devices, by virtio and by Xen's rings.
 *
 * Hides: the command line. Must not know: how a measurement is made or shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paravane-compare.h"
#include "paravane-compare-data.h"
#include "paravane-compare-report.h"
#include "paravane-compare-show.h"
#include "paravane-compare-xen.h"
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
"  --on WHERE       xen: this machine, the dom0 of a Xen host: HVM and PV guests, QEMU's\n"
"                   emulated disks and network cards, and Paravane's, the kernel's and\n"
"                   QEMU's back ends, measured by fio, iperf3 and ping, some minutes;\n"
"                   kvm: the virtual machine described above, two to three minutes;\n"
"                   xenhost: as xen, on a host under QEMU whose clock counts instructions\n"
"                   (from the source tree; half an hour, and more than one with --all).\n"
"                   Default: xen in a dom0, else kvm\n"
"  --all            on Xen: about a hundred measurements in place of 25, what one thing at\n"
"                   a time is worth included, a quarter to half an hour (on kvm they are\n"
"                   always all)\n"
"  --only TEXT      only measurements whose model or heading has TEXT in it, of all\n"
"  --disk, --nic    only disks, only network cards\n"
"  --quick          no large blocks, nothing changed at a time, one round of 0.2 s each;\n"
"                   on Xen: 4 KiB random reads at depth 32, one emulated disk, no cards\n"
"  --ms N           length of each measurement in milliseconds (default 300)\n"
"  --rounds N       how often all are made in turn (default 3); the median by op/s is shown\n"
"  --size MIB       size of the image (default 64)\n"
"  --json           for programs, with all counters as they are\n"
"  --report DIR     writes DIR/index.html too, one page with charts and tables (made if\n"
"                   it is not there), and the JSON beside it\n"
"  --from FILE      measures nothing: the tables, JSON or report of what --json printed\n"
"                   before; several are put beside each other\n"
"  --help           this text\n"
"\n"
"Columns, per operation unless said otherwise: exits of the CPU, counted by KVM; of\n"
"these, accesses that this program or the back end's library had to see (port, mmio,\n"
"call); halt: KVM's halts; kick: notifications to the back end; irq: interrupts taken;\n"
"copy: bytes copied per byte moved, as device model, back end and guest count them, the\n"
"copy between page cache or TAP device and memory included; -: nobody counts them;\n"
"vcpu us: CPU time of the thread that runs the guest's CPU, with KVM's work for it and a\n"
"device model that runs in the exit; back us: of the thread or process that serves the\n"
"device, -: there is none; lost: frames that were sent and did not arrive, in %; of a\n"
"stream, a frame is a segment of 1460 bytes, however many travel as one. \"not equal\" says\n"
"what could not be made equal. (compare.md says how each is counted on a Xen host.)\n"
"\n"
"Network cards need a network namespace of their own (root, or user namespaces) and\n"
"/dev/net/tun; without them they are left out, and the output says so.\n"
"\n"
"It runs in a local Xen of its own and leaves nothing behind, also when interrupted.\n"
"compare.md, in Paravane's documentation, says how to read it.\n"
"\n"
"Exit status: 0 done, 1 error, or a measurement failed and the others are shown, 2 wrong\n"
"usage, 77 /dev/kvm cannot be used, no dom0.\n";

static const struct option options[] = {
	{ "only", required_argument, NULL, 'o' }, { "quick", no_argument, NULL, 'q' },
	{ "all", no_argument, NULL, 'a' },
	{ "ms", required_argument, NULL, 'm' }, { "size", required_argument, NULL, 's' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' }, { "report", required_argument, NULL, 'p' },
	{ "from", required_argument, NULL, 'f' }, { "inside", optional_argument, NULL, 'i' },
	{ "on", required_argument, NULL, 'w' }, { "disk", no_argument, NULL, 'D' }, { "nic", no_argument, NULL, 'N' },
	{ "help", no_argument, NULL, 'h' }, { 0 } };

#define FROM_MAX 8

struct compare_options {
	struct compare_wish wish;
	const char *report, *from[FROM_MAX];
	const char *measures;		/* an option that only a measurement needs, or NULL */
	const char *kvm_only;		/* an option that is for kvm alone, or NULL */
	enum compare_place { ON_ANY, ON_KVM, ON_XEN, ON_XENHOST } on;
	unsigned int nr_from;
	bool json, inside;
};

/* ---- the command -------------------------------------------------------------------- */

static int check_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return complain(STATUS_SKIPPED, "/dev/kvm: %s; this comparison needs a virtual "
				"machine of its own. --on xenhost measures on a Xen host under QEMU, "
				"which needs no /dev/kvm",
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

static int take_from(const struct subcommand *command, const char *path,
		     struct compare_options *o)
{
	if (o->nr_from == FROM_MAX)
		return complain_usage(command, "--from \"%s\": %d files at most are expected",
				      path, FROM_MAX);
	o->from[o->nr_from++] = path;
	return STATUS_OK;
}

static int take_place(const struct subcommand *command, const char *word,
		      struct compare_options *o)
{
	static const char *const words[] = { [ON_KVM] = "kvm", [ON_XEN] = "xen",
					     [ON_XENHOST] = "xenhost" };

	for (unsigned int i = ON_KVM; i < ARRAY_LEN(words); i++) {
		if (strcmp(word, words[i]))
			continue;
		o->on = (enum compare_place)i;
		return STATUS_OK;
	}
	return complain_usage(command, "--on \"%s\": expected xen, kvm or xenhost", word);
}

static int check_together(const struct subcommand *command, const struct compare_options *o)
{
	if (o->nr_from && o->measures)
		return complain_usage(command, "--%s has no meaning with --from, which measures nothing",
				      o->measures);
	if (o->wish.all && o->wish.quick)
		return complain_usage(command, "--all and --quick: one of them is expected");
	if (o->nr_from > 1 && o->json)
		return complain_usage(command, "--json prints one run: expected one --from");
	if (o->kvm_only && (o->on == ON_XEN || o->on == ON_XENHOST))
		return complain_usage(command, "--%s is for --on kvm: on Xen the number of operations "
				      "is fixed", o->kvm_only);
	return STATUS_OK;
}

/* -1: go on; else a status to end with. */
static int parse(int argc, char **argv, struct compare_options *o)
{
	const struct subcommand *command = &compare_command;
	int c, at = 0, status = STATUS_OK;

	while (!status && (c = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (strchr("mrs", c))
			o->kvm_only = options[at].name;
		if (strchr("oaqmrswDN", c))
			o->measures = options[at].name;
		switch (c) {
		case 'o':
			o->wish.only = optarg;
			break;
		case 'a':
			o->wish.all = true;
			break;
		case 'q':
			o->wish.quick = true;
			break;
		case 'm':
			status = number(command, "--ms", optarg, 10, 60000, &o->wish.run_ms);
			break;
		case 'r':
			status = number(command, "--rounds", optarg, 1, COMPARE_ROUNDS_MAX, &o->wish.rounds);
			break;
		case 's':
			status = number(command, "--size", optarg, 1, 4096, &o->wish.size_mib);
			break;
		case 'j':
			o->json = true;
			break;
		case 'p':
			o->report = optarg;
			break;
		case 'f':
			status = take_from(command, optarg, o);
			break;
		case 'w':
			status = take_place(command, optarg, o);
			break;
		case 'D':
			o->wish.disk = true;
			break;
		case 'N':
			o->wish.nic = true;
			break;
		case 'i':
			o->inside = true;
			o->wish.no_network = optarg && *optarg ? optarg : NULL;
			break;
		case 'h':
			fputs(command->help, stdout);
			return STATUS_OK;
		default:
			return STATUS_USAGE;
		}
	}
	if (!status && optind < argc)
		status = complain_usage(command, "\"%s\" is too much: only options are expected",
					argv[optind]);
	if (!status)
		status = check_together(command, o);
	if (o->wish.disk && o->wish.nic)
		o->wish.disk = o->wish.nic = false;
	if (!o->wish.run_ms)
		o->wish.run_ms = o->wish.quick ? 200 : 300;
	if (!o->wish.rounds)
		o->wish.rounds = o->wish.quick ? 1 : 3;
	return status ? status : -1;
}

static void put_word(FILE *f, const char *word)
{
	bool plain = *word && *word != '~' && !word[strcspn(word, " \t\n\"'\\#$&()*;<>?[]`{|}!")];

	if (plain) {
		fputs(word, f);
		return;
	}
	putc('\'', f);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\'", f);
		putc(*word, f);
	}
	putc('\'', f);
}

/* What was typed, as a shell takes it. NULL: no memory. */
static char *typed(int argc, char **argv)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	fputs("paravane compare", f);
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--inside", 8))
			continue;
		putc(' ', f);
		put_word(f, argv[i]);
	}
	return fclose(f) ? NULL : text;
}

/* ---- what comes of it ------------------------------------------------------------- */

static int print_json(const struct comparison *run)
{
	if (json_dumpf(run->json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) ||
	    putchar('\n') == EOF)
		return complain(STATUS_ERROR, "the JSON could not be written: %s",
				strerror(errno));
	return STATUS_OK;
}

static void put_name(const struct comparison *run, unsigned int i)
{
	const char *const parts[] = { run->name, ", ", run->where, ", ", run->started };

	if (i)
		putchar('\n');
	for (size_t k = 0; k < ARRAY_LEN(parts); k++)
		compare_put_text(parts[k], 0);
	putchar('\n');
}

static int show_here(const struct compare_options *o, struct comparison *const *runs,
		     unsigned int nr)
{
	if (o->json)
		return print_json(runs[0]);
	for (unsigned int i = 0; i < nr; i++) {
		if (nr > 1)
			put_name(runs[i], i);
		compare_show_tables(runs[i]);
	}
	return STATUS_OK;
}

/* What was measured is shown whatever becomes of the report. */
static int show(const struct compare_options *o, struct comparison *const *runs,
		unsigned int nr)
{
	int status = o->report ? compare_write_report(runs, nr, o->report) : STATUS_OK, shown;

	if (o->report && !status)
		fprintf(stderr, "the report is %s/index.html\n", o->report);
	shown = show_here(o, runs, nr);
	return status ? status : shown;
}

static int show_former(const struct compare_options *o)
{
	struct comparison *runs[FROM_MAX] = { NULL };
	int status = STATUS_OK;

	for (unsigned int i = 0; !status && i < o->nr_from; i++)
		status = comparison_open_file(o->from[i], &runs[i]);
	if (!status)
		status = show(o, runs, o->nr_from);
	for (unsigned int i = 0; i < o->nr_from; i++)
		comparison_close(runs[i]);
	return status;
}

/* Takes json over. */
static int show_this(const struct compare_options *o, json_t *json)
{
	struct comparison *run = NULL;
	int status = comparison_open(json, "this run", &run);

	if (!status)
		status = show(o, &run, 1);
	comparison_close(run);
	return status;
}

/* What could be measured is shown, whatever could not. */
static int measure_and_show(const struct compare_options *o, const char *command)
{
	json_t *json = compare_begin("kvm", "real", command);
	int status = compare_measure(&o->wish, json), shown = STATUS_OK;

	if (json_object_get(json, "results"))
		shown = show_this(o, json);
	else
		json_decref(json);
	return status ? status : shown;
}

static int xen_and_show(const struct compare_options *o, const char *command)
{
	const struct compare_xen_options xen = {
		.emulated = o->on == ON_XENHOST, .all = o->wish.all, .quick = o->wish.quick, .disk = o->wish.disk, .nic = o->wish.nic,
		.only = o->wish.only };
	json_t *json;
	int status = compare_on_xen(&xen, command, &json);
	int shown = json ? show_this(o, json) : STATUS_OK;

	return status ? status : shown;
}

static int kvm_and_show(const struct compare_options *given, int argc, char **argv,
			const char *command)
{
	struct compare_options o = *given;
	int status = check_kvm();
	char why[128];

	if (status)
		return status;
	if (o.inside && !o.wish.no_network && !compare_has_network(why))
		o.wish.no_network = why;
	return o.inside ? measure_and_show(&o, command) : compare_enter_local_xen(argc, argv);
}

static int run_compare(int argc, char **argv)
{
	struct compare_options o = { .wish.size_mib = 64 };
	autofree char *command = typed(argc, argv);	/* before its words are put in order */
	cpu_set_t cpus;
	int status;

	status = parse(argc, argv, &o);
	if (status >= 0)
		return status;
	if (o.nr_from)
		return show_former(&o);
	if (o.report && !o.inside) {
		status = compare_check_directory(o.report);
		if (status)
			return status;
	}
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		o.wish.nr_cpus = CPU_COUNT(&cpus);
	if (!o.inside && o.report && !chart_program_found())
		complain(STATUS_OK, "gnuplot is not installed (Debian package gnuplot-nox): the "
			 "report will be without charts");
	if (o.on == ON_ANY && !o.inside && !o.kvm_only && compare_is_dom0())
		o.on = ON_XEN;
	if (o.on == ON_ANY && !o.inside && o.kvm_only && compare_is_dom0())
		fprintf(stderr, "--%s is for --on kvm, so that is measured; without it xen would be\n",
			o.kvm_only);
	return o.on == ON_XEN || o.on == ON_XENHOST ? xen_and_show(&o, command) :
						      kvm_and_show(&o, argc, argv, command);
}

const struct subcommand compare_command = {
	.name = "compare",
	.summary = "measures emulated devices, virtio and Xen's rings side by side",
	.help = help_text,
	.run = run_compare,
};
