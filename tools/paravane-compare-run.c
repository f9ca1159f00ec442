/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a measurement of paravane compare is made: programs of ours, one after the other,
 * in a local Xen. See paravane-compare.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "paravane-compare.h"
#include "paravane.h"
#include "paravane-runinfo.h"
#include "util.h"

#define GUEST "compare"
#define ARGS_MAX 32
#define FILL_BYTES (1u << 20)
#define BRIDGE "compare"
#define UPLINK "compare-xen"	/* the way out of the switch, a TAP device of the back end's */
#define TAP "compare-tap"	/* that of the other cards */
#define MAC "mac=00:16:3e:00:00:01"	/* as tools/compare/frames.h has it */

struct compare_world {
	char image[PATH_MAX], log[PATH_MAX], errors[PATH_MAX];	/* errors: of the last monitor */
	long shown;			/* so much of the log */
	char localxen[PATH_MAX], monitor[PATH_MAX], self[PATH_MAX];
	char figures[RUNINFO_PATH_BYTES];	/* where the back end of a run counts */
	pid_t blkback, netback;
};

/* ---- programs --------------------------------------------------------------------- */

static int own_directory(char dir[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

	if (n < 0)
		return complain(STATUS_ERROR, "/proc/self/exe: %s; is /proc mounted?",
				strerror(errno));
	dir[n] = 0;
	*strrchr(dir, '/') = 0;
	return STATUS_OK;
}

/* Beside this program, in the build tree, where it was installed. */
int compare_find_program(const char *name, const char *in_build, const char *installed,
			 char out[PATH_MAX])
{
	const char *where[] = { in_build, "" };
	char dir[PATH_MAX];
	int status = own_directory(dir);

	if (status)
		return status;
	for (size_t i = 0; i < ARRAY_LEN(where); i++) {
		if (snprintf(out, PATH_MAX, "%s/%s%s", dir, where[i], name) < PATH_MAX &&
		    !access(out, X_OK))
			return STATUS_OK;
	}
	if (snprintf(out, PATH_MAX, "%s/%s", installed, name) < PATH_MAX && !access(out, X_OK))
		return STATUS_OK;
	return complain(STATUS_ERROR, "%s is not in %s or %s; %s", name, dir, installed,
			!strcmp(name, "localxen") ? "is the package paravane-localxen installed?" :
			!strcmp(name, "paravane-compare-vm") ? "is the package paravane-localxen "
			"installed? (The comparison's virtual machine is for x86_64)" :
			"is Paravane whole?");
}

/* ---- a network of its own ------------------------------------------------------------ */

static int write_text(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

/* Root there is who we are here; nobody else is anybody. */
static int become_root(uid_t uid, gid_t gid)
{
	char map[64];
	int r = write_text("/proc/self/setgroups", "deny");

	snprintf(map, sizeof(map), "0 %u 1", (unsigned int)uid);
	if (!r)
		r = write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", (unsigned int)gid);
	return r ? r : write_text("/proc/self/gid_map", map);
}

/* why stays "" when it succeeds. */
static void leave_network(char why[static 128])
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	*why = 0;
	if (!unshare(CLONE_NEWNET))
		return;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		snprintf(why, 128, "no network namespace can be made here (%s)", strerror(errno));
		return;
	}
	r = become_root(uid, gid);
	if (r)
		snprintf(why, 128, "no user namespace can be made here (%s)", strerror(-r));
}

bool compare_has_network(char why[static 128])
{
	autoclose int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), packet = -1;

	if (tun < 0) {
		snprintf(why, 128, "/dev/net/tun does not open (%s)", strerror(errno));
		return false;
	}
	packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (packet < 0)
		snprintf(why, 128, "packet sockets are not allowed here (%s)", strerror(errno));
	return packet >= 0;
}

