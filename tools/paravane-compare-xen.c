/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs tools/compare-xen in dom0. See paravane-compare-xen.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "paravane-compare.h"
#include "paravane-compare-data.h"
#include "paravane-compare-xen.h"
#include "paravane.h"
#include "util.h"

#define ARGS_MAX 16

bool compare_is_dom0(void)
{
	FILE *f = fopen("/proc/xen/capabilities", "re");
	char line[64] = "";
	bool is = f && fgets(line, sizeof(line), f) && strstr(line, "control_d");

	if (f)
		fclose(f);
	return is;
}

/* ---- what is printed ------------------------------------------------------------- */

static const char *const text_fields[] = {
	"table", "label", "device", "guest", "model", "back_end", "operation", "changed",
	"not_equal", "command", NULL };
static const char *const number_fields[] = {
	"block_bytes", "frame_bytes", "depth", "ops", "ops_per_s", "mib_per_s", "mbit_per_s",
	"wall_ns", "latency_mean_ns", "latency_p50_ns", "latency_p99_ns", "exits",
	"port_exits", "mmio_exits", "hypercalls", "halts", "notifications_sent", "interrupts",
	"vcpu_cpu_ns", "dom0_cpu_ns", "back_end_cpu_ns", "bytes_copied_per_byte", NULL };
/* With spaces between: of each stream that is in the sum. */
static const char *const list_fields[] = {
	"streams_mbit_per_s", "streams_interrupts", NULL };

static bool is_among(const char *key, const char *const *keys)
{
	while (*keys && strcmp(*keys, key))
		keys++;
	return *keys;
}

/* NULL: it is none. */
static json_t *number_value(const char *text)
{
	bool whole = !text[strspn(text, "0123456789")];
	char *end;
	double n = strtod(text, &end);

	if (!*text || *end || !(n >= 0 && n < 1e18))
		return NULL;
	return whole ? json_integer((json_int_t)n) : json_real(n);
}

/* NULL: not all of it is numbers. */
static json_t *list_value(char *text)
{
	json_t *list = json_array();
	char *rest = NULL;

	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (!json_array_append_new(list, number_value(word)))
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

/* Everything that is not in the line is null: not counted. */
static json_t *empty_record(void)
{
	const char *const *const fields[] = { text_fields, number_fields, list_fields };
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		for (const char *const *k = fields[i]; *k; k++)
			json_object_set_new(o, *k, json_null());
	return o;
}

static int read_record(char *line, const char *file, json_t *record)
{
	char *rest = NULL;

	for (char *word = strtok_r(line, "\t", &rest); word; word = strtok_r(NULL, "\t", &rest)) {
		char *value = strchr(word, '=');
		json_t *json = NULL;

		if (value)
			*value++ = 0;
		if (value && is_among(word, text_fields))
			json = json_string(value);
		else if (value && is_among(word, number_fields))
			json = number_value(value);
		else if (value && is_among(word, list_fields))
			json = list_value(value);
		if (!json)
			return complain(STATUS_ERROR, "%s: \"%s%s%s\": expected KEY=VALUE of a "
					"measurement; are paravane and compare-xen of one version?",
					file, word, value ? "=" : "", value ? value : "");
		json_object_set_new(record, word, json);
	}
	return STATUS_OK;
}

/* They are measured device by device, and shown table by table, in the order of the first. */
static void insert_record(json_t *results, json_t *record)
{
	const json_t *table = json_object_get(record, "table");
	size_t at = json_array_size(results);

	while (at > 0 && !json_equal(table, json_object_get(json_array_get(results, at - 1),
							      "table")))
		at--;
	if (!at)
		at = json_array_size(results);
	json_array_insert_new(results, at, record);
}

static bool is_emulated(const json_t *json)
{
	return !strcmp(json_string_value(json_object_get(json, "where")), "xenhost");
}

/* The machine is not the one that this runs on. */
static void begin_emulated(json_t *json)
{
	json_t *machine = json_object_get(json, "machine");

	json_array_append_new(json_object_get(json, "notes"), json_sprintf(
		"The host is emulated by QEMU, instruction by instruction, on %s, which is in no "
		"figure: times are virtual.", json_string_value(json_object_get(machine, "cpu"))));
	json_object_set_new(json, "machine", json_pack("{s:s,s:s,s:s}",
			    "cpu", "emulated by QEMU", "kernel", "not known",
			    "hypervisor", "Xen on QEMU"));
}

/* What dom0 says of the host's processors and memory is truer than what its kernel sees. */
static bool describe_machine(const char *key, const char *value, json_t *json)
{
	json_t *machine = json_object_get(json, "machine");
	const char *const *kind = (const char *const[]){ "cpu", "cpus", "memory_mib", NULL };

	if (!strcmp(key, "kernel") && is_emulated(json))
		json_object_set_new(machine, key, json_sprintf("Linux %s (dom0)", value));
	if (!is_among(key, kind))
		return false;
	if (strcmp(key, "cpu"))
		json_object_set_new(machine, key, number_value(value));
	else if (is_emulated(json))
		json_object_set_new(machine, key, json_sprintf("%s, emulated by QEMU", value));
	else
		json_object_set_new(machine, key, json_string(value));
	return true;
}

/* Versions are texts; the image's size is a member of its own. */
static void read_machine(char *line, json_t *json)
{
	json_t *versions = json_object_get(json, "versions");
	char *rest = NULL;

	for (char *word = strtok_r(line, "\t", &rest); word; word = strtok_r(NULL, "\t", &rest)) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = 0;
		if (!strcmp(word, "image_mib"))
			json_object_set_new(json, word, number_value(value));
		else if (!describe_machine(word, value, json))
			json_object_set_new(versions, word, json_string(value));
	}
}

