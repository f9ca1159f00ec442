/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far side of a disk behind a server, while one version of the daemon takes over from another
 * (takeover.h).
 *
 * Hides: what is left of it, in which form. Must not know: what is done next with it (remote.c).
 */
#include "remote-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util.h"

#define PURPOSE_BYTES (STORAGE_NAME_BYTES + 16)

static void title_of(const struct remote *r, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s-%u-%u", r->what.name.kind, r->what.name.frontend_id,
		 r->what.name.devid);
}

static void link_name(const struct remote *r, uint32_t queue, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s-%u-%u-%u", r->what.name.kind, r->what.name.frontend_id,
		 r->what.name.devid, queue);
}

bool remote_is_settled(const struct remote *r)
{
	bool used = false;

	if (!r->known || r->dial || r->waiting || r->server_ending ||
	    (remote_is_served(r) && !r->server))
		return false;
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		if (r->link[q].state != LINK_NONE && r->link[q].state != LINK_UP)
			return false;
		used |= r->link[q].state == LINK_UP;
	}
	return !used || !r->away_ms;
}

/* What a server is for, as one line at most. */
static void write_purpose(const struct remote *r, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s %d %s", r->what.read_only ? "r" : "w", r->what.cache,
		 r->what.image);
	one_line(buf, strlen(buf));
}

static int write_info(struct remote *r)
{
	const struct remote_info *i = &r->info;
	char purpose[PURPOSE_BYTES];

	close_fd(&r->info_fd);
	r->info_fd = memfd_create("paravane-remote", MFD_CLOEXEC);
	if (r->info_fd < 0)
		return -errno;
	write_purpose(r, purpose, sizeof(purpose));
	return dprintf(r->info_fd, "%llu %u %u %d %d %d %d %d\n%s\n", (unsigned long long)i->bytes,
		       i->least_block_bytes, i->good_block_bytes, i->read_only, i->flush, i->trim,
		       i->zero, i->multi_conn, purpose) < 0 ? -errno : 0;
}

int remote_hand_over(struct remote *r, struct takeover *t)
{
	char name[TAKEOVER_NAME_BYTES];
	int rc = write_info(r);

	title_of(r, name, sizeof(name));
	if (!rc)
		rc = takeover_add(t, TAKEOVER_REMOTE, name, 0, r->info_fd);
	if (!rc && r->server)
		rc = takeover_add(t, TAKEOVER_SERVER, name, process_pid(r->server),
				  process_sock(r->server));
	for (uint32_t q = 0; q < VBD_QUEUES_MAX && !rc; q++) {
		if (r->link[q].state != LINK_UP)
			continue;
		link_name(r, q, name, sizeof(name));
		rc = takeover_add(t, TAKEOVER_LINK, name, q, r->link[q].fd);
	}
	return rc;
}

/* Of a version that did not say what it is for it is taken for ours. */
static bool is_for_us(const struct remote *r, const char *words)
{
	char purpose[PURPOSE_BYTES];

	write_purpose(r, purpose, sizeof(purpose));
	return !*words || !strcmp(words, purpose);
}

static bool read_info(const struct remote *r, int fd, struct remote_info *out, bool *ours)
{
	unsigned long long bytes;
	unsigned least, good, flag[5];
	char text[160 + PURPOSE_BYTES], *words;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%llu %u %u %u %u %u %u %u", &bytes, &least, &good, &flag[0], &flag[1],
		   &flag[2], &flag[3], &flag[4]) != 8)
		return false;
	*out = (struct remote_info){
		.bytes = bytes, .least_block_bytes = least, .good_block_bytes = good,
		.read_only = flag[0], .flush = flag[1], .trim = flag[2], .zero = flag[3],
		.multi_conn = flag[4],
	};
	words = text + strcspn(text, "\n");
	words += *words == '\n';
	words[strcspn(words, "\n")] = '\0';
	*ours = is_for_us(r, words);
	return true;
}

/* Its end is waited for like that of any of ours; one that has ended is started again. */
static void inherit_server(struct remote *r, struct takeover *t, const char *title)
{
	int64_t pid;
	int sock = takeover_take(t, TAKEOVER_SERVER, title, &pid);

	if (sock >= 0 && process_adopt(r->loop, (pid_t)pid, sock, REMOTE_END_MS, &remote_server_events, r,
				       &r->server)) {
		r->server = NULL;
		close(sock);
	}
}

/* Those to a server that has ended have ended with it. */
static void inherit_links(struct remote *r, struct takeover *t)
{
	char name[TAKEOVER_NAME_BYTES];

	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		link_name(r, q, name, sizeof(name));
		r->link[q].fd = takeover_take(t, TAKEOVER_LINK, name, NULL);
		if (r->link[q].fd < 0) {
			r->link[q].fd = -1;
			continue;
		}
		remote_begin_to_use(r);
		if (!remote_is_served(r) || r->server)
			r->link[q].state = LINK_UP;
		else
			remote_close_link(&r->link[q]);
	}
	if (!r->server)		/* nobody knows how */
		answered_server_ends(&r->answered, false);
}

/* The tool stack may name another image by now, or another mode: that server is not for it. */
void remote_inherit(struct remote *r)
{
	struct takeover *t = r->what.config->takeover;
	char name[TAKEOVER_NAME_BYTES];
	autoclose int fd = -1;
	bool ours;

	title_of(r, name, sizeof(name));
	fd = takeover_take(t, TAKEOVER_REMOTE, name, NULL);
	if (fd < 0 || !read_info(r, fd, &r->info, &ours))
		return;
	inherit_server(r, t, name);
	r->server_used = true;
	if (!ours) {
		remote_end_server(r);
		return;
	}
	r->known = true;
	inherit_links(r, t);
	remote_say_open(r, 0);
}
