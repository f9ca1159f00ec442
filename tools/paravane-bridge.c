/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane bridge: switches, their ports and their uplinks, changed while in use.
 *
 * Hides: the words. Must not know: how nodes are spelled, how things are shown
 * (paravane-bridge-show.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "keys.h"
#include "paravane-bridge.h"
#include "paravane-deadline.h"
#include "util.h"

#define LOOK_EVERY_MS 50

static const char help_text[] =
"Usage: paravane bridge list [OPTION]...\n"
"       paravane bridge show BRIDGE [OPTION]...\n"
"       paravane bridge set BRIDGE WORD=VALUE... [OPTION]...\n"
"       paravane bridge reset BRIDGE [OPTION]...\n"
"       paravane bridge port DOMAIN DEVICE WORD=VALUE... [OPTION]...\n"
"       paravane bridge uplink add BRIDGE IFNAME [WORD=VALUE]... [OPTION]...\n"
"       paravane bridge uplink remove BRIDGE IFNAME [OPTION]...\n"
"\n"
"The switches of paravane-netback. A bridge is there as long as an interface or an\n"
"uplink is on it; everything may be changed while frames go through it.\n"
"\n"
"  list             bridges that run, and those that something is set for\n"
"  show             a bridge's ports with VLANs and counters, and the addresses that\n"
"                   it has learned\n"
"  set              " KEY_AGEING_MS "=N  an address not seen for so long is forgotten\n"
"                   " KEY_MOVE_MS "=N    one moves to another port only when the old one has\n"
"                                been silent for so long\n"
"  reset            removes what was set, and its uplinks\n"
"  port             of a guest's interface (vif0, its address or its vifname):\n"
"                   vlan=VLAN    10; 10,20-29; p1,10,20; none\n"
"                   isolated=1   exchanges frames only with ports that are not\n"
"                   " KEY_ANY_SOURCE "=1 may send from other addresses than its own\n"
"                   rate=RATE    10Mb/s, 250KB/s ...; none\n"
"                   " KEY_DISCONNECT "=1 tells the guest that its link is down (Windows\n"
"                                alone believes it); frames go all the same\n"
"  uplink add       a TAP device IFNAME, made if there is none; or changes one:\n"
"                   bridge=NAME  joins this bridge of Linux's or of Open vSwitch\n"
"                   vlan=VLAN, isolated=1, mtu=BYTES\n"
"  uplink remove\n"
"\n"
"  --json           list and show: for programs; units are in the names\n"
"  --kind KIND      port: which, when several back ends name the same interface\n"
"  --backend DOMAIN the domain whose back end it is; default: this one. Counters and\n"
"                   addresses are this domain's alone\n"
"  --wait SECONDS   uplink add: returns when it is a port of the bridge, with these\n"
"                   VLANs, or with status 3; default: at once\n"
"\n"
"What is written is in XenStore; the back end follows at once, or when it starts.\n"
"\n"
"Exit status: 0 done, 1 error, 2 wrong usage, 3 the deadline passed, or XenStore or\n"
"the daemon does not answer, 4 no such bridge, uplink, domain or interface.\n";

struct bridge_args {
	struct store store;
	struct common_options common;
	uint32_t backend_domid;
	bool json;
	char **words;			/* what follows the operands */
	int nr_words;
};

enum { OPT_JSON = 256 };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_HELP,
	{ 0 }
};

/* ---- words ------------------------------------------------------------------ */

static int bad_word(const char *word, const char *value, const char *expected)
{
	return complain_word(&bridge_command, word, value, expected);
}

static int take_u32(const char *word, const char *value, uint32_t min, uint32_t max,
	           uint32_t *out)
{
	return parse_word(&bridge_command, word, value, min, max, out);
}

static int take_flag(const char *word, const char *value, int *out)
{
	uint32_t n = 0;
	int status = take_u32(word, value, 0, 1, &n);

	*out = (int)n;
	return status;
}

static int take_vlan(const char *word, const char *value, const char **out)
{
	struct vif_port port;

	*out = strcmp(value, "none") ? value : "";
	if (strlen(value) >= sizeof(port.vlan_text) ||
	    vif_parse_vlan(*out, &port.trunk, &port.vlan, port.vlans))
		return bad_word(word, value,
				"a VLAN (1 to 4094), a list like 10,20-29, one like p1,10,20, or none");
	return STATUS_OK;
}

/* Splits WORD=VALUE in place. */
static int split(char *text, const char **value)
{
	char *equals = strchr(text, '=');

	*value = "";
	if (!equals)
		return complain_usage(&bridge_command, "bridge: \"%s\": WORD=VALUE is expected",
				      text);
	*equals = '\0';
	*value = equals + 1;
	return STATUS_OK;
}

