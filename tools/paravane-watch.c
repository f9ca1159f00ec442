/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane watch: what happens to devices, as JSON, one object a line.
 *
 * Hides: which changes of nodes and figures are an event. Must not know: how nodes are
 * spelled.
 *
 * A watch says that something of a device has changed; its nodes are read anew and compared
 * with what was said last. So what came and went between two looks is not told, but no
 * state that lasts is missed. Workers and limits are looked at every half second, in the run
 * directory: nothing in XenStore tells of them.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-figures.h"
#include "paravane-runinfo.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane watch [DOMAIN [DEVICE]] [OPTION]...\n"
"\n"
"Prints what happens to disks and network interfaces as JSON objects, one a line, from\n"
"now on: first an \"appeared\" for each device that there is. Members are time_s, event,\n"
"domid, domain, device, devid, kind, backend_domid, and those of the event:\n"
"\n"
"  appeared, state    backend_state, frontend_state\n"
"  connected          both ends are\n"
"  closed             reason: what an end wrote, or null\n"
"  error              end (back, front), text\n"
"  disappeared\n"
"  worker-died        worker_pid\n"
"  worker-went-on     worker_pid, worker_restarts: a successor\n"
"  throttled          its limits make it wait; unthrottled: not for two seconds\n"
"\n"
"  --event LIST       only these events, with commas between them\n"
"  --kind KIND        only vbd, vbd3, qdisk, vif or qnic\n"
"  --until LIST       end with status 0 after the first of these events\n"
"  --timeout SECONDS  end with status 3 after so long\n"
"  --number N         end with status 0 after N lines\n"
"  --backend DOMAIN   devices that this domain serves; default: this one\n"
"\n"
"Exit status: 0 ended by a signal, --until or --number; 1 error, 2 wrong usage, 3 the\n"
"deadline passed, or XenStore does not answer, 4 no such domain, or no interface of that\n"
"address or name.\n";

#define LOOK_MS 500
#define CALM_MS 2000

enum { OPT_EVENT = 256, OPT_UNTIL, OPT_TIMEOUT, OPT_NUMBER };

