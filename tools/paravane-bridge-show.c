/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bridges for people and for programs: what XenStore has of them, and what the daemon
 * on this machine says.
 *
 * Hides: how the two are put together. Must not know: how either is reached.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "paravane-bridge.h"
#include "paravane-deadline.h"
#include "paravane-json.h"
#include "paravane-runinfo.h"
#include "switch-config.h"
#include "util.h"

#define DAEMON "paravane-netback"
#define PORT_TEXT 96
#define VLAN_TEXT 160

static const char of_daemon[] = DAEMON " does not answer: its log may say more";

/* ---- the daemon ------------------------------------------------------------------- */

int daemon_try(int *fd)
{
	char dir[RUNINFO_PATH_BYTES];

	runinfo_directory("netback", dir);
	return control_connect(dir, fd);
}

int daemon_connect(int *fd)
{
	char dir[RUNINFO_PATH_BYTES];
	int rc = daemon_try(fd);

	runinfo_directory("netback", dir);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return complain(STATUS_ERROR, "no " DAEMON " answers at %s: is it running? "
				"(--rundir and $PARAVANE_RUNDIR must agree)", dir);
	if (rc)
		return complain(STATUS_ERROR, "%s/" CONTROL_SOCKET ": %s", dir, strerror(-rc));
	return STATUS_OK;
}

int daemon_ask(int fd, const struct control_msg *ask)
{
	struct control_msg msg = *ask;
	int rc;

	msg.version = CONTROL_VERSION;
	rc = control_ask(fd, &msg);
	return rc ? complain(STATUS_ERROR, DAEMON " cannot be asked: %s", strerror(-rc)) :
		    STATUS_OK;
}

int daemon_hear(int fd, struct control_msg *msg, int *pipe)
{
	int rc;

	deadline_is_of(of_daemon);
	rc = control_hear(fd, msg, pipe);
	deadline_is_of(NULL);
	if (rc == -EPIPE)
		return complain(STATUS_ERROR, DAEMON " has hung up");
	if (rc)
		return complain(STATUS_ERROR, DAEMON " speaks another version than this program");
	if (msg->type != CONTROL_REFUSED)
		return STATUS_OK;
	msg->failure.reason[sizeof(msg->failure.reason) - 1] = '\0';
	return complain(msg->failure.err == ENOENT ? STATUS_NO_SUCH : STATUS_ERROR, "%s",
			msg->failure.reason);
}

/* Asks, and gives every answer before DONE to fn. */
static int ask_all(int fd, enum control_type type, const char *bridge,
		   void (*fn)(void *arg, const struct control_msg *msg), void *arg)
{
	struct control_msg ask = { .type = type }, msg;
	int status, pipe = -1;

	snprintf(ask.bridge, sizeof(ask.bridge), "%s", bridge);
	status = daemon_ask(fd, &ask);
	while (!status) {
		status = daemon_hear(fd, &msg, &pipe);
		close_fd(&pipe);
		if (!status && msg.type == CONTROL_DONE)
			break;
		if (!status)
			fn(arg, &msg);
	}
	return status;
}

static bool is_uplink(const struct control_port *p, const struct switch_uplink *up)
{
	const struct vswitch_port_config *is = &p->info.port;
	struct vswitch_port_config as;

	bridge_port_config(&up->port, NULL, &as);
	return p->info.is_uplink && p->info.is_added && !strcmp(p->info.name, up->ifname) &&
	       is->mode == as.mode && is->vlan == as.vlan && is->isolated == as.isolated &&
	       !memcmp(is->vlans, as.vlans, sizeof(as.vlans));
}

bool bridge_has_uplink(const char *bridge, const struct switch_uplink *up)
{
	struct control_msg msg = { .version = CONTROL_VERSION, .type = CONTROL_PORTS };
	autoclose int fd = -1;
	bool found = false;
	int pipe = -1;

	snprintf(msg.bridge, sizeof(msg.bridge), "%s", bridge);
	if (daemon_try(&fd) || control_ask(fd, &msg))
		return false;
	deadline_is_of(of_daemon);
	while (!control_hear(fd, &msg, &pipe) && msg.type == CONTROL_PORT) {
		close_fd(&pipe);
		found |= is_uplink(&msg.port, up);
	}
	deadline_is_of(NULL);
	return found;
}

/* ---- words ---------------------------------------------------------------------------- */

