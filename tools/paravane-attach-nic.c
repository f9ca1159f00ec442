/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane attach-nic: creates a network interface's nodes, from words as xl's
 * network-attach takes them.
 *
 * Hides: the words, the choice of a free number and address, what happens when
 * the interface or its address is there already. Must not know: how nodes are
 * spelled, what follows when they are written (paravane-settle.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-limit.h"
#include "paravane-settle.h"
#include "paravane-unlike.h"
#include "util.h"
#include "vif.h"

#define DEFAULT_WAIT_MS 30000
#define DEVID_MAX 65535u
#define NR_AUTOMATIC 256u
#define MAC_TRIES 16
#define LIBXL_SCRIPT "/etc/xen/scripts/vif-paravane"

static const char help_text[] =
"Usage: paravane attach-nic DOMAIN [WORD=VALUE]... [OPTION]...\n"
"\n"
"Gives a guest a network interface and returns when both ends are connected.\n"
"\n"
"  DOMAIN           number or name\n"
"\n"
"  bridge=NAME      the switch that it joins (default \"" VIF_BRIDGE_DEFAULT "\")\n"
"  mac=ADDRESS      default: one of Xen's own range, 00:16:3e, that nobody has here\n"
"  devid=N          its number; default: the next free one, from 0\n"
"  vlan=VLAN        10: in that VLAN; 10,20-29: a trunk of these, with tags;\n"
"                   p1,10,20: a trunk whose frames without a tag are in VLAN 1\n"
"  rate=RATE        limit of what the guest sends: 10Mb/s, 250KB/s@20ms ...\n"
"  mtu=BYTES        68 to 65521; default 1500\n"
"  isolated=1       exchanges frames only with ports that are not\n"
"  " KEY_ANY_SOURCE "=1     may send from other addresses than its own\n"
"  queues=N         offer the guest so many at most, 1 to 16\n"
"  script=SCRIPT    a hotplug script, as xl runs it (a name: in /etc/xen/scripts);\n"
"                   not with --no-wait\n"
"  vifname=NAME     default: vifDOMAIN.N\n"
"  ip=ADDRESSES, gatewaydev=NAME  for scripts\n"
"  backend=DOMAIN   the domain whose back end serves it; default: this one\n"
"                   (--backend DOMAIN says the same)\n"
"\n"
"  --limit LIMITS   NAME=NUMBER,... as \"paravane limit\" takes them:\n"
"                   rx-packets-per-second=5k, tx-bytes-per-second=10M ...\n"
"  --kind KIND      vif (the default) or qnic\n"
"  --libxl          write libxl's own nodes too, so that xl lists it; the default\n"
"                   for domains that xl made\n"
"  --no-libxl       never\n"
"  --idempotent     an interface of this guest with this address, there already and\n"
"                   as described, is no error; needs mac=\n"
"  --dry-run        only looks whether it could be attached: domain, address\n"
"  --json           print the interface's object, as list does\n"
"  --wait SECONDS   deadline for both ends to connect (default 30)\n"
"  --no-wait        return when the nodes are written\n"
"\n"
"An interface that an end refuses is taken away again. One that is not connected\n"
"when the deadline passes stays, and \"paravane detach\" removes it.\n"
"\n"
"Exit status: 0 connected, 1 error or refused, 2 wrong usage, 3 the deadline\n"
"passed, 4 no such domain, 5 the interface exists, 6 the address is in use.\n";

enum word {
	WORD_BRIDGE, WORD_MAC, WORD_DEVID, WORD_VLAN, WORD_RATE, WORD_MTU, WORD_ISOLATED,
	WORD_ANY_SOURCE, WORD_QUEUES, WORD_SCRIPT, WORD_VIFNAME, WORD_IP, WORD_GATEWAYDEV,
	WORD_BACKEND, WORD_TYPE, NR_WORDS,
};

struct attach {
	struct store store;
	struct common_options common;
	struct toolstack_nic nic;
	enum libxl_choice libxl;
	bool has_mac, has_devid, idempotent, json, dry_run;
	const char *said[NR_WORDS];	/* values; NULL: it was not */
	char limits[LIMIT_TEXT_BYTES];	/* all words of --limit */
};

enum { OPT_LIBXL = 256, OPT_NO_LIBXL, OPT_IDEMPOTENT, OPT_JSON, OPT_LIMIT, OPT_DRY_RUN };

static const struct option options[] = {
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "libxl", no_argument, NULL, OPT_LIBXL },
	{ "no-libxl", no_argument, NULL, OPT_NO_LIBXL },
	{ "idempotent", no_argument, NULL, OPT_IDEMPOTENT },
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_NO_WAIT, OPTION_HELP,
	{ 0 }
};

