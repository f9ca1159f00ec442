/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_run.c - `localxen run`: a fresh Xen around one command.
 *
 * Hides the order of start (directory, hypervisor, xenstored, dom0's first
 * nodes, the command) and of the end, which is the same however it comes: the
 * hypervisor kills every process of the instance and removes the directory.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>
#include "cli.h"
#include "kill.h"

#define START_TIMEOUT_MS 20000
#define END_TIMEOUT_MS 15000

static struct {
	char dir[64];
	const char *xenstored;
	char hv_options[4][32];	/* OPTION=VALUE, as hv_main() takes them */
	int nr_hv_options;
	pid_t hv, store, cmd;
	int status;		/* of cmd, once it has ended */
	bool hv_ended, store_ended, cmd_ended;
	sigset_t old_mask;
	int signal_fd;
} run;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void collect(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == run.hv) {
			run.hv_ended = true;
		} else if (pid == run.store) {
			run.store_ended = true;
		} else if (pid == run.cmd) {
			run.cmd_ended = true;
			run.status = status;
		}
	}
}

/* ---- start ---- */

/* Socket addresses are short, so the directory must be, too. */
static int make_dir(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || strlen(base) > 40 || access(base, W_OK))
		base = "/tmp";
	snprintf(run.dir, sizeof(run.dir), "%s/localxen-XXXXXX", base);
	if (!mkdtemp(run.dir))
		return cli_error("cannot make %s: %s", run.dir, strerror(errno));
	return 0;
}

static int start_hypervisor(void)
{
	char parent[16], ready[16];
	char *argv[5 + 4 + 1] = { "localxen", "hypervisor", run.dir, parent, ready };
	pid_t self = getpid();
	int fds[2];
	char byte;

	if (pipe(fds))
		return cli_error("pipe: %s", strerror(errno));
	run.hv = fork();
	if (run.hv < 0)
		return cli_error("fork: %s", strerror(errno));
	if (!run.hv) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		setsid();
		sigprocmask(SIG_SETMASK, &run.old_mask, NULL);
		setenv("LOCALXEN_DIR", run.dir, 1);
		snprintf(parent, sizeof(parent), "%d", self);
		snprintf(ready, sizeof(ready), "%d", fds[1]);
		for (int i = 0; i < run.nr_hv_options; i++)
			argv[5 + i] = run.hv_options[i];
		execv("/proc/self/exe", argv);
		_exit(EXIT_CANNOT_EXEC);
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		return cli_error("the hypervisor did not start");
	close(fds[0]);
	return 0;
}

static void exec_xenstored(void)
{
	char shim[PATH_MAX], path[PATH_MAX], log[PATH_MAX];
	char *argv[] = { (char *)run.xenstored, "--no-fork", "--internal-db", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &run.old_mask, NULL);
	cli_enter_domain(run.dir, 0);
	snprintf(log, sizeof(log), "%s/xenstored.log", run.dir);
	cli_become_helper(log);
	snprintf(path, sizeof(path), "%s/store", run.dir);
	mkdir(path, 0700);
	setenv("XENSTORED_ROOTDIR", path, 1);
	setenv("XENSTORED_RUNDIR", path, 1);
	cli_helper_path("localxen-procxen.so", shim, sizeof(shim));
	setenv("LD_PRELOAD", shim, 1);
	cli_exec(argv);
}

static bool store_listens(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	cli_store_path(run.dir, 0, addr.sun_path, sizeof(addr.sun_path));
	ok = fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (fd >= 0)
		close(fd);
	return ok;
}

static void show_log(const char *name)
{
	char path[PATH_MAX], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", run.dir, name);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "  %s", line);
	if (f)
		fclose(f);
}