int compare_enter_local_xen(int argc, char **argv)
{
	char localxen[PATH_MAX], self[PATH_MAX], why[128], inside[160];
	char *const first[] = { localxen, (char *)"run", (char *)"--", self, (char *)"compare",
				inside };
	autofree char **args = calloc(ARRAY_LEN(first) + (size_t)argc, sizeof(*args));
	int status = compare_find_program("localxen", "tools/localxen/", BINDIR, localxen);

	if (!status)
		status = compare_find_program("paravane", "", BINDIR, self);
	if (status || !args)
		return status ? status : complain(STATUS_ERROR, "%s", strerror(ENOMEM));
	leave_network(why);
	snprintf(inside, sizeof(inside), "--inside=%s", why);
	memcpy(args, first, sizeof(first));
	for (int i = 1; i < argc; i++)	/* and a NULL, in place of argv[0] */
		args[ARRAY_LEN(first) + (size_t)i - 1] = argv[i];
	execv(localxen, args);
	return complain(STATUS_ERROR, "%s: %s", localxen, strerror(errno));
}

/* ---- processes ------------------------------------------------------------------------- */

/*
 * Its output goes to fd, or with -1 to the log, its errors to the log; dies with us. Or
 * -errno.
 */
static pid_t start(char *const *args, int fd, const char *log)
{
	pid_t parent = getpid(), pid = fork();
	int log_fd;

	if (pid < 0)
		pid = -errno;
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)	/* it died before that */
		_exit(127);
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, STDOUT_FILENO);
	if (log_fd >= 0)
		dup2(log_fd, STDERR_FILENO);
	if (log_fd >= 0 && fd < 0)
		dup2(log_fd, STDOUT_FILENO);
	execv(args[0], args);
	fprintf(stderr, "paravane: %s: %s\n", args[0], strerror(errno));
	_exit(127);
}

static int not_started(const char *program, pid_t pid)
{
	return complain(STATUS_ERROR, "%s cannot be started: %s", program, strerror(-pid));
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_ERROR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_ERROR;
}

/* All from an offset on; the last line stays in last, without what the program calls itself. */
static void show_file(const char *path, long *from, char *last, size_t bytes)
{
	FILE *f = fopen(path, "re");
	char line[512];

	while (f && !fseek(f, *from, SEEK_SET) && fgets(line, sizeof(line), f)) {
		const char *text = strstr(line, ": ");

		fputs(line, stderr);
		snprintf(last, bytes, "%.*s", (int)strcspn(text ? text + 2 : line, "\n"),
			 text ? text + 2 : line);
		*from = ftell(f);
	}
	if (f)
		fclose(f);
}

static void show_log(struct compare_world *w)
{
	char last[8];

	show_file(w->log, &w->shown, last, sizeof(last));
}

static int run_quietly(struct compare_world *w, char *const *args, const char *what)
{
	pid_t pid = start(args, -1, w->log);
	int status = pid < 0 ? not_started(args[0], pid) : wait_status(pid);

	if (pid < 0 || !status)
		return status;
	show_log(w);
	return complain(STATUS_ERROR, "%s failed, see above", what);
}

/* ---- the world ---------------------------------------------------------------------- */

/* Random, so that nothing between here and the guest can compress it. */
static int make_image(const char *path, uint32_t size_mib)
{
	autoclose int in = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	autoclose int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	autofree char *buf = malloc(FILL_BYTES);
	int r = in >= 0 && out >= 0 && buf ? 0 : -errno;

	for (uint32_t i = 0; !r && i < size_mib; i++) {
		ssize_t n = 0;

		for (size_t done = 0; done < FILL_BYTES && n >= 0; done += (size_t)n)
			n = read(in, buf + done, FILL_BYTES - done);
		if (n > 0)
			n = write(out, buf, FILL_BYTES);
		r = n == FILL_BYTES ? 0 : n < 0 ? -errno : -ENOSPC;
	}
	return !r ? STATUS_OK :
	       complain(STATUS_ERROR, "%s: no image of %u MiB there: %s; --size makes it smaller",
			path, size_mib, strerror(-r));
}

/*
 * What no other back end of the comparison does: it sleeps at once, as virtio's threads do,
 * and does not look at the ring for a while first.
 */
#define NO_POLLING (char *)"--poll-us=0"

static int start_disk(struct compare_world *w, uint32_t size_mib)
{
	char blkback[PATH_MAX];
	char *daemon[] = { blkback, NO_POLLING, NULL };
	char *attach[] = { w->self, (char *)"attach-disk", (char *)GUEST, w->image,
			   (char *)"xvda", (char *)"--mode", (char *)"w!", (char *)"--no-wait", NULL };
	int status = compare_find_program("paravane-blkback", "", SBINDIR, blkback);

	if (!status)
		status = make_image(w->image, size_mib);
	if (status)
		return status;
	w->blkback = start(daemon, -1, w->log);
	if (w->blkback < 0)
		return not_started(blkback, w->blkback);
	return run_quietly(w, attach, "attaching the disk");
}

