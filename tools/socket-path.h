/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The place of a Unix socket that a program is about to serve at.
 *
 * Hides: how a socket that a killed server left is told from one that is served, and from
 * what is no socket. Must not know: what is served, output.
 */
#ifndef PV_SOCKET_PATH_H
#define PV_SOCKET_PATH_H

/*
 * Removes a socket that nobody listens on; nothing else is ever removed. NULL: bind(2) may
 * make one there; else why not, in words that are valid until the next call of strerror(3).
 */
const char *socket_path_clear(const char *path);

#endif