static bool has_vlan(const uint8_t *vlans, uint32_t v)
{
	return v < VSWITCH_VLANS - 1 && vlans[v / 8] >> v % 8 & 1;
}

static size_t add(char *buf, size_t bytes, size_t at, const char *fmt, uint32_t a, uint32_t b)
{
	int n = at < bytes ? snprintf(buf + at, bytes - at, fmt, at ? "," : "", a, b) : 0;

	return at + (size_t)n;
}

void vlan_text(const struct vswitch_port_config *port, char *buf, size_t bytes)
{
	size_t at = 0;
	uint32_t only = 0;

	buf[0] = '\0';
	if (port->mode == VSWITCH_ACCESS) {
		if (port->vlan)
			snprintf(buf, bytes, "%u", port->vlan);
		return;
	}
	if (port->vlan != VSWITCH_VLAN_NONE)
		at = add(buf, bytes, at, "%sp%u", port->vlan, 0);
	for (uint32_t v = 1, last; v < VSWITCH_VLANS - 1; v = last + 1) {
		last = v;
		if (!has_vlan(port->vlans, v) || v == port->vlan)
			continue;
		while (has_vlan(port->vlans, last + 1) && last + 1 != port->vlan)
			last++;
		at = add(buf, bytes, at, last > v ? "%s%u-%u" : "%s%u", v, last);
		only = at && !strchr(buf, ',') && last == v ? v : 0;
	}
	if (only && port->vlan == VSWITCH_VLAN_NONE)	/* not an access port's */
		snprintf(buf, bytes, "%u-%u", only, only);
}

static void port_text(struct store *store, const struct bridge_port_info *info, char *buf,
		      size_t bytes)
{
	char name[64];

	if (info->is_uplink)
		snprintf(buf, bytes, "uplink %.31s", info->name);
	else if (!store->xs || inventory_domain_name(store->xs, info->domid, name, sizeof(name)))
		snprintf(buf, bytes, "%u/vif%u", info->domid, info->devid);
	else
		snprintf(buf, bytes, "%s/vif%u", name, info->devid);
}

static uint64_t all_drops(const struct vswitch_counters *c)
{
	uint64_t nr = 0;

	for (uint32_t i = VSWITCH_FORWARDED + 1; i < VSWITCH_NR_DROPS; i++)
		nr += c->dropped[i];
	return nr;
}

/* ---- list ----------------------------------------------------------------------------- */

struct row {
	char name[VIF_NAME_BYTES];
	bool runs;
	uint32_t nr_ports;
	int32_t pid;
};

struct list {
	struct store *store;
	uint32_t backend_domid;
	bool json;
	uint32_t nr;
	struct row *row;
	bool failed;
};

static struct row *find_row(struct list *l, const char *name)
{
	struct row *more;

	for (uint32_t i = 0; i < l->nr; i++)
		if (!strcmp(l->row[i].name, name))
			return &l->row[i];
	more = realloc(l->row, (l->nr + 1) * sizeof(*more));
	if (!more) {
		l->failed = true;
		return NULL;
	}
	l->row = more;
	memset(&l->row[l->nr], 0, sizeof(*more));
	snprintf(l->row[l->nr].name, VIF_NAME_BYTES, "%s", name);
	return &l->row[l->nr++];
}

static int add_configured(void *arg, const char *name)
{
	return find_row(arg, name) ? 0 : -ENOMEM;
}