static int start_network(struct compare_world *w)
{
	char netback[PATH_MAX];
	char *daemon[] = { netback, NO_POLLING, NULL };
	char *uplink[] = { w->self, (char *)"bridge", (char *)"uplink", (char *)"add",
			   (char *)BRIDGE, (char *)UPLINK, NULL };
	char *attach[] = { w->self, (char *)"attach-nic", (char *)GUEST, (char *)"bridge=" BRIDGE,
			   (char *)MAC, (char *)"--no-wait", NULL };
	int status = compare_find_program("paravane-netback", "", SBINDIR, netback);

	if (status)
		return status;
	w->netback = start(daemon, -1, w->log);
	if (w->netback < 0)
		return not_started(netback, w->netback);
	status = run_quietly(w, uplink, "giving the switch a way out");
	return status ? status : run_quietly(w, attach, "attaching the interface");
}

static int start_xen(struct compare_world *w)
{
	char *domain[] = { w->localxen, (char *)"domain", (char *)"--name=" GUEST,
			   (char *)"--memory=64", NULL };

	return run_quietly(w, domain, "making a guest in local Xen");
}

int compare_world_open(uint32_t size_mib, bool disk, bool nic, struct compare_world **out)
{
	const char *dir = getenv("LOCALXEN_DIR");
	struct compare_world *w = calloc(1, sizeof(*w));
	char run[PATH_MAX];
	int status;

	if (!w || !dir)
		return complain(STATUS_ERROR, "no local Xen around this program; "
				"run paravane compare without --inside");
	*out = w;
	snprintf(w->image, sizeof(w->image), "%s/compare.img", dir);
	snprintf(w->log, sizeof(w->log), "%s/compare.log", dir);
	snprintf(w->errors, sizeof(w->errors), "%s/compare-vm.log", dir);
	snprintf(run, sizeof(run), "%s/compare-run", dir);
	/* Not one that an outer back end serves from. */
	if (mkdir(run, 0700) || setenv("PARAVANE_RUNDIR", run, 1))
		return complain(STATUS_ERROR, "%s: %s", run, strerror(errno));
	status = compare_find_program("localxen", "tools/localxen/", BINDIR, w->localxen);
	if (!status)
		status = compare_find_program("paravane", "", BINDIR, w->self);
	if (!status)
		status = compare_find_program("paravane-compare-vm", "tools/compare/", LXLIBDIR,
				      w->monitor);
	if (!status)
		status = start_xen(w);
	if (!status && disk)
		status = start_disk(w, size_mib);
	if (!status && nic)
		status = start_network(w);
	return status;
}

static void stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	wait_status(pid);
}

void compare_world_close(struct compare_world *w)
{
	if (!w)
		return;
	stop(w->blkback);
	stop(w->netback);
	if (w->image[0])
		unlink(w->image);
	free(w);
}

/* ---- one measurement ------------------------------------------------------------------ */

#define FIELD(name) { #name, offsetof(struct compare_result, name) }
static const struct {
	const char *name;
	size_t at;
} fields[] = {
	FIELD(ops), FIELD(depth), FIELD(wall_ns), FIELD(latency_mean_ns), FIELD(latency_p50_ns),
	FIELD(latency_p99_ns), FIELD(exits), FIELD(port_exits), FIELD(mmio_exits),
	FIELD(call_exits), FIELD(kick_exits), FIELD(halts), FIELD(kicks), FIELD(interrupts),
	FIELD(copied_bytes), FIELD(guest_copied_bytes), FIELD(vcpu_ns), FIELD(vcpu_guest_ns),
	FIELD(back_ns), FIELD(segments), FIELD(persistent), FIELD(indirect), FIELD(tsc_khz),
	FIELD(instruction_ps), FIELD(frame_bytes), FIELD(unit_bytes), FIELD(offloads),
	FIELD(sent), FIELD(lost),
};

static void forget_all(struct compare_result *r)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		*(uint64_t *)(void *)((char *)r + fields[i].at) = COMPARE_UNKNOWN;
}

