/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli_env.c - where local Xen's parts are, and the environment of a domain.
 *
 * Hides the difference between the build tree (everything beside the localxen
 * program) and an installation, and the names of the variables that the
 * libraries, libxenstore and the dynamic linker read.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli.h"

static char lib_dir[PATH_MAX];
static char helper_dir[PATH_MAX];

static bool has_libs(const char *dir)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/liblocalxen.so", dir);
	return !access(path, R_OK);
}

int cli_find_paths(void)
{
	const char *env = getenv("LOCALXEN_LIBDIR");
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return cli_error("/proc/self/exe: %s; is /proc mounted?", strerror(errno));
	exe[n] = '\0';
	snprintf(helper_dir, sizeof(helper_dir), "%s", dirname(exe));
	snprintf(lib_dir, sizeof(lib_dir), "%.*s/lib", PATH_MAX - 8, helper_dir);
	if (env) {
		snprintf(lib_dir, sizeof(lib_dir), "%s", env);
		snprintf(helper_dir, sizeof(helper_dir), "%s", env);
	} else if (!has_libs(lib_dir)) {
		snprintf(lib_dir, sizeof(lib_dir), "%s", LX_INSTALLED_LIBDIR);
		snprintf(helper_dir, sizeof(helper_dir), "%s", LX_INSTALLED_LIBDIR);
	}
	if (!has_libs(lib_dir))
		return cli_error("no liblocalxen.so in %s; run make, make install, or "
				 "set LOCALXEN_LIBDIR", lib_dir);
	return 0;
}

const char *cli_lib_dir(void)
{
	return lib_dir;
}

/* Libraries that are preloaded are in the one directory, programs in the other. */
void cli_helper_path(const char *name, char *out, size_t size)
{
	bool so = strlen(name) > 3 && !strcmp(name + strlen(name) - 3, ".so");

	snprintf(out, size, "%s/%s", so ? lib_dir : helper_dir, name);
}

void cli_store_path(const char *dir, uint32_t domid, char *out, size_t size)
{
	if (domid)
		snprintf(out, size, "%s/xenbus-%u", dir, domid);
	else
		snprintf(out, size, "%s/xenstored", dir);
}

static void prepend_library_path(void)
{
	const char *old = getenv("LD_LIBRARY_PATH");
	size_t len = strlen(lib_dir);
	char *value;

	if (old && !strncmp(old, lib_dir, len) && (!old[len] || old[len] == ':'))
		return;
	if (asprintf(&value, "%s%s%s", lib_dir, old && *old ? ":" : "",
		     old ? old : "") < 0)
		return;
	setenv("LD_LIBRARY_PATH", value, 1);
	free(value);
}

static bool is_below(const char *path, const char *dir)
{
	return dir && !strncmp(path, dir, strlen(dir));
}

/*
 * Where Paravane's own daemons keep their state: the instance's, not the host's, nor that
 * of the instance in which this one is started.
 */
static void set_run_dir(const char *dir, const char *outer_dir, uint32_t domid)
{
	const char *old = getenv("PARAVANE_RUNDIR");
	char path[PATH_MAX];

	if (old && !is_below(old, dir) && !is_below(old, outer_dir))
		return;
	snprintf(path, sizeof(path), "%s/run-%u", dir, domid);
	mkdir(path, 0700);
	setenv("PARAVANE_RUNDIR", path, 1);
}

void cli_enter_domain(const char *dir, uint32_t domid)
{
	char text[PATH_MAX];

	set_run_dir(dir, getenv("LOCALXEN_DIR"), domid);
	setenv("LOCALXEN_DIR", dir, 1);
	snprintf(text, sizeof(text), "%u", domid);
	setenv("LOCALXEN_DOMID", text, 1);
	cli_store_path(dir, domid, text, sizeof(text));
	setenv("XENSTORED_PATH", text, 1);
	unsetenv("LOCALXEN_INFRA");
	prepend_library_path();
}

void cli_become_helper(const char *log_path)
{
	int null = open("/dev/null", O_RDWR);
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	if (log > STDERR_FILENO)
		close(log);
	setenv("LOCALXEN_INFRA", "1", 1);
}

void cli_exec(char **argv)
{
	execvp(argv[0], argv);
	int err = errno;

	cli_error("%s: %s", argv[0], strerror(err));
	_exit(err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}
