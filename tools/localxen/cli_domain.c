/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_domain.c - `localxen domain`, `exec` and `destroy`: the toolstack.
 *
 * Hides the order in which a guest comes to be (hypervisor, store nodes with the
 * permissions that libxl gives, introduction to xenstored, its xenbus process)
 * and what its processes are told of it.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>
#include "cli.h"

/* ---- the store ---- */

/* A node of the guest's directory: made by dom0, for the guest to read or own. */
static bool put(struct xs_handle *xs, uint32_t domid, const char *key, const char *value,
		bool guest_owns)
{
	struct xs_permissions ro[2] = { { .id = 0, .perms = XS_PERM_NONE },
					{ .id = domid, .perms = XS_PERM_READ } };
	struct xs_permissions rw = { .id = domid, .perms = XS_PERM_NONE };
	char path[256];
	bool ok;

	snprintf(path, sizeof(path), "/local/domain/%u%s%s", domid, *key ? "/" : "", key);
	ok = value ? xs_write(xs, XBT_NULL, path, value, strlen(value)) :
		     xs_mkdir(xs, XBT_NULL, path);
	return ok && xs_set_permissions(xs, XBT_NULL, path, guest_owns ? &rw : ro,
					guest_owns ? 1 : 2);
}

static bool write_nodes(struct xs_handle *xs, uint32_t domid, const char *name,
			uint32_t port)
{
	char id[16], port_text[16];

	snprintf(id, sizeof(id), "%u", domid);
	snprintf(port_text, sizeof(port_text), "%u", port);
	return put(xs, domid, "", NULL, false) &&
	       put(xs, domid, "name", name, false) &&
	       put(xs, domid, "domid", id, false) &&
	       put(xs, domid, "store", NULL, false) &&
	       put(xs, domid, "store/port", port_text, false) &&
	       put(xs, domid, "store/ring-ref", "0", false) &&
	       put(xs, domid, "device", NULL, false) &&
	       put(xs, domid, "control", NULL, false) &&
	       put(xs, domid, "control/shutdown", "", true) &&
	       put(xs, domid, "control/platform-feature-multiprocessor-suspend", "1", false) &&
	       put(xs, domid, "control/sysrq", "", true) &&
	       put(xs, domid, "data", NULL, true) &&
	       put(xs, domid, "drivers", NULL, true) &&
	       put(xs, domid, "feature", NULL, true) &&
	       put(xs, domid, "attr", NULL, true) &&
	       put(xs, domid, "error", NULL, true);
}

/* ---- the guest's xenbus process ---- */

static int listen_for_clients(uint32_t domid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cli_store_path(getenv("LOCALXEN_DIR"), domid, addr.sun_path,
		       sizeof(addr.sun_path));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 64)) {
		cli_error("%s: %s", addr.sun_path, strerror(errno));
		return -1;
	}
	return fd;
}

static void exec_xenbus(uint32_t domid, uint32_t port, int listen_fd)
{
	char path[PATH_MAX], log[PATH_MAX], fd_text[16], domid_text[16], port_text[16];
	char *argv[] = { path, "--listen", fd_text, "--domid", domid_text,
			 "--store-port", port_text, NULL };
	const char *dir = getenv("LOCALXEN_DIR");

	cli_helper_path("localxen-xenbus", path, sizeof(path));
	snprintf(fd_text, sizeof(fd_text), "%d", listen_fd);
	snprintf(domid_text, sizeof(domid_text), "%u", domid);
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(log, sizeof(log), "%s/xenbus-%u.log", dir, domid);
	cli_enter_domain(dir, domid);
	cli_become_helper(log);
	cli_exec(argv);
}

