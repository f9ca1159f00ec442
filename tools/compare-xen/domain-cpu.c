/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain-cpu: the CPU time that each domain has had so far, as the hypervisor counts it:
 * lines "DOMID NANOSECONDS". xl and xentop show tenths of seconds, too little to divide
 * among operations.
 *
 * Hides: libxenctrl. Must not know: what is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xenctrl.h>

#define DOMAINS_MAX 256

int main(void)
{
	static xc_dominfo_t info[DOMAINS_MAX];
	xc_interface *xch = xc_interface_open(NULL, NULL, 0);
	int n = xch ? xc_domain_getinfo(xch, 0, DOMAINS_MAX, info) : -1;

	if (n < 0) {
		fprintf(stderr, "domain-cpu: %s; is this a Xen dom0, and are you root?\n",
			strerror(errno));
		if (xch)
			xc_interface_close(xch);
		return 1;
	}
	for (int i = 0; i < n; i++)
		printf("%" PRIu32 " %" PRIu64 "\n", info[i].domid, info[i].cpu_time);
	xc_interface_close(xch);
	return 0;
}
