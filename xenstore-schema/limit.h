/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a device may do in a second, and its part where it shares: key `limit` of a back
 * end's directory, and the words of `paravane limit`, which are the same text.
 *
 * Hides: the words, their units, how numbers are spelled. Must not know: buckets,
 * clocks, rings, stdio.
 *
 * The text is NAME=NUMBER,NAME=NUMBER...; numbers may end with k, M, G, T (powers of
 * 1000) or Ki, Mi, Gi, Ti (of 1024), and those of bytes with B. Names, of disks:
 *
 *   iops, read-iops, write-iops                    requests a second: of all kinds;
 *                                                  reads; all others
 *   bytes-per-second, read-..., write-...          data of them
 *   iops-burst, read-..., write-...                requests that a rest saves up
 *   bytes-burst, read-..., write-...               bytes that it does
 *   iops-size-bytes                                a request of more counts as several
 *
 * and of interfaces the same with packets-per-second for iops, packets-burst for
 * iops-burst, and tx- and rx- (as the guest sees them) for read- and write-. A burst
 * that is not given is a tenth of a second's worth. Interfaces, which share a bridge's
 * worker, have a weight too, 1 to LIMIT_WEIGHT_MAX: what each may send while all want
 * more is in proportion to it.
 */
#ifndef PV_LIMIT_H
#define PV_LIMIT_H

#include "xenbus.h"

#define LIMIT_TEXT_BYTES 1024u
#define LIMIT_MAX (1ull << 40)		/* of each number */
#define LIMIT_WEIGHT_MAX 10000u
#define LIMIT_WEIGHT_DEFAULT 100u	/* as of a cgroup's cpu.weight, and the range */

enum limit_device { LIMIT_OF_DISK, LIMIT_OF_NIC };
enum limit_unit { LIMIT_REQUESTS, LIMIT_BYTES, LIMIT_NR_UNITS };	/* packets are requests */
/* IN: reads; tx of the guest. OUT: all else; rx. */
enum limit_way { LIMIT_TOTAL, LIMIT_IN, LIMIT_OUT, LIMIT_NR_WAYS };

struct limit_rate {
	uint64_t per_second;		/* 0: no limit */
	uint64_t burst;			/* 0: a tenth of per_second */
};

struct limit {
	struct limit_rate rate[LIMIT_NR_UNITS][LIMIT_NR_WAYS];
	uint64_t request_bytes;		/* a request of more counts as several; 0: none does */
	uint64_t weight;		/* 0: LIMIT_WEIGHT_DEFAULT */
};

/* Whether nothing is limited, and the weight is the default. */
bool limit_is_none(const struct limit *l);
/*
 * Changes what text names, and nothing else; the number 0 or "none" takes one away.
 * The text "" changes nothing, the text "none" takes all away. -EINVAL: at, if not
 * NULL, is where in text the word is that is none; *l may be half changed.
 */
int limit_parse(enum limit_device of, const char *text, struct limit *l, const char **at);
/* A burst without its rate, which would mean nothing: its name; NULL: there is none. */
const char *limit_lonely_burst(enum limit_device of, const struct limit *l);
/* As limit_parse() takes it, in one order, without suffixes; "" when nothing is limited. */
void limit_format(enum limit_device of, const struct limit *l, char buf[LIMIT_TEXT_BYTES]);
/* One name after the other, with its number; NULL after the last. */
const char *limit_each(enum limit_device of, const struct limit *l, uint32_t i,
		       uint64_t *number);

/* A missing node is no limit. -EINVAL with err. */
int limit_read(struct xs_handle *xs, const char *back_dir, enum limit_device of,
	       struct limit *out, struct key_error *err);
/*
 * Changes what words name, as limit_parse() does, of what is set by then: two may change
 * one device's at a time. -ENOENT: no such device. -EINVAL: the words, or a lonely burst.
 */
int limit_change(struct xs_handle *xs, const char *back_dir, enum limit_device of,
		 const char *words);
/*
 * What the back end has passed to who serves the device: key limit-in-force. Missing:
 * -ENOENT, nothing serves it, or a back end without limits. Text as limit_format().
 */
int limit_read_in_force(struct xs_handle *xs, const char *back_dir,
			char buf[LIMIT_TEXT_BYTES]);
/* Not into a directory that has gone. Removed with NULL. */
int limit_write_in_force(struct xs_handle *xs, const char *back_dir, enum limit_device of,
			 const struct limit *l);

#endif