/* While no command is there to decide what it means, any signal ends the start. */
static int signal_at_start(int timeout_ms)
{
	struct pollfd p = { .fd = run.signal_fd, .events = POLLIN };
	struct signalfd_siginfo si;

	if (poll(&p, 1, timeout_ms) == 1 &&
	    read(run.signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGCHLD)
		return 128 + si.ssi_signo;
	return 0;
}

static int start_xenstored(void)
{
	long end = now_ms() + START_TIMEOUT_MS;
	int rc;

	run.store = fork();
	if (run.store < 0)
		return cli_error("fork: %s", strerror(errno));
	if (!run.store)
		exec_xenstored();
	while (!store_listens()) {
		collect();
		if (run.store_ended || now_ms() > end) {
			cli_error("%s %s:", run.xenstored, run.store_ended ?
				  "ended at once" : "does not answer");
			show_log("xenstored.log");
			return EXIT_OURS;
		}
		rc = signal_at_start(1);
		if (rc)
			return rc;
	}
	return 0;
}

/* What xen-init-dom0 writes. */
static int write_dom0_nodes(void)
{
	struct xs_handle *xs = xs_open(0);
	bool ok;

	if (!xs)
		return cli_error("xenstored does not answer: %s", strerror(errno));
	ok = xs_write(xs, XBT_NULL, "/local/domain/0/domid", "0", 1) &&
	     xs_write(xs, XBT_NULL, "/local/domain/0/name", "Domain-0", 8);
	xs_close(xs);
	return ok ? 0 : cli_error("cannot write to the store: %s", strerror(errno));
}

static int start_command(char **argv)
{
	run.cmd = fork();
	if (run.cmd < 0)
		return cli_error("fork: %s", strerror(errno));
	if (!run.cmd) {
		sigprocmask(SIG_SETMASK, &run.old_mask, NULL);
		cli_exec(argv);
	}
	return 0;
}

/* ---- waiting ---- */

/*
 * A signal of the terminal reaches the command as well, which decides what it
 * means. One that was sent to us alone ends everything. Returns it, else 0.
 */
static int ending_signal(const struct signalfd_siginfo *si)
{
	if (si->ssi_signo == SIGCHLD)
		return 0;
	if ((si->ssi_signo == SIGINT || si->ssi_signo == SIGQUIT) &&
	    si->ssi_code == SI_KERNEL)
		return 0;
	return si->ssi_signo;
}

static int wait_for_command(void)
{
	struct signalfd_siginfo si;
	bool told = false;
	int sig;

	for (;;) {
		collect();
		if (run.cmd_ended)
			return 0;
		if (run.hv_ended)
			return cli_error("the hypervisor has died");
		if (run.store_ended && !told) {
			cli_error("xenstored has died:");
			show_log("xenstored.log");
			told = true;
		}
		if (read(run.signal_fd, &si, sizeof(si)) != sizeof(si))
			continue;
		sig = ending_signal(&si);
		if (sig)
			return 128 + sig;
	}
}

static int exit_status(void)
{
	if (WIFSIGNALED(run.status))
		return 128 + WTERMSIG(run.status);
	return WEXITSTATUS(run.status);
}

/* ---- end ---- */

static void end_all(void)
{
	long end = now_ms() + END_TIMEOUT_MS;

	if (run.hv > 0 && !run.hv_ended)
		kill(run.hv, SIGTERM);
	while (run.hv > 0 && !run.hv_ended && now_ms() < end) {
		struct pollfd p = { .fd = run.signal_fd, .events = POLLIN };
		struct signalfd_siginfo si;

		collect();
		if (!run.hv_ended && poll(&p, 1, 100) == 1 &&
		    read(run.signal_fd, &si, sizeof(si)) < 0)
			break;
	}
	/* Nothing is left to do here unless the hypervisor was killed. */
	if (run.hv > 0 && !run.hv_ended)
		kill(run.hv, SIGKILL);
	if (!access(run.dir, F_OK)) {
		lx_kill_members(&(struct lx_kill){ .dir = run.dir, .domid = LX_ALL_DOMAINS },
				END_TIMEOUT_MS);
		lx_remove_tree(run.dir);
	}
	collect();
}

static int start_all(char **argv)
{
	int rc = make_dir();

	if (!rc)
		rc = start_hypervisor();
	if (rc)
		return rc;
	cli_enter_domain(run.dir, 0);
	rc = start_xenstored();
	if (!rc)
		rc = write_dom0_nodes();
	if (!rc)
		rc = signal_at_start(0);
	if (!rc)
		rc = start_command(argv);
	return rc;
}

static void block_signals(void)
{
	sigset_t set;

	/* Ignored by who started us it would not come, and nobody's end be told. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, &run.old_mask);
	run.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
}

static void usage(void)
{
	puts("Usage: localxen run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	     "Starts a fresh Xen (hypervisor, dom0, xenstored), runs COMMAND in dom0 and ends\n"
	     "everything with it: every process of every domain. Needs no root; any number may\n"
	     "run side by side.\n\n"
	     "      --xenstored=PROGRAM  the store daemon to run (default " LX_XENSTORED ")\n"
	     "      --maptrack=M         dom0's maptrack frames, 256 maps each (default 1024)\n"
	     "      --extra-pages=P      pages that dom0 may have above its memory (default 4096)\n"
	     "      --pvh                dom0 as a PVH domain: its pages cannot be transferred\n"
	     "      --gnttab=transfer|no-transfer\n"
	     "                           as Xen's option: whether domains' pages can be transferred\n"
	     "  -h, --help               show this\n\n"
	     "Exit status: COMMAND's; 128+N if it died of signal N, or localxen was sent signal\n"
	     "N; 125 if localxen failed, 126 if COMMAND cannot run, 127 if it is not found.");
}

static void tell_hypervisor(const char *option, long value)
{
	int i = 0;

	/* The last of the same option counts. */
	while (i < run.nr_hv_options &&
	       strncmp(run.hv_options[i], option, strlen(option)))
		i++;
	snprintf(run.hv_options[i], sizeof(run.hv_options[i]), "%s=%ld", option, value);
	if (i == run.nr_hv_options)
		run.nr_hv_options++;
}

static bool run_option(int opt)
{
	long n;

	switch (opt) {
	case 'x':
		run.xenstored = optarg;
		return true;
	case 'm':
		if (!cli_number("--maptrack", optarg, 1, LX_MAX_MAPTRACK_FRAMES, &n))
			return false;
		tell_hypervisor("maptrack", n);
		return true;
	case 'e':
		if (!cli_number("--extra-pages", optarg, 0, 1 << 20, &n))
			return false;
		tell_hypervisor("extra-pages", n);
		return true;
	case 'p':
		tell_hypervisor("pvh", 1);
		return true;
	case 'g':
		if (strcmp(optarg, "no-transfer") && strcmp(optarg, "transfer")) {
			cli_error("--gnttab: '%s' is neither transfer nor no-transfer",
				  optarg);
			return false;
		}
		tell_hypervisor("no-transfer", *optarg == 'n');
		return true;
	default:
		cli_usage_error("run", "unknown option");
		return false;
	}
}

/* ---- what was there before ---- */

/* Passes on what it is sent, and ends as PID does. */
static void stand_in(pid_t pid) __attribute__((noreturn));

static void stand_in(pid_t pid)
{
	struct signalfd_siginfo si;
	pid_t ended;
	int status;

	for (;;) {
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
			if (ended == pid)
				exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
							   WEXITSTATUS(status));
		if (read(run.signal_fd, &si, sizeof(si)) == sizeof(si) && ending_signal(&si))
			kill(pid, si.ssi_signo);
	}
}

