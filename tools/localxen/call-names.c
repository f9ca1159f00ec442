/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call-names.c - the names of the calls that can be made to fail, for the
 * command line and for what local Xen prints. Knows nothing else.
 */
#include <stddef.h>
#include "localxen.h"

static const char *const names[LX_CALL_MAX] = {
	[LX_CALL_MAP] = "map",
	[LX_CALL_UNMAP] = "unmap",
	[LX_CALL_COPY] = "copy",
	[LX_CALL_SHARE] = "share",
	[LX_CALL_UNSHARE] = "unshare",
	[LX_CALL_ALLOC] = "alloc",
	[LX_CALL_BIND] = "bind",
	[LX_CALL_VIRQ] = "virq",
	[LX_CALL_UNBIND] = "unbind",
	[LX_CALL_NOTIFY] = "notify",
	[LX_CALL_PENDING] = "pending",
	[LX_CALL_UNMASK] = "unmask",
	[LX_CALL_OPEN] = "open",
	[LX_CALL_FOREIGN] = "foreign-map",
	[LX_CALL_XENCALL] = "xencall",
	[LX_CALL_TRANSFER] = "transfer",
	[LX_CALL_INCREASE] = "increase",
	[LX_CALL_DECREASE] = "decrease",
	[LX_CALL_STORE_READ] = "store-read",
	[LX_CALL_STORE_WRITE] = "store-write",
	[LX_CALL_STORE_MKDIR] = "store-mkdir",
	[LX_CALL_STORE_RM] = "store-rm",
	[LX_CALL_STORE_DIRECTORY] = "store-directory",
	[LX_CALL_STORE_PERMS] = "store-perms",
	[LX_CALL_STORE_WATCH] = "store-watch",
	[LX_CALL_STORE_TRANSACTION] = "store-transaction",
};

const char *lx_call_name(enum lx_call call)
{
	return (unsigned)call < LX_CALL_MAX ? names[call] : NULL;
}