static const struct option options[] = {
	{ "event", required_argument, NULL, OPT_EVENT },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "number", required_argument, NULL, OPT_NUMBER },
	{ "kind", required_argument, NULL, 'k' },
	{ "backend", required_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static const char *const events[] = {
	"appeared", "state", "connected", "closed", "error", "disappeared", "worker-died",
	"worker-went-on", "throttled", "unthrottled",
};

/* What was said of a device last. */
struct watched {
	struct watched *next;
	struct inventory_device dev;
	char domain[64];
	bool seen, connected, closed, worker_dead, throttled;
	bool counted;			/* throttled_passes is of some look */
	XenbusState back, front;
	char back_error[XENBUS_TEXT_BYTES], front_error[XENBUS_TEXT_BYTES];
	uint32_t pid;
	uint64_t restarts, throttled_passes, throttled_ms;
};

struct watch {
	struct store store;
	struct common_options common;
	const char *wanted, *until;	/* NULL: all, never */
	uint32_t backend_domid, domid, devid;	/* INVENTORY_ANY */
	bool one_device;
	enum inventory_class of;	/* if so */
	uint64_t deadline_ms, number, printed;	/* 0: none */
	struct watched *devices;
	bool done;
	int signals;
};

/* ---- lines ----------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *event)
{
	size_t bytes = strlen(event);

	for (const char *at = list; (at = strstr(at, event)); at += bytes)
		if ((at == list || at[-1] == ',') && (!at[bytes] || at[bytes] == ','))
			return true;
	return false;
}

static json_t *event_of(const struct watched *d, const char *event)
{
	char device[32];
	struct timespec now;
	json_t *o = json_object();

	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(o, "time_s", json_real((double)now.tv_sec +
						   (double)(now.tv_nsec / 1000000) / 1e3));
	json_object_set_new(o, "event", json_string(event));
	json_object_set_new(o, "domid", json_integer(d->dev.domid));
	json_object_set_new(o, "domain", d->domain[0] ? json_string(d->domain) : json_null());
	json_object_set_new(o, "device", json_string(device_label(d->dev.kind, d->dev.devid, device,
								  sizeof(device))));
	json_object_set_new(o, "devid", json_integer(d->dev.devid));
	json_object_set_new(o, "kind", json_string(d->dev.kind));
	json_object_set_new(o, "backend_domid", json_integer(d->dev.backend_domid));
	return o;
}

/* Takes o. */
static void say(struct watch *w, json_t *o)
{
	const char *event = json_string_value(json_object_get(o, "event"));

	if (!w->done && (!w->wanted || is_listed(w->wanted, event))) {
		deadline_end();		/* who reads may take their time */
		json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
		putchar('\n');
		fflush(stdout);
		deadline_set(0);
		w->printed++;
	}
	if ((w->until && is_listed(w->until, event)) || (w->number && w->printed >= w->number))
		w->done = true;
	json_decref(o);
}

static void say_states(struct watch *w, const struct watched *d, const char *event)
{
	json_t *o = event_of(d, event);

	json_object_set_new(o, "backend_state", json_string(xenbus_state_name(d->back)));
	json_object_set_new(o, "frontend_state", json_string(xenbus_state_name(d->front)));
	say(w, o);
}

static void say_error(struct watch *w, const struct watched *d, const char *end,
		      const char *text)
{
	json_t *o = event_of(d, "error"), *s = json_string(text);

	json_object_set_new(o, "end", json_string(end));
	json_object_set_new(o, "text", s ? s : json_null());	/* no UTF-8 */
	say(w, o);
}

static void say_closed(struct watch *w, const struct watched *d)
{
	json_t *o = event_of(d, "closed"), *s = NULL;

	if (d->back_error[0] || d->front_error[0])
		s = json_string(d->back_error[0] ? d->back_error : d->front_error);
	json_object_set_new(o, "reason", s ? s : json_null());
	say(w, o);
}

static void say_worker(struct watch *w, const struct watched *d, const char *event)
{
	json_t *o = event_of(d, event);

	json_object_set_new(o, "worker_pid", json_integer(d->pid));
	json_object_set_new(o, "worker_restarts", json_integer((json_int_t)d->restarts));
	say(w, o);
}

/* ---- workers ------------------------------------------------------------------------------ */

static void look_at_worker(struct watch *w, struct watched *d, const struct runinfo *run)
{
	bool dead = run->worker_pid && kill((pid_t)run->worker_pid, 0) && errno == ESRCH;
	bool another = d->pid && run->worker_pid && run->worker_pid != d->pid;

	if (another && !d->worker_dead)
		say_worker(w, d, "worker-died");
	d->pid = run->worker_pid;
	d->restarts = run->restarts;
	if (another)
		say_worker(w, d, "worker-went-on");
	else if (dead && !d->worker_dead && d->connected)
		say_worker(w, d, "worker-died");
	d->worker_dead = dead;
}

static bool is_ours(const struct watch *w)
{
	return w->backend_domid == w->store.own_domid;
}

/* Before "connected" is said: a worker that dies right after it is known by its number. */
static void meet_worker(struct watch *w, struct watched *d)
{
	struct runinfo run;

	if (!is_ours(w))
		return;
	runinfo_read(&d->dev, &run);
	if (run.found)
		look_at_worker(w, d, &run);
}

/* ---- devices ---------------------------------------------------------------------------- */

static struct watched **find(struct watch *w, const struct inventory_device *dev)
{
	struct watched **at = &w->devices;

	while (*at && ((*at)->dev.domid != dev->domid || (*at)->dev.devid != dev->devid ||
		       strcmp((*at)->dev.kind, dev->kind)))
		at = &(*at)->next;
	return at;
}

static void take_error(struct watch *w, const struct watched *d, char *last, const char *now,
		       const char *end)
{
	if (!strcmp(last, now))
		return;
	snprintf(last, XENBUS_TEXT_BYTES, "%s", now);
	if (*now)
		say_error(w, d, end, now);
}

static void take_view(struct watch *w, struct watched *d, const struct toolstack_view *v,
		      bool is_new)
{
	bool changed = d->back != v->back || d->front != v->front;
	bool connected = v->back == XenbusStateConnected && v->front == XenbusStateConnected;
	bool closed = v->back == XenbusStateClosed;

	d->back = v->back;
	d->front = v->front;
	if (is_new || changed)
		say_states(w, d, is_new ? "appeared" : "state");
	take_error(w, d, d->back_error, v->back_error, "back");
	take_error(w, d, d->front_error, v->front_error, "front");
	if (connected && !d->connected) {
		meet_worker(w, d);
		say(w, event_of(d, "connected"));
	}
	if (closed && !d->closed)
		say_closed(w, d);
	d->connected = connected;
	d->closed = closed;
}

static void forget(struct watch *w, struct watched **at)
{
	struct watched *d = *at;

	*at = d->next;
	inventory_watch_front(w->store.xs, &d->dev, false);
	say(w, event_of(d, "disappeared"));
	free(d);
}

static bool is_wanted(const struct watch *w, const struct inventory_device *dev)
{
	enum inventory_class of;

	return (w->domid == INVENTORY_ANY || dev->domid == w->domid) &&
	       (!w->common.kind || !strcmp(w->common.kind, dev->kind)) &&
	       (!w->one_device || (dev->devid == w->devid &&
				   !inventory_class_of(dev->kind, &of) && of == w->of));
}

/* 0 or -errno of the store, as inventory_each() wants it. */
static int look(void *arg, const struct inventory_device *dev)
{
	struct watch *w = arg;
	struct watched **at = find(w, dev), *d = *at;
	struct toolstack_view view;
	int rc;

	if (!is_wanted(w, dev))
		return 0;
	rc = toolstack_look(w->store.xs, dev->backend_domid, dev->kind, dev->domid, dev->devid,
			    &view);
	if (rc || !view.back_exists) {
		if (d)
			forget(w, at);
		return rc == -ENOENT ? 0 : rc;
	}
	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->dev = *dev;
		if (inventory_domain_name(w->store.xs, dev->domid, d->domain, sizeof(d->domain)))
			d->domain[0] = '\0';
		*at = d;
		inventory_watch_front(w->store.xs, dev, true);
		take_view(w, d, &view, true);
	} else {
		take_view(w, d, &view, false);
	}
	d->seen = true;
	return 0;
}