static void take_line(const char *line, struct compare_result *r)
{
	const char *value = strchr(line, '=');

	for (size_t i = 0; value && i < ARRAY_LEN(fields); i++)
		if (!strncmp(line, fields[i].name, (size_t)(value - line)) &&
		    !fields[i].name[value - line])
			*(uint64_t *)(void *)((char *)r + fields[i].at) =
				strtoull(value + 1, NULL, 10);
}

static bool is_xen(const struct compare_row *row)
{
	return !strncmp(row->model, "xen", 3);
}

static int add_args(struct compare_world *w, const struct compare_row *row, char **args,
		    char numbers[4][16], uint32_t run_ms)
{
	bool xen = is_xen(row);
	int n = 0;

	if (xen) {
		args[n++] = w->localxen;
		args[n++] = (char *)"exec";
		args[n++] = (char *)GUEST;
		args[n++] = (char *)"--";
	}
	snprintf(numbers[0], 16, "%u", row->block_bytes);
	snprintf(numbers[1], 16, "%u", row->depth);
	snprintf(numbers[2], 16, "%u", run_ms);
	snprintf(numbers[3], 16, "%u", 60 + run_ms / 1000);
	for (const char *const *a = (const char *const[]){
			w->monitor, "--model", row->model, "--op", row->op,
			row->nic ? "--ifname" : "--image",
			!row->nic ? w->image : xen ? UPLINK : TAP, "--bs", numbers[0],
			"--depth", numbers[1], "--ms", numbers[2], "--deadline", numbers[3],
			NULL }; *a; a++)
		args[n++] = (char *)*a;
	if (xen) {
		runinfo_directory(row->nic ? "netback" : "blkback", w->figures);
		args[n++] = (char *)"--figures";
		args[n++] = w->figures;
	}
	for (int i = 0; i < COMPARE_FLAGS && row->flags[i]; i++) {
		args[n++] = (char *)"--flag";
		args[n++] = (char *)row->flags[i];
	}
	return n;
}

/* Its output, a counter on each line. */
static int take_output(pid_t pid, int fd, struct compare_result *out)
{
	FILE *f = fdopen(fd, "r");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		take_line(line, out);
	if (f)
		fclose(f);
	return wait_status(pid);
}

static int run_monitor(struct compare_world *w, char *const *args, struct compare_result *out)
{
	int pipe_fd[2], status;
	long from = 0;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC)) {
		snprintf(out->why, sizeof(out->why), "no pipe: %s", strerror(errno));
		return STATUS_ERROR;
	}
	unlink(w->errors);
	pid = start(args, pipe_fd[1], w->errors);
	close(pipe_fd[1]);
	if (pid < 0) {
		snprintf(out->why, sizeof(out->why), "%s cannot be started: %s", args[0],
			 strerror(-pid));
		close(pipe_fd[0]);
		return STATUS_ERROR;
	}
	status = take_output(pid, pipe_fd[0], out);
	show_file(w->errors, &from, out->why, sizeof(out->why));
	return status;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

/* A guest would wait for it until its deadline. */
static bool back_end_runs(const struct compare_world *w, const struct compare_row *row,
			  struct compare_result *out)
{
	if (!is_xen(row) || !has_ended(row->nic ? w->netback : w->blkback))
		return true;
	snprintf(out->why, sizeof(out->why), "paravane-%s has ended",
		 row->nic ? "netback" : "blkback");
	return false;
}

int compare_run(struct compare_world *w, const struct compare_row *row, uint32_t run_ms,
		struct compare_result *out)
{
	char *args[ARGS_MAX] = { NULL }, numbers[4][16];
	int status = STATUS_ERROR;

	out->why[0] = 0;
	forget_all(out);
	add_args(w, row, args, numbers, run_ms);
	if (back_end_runs(w, row, out))
		status = run_monitor(w, args, out);
	out->ok = !status && out->wall_ns && out->wall_ns != COMPARE_UNKNOWN;
	if (out->ok)
		return STATUS_OK;
	show_log(w);
	if (!out->why[0])
		snprintf(out->why, sizeof(out->why), "its virtual machine ended with status %d and "
			 "said nothing", status);
	return status == STATUS_SKIPPED || status == STATUS_NOT_BOUND ? status : STATUS_ERROR;
}
