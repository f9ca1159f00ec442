/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane doctor: the hypervisor, the kernel, XenStore, what is installed.
 *
 * Hides: where a host shows these. Must not know: how findings are printed, limits
 * (paravane-doctor-limits.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-doctor.h"
#include "paravane-runinfo.h"
#include "util.h"

/* ---- Xen -------------------------------------------------------------------- */

static void take_xl(const char *line, const char *key, char *buf, size_t bytes)
{
	size_t key_bytes = strlen(key);
	const char *colon = strchr(line, ':');

	if (strncmp(line, key, key_bytes) || !colon || strspn(line + key_bytes, " ") !=
	    (size_t)(colon - line) - key_bytes)
		return;
	snprintf(buf, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
	buf[strcspn(buf, "\n")] = '\0';
}

/* Whoever may ask; in a driver domain nobody is answered. */
static void ask_xl(struct doctor *d)
{
	FILE *f = popen("exec xl info 2>/dev/null", "re");
	char line[1200];

	while (f && fgets(line, sizeof(line), f)) {
		take_xl(line, "xen_version", d->xl.version, sizeof(d->xl.version));
		take_xl(line, "xen_commandline", d->xl.command_line, sizeof(d->xl.command_line));
	}
	if (f)
		pclose(f);
}

static void say_version(struct doctor *d)
{
	const char *role = d->place == DOCTOR_DOM0 ? "the control domain" :
			   "a domain without control: a guest or driver domain";
	uint64_t major = doctor_number(d, "/sys/hypervisor/version/major", 0);
	uint64_t minor = doctor_number(d, "/sys/hypervisor/version/minor", 0);
	char extra[64] = "", type[16] = "?";

	doctor_line(d, "/sys/hypervisor/version/extra", extra, sizeof(extra));
	doctor_line(d, "/sys/hypervisor/guest_type", type, sizeof(type));
	d->pv = !strcmp(type, "PV") || !strcmp(type, "?");
	if (major < 4 || (major == 4 && minor < 13)) {
		doctor_say(d, "xen", DOCTOR_WARNING, "Xen %llu.%llu%s, %s (%s)",
			   (unsigned long long)major, (unsigned long long)minor, extra, role, type);
		doctor_todo(d, "Paravane is tested with 4.17; before 4.13 nobody has tried");
		return;
	}
	doctor_say(d, "xen", DOCTOR_OK, "Xen %llu.%llu%s, %s (%s)", (unsigned long long)major,
		   (unsigned long long)minor, extra, role, type);
}

static void check_tool_stack(struct doctor *d)
{
	if (d->place != DOCTOR_DOM0)
		return;
	ask_xl(d);
	if (d->xl.version[0]) {
		doctor_say(d, "toolstack", DOCTOR_OK, "xl works with Xen %s", d->xl.version);
		return;
	}
	doctor_say(d, "toolstack", DOCTOR_NOTE,
		   "\"xl info\" says nothing: no xl, no root, or xl of another Xen than the one "
		   "that runs");
	doctor_todo(d, "as root; the xen-utils package of the running version; not needed under "
		    "another tool stack");
}

void doctor_xen(struct doctor *d)
{
	const char *local = getenv("LOCALXEN_DIR");
	char type[32] = "", capabilities[64] = "";

	if (!*d->root && local && *local) {
		d->place = DOCTOR_LOCAL_XEN;
		doctor_say(d, "xen", DOCTOR_OK, "local Xen in %s: no hypervisor, so the kernel's "
			   "side is not looked at", local);
		return;
	}
	if (!doctor_line(d, "/sys/hypervisor/type", type, sizeof(type)) || strcmp(type, "xen")) {
		d->place = DOCTOR_NO_XEN;
		doctor_say(d, "xen", DOCTOR_PROBLEM, "no Xen below this system");
		doctor_todo(d, "boot the Xen entry of the boot menu; to try Paravane here: localxen "
			    "run -- bash");
		return;
	}
	doctor_line(d, "/proc/xen/capabilities", capabilities, sizeof(capabilities));
	d->place = strstr(capabilities, "control_d") ? DOCTOR_DOM0 : DOCTOR_DOMU;
	say_version(d);
	check_tool_stack(d);
}

/* ---- the kernel's back ends ------------------------------------------------- */

struct kernel_back_end {
	const char *check, *module, *underscored, *kind, *noun;
};

static const struct kernel_back_end kernel_back_ends[] = {
	{ "kernel-vbd", "xen-blkback", "xen_blkback", KIND_VBD, "disks" },
	{ "kernel-vif", "xen-netback", "xen_netback", KIND_VIF, "network interfaces" },
};

static bool ends_with(const char *name, const char *end)
{
	size_t bytes = strlen(name), end_bytes = strlen(end);

	return bytes >= end_bytes && !strcmp(name + bytes - end_bytes, end);
}

/* "install xen-blkback /bin/false"; modprobe takes either spelling. */
static bool line_prevents(const char *line, void *arg)
{
	const struct kernel_back_end *k = arg;
	char module[128], command[128];

	return sscanf(line, " install %127s %127s", module, command) == 2 &&
	       (!strcmp(module, k->module) || !strcmp(module, k->underscored)) &&
	       (strstr(command, "/false") || strstr(command, "/true"));
}

/* modprobe reads those that end so, and no others. */
static bool file_prevents(const struct doctor *d, const char *path, const char *name,
			  void *arg)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/%s", path, name);
	return ends_with(name, ".conf") && doctor_lines(d, file, line_prevents, arg);
}

static bool is_prevented(const struct doctor *d, const struct kernel_back_end *k)
{
	static const char *const places[] = {
		"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d",
		"/usr/lib/modprobe.d", "/lib/modprobe.d",
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (doctor_each(d, places[i], file_prevents, (void *)k))
			return true;
	return false;
}

static bool module_is_there(const struct doctor *d, const char *module)
{
	char release[128] = "", path[256], whole[1024], line[512], name[64];
	bool found = false;
	FILE *f;

	doctor_line(d, "/proc/sys/kernel/osrelease", release, sizeof(release));
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	snprintf(name, sizeof(name), "/%s.ko", module);
	f = fopen(whole, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, ":")] = '\0';
		found = strstr(line, name) != NULL;
	}
	if (f)
		fclose(f);
	return found;
}

