/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block device that is mirrored to a second image (vbd-device-internal.h).
 *
 * Hides: what follows a wish (mirror-wish.h), and how a guest comes from one image to the
 * other. Must not know: how chunks are copied (mirror.h), which state a device goes to.
 *
 * The end of a mirror is a pause of the guest, made of what a daemon that takes over does:
 *
 *   1 The worker is asked to end, as for a successor: it answers what it has taken, and the
 *     journal says where it stopped. Reaped, it has no write on its way to the image.
 *   2 What is dirty is copied, and all of it made durable (mirror_finish()).
 *   3 One transaction makes the target the device's image and takes the wish away. From here
 *     on it is the image, whoever looks: a daemon that is killed before goes on with the
 *     old one, which nobody has written since; one that is killed after, with the new one.
 *   4 The next worker resumes from the journal with whichever it is.
 *
 * Whatever fails before 3 is the mirror's failure alone: the next worker has the old image.
 * A worker that crashes while the mirror runs, also in 1, is succeeded by one that marks in the
 * same map; what it had not answered is replayed, and marked. A daemon that ends takes the
 * mirror with it: who comes after finds its file, and says so.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "journal.h"
#include "util.h"

#define FILE_BYTES 2048
#define SAY_MS 200u
/* The guest waits for what is left, which was said to be little. */
#define FINISH_DEADLINE_MS 15000u

static void step(struct vbd_device *v);
static void reap(struct vbd_device *v);

/* ---- the file that tells of it ---------------------------------------------------- */

static void write_file(struct vbd_device *v, const struct mirror_wish *wish, const char *status,
		       const char *reason)
{
	const struct vbd_mirror *m = &v->mirror;
	const struct worker_copied none = { .synced = 0 };
	const struct worker_copied *c = m->run ? mirror_progress(m->run) : &none;
	uint64_t pause_us = 0;
	char text[FILE_BYTES];
	int n, rc;

	if (m->outcome)
		pause_us = device_pause_us(&vbd_kind, &v->env.config->rundir, &v->env.name);
	n = snprintf(text, sizeof(text), "id=%" PRIu64 "\nstatus=%s\nimage=%s\ntarget=%s\nat-sync=%s\n"
		     "bytes=%" PRIu64 "\ncopied=%" PRIu64 "\ndirty=%" PRIu64 "\nfinish-us=%" PRIu64
		     "\nspeed=%" PRIu64 "\nrate=%" PRIu64 "\nseconds=%" PRIu64 "\npause-us=%" PRIu64
		     "\nreason=%s\n", wish->id, status, v->image, wish->target,
		     mirror_at_sync_name(wish->at_sync), v->features.sectors * VBD_SECTOR_BYTES,
		     c->copied_bytes, c->dirty_bytes, c->finish_us, m->speed,
		     wish->bytes_per_second, (now_ms() - m->began_ms) / 1000, pause_us, reason);
	rc = n < (int)sizeof(text) ? rundir_write_mirror(&v->env.config->rundir, &v->env.name, text)
				   : -E2BIG;
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "nobody can be told of its mirror: %s",
			    strerror(-rc));
}

static const char *status_now(const struct vbd_mirror *m)
{
	if (m->step >= VBD_MIRROR_PAUSING)
		return "finishing";
	return m->followed ? "following" : "copying";
}

/* Bytes a second, of the last seconds more than of those before. */
static void measure_speed(struct vbd_mirror *m, uint64_t since_ms)
{
	uint64_t copied = mirror_progress(m->run)->copied_bytes;
	uint64_t speed = (copied - m->said_copied) * 1000 / MAX(since_ms, 1);

	m->speed = m->said_copied ? (m->speed * 3 + speed) / 4 : speed;
	m->said_copied = copied;
}

static void say(struct vbd_device *v, bool at_once)
{
	struct vbd_mirror *m = &v->mirror;
	uint64_t since = now_ms() - m->said_ms;

	if (!m->run || (!at_once && since < SAY_MS))
		return;
	if (since >= SAY_MS) {
		measure_speed(m, since);
		m->said_ms = now_ms();
	}
	write_file(v, &m->wish, status_now(m), "");
}

