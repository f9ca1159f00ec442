/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain-cpu [PID]...: the CPU time that each domain has had so far, as the hypervisor
 * counts it: lines "DOMID NANOSECONDS"; xl and xentop show tenths of seconds, too little
 * to divide among operations. With process ids a line "processes NANOSECONDS": all of
 * theirs together, that of threads which have ended included.
 *
 * Hides: libxenctrl. Must not know: what is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenctrl.h>

#define DOMAINS_MAX 256

static int print_domains(void)
{
	static xc_dominfo_t info[DOMAINS_MAX];
	xc_interface *xch = xc_interface_open(NULL, NULL, 0);
	int n = xch ? xc_domain_getinfo(xch, 0, DOMAINS_MAX, info) : -1;

	if (n < 0)
		fprintf(stderr, "domain-cpu: %s; is this a Xen dom0, and are you root?\n",
			strerror(errno));
	for (int i = 0; i < n; i++)
		printf("%" PRIu32 " %" PRIu64 "\n", info[i].domid, info[i].cpu_time);
	if (xch)
		xc_interface_close(xch);
	return n < 0;
}

int main(int argc, char **argv)
{
	uint64_t ns = 0;

	for (int i = 1; i < argc; i++) {
		struct timespec ts;
		clockid_t clock;

		if (clock_getcpuclockid(atoi(argv[i]), &clock) || clock_gettime(clock, &ts)) {
			fprintf(stderr, "domain-cpu: there is no process %s\n", argv[i]);
			return 1;
		}
		ns += (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	}
	if (argc > 1)
		printf("processes %" PRIu64 "\n", ns);
	return print_domains();
}