/*
 * Who became us by exec may have children of its own, and nothing tells those from orphans of
 * the instance. So the instance gets a parent that has none.
 */
static int leave_children_behind(void)
{
	pid_t self = getpid(), pid;
	siginfo_t si;

	if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL))
		return 0;
	pid = fork();
	if (pid < 0)
		return cli_error("fork: %s", strerror(errno));
	if (pid)
		stand_in(pid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == self ? 0 : EXIT_OURS;
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "xenstored", required_argument, NULL, 'x' },
		{ "maptrack", required_argument, NULL, 'm' },
		{ "extra-pages", required_argument, NULL, 'e' },
		{ "pvh", no_argument, NULL, 'p' },
		{ "gnttab", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c, rc;

	run.xenstored = LX_XENSTORED;
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c == 'h') {
			usage();
			return 0;
		}
		if (!run_option(c))
			return EXIT_OURS;
	}
	if (optind == argc)
		return cli_usage_error("run", "no command given");
	rc = cli_find_paths();
	if (rc)
		return rc;
	block_signals();
	rc = leave_children_behind();
	if (rc)
		return rc;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	rc = start_all(argv + optind);
	if (!rc)
		rc = wait_for_command();
	if (!rc)
		rc = exit_status();
	end_all();
	return rc;
}
