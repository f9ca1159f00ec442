/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filter of system calls (sandbox.h).
 *
 * Hides: libseccomp, how a call that was refused becomes the process's last word. Must
 * not know: which calls.
 *
 * A refused call is a SIGSYS (SECCOMP_RET_TRAP), so that its number can be told; it is
 * not made. The handler tells it and makes another such call: with SIGSYS blocked that is
 * the process's end at once. Whoever has taken the process over cannot put a handler of
 * his own in this one's place, since rt_sigaction is in no list, and with SIGSYS blocked
 * or in a thread without a stack the kernel ends the process without a word.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox-internal.h"

/* From where on all architectures number alike; up to where new calls may come. */
#define COMMON_NUMBERS 424
#define NUMBERS_MAX 512

/* glibc's, nptl/pthreadP.h: kept from programs, so no name for it is. */
#define SIGNAL_SETXID 33

static int last_word_sock;

/* ---- the last word -------------------------------------------------------------------- */

/* syscalls all: sendto(connected) */
static void on_refused(int signo, siginfo_t *si, void *context)
{
	struct sandbox_note note = {
		.magic = SANDBOX_NOTE_MAGIC, .refused = 1, .value = (uint32_t)si->si_syscall,
	};

	(void)signo, (void)context;
	send(last_word_sock, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
	sandbox_end();
}

void sandbox_name_call(uint32_t nr, char *buf, size_t bytes)
{
	char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), (int)nr);

	snprintf(buf, bytes, "%s (%u)", name ? name : "a system call", nr);
	free(name);
}

/* syscalls start: rt_sigaction rt_sigprocmask */
static int catch_refusals(int sock)
{
	struct sigaction sa = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO };
	sigset_t set;

	last_word_sock = sock;
	sigfillset(&sa.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &sa, NULL) || sigprocmask(SIG_UNBLOCK, &set, NULL))
		return -errno;
	return 0;
}

/* ---- the filter ------------------------------------------------------------------------ */

static int add_call(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
	const uint64_t low = UINT32_MAX;

	switch (c->rule) {
	case SANDBOX_WHOLE:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 0);
	case SANDBOX_REQUEST:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A1_64(SCMP_CMP_MASKED_EQ, low, c->value));
	case SANDBOX_DATA:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	case SANDBOX_THREAD:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	case SANDBOX_SELF:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A0_64(SCMP_CMP_MASKED_EQ, low, (uint64_t)getpid()));
	case SANDBOX_SETXID:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A0_64(SCMP_CMP_MASKED_EQ, low, SIGNAL_SETXID));
	case SANDBOX_CONNECTED:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A4_64(SCMP_CMP_EQ, 0));
	case SANDBOX_HOLE:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->nr, 1,
					SCMP_A1_64(SCMP_CMP_MASKED_EQ, low,
						   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
	case SANDBOX_ABSENT:
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), c->nr, 0);
	}
	return -EINVAL;
}

/*
 * What neither libseccomp nor we have heard of: a newer C library tries it and does
 * without.
 */
static int add_unknown(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (int nr = COMMON_NUMBERS; !rc && nr < NUMBERS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (!name)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
		free(name);
	}
	return rc;
}

/*
 * What the C library does by itself: memory, locks, threads, the end. Its first thread
 * brings a handler for one signal of its own.
 */
/* syscalls all: brk mmap(data) munmap mremap madvise mprotect(data) futex */
/* syscalls all: rt_sigaction(setxid) rt_sigprocmask rt_sigreturn restart_syscall */
/* syscalls all: set_robust_list rseq clone3(absent) exit exit_group */
/* syscalls all: getpid gettid tgkill(self) write writev */
static int fill(scmp_filter_ctx ctx, const struct sandbox_list *list)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; !rc && i < list->nr; i++)
		if (list->calls[i].nr >= 0)	/* else this kind of CPU has no such call */
			rc = add_call(ctx, &list->calls[i]);
	if (!rc)
		rc = add_unknown(ctx);
	return rc;
}

/* syscalls start: seccomp */
int sandbox_filter_calls(enum sandbox_filter filter, const struct sandbox_list *list, int sock)
{
	scmp_filter_ctx ctx;
	int rc;

	if (filter == SANDBOX_OFF || SANDBOX_SANITIZED)
		return 0;
	rc = catch_refusals(sock);
	if (rc)
		return rc;
	ctx = seccomp_init(filter == SANDBOX_KILL ? SCMP_ACT_TRAP : SCMP_ACT_LOG);
	if (!ctx)
		return -ENOMEM;
	rc = fill(ctx, list);
	if (!rc)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (!rc && filter == SANDBOX_KILL)
		sandbox_layers |= SANDBOX_HAS_FILTER;
	return rc;
}
