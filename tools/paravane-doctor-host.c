/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane doctor: the hypervisor, the kernel, XenStore, what is installed.
 *
 * Hides: where a host shows these. Must not know: how findings are printed, limits
 * (paravane-doctor-limits.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-doctor.h"
#include "paravane-runinfo.h"
#include "util.h"

/* ---- Xen -------------------------------------------------------------------- */

static bool take_xl(const char *line, const char *key, char *buf, size_t bytes)
{
	size_t key_bytes = strlen(key);
	const char *colon = strchr(line, ':');

	if (strncmp(line, key, key_bytes) || !colon || strspn(line + key_bytes, " ") !=
	    (size_t)(colon - line) - key_bytes)
		return false;
	snprintf(buf, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

/* Whoever may ask; in a driver domain nobody is answered. */
static void ask_xl(struct doctor *d)
{
	FILE *f = popen("exec xl info 2>/dev/null", "re");
	char line[1200], number[32];

	while (f && fgets(line, sizeof(line), f)) {
		take_xl(line, "xen_version", d->xl.version, sizeof(d->xl.version));
		take_xl(line, "xen_commandline", d->xl.command_line, sizeof(d->xl.command_line));
		if (take_xl(line, "total_memory", number, sizeof(number)))
			parse_u64(number, UINT64_MAX, &d->xl.total_mib);
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
	{ "kernel-vbd", "xen-blkback", "xen_blkback", "vbd", "disks" },
	{ "kernel-vif", "xen-netback", "xen_netback", "vif", "network interfaces" },
};

/* "install xen-blkback /bin/false"; modprobe takes either spelling. */
static bool file_prevents(const struct doctor *d, const char *path, const char *name,
			  void *arg)
{
	const struct kernel_back_end *k = arg;
	char whole[1024], line[512], module[128], command[128];
	bool found = false;
	FILE *f;

	snprintf(whole, sizeof(whole), "%s%s/%s", d->root, path, name);
	f = fopen(whole, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " install %127s %127s", module, command) == 2 &&
			(!strcmp(module, k->module) || !strcmp(module, k->underscored)) &&
			(strstr(command, "/false") || strstr(command, "/true"));
	if (f)
		fclose(f);
	return found;
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
			    strcmp(k->kind, "vbd") ? "" : "paravane-blkback --kind=vbd3; or ");
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

void doctor_kernel_back_ends(struct doctor *d)
{
	if (d->place == DOCTOR_DOM0 || d->place == DOCTOR_DOMU)
		for (size_t i = 0; i < ARRAY_LEN(kernel_back_ends); i++)
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

static bool is_store(const struct doctor *d, const char *path, const char *name, void *arg)
{
	char file[512], comm[32];

	if (strspn(name, "0123456789") != strlen(name))
		return false;
	snprintf(file, sizeof(file), "%s/%s/comm", path, name);
	if (!doctor_line(d, file, comm, sizeof(comm)) ||
	    (strcmp(comm, "xenstored") && strcmp(comm, "oxenstored")))
		return false;
	snprintf(arg, sizeof(comm), "%s", comm);
	return true;
}

static bool store_answers(void)
{
	struct xs_handle *xs = xs_open(0);

	if (xs)
		xs_close(xs);
	return xs != NULL;
}

void doctor_store(struct doctor *d)
{
	char name[32] = "";

	if (d->place == DOCTOR_NO_XEN)
		return;
	doctor_each(d, "/proc", is_store, name);
	if (!*d->root && !store_answers()) {
		doctor_say(d, "xenstore", DOCTOR_PROBLEM, "XenStore cannot be reached: %s%s",
			   strerror(errno), *name ? ", although a daemon of that name runs" : "");
		doctor_todo(d, geteuid() ? "try as root" :
			    "systemctl start xenstored (Debian: systemctl start xen)");
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

static void check_daemon(struct doctor *d, const char *kind, const char *program)
{
	if (*d->root)
		return;
	if (runinfo_daemon_runs(kind)) {
		doctor_say(d, "daemons", DOCTOR_OK, "%s serves %s", program, kind);
		return;
	}
	doctor_say(d, "daemons", DOCTOR_NOTE, "%s does not run (or another user cannot see it): no %s "
		   "is served", program, kind);
	doctor_todo(d, d->place == DOCTOR_LOCAL_XEN ? "%s &" : "systemctl enable --now %s, when the "
		    "findings above are gone", program);
}

void doctor_installation(struct doctor *d)
{
	if (d->place == DOCTOR_NO_XEN)
		return;
	if (d->place == DOCTOR_DOM0)
		check_scripts(d);
	check_rundir(d);
	check_daemon(d, "vbd", "paravane-blkback");
	check_daemon(d, "vif", "paravane-netback");
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