static void check_kernel_back_end(struct doctor *d, const struct kernel_back_end *k)
{
	char driver[128], state[128];

	snprintf(driver, sizeof(driver), "/sys/bus/xen-backend/drivers/%s", k->kind);
	snprintf(state, sizeof(state), "/sys/module/%s/initstate", k->underscored);
	if (doctor_exists(d, driver) && !doctor_exists(d, state)) {
		doctor_say(d, k->check, DOCTOR_PROBLEM, "the kernel's own back end, %s, is built into "
			   "this kernel: it takes every %s, and two back ends damage a guest's data",
			   k->module, k->kind);
		doctor_todo(d, "another kernel; %sa driver domain without it",
			    strcmp(k->kind, KIND_VBD) ? "" : "paravane-blkback --kind=vbd3; or ");
	} else if (doctor_exists(d, driver)) {
		doctor_say(d, k->check, DOCTOR_PROBLEM, "the kernel's own back end, %s, is loaded: it "
			   "takes every %s, and two back ends damage a guest's data", k->module, k->kind);
		doctor_todo(d, "with no guest that has %s: echo install %s /bin/false >>"
			    "/etc/modprobe.d/paravane.conf; rmmod %s", k->noun, k->module, k->module);
	} else if (!is_prevented(d, k) && module_is_there(d, k->module)) {
		doctor_say(d, k->check, DOCTOR_WARNING, "%s is not loaded, but nothing keeps it from "
			   "being loaded with the next %s, or by name", k->module, k->kind);
		doctor_todo(d, "echo install %s /bin/false >>/etc/modprobe.d/paravane.conf", k->module);
	} else {
		doctor_say(d, k->check, DOCTOR_OK, "%s is not here, or kept from being loaded",
			   k->module);
	}
}

/* ---- which kind of disks is ours -------------------------------------------- */

static bool says_vbd3(const char *line, void *arg)
{
	(void)arg;
	return line[strspn(line, " \t")] != '#' && line[strspn(line, " \t")] != ';' &&
	       (strstr(line, "--kind=vbd3") || strstr(line, "--kind vbd3"));
}

static bool drop_in_says_vbd3(const struct doctor *d, const char *path, const char *name,
			      void *arg)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/%s", path, name);
	return ends_with(name, ".conf") && doctor_lines(d, file, says_vbd3, arg);
}