static int look_at_all(struct watch *w)
{
	int rc;

	for (struct watched *d = w->devices; d; d = d->next)
		d->seen = false;
	rc = inventory_each(w->store.xs, INVENTORY_DISKS, w->backend_domid, w->domid, look, w);
	if (!rc)
		rc = inventory_each(w->store.xs, INVENTORY_NICS, w->backend_domid, w->domid, look, w);
	for (struct watched **at = &w->devices; !rc && *at;)
		if ((*at)->seen)
			at = &(*at)->next;
		else
			forget(w, at);
	return rc;
}

/* Each device once, however many of its nodes have changed; all, when one is not told. */
static int hear_store(struct watch *w)
{
	struct inventory_device dev, last = { .kind = "" };
	bool all = false;
	char **event;
	int rc = 0;

	errno = 0;
	while ((event = xs_check_watch(w->store.xs))) {
		if (inventory_of_event(event[XS_WATCH_PATH], w->backend_domid, &dev) &&
		    inventory_of_event(event[XS_WATCH_TOKEN], w->backend_domid, &dev)) {
			all = true;
		} else if (!all && (dev.domid != last.domid || dev.devid != last.devid ||
				    strcmp(dev.kind, last.kind))) {
			if (last.kind[0])
				rc = look(w, &last);
			last = dev;
		}
		free(event);
	}
	if (errno && errno != EAGAIN)
		return -errno;
	if (rc)
		return rc;
	if (all)
		return look_at_all(w);
	return last.kind[0] ? look(w, &last) : 0;
}

/* ---- limits ---------------------------------------------------------------------------- */

static bool read_throttled(const struct watched *d, uint64_t *passes)
{
	static struct blk_figures disk;
	static struct vif_figures nic;
	bool found;

	if (is_nic(d->dev.kind))
		found = figures_of_nic(&d->dev, &nic);
	else
		found = figures_of_disk(&d->dev, &disk);
	*passes = is_nic(d->dev.kind) ? nic.throttled : disk.throttled;
	return found;
}

/* What was counted before the first look is no news, nor is what cannot be read now. */
static void look_at_limits(struct watch *w, struct watched *d)
{
	uint64_t passes, now = now_ms();
	bool found = read_throttled(d, &passes);

	if (!found)
		passes = d->throttled_passes;
	else if (!d->counted)
		d->throttled_passes = passes;
	d->counted |= found;
	if (passes > d->throttled_passes) {
		d->throttled_ms = now;
		if (!d->throttled)
			say(w, event_of(d, "throttled"));
		d->throttled = true;
	} else if (d->throttled && now - d->throttled_ms >= CALM_MS) {
		say(w, event_of(d, "unthrottled"));
		d->throttled = false;
	}
	d->throttled_passes = passes;
}

static void look_at_runs(struct watch *w)
{
	struct runinfo run;

	if (!is_ours(w))
		return;
	for (struct watched *d = w->devices; d; d = d->next) {
		runinfo_read(&d->dev, &run);
		if (!run.found)
			continue;
		look_at_worker(w, d, &run);
		look_at_limits(w, d);
	}
}

/* ---- the loop ---------------------------------------------------------------------------- */

