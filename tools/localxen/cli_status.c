/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_status.c - `localxen status`: prints a snapshot, as text or JSON, or says
 * only whether anything is left over.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cli.h"
#include "snapshot.h"

static const char *dom_state(const struct lx_dom *d)
{
	if (d->state == LX_DOM_DYING)
		return "dying";
	return d->shutdown ? "shutdown" : "running";
}

static const char *port_state(unsigned state)
{
	static const char *const names[] = {
		[LX_PORT_FREE] = "free", [LX_PORT_UNBOUND] = "unbound",
		[LX_PORT_INTERDOMAIN] = "interdomain", [LX_PORT_VIRQ] = "virq" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static bool is_used(unsigned slot)
{
	return lx.shm->dom[slot].state != LX_DOM_FREE;
}

/* ---- text ---- */

static void print_domains(const struct snapshot *s)
{
	puts("DOMAIN  NAME              STATE     GNTALLOC (KEPT)   GRANTS       MAPTRACK        PORTS   PAGES (OF THE HEAP)/MAX");
	for (unsigned i = 0; i < LX_MAX_DOMS; i++) {
		const struct lx_dom *d = &lx.shm->dom[i];

		if (is_used(i))
			printf("%-6u  %-16s  %-8s  %4u/%-4u (%u)     %u/%-6u    %u/%-6u     %-6u  %u (%u)/%u\n",
			       d->domid, d->name, dom_state(d), d->gntalloc_used_pages,
			       d->gntalloc_limit_pages, d->gntalloc_kept_pages,
			       s->grants_used[i], d->nr_grants, s->maptrack_used[i],
			       d->nr_maptrack, s->ports_used[i], d->tot_pages,
			       d->tot_pages - d->nr_mem_frames, d->max_pages);
	}
	printf("heap: %u of %u pages free\n", lx.shm->heap_free_pages, LX_HEAP_PAGES);
}

static void print_processes(void)
{
	puts("\nDOMAIN  PROCESS");
	for (unsigned i = 0; i < lx.shm->nr_procs; i++) {
		const struct lx_proc *p = &lx.shm->proc[i];

		if (p->used)
			printf("%-6u  %u %s\n", p->domid, p->pid, p->comm);
	}
}

static void print_holds(const struct snapshot *s, bool all)
{
	puts("\nGRANTED BY  GREF    FRAME   USED BY  PROCESS              HOW");
	for (size_t i = 0; i < s->nr_holds; i++) {
		const struct snap_hold *h = &s->holds[i];

		if (all || !h->infra)
			printf("%-10u  %-6u  %-6u  %-7u  %-6u %-15s %s %s x%u\n",
			       h->granter_domid, h->gref, h->frame, h->domid, h->pid,
			       h->comm, h->copy ? "copy" : "map", h->write ? "rw" : "ro",
			       h->count);
	}
}

static void print_port(const struct snap_port *p)
{
	char peer[40] = "";

	if (p->state == LX_PORT_UNBOUND)
		snprintf(peer, sizeof(peer), "for %u", p->remote_domid);
	else if (p->state == LX_PORT_INTERDOMAIN)
		snprintf(peer, sizeof(peer), "%u:%u", p->remote_domid, p->remote_port);
	else if (p->state == LX_PORT_VIRQ)
		snprintf(peer, sizeof(peer), "virq %u", p->virq);
	printf("%-6u  %-4u  %-11s  %-12s  %s%s  ", p->domid, p->port, port_state(p->state),
	       peer, p->pending ? "pending " : "-       ", p->masked ? "masked" : "-     ");
	if (p->pid)
		printf("%u %s\n", p->pid, p->comm);
	else
		puts("no handle");
}

static void print_ports(const struct snapshot *s, bool all)
{
	puts("\nDOMAIN  PORT  STATE        PEER          EVENT            PROCESS");
	for (size_t i = 0; i < s->nr_ports; i++)
		if (all || !s->ports[i].infra)
			print_port(&s->ports[i]);
}

static void print_text(const struct snapshot *s, bool all)
{
	print_domains(s);
	if (all)
		print_processes();
	print_holds(s, all);
	print_ports(s, all);
	if (s->nr_wrong)
		printf("\n%u grant entries do not match their users; the first: %s\n",
		       s->nr_wrong, s->wrong);
}

/* ---- JSON ---- */

static void json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void json_domains(const struct snapshot *s)
{
	const char *sep = "";

	printf("{\n \"domains\": [");
	for (unsigned i = 0; i < LX_MAX_DOMS; i++) {
		const struct lx_dom *d = &lx.shm->dom[i];

		if (!is_used(i))
			continue;
		printf("%s\n  {\"domid\": %u, \"name\": ", sep, d->domid);
		json_string(d->name);
		printf(", \"state\": \"%s\", \"gntalloc_used_pages\": %u, "
		       "\"gntalloc_kept_pages\": %u, \"gntalloc_limit_pages\": %u, "
		       "\"grants_used\": %u, \"grants\": %u, \"maptrack_used\": %u, "
		       "\"maptrack\": %u, \"ports_used\": %u, \"tot_pages\": %u, "
		       "\"heap_pages\": %u, \"max_pages\": %u, \"pv\": %s}", dom_state(d),
		       d->gntalloc_used_pages, d->gntalloc_kept_pages,
		       d->gntalloc_limit_pages, s->grants_used[i], d->nr_grants,
		       s->maptrack_used[i], d->nr_maptrack, s->ports_used[i],
		       d->tot_pages, d->tot_pages - d->nr_mem_frames, d->max_pages,
		       d->not_pv ? "false" : "true");
		sep = ",";
	}
	printf("\n ],\n");
}

static void json_processes(void)
{
	const char *sep = "";

	printf(" \"processes\": [");
	for (unsigned i = 0; i < lx.shm->nr_procs; i++) {
		const struct lx_proc *p = &lx.shm->proc[i];

		if (!p->used)
			continue;
		printf("%s\n  {\"domid\": %u, \"pid\": %u, \"infra\": %s, \"comm\": ", sep,
		       p->domid, p->pid, p->flags & LX_PROC_INFRA ? "true" : "false");
		json_string(p->comm);
		putchar('}');
		sep = ",";
	}
	printf("\n ],\n");
}

static void json_holds(const struct snapshot *s)
{
	printf(" \"holds\": [");
	for (size_t i = 0; i < s->nr_holds; i++) {
		const struct snap_hold *h = &s->holds[i];

		printf("%s\n  {\"granter\": %u, \"gref\": %u, \"frame\": %u, \"domid\": %u, "
		       "\"pid\": %u, \"kind\": \"%s\", \"write\": %s, \"count\": %u, "
		       "\"infra\": %s}", i ? "," : "", h->granter_domid, h->gref, h->frame,
		       h->domid, h->pid, h->copy ? "copy" : "map",
		       h->write ? "true" : "false", h->count, h->infra ? "true" : "false");
	}
	printf("\n ],\n");
}

static void json_ports(const struct snapshot *s)
{
	printf(" \"ports\": [");
	for (size_t i = 0; i < s->nr_ports; i++) {
		const struct snap_port *p = &s->ports[i];

		printf("%s\n  {\"domid\": %u, \"port\": %u, \"state\": \"%s\", "
		       "\"remote_domid\": %u, \"remote_port\": %u, \"pending\": %s, "
		       "\"masked\": %s, \"pid\": %u, \"infra\": %s}", i ? "," : "",
		       p->domid, p->port, port_state(p->state), p->remote_domid,
		       p->remote_port, p->pending ? "true" : "false",
		       p->masked ? "true" : "false", p->pid, p->infra ? "true" : "false");
	}
	printf("\n ],\n \"heap_free_pages\": %u,\n \"mismatches\": %u\n}\n",
	       lx.shm->heap_free_pages, s->nr_wrong);
}

static void print_json(const struct snapshot *s)
{
	json_domains(s);
	json_processes();
	json_holds(s);
	json_ports(s);
}

/* ---- the command ---- */

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The last process may have died this moment: what it had goes a little later. */
static int check(bool json, long wait_ms)
{
	long end = now_ms() + wait_ms;
	struct snapshot *s;

	for (;;) {
		if (snapshot_take(&s))
			return cli_error("out of memory");
		if (snapshot_is_clean(s) || now_ms() >= end)
			break;
		snapshot_free(s);
		poll(NULL, 0, 10);
	}
	bool clean = snapshot_is_clean(s);

	if (!clean && json)
		print_json(s);
	else if (!clean)
		print_text(s, false);
	snapshot_free(s);
	return clean ? 0 : 1;
}

static int show(bool json)
{
	struct snapshot *s;

	if (snapshot_take(&s))
		return cli_error("out of memory");
	if (json)
		print_json(s);
	else
		print_text(s, true);
	snapshot_free(s);
	return 0;
}

static void usage(void)
{
	puts("Usage: localxen status [OPTION]...\n"
	     "Shows domains, processes, who uses which grant, event channel ports.\n\n"
	     "  -j, --json      print JSON\n"
	     "  -c, --check     print nothing and exit 0 if nothing is left over; else print it\n"
	     "                  and exit 1. Left over is: a grant in use or a copy under way, a\n"
	     "                  port, a shared page, except xenstored's and the xenbus processes';\n"
	     "                  a page of the heap\n"
	     "      --wait=MS   for --check: how long it may take to go (default 1000)\n"
	     "  -h, --help      show this");
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "check", no_argument, NULL, 'c' },
		{ "wait", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool json = false, only_check = false;
	long wait_ms = 1000;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "jch", options, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 0;
		} else if (opt == 'j') {
			json = true;
		} else if (opt == 'c') {
			only_check = true;
		} else if (opt != 'w') {
			return cli_usage_error("status", "unknown option");
		} else if (!cli_number("--wait", optarg, 0, 600000, &wait_ms)) {
			return EXIT_OURS;
		}
	}
	if (optind < argc)
		return cli_usage_error("status", "'%s' is too much", argv[optind]);
	rc = cli_connect();
	if (rc)
		return rc;
	return only_check ? check(json, wait_ms) : show(json);
}