/* What runs says it; what does not, by its unit. */
static bool serves_vbd3(const struct doctor *d)
{
	static const char *const drop_ins[] = {
		"/etc/systemd/system/paravane-blkback.service.d",
		"/run/systemd/system/paravane-blkback.service.d",
	};

	if (!*d->root && runinfo_daemon_runs(KIND_VBD))
		return false;
	if (!*d->root && runinfo_daemon_runs(KIND_VBD3))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(drop_ins); i++)
		if (doctor_each(d, drop_ins[i], drop_in_says_vbd3, NULL))
			return true;
	return doctor_lines(d, "/etc/systemd/system/paravane-blkback.service", says_vbd3, NULL);
}

struct process {
	const char *const *names;	/* until NULL */
	char name[32];			/* which of them was found */
};

static bool is_process(const struct doctor *d, const char *path, const char *name, void *arg)
{
	struct process *wanted = arg;
	char file[512], comm[32];

	if (strspn(name, "0123456789") != strlen(name))
		return false;
	snprintf(file, sizeof(file), "%s/%s/comm", path, name);
	if (!doctor_line(d, file, comm, sizeof(comm)))
		return false;
	for (size_t i = 0; wanted->names[i]; i++)
		if (!strcmp(comm, wanted->names[i])) {
			snprintf(wanted->name, sizeof(wanted->name), "%s", comm);
			return true;
		}
	return false;
}

/* blktap's, which serves that kind; of kind vbd the kernel's may serve the rest. */
static void check_tapback(struct doctor *d)
{
	static const char *const names[] = { "tapback", NULL };
	struct process tapback = { .names = names };

	if (doctor_each(d, "/proc", is_process, &tapback)) {
		doctor_say(d, "kernel-vbd", DOCTOR_PROBLEM, "tapback runs, and takes every vbd3 as "
			   "paravane-blkback does here: two back ends damage a guest's data");
		doctor_todo(d, "end tapback, or take --kind=vbd3 from paravane-blkback's unit");
		return;
	}
	doctor_say(d, "kernel-vbd", DOCTOR_OK, "xen-blkback may be here: paravane-blkback is for kind "
		   "vbd3 on this host, and that for vbd");
}

void doctor_kernel_back_ends(struct doctor *d)
{
	d->vbd3 = d->place != DOCTOR_NO_XEN && serves_vbd3(d);
	if (d->place != DOCTOR_DOM0 && d->place != DOCTOR_DOMU)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kernel_back_ends); i++)
		if (d->vbd3 && !strcmp(kernel_back_ends[i].kind, KIND_VBD))
			check_tapback(d);
		else
			check_kernel_back_end(d, &kernel_back_ends[i]);
}

/* ---- devices ---------------------------------------------------------------- */

static void check_device(struct doctor *d, const char *device, const char *module)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/xen/%s", device);
	if (doctor_exists(d, path)) {
		doctor_say(d, "devices", DOCTOR_OK, "%s is there", path);
		return;
	}
	doctor_say(d, "devices", DOCTOR_PROBLEM, "%s is not there: no back end can work", path);
	doctor_todo(d, "modprobe %s (at each boot: echo %s >>/etc/modules-load.d/paravane.conf)",
		    module, module);
}

static void check_pages(struct doctor *d)
{
	uint64_t pages = doctor_number(d, "/sys/module/xen_gntdev/parameters/limit", UINT64_MAX);

	if (pages >= 16384)
		return;
	doctor_say(d, "gntdev", DOCTOR_WARNING, "xen-gntdev lets a process map %llu pages of guests; "
		   "a disk wants up to 4224", (unsigned long long)pages);
	doctor_todo(d, "echo options xen-gntdev limit=1048576 >>/etc/modprobe.d/paravane.conf, and "
		    "load it again");
}

void doctor_devices(struct doctor *d)
{
	if (d->place != DOCTOR_DOM0 && d->place != DOCTOR_DOMU)
		return;
	check_device(d, "gntdev", "xen-gntdev");
	check_device(d, "evtchn", "xen-evtchn");
	check_pages(d);
	if (d->place == DOCTOR_DOM0 && !doctor_exists(d, "/dev/xen/privcmd") &&
	    !doctor_exists(d, "/proc/xen/privcmd")) {
		doctor_say(d, "devices", DOCTOR_WARNING, "/dev/xen/privcmd is not there: xl and page "
			   "flip need it, the back ends do not");
		doctor_todo(d, "modprobe xen-privcmd");
	}
}

/* ---- XenStore --------------------------------------------------------------- */

#define STORE_ANSWERS_S 5