/* Twice forked, so that it is nobody's child here; it dies with the domain. */
static int start_xenbus(uint32_t domid, uint32_t port)
{
	int fd = listen_for_clients(domid);
	pid_t pid;

	if (fd < 0)
		return EXIT_OURS;
	pid = fork();
	if (pid < 0)
		return cli_error("fork: %s", strerror(errno));
	if (!pid) {
		if (!fork())
			exec_xenbus(domid, port, fd);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(fd);
	return 0;
}

/* ---- domain ---- */

static int destroy(uint32_t domid)
{
	struct lx_req req = { .op = LX_OP_DESTROY, .domid = domid };

	return lx_rpc(&req, -1, NULL, 0, NULL);
}

static int bring_up(uint32_t domid, uint32_t port)
{
	const char *name = lx.shm->dom[cli_slot_of(domid)].name;
	struct xs_handle *xs = xs_open(0);
	int rc = 0;

	if (!xs)
		return cli_error("xenstored does not answer: %s", strerror(errno));
	if (!write_nodes(xs, domid, name, port))
		rc = cli_error("cannot write domain %u's nodes: %s", domid,
			       strerror(errno));
	else if (!xs_introduce_domain(xs, domid, 0, port))
		rc = cli_error("xenstored refuses domain %u: %s", domid,
			       strerror(errno));
	xs_close(xs);
	return rc ? rc : start_xenbus(domid, port);
}

#define DYING_MS 10000	/* for a number to be free again */

static const char *why_not(int rc, bool named)
{
	switch (rc) {
	case -ENOSPC:
		return "there are too many";
	case -EEXIST:
		return "one of this number is there";
	case -EBUSY:
		return "one of this number is dying, and others have its pages mapped";
	case -ENOTUNIQ:
		return named ? "one of this name is there" :
			       "one has what would be its default name; give it another";
	default:
		return strerror(-rc);
	}
}

static int create(const struct lx_create *c)
{
	struct lx_req req = { .op = LX_OP_CREATE };
	struct lx_rep rep;
	int rc = cli_connect();

	if (rc)
		return rc;
	memcpy(req.data, c, sizeof(*c));
	/* xenstored takes a moment to let go of a dead domain's page. */
	for (int i = 0; i < DYING_MS; i++) {
		rc = lx_rpc(&req, -1, &rep, sizeof(rep), NULL);
		if (rc != -EBUSY)
			break;
		usleep(1000);
	}
	if (rc)
		return cli_error("cannot make a domain: %s", why_not(rc, *c->name));
	rc = bring_up(rep.a, rep.b);
	if (rc) {
		destroy(rep.a);
		return rc;
	}
	printf("%u\n", (unsigned)rep.a);
	return 0;
}

static void domain_usage(void)
{
	puts("Usage: localxen domain [OPTION]...\n"
	     "Makes a guest: memory, grant table, store ring, its nodes in XenStore, its xenbus\n"
	     "process. Prints its domid.\n\n"
	     "  -n, --name=NAME          its name (default guestN)\n"
	     "      --domid=N            its number, such as one of a domain that has died\n"
	     "      --memory=MIB         its memory (default 256; only what is used exists)\n"
	     "      --gntalloc-limit=P   pages that its programs may share (default 1024)\n"
	     "      --grant-frames=F     frames of its grant table, 512 entries each (default 64)\n"
	     "      --maptrack=M         maptrack frames, 256 maps each (default 1024)\n"
	     "      --extra-pages=P      pages that it may have above its memory (default 4096)\n"
	     "      --pvh                as a PVH guest: its pages cannot be transferred\n"
	     "  -h, --help               show this");
}

enum { OPT_DOMID = 256, OPT_MEMORY, OPT_GNTALLOC, OPT_FRAMES, OPT_MAPTRACK, OPT_EXTRA,
       OPT_PVH };

static bool domain_option(int opt, struct lx_create *c)
{
	long n;

	switch (opt) {
	case 'n':
		if (!*optarg || strlen(optarg) >= sizeof(c->name) || strchr(optarg, '/')) {
			cli_error("--name: '%s' is no name of 1 to 63 characters without '/'",
				  optarg);
			return false;
		}
		if (!optarg[strspn(optarg, "0123456789")]) {
			cli_error("--name: '%s' would be taken for a number", optarg);
			return false;
		}
		strcpy(c->name, optarg);
		return true;
	case OPT_DOMID:
		if (!cli_number("--domid", optarg, 1, LX_DOMIDS - 1, &n))
			return false;
		c->domid = n;
		return true;
	case OPT_MEMORY:
		if (!cli_number("--memory", optarg, 1, 65536, &n))
			return false;
		c->memory_frames = n << 8;
		return true;
	case OPT_GNTALLOC:
		if (!cli_number("--gntalloc-limit", optarg, 0, 1 << 20, &n))
			return false;
		c->gntalloc_limit_pages = n;
		c->has_gntalloc_limit = 1;
		return true;
	case OPT_FRAMES:
		if (!cli_number("--grant-frames", optarg, 1, LX_MAX_GRANT_FRAMES, &n))
			return false;
		c->grant_frames = n;
		return true;
	case OPT_MAPTRACK:
		if (!cli_number("--maptrack", optarg, 1, LX_MAX_MAPTRACK_FRAMES, &n))
			return false;
		c->maptrack_frames = n;
		return true;
	case OPT_EXTRA:
		if (!cli_number("--extra-pages", optarg, 0, 1 << 20, &n))
			return false;
		c->extra_pages = n;
		c->has_extra_pages = 1;
		return true;
	case OPT_PVH:
		c->not_pv = 1;
		return true;
	default:
		cli_usage_error("domain", "unknown option");
		return false;
	}
}

int cmd_domain(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "domid", required_argument, NULL, OPT_DOMID },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "gntalloc-limit", required_argument, NULL, OPT_GNTALLOC },
		{ "grant-frames", required_argument, NULL, OPT_FRAMES },
		{ "maptrack", required_argument, NULL, OPT_MAPTRACK },
		{ "extra-pages", required_argument, NULL, OPT_EXTRA },
		{ "pvh", no_argument, NULL, OPT_PVH },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct lx_create c = { 0 };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
		if (opt == 'h') {
			domain_usage();
			return 0;
		}
		if (!domain_option(opt, &c))
			return EXIT_OURS;
	}
	if (optind < argc)
		return cli_usage_error("domain", "'%s' is too much", argv[optind]);
	rc = cli_find_paths();
	return rc ? rc : create(&c);
}