/* ---- words ------------------------------------------------------------------ */

static int bad_word(const char *word, const char *value, const char *expected)
{
	return complain_word(&attach_nic_command, word, value, expected);
}

static int take_number(const char *word, const char *value, uint32_t min, uint32_t max,
		       uint32_t *out)
{
	return parse_word(&attach_nic_command, word, value, min, max, out);
}

static int take_flag(const char *word, const char *value, bool *out)
{
	uint32_t n = 0;
	int status = take_number(word, value, 0, 1, &n);

	*out = n;
	return status;
}

static int take_name(const char *word, const char *value, const char **out)
{
	if (!vif_is_name(value))
		return bad_word(word, value, "a name without spaces and slashes, below 64 letters");
	*out = value;
	return STATUS_OK;
}

static int take_text(const char *word, const char *value, const char **out)
{
	if (!*value)
		return bad_word(word, value, "a value");
	*out = value;
	return STATUS_OK;
}

static int take_bridge(struct attach *a, const char *word, const char *value)
{
	return take_name(word, value, &a->nic.bridge);
}

static int take_mac(struct attach *a, const char *word, const char *value)
{
	if (vif_parse_mac(value, a->nic.mac))
		return bad_word(word, value,
				"an address like 00:16:3e:01:02:03, of one interface and not zero,");
	a->has_mac = true;
	return STATUS_OK;
}

static int take_devid(struct attach *a, const char *word, const char *value)
{
	a->has_devid = true;
	return take_number(word, value, 0, DEVID_MAX, &a->nic.devid);
}

static int take_vlan(struct attach *a, const char *word, const char *value)
{
	uint8_t vlans[512];
	uint16_t vlan;
	bool trunk;

	a->nic.vlan = value;
	if (vif_parse_vlan(value, &trunk, &vlan, vlans))
		return bad_word(word, value,
				"a VLAN (1 to 4094), a list like 10,20-29, or one like p1,10,20");
	return STATUS_OK;
}

static int take_rate(struct attach *a, const char *word, const char *value)
{
	if (toolstack_rate(value, &a->nic.rate_bytes, &a->nic.rate_usec))
		return bad_word(word, value, "a rate like 10Mb/s, 1MB/s or 250KB/s@20ms");
	if (a->nic.rate_bytes > VIF_RATE_MAX || a->nic.rate_usec > VIF_RATE_MAX)
		return bad_word(word, value, "at most 2147483648 bytes in an interval, which is "
				"343Gb/s in the usual one of 50 ms");
	return STATUS_OK;
}

static int take_mtu(struct attach *a, const char *word, const char *value)
{
	return take_number(word, value, VIF_MTU_MIN, VIF_MTU_MAX, &a->nic.mtu_bytes);
}

static int take_isolated(struct attach *a, const char *word, const char *value)
{
	return take_flag(word, value, &a->nic.isolated);
}

static int take_any_source(struct attach *a, const char *word, const char *value)
{
	return take_flag(word, value, &a->nic.any_source);
}

static int take_queues(struct attach *a, const char *word, const char *value)
{
	return take_number(word, value, 1, VIF_QUEUES_MAX, &a->nic.max_queues);
}

static int take_script(struct attach *a, const char *word, const char *value)
{
	return take_text(word, value, &a->nic.script);
}

static int take_vifname(struct attach *a, const char *word, const char *value)
{
	return take_name(word, value, &a->nic.vifname);
}

static int take_ip(struct attach *a, const char *word, const char *value)
{
	return take_text(word, value, &a->nic.ip);
}

static int take_gatewaydev(struct attach *a, const char *word, const char *value)
{
	return take_text(word, value, &a->nic.gatewaydev);
}

static int take_backend(struct attach *a, const char *word, const char *value)
{
	return take_text(word, value, &a->common.backend);
}

/* xl's: the emulated ones are QEMU's, which xl alone starts. */
static int take_type(struct attach *a, const char *word, const char *value)
{
	(void)a;
	return strcmp(value, KIND_VIF) ?
	       bad_word(word, value, "vif (an emulated interface comes with xl create alone)") :
	       STATUS_OK;
}

