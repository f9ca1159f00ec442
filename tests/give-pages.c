/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * give-pages DOMID: in dom0, transfers a page into each entry that a bare guest's
 * command flip offers, with no device between. Hides the calls; shows that a process
 * of dom0's can do it and what the hypervisor answers. Uses privcmd, which is all of
 * dom0.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#define PAGE_BYTES 4096u
#define STATUS_MIN (-13)	/* GNTST_no_space */

/* What hypercalls read and write, in memory that stays where it is. */
struct arguments {
	struct xen_memory_reservation reservation;
	xen_pfn_t mfn;
	struct gnttab_transfer transfer;
};

static xencall_handle *xcall;
static xenforeignmemory_handle *fmem;
static struct arguments *args;
static struct xs_handle *xs;

static void die(const char *what)
{
	fprintf(stderr, "give-pages: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A page more than the kernel has: its number, which nobody has mapped. */
static xen_pfn_t get_page(void)
{
	memset(&args->reservation, 0, sizeof(args->reservation));
	set_xen_guest_handle(args->reservation.extent_start, &args->mfn);
	args->reservation.nr_extents = 1;
	args->reservation.domid = DOMID_SELF;
	if (xencall2(xcall, __HYPERVISOR_memory_op, XENMEM_increase_reservation,
		     (uintptr_t)&args->reservation) != 1)
		die("no page (dom0_mem=X,max:LARGER?)");
	return args->mfn;
}

/* As cmd-flip.c checks it; not mapped afterwards, as a transfer demands. */
static void fill_page(xen_pfn_t mfn, unsigned long id)
{
	uint64_t *word = xenforeignmemory_map(fmem, DOMID_SELF, PROT_READ | PROT_WRITE, 1,
					      &mfn, NULL);

	if (!word)
		die("cannot map the page");
	for (unsigned int i = 0; i < PAGE_BYTES / 8; i++)
		word[i] = id + i * UINT64_C(0x0001000100010001);
	xenforeignmemory_unmap(fmem, word, 1);
}

static int transfer(xen_pfn_t mfn, domid_t domid, unsigned long gref)
{
	args->transfer = (struct gnttab_transfer){
		.mfn = mfn, .domid = domid, .ref = (grant_ref_t)gref, .status = 1,
	};
	if (xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_transfer,
		     (uintptr_t)&args->transfer, 1))
		die("GNTTABOP_transfer");
	return args->transfer.status;
}

static void open_all(void)
{
	xcall = xencall_open(NULL, 0);
	fmem = xenforeignmemory_open(NULL, 0);
	xs = xs_open(0);
	if (!xcall || !fmem || !xs)
		die("cannot open the hypervisor and XenStore");
	args = xencall_alloc_buffer_pages(xcall, 1);
	if (!args)
		die("no memory");
}

/* Every entry in list gets its page. Says how many had which status. */
static void give_all(domid_t domid, char *list)
{
	unsigned int nr[-STATUS_MIN + 1] = { 0 };
	char *at, *end;

	for (at = list;; at = end) {
		unsigned long gref = strtoul(at, &end, 10);
		xen_pfn_t mfn;
		int status;

		if (end == at)
			break;
		mfn = get_page();
		fill_page(mfn, gref);
		status = transfer(mfn, domid, gref);
		if (status > 0 || status < STATUS_MIN) {
			fprintf(stderr, "give-pages: %d is no status of Xen's\n", status);
			exit(1);
		}
		nr[-status]++;
	}
	for (int i = 0; i <= -STATUS_MIN; i++)
		if (nr[i])
			printf("status %d: %u\n", -i, nr[i]);
}

int main(int argc, char **argv)
{
	char path[64], *list;
	unsigned int len;
	int domid = argc == 2 ? atoi(argv[1]) : 0;

	if (domid <= 0) {
		fprintf(stderr, "usage: give-pages DOMID\n");
		return 2;
	}
	open_all();
	snprintf(path, sizeof(path), "/local/domain/%d/data/flip/grefs", domid);
	list = xs_read(xs, XBT_NULL, path, &len);
	if (!list)
		die(path);
	give_all((domid_t)domid, list);
	free(list);
	snprintf(path, sizeof(path), "/local/domain/%d/data/flip/done", domid);
	if (!xs_write(xs, XBT_NULL, path, "1", 1))
		die(path);
	xs_close(xs);
	xenforeignmemory_close(fmem);
	xencall_close(xcall);
	return 0;
}