static void add_running(void *arg, const struct control_msg *msg)
{
	struct row *r = find_row(arg, msg->bridge);

	if (!r)
		return;
	r->runs = true;
	r->nr_ports = msg->found.nr_ports;
	r->pid = msg->found.pid;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

struct names {
	uint32_t nr;
	bool json;
};

static int print_name(void *arg, const char *name)
{
	struct names *n = arg;

	if (n->nr++)
		fputs(n->json ? ", " : ",", stdout);
	if (n->json)
		json_quoted(name);
	else
		fputs(name, stdout);
	return 0;
}

static void print_uplinks(struct list *l, const struct row *r)
{
	struct names uplinks = { .json = l->json };

	switch_each_uplink(l->store->xs, l->backend_domid, r->name, print_name, &uplinks);
	if (!uplinks.nr && !l->json)
		putchar('-');
}

static void print_row(struct list *l, const struct row *r, bool first)
{
	struct switch_config cfg = { SWITCH_AGEING_MS, SWITCH_MOVE_MS };

	switch_read(l->store->xs, l->backend_domid, r->name, &cfg, NULL);
	if (!l->json) {
		printf("%-16s %6u %8d %10u %8u  ", r->name, r->nr_ports, r->pid, cfg.ageing_ms,
		       cfg.move_ms);
		print_uplinks(l, r);
		putchar('\n');
		return;
	}
	printf("%s\n  {\n    \"bridge\": ", first ? "" : ",");
	json_quoted(r->name);
	json_bool("running", r->runs);
	json_number("ports", r->nr_ports);
	json_number("worker_pid", (uint64_t)r->pid);
	json_number("ageing_ms", cfg.ageing_ms);
	json_number("move_ms", cfg.move_ms);
	fputs(",\n    \"uplinks\": [", stdout);
	print_uplinks(l, r);
	fputs("]\n  }", stdout);
}

static int collect(struct list *l)
{
	autoclose int fd = -1;
	int rc = switch_each(l->store->xs, l->backend_domid, add_configured, l), status;

	if (rc)
		return complain(STATUS_ERROR, "XenStore: %s", strerror(-rc));
	/* Without a daemon there is what will be. */
	if (l->backend_domid != l->store->own_domid || daemon_try(&fd))
		return STATUS_OK;
	status = ask_all(fd, CONTROL_BRIDGES, "", add_running, l);
	return l->failed ? complain(STATUS_ERROR, "out of memory") : status;
}

int bridge_list(struct store *store, uint32_t backend_domid, bool json)
{
	struct list l = { .store = store, .backend_domid = backend_domid, .json = json };
	int status = collect(&l);

	if (!status) {
		if (l.nr)
			qsort(l.row, l.nr, sizeof(*l.row), by_name);
		if (json)
			putchar('[');
		else if (l.nr)
			printf("%-16s %6s %8s %10s %8s  %s\n", "BRIDGE", "PORTS", "WORKER",
			       "AGEING ms", "MOVE ms", "UPLINKS");
		for (uint32_t i = 0; i < l.nr; i++)
			print_row(&l, &l.row[i], !i);
		if (json)
			fputs(l.nr ? "\n]\n" : "]\n", stdout);
	}
	free(l.row);
	return status;
}

/* ---- show ------------------------------------------------------------------------------ */

/* All is gathered before it is printed: who reads may take their time. */
struct show {
	struct store *store;
	bool json;
	uint32_t nr, nr_addresses;
	struct control_port port[VSWITCH_PORTS_MAX];
	char name[VSWITCH_PORTS_MAX][PORT_TEXT];
	struct vswitch_address address[BRIDGE_LIST_MAX];
};

static void take_port(void *arg, const struct control_msg *msg)
{
	struct show *s = arg;

	if (s->nr == VSWITCH_PORTS_MAX)
		return;
	port_text(s->store, &msg->port.info, s->name[s->nr], sizeof(s->name[0]));
	s->port[s->nr++] = msg->port;
}

static void take_address(void *arg, const struct control_msg *msg)
{
	struct show *s = arg;

	if (s->nr_addresses < BRIDGE_LIST_MAX)
		s->address[s->nr_addresses++] = msg->address;
}

static void print_drops(const struct vswitch_counters *c)
{
	for (uint32_t i = VSWITCH_FORWARDED + 1; i < VSWITCH_NR_DROPS; i++)
		if (c->dropped[i])
			printf(" %s %" PRIu64, vswitch_drop_name((enum vswitch_drop)i),
			       c->dropped[i]);
}

static void print_port(const struct control_port *p, const char *name)
{
	const struct vswitch_counters *c = &p->counters;
	char vlan[VLAN_TEXT];

	vlan_text(&p->info.port, vlan, sizeof(vlan));
	printf("%-20s %-12s %-9s %12" PRIu64 " %14" PRIu64 " %12" PRIu64 " %14" PRIu64
	       " %10" PRIu64 "\n", name, *vlan ? vlan : "-",
	       p->info.port.isolated ? "isolated" : "-", c->in_frames, c->in_bytes,
	       c->out_frames, c->out_bytes, all_drops(c));
	if (all_drops(c)) {
		printf("    dropped:");
		print_drops(c);
		putchar('\n');
	}
}

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void print_port_json(const struct control_port *p, const char *name, bool first)
{
	const struct vswitch_counters *c = &p->counters;
	char vlan[VLAN_TEXT];

	vlan_text(&p->info.port, vlan, sizeof(vlan));
	printf("%s\n    {\"port\": ", first ? "" : ",");
	json_quoted(name);
	if (p->info.is_uplink)
		printf(", \"uplink\": \"%.31s\"", p->info.name);
	else
		printf(", \"domid\": %u, \"devid\": %u", p->info.domid, p->info.devid);
	printf(", \"connected\": %s, \"vlan\": ", truth(p->info.is_added));
	json_quoted(vlan);
	printf(", \"isolated\": %s, \"any_source\": %s, \"rate_bytes\": %" PRIu64
	       ", \"rate_usec\": %u", truth(p->info.port.isolated),
	       truth(p->info.port.any_source), p->info.rate.bytes, p->info.rate.usec);
	printf(",\n     \"in_frames\": %" PRIu64 ", \"in_bytes\": %" PRIu64
	       ", \"out_frames\": %" PRIu64 ", \"out_bytes\": %" PRIu64
	       ", \"flooded_frames\": %" PRIu64 ",\n     \"dropped\": {", c->in_frames,
	       c->in_bytes, c->out_frames, c->out_bytes, c->flooded);
	for (uint32_t i = VSWITCH_FORWARDED + 1; i < VSWITCH_NR_DROPS; i++)
		printf("%s\"%s\": %" PRIu64, i > VSWITCH_FORWARDED + 1 ? ", " : "",
		       vswitch_drop_name((enum vswitch_drop)i), c->dropped[i]);
	printf("}}");
}

static const char *name_of(const struct show *s, uint32_t port)
{
	for (uint32_t i = 0; i < s->nr; i++)
		if (s->port[i].info.id == port)
			return s->name[i];
	return "?";
}

static void print_address(const struct show *s, const struct vswitch_address *a, bool first)
{
	char mac[VIF_MAC_BYTES * 3];

	vif_format_mac(a->mac, mac, sizeof(mac));
	if (s->json) {
		printf("%s\n    {\"mac\": \"%s\", \"vlan\": %u, \"port\": ", first ? "" : ",", mac,
		       a->vlan);
		json_quoted(name_of(s, a->port));
		printf(", \"age_ms\": %" PRIu64 ", \"fixed\": %s}", a->age_ms, truth(a->fixed));
		return;
	}
	if (first)
		printf("\n%-20s %-6s %-20s %s\n", "ADDRESS", "VLAN", "PORT", "AGE ms");
	printf("%-20s %-6u %-20s ", mac, a->vlan, name_of(s, a->port));
	if (a->fixed)
		puts("its own");
	else
		printf("%" PRIu64 "\n", a->age_ms);
}

static void print_all(const struct show *s, const char *name)
{
	if (s->json) {
		printf("{\n  \"bridge\": ");
		json_quoted(name);
		printf(",\n  \"ports\": [");
	} else {
		printf("%-20s %-12s %-9s %12s %14s %12s %14s %10s\n", "PORT", "VLAN", "", "IN",
		       "bytes", "OUT", "bytes", "DROPPED");
	}
	for (uint32_t i = 0; i < s->nr; i++) {
		if (s->json)
			print_port_json(&s->port[i], s->name[i], !i);
		else
			print_port(&s->port[i], s->name[i]);
	}
	if (s->json)
		printf("\n  ],\n  \"addresses\": [");
	for (uint32_t i = 0; i < s->nr_addresses; i++)
		print_address(s, &s->address[i], !i);
	if (s->json)
		puts("\n  ]\n}");
}

int bridge_show(struct store *store, uint32_t backend_domid, const char *name, bool json)
{
	struct show *s;
	autoclose int fd = -1;
	int status;

	if (backend_domid != store->own_domid)
		return complain(STATUS_USAGE, "bridge show: only in the back end's own domain, %u",
				backend_domid);
	s = calloc(1, sizeof(*s));
	if (!s)
		return complain(STATUS_ERROR, "out of memory");
	s->store = store;
	s->json = json;
	status = daemon_connect(&fd);
	if (!status)
		status = ask_all(fd, CONTROL_PORTS, name, take_port, s);
	if (!status)
		status = ask_all(fd, CONTROL_ADDRESSES, name, take_address, s);
	deadline_end();
	if (!status)
		print_all(s, name);
	free(s);
	return status;
}
