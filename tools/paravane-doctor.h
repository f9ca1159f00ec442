/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane doctor: what its checks share, and their findings.
 *
 * Hides: below which root a host's files are, how findings are kept. Must not know:
 * what is looked for. One thread.
 */
#ifndef PV_PARAVANE_DOCTOR_H
#define PV_PARAVANE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DOCTOR_NOTE is worth knowing; from DOCTOR_WARNING on there is something to do. */
enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_PROBLEM };

enum doctor_place {
	DOCTOR_NO_XEN,
	DOCTOR_LOCAL_XEN,	/* domains are processes; the kernel knows nothing of them */
	DOCTOR_DOM0,
	DOCTOR_DOMU,		/* a guest: perhaps a driver domain */
};

struct doctor_finding {
	const char *check;
	enum doctor_level level;
	char what[400], todo[400];	/* todo: empty when there is nothing to do */
};

#define DOCTOR_FINDINGS_MAX 64

/* What `xl info` says of the host; empty where it says nothing. */
struct doctor_xl {
	char version[64], command_line[1024];
};

struct doctor {
	const char *root;		/* "" or a directory in which a host's files are */
	enum doctor_place place;
	bool pv;			/* a PV domain, as far as the kernel says it */
	bool vbd3;			/* disks are served as kind vbd3 here, as far as can be seen */
	struct doctor_xl xl;
	struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
	size_t nr;
};

/* The next finding's check; then what it is, and what to do about it (or ""). */
void doctor_say(struct doctor *d, const char *check, enum doctor_level level,
		const char *what, ...) __attribute__((format(printf, 4, 5)));
void doctor_todo(struct doctor *d, const char *todo, ...)
	__attribute__((format(printf, 2, 3)));

/* Of a file below the root: its first line into buf, without its end. false: not there. */
bool doctor_line(const struct doctor *d, const char *path, char *buf, size_t bytes);
/* The number that is all of a file; missing if it is not there or no number. */
uint64_t doctor_number(const struct doctor *d, const char *path, uint64_t missing);
bool doctor_exists(const struct doctor *d, const char *path);
bool doctor_executable(const struct doctor *d, const char *path);
/* Calls fn for each line of a file, without its end, until it returns true; that. */
bool doctor_lines(const struct doctor *d, const char *path, bool (*fn)(const char *line, void *arg),
		  void *arg);
/* The number after "key" in a file of lines such as /proc/meminfo's. */
uint64_t doctor_keyed(const struct doctor *d, const char *path, const char *key,
		      uint64_t missing);
/* Calls fn for each name in a directory below the root until it returns true. */
bool doctor_each(const struct doctor *d, const char *path,
		 bool (*fn)(const struct doctor *d, const char *path, const char *name, void *arg),
		 void *arg);

/* The checks, in order. Each says one finding at least where it applies. */
void doctor_xen(struct doctor *d);
void doctor_kernel_back_ends(struct doctor *d);
void doctor_devices(struct doctor *d);
void doctor_store(struct doctor *d);
void doctor_installation(struct doctor *d);
void doctor_network(struct doctor *d);
void doctor_grants(struct doctor *d);
void doctor_memory(struct doctor *d);
void doctor_process(struct doctor *d);
void doctor_sandbox(struct doctor *d);

#endif