/* ---- its end ------------------------------------------------------------------------ */

static void withdraw(struct vbd_device *v, uint64_t id)
{
	int rc = mirror_wish_withdraw(v->env.bus->xs, v->env.bus->nodename, id);

	v->mirror.over_id = id;
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "the wish for its mirror stays: %s",
			    strerror(-rc));
}

/* Its worker marks no more; nothing is held back any more. */
static void let_go(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;

	if (v->serve)
		vbd_serve_mirror(v->serve, -1, 0);
	m->step = VBD_MIRROR_NONE;
	v->env.changed(v->env.arg);
}

/*
 * status: "failed", "cancelled". The image stays what it is. Whoever reads that it is over may
 * ask for another at once, so the wish goes first.
 */
static void end(struct vbd_device *v, const char *status, const char *why)
{
	struct vbd_mirror *m = &v->mirror;

	log_peer_at(v->env.log, !strcmp(status, "failed") ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
		    "its mirror to %.200s: %s%s%s", m->wish.target, status, *why ? ": " : "", why);
	withdraw(v, m->wish.id);
	write_file(v, &m->wish, status, why);
	if (m->run)
		mirror_end(m->run);
	let_go(v);
}

static void fail(struct vbd_device *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct vbd_device *v, const char *fmt, ...)
{
	char why[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	end(v, "failed", why);
}

/* Of a wish that never came to run. */
static void refuse(struct vbd_device *v, const struct mirror_wish *wish, const char *why)
{
	log_peer_at(v->env.log, LOG_LEVEL_ERROR, "no mirror: %s", why);
	v->mirror.began_ms = now_ms();
	v->mirror.speed = 0;
	withdraw(v, wish->id);
	write_file(v, wish, "failed", why);
}

/* ---- the pause ----------------------------------------------------------------------- */

static void pause_guest(struct vbd_device *v)
{
	v->mirror.step = VBD_MIRROR_PAUSING;
	v->stopping = true;
	vbd_serve_stop(v->serve, true);
	say(v, true);
}

/* With the options that the old one's name has ("raw+cache=none:/PATH"). */
static int new_name(const struct vbd_device *v, char name[PATH_BYTES])
{
	const char *path = strchr(v->image, '/');
	int options = path && storage_is_remote(v->image) ? (int)(path - v->image) : 0;
	int n = snprintf(name, PATH_BYTES, "%.*s%s", options, v->image, v->mirror.wish.target);

	return n < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int grant(struct vbd_device *v, const struct mirror_target *t, const char *name)
{
	struct vbd_mirror *m = &v->mirror;
	struct stat st;
	struct mirror_new_image image = {
		.id = m->wish.id, .path = name, .old_path = v->image,
		.is_device = t->info.is_device,
		.logical_block_bytes = t->info.sector_bytes < v->features.sector_bytes ?
				       v->features.sector_bytes : 0,
	};

	if (t->info.is_device && !fstat(t->fd, &st)) {
		image.major = major(st.st_rdev);
		image.minor = minor(st.st_rdev);
	}
	return mirror_wish_grant(v->env.bus->xs, v->env.bus->nodename, v->env.frontend_id,
				 v->env.name.kind, v->env.devid, &image);
}

/* Step 3 of the pause: everything that can be refused comes before the transaction. */
static int pivot(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;
	char why[200], name[PATH_BYTES];
	struct mirror_target t;
	int rc;

	mirror_take_target(m->run, &t);
	rc = new_name(v, name);
	if (!rc)
		rc = image_share_lock(t.fd, v->share, why, sizeof(why));
	if (!rc)
		rc = image_set_sectors(&t.info, v->features.sector_bytes,
				       v->ts.wishes.physical_block_bytes, m->wish.target, why,
				       sizeof(why));
	/* What was lost of the old image is missing in the target too, which was read from it. */
	if (!rc)
		rc = vbd_image_ask_elder(v);
	if (!rc)
		rc = grant(v, &t, name);
	if (rc) {
		close_fd(&t.fd);
		return rc;
	}
	vbd_image_release(v);
	v->image_fd = t.fd;
	v->info = t.info;
	memcpy(v->image, name, sizeof(name));
	v->medium = device_hash(DEVICE_HASH, v->image);
	vbd_image_watch(v);
	m->pivoted = true;
	return 0;
}

static void finish(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;
	bool pivots = m->wish.at_sync == MIRROR_PIVOT;
	int rc = pivots ? pivot(v) : 0;

	if (rc == -ECANCELED) {
		end(v, "cancelled", "");
		return;
	}
	if (rc) {
		fail(v, "its image cannot become %.200s: %s", m->wish.target, strerror(-rc));
		return;
	}
	if (!pivots)
		withdraw(v, m->wish.id);
	m->over_id = m->wish.id;
	m->outcome = pivots ? "pivoted" : "stopped";
	m->step = VBD_MIRROR_RESUMING;
	mirror_close(m->run);
	m->run = NULL;
	v->env.changed(v->env.arg);
}

int vbd_mirror_map(const struct vbd_device *v)
{
	return v->mirror.run && v->mirror.step ? mirror_map(v->mirror.run) : -1;
}

uint64_t vbd_mirror_bytes(const struct vbd_device *v)
{
	return v->mirror.run && v->mirror.step ? mirror_bytes(v->mirror.run) : 0;
}

bool vbd_mirror_holds_back(const struct vbd_device *v)
{
	return v->mirror.step == VBD_MIRROR_FINISHING;
}

void vbd_mirror_unserved(struct vbd_device *v, enum worker_end how)
{
	struct vbd_mirror *m = &v->mirror;

	switch (m->step) {
	case VBD_MIRROR_NONE:
	case VBD_MIRROR_FINISHING:
		return;
	case VBD_MIRROR_PAUSING:
		/* What it left is for a successor to replay, and mark: the end is another time. */
		if (how != WORKER_END_STOPPED) {
			m->step = VBD_MIRROR_MARKING;
			return;
		}
		m->step = VBD_MIRROR_FINISHING;
		mirror_finish(m->run, FINISH_DEADLINE_MS);
		return;
	case VBD_MIRROR_RESUMING:
		write_file(v, &m->wish, "failed", m->wish.at_sync == MIRROR_PIVOT ?
			   "the target is the disk's image now, and cannot be served" :
			   "the target is whole, but the disk could not be served again");
		m->outcome = NULL;
		m->step = VBD_MIRROR_NONE;
		return;
	case VBD_MIRROR_MARKING:
	case VBD_MIRROR_COPYING:
		fail(v, "the disk was disconnected");
	}
}

void vbd_mirror_served(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;

	if (m->step != VBD_MIRROR_RESUMING)
		return;
	m->step = VBD_MIRROR_NONE;
	log_info("%s: its mirror to %s: %s", v->env.log->who, m->wish.target, m->outcome);
	write_file(v, &m->wish, m->outcome, "");
	m->outcome = NULL;
}

/* ---- its beginning ----------------------------------------------------------------------- */

/* The name of another device of ours that has the file open, as image or a mirror's target. */
static const char *find_holder(const struct vbd_device *v, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return NULL;
	for (const struct vbd_device *o = v->common->devices; o; o = o->next) {
		if (o != v && o->image_fd >= 0 && image_is(o->image_fd, &st))
			return o->env.log->who;
		if (o->mirror.run && mirror_holds(o->mirror.run, &st))
			return o->env.log->who;
	}
	return NULL;
}

static void on_changed(void *arg)
{
	step(arg);
}

static int open_run(struct vbd_device *v, const struct mirror_wish *wish, char *why,
		    size_t why_bytes)
{
	const struct mirror_what what = {
		.config = v->env.config, .name = v->env.name, .target = wish->target,
		.bytes_per_second = wish->bytes_per_second,
		.source = { .fd = v->image_fd, .sector_bytes = v->features.sector_bytes,
			    .bytes = v->features.sectors * VBD_SECTOR_BYTES },
	};
	/* Not by its lock alone: a disk in mode w! has none. */
	const char *holder = find_holder(v, wish->target);

	if (!holder)
		return mirror_open(v->env.loop, &what, on_changed, v, &v->mirror.run, why, why_bytes);
	snprintf(why, why_bytes, "%.300s: in use by %s", wish->target, holder);
	return -EBUSY;
}

static const char *unfit(const struct vbd_device *v)
{
	if (v->remote)
		return "its image is behind a server: that can copy it, or qemu-img, when the "
		       "disk is detached";
	if (v->ts.cdrom)
		return "a CD drive's medium is not mirrored: copy it, and change the medium";
	if (v->share == VBD_SHARED_WRITE)
		return "its mode is w!: what others write to its image would not be seen";
	return NULL;
}

static void begin(struct vbd_device *v, const struct mirror_wish *wish)
{
	struct vbd_mirror *m = &v->mirror;
	const char *bad = unfit(v);
	char why[400];

	if (bad || open_run(v, wish, why, sizeof(why))) {
		m->run = NULL;
		refuse(v, wish, bad ? bad : why);
		return;
	}
	m->wish = *wish;
	m->step = VBD_MIRROR_MARKING;
	m->began_ms = m->said_ms = now_ms();
	m->said_copied = m->speed = 0;
	m->followed = false;
	log_info("%s: a mirror of %s to %s begins", v->env.log->who, v->image, wish->target);
	say(v, true);
	vbd_serve_mirror(v->serve, mirror_map(m->run), mirror_bytes(m->run));
}

void vbd_mirror_marks(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;
	int rc;

	if (m->step != VBD_MIRROR_MARKING)
		return;
	m->step = VBD_MIRROR_COPYING;
	if (mirror_phase(m->run) != MIRROR_OPEN)
		return;
	rc = mirror_start(m->run, vbd_serve_is_direct(v->serve));
	if (rc)
		fail(v, "no process to copy with: %s", strerror(-rc));
}

/* ---- wishes ------------------------------------------------------------------------------- */

static bool is_over(const char *text)
{
	static const char *const over[] = { "pivoted", "stopped", "cancelled", "failed" };
	char status[16];

	if (rundir_find_value(text, "status", status, sizeof(status)))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(over); i++)
		if (!strcmp(status, over[i]))
			return true;
	return false;
}

/*
 * A daemon before us had one. Its wish is there, and it is over; or it has been granted, and
 * only the file does not say so yet.
 */
static void look_at_predecessor(struct vbd_device *v, const struct mirror_wish *wish)
{
	char text[FILE_BYTES], number[24], target[MIRROR_TARGET_BYTES];
	struct mirror_wish theirs = { .at_sync = MIRROR_FOLLOW };
	const char *name = vbd_image_name(&v->ts);
	bool pivoted;

	if (rundir_read_mirror(&v->env.config->rundir, &v->env.name, text, sizeof(text)) ||
	    rundir_find_value(text, "id", number, sizeof(number)) ||
	    parse_u64(number, UINT64_MAX, &theirs.id) ||
	    rundir_find_value(text, "target", target, sizeof(target)))
		return;
	snprintf(theirs.target, sizeof(theirs.target), "%s", target);
	if (wish && wish->id == theirs.id)
		withdraw(v, wish->id);
	if (is_over(text))
		return;
	name = name ? strchr(name, '/') : NULL;
	pivoted = !wish && name && !strcmp(name, target);
	v->mirror.began_ms = now_ms();
	write_file(v, &theirs, pivoted ? "pivoted" : "failed", pivoted ? "" :
		   "the daemon that ran it has ended: the target is not whole");
	log_peer_at(v->env.log, LOG_LEVEL_WARNING, "its mirror to %.200s ended with the daemon "
		    "before%s", target, pivoted ? ", when it was done" : "");
}

static void take_changes(struct vbd_device *v, const struct mirror_wish *wish)
{
	struct vbd_mirror *m = &v->mirror;

	if (m->wish.bytes_per_second != wish->bytes_per_second)
		mirror_set_rate(m->run, wish->bytes_per_second);
	m->wish = *wish;
}

static bool is_served(const struct vbd_device *v)
{
	return v->serve && v->is_ready && !v->stopping;
}

static void look_at_wish(struct vbd_device *v, const struct mirror_wish *wish, XenbusState back)
{
	struct vbd_mirror *m = &v->mirror;

	m->put_off = false;
	if (m->run && m->step && wish && wish->id == m->wish.id) {
		take_changes(v, wish);
		step(v);
	} else if (m->run && m->step) {
		end(v, "cancelled", "");
	} else if (!wish || m->run || m->step) {
		return;		/* nothing to do, or not before the last one is over */
	} else if (wish->id == m->over_id) {
		withdraw(v, wish->id);
	} else if (is_served(v)) {
		/* What runs is not handed over, and would send the version that comes back. */
		m->put_off = v->env.config->upgrading || v->env.config->takeover ||
			     !vbd_serve_is_settled(v->serve);
		if (!m->put_off)
			begin(v, wish);
	} else if (!v->serve && back != XenbusStateConnected && back != XenbusStateClosing) {
		refuse(v, wish, "the disk is not connected: nobody writes its image, and any program can copy it");
	}
}

void vbd_mirror_look(struct vbd_device *v, XenbusState back)
{
	struct vbd_mirror *m = &v->mirror;
	struct key_error err = { .expected = "" };
	struct mirror_wish wish;
	char why[200];
	int rc = mirror_wish_read(v->env.bus->xs, v->env.bus->nodename, &wish, &err);

	if (rc && rc != -ENOENT && rc != -EINVAL)
		return;
	if (rc == -EINVAL && !m->looked) {
		device_say_key(&err, "the tool stack", why, sizeof(why));
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "%s", why);
	}
	if (!m->looked)
		look_at_predecessor(v, rc ? NULL : &wish);
	m->looked = true;
	reap(v);
	if (m->run && m->step && m->step < VBD_MIRROR_PAUSING &&
	    v->features.sectors * VBD_SECTOR_BYTES != mirror_bytes(m->run))
		fail(v, "the disk's size has changed: begin again");
	else
		look_at_wish(v, rc ? NULL : &wish, back);
}

