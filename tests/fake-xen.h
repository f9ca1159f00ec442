/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants and event channels inside one process, for tests of a back end: the
 * functions of libxengnttab and libxenevtchn that it calls, over a guest's
 * memory that the test holds. Linked before the libraries, they take their
 * place. Much stricter than needed in what must be given back, and without
 * anything a hypervisor would protect.
 *
 * Must not know: rings, devices. Any thread.
 */
#ifndef PV_FAKE_XEN_H
#define PV_FAKE_XEN_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_DOMID 7u
#define FAKE_PAGES 4096u
#define FAKE_PORT 11u		/* the guest's own, the first of several */

/* Forgets everything; the guest's pages are zeroed. */
void fake_reset(void);
/* The guest's own view of its page. */
uint8_t *fake_page(uint32_t page);
/* Grants the page; returns the gref. */
uint32_t fake_grant(uint32_t page, bool read_only);
/* Takes the grant back. False: it is in use (mapped). */
bool fake_revoke(uint32_t gref);

/* Pages mapped now, of all handles; handles open now. */
uint32_t fake_mapped(void);
uint32_t fake_handles(void);
/* Calls so far. */
uint32_t fake_maps(void), fake_copies(void);
/* Copies so far of which the side that is no grant straddled two pages: a host makes two. */
uint32_t fake_straddles(void);
/* The nth map from now on fails with the errno; 0: none. */
void fake_fail_map(uint32_t nth, int err);
/* At most so many pages can be mapped at a time: fake_mapped(). */
void fake_limit_maps(uint32_t pages);
/* The next nr calls fail with the errno, or their copies with the status. */
void fake_fail_copies(uint32_t nr, int err, int16_t status);

/* The guest sends an event through its port; how many it has received. */
void fake_guest_notify(uint32_t port);
/*
 * What a guest did to its pages before is done for grant copies from now on, and what copies
 * did for it. The ring says so, but its ends have it at two addresses, and ThreadSanitizer
 * goes by the address: call it before requests are published, and after responses are seen.
 */
void fake_guest_order(void);
uint32_t fake_guest_events(uint32_t port);
/* How often the back end took an event of that port. */
uint32_t fake_taken_events(uint32_t port);

#endif
