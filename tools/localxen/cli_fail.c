/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_fail.c - `localxen fail`: sets, lists and clears the rules that make calls
 * fail. Knows the names of errnos and of grant statuses.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cli.h"

struct name {
	const char *text;
	int value;
};

#define E(x) { #x, x }
static const struct name errnos[] = {
	E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(EBADF),
	E(EAGAIN), E(ENOMEM), E(EACCES), E(EFAULT), E(EBUSY), E(EEXIST), E(ENODEV),
	E(ENOTDIR), E(EISDIR), E(EINVAL), E(EMFILE), E(ENOTTY), E(ENOSPC), E(EROFS),
	E(EPIPE), E(ERANGE), E(ENOSYS), E(ENOTEMPTY), E(EOPNOTSUPP), E(ENOTCONN),
	E(ETIMEDOUT),
};
#define S(x) { #x, GNTST_##x }
static const struct name statuses[] = {
	S(general_error), S(bad_domain), S(bad_gntref), S(bad_handle), S(bad_virt_addr),
	S(bad_dev_addr), S(no_device_space), S(permission_denied), S(bad_page),
	S(bad_copy_arg), S(address_too_big), S(eagain),
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool find(const struct name *v, size_t n, const char *text, int *value)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(v[i].text, text))
			continue;
		*value = v[i].value;
		return true;
	}
	return false;
}

static const char *name_of(const struct name *v, size_t n, int value)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].value == value)
			return v[i].text;
	return "?";
}

/* ---- options ---- */

static bool parse_call(const char *text, struct lx_rule *r)
{
	for (unsigned i = 0; i < LX_CALL_MAX; i++) {
		if (strcmp(lx_call_name(i), text))
			continue;
		r->call = i;
		return true;
	}
	fprintf(stderr, "localxen: --call: no call '%s'; there are", text);
	for (unsigned i = 0; i < LX_CALL_MAX; i++)
		fprintf(stderr, " %s", lx_call_name(i));
	fputc('\n', stderr);
	return false;
}

static bool parse_errno(const char *text, struct lx_rule *r)
{
	char *end;

	if (find(errnos, COUNT(errnos), text, &r->err))
		return true;
	r->err = strtol(text, &end, 10);
	if (*text && !*end && r->err > 0 && r->err < 4096)
		return true;
	cli_error("--errno: '%s' is neither a name such as EINVAL nor a number", text);
	return false;
}

/* GNTST_bad_page, bad_page or -9. */
static bool parse_status(const char *text, struct lx_rule *r)
{
	const char *name = strncasecmp(text, "GNTST_", 6) ? text : text + 6;
	char *end;

	if (find(statuses, COUNT(statuses), name, &r->status))
		return true;
	r->status = strtol(text, &end, 10);
	if (*text && !*end && r->status < 0 && r->status > -32768)
		return true;
	cli_error("--status: '%s' is neither a name such as GNTST_bad_page nor a "
		  "negative number", text);
	return false;
}

enum action { ACT_ADD, ACT_LIST, ACT_CLEAR };

struct wish {
	struct lx_rule rule;
	enum action action;
	bool has_call;
	long clear;		/* -1: all */
	const char *domain;
};

static bool parse_option(int opt, struct wish *w)
{
	long n;

	switch (opt) {
	case 'd':
		w->domain = optarg;
		return true;
	case 'p':
		if (!cli_number("--pid", optarg, 1, INT32_MAX, &n))
			return false;
		w->rule.pid = n;
		return true;
	case 'c':
		w->has_call = true;
		return parse_call(optarg, &w->rule);
	case 'n':
		if (!cli_number("--nth", optarg, 1, INT32_MAX, &n))
			return false;
		w->rule.nth = n;
		return true;
	case 'k':
		if (!cli_number("--count", optarg, 0, INT32_MAX, &n))
			return false;
		w->rule.count = n;
		return true;
	case 'e':
		return parse_errno(optarg, &w->rule);
	case 's':
		return parse_status(optarg, &w->rule);
	case 'l':
		w->action = ACT_LIST;
		return true;
	case 'x':
		w->action = ACT_CLEAR;
		w->clear = -1;
		return !optarg || cli_number("--clear", optarg, 0, LX_MAX_RULES - 1,
					     &w->clear);
	default:
		cli_usage_error("fail", "unknown option");
		return false;
	}
}

static bool takes_status(unsigned call)
{
	return call == LX_CALL_MAP || call == LX_CALL_COPY || call == LX_CALL_TRANSFER;
}

static int check_wish(const struct wish *w)
{
	if (w->action != ACT_ADD)
		return 0;
	if (!w->has_call)
		return cli_usage_error("fail", "--call is missing");
	if (!w->rule.err == !w->rule.status)
		return cli_usage_error("fail", "give --errno or --status");
	if (w->rule.status && !takes_status(w->rule.call))
		return cli_usage_error("fail", "--status is for map, copy and transfer; "
				       "%s fails with --errno", lx_call_name(w->rule.call));
	return 0;
}