/* What copied has ended, at last. */
static void reap(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;

	if (!m->run || m->step || !mirror_is_over(m->run))
		return;
	mirror_close(m->run);
	m->run = NULL;
	v->env.changed(v->env.arg);
}

/* After anything has happened to what copies. */
static void step(struct vbd_device *v)
{
	struct vbd_mirror *m = &v->mirror;
	enum mirror_phase phase = m->run ? mirror_phase(m->run) : MIRROR_OPEN;
	bool follows = phase == MIRROR_IN_SYNC && !m->followed;

	m->followed |= follows;
	/* Of the first two it may be gone afterwards; else they are followed by a look. */
	if (phase == MIRROR_FAILED && m->step) {
		fail(v, "%s", mirror_failure(m->run)->reason);
		return;
	}
	if (phase == MIRROR_FINISHED && m->step == VBD_MIRROR_FINISHING) {
		finish(v);
		return;
	}
	if (phase == MIRROR_IN_SYNC && m->step == VBD_MIRROR_COPYING &&
		 m->wish.at_sync != MIRROR_FOLLOW && is_served(v) &&
		 vbd_serve_is_settled(v->serve))
		pause_guest(v);
	else if (m->run && m->step)
		say(v, follows);
	reap(v);
}

void vbd_mirror_gone(struct vbd_device *v)
{
	vbd_mirror_unserved(v, WORKER_END_FAILED);
	reap(v);
}

void vbd_mirror_free(struct vbd_device *v)
{
	mirror_close(v->mirror.run);
	v->mirror.run = NULL;
}
