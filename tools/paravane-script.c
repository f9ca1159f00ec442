/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's hotplug script (see paravane-script.h).
 *
 * Hides: the child process. Must not know: what scripts do.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "paravane-deadline.h"
#include "paravane-script.h"
#include "util.h"
#include "vif.h"

#define SCRIPT_DIR "/etc/xen/scripts/"
#define LOOK_EVERY_MS 5

/* Path relative to this domain, as scripts expect it. */
static const char *relative_path(const struct inventory_device *dev)
{
	const char *at = strstr(dev->back_dir, "/backend/");

	return at ? at + 1 : dev->back_dir;
}

/* The name that an interface of the kernel's back end would have. */
static void set_nic_environment(struct xs_handle *xs, const struct inventory_device *dev)
{
	struct vif_toolstack ts;

	if (vif_read_toolstack(xs, dev->back_dir, &ts, NULL))
		return;
	setenv("vif", ts.vifname, 1);
	setenv("netdev", "", 1);
}

static int spawn_script(struct xs_handle *xs, const char *script, const char *verb,
			const struct inventory_device *dev, pid_t *pid)
{
	char *argv[] = { (char *)script, (char *)verb, is_nic(dev->kind) ? "type_if=vif" : NULL,
			 NULL };
	extern char **environ;

	setenv("XENBUS_PATH", relative_path(dev), 1);
	setenv("XENBUS_TYPE", dev->kind, 1);
	setenv("XENBUS_BASE_PATH", "backend", 1);
	setenv("script", script, 1);
	if (is_nic(dev->kind))
		set_nic_environment(xs, dev);
	return -posix_spawn(pid, script, NULL, NULL, argv, environ);
}

static int run_script(struct xs_handle *xs, const char *name, const char *verb,
		      const struct inventory_device *dev, char *why, size_t why_bytes)
{
	char script[512], words[512];
	int status = 0, ret;
	pid_t pid;

	snprintf(script, sizeof(script), "%s%s", strchr(name, '/') ? "" : SCRIPT_DIR, name);
	ret = spawn_script(xs, script, verb, dev, &pid);
	if (ret < 0) {
		snprintf(why, why_bytes, "hotplug script %s: %s", script, strerror(-ret));
		return ret;
	}
	ret = deadline_wait_child(pid, &status);
	if (ret == -ETIMEDOUT) {
		snprintf(why, why_bytes, "hotplug script %s %s: not done after %d s; killed",
			 script, verb, DEADLINE_SCRIPT_MS / 1000);
		return -ECHILD;
	}
	if (ret < 0) {
		snprintf(why, why_bytes, "hotplug script %s %s: %s", script, verb, strerror(-ret));
		return ret;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		snprintf(why, why_bytes, "hotplug script %s %s: ended by signal %d", script,
			 verb, WTERMSIG(status));
	else if (inventory_script_error(xs, dev, words, sizeof(words)) == 0)
		snprintf(why, why_bytes, "hotplug script %s %s: %s", script, verb, words);
	else
		snprintf(why, why_bytes, "hotplug script %s %s: exit status %d", script,
			 verb, WEXITSTATUS(status));
	return -ECHILD;
}

static int wait_init_wait(struct store *store, const struct inventory_device *dev,
			  int timeout_ms, char *why, size_t why_bytes)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
	uint64_t deadline_ms = now_ms() + (uint64_t)timeout_ms;
	struct toolstack_view view = { 0 };
	bool closing;
	int ret;

	for (;;) {
		ret = toolstack_look(store->xs, dev->backend_domid, dev->kind, dev->domid,
				     dev->devid, &view);

		closing = view.back == XenbusStateClosing || view.back == XenbusStateClosed;
		if (!ret && view.back >= XenbusStateInitWait && !closing && !view.back_error[0])
			return 0;
		ret = ret < 0 || closing || view.back_error[0] ? -ECHILD :
		      now_ms() >= deadline_ms ? -ETIMEDOUT : 0;
		if (ret)
			break;
		nanosleep(&pause, NULL);
	}
	waits_for(store, dev, &view, why, why_bytes);
	return ret;
}

int script_add(struct store *store, const struct inventory_device *dev, int timeout_ms,
	       bool *started, char *why, size_t why_bytes)
{
	char script[256];
	int ret = inventory_script(store->xs, dev, script, sizeof(script));

	*started = false;
	if (ret < 0) {
		snprintf(why, why_bytes, "the device's script is not in XenStore: %s",
			 strerror(-ret));
		return ret;
	}
	ret = wait_init_wait(store, dev, timeout_ms, why, why_bytes);
	if (ret < 0)
		return ret;
	*started = true;
	if (!hotplug_pending(store, dev))	/* another's was faster */
		return 0;
	return run_script(store->xs, script, is_nic(dev->kind) ? "online" : "add", dev, why,
			  why_bytes);
}

int script_remove(struct store *store, const struct inventory_device *dev, char *why,
		  size_t why_bytes)
{
	char script[256];

	if (inventory_script(store->xs, dev, script, sizeof(script)) < 0)
		return 0;
	return run_script(store->xs, script, is_nic(dev->kind) ? "offline" : "remove", dev, why,
			  why_bytes);
}