static int unknown_word(const char *word, const char *expected)
{
	return complain_usage(&bridge_command, "bridge: \"%s=\" means nothing here; expected %s",
			      word, expected);
}

static int store_failed(const char *what, int rc)
{
	return complain(STATUS_ERROR, "%s: XenStore: %s", what, strerror(-rc));
}

static int check_bridge(const char *name)
{
	if (!switch_check_name(name))
		return STATUS_OK;
	return complain_usage(&bridge_command, "\"%s\" cannot be configured: a bridge's name "
			      "without spaces and slashes, below 64 letters, is expected", name);
}

/* ---- set and reset -------------------------------------------------------------- */

static int take_number(const char *word, const char *value, uint32_t min, uint32_t max,
		       int64_t *out)
{
	uint32_t n = 0;
	int status = take_u32(word, value, min, max, &n);

	*out = n;
	return status;
}

static int take_set_word(struct switch_change *c, char *text)
{
	const char *value;
	int status = split(text, &value);

	if (status)
		return status;
	if (!strcmp(text, KEY_AGEING_MS))
		return take_number(text, value, 1, UINT32_MAX, &c->ageing_ms);
	if (!strcmp(text, KEY_MOVE_MS))
		return take_number(text, value, 0, UINT32_MAX, &c->move_ms);
	return unknown_word(text, KEY_AGEING_MS " or " KEY_MOVE_MS);
}

static int run_set(struct bridge_args *a, char **operand)
{
	struct switch_change c = { .ageing_ms = -1, .move_ms = -1 };
	struct switch_config cfg;
	int status = check_bridge(operand[0]), rc;

	if (status)
		return status;
	if (!a->nr_words)
		return complain_usage(&bridge_command, "bridge set: nothing is to be set");
	for (int i = 0; !status && i < a->nr_words; i++)
		status = take_set_word(&c, a->words[i]);
	if (status)
		return status;
	rc = switch_read(a->store.xs, a->backend_domid, operand[0], &cfg, NULL);
	if (rc == -EINVAL) {	/* somebody's nonsense is what this is to replace */
		c.ageing_ms = c.ageing_ms < 0 ? SWITCH_AGEING_MS : c.ageing_ms;
		c.move_ms = c.move_ms < 0 ? SWITCH_MOVE_MS : c.move_ms;
	} else if (rc) {
		return store_failed(operand[0], rc);
	}
	rc = switch_change(a->store.xs, a->backend_domid, operand[0], &c);
	return rc ? store_failed(operand[0], rc) : STATUS_OK;
}

static int run_reset(struct bridge_args *a, char **operand)
{
	int rc = switch_remove(a->store.xs, a->backend_domid, operand[0]);

	if (rc == -ENOENT || rc == -EINVAL)
		return complain(STATUS_NO_SUCH, "nothing is set for a bridge %s", operand[0]);
	return rc ? store_failed(operand[0], rc) : STATUS_OK;
}

/* ---- ports ------------------------------------------------------------------------ */

static int take_rate(struct vif_change *c, const char *word, const char *value)
{
	uint64_t bytes = 0;
	uint32_t usec = 1;

	c->set_rate = true;
	c->rate_bits = 0;
	if (!strcmp(value, "none"))
		return STATUS_OK;
	if (toolstack_rate(value, &bytes, &usec) || !usec || bytes > UINT64_MAX / 8000000)
		return bad_word(word, value, "a rate like 10Mb/s or 1MB/s, or none");
	c->rate_bits = bytes * 8000000 / usec;
	if (c->rate_bits > VIF_RATE_BITS_MAX)
		return bad_word(word, value, "at most 343Gb/s, or none");
	return STATUS_OK;
}

static int take_port_word(struct vif_change *c, char *text)
{
	const char *value;
	int status = split(text, &value);

	if (status)
		return status;
	if (!strcmp(text, KEY_VLAN))
		return take_vlan(text, value, &c->vlan);
	if (!strcmp(text, KEY_ISOLATED))
		return take_flag(text, value, &c->isolated);
	if (!strcmp(text, KEY_ANY_SOURCE))
		return take_flag(text, value, &c->any_source);
	if (!strcmp(text, KEY_RATE))
		return take_rate(c, text, value);
	if (!strcmp(text, KEY_DISCONNECT))
		return take_flag(text, value, &c->disconnect);
	return unknown_word(text, KEY_VLAN ", " KEY_ISOLATED ", " KEY_ANY_SOURCE ", " KEY_RATE
			    " or " KEY_DISCONNECT);
}

