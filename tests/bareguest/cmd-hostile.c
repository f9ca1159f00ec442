/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command hostile: a guest that uses a disk or two interfaces and does meanwhile to
 * its grant table and event channels what no operating system lets a program do. Hides
 * what is done to which entry; must not know rings.
 *
 * The front ends are the honest ones. What they ask for may fail; it must be answered,
 * and when all is put back and opened anew it must work.
 */
#include <errno.h>
#include <string.h>

#include "bare.h"
#include "blkfront.h"
#include "hypercall.h"
#include "netfront.h"

#define OPEN_MS 60000
#define ANSWER_NS UINT64_C(60000000000)
#define IN_FLIGHT 16u
#define IO_BYTES 16384ul
#define FRAME_BYTES 1400u
#define PORTS 64u
#define USAGE "hostile disk|net ID SECONDS grants|sub-page|ports|storm|die"

enum how { GRANTS, SUB_PAGE, PORTS_CLOSED, STORM, DIE };

static uint64_t seed = 88172645463325252u;

static uint32_t chance(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % below;
}

/* ---- grants ---------------------------------------------------------------------- */

static bool others[GRANTS_END];		/* entries from before the device */
static uint8_t decoy[PAGE_BYTES] __attribute__((aligned(4096)));
static struct grant_entry_v1 kept[GRANTS_END];
static bool lies[GRANTS_END];
static uint64_t nr_lies;

static bool is_granted(uint32_t gref)
{
	return grants_entry(gref)->flags & GTF_permit_access;
}

static void note_others(void)
{
	uint32_t i;

	for (i = 0; i < GRANTS_END; i++)
		others[i] = is_granted(i);
}

/* While the other end may have it mapped, or be about to: nothing stops a guest. */
static void lie_about(uint32_t gref)
{
	struct grant_entry_v1 *e = grants_entry(gref);

	kept[gref] = *e;
	kept[gref].flags &= GTF_type_mask | GTF_readonly;
	lies[gref] = true;
	nr_lies++;
	switch (chance(6)) {
	case 0: WRITE_ONCE(e->flags, 0); break;
	case 1: WRITE_ONCE(e->flags, GTF_permit_access | GTF_readonly); break;
	case 2: WRITE_ONCE(e->domid, 0x7fe0); break;
	case 3: WRITE_ONCE(e->frame, (uint32_t)memory_mfn(decoy)); break;
	case 4: WRITE_ONCE(e->frame, 1); break;
	default: WRITE_ONCE(e->flags, GTF_accept_transfer); break;
	}
}

static void put_back(uint32_t gref)
{
	struct grant_entry_v1 *e = grants_entry(gref);

	WRITE_ONCE(e->flags, 0);
	barrier();
	e->domid = kept[gref].domid;
	e->frame = kept[gref].frame;
	barrier();
	WRITE_ONCE(e->flags, kept[gref].flags);
	lies[gref] = false;
}

/* Some of the device's entries, its rings' among them. */
static void lie(void)
{
	uint32_t i, some = 1 + chance(8);

	for (i = 0; i < GRANTS_END; i++)
		if (lies[i])
			put_back(i);
		else if (!others[i] && is_granted(i) && !chance(some))
			lie_about(i);
}

static void all_true(void)
{
	uint32_t i;

	for (i = 0; i < GRANTS_END; i++)
		if (lies[i])
			put_back(i);
}

/* What comes of a device whose rings can be copied alone: no honest front end makes such. */
static int refused(const char *device, int opened, const struct front_problem *problem)
{
	grants_copied_alone(false);
	say("hostile: %s: opened by what cannot be mapped: %d: %s\n", device, opened,
	    opened < 0 ? problem->text : "it was");
	return opened < 0 ? 0 : -EPROTO;
}

/* ---- event channels -------------------------------------------------------------- */

/* The library's ports; those of console and store are the guest's own and stay. */
static void close_ports(void)
{
	uint32_t port, nr = 0;

	for (port = 1; port < PORTS; port++)
		nr += xenevtchn_unbind(NULL, port) == 0;
	/* Others get the numbers. */
	for (; nr; nr--)
		xenevtchn_bind_unbound_port(NULL, 0);
}

static uint64_t nr_events;

static void storm(uint64_t ns)
{
	uint64_t until = time_ns() + ns;
	uint32_t port;

	while (time_ns() < until)
		for (port = 1; port < PORTS; port++)
			nr_events += xenevtchn_notify(NULL, port) == 0;
}

/* What is done between two looks at the rings. */
static void disturb(enum how how)
{
	if (how == GRANTS)
		lie();
	else if (how == STORM)
		storm(20000000);
}

/* ---- a disk ---------------------------------------------------------------------- */

struct disk_load {
	struct blkfront *f;
	struct blkfront_io io[IN_FLIGHT];
	struct blkfront_iov iov[IN_FLIGHT];
	uint64_t bytes, nr, nr_failed;
};

static void answered(struct blkfront_io *io, int result)
{
	struct disk_load *l = io->arg;

	l->nr++;
	l->nr_failed += result < 0;
}

static int submit_all(struct disk_load *l)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < IN_FLIGHT && r == 0; i++) {
		l->io[i] = (struct blkfront_io){
			.op = chance(2) ? BLKFRONT_READ : BLKFRONT_WRITE, .iov = &l->iov[i],
			.offset_bytes = chance((uint32_t)(l->bytes / IO_BYTES)) * IO_BYTES,
			.nr_iov = 1, .done = answered, .arg = l };
		r = blkfront_submit(l->f, &l->io[i]);
	}
	return r;
}

