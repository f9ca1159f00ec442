/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bridge's worker that switches nothing: it keeps the supervisor's protocol, or
 * breaks it as $PV_STUB says, and notes what it is told in $PV_STUB_NOTES.
 *
 *	(nothing)	keeps the protocol	refuse	refuses every port
 *	closed		refuses at OPEN		broken	BROKEN after ADDED
 *	crash		ends after ADDED	deaf	does not hear REMOVE
 *	dies		ends instead
 *	flip-ended	FLIP_ENDED, thrice, after ADDED, of uplinks too
 *	garbage		no message, after ADDED	short	refuses every port, for want of room
 *	removes		REMOVED, after ADDED	regrets	REFUSED, after ADDED
 *
 * A vif's journal is marked, and "again" noted when it was. An address is refused, as of a switch, to the second who comes with it.
 *
 * Must not know: rings.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bridge.h"
#include "util.h"

static const char *stub = "";
static char name[VIF_NAME_BYTES];

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
	const char *path = getenv("PV_STUB_NOTES");
	char line[200];
	va_list ap;
	int n, fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		exit(1);
	close(fd);
}

static void say_error(uint32_t type, uint32_t port, int err, const char *reason)
{
	struct bridge_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.version = BRIDGE_VERSION;
	msg.type = type;
	msg.port = port;
	if (reason) {
		msg.failure.err = err;
		snprintf(msg.failure.reason, sizeof(msg.failure.reason), "%s", reason);
	}
	bridge_send(BRIDGE_FD, &msg, -1);
}

static void say(uint32_t type, uint32_t port, const char *reason)
{
	say_error(type, port, EPROTO, reason);
}

/* Who takes part, by its only address. */
static struct {
	uint32_t id;			/* 0: nobody */
	uint8_t mac[VSWITCH_MAC_BYTES];
} ports[8];

static void set_mac(uint32_t find, uint32_t id, const struct vswitch_port_config *port)
{
	static const uint8_t none[VSWITCH_MAC_BYTES];
	const uint8_t *mac = port && !port->any_source ? port->mac : none;

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (ports[i].id == find) {
			ports[i].id = id;
			memcpy(ports[i].mac, mac, sizeof(ports[i].mac));
			return;
		}
}

static bool is_taken(const struct vswitch_port_config *port)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]) && !port->any_source; i++)
		if (ports[i].id && !memcmp(ports[i].mac, port->mac, sizeof(ports[i].mac)))
			return true;
	return false;
}

static void added(uint32_t port)
{
	say(BRIDGE_ADDED, port, NULL);
	for (int i = 0; i < 3 && !strcmp(stub, "flip-ended"); i++)
		say(BRIDGE_FLIP_ENDED, port, "it takes none");
}

/* Whether another worker has had this journal; it has now. */
static bool was_used(int journal)
{
	char mark = 0;

	if (pread(journal, &mark, 1, 0) == 1 && mark)
		return true;
	if (pwrite(journal, "x", 1, 0) != 1)
		exit(1);
	return false;
}

static void add(const struct bridge_msg *msg, int journal)
{
	note("%s add %u/%u%s\n", name, msg->vif.domid, msg->vif.devid,
	     was_used(journal) ? " again" : "");
	if (!strcmp(stub, "dies"))
		exit(9);
	if (is_taken(&msg->vif.port)) {
		say_error(BRIDGE_REFUSED, msg->port, EADDRINUSE, "it is taken");
		return;
	}
	set_mac(0, msg->port, &msg->vif.port);
	if (!strcmp(stub, "refuse")) {
		say(BRIDGE_REFUSED, msg->port, "its ring cannot be mapped");
		return;
	}
	if (!strcmp(stub, "short")) {
		say_error(BRIDGE_REFUSED, msg->port, ENOSPC, "there is no room for its ring");
		return;
	}
	added(msg->port);
	if (!strcmp(stub, "crash"))
		exit(9);
	if (!strcmp(stub, "garbage") && write(BRIDGE_FD, "garbage", 7) != 7)
		exit(1);
	if (!strcmp(stub, "removes"))
		say(BRIDGE_REMOVED, msg->port, NULL);
	if (!strcmp(stub, "regrets"))
		say(BRIDGE_REFUSED, msg->port, "it has been added");
	if (!strcmp(stub, "broken"))
		say(BRIDGE_BROKEN, msg->port, "its tx ring is nonsense");
}

static void act(const struct bridge_msg *msg, int fd)
{
	switch (msg->type) {
	case BRIDGE_ADD_VIF:
		add(msg, fd);
		break;
	case BRIDGE_ADD_UPLINK:
		added(msg->port);
		break;
	case BRIDGE_SET_PORT:
		set_mac(msg->port, msg->port, &msg->set);
		note("%s set mode %d vlan %u isolated %d\n", name, msg->set.mode,
		     msg->set.vlan, msg->set.isolated);
		break;
	case BRIDGE_SET_RATE:
		note("%s rate %llu/%u\n", name, (unsigned long long)msg->rate.bytes,
		     msg->rate.usec);
		break;
	case BRIDGE_SET_MULTICAST:
		note("%s multicast %d\n", name, msg->on);
		break;
	case BRIDGE_CONFIGURE:
		note("%s ageing %u\n", name, msg->configure.ageing_ms);
		break;
	case BRIDGE_REMOVE:
		note("%s remove\n", name);
		set_mac(msg->port, 0, NULL);
		if (strcmp(stub, "deaf"))
			say(BRIDGE_REMOVED, msg->port, NULL);
		break;
	case BRIDGE_STOP:
		note("%s stop\n", name);
		say(BRIDGE_STOPPED, BRIDGE_ITSELF, NULL);
		exit(0);
	}
}

int main(void)
{
	struct bridge_msg msg;
	int fd;

	if (getenv("PV_STUB"))
		stub = getenv("PV_STUB");
	signal(SIGTERM, SIG_IGN);
	if (bridge_receive(BRIDGE_FD, &msg, &fd) || msg.type != BRIDGE_OPEN)
		return 1;
	snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, msg.open.name);
	if (!strcmp(stub, "closed")) {
		say(BRIDGE_REFUSED, BRIDGE_ITSELF, "there is no grant device");
		return 1;
	}
	say(BRIDGE_READY, BRIDGE_ITSELF, NULL);
	while (!bridge_receive(BRIDGE_FD, &msg, &fd)) {
		act(&msg, fd);
		close_fd(&fd);
	}
	return 0;
}
