/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox's own parts. Must not be included by anything else.
 */
#ifndef PV_SANDBOX_INTERNAL_H
#define PV_SANDBOX_INTERNAL_H

#include "sandbox.h"

/*
 * The sanitizers read files and trace the process when they report, and make calls of
 * their own: their builds keep the file system, the user and all system calls.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

/* Bits of enum sandbox_layer: what has been done so far. */
extern uint32_t sandbox_layers;

/* What is not permitted here is left out. Other -errno: half of it is done. */
int sandbox_leave_host(const struct sandbox_user *user);
/* -errno of libseccomp; a kernel without filters is an error too, unless asked for none. */
int sandbox_filter_calls(enum sandbox_filter filter, const struct sandbox_list *list, int sock);
/* From the handler: a call that no list has, while SIGSYS is blocked. */
void sandbox_end(void) __attribute__((noreturn));

#endif