/* In a process of its own, which ends, too, if the store says nothing: 0, or errno. */
static int ask_store(void)
{
	unsigned int bytes;
	struct xs_handle *xs;

	signal(SIGALRM, SIG_DFL);
	alarm(STORE_ANSWERS_S);
	errno = 0;
	xs = xs_open(0);
	/* That there is no such node is an answer. */
	if (xs && !xs_read(xs, XBT_NULL, "domid", &bytes) && errno != ENOENT && errno != EACCES)
		return errno ? errno : EIO;
	return xs ? 0 : errno ? errno : EIO;
}

/* 0: it answers; -ETIMEDOUT: it takes a question and says nothing; -errno. */
static int store_answers(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(ask_store());
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ETIMEDOUT;
}

static void say_no_store(struct doctor *d, const char *name, int error)
{
	if (error == -ETIMEDOUT)
		doctor_say(d, "xenstore", DOCTOR_PROBLEM, "%s takes a question and does not answer within "
			   "%d s: nothing can be attached, detached or listed", *name ? name : "XenStore",
			   STORE_ANSWERS_S);
	else
		doctor_say(d, "xenstore", DOCTOR_PROBLEM, "XenStore cannot be reached: %s%s",
			   strerror(-error), *name ? ", although a daemon of that name runs" : "");
	if (error == -ETIMEDOUT && *name)
		doctor_todo(d, "see whether it is stopped (kill -CONT), traced, or waits for its disk; guests "
			    "lose what is in it when it is started anew");
	else
		doctor_todo(d, geteuid() ? "try as root" :
			    "systemctl start xenstored (Debian: systemctl start xen)");
}

void doctor_store(struct doctor *d)
{
	static const char *const names[] = { "xenstored", "oxenstored", NULL };
	struct process store = { .names = names };
	const char *name = store.name;
	int error = 0;

	if (d->place == DOCTOR_NO_XEN)
		return;
	doctor_each(d, "/proc", is_process, &store);
	if (!*d->root)
		error = store_answers();
	if (error) {
		say_no_store(d, name, error);
	} else if (*name) {
		doctor_say(d, "xenstore", DOCTOR_OK, "%s (%s)", name, strcmp(name, "xenstored") ?
			   "OCaml's" : "C's");
	} else if (d->place == DOCTOR_DOMU || !*d->root) {
		doctor_say(d, "xenstore", DOCTOR_OK, "in another domain");
	} else {
		doctor_say(d, "xenstore", DOCTOR_NOTE, "no xenstored runs in this domain: it is in one "
			   "of its own, or missing");
	}
}

/* ---- what is installed ------------------------------------------------------ */

static void check_scripts(struct doctor *d)
{
	static const char *const scripts[] = { "block-paravane", "vif-paravane" };
	bool all = doctor_exists(d, "/etc/xen/scripts/paravane-hotplug.sh");
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		snprintf(path, sizeof(path), "/etc/xen/scripts/%s", scripts[i]);
		all = all && doctor_executable(d, path);
	}
	if (all) {
		doctor_say(d, "scripts", DOCTOR_OK, "block-paravane and vif-paravane are where xl looks");
		return;
	}
	doctor_say(d, "scripts", DOCTOR_WARNING, "block-paravane, vif-paravane or paravane-hotplug.sh "
		   "is missing in /etc/xen/scripts, or not executable: \"script=\" in xl.cfg fails");
	doctor_todo(d, "install the package again, or make install with --with-xen-scripts-dir="
		    "/etc/xen/scripts");
}

/* Guests' requests are in journals there, and are believed. */
static void check_rundir(struct doctor *d)
{
	char dir[RUNINFO_PATH_BYTES], whole[1024];
	struct stat st;
	char *slash;

	runinfo_directory("blkback", dir);
	slash = strrchr(dir, '/');
	*slash = '\0';
	snprintf(whole, sizeof(whole), "%s%s", d->root, dir);
	if (lstat(whole, &st)) {
		doctor_say(d, "rundir", DOCTOR_NOTE, "%s is not there yet: the daemons make it", dir);
	} else if (!S_ISDIR(st.st_mode) || st.st_mode & (S_IWGRP | S_IWOTH)) {
		doctor_say(d, "rundir", DOCTOR_PROBLEM, "%s must be a directory that only its owner can "
			   "write to: the daemons refuse it", dir);
		doctor_todo(d, "chmod go-w %s, after a look at who has written there", dir);
	} else {
		doctor_say(d, "rundir", DOCTOR_OK, "%s", dir);
	}
}

