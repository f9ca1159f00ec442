/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the supervisors, whose workers are in a guest's hands and say what they
 * like, and whose control socket has clients that do so too.
 *
 * (hostile.md: WORKER-1, WORKER-2, WORKER-3.) process.h is played here: a worker is the other end of a socket. What must hold: each
 * event of a port or a disk's worker comes at most once, gone and ended are the last;
 * nobody waits for a worker that does not read; no descriptor stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bridge-control.h"
#include "bridge-serve.h"
#include "control.h"
#include "fuzz.h"
#include "process.h"
#include "supervise.h"

#define STEPS_MAX 200u
#define PORTS 6u
#define DISKS 2u
#define CLIENTS 3u

/* ---- processes ------------------------------------------------------------------------ */

struct process {
	struct process *next;
	int sock, theirs;
	const struct process_events *events;
	void *arg;
	bool deaf;			/* heard has returned false */
	bool silent;			/* reads nothing */
};

static struct process *processes;

int process_open(struct evloop *loop, const struct process_options *o,
		 const struct process_events *events, void *arg, struct process **out)
{
	struct process *p = calloc(1, sizeof(*p));
	int pair[2];

	(void)loop, (void)o;
	FUZZ_NEED(p && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	FUZZ_NEED(!fcntl(pair[0], F_SETFL, O_NONBLOCK) && !fcntl(pair[1], F_SETFL, O_NONBLOCK));
	*p = (struct process){ .next = processes, .sock = pair[0], .theirs = pair[1],
			       .events = events, .arg = arg };
	processes = p;
	*out = p;
	return 0;
}

int process_start(struct process *p, const struct process_options *o)
{
	(void)p, (void)o;
	return 0;
}

/* Nothing is left to these supervisors by a version before. */
int process_adopt(struct evloop *loop, pid_t pid, int sock, uint32_t stop_ms,
		  const struct process_events *events, void *arg, struct process **out)
{
	(void)loop, (void)pid, (void)sock, (void)stop_ms, (void)events, (void)arg, (void)out;
	return -ECHILD;
}

int process_sock(const struct process *p)
{
	return p->sock;
}

bool process_take_note(struct process *p)
{
	(void)p;
	return false;
}

const char *process_sandbox(const struct process *p)
{
	(void)p;
	return "";
}

pid_t process_pid(const struct process *p)
{
	(void)p;
	return 0;
}

int process_status(const struct process *p)
{
	(void)p;
	return 0;
}

void process_stopping(struct process *p)
{
	(void)p;
}

void process_hang_up(struct process *p)
{
	(void)p;
}

/* Its end comes when the input says so (worker_ends). */
void process_kill(struct process *p)
{
	(void)p;
}

void process_leave(struct process *p, uint32_t ms)
{
	(void)p, (void)ms;
}

void process_free(struct process *p)
{
	struct process **at = &processes;

	if (!p)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	close(p->sock);
	close(p->theirs);
	free(p);
}

static struct process *some_process(uint8_t which)
{
	struct process *p = processes;

	for (which %= 4; which && p && p->next; which--)
		p = p->next;
	return p;
}

/* What is there is heard, and what was said to it read, unless it does not read. */
static void turn(struct process *p)
{
	struct pollfd fd = { .fd = p->sock, .events = POLLIN };
	char told[4096];

	while (!p->silent && recv(p->theirs, told, sizeof(told), 0) > 0)
		;
	if (!p->deaf && poll(&fd, 1, 0) > 0)
		p->deaf = !p->events->heard(p->arg, p->sock);
}

/* ---- the supervisors' sides ------------------------------------------------------------ */

struct port {
	struct bridge_port *port;	/* NULL: there is none */
	bool added, flip_ended;
};

struct disk {
	struct worker *worker;
	bool ready, ended;
};

static struct {
	struct evloop *loop;
	struct bridges *bridges;
	struct bridge_control *control;
	struct port ports[PORTS];
	struct disk disks[DISKS];
	int clients[CLIENTS];
	uint32_t next_id;
} w;

static void on_added(void *arg)
{
	struct port *p = arg;

	FUZZ_NEED(p->port && !p->added);
	p->added = true;
}

static void on_flip_ended(void *arg, const struct failure *why)
{
	struct port *p = arg;

	FUZZ_NEED(p->port && !p->flip_ended);
	FUZZ_NEED(memchr(why->reason, 0, sizeof(why->reason)));
	p->flip_ended = true;
}

static void on_gone(void *arg, const struct failure *why)
{
	struct port *p = arg;

	FUZZ_NEED(p->port);
	FUZZ_NEED(!why || memchr(why->reason, 0, sizeof(why->reason)));
	bridge_port_free(p->port);
	memset(p, 0, sizeof(*p));
}

static const struct bridge_port_events port_events = { on_added, on_gone, on_flip_ended };
static const struct bridge_port_events uplink_events = { on_added, on_gone, NULL };

static void on_ready(void *arg, const char *engine)
{
	struct disk *d = arg;

	FUZZ_NEED(!d->ready && !d->ended && strlen(engine) < 32);
	d->ready = true;
}

static void on_resized(void *arg, uint64_t sectors)
{
	struct disk *d = arg;

	(void)sectors;
	FUZZ_NEED(!d->ended);
}

static void on_link(void *arg, uint32_t type, const struct worker_link *link)
{
	struct disk *d = arg;

	FUZZ_NEED(!d->ended && (type == WORKER_LINKED || type == WORKER_LOST));
	FUZZ_NEED(memchr(link->failure.reason, 0, sizeof(link->failure.reason)));
}

static void on_ended(void *arg, const struct worker_report *r)
{
	struct disk *d = arg;

	FUZZ_NEED(d->worker && !d->ended);
	FUZZ_NEED(memchr(r->failure.reason, 0, sizeof(r->failure.reason)));
	worker_free(d->worker);
	memset(d, 0, sizeof(*d));
}

static void on_prepared(void *arg)
{
	struct disk *d = arg;

	FUZZ_NEED(!d->ended);
}

static const struct worker_events disk_events = {
	.prepared = on_prepared, .waits = on_prepared, .ready = on_ready, .resized = on_resized,
	.link = on_link, .ended = on_ended,
};

static void nothing(void *arg)
{
	(void)arg;
}

/* ---- steps --------------------------------------------------------------------------- */

static const char *const names[] = { "br0", "br1", "br2", "" };

static void join(struct fuzz_in *in, bool uplink)
{
	struct port *p = &w.ports[fuzz_u8(in) % PORTS];
	const char *name = names[fuzz_u8(in) % 3];
	struct bridge_uplink up = { .name = "tap0" };
	struct bridge_vif vif = { .domid = 1 + fuzz_u8(in) % 4 };
	int rc;

	if (p->port)
		return;
	vif.port.mac[5] = (uint8_t)vif.domid;
	rc = uplink ? bridges_join_uplink(w.bridges, name, &up, 2, &uplink_events, p, &p->port) :
		      bridges_join(w.bridges, name, &vif, -1, -1, &port_events, p, &p->port);
	FUZZ_NEED(!rc || !p->port);
}

static void use_port(struct fuzz_in *in)
{
	struct port *p = &w.ports[fuzz_u8(in) % PORTS];
	struct vswitch_port_config cfg = { .any_source = true };
	struct bridge_rate rate = { 1000, 1000 };
	struct bridge_port *port = p->port;

	if (!port)
		return;
	switch (fuzz_u8(in) % 6) {
	case 0: bridge_port_leave(port); break;
	case 1: memset(p, 0, sizeof(*p)); bridge_port_free(port); break;
	case 2: bridge_port_set(port, &cfg); break;
	case 3: bridge_port_set_rate(port, &rate); break;
	case 4: bridge_port_set_multicast(port, true); break;
	default: bridge_port_pid(port); bridge_port_sandbox(port);
	}
}

/* A message of a bridge's worker or a disk's: of any type, about any port, of any content. */
static void worker_says(struct fuzz_in *in)
{
	static const uint8_t types[] = {
		BRIDGE_READY, BRIDGE_ADDED, BRIDGE_REFUSED, BRIDGE_REMOVED, BRIDGE_BROKEN,
		BRIDGE_COUNTED, BRIDGE_LISTED, BRIDGE_CAPTURED, BRIDGE_FLIP_ENDED, BRIDGE_STOPPED,
		WORKER_READY, WORKER_FAILED, WORKER_BROKEN, WORKER_STOPPED, WORKER_RESIZED,
		WORKER_LINKED, WORKER_LOST, WORKER_PREPARED, WORKER_WAITS,
	};
	struct process *p = some_process(fuzz_u8(in));
	uint8_t type = types[fuzz_below(in, sizeof(types))], about = fuzz_u8(in);
	union { struct bridge_msg bridge; struct worker_msg disk; uint8_t bytes[2048]; } u;
	size_t bytes;

	if (!p)
		return;
	memset(&u, about & 0x40 ? 0xff : 0, sizeof(u));
	if (type >= BRIDGE_READY) {
		u.bridge = (struct bridge_msg){ .version = BRIDGE_VERSION, .type = type };
		u.bridge.port = about & 0x80 ? BRIDGE_ITSELF : about & 31;
		fuzz_bytes(in, &u.bridge.capture, fuzz_below(in, 64));
		bytes = sizeof(u.bridge);
	} else {
		u.disk.version = WORKER_VERSION;
		u.disk.type = type;
		fuzz_bytes(in, &u.disk.failure, fuzz_below(in, 64));
		bytes = sizeof(u.disk);
	}
	send(p->theirs, &u, bytes, MSG_NOSIGNAL);
	turn(p);
}

static void worker_says_anything(struct fuzz_in *in)
{
	struct process *p = some_process(fuzz_u8(in));
	uint8_t raw[256];
	size_t n = fuzz_bytes(in, raw, fuzz_u8(in));

	if (!p)
		return;
	send(p->theirs, raw, n, MSG_NOSIGNAL);
	turn(p);
}

static void worker_ends(struct fuzz_in *in)
{
	struct process *p = some_process(fuzz_u8(in));

	if (!p)
		return;
	shutdown(p->theirs, SHUT_RDWR);
	turn(p);
	p->events->ended(p->arg, fuzz_u8(in) & 1, "it was told to");
}

static void use_disk(struct fuzz_in *in)
{
	struct disk *d = &w.disks[fuzz_u8(in) % DISKS];
	const struct worker_msg start = { .version = WORKER_VERSION, .type = WORKER_START };
	const struct process_options o = { .name = "none" };
	const int fds[5] = { 2, 2, 2, -1, -1 };

	if (!d->worker) {
		FUZZ_NEED(!worker_start(w.loop, &o, &start, fds, &disk_events, d, &d->worker));
		return;
	}
	switch (fuzz_u8(in) % 3) {
	case 0: worker_stop(d->worker); break;
	case 1: worker_resize(d->worker, fuzz_u32(in)); break;
	default: worker_free(d->worker); memset(d, 0, sizeof(*d));
	}
}

static char dir[] = "/tmp/pv-fuzz-control-XXXXXX";

static void client_asks(struct fuzz_in *in)
{
	int *fd = &w.clients[fuzz_u8(in) % CLIENTS];
	uint8_t how = fuzz_u8(in);
	struct control_msg msg = { .version = CONTROL_VERSION, .type = how % 8 };

	if (*fd < 0 && control_connect(dir, fd))
		return;
	fcntl(*fd, F_SETFL, O_NONBLOCK);
	strcpy(msg.bridge, names[how / 8 % 4]);
	if (msg.type == CONTROL_CAPTURE) {
		msg.capture.domid = how & 64 ? CONTROL_ANY : fuzz_u8(in) % 4;
		msg.capture.snaplen = fuzz_u16(in);
	}
	if (how & 128)
		fuzz_bytes(in, &msg, fuzz_u8(in));
	send(*fd, &msg, how == 255 ? how : sizeof(msg), MSG_NOSIGNAL);
}

static void client_hears(struct fuzz_in *in)
{
	int *fd = &w.clients[fuzz_u8(in) % CLIENTS], stream;
	struct control_msg msg;

	if (*fd < 0)
		return;
	if (fuzz_u8(in) & 1) {
		close_fd(fd);
		return;
	}
	while (!control_hear(*fd, &msg, &stream)) {
		FUZZ_NEED(msg.type >= CONTROL_BRIDGE && msg.type <= CONTROL_DONE);
		FUZZ_NEED((msg.type == CONTROL_CAPTURING) == (stream >= 0));
		close_fd(&stream);
	}
}

static void step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	struct process *p;

	switch (what % 12) {
	case 0: case 1: join(in, what & 64); break;
	case 2: use_port(in); break;
	case 3: case 4: case 5: worker_says(in); break;
	case 6: worker_says_anything(in); break;
	case 7: worker_ends(in); break;
	case 8: use_disk(in); break;
	case 9: client_asks(in); break;
	case 10: client_hears(in); break;
	default:
		p = some_process(what / 16);
		if (p)
			p->silent = what & 64;
		bridges_configure(w.bridges, names[what / 16 % 3], what, 1000);
	}
	while (evloop_turn(w.loop, 0) > 0)
		;
}

