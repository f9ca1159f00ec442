/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill.h - ending the processes of a domain, or of a whole instance. */
#ifndef LX_KILL_H
#define LX_KILL_H

#include <sys/types.h>

#define LX_ALL_DOMAINS -1

/*
 * Kills (SIGKILL) every process whose environment names this instance and
 * domain, and its descendants that name no other, until none is left; waits for
 * their deaths, for at most timeout_ms. Never the caller, nor spare (0: none).
 * Returns 0, or -ETIMEDOUT.
 */
int lx_kill_members(const char *dir, int domid, pid_t spare, int timeout_ms);

/* Removes a directory and all in it. */
void lx_remove_tree(const char *path);

#endif
