/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The states of a device's two ends, and the error node.
 *
 * Hides: which change is legal for which end, that a late write must not
 * recreate a removed directory, where people look for the reason. Must not
 * know: which keys a kind of device has, stdio. Runs without an operating
 * system.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "xenbus-internal.h"

#define NR_STATES (XenbusStateReconfigured + 1)

const char *xenbus_state_name(XenbusState state)
{
	static const char *const name[NR_STATES] = {
		[XenbusStateUnknown] = "Unknown",
		[XenbusStateInitialising] = "Initialising",
		[XenbusStateInitWait] = "InitWait",
		[XenbusStateInitialised] = "Initialised",
		[XenbusStateConnected] = "Connected",
		[XenbusStateClosing] = "Closing",
		[XenbusStateClosed] = "Closed",
		[XenbusStateReconfiguring] = "Reconfiguring",
		[XenbusStateReconfigured] = "Reconfigured",
	};

	return (unsigned)state < NR_STATES ? name[state] : name[XenbusStateUnknown];
}

XenbusState xenbus_read_state(struct xs_handle *xs, const char *dir)
{
	uint32_t state;

	if (xenbus_read_u32(xs, XBT_NULL, dir, KEY_STATE, NR_STATES - 1, &state, NULL))
		return XenbusStateUnknown;
	return (XenbusState)state;
}

/*
 * What may follow each state, a bit per state. Unknown is a node that is
 * missing or garbage, from which anything may be made that can be made of
 * Initialising. The tool stack's writes count as the side's own: 1 into both
 * at creation, 5 into the back end's at any time to detach.
 */
#define TO(state) (1u << XenbusState##state)

static const uint16_t back_may[NR_STATES] = {
	[XenbusStateUnknown] = TO(Initialising) | TO(InitWait) | TO(Initialised) |
		TO(Closing) | TO(Closed),
	[XenbusStateInitialising] = TO(InitWait) | TO(Initialised) |
		TO(Closing) | TO(Closed),
	[XenbusStateInitWait] = TO(Initialised) | TO(Connected) |
		TO(Closing) | TO(Closed),
	[XenbusStateInitialised] = TO(Connected) | TO(Closing) | TO(Closed),
	[XenbusStateConnected] = TO(Closing) | TO(Closed) |
		TO(Reconfiguring) | TO(Reconfigured),
	[XenbusStateClosing] = TO(Closed),
	/* The front end returned to Initialising: back to InitWait, or by way
	 * of Initialising. */
	[XenbusStateClosed] = TO(Initialising) | TO(InitWait) | TO(Closing),
	[XenbusStateReconfiguring] = TO(Reconfigured) | TO(Closing) | TO(Closed),
	[XenbusStateReconfigured] = TO(Connected) | TO(Closing) | TO(Closed),
};

static const uint16_t front_may[NR_STATES] = {
	[XenbusStateUnknown] = TO(Initialising) | TO(Initialised) | TO(Connected) |
		TO(Closing) | TO(Closed),
	/* Linux goes to Initialised; mini-os and QEMU's peers straight on. */
	[XenbusStateInitialising] = TO(Initialised) | TO(Connected) |
		TO(Closing) | TO(Closed),
	/* Some wait in InitWait for the back end; none is known to write it. */
	[XenbusStateInitWait] = TO(Initialised) | TO(Connected) |
		TO(Closing) | TO(Closed),
	[XenbusStateInitialised] = TO(Connected) | TO(Closing) | TO(Closed),
	/* GRUB closes without Closing. */
	[XenbusStateConnected] = TO(Closing) | TO(Closed) | TO(Reconfiguring),
	[XenbusStateClosing] = TO(Closed),
	/* mini-os, GRUB's kernel, a reloaded driver: the device comes back. */
	[XenbusStateClosed] = TO(Initialising),
	[XenbusStateReconfiguring] = TO(Connected) | TO(Closing) | TO(Closed),
	[XenbusStateReconfigured] = TO(Connected) | TO(Closing) | TO(Closed),
};

bool xenbus_may_change(enum xenbus_side side, XenbusState from, XenbusState to)
{
	const uint16_t *may = side == XENBUS_BACKEND ? back_may : front_may;

	if ((unsigned)from >= NR_STATES || (unsigned)to >= NR_STATES)
		return false;
	if (to == XenbusStateUnknown)
		return false;
	return from == to || may[from] & 1u << to;
}

struct state_write {
	const char *nodename;
	XenbusState from, to;
};