/* ---- actions ---- */

static int add(struct wish *w)
{
	struct lx_req req = { .op = LX_OP_RULE_ADD };
	struct lx_rep rep;
	int rc;

	w->rule.domid = w->domain ? cli_find_domain(w->domain) : -1;
	if (w->domain && w->rule.domid < 0)
		return EXIT_OURS;
	memcpy(req.data, &w->rule, sizeof(w->rule));
	rc = lx_rpc(&req, -1, &rep, sizeof(rep), NULL);
	if (rc)
		return cli_error("cannot add the rule: %s", rc == -ENOSPC ?
				 "there are too many; --clear some" : strerror(-rc));
	printf("%u\n", (unsigned)rep.a);
	return 0;
}

static void print_rule(unsigned n, const struct lx_rule *r)
{
	printf("%u  call %s", n, lx_call_name(r->call));
	if (r->domid >= 0)
		printf(", domain %d", r->domid);
	if (r->pid)
		printf(", pid %d", r->pid);
	printf(", nth %u", r->nth);
	if (r->count)
		printf(", count %u", r->count);
	else
		printf(", all from then on");
	if (r->err)
		printf(", errno %s (%d)", name_of(errnos, COUNT(errnos), r->err), r->err);
	else
		printf(", status GNTST_%s (%d)",
		       name_of(statuses, COUNT(statuses), r->status), r->status);
	printf("; seen %u, failed %u\n", r->seen, r->hits);
}

static int list(void)
{
	for (unsigned i = 0; i < LX_MAX_RULES; i++)
		if (lx.shm->rule[i].used)
			print_rule(i, &lx.shm->rule[i]);
	return 0;
}

static int clear(long which)
{
	struct lx_req req = { .op = LX_OP_RULE_CLEAR, .a = which };
	int rc = lx_rpc(&req, -1, NULL, 0, NULL);

	return rc ? cli_error("no rule %ld; --list shows them", which) : 0;
}

static void usage(void)
{
	puts("Usage: localxen fail CALL (--errno=E | --status=S) [OPTION]...\n"
	     "       localxen fail --list | --clear[=RULE]\n"
	     "Makes calls of the libxen* libraries, or of XenStore, fail. Prints the rule's number.\n\n"
	     "  -c, --call=CALL     which CALL, as an argument or here: map unmap copy share unshare\n"
	     "                      alloc bind virq unbind notify pending unmask open foreign-map\n"
	     "                      xencall transfer increase decrease, or, of a guest's store clients, store-read store-write\n"
	     "                      store-mkdir store-rm store-directory store-perms store-watch\n"
	     "                      store-transaction\n"
	     "  -d, --domain=DOMAIN only calls made in this domain\n"
	     "  -p, --pid=PID       only calls of this process\n"
	     "  -n, --nth=N         the first to fail, counted from now (default 1)\n"
	     "  -k, --count=K       how many fail; 0: all from then on (default 1)\n"
	     "  -e, --errno=E       with this errno: a name or a number; counts calls\n"
	     "  -s, --status=S      map, copy, transfer: with this grant status (a name such as\n"
	     "                      GNTST_bad_page, or a number); counts grants, segments, pages\n"
	     "  -l, --list          show the rules, how often they were asked and hit\n"
	     "  -x, --clear[=RULE]  remove one rule, or all\n"
	     "  -h, --help          show this");
}

int cmd_fail(int argc, char **argv)
{
	static const struct option options[] = {
		{ "domain", required_argument, NULL, 'd' },
		{ "pid", required_argument, NULL, 'p' },
		{ "call", required_argument, NULL, 'c' },
		{ "nth", required_argument, NULL, 'n' },
		{ "count", required_argument, NULL, 'k' },
		{ "errno", required_argument, NULL, 'e' },
		{ "status", required_argument, NULL, 's' },
		{ "list", no_argument, NULL, 'l' },
		{ "clear", optional_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct wish w = { .rule = { .nth = 1, .count = 1 } };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "d:p:c:n:k:e:s:lx::h", options, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 0;
		}
		if (!parse_option(opt, &w))
			return EXIT_OURS;
	}
	if (optind < argc && w.action == ACT_ADD && !w.has_call) {
		optarg = argv[optind++];
		if (!parse_option('c', &w))
			return EXIT_OURS;
	}
	if (optind < argc)
		return cli_usage_error("fail", "'%s' is too much", argv[optind]);
	rc = check_wish(&w);
	if (!rc)
		rc = cli_connect();
	if (rc)
		return rc;
	switch (w.action) {
	case ACT_LIST:
		return list();
	case ACT_CLEAR:
		return clear(w.clear);
	default:
		return add(&w);
	}
}