/* ---- begin and end --------------------------------------------------------------------- */

static void remove_dir(void)
{
	rmdir(dir);
}

static int free_descriptor(void)
{
	int fd = dup(2);

	close(fd);
	return fd;
}

static void begin(void)
{
	static const struct backend_config config = { .name = "fuzz", .program = "none" };
	struct bridges_env env = { .config = &config, .changed = nothing };
	static bool made;
	char why[256];

	if (!made) {
		FUZZ_NEED(mkdtemp(dir));
		atexit(remove_dir);
	}
	made = true;
	memset(&w, 0, sizeof(w));
	memset(w.clients, 0xff, sizeof(w.clients));
	FUZZ_NEED(!evloop_open(&w.loop));
	env.loop = w.loop;
	FUZZ_NEED(!bridges_open(&env, &w.bridges));
	FUZZ_NEED(!bridge_control_open(w.loop, dir, w.bridges, &w.control, why, sizeof(why)));
}

static void end(void)
{
	for (uint32_t i = 0; i < DISKS; i++)
		worker_free(w.disks[i].worker);
	for (uint32_t i = 0; i < CLIENTS; i++)
		close_fd(&w.clients[i]);
	bridge_control_close(w.control);
	bridges_close(w.bridges);
	for (uint32_t i = 0; i < PORTS; i++)
		bridge_port_free(w.ports[i].port);
	evloop_close(w.loop);
	FUZZ_NEED(!processes);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	int before = free_descriptor();

	begin();
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(&in);
	end();
	FUZZ_NEED(free_descriptor() == before);	/* none stays open */
}
