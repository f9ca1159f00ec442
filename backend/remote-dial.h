/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process of its own does for a supervisor before a disk behind a server can be
 * had: looking up a name, connecting, asking what an export is; or becoming a server.
 *
 * Hides: resolving, the protocol's beginning. Must not know: disks, rings, when it is
 * wanted. Each may take long or meet nonsense, and is killed for it without harm: so
 * they are no threads of the supervisor.
 */
#ifndef PV_REMOTE_DIAL_H
#define PV_REMOTE_DIAL_H

#include "sandbox.h"
#include "worker.h"

/* Answers on sock with DIALED or FAILED. Returns the process's status. */
int remote_dial(int sock, const struct sandbox *sandbox, const struct worker_dial *dial);
/*
 * Executes the command; its output goes to sock, and it ends when the supervisor does.
 * Returns only if it cannot, after it has said why on sock.
 */
int remote_exec(int sock, const struct storage_command *command);

#endif