/* The program that a daemon was started with has been replaced since. */
static bool is_of_before(const struct doctor *d, const char *daemon, const char *kind)
{
	char dir[RUNINFO_PATH_BYTES], lock[RUNINFO_PATH_BYTES + 16], link[64], exe[512];
	ssize_t bytes;

	runinfo_directory(daemon, dir);
	snprintf(lock, sizeof(lock), "%s/%s.lock", dir, kind);
	snprintf(link, sizeof(link), "/proc/%llu/exe",
		 (unsigned long long)doctor_number(d, lock, 0));
	bytes = readlink(link, exe, sizeof(exe) - 1);
	if (bytes < 0)
		return false;
	exe[bytes] = '\0';
	return ends_with(exe, " (deleted)");
}

static void check_daemon(struct doctor *d, const char *daemon, const char *kind)
{
	if (*d->root)
		return;
	if (!runinfo_daemon_runs(kind)) {
		doctor_say(d, "daemons", DOCTOR_NOTE, "paravane-%s does not run (or another user cannot "
			   "see it): no %s is served", daemon, kind);
		doctor_todo(d, d->place == DOCTOR_LOCAL_XEN ? "paravane-%s &" : "systemctl enable --now "
			    "paravane-%s, when the findings above are gone", daemon);
	} else if (is_of_before(d, daemon, kind)) {
		doctor_say(d, "daemons", DOCTOR_WARNING, "paravane-%s serves %s, by a program that has "
			   "been replaced since: not by the version that is installed now", daemon, kind);
		doctor_todo(d, "paravane upgrade %s: guests see a short pause", daemon);
	} else {
		doctor_say(d, "daemons", DOCTOR_OK, "paravane-%s serves %s", daemon, kind);
	}
}

/* Where a unit's processes look. */
static bool has_program(const struct doctor *d, const char *name)
{
	static const char *const places[] = {
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], name);
		if (doctor_executable(d, path))
			return true;
	}
	return false;
}

static void check_servers(struct doctor *d)
{
	static const struct {
		const char *program, *package, *images;
	} servers[] = {
		{ "qemu-nbd", "qemu-utils", "qcow2:, vmdk: and other formats" },
		{ "nbdkit", "nbdkit", "nbdkit: and nbds:" },
	};

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		if (has_program(d, servers[i].program)) {
			doctor_say(d, "servers", DOCTOR_OK, "%s is here, for images named %s",
				   servers[i].program, servers[i].images);
			continue;
		}
		doctor_say(d, "servers", DOCTOR_NOTE, "no %s: images named %s cannot be served",
			   servers[i].program, servers[i].images);
		doctor_todo(d, "where such are wanted: apt install %s", servers[i].package);
	}
}

void doctor_installation(struct doctor *d)
{
	if (d->place == DOCTOR_NO_XEN)
		return;
	if (d->place == DOCTOR_DOM0)
		check_scripts(d);
	check_rundir(d);
	check_daemon(d, "blkback", d->vbd3 ? KIND_VBD3 : KIND_VBD);
	check_daemon(d, "netback", KIND_VIF);
	check_servers(d);
}

/* ---- the host's network ----------------------------------------------------- */

static bool add_bridge(const struct doctor *d, const char *path, const char *name, void *arg)
{
	char *list = arg, dir[512];
	size_t used = strlen(list);

	snprintf(dir, sizeof(dir), "%s/%s/bridge", path, name);
	if (doctor_exists(d, dir))
		snprintf(list + used, 200 - used, "%s%s", used ? ", " : "", name);
	return false;
}

void doctor_network(struct doctor *d)
{
	char list[200] = "";

	if (d->place != DOCTOR_DOM0 && d->place != DOCTOR_DOMU)
		return;
	doctor_each(d, "/sys/class/net", add_bridge, list);
	doctor_say(d, "bridges", DOCTOR_NOTE, *list ? "the host's: %s; switches of ours are others "
		   "(paravane bridge list)" : "the host has none%s: guests reach each other, and an "
		   "uplink needs none to reach the host", list);
	if (doctor_exists(d, "/dev/net/tun"))
		return;
	doctor_say(d, "tun", DOCTOR_WARNING, "/dev/net/tun is not there: switches have no uplinks");
	doctor_todo(d, "modprobe tun");
}