static int run_port(struct bridge_args *a, char **operand)
{
	struct vif_change c = { .isolated = -1, .any_source = -1, .disconnect = -1 };
	struct inventory_device dev;
	int status = STATUS_OK, rc;

	if (!a->nr_words)
		return complain_usage(&bridge_command, "bridge port: nothing is to be changed");
	for (int i = 0; !status && i < a->nr_words; i++)
		status = take_port_word(&c, a->words[i]);
	if (!status)
		status = store_find(&a->store, &a->common, operand[0], operand[1], &dev);
	if (status)
		return status;
	if (strcmp(dev.kind, KIND_VIF))
		return complain(STATUS_USAGE, "%s is a %s: only interfaces of kind vif are on a "
				"bridge of ours", operand[1], dev.kind);
	rc = vif_change_port(a->store.xs, dev.back_dir, dev.front_dir, &c);
	return rc ? store_failed(operand[1], rc) : STATUS_OK;
}

/* ---- uplinks ------------------------------------------------------------------------ */

static int take_uplink_word(struct switch_uplink_change *c, char *text)
{
	const char *value;
	int status = split(text, &value);

	if (status)
		return status;
	if (!strcmp(text, KEY_BRIDGE)) {
		if (!vif_is_name(value) || strlen(value) >= SWITCH_IFNAME_BYTES)
			return bad_word(text, value, "a name of 15 letters at most");
		c->bridge = value;
	} else if (!strcmp(text, KEY_VLAN)) {
		status = take_vlan(text, value, &c->vlan);
	} else if (!strcmp(text, KEY_ISOLATED)) {
		status = take_flag(text, value, &c->isolated);
	} else if (!strcmp(text, KEY_MTU)) {
		status = take_number(text, value, VIF_MTU_MIN, VIF_MTU_MAX, &c->mtu_bytes);
	} else {
		status = unknown_word(text, KEY_BRIDGE ", " KEY_VLAN ", " KEY_ISOLATED " or " KEY_MTU);
	}
	return status;
}

/* Of nonsense that is there, nothing stays. */
static void say_all(struct switch_uplink_change *c)
{
	c->bridge = c->bridge ? c->bridge : "";
	c->vlan = c->vlan ? c->vlan : "";
	c->isolated = MAX(c->isolated, 0);
	c->mtu_bytes = MAX(c->mtu_bytes, 0);
}

/* As it is set now, which another may change meanwhile. */
static bool has_uplink(struct bridge_args *a, const char *bridge, const char *ifname)
{
	struct switch_uplink up;

	return !switch_read_uplink(a->store.xs, a->backend_domid, bridge, ifname, &up, NULL) &&
	       bridge_has_uplink(bridge, &up);
}

static int wait_for_uplink(struct bridge_args *a, const char *bridge, const char *ifname)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
	uint64_t until = now_ms() + (uint64_t)a->common.wait_ms;

	while (!has_uplink(a, bridge, ifname)) {
		if (now_ms() >= until)
			return complain(STATUS_TIMEOUT, "uplink %s is set, and after %g s it is no "
					"port of bridge %s: does paravane-netback run? Its log says "
					"what is in the way", ifname, a->common.wait_ms / 1000.0, bridge);
		nanosleep(&pause, NULL);
	}
	return STATUS_OK;
}

/* Who asks to wait, can be told. */
static int check_wait(const struct bridge_args *a)
{
	if (a->common.wait_ms <= 0 || a->backend_domid == a->store.own_domid)
		return STATUS_OK;
	return complain_usage(&bridge_command, "bridge uplink add: --wait: what domain %u has is "
			      "seen there only", a->backend_domid);
}

static int run_uplink_add(struct bridge_args *a, char **operand)
{
	struct switch_uplink_change c = { .isolated = -1, .mtu_bytes = -1 };
	struct switch_uplink up;
	int status = check_bridge(operand[0]), rc;

	if (!status)
		status = check_wait(a);
	if (status)
		return status;
	if (switch_check_ifname(operand[1]))
		return complain_usage(&bridge_command, "\"%s\": an interface's name of at most 15 "
				      "letters, without spaces, slashes and colons, is expected",
				      operand[1]);
	for (int i = 0; !status && i < a->nr_words; i++)
		status = take_uplink_word(&c, a->words[i]);
	if (status)
		return status;
	rc = switch_read_uplink(a->store.xs, a->backend_domid, operand[0], operand[1], &up, NULL);
	if (rc == -EINVAL)
		say_all(&c);
	else if (rc && rc != -ENOENT)
		return store_failed(operand[1], rc);
	rc = switch_change_uplink(a->store.xs, a->backend_domid, operand[0], operand[1], &c);
	if (rc)
		return store_failed(operand[1], rc);
	return a->common.wait_ms > 0 ? wait_for_uplink(a, operand[0], operand[1]) : STATUS_OK;
}

