/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at a place for a socket (socket-path.h).
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket-path.h"
#include "util.h"

/* -ECONNREFUSED: nobody. A file of another kind would say that, too. */
static int knock(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	strcpy(a.sun_path, path);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
}

const char *socket_path_clear(const char *path)
{
	struct stat st;
	int rc;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "the path is too long for a socket";
	if (lstat(path, &st))
		return errno == ENOENT ? NULL : strerror(errno);
	if (!S_ISSOCK(st.st_mode))
		return "it is there, and is no socket: it stays; say another path";
	rc = knock(path);
	if (!rc || rc == -EAGAIN)
		return "somebody serves there already";
	if (rc != -ECONNREFUSED)
		return strerror(-rc);
	return unlink(path) && errno != ENOENT ? strerror(errno) : NULL;
}