static int run_watch(struct watch *w)
{
	struct pollfd p[2] = {
		{ .fd = xs_fileno(w->store.xs), .events = POLLIN },
		{ .fd = w->signals, .events = POLLIN },
	};
	uint64_t look_ms = 0, now;
	int rc = look_at_all(w);

	while (!rc && !w->done) {
		deadline_end();		/* until the store is asked again */
		now = now_ms();
		if (w->deadline_ms && now >= w->deadline_ms)
			return complain(STATUS_TIMEOUT, "watch: the deadline passed");
		if (now >= look_ms) {
			look_at_runs(w);
			look_ms = now + LOOK_MS;
			continue;
		}
		if (w->deadline_ms)
			look_ms = MIN(look_ms, w->deadline_ms);
		if (poll(p, 2, (int)(look_ms - now)) < 0 && errno != EINTR)
			rc = -errno;
		else if (p[1].revents)
			return STATUS_OK;
		else if (p[0].revents) {
			deadline_set(0);
			rc = hear_store(w);
		}
		if (ferror(stdout))
			return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	}
	return rc ? complain(STATUS_ERROR, "XenStore: %s", strerror(-rc)) : STATUS_OK;
}

static int prepare(struct watch *w)
{
	sigset_t signals;
	int rc;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	w->signals = signalfd(-1, &signals, SFD_CLOEXEC);
	if (w->signals < 0)
		return complain(STATUS_ERROR, "signals: %s", strerror(errno));
	rc = inventory_watch(w->store.xs, w->backend_domid, "watch");
	return rc ? complain(STATUS_ERROR, "XenStore: %s", strerror(-rc)) : STATUS_OK;
}

/* ---- options ------------------------------------------------------------------------------ */

static int check_events(const char *list)
{
	char *text = strdupa(list), *name;
	size_t i;

	while ((name = strsep(&text, ","))) {
		for (i = 0; i < ARRAY_LEN(events) && strcmp(events[i], name); i++)
			;
		if (i == ARRAY_LEN(events))
			return complain_usage(&watch_command, "\"%s\" is no event", name);
	}
	return STATUS_OK;
}

static int take(struct watch *w, int opt, const char *word)
{
	char *end;
	double seconds;

	switch (opt) {
	case 'k':
		return parse_kind(&watch_command, optarg, &w->common.kind);
	case 'b':
		w->common.backend = optarg;
		break;
	case OPT_EVENT:
		w->wanted = optarg;
		return check_events(optarg);
	case OPT_UNTIL:
		w->until = optarg;
		return check_events(optarg);
	case OPT_NUMBER:
		if (parse_u64(optarg, UINT32_MAX, &w->number) || !w->number)
			return complain_usage(&watch_command, "--number \"%s\": a number from 1 on is "
					      "expected", optarg);
		break;
	case OPT_TIMEOUT:
		seconds = strtod(optarg, &end);
		if (end == optarg || *end || !(seconds > 0 && seconds <= 1e8))
			return complain_usage(&watch_command, "--timeout \"%s\": seconds are expected",
					      optarg);
		w->deadline_ms = now_ms() + (uint64_t)(seconds * 1000);
		break;
	case ':':
		return complain_usage(&watch_command, "watch: option \"%s\" needs a value", word);
	default:
		return complain_usage(&watch_command, "watch: unknown option \"%s\"", word);
	}
	return STATUS_OK;
}

/* A device need not be there yet, where its name says its number. */
static int take_operands(struct watch *w, int argc, char **argv)
{
	int status = STATUS_OK;

	if (optind < argc)
		status = store_domain(&w->store, argv[optind], &w->domid);
	if (!status && optind + 1 < argc) {
		w->one_device = true;
		status = store_device(&w->store, w->domid, argv[optind + 1], &w->of, &w->devid);
	}
	return status;
}

static void close_watch(struct watch *w)
{
	while (w->devices) {
		struct watched *d = w->devices;

		w->devices = d->next;
		free(d);
	}
	close_fd(&w->signals);
	store_close(&w->store);
}

static int run(int argc, char **argv)
{
	struct watch w __attribute__((cleanup(close_watch))) = {
		.domid = INVENTORY_ANY, .signals = -1,
	};
	int opt, status = STATUS_OK;

	while (!status && (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help_text, stdout);
			return STATUS_OK;
		}
		status = take(&w, opt, argv[optind - 1]);
	}
	if (!status)
		status = common_operands(&watch_command, argc, 0, 2);
	if (!status)
		status = store_open(&w.store);
	if (!status)
		status = store_backend(&w.store, &w.common, w.store.own_domid, &w.backend_domid);
	if (!status)
		status = take_operands(&w, argc, argv);
	if (!status)
		status = prepare(&w);
	return status ? status : run_watch(&w);
}

const struct subcommand watch_command = {
	.name = "watch",
	.summary = "prints what happens to devices as JSON, for scripts",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
