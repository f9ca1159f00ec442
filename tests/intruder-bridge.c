/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bridge's worker with an intruder in it (intruder.h), who also has the descriptors that come
 * with an interface.
 *
 * Hides: how they are got hold of. Must not know: the worker.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "intruder.h"
#include "netback.h"

uint32_t __real_netback_pass(struct netback *nb, uint64_t now_us);
uint32_t __wrap_netback_pass(struct netback *nb, uint64_t now_us);
int __real_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *port,
			   char *why, size_t why_bytes);
int __wrap_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *port,
			   char *why, size_t why_bytes);

#define MUCH (64l << 20)

static int journal;

static long reserve_room(void)
{
	return syscall(SYS_fallocate, journal, 0, 0, MUCH) ? -errno : 0;
}

/* What is there stays as it is, should it succeed. */
static long write_file(void)
{
	return write(journal, "", 1) < 0 ? -errno : 0;
}

int __wrap_netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *port,
			   char *why, size_t why_bytes)
{
	journal = cfg->journal_fd;
	if (!intruder_dies()) {
		intruder_try("reserve room by a journal", false, reserve_room);
		intruder_try("write a journal by its descriptor", true, write_file);
	}
	return __real_netback_add_vif(nb, cfg, port, why, why_bytes);
}

uint32_t __wrap_netback_pass(struct netback *nb, uint64_t now_us)
{
	static int once;

	if (!once++)
		intruder_run();
	return __real_netback_pass(nb, now_us);
}