/* KEY=TEXT, one of json's arrays of texts. Is it that? */
static bool read_text(const char *line, const char *key, json_t *texts)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) || line[length] != '=')
		return false;
	json_array_append_new(texts, json_string(line + length + 1));
	return true;
}

static int read_line(char *line, const char *file, json_t *json)
{
	json_t *record;
	int status;

	if (read_text(line, "note", json_object_get(json, "notes")) ||
	    read_text(line, "ran", json_object_get(json, "commands")))
		return STATUS_OK;
	record = empty_record();
	status = read_record(line, file, record);
	insert_record(json_object_get(json, "results"), record);
	return status;
}

int compare_xen_read(FILE *f, const char *file, json_t *json)
{
	autofree char *line = NULL;
	size_t bytes = 0;
	bool first = true;
	int status = STATUS_OK;

	json_object_set_new(json, "commands", json_array());
	json_object_set_new(json, "results", json_array());
	/* One without its end was being written when the host went. */
	while (!status && getline(&line, &bytes, f) >= 0 && strchr(line, '\n')) {
		*strchr(line, '\n') = 0;
		if (first)
			read_machine(line, json);
		else
			status = read_line(line, file, json);
		first = false;
	}
	return status;
}

/* ---- what is run ------------------------------------------------------------------ */

/*
 * Interrupts are blocked while there is anything to clean up, and looked at where we wait:
 * there is no moment at which one finds no child yet, or ends us beside a directory.
 */
struct interrupts {
	sigset_t waited, before;	/* those of these that are not ignored, and SIGCHLD */
	int caught;			/* the first one; 0: none yet */
};

static void interrupts_block(struct interrupts *in)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	in->caught = 0;
	sigemptyset(&in->waited);
	sigaddset(&in->waited, SIGCHLD);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (!sigaction(signals[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&in->waited, signals[i]);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &in->waited, &in->before);
}

/* One that came meanwhile ends us here. */
static void interrupts_restore(const struct interrupts *in)
{
	if (in->caught)
		raise(in->caught);
	sigprocmask(SIG_SETMASK, &in->before, NULL);
}