static int run_uplink_remove(struct bridge_args *a, char **operand)
{
	int rc = switch_remove_uplink(a->store.xs, a->backend_domid, operand[0], operand[1]);

	if (rc == -ENOENT || rc == -EINVAL)
		return complain(STATUS_NO_SUCH, "bridge %s has no uplink %s", operand[0],
				operand[1]);
	return rc ? store_failed(operand[1], rc) : STATUS_OK;
}

/* ---- the command -------------------------------------------------------------------- */

static int run_list(struct bridge_args *a, char **operand)
{
	(void)operand;
	return bridge_list(&a->store, a->backend_domid, a->json);
}

static int run_show(struct bridge_args *a, char **operand)
{
	return bridge_show(&a->store, a->backend_domid, operand[0], a->json);
}

enum { TAKES_WORDS = 1u, TAKES_JSON = 2u, TAKES_KIND = 4u, TAKES_WAIT = 8u };

static const struct verb {
	const char *group, *name;	/* group NULL: the verb stands alone */
	int operands;
	unsigned int takes;		/* TAKES_ */
	int (*run)(struct bridge_args *a, char **operand);
} verbs[] = {
	{ NULL, "list", 0, TAKES_JSON, run_list },
	{ NULL, "show", 1, TAKES_JSON, run_show },
	{ NULL, "set", 1, TAKES_WORDS, run_set },
	{ NULL, "reset", 1, 0, run_reset },
	{ NULL, "port", 2, TAKES_WORDS | TAKES_KIND, run_port },
	{ "uplink", "add", 2, TAKES_WORDS | TAKES_WAIT, run_uplink_add },
	{ "uplink", "remove", 2, 0, run_uplink_remove },
};

/* *argv moves to the first operand. */
static const struct verb *find_verb(char ***argv, int *argc)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		int n = verbs[i].group ? 2 : 1;

		if (*argc < n || (n == 2 && strcmp((*argv)[0], verbs[i].group)) ||
		    strcmp((*argv)[n - 1], verbs[i].name))
			continue;
		*argv += n;
		*argc -= n;
		return &verbs[i];
	}
	return NULL;
}

/* What it does not heed, it refuses: argc operands and words, and options. */
static int check_taken(const struct bridge_args *a, const struct verb *v, int argc)
{
	if (argc < v->operands)
		return complain_usage(&bridge_command, "bridge %s: an argument is missing",
				      v->name);
	if (argc > v->operands && !(v->takes & TAKES_WORDS))
		return complain_usage(&bridge_command, "bridge %s: too many arguments", v->name);
	if (a->json && !(v->takes & TAKES_JSON))
		return complain_usage(&bridge_command, "bridge %s: there is nothing to print with "
				      "--json", v->name);
	if (a->common.kind && !(v->takes & TAKES_KIND))
		return complain_usage(&bridge_command, "bridge %s: --kind is an interface's, with "
				      "\"bridge port\"", v->name);
	if (a->common.wait_ms >= 0 && !(v->takes & TAKES_WAIT))
		return complain_usage(&bridge_command, "bridge %s: there is nothing to wait for with "
				      "--wait", v->name);
	return STATUS_OK;
}

static int run_verb(struct bridge_args *a, char **argv, int argc)
{
	const struct verb *v = find_verb(&argv, &argc);
	int status;

	if (!v)
		return complain_usage(&bridge_command, "bridge: %s: list, show, set, reset, port, "
				      "\"uplink add\" or \"uplink remove\" is expected",
				      argc ? argv[0] : "nothing is said");
	status = check_taken(a, v, argc);
	if (status)
		return status;
	a->words = argv + v->operands;
	a->nr_words = argc - v->operands;
	deadline_set(a->common.wait_ms);
	status = store_open(&a->store);
	/* The daemon has it all; domains are numbers then. */
	if (status && v->run == run_show && !a->store.xs && !a->common.backend)
		return v->run(a, argv);
	if (!status)
		status = store_backend(&a->store, &a->common, a->store.own_domid,
				       &a->backend_domid);
	return status ? status : v->run(a, argv);
}

static int run(int argc, char **argv)
{
	struct bridge_args a = { .common.wait_ms = -1 };
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &bridge_command, &a.common,
				    &status)) != -1) {
		if (opt == '?')
			return status;
		a.json = true;
	}
	status = run_verb(&a, argv + optind, argc - optind);
	store_close(&a.store);
	return status;
}

const struct subcommand bridge_command = {
	.name = "bridge",
	.summary = "show and change switches, their ports and uplinks",
	.help = help_text,
	.classes = OF_NICS,
	.run = run,
};