/*
 * The tool stack has spoken since we looked: a new device, or a detach. Our 2
 * or 4 must not hide it; 5 and 6 are on the way there.
 */
int xenbus_refuse_overtaken(struct xs_handle *xs, xs_transaction_t t,
			    const char *nodename, XenbusState from)
{
	uint32_t node;
	int rc = xenbus_read_u32(xs, t, nodename, KEY_STATE, NR_STATES - 1, &node, NULL);

	if (rc)
		return rc == -ENOENT || rc == -EINVAL ? 0 : rc;
	if (node == from)
		return 0;
	return node == XenbusStateInitialising || node == XenbusStateClosing ?
		-EAGAIN : 0;
}

static int write_state(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct state_write *w = arg;
	int rc = xenbus_need_dir(xs, t, w->nodename);

	if (!rc && w->to != XenbusStateClosing && w->to != XenbusStateClosed)
		rc = xenbus_refuse_overtaken(xs, t, w->nodename, w->from);
	if (!rc)
		rc = xenbus_write_u64(xs, t, w->nodename, KEY_STATE, w->to);
	return rc;
}

int xenbus_switch_state(struct xenbus_device *dev, XenbusState to)
{
	struct state_write w = { .nodename = dev->nodename, .from = dev->state,
				 .to = to };
	int rc;

	xenbus_assert(xenbus_may_change(dev->side, dev->state, to));
	rc = xenbus_transact(dev->xs, write_state, &w);
	if (!rc)
		dev->state = to;
	return rc;
}

/* ---- the reason, for people ----------------------------------------------- */

/*
 * /local/domain/N/PATH -> /local/domain/N/error/PATH. -EINVAL: dir is not
 * below a domain.
 */
int xenbus_error_dir(char *buf, size_t bytes, const char *dir)
{
	const size_t base = strlen(DIR_LOCAL_DOMAIN "/");
	char domain[XENBUS_PATH_BYTES];
	size_t n;

	if (strncmp(dir, DIR_LOCAL_DOMAIN "/", base))
		return -EINVAL;
	for (n = base; dir[n] && dir[n] != '/'; n++)
		;
	if (n == base || !dir[n] || n >= sizeof(domain))
		return -EINVAL;
	memcpy(domain, dir, n);
	domain[n] = '\0';
	return xenbus_text(buf, bytes, "%s/" DIR_ERROR "%s", domain, dir + n);
}

/* What is below error/ belongs to one end alone: the other could not read it. */
static int let_otherend_read(struct xenbus_device *dev, const char *dir)
{
	struct xs_permissions perms[] = {
		{ .id = dev->domid, .perms = XS_PERM_NONE },
		{ .id = dev->otherend_id, .perms = XS_PERM_READ },
	};
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dir, KEY_ERROR);

	if (rc)
		return rc;
	errno = 0;
	return xs_set_permissions(dev->xs, XBT_NULL, path, perms, 2) ?
		0 : xenbus_store_error();
}

int xenbus_write_error(struct xenbus_device *dev, int err, const char *text)
{
	char dir[XENBUS_NODE_BYTES], value[XENBUS_TEXT_BYTES * 2];
	int rc;

	rc = xenbus_error_dir(dir, sizeof(dir), dev->nodename);
	if (!rc)
		rc = xenbus_text(value, sizeof(value), "%u %s",
				 (uint64_t)(uint32_t)err, text);
	if (!rc)
		rc = xenbus_write_text(dev->xs, XBT_NULL, dir, KEY_ERROR, value);
	return rc ? rc : let_otherend_read(dev, dir);
}

int xenbus_clear_error(struct xenbus_device *dev)
{
	char dir[XENBUS_NODE_BYTES];
	int rc = xenbus_error_dir(dir, sizeof(dir), dev->nodename);

	if (rc)
		return rc;
	return xenbus_remove(dev->xs, XBT_NULL, "", dir);
}

/* The peer's words: shortened when they are longer, and plain text. */
int xenbus_read_error(struct xs_handle *xs, const char *dir, char *buf, size_t bytes)
{
	char path[XENBUS_NODE_BYTES];
	unsigned int len;
	char *value;
	int rc = xenbus_error_dir(path, sizeof(path), dir);

	if (!rc)
		rc = xenbus_read_raw(xs, XBT_NULL, path, KEY_ERROR, &value, &len);
	if (rc)
		return rc;
	xenbus_show(buf, bytes, value, len);
	free(value);
	return 0;
}