static const struct {
	const char *word;
	int (*take)(struct attach *a, const char *word, const char *value);
} words[NR_WORDS] = {
	[WORD_BRIDGE] = { KEY_BRIDGE, take_bridge },
	[WORD_MAC] = { KEY_MAC, take_mac },
	[WORD_DEVID] = { "devid", take_devid },
	[WORD_VLAN] = { KEY_VLAN, take_vlan },
	[WORD_RATE] = { KEY_RATE, take_rate },
	[WORD_MTU] = { KEY_MTU, take_mtu },
	[WORD_ISOLATED] = { KEY_ISOLATED, take_isolated },
	[WORD_ANY_SOURCE] = { KEY_ANY_SOURCE, take_any_source },
	[WORD_QUEUES] = { "queues", take_queues },
	[WORD_SCRIPT] = { KEY_SCRIPT, take_script },
	[WORD_VIFNAME] = { KEY_VIFNAME, take_vifname },
	[WORD_IP] = { KEY_IP, take_ip },
	[WORD_GATEWAYDEV] = { KEY_GATEWAYDEV, take_gatewaydev },
	[WORD_BACKEND] = { KEY_BACKEND, take_backend },
	[WORD_TYPE] = { KEY_TYPE, take_type },
};

static int take_word(struct attach *a, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t n = equals ? (size_t)(equals - text) : 0;

	for (size_t i = 0; equals && i < ARRAY_LEN(words); i++)
		if (strlen(words[i].word) == n && !strncmp(words[i].word, text, n)) {
			a->said[i] = equals + 1;
			return words[i].take(a, words[i].word, equals + 1);
		}
	return complain_usage(&attach_nic_command,
			      "attach-nic: \"%s\": WORD=VALUE is expected, such as bridge=NAME or mac=ADDRESS",
			      text);
}

static int take_option(struct attach *a, int opt, const char *value)
{
	switch (opt) {
	case OPT_DRY_RUN:
		a->dry_run = true;
		break;
	case OPT_LIMIT:
		return limit_option(&attach_nic_command, LIMIT_OF_NIC, value, &a->nic.limit,
				    a->limits);
	case OPT_LIBXL:
		a->libxl = LIBXL_YES;
		break;
	case OPT_NO_LIBXL:
		a->libxl = LIBXL_NO;
		break;
	case OPT_IDEMPOTENT:
		a->idempotent = true;
		break;
	case OPT_JSON:
		a->json = true;
		break;
	}
	return STATUS_OK;
}

static int parse(struct attach *a, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &attach_nic_command, &a->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		status = take_option(a, opt, optarg);
		if (status)
			return status;
	}
	status = common_operands(&attach_nic_command, argc, 1, 1 + (int)ARRAY_LEN(words));
	for (int i = optind + 1; !status && i < argc; i++)
		status = take_word(a, argv[i]);
	if (!status && a->idempotent && !a->has_mac)
		status = complain_usage(&attach_nic_command,
					"--idempotent: mac= says which interface is meant");
	a->nic.kind = a->common.kind ? a->common.kind : KIND_VIF;
	return status;
}

static int resolve(struct attach *a, const char *domain)
{
	int status = store_domain(&a->store, domain, &a->nic.domid);

	if (!status)
		status = store_backend(&a->store, &a->common, a->store.own_domid,
				       &a->nic.backend_domid);
	if (!status && a->nic.domid == a->nic.backend_domid && a->common.backend)
		status = complain(STATUS_USAGE, "domain \"%s\" cannot be its own back end", domain);
	if (!status)
		status = script_wants_wait(&attach_nic_command, &a->store, a->nic.script,
					   a->nic.backend_domid, a->common.wait_ms);
	a->nic.libxl = !status && libxl_wanted(&a->store, a->libxl, a->nic.domid);
	/* xl does not take away an interface without a script; none has to run for ours. */
	if (a->nic.libxl && !a->nic.script) {
		a->nic.script = LIBXL_SCRIPT;
		a->nic.script_done = true;
	}
	return status;
}

/* ---- addresses ------------------------------------------------------------------ */

/*
 * Another interface with the address; on the same switch unless any will do. As for xl, a
 * guest may have one address on several; --idempotent means one interface by it.
 */
struct mac_search {
	struct attach *a;
	bool any_switch;
	struct inventory_device found;
	struct vif_toolstack ts;	/* found's */
};

static const char *switch_name(const char *bridge)
{
	return bridge && *bridge ? bridge : VIF_BRIDGE_DEFAULT;
}