static int disk_round(struct disk_load *l, enum how how)
{
	uint64_t deadline = time_ns() + ANSWER_NS;
	int r = submit_all(l);

	if (how == GRANTS)
		lie();
	blkfront_kick(l->f);
	if (how == DIE)
		shutdown(SHUTDOWN_crash);
	if (how == PORTS_CLOSED)
		close_ports();
	while (r >= 0 && blkfront_inflight(l->f)) {
		disturb(how);
		r = blkfront_poll(l->f);
		if (time_ns() > deadline)
			return -ETIMEDOUT;
	}
	return r < 0 ? r : 0;
}

static int use_disk(uint32_t id, uint64_t ns, enum how how)
{
	struct front_problem problem = { 0 };
	static struct disk_load l;
	struct blkfront_info info;
	uint64_t until;
	unsigned int i;
	int r, closed;

	memset(&l, 0, sizeof(l));
	note_others();
	grants_copied_alone(how == SUB_PAGE);
	r = blkfront_open(front_env(), id, NULL, OPEN_MS, &l.f, &problem);
	if (how == SUB_PAGE)
		return refused("disk", r, &problem);
	if (r < 0) {
		say("%s\n", problem.text);
		return r;
	}
	blkfront_info(l.f, &info);
	l.bytes = info.size_bytes;
	for (i = 0; i < IN_FLIGHT && r == 0; i++) {
		r = blkfront_buffer_get(l.f, IO_BYTES, &l.iov[i].base);
		l.iov[i].bytes = IO_BYTES;
	}
	for (until = time_ns() + ns; r >= 0 && time_ns() < until; )
		r = disk_round(&l, how);
	all_true();
	for (i = 0; i < IN_FLIGHT; i++)
		blkfront_buffer_put(l.f, l.iov[i].base, IO_BYTES);
	closed = blkfront_close(l.f, OPEN_MS, &problem);
	say("hostile: disk: %lu requests answered, %lu of them failed, under %lu lies, %lu events; "
	    "result %d, closed %d\n", l.nr, l.nr_failed, nr_lies, nr_events, r, closed);
	return r < 0 ? r : closed;
}

/* ---- two interfaces -------------------------------------------------------------- */

static void fill_frame(struct netfront *from, uint8_t *bytes)
{
	struct netfront_info info;

	netfront_info(from, &info);
	memset(bytes, 0xff, 6);
	memcpy(bytes + 6, info.mac, 6);
	bytes[12] = 0x88;
	bytes[13] = 0xb5;
}

/* Frames to all, and what comes of the other's. */
static int net_round(struct netfront *n[2], enum how how, uint64_t *nr_received)
{
	static uint8_t bytes[FRAME_BYTES];
	struct netfront_frame f[8], out;
	unsigned int i, k;
	int r = 0;

	for (k = 0; k < 2 && r >= 0; k++) {
		fill_frame(n[k], bytes);
		out = (struct netfront_frame){ .nr_pieces = 1, .piece = { { bytes, FRAME_BYTES } } };
		for (i = 0; i < 16 && r >= 0; i++)
			r = netfront_send(n[k], 0, &out, 1);
		disturb(how);
		netfront_kick(n[k]);
	}
	if (how == DIE)
		shutdown(SHUTDOWN_crash);
	if (how == PORTS_CLOSED)
		close_ports();
	for (k = 0; k < 2 && r >= 0; k++) {
		disturb(how);
		r = netfront_poll(n[k]);
		if (r >= 0)
			r = netfront_receive(n[k], 0, f, ARRAY_NR(f));
		if (r > 0) {
			*nr_received += (uint64_t)r;
			netfront_release(n[k], 0, f, (unsigned int)r);
		}
	}
	return r < 0 ? r : 0;
}

static int use_interfaces(uint32_t id, uint64_t ns, enum how how)
{
	struct front_problem problem = { 0 };
	struct netfront *n[2] = { NULL, NULL };
	uint64_t until, nr_received = 0;
	unsigned int k;
	int r = 0, closed = 0, c;

	note_others();
	grants_copied_alone(how == SUB_PAGE);
	for (k = 0; k < 2 && r == 0; k++)
		r = netfront_open(front_env(), id + k, NULL, OPEN_MS, &n[k], &problem);
	if (how == SUB_PAGE)
		return refused("net", r, &problem);
	if (r < 0)
		say("%s\n", problem.text);
	for (until = time_ns() + ns; r >= 0 && time_ns() < until; )
		r = net_round(n, how, &nr_received);
	all_true();
	for (k = 0; k < 2; k++) {
		c = netfront_close(n[k], OPEN_MS, &problem);
		closed = closed ? closed : c;
	}
	say("hostile: net: %lu frames received under %lu lies, %lu events; result %d, closed %d\n",
	    nr_received, nr_lies, nr_events, r, closed);
	return r < 0 ? r : closed;
}

/* ---- the command ----------------------------------------------------------------- */

int cmd_hostile(const struct words *w)
{
	static const char *const names[] = { "grants", "sub-page", "ports", "storm", "die" };
	uint64_t id, seconds;
	unsigned int how;

	if (w->nr != 5 || !number(w->word[2], &id) || !number(w->word[3], &seconds))
		return usage(USAGE);
	for (how = 0; how < ARRAY_NR(names) && strcmp(w->word[4], names[how]); how++)
		;
	if (how == ARRAY_NR(names))
		return usage(USAGE);
	nr_lies = nr_events = 0;
	if (!strcmp(w->word[1], "disk"))
		return use_disk((uint32_t)id, seconds * 1000000000u, (enum how)how);
	if (!strcmp(w->word[1], "net"))
		return use_interfaces((uint32_t)id, seconds * 1000000000u, (enum how)how);
	return usage(USAGE);
}