/* A process group of its own: what a terminal interrupts is this process alone. */
static pid_t start(const char *const *args, int fd, const struct interrupts *in)
{
	pid_t pid = fork();

	if (pid) {
		setpgid(pid, pid);	/* whoever of the two comes first */
		return pid;
	}
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &in->before, NULL);
	dup2(fd, STDOUT_FILENO);
	execv(args[0], (char *const *)(uintptr_t)args);
	fprintf(stderr, "paravane: %s: %s\n", args[0], strerror(errno));
	_exit(127);
}

/* An interrupt is passed on: it has guests to destroy. Once: what it runs for that is to live. */
static int wait_for_end(pid_t pid, struct interrupts *in)
{
	int status = -1, sig;

	while (!waitpid(pid, &status, WNOHANG)) {
		sig = sigwaitinfo(&in->waited, NULL);
		if (sig <= 0 || sig == SIGCHLD || in->caught)
			continue;
		in->caught = sig;
		kill(-pid, SIGTERM);
	}
	return status;
}

/* Its standard output becomes fd. */
static int run(const char *const *args, int fd, struct interrupts *in)
{
	pid_t pid = start(args, fd, in);
	int status;

	if (pid < 0)
		return complain(STATUS_ERROR, "%s: %s", args[0], strerror(errno));
	status = wait_for_end(pid, in);
	if (WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == STATUS_SKIPPED ||
				  WEXITSTATUS(status) == STATUS_USAGE))
		return WEXITSTATUS(status);
	return complain(STATUS_ERROR, "%s %s", args[0], in->caught ? "was interrupted" :
			"failed; what it says is above");
}

/*
 * What was measured before something failed, status, is read as well; then it may be
 * nothing.
 */
static int read_file(const char *path, int status, json_t *json)
{
	FILE *f = fopen(path, "re");
	int parsed;

	if (!f)
		return status ? status : complain(STATUS_ERROR, "%s: %s", path, strerror(errno));
	parsed = compare_xen_read(f, path, json);
	fclose(f);
	if (!parsed && !status && !json_array_size(json_object_get(json, "results")))
		parsed = complain(STATUS_ERROR, "nothing was measured; see above");
	if (parsed)
		json_object_del(json, "results");
	return parsed ? parsed : status;
}

/* The script starts our other programs: those beside this one first, then installed ones. */
static void extend_path(void)
{
	const char *old = getenv("PATH");
	autofree char *path = NULL;
	char own[PATH_MAX];

	if (!realpath("/proc/self/exe", own))
		return;
	*strrchr(own, '/') = 0;
	if (asprintf(&path, "%s:%s:%s", own, SBINDIR, old ? old : "/usr/bin:/bin") >= 0)
		setenv("PATH", path, 1);
}

static int on_this(const char *script, const struct compare_xen_options *o, const char *dir,
		   struct interrupts *in, json_t *json)
{
	const char *args[ARGS_MAX] = { script };
	autofree char *records = NULL;
	int n = 1, fd, status;