/* ---- exec ---- */

static void exec_usage(void)
{
	puts("Usage: localxen exec DOMAIN [--] COMMAND [ARGUMENT]...\n"
	     "Becomes COMMAND as a process of DOMAIN (number or name). It, and what it starts,\n"
	     "dies with the domain.\n\n"
	     "  -h, --help  show this\n\n"
	     "Exit status: COMMAND's; 125 if localxen failed, 126 if COMMAND cannot run, 127 if\n"
	     "it is not found.");
}

int cmd_exec(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct lx_req req = { .op = LX_OP_BELONG };
	int opt, domid, first, rc;

	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (opt == 'h') {
			exec_usage();
			return 0;
		}
		return cli_usage_error("exec", "unknown option");
	}
	first = optind + 1;
	if (first < argc && !strcmp(argv[first], "--"))
		first++;
	if (first >= argc)
		return cli_usage_error("exec", "give a domain and a command");
	rc = cli_find_paths();
	if (!rc)
		rc = cli_connect();
	if (rc)
		return rc;
	domid = cli_find_domain(argv[optind]);
	if (domid < 0)
		return EXIT_OURS;
	req.domid = domid;
	rc = lx_rpc(&req, -1, NULL, 0, NULL);
	if (rc)
		return cli_error("domain %d: %s", domid, rc == -ESRCH ? "is dying" :
				 strerror(-rc));
	cli_enter_domain(getenv("LOCALXEN_DIR"), domid);
	cli_exec(argv + first);
}

/* ---- destroy ---- */

static void destroy_usage(void)
{
	puts("Usage: localxen destroy [OPTION]... DOMAIN...\n"
	     "Ends a guest without goodbye: its processes are killed, its grants and ports are\n"
	     "gone, watchers of @releaseDomain are told. Pages that others have mapped stay until\n"
	     "they unmap them; until then the domain is dying.\n\n"
	     "  -k, --keep-nodes  leave /local/domain/DOMID in XenStore\n"
	     "  -h, --help        show this");
}

static int destroy_one(struct xs_handle *xs, const char *text, bool keep)
{
	int domid = cli_find_domain(text), rc;
	char path[64];

	if (domid < 0)
		return EXIT_OURS;
	rc = destroy(domid);
	if (rc)
		return cli_error("cannot destroy domain %d: %s", domid, strerror(-rc));
	snprintf(path, sizeof(path), "/local/domain/%d", domid);
	if (xs && !keep && !xs_rm(xs, XBT_NULL, path))
		return cli_error("cannot remove %s: %s", path, strerror(errno));
	return 0;
}

int cmd_destroy(int argc, char **argv)
{
	static const struct option options[] = {
		{ "keep-nodes", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct xs_handle *xs;
	bool keep = false;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "kh", options, NULL)) != -1) {
		if (opt == 'h') {
			destroy_usage();
			return 0;
		}
		if (opt != 'k')
			return cli_usage_error("destroy", "unknown option");
		keep = true;
	}
	if (optind == argc)
		return cli_usage_error("destroy", "give a domain");
	rc = cli_connect();
	if (rc)
		return rc;
	xs = xs_open(0);
	for (; optind < argc; optind++)
		if (destroy_one(xs, argv[optind], keep))
			rc = EXIT_OURS;
	if (xs)
		xs_close(xs);
	return rc;
}