static int has_this_mac(void *arg, const struct inventory_device *dev)
{
	struct mac_search *s = arg;
	const struct toolstack_nic *n = &s->a->nic;
	uint8_t mac[VIF_MAC_BYTES];
	char text[32];

	/* One question to the store for each interface there is, more for the one. */
	if (xenbus_read_text(s->a->store.xs, XBT_NULL, dev->back_dir, KEY_MAC, text,
			     sizeof(text)) || vif_parse_mac(text, mac) ||
	    memcmp(mac, n->mac, sizeof(mac)))
		return 0;
	if (vif_read_toolstack(s->a->store.xs, dev->back_dir, &s->ts, NULL) ||
	    !s->ts.has_mac || memcmp(s->ts.mac, n->mac, sizeof(n->mac)))
		return 0;
	if (!s->any_switch && !(s->a->idempotent && dev->domid == n->domid) &&
	    strcmp(switch_name(s->ts.bridge), switch_name(n->bridge)))
		return 0;
	if (store_is_left(&s->a->store, dev))
		return 0;
	s->found = *dev;
	return 1;
}

static bool mac_is_taken(struct attach *a, bool any_switch, struct mac_search *s)
{
	*s = (struct mac_search){ .a = a, .any_switch = any_switch };
	return inventory_each(a->store.xs, INVENTORY_NICS, a->nic.backend_domid, INVENTORY_ANY,
			      has_this_mac, s) > 0;
}

/* In the range that the Xen project has for guests; as xl, the lower half of it. */
static int choose_mac(struct attach *a)
{
	struct mac_search s;

	for (int i = 0; i < MAC_TRIES; i++) {
		memcpy(a->nic.mac, "\x00\x16\x3e", 3);
		if (getrandom(a->nic.mac + 3, 3, 0) != 3)
			break;
		a->nic.mac[3] &= 0x7f;
		if (!mac_is_taken(a, true, &s))
			return STATUS_OK;
	}
	return complain(STATUS_ERROR, "no address could be chosen; say mac=");
}

static int check_mac(struct attach *a)
{
	struct mac_search s;
	char mac[VIF_MAC_BYTES * 3], domain[96];

	if (!a->has_mac)
		return choose_mac(a);
	if (!mac_is_taken(a, false, &s))
		return STATUS_OK;
	vif_format_mac(a->nic.mac, mac, sizeof(mac));
	return complain(STATUS_BUSY,
			"address %s is in use: vif%u of %s has it on switch %s; choose another, or leave mac= out",
			mac, s.found.devid,
			domain_label(&a->store, s.found.domid, domain, sizeof(domain)),
			switch_name(s.ts.bridge));
}

/* ---- creation --------------------------------------------------------------------- */

/* --idempotent: the guest's interface with this address, if it has one. */
static bool find_same(struct attach *a, struct mac_search *s)
{
	if (!mac_is_taken(a, false, s) || s->found.domid != a->nic.domid ||
	    strcmp(s->found.kind, a->nic.kind) ||
	    strcmp(switch_name(s->ts.bridge), switch_name(a->nic.bridge)) ||
	    (a->has_devid && s->found.devid != a->nic.devid))
		return false;
	a->nic.devid = s->found.devid;
	return true;
}

static bool same_vlan(const struct vif_port *is, const char *asked)
{
	uint8_t vlans[sizeof(is->vlans)];
	uint16_t vlan;
	bool trunk;

	return asked && !vif_parse_vlan(asked, &trunk, &vlan, vlans) && trunk == is->trunk &&
	       vlan == is->vlan && (!trunk || !memcmp(vlans, is->vlans, sizeof(vlans)));
}

static double bits_per_s(uint64_t bytes, uint32_t usec)
{
	return usec ? (double)bytes * 8e6 / usec : 0;
}

/* As bits per second; it may have been set in others, and rounded. */
static void compare_rate(const struct attach *a, const struct vif_toolstack *ts,
			 struct unlike *u)
{
	double is = bits_per_s(ts->rate_bytes, ts->rate_usec);
	double asked = bits_per_s(a->nic.rate_bytes, a->nic.rate_usec);
	bool same = is > asked * 0.999 - 200 && is < asked * 1.001 + 200;
	char text[32] = "";

	if (is > 0)
		snprintf(text, sizeof(text), "%.0fb/s", is);
	unlike_if(u, same, UNLIKE_BY_PORT, KEY_RATE, text, a->said[WORD_RATE]);
}

/* Of a node that is a text. */
static void compare_node(struct attach *a, const struct inventory_device *dev, const char *key,
			 const char *asked, struct unlike *u)
{
	char is[256] = "";

	if (asked && xenbus_read_text(a->store.xs, XBT_NULL, dev->back_dir, key, is, sizeof(is)))
		is[0] = '\0';
	unlike_text(u, UNLIKE_BY_ATTACHING, key, is, asked);
}

