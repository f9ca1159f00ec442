/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine that a comparison is made on, for paravane-compare-data.h: what a reader
 * needs to judge its figures. What cannot be found out is null.
 */
#include <gnu/libc-version.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "paravane-compare-data.h"

/* A kernel's or a model's name can have any bytes; JSON has UTF-8. */
static json_t *text_or_null(const char *text)
{
	json_t *value = *text ? json_string(text) : NULL;

	return value ? value : json_null();
}

/* The first line of a file, or "". */
static void first_line(const char *path, char *buf, size_t bytes)
{
	FILE *f = fopen(path, "re");

	*buf = 0;
	if (f && !fgets(buf, (int)bytes, f))
		*buf = 0;
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = 0;
}

/* The value after "key : " in /proc/cpuinfo, of the first CPU; "" if there is none. */
static void cpuinfo(const char *key, char *buf, size_t bytes)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[8192];

	*buf = 0;
	while (f && !*buf && fgets(line, sizeof(line), f)) {
		const char *value = strstr(line, ": ");

		if (value && !strncmp(line, key, strlen(key)))
			snprintf(buf, bytes, "%s", value + 2);
	}
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = 0;
}

/* Below us: Xen by its own name, else by what firmware says it is. */
static json_t *hypervisor(void)
{
	char name[128], vendor[128], flags[8192], both[300];

	first_line("/sys/hypervisor/type", name, sizeof(name));
	if (*name)
		return text_or_null(name);
	cpuinfo("flags", flags, sizeof(flags));
	if (!strstr(flags, " hypervisor"))
		return json_null();
	first_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof(vendor));
	first_line("/sys/class/dmi/id/product_name", name, sizeof(name));
	snprintf(both, sizeof(both), "a virtual machine%s%s%s%s", *vendor ? ": " : "", vendor,
		 *name ? " " : "", name);
	return text_or_null(both);
}

static json_t *load_average(void)
{
	double load[3];

	if (getloadavg(load, 3) != 3)
		return json_null();
	return json_pack("[f,f,f]", load[0], load[1], load[2]);
}

json_t *compare_this_machine(void)
{
	char cpu[128], governor[64], kernel[200];
	struct utsname u = { 0 };
	struct sysinfo info = { 0 };

	uname(&u);
	sysinfo(&info);
	snprintf(kernel, sizeof(kernel), "%s %s %s", u.sysname, u.release, u.machine);
	cpuinfo("model name", cpu, sizeof(cpu));
	first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
		   sizeof(governor));
	return json_pack("{s:o,s:I,s:I,s:o,s:o,s:o,s:o}",
			 "cpu", json_string(*cpu ? cpu : u.machine),
			 "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
			 "memory_mib", (json_int_t)((uint64_t)info.totalram * info.mem_unit >> 20),
			 "kernel", text_or_null(kernel), "hypervisor", hypervisor(),
			 "load_average", load_average(), "governor", text_or_null(governor));
}

json_t *compare_these_versions(void)
{
	return json_pack("{s:s,s:s,s:s,s:s}", "paravane", PACKAGE_VERSION, "compiler",
			 __VERSION__, "libc", gnu_get_libc_version(), "libxen", XEN_VERSION);
}

json_t *compare_started(void)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	return json_string(text);
}
