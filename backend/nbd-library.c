/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd-library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include "util.h"

struct nbd_library libnbd;

/* syscalls start: openat */
/* Whole at once: what it would look up later the sandbox does not let it. */
int nbd_library_load(char *why, size_t why_bytes)
{
#define NAMED(name) { "nbd_" #name, (void **)(void *)&libnbd.name },
	const struct {
		const char *name;
		void **to;
	} functions[] = { NBD_LIBRARY(NAMED) };
	static void *library;
	size_t found = 0;

	if (!library)
		library = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
	while (library && found < ARRAY_LEN(functions)) {
		*functions[found].to = dlsym(library, functions[found].name);
		if (!*functions[found].to)
			break;
		found++;
	}
	if (found == ARRAY_LEN(functions))
		return 0;
	snprintf(why, why_bytes, "images behind a server need libnbd (Debian package libnbd0): %s",
		 dlerror());
	return -ENOENT;
}
