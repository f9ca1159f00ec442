/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill.h - ending the processes of a domain, or of a whole instance. */
#ifndef LX_KILL_H
#define LX_KILL_H

#include <sys/types.h>

#define LX_ALL_DOMAINS -1

/* A process that belongs, whatever its environment says, until it has ended. */
struct lx_known {
	pid_t pid;
	int pidfd;
};

struct lx_kill {
	const char *dir;
	int domid;
	pid_t spare;		/* 0: none */
	const struct lx_known *known;
	size_t nr_known;
};

/*
 * Kills (SIGKILL) every process that is known, or whose environment names this instance
 * and domain, and its descendants that name no other, until none is left; waits for
 * their deaths, for at most timeout_ms. Never the caller, nor spare; but, of all domains,
 * the children of spare, or of the caller if there is none to spare: it is to be the one
 * that the instance's orphans come to. Returns 0, or -ETIMEDOUT.
 */
int lx_kill_members(const struct lx_kill *k, int timeout_ms);

/* Removes a directory and all in it. */
void lx_remove_tree(const char *path);

#endif
