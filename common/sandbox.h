/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's privileges, given up in three visible stages.
 *
 * Hides: prctl, rlimits, capabilities, namespaces, users, the filter of system calls.
 * Must not know: which program it is in, or what a device is. Called from main()'s
 * thread while it is the only one, in this order:
 *
 *   sandbox_early()		first thing in main()
 *   sandbox_before_loop()	every handle open, no guest memory touched yet
 *   sandbox_final()		at once after it; then guest memory, and threads
 *
 * All work without root and inside containers: what the environment does not permit is
 * left out, and the note to the supervisor says so. Each returns 0 or -errno; a worker that cannot
 * drop what it holds must not go on. Where s is NULL nothing is done: a worker may be a
 * thread of a test.
 *
 * Which system calls a list has is written beside the functions that make them, in
 * comments that common/sandbox-lists collects:
 *
 *   syscalls LIST, LIST: NAME NAME(RULE)
 *
 * LIST is disk, bridge, flip or nbd, which has what disk has and more; all, for the four; start, for calls that are over before
 * sandbox_final() or are the supervisor's, and are in no list. RULE narrows the call:
 *
 *   ioctl, fcntl	the one request that may be made
 *   mmap, mprotect	data: nothing that can be executed
 *   clone		thread: no process
 *   tgkill		self: no other process
 *   rt_sigaction	setxid: that signal alone
 *   sendto		connected: no address
 *   fallocate		hole: nothing but holes inside the file, which make none longer and take no room
 *   any call		absent: answered with ENOSYS, for what the C library then does instead
 */
#ifndef PV_SANDBOX_H
#define PV_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a call outside the list brings: --seccomp's words. */
enum sandbox_filter {
	SANDBOX_KILL,		/* the process's end, and a note that names the call */
	SANDBOX_LOG,		/* the kernel's audit log; the call is made */
	SANDBOX_OFF,		/* no filter at all */
};

/* A worker's user. */
struct sandbox_user {
	bool own;		/* of each process its own: SANDBOX_UID_BASE + process id */
	uid_t uid;		/* else these; 0: stays what it is */
	gid_t gid;
};

/*
 * No user of any system is here: systemd's UIDS-GIDS.md has the range down as unused.
 * Process ids are below 2^22, so that no two living processes share one.
 */
#define SANDBOX_UID_BASE 0x70000000u

struct sandbox {
	struct sandbox_user user;
	enum sandbox_filter filter;
};

/*
 * user: "own" or "UID:GID"; filter: "kill", "log" or "off"; NULL: the first of them.
 * -EINVAL: neither.
 */
int sandbox_parse(struct sandbox *s, const char *user, const char *filter);

/* Of such a process, the kernel's io_uring workers included; far more than any has. */
#define SANDBOX_THREADS_MAX 1024u

/* ---- lists, made from the notes ------------------------------------------------ */

enum sandbox_rule {
	SANDBOX_WHOLE, SANDBOX_REQUEST, SANDBOX_DATA, SANDBOX_THREAD, SANDBOX_SELF,
	SANDBOX_SETXID, SANDBOX_CONNECTED, SANDBOX_HOLE, SANDBOX_ABSENT,
};

struct sandbox_call {
	int nr;
	enum sandbox_rule rule;
	uint32_t value;		/* SANDBOX_REQUEST's */
};

struct sandbox_list {
	const struct sandbox_call *calls;
	size_t nr;
};

extern const struct sandbox_list sandbox_disk, sandbox_bridge, sandbox_flip, sandbox_nbd;

/* ---- the stages ---------------------------------------------------------------- */

/*
 * Should allow: everything that starting needs: opening devices and files,
 * receiving descriptors, reading configuration.
 * Mustn't allow: privileges by executing something, a core file or a debugger
 * of the same user that shows guest data; to be spared like its supervisor when the kernel
 * has no memory left.
 */
int sandbox_early(void);

/*
 * For who writes to no plain file, but into memory of files that it maps: before
 * sandbox_before_loop().
 * Should allow: devices, pipes, sockets.
 * Mustn't allow: a byte into a file by its descriptor, and so no room on any file system
 * (EFBIG, never a signal). Where stderr is a plain file, as when somebody tries the daemon by
 * hand, nothing is done: the log would end.
 */
int sandbox_write_no_files(void);

/*
 * Should allow: mapping grants, binding ports, I/O and locks on descriptors
 * already open, a few new ones (max_fds in all), starting threads.
 * Mustn't allow: anything only root may do: no capability stays; any file, process,
 * network interface or socket by its name: it is another user in a file system, a network
 * and a System V IPC of its own, all empty.
 */
int sandbox_before_loop(const struct sandbox *s, uint32_t max_fds);

/*
 * Should allow: what the list has.
 * Mustn't allow: any other system call. A call that this version does not know at all is
 * answered with ENOSYS, as by an older kernel, for newer C libraries' sake. sock: of the
 * supervisor, which gets a note now, and another if a call ends the process.
 */
int sandbox_final(const struct sandbox *s, const struct sandbox_list *list, int sock);

/* ---- what the supervisor hears --------------------------------------------------- */

#define SANDBOX_NOTE_MAGIC 0x42535650u	/* "PVSB": no message's version */

enum sandbox_layer {
	SANDBOX_HAS_USER = 1, SANDBOX_HAS_FILES = 2, SANDBOX_HAS_NETWORK = 4,
	SANDBOX_HAS_FILTER = 8, SANDBOX_HAS_NO_CAPABILITIES = 16,
};
#define SANDBOX_WHOLE_LAYERS 31u

/* A packet of its own on the worker's socket. */
struct sandbox_note {
	uint32_t magic;
	uint32_t refused;		/* value is a call that ended it; else layers */
	uint32_t value;			/* enum sandbox_layer's bits, or a call's number */
};

/* The layers as words, "user files network calls"; "none". */
void sandbox_describe(uint32_t layers, char *buf, size_t bytes);
/* "openat (257)". */
void sandbox_name_call(uint32_t nr, char *buf, size_t bytes);

#endif