/* What was said of it, and what it has by now. */
static int compare(struct attach *a, const struct mac_search *s)
{
	const struct vif_toolstack *ts = &s->ts;
	struct unlike u = { .anew = false };

	unlike_if(&u, same_vlan(&ts->port, a->nic.vlan), UNLIKE_BY_PORT, KEY_VLAN,
		  ts->port.vlan_text, a->nic.vlan);
	compare_rate(a, ts, &u);
	unlike_number(&u, a->said[WORD_ISOLATED], UNLIKE_BY_PORT, KEY_ISOLATED,
		      ts->port.isolated, a->nic.isolated);
	unlike_number(&u, a->said[WORD_ANY_SOURCE], UNLIKE_BY_PORT, KEY_ANY_SOURCE,
		      ts->port.any_source, a->nic.any_source);
	unlike_number(&u, a->said[WORD_MTU], UNLIKE_BY_ATTACHING, KEY_MTU, ts->mtu_bytes,
		      a->nic.mtu_bytes);
	unlike_number(&u, a->said[WORD_QUEUES], UNLIKE_BY_ATTACHING, "queues", ts->max_queues,
		      a->nic.max_queues);
	unlike_text(&u, UNLIKE_BY_ATTACHING, KEY_VIFNAME, ts->vifname, a->said[WORD_VIFNAME]);
	compare_node(a, &s->found, KEY_SCRIPT, a->said[WORD_SCRIPT], &u);
	compare_node(a, &s->found, KEY_IP, a->said[WORD_IP], &u);
	compare_node(a, &s->found, KEY_GATEWAYDEV, a->said[WORD_GATEWAYDEV], &u);
	unlike_limit(&u, &a->store, &s->found, a->limits[0] ? a->limits : NULL);
	return unlike_complain(&u, &a->store, &s->found);
}

/* -EEXIST from the store is the answer, so that two attachments never share one. */
static int create_next_free(struct attach *a)
{
	for (a->nic.devid = 0; a->nic.devid < NR_AUTOMATIC; a->nic.devid++) {
		int ret = toolstack_create_nic(a->store.xs, &a->nic);

		if (ret != -EEXIST)
			return ret;
	}
	return -EEXIST;
}

static int create(struct attach *a, bool *created)
{
	struct mac_search same;
	char domain[96];
	int ret, status;

	*created = false;
	if (a->idempotent && find_same(a, &same))
		return compare(a, &same);
	status = check_mac(a);
	*created = !status;
	if (status || a->dry_run)
		return status;
	ret = a->has_devid ? toolstack_create_nic(a->store.xs, &a->nic) : create_next_free(a);
	if (ret == -EEXIST)
		return complain(STATUS_EXISTS,
				"vif%u of %s exists; choose another devid=, or run \"paravane detach %u vif%u\"",
				a->nic.devid,
				domain_label(&a->store, a->nic.domid, domain, sizeof(domain)),
				a->nic.domid, a->nic.devid);
	if (ret < 0)
		return complain_not_created(ret, "network interface", a->nic.domid);
	return STATUS_OK;
}

static int settle(struct attach *a, bool created)
{
	struct newcomer n = {
		.script = a->nic.script_done ? NULL : a->nic.script, .wait_ms = a->common.wait_ms, .created = created,
		.libxl = a->nic.libxl, .choice = a->libxl, .json = a->json,
	};

	inventory_name(a->nic.kind, a->nic.domid, a->nic.backend_domid, a->nic.devid, &n.dev);
	return a->dry_run ? newcomer_dry_run(&a->store, &n, a->has_devid || !created) :
			    newcomer_settle(&a->store, &n);
}

static void close_attach(struct attach *a)
{
	store_close(&a->store);
}

static int run(int argc, char **argv)
{
	struct attach a __attribute__((cleanup(close_attach))) = {
		.common.wait_ms = DEFAULT_WAIT_MS,
	};
	bool finished = false, created;
	int status = parse(&a, argc, argv, &finished);

	if (status || finished)
		return status;
	deadline_set(2 * a.common.wait_ms);	/* for the script, and for both ends */
	status = store_open(&a.store);
	if (!status)
		status = resolve(&a, argv[optind]);
	if (!status)
		status = create(&a, &created);
	return status ? status : settle(&a, created);
}

const struct subcommand attach_nic_command = {
	.name = "attach-nic",
	.summary = "gives a guest a network interface",
	.help = help_text,
	.classes = OF_NICS,
	.run = run,
};