	extend_path();
	if (o->quick || o->all)
		args[n++] = o->quick ? "--quick" : "--all";
	if (o->disk || o->nic)
		args[n++] = o->disk ? "--disk" : "--nic";
	if (o->only) {
		args[n++] = "--only";
		args[n++] = o->only;
	}
	if (asprintf(&records, "%s/records", dir) < 0)
		return complain(STATUS_ERROR, "no memory");
	fd = open(records, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	status = fd < 0 ? complain(STATUS_ERROR, "%s: %s", records, strerror(errno)) :
		 run(args, fd, in);
	if (fd >= 0)
		close(fd);
	return read_file(records, status, json);
}

/* One to a line for the job, to which an empty line would be an option, too. */
static char *job_options(const struct compare_xen_options *o)
{
	char *text = NULL;
	size_t length;

	if (asprintf(&text, "COMPARE=%s%s%s%s", o->quick ? "--quick\n" : o->all ? "--all\n" : "",
		     o->disk ? "--disk\n" : o->nic ? "--nic\n" : "",
		     o->only ? "--only\n" : "", o->only ? o->only : "") < 0)
		return NULL;
	length = strlen(text);
	if (text[length - 1] == '\n')
		text[length - 1] = '\0';
	return text;
}

static int read_kept(const char *dir, int status, json_t *json)
{
	autofree char *pattern = NULL;
	glob_t found = { 0 };

	if (asprintf(&pattern, "%s/boot.*/compare/records", dir) < 0 ||
	    glob(pattern, 0, NULL, &found))
		return status ? status : complain(STATUS_ERROR, "the job left no measurements in %s",
						  dir);
	status = read_file(found.gl_pathv[0], status, json);
	globfree(&found);
	return status;
}

/* The script's real place is in the source tree, or there is none. */
static int on_emulated(const char *script, const struct compare_xen_options *o,
		       const char *dir, struct interrupts *in, json_t *json)
{
	char real[PATH_MAX], build[PATH_MAX], runner[PATH_MAX + 32];
	autofree char *options = job_options(o);
	const char *args[] = { runner, "--build", build, "--keep", dir, "--env", options,
			       "--verbose", "compare", NULL };
	int status;

	if (!options || !realpath(script, real) || !realpath("/proc/self/exe", build))
		return complain(STATUS_ERROR, "%s: %s", script, strerror(errno));
	for (int i = 0; i < 3; i++)
		*strrchr(real, '/') = 0;
	/* libtool's program lies one directory deeper. */
	*strrchr(build, '/') = 0;
	if (strlen(build) > 6 && !strcmp(build + strlen(build) - 6, "/.libs"))
		build[strlen(build) - 6] = 0;
	snprintf(runner, sizeof(runner), "%s/tests/xenhost/run", real);
	if (access(runner, X_OK))
		return complain(STATUS_SKIPPED, "the Xen host under QEMU is part of the source "
				"tree (docs/xenhost.md): run paravane from where it was built");
	fprintf(stderr, "a Xen host boots under QEMU; all of it takes half an hour\n");
	status = run(args, STDERR_FILENO, in);
	return read_kept(dir, status, json);
}

/* To its end, whoever interrupts. */
static void remove_directory(const char *dir, const struct interrupts *in)
{
	const char *args[] = { "/bin/rm", "-rf", dir, NULL };
	pid_t pid = start(args, STDERR_FILENO, in);

	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static json_t *notes(const struct compare_xen_options *o)
{
	json_t *n = json_array();

	if (o->emulated)
		json_array_append_new(n, json_string(
			"The clock counts instructions: a nanosecond is one instruction of the "
			"emulated machine, on one CPU that Xen, dom0 and the guest share."));
	json_array_append_new(n, json_string(
		"exits, hypercalls, halts, notifications: from Xen's trace buffers (xentrace), in "
		"a run of their own; of a PV guest, exits are hypercalls and faults. CPU times: of "
		"domains as Xen counts them, of the back end's processes as dom0's kernel does."));
	return n;
}

int compare_on_xen(const struct compare_xen_options *o, const char *command, json_t **out)
{
	char script[PATH_MAX], dir[] = "/var/tmp/paravane-compare.XXXXXX";
	struct interrupts in;
	json_t *json;
	int status = compare_find_program("compare-xen", "tools/compare-xen/",
					  COMPAREXENDIR, script);

	*out = NULL;
	if (status)
		return status;
	if (!o->emulated && !compare_is_dom0())
		return complain(STATUS_SKIPPED, "this machine is not the dom0 of a Xen host; "
				"--on xenhost boots one under QEMU");
	interrupts_block(&in);
	if (!mkdtemp(dir)) {
		status = complain(STATUS_ERROR, "%s: %s", dir, strerror(errno));
		interrupts_restore(&in);
		return status;
	}
	json = compare_begin(o->emulated ? "xenhost" : "xen",
			     o->emulated ? "instructions" : "real", command);
	json_object_set_new(json, "notes", notes(o));
	if (o->emulated)
		begin_emulated(json);
	json_object_set_new(json, "rounds", json_integer(1));
	status = (o->emulated ? on_emulated : on_this)(script, o, dir, &in, json);
	remove_directory(dir, &in);
	interrupts_restore(&in);
	if (json_array_size(json_object_get(json, "results")))
		*out = json;
	else
		json_decref(json);
	return status;
}
