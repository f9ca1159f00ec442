/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain-cpu [--for MS --device NAME] [PID...]: the CPU time that each domain has had so
 * far, as the hypervisor counts it: lines "DOMID NANOSECONDS"; xl and xentop show tenths of
 * seconds, too little to divide among operations. With process ids a line "processes
 * NANOSECONDS": all of theirs together, that of threads which have ended included.
 *
 * --for: what is added in so many milliseconds, in place of all so far; then also lines
 * "elapsed NANOSECONDS" and, of a network device, "rx_bytes N", "rx_packets N", "tx_...",
 * and "slowest N" and "fastest N": octets a second, of both ways, in fifths of that time.
 * One process that sleeps: nothing else of ours runs meanwhile.
 *
 * Hides: libxenctrl. Must not know: what is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenctrl.h>

#define DOMAINS_MAX 256
#define STATISTICS 4
#define PARTS 5

static const char *const statistics[STATISTICS] = {
	"rx_bytes", "rx_packets", "tx_bytes", "tx_packets",
};

/* Octets a second. */
struct rates {
	double slowest, fastest;
};

struct reading {
	uint64_t elapsed_ns, processes_ns, statistic[STATISTICS];
	int nr;
	xc_dominfo_t domain[DOMAINS_MAX];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool read_processes(char **pid, uint64_t *ns)
{
	*ns = 0;
	for (; *pid; pid++) {
		clockid_t clock;

		if (clock_getcpuclockid(atoi(*pid), &clock)) {
			fprintf(stderr, "domain-cpu: there is no process %s\n", *pid);
			return false;
		}
		*ns += clock_ns(clock);
	}
	return true;
}

static bool read_device(const char *name, uint64_t *value)
{
	for (int i = 0; name && i < STATISTICS; i++) {
		char path[128];
		FILE *f;
		bool got;

		snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", name,
			 statistics[i]);
		f = fopen(path, "re");
		got = f && fscanf(f, "%" SCNu64, &value[i]) == 1;
		if (f)
			fclose(f);
		if (!got) {
			fprintf(stderr, "domain-cpu: cannot read %s\n", path);
			return false;
		}
	}
	return true;
}

static bool take(xc_interface *xch, const char *device, char **pids, struct reading *r)
{
	r->elapsed_ns = clock_ns(CLOCK_MONOTONIC);
	r->nr = xc_domain_getinfo(xch, 0, DOMAINS_MAX, r->domain);
	if (r->nr < 0)
		fprintf(stderr, "domain-cpu: %s; is this a Xen dom0, and are you root?\n",
			strerror(errno));
	return r->nr >= 0 && read_processes(pids, &r->processes_ns) &&
	       read_device(device, r->statistic);
}

static uint64_t domain_ns(const struct reading *r, uint32_t domid)
{
	for (int i = 0; i < r->nr; i++)
		if (r->domain[i].domid == domid)
			return r->domain[i].cpu_time;
	return 0;
}

static void print(const struct reading *a, const struct reading *b, bool processes)
{
	if (processes)
		printf("processes %" PRIu64 "\n", b->processes_ns - a->processes_ns);
	for (int i = 0; i < b->nr; i++)
		printf("%" PRIu32 " %" PRIu64 "\n", b->domain[i].domid,
		       b->domain[i].cpu_time - domain_ns(a, b->domain[i].domid));
}

static void print_more(const struct reading *a, const struct reading *b,
		       const struct rates *rates, bool device)
{
	printf("elapsed %" PRIu64 "\n", b->elapsed_ns - a->elapsed_ns);
	for (int i = 0; device && i < STATISTICS; i++)
		printf("%s %" PRIu64 "\n", statistics[i], b->statistic[i] - a->statistic[i]);
	if (device)
		printf("slowest %.0f\nfastest %.0f\n", rates->slowest, rates->fastest);
}

/* The device's octets so far, both ways, and when that was. */
static bool read_part(const char *device, uint64_t *bytes, uint64_t *ns)
{
	uint64_t value[STATISTICS] = { 0 };

	*ns = clock_ns(CLOCK_MONOTONIC);
	if (!read_device(device, value))
		return false;
	*bytes = value[0] + value[2];
	return true;
}

/* Sleeps for as long, and looks now and then. */
static bool wait_for(long ms, const char *device, struct rates *rates)
{
	long part_us = ms * 1000 / PARTS;
	uint64_t bytes, ns;

	if (!read_part(device, &bytes, &ns))
		return false;
	for (int i = 0; i < PARTS; i++) {
		uint64_t before = bytes, then = ns;
		double rate;

		nanosleep(&(struct timespec){ .tv_sec = part_us / 1000000,
					      .tv_nsec = part_us % 1000000 * 1000 }, NULL);
		if (!read_part(device, &bytes, &ns))
			return false;
		rate = (double)(bytes - before) * 1e9 / (double)(ns - then);
		if (!i || rate < rates->slowest)
			rates->slowest = rate;
		if (!i || rate > rates->fastest)
			rates->fastest = rate;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct reading first, last;
	struct rates rates = { 0 };
	xc_interface *xch = xc_interface_open(NULL, NULL, 0);
	const char *device = NULL;
	long ms = 0;
	bool done;

	for (argv++; argc > 2 && *argv && argv[1] && !strncmp(*argv, "--", 2); argv += 2) {
		if (!strcmp(*argv, "--for"))
			ms = atol(argv[1]);
		else if (!strcmp(*argv, "--device"))
			device = argv[1];
	}
	if (!xch)
		fprintf(stderr, "domain-cpu: %s; is this a Xen dom0, and are you root?\n",
			strerror(errno));
	done = xch && (!ms || take(xch, device, argv, &first));
	done = done && (!ms || wait_for(ms, device, &rates)) &&
	       take(xch, device, argv, &last);
	if (done)
		print(&first, &last, *argv);
	if (done && ms)
		print_more(&first, &last, &rates, device);
	if (xch)
		xc_interface_close(xch);
	return !done;
}
