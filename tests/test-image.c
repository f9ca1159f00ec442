/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images: opening, measuring, sharing, the fence.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "image.h"
#include "unit.h"
#include "util.h"

static char dir[] = "/tmp/test-image.XXXXXX";

static const char *file(const char *name, off_t bytes)
{
	static char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, bytes));
	close(fd);
	return path;
}

static void test_measure(void)
{
	struct image_info info;
	char why[200] = "";
	autoclose int fd = -1;

	UNIT_NEED(!image_open(file("a", 1 << 20), false, &fd, &info, why, sizeof(why)));
	UNIT_EQ(info.bytes, 1 << 20);
	UNIT_EQ(info.sector_bytes, 512);
	UNIT_EQ(info.physical_sector_bytes, 4096);
	UNIT_OK(!info.is_device);
	UNIT_OK(!info.discard || info.discard_granularity_bytes);
	UNIT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	UNIT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	UNIT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close_fd(&fd);
	UNIT_NEED(!image_open(file("b", 1536), true, &fd, &info, why, sizeof(why)));
	UNIT_EQ(info.bytes, 1536);
	UNIT_EQ(info.physical_sector_bytes, 512);
	UNIT_OK(!info.discard);
	UNIT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

/* Asking whether holes can be punched must not punch one. */
static void test_contents(void)
{
	struct image_info info;
	char why[200], text[8] = "", byte = 'x';
	const char *path = file("c", 8192);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	autoclose int image = -1;

	UNIT_NEED(pwrite(fd, &byte, 1, 8191) == 1 && pwrite(fd, &byte, 1, 0) == 1);
	UNIT_NEED(!image_open(path, false, &image, &info, why, sizeof(why)));
	UNIT_OK(pread(fd, text, 1, 8191) == 1 && text[0] == 'x');
	UNIT_OK(pread(fd, text, 1, 0) == 1 && text[0] == 'x');
	UNIT_EQ(lseek(fd, 0, SEEK_END), 8192);
}

static void test_is(void)
{
	autoclose int fd = open(file("one", 1024), O_RDONLY | O_CLOEXEC);
	autoclose int other = open(file("other", 1024), O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint64_t bytes;

	UNIT_NEED(!fstat(fd, &st));
	UNIT_OK(image_is(fd, &st));
	UNIT_OK(!image_is(other, &st));
	UNIT_OK(!image_is(-1, &st));
	UNIT_OK(!image_measure(fd, 4096, &bytes) && bytes == 0);
	UNIT_OK(!image_measure(fd, 512, &bytes) && bytes == 1024);
}

/* A worker's own description: it can do what was asked for, and leaves atime alone. */
static void test_reopened(void)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	autoclose int fd = open(file("again", 4096), O_RDWR | O_CLOEXEC), again = -1;
	struct stat st;
	char byte;

	for (int read_only = 0; read_only <= 1; read_only++) {
		UNIT_NEED(!image_reopen(fd, read_only, &again));
		UNIT_EQ(fcntl(again, F_GETFL) & O_ACCMODE, read_only ? O_RDONLY : O_RDWR);
		UNIT_OK(fcntl(again, F_GETFL) & O_NOATIME);
		UNIT_NEED(!futimens(again, old) && pread(again, &byte, 1, 0) == 1);
		UNIT_OK(!fstat(again, &st) && st.st_atim.tv_sec == 1000);
		close_fd(&again);
	}
}

static void test_refused(void)
{
	static const struct {
		const char *path;
		bool read_only;
		int rc;
		const char *words;
	} table[] = {
		{ "", false, -EINVAL, "expected an absolute path" },
		{ "image", false, -EINVAL, "'image': expected an absolute path" },
		{ "/nonexistent", false, -ENOENT, "/nonexistent: no such file" },
		{ "/dev/null/x", false, -ENOTDIR, "not a directory" },
		{ "/tmp", false, -EISDIR, "is a directory, expected a file" },
		{ "/tmp", true, -EISDIR, "is a directory, expected a file" },
		{ "/dev/zero", true, -EINVAL, "expected a file or block device" },
	};
	struct image_info info;
	char why[200];
	size_t i;
	int fd;

	for (i = 0; i < UNIT_LEN(table); i++) {
		why[0] = '\0';
		UNIT_EQ(image_open(table[i].path, table[i].read_only, &fd, &info, why,
				   sizeof(why)), table[i].rc);
		UNIT_OK(strstr(why, table[i].words) != NULL);
		UNIT_EQ(fd, -1);
	}
}

static void test_odd_files(void)
{
	struct image_info info;
	char why[200] = "", path[96];
	int fd;

	UNIT_EQ(image_open(file("odd", 1000), false, &fd, &info, why, 200), -EINVAL);
	UNIT_OK(strstr(why, "1000 bytes is not a multiple") != NULL);
	UNIT_EQ(image_open(file("empty", 0), false, &fd, &info, why, 200), -EINVAL);
	UNIT_OK(strstr(why, "is empty") != NULL);
	/* Neither may the supervisor hang in open(). */
	snprintf(path, sizeof(path), "%s/fifo", dir);
	UNIT_NEED(!mkfifo(path, 0600));
	UNIT_EQ(image_open(path, true, &fd, &info, why, 200), -EINVAL);
	UNIT_EQ(image_open(path, false, &fd, &info, why, 200), -EINVAL);
	/* A text that does not fit is cut, not overrun. */
	UNIT_EQ(image_open("/nonexistent", true, &fd, &info, why, 8), -ENOENT);
	UNIT_EQ(strlen(why), 7);
}

/* Larger sectors than the image has, never smaller; its size must fit them. */
static void test_other_sectors(void)
{
	static const struct {
		off_t bytes;
		uint32_t own, logical, physical, want_logical, want_physical;
		int rc;
	} table[] = {
		{ 1 << 20, 512, 0, 0, 512, 4096, 0 },
		{ 1 << 20, 512, 4096, 0, 4096, 4096, 0 },
		{ 1 << 20, 512, 2048, 512, 2048, 2048, 0 },
		{ 1 << 20, 512, 4096, 65536, 4096, 65536, 0 },
		{ 1 << 20, 512, 0, 512, 512, 512, 0 },
		{ 1 << 20, 4096, 0, 512, 4096, 4096, 0 },
		{ 1 << 20, 4096, 512, 0, 0, 0, -EINVAL },
		{ 4096 * 9 + 512, 512, 4096, 0, 0, 0, -EINVAL },
	};
	struct image_info info;
	char why[200];

	for (size_t i = 0; i < UNIT_LEN(table); i++) {
		autoclose int fd = -1;

		UNIT_NEED(!image_open(file("sectors", table[i].bytes), false, &fd, &info,
				      why, 200));
		info.sector_bytes = table[i].own;
		UNIT_EQ(image_set_sectors(&info, table[i].logical, table[i].physical, "/it",
					  why, 200), table[i].rc);
		if (table[i].rc) {
			UNIT_OK(!strncmp(why, "/it: ", 5) && strstr(why, "4096"));
			continue;
		}
		UNIT_EQ(info.sector_bytes, table[i].want_logical);
		UNIT_EQ(info.physical_sector_bytes, table[i].want_physical);
	}
}

static int open_image(const char *path, enum vbd_share share)
{
	struct image_info info;
	char why[200];
	int fd;

	if (image_open(path, share == VBD_READ_ONLY, &fd, &info, why, sizeof(why)))
		return -1;
	return fd;
}

static void test_sharing(void)
{
	static const struct {
		enum vbd_share first, second;
		int rc;
	} table[] = {
		{ VBD_EXCLUSIVE, VBD_EXCLUSIVE, -EBUSY },
		{ VBD_EXCLUSIVE, VBD_READ_ONLY, -EBUSY },
		{ VBD_READ_ONLY, VBD_EXCLUSIVE, -EBUSY },
		{ VBD_READ_ONLY, VBD_READ_ONLY, 0 },
		{ VBD_EXCLUSIVE, VBD_SHARED_WRITE, 0 },
		{ VBD_SHARED_WRITE, VBD_EXCLUSIVE, 0 },
	};
	const char *path = file("shared", 4096);
	char why[200], pid[24];
	size_t i;

	snprintf(pid, sizeof(pid), "process %d (", (int)getpid());
	for (i = 0; i < UNIT_LEN(table); i++) {
		autoclose int first = open_image(path, table[i].first);
		autoclose int second = open_image(path, table[i].second);

		why[0] = '\0';
		UNIT_EQ(image_share_lock(first, table[i].first, why, 200), 0);
		UNIT_EQ(image_share_lock(second, table[i].second, why, 200),
			table[i].rc);
		if (table[i].rc)
			UNIT_OK(strstr(why, pid) != NULL);
		/* The lock goes with its holder. */
		close_fd(&first);
		UNIT_EQ(image_share_lock(second, table[i].second, why, 200), 0);
	}
}

/* A child takes the fence as worker of device 1/devid, says so, and holds it until it is killed. */
static pid_t hold_fence(const char *path, enum vbd_share share, uint32_t devid)
{
	int said[2];
	char byte;
	pid_t pid;

	if (pipe(said))
		return -1;
	pid = fork();
	if (!pid) {
		int fd = open_image(path, share);

		if (image_fence(fd, share, 1, devid) || write(said[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(said[1]);
	if (read(said[0], &byte, 1) != 1)
		pid = -1;
	close(said[0]);
	return pid;
}

static volatile sig_atomic_t released;

static void release(int signo)
{
	(void)signo;
	released = 1;
}

/*
 * A second child kills the holder after a moment, having told us just before:
 * when fd's fence is granted, that must have happened.
 */
static void check_is_waited_for(pid_t holder, int fd, enum vbd_share share, uint32_t frontend_id)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	pid_t killer;

	released = 0;
	signal(SIGUSR1, release);
	killer = fork();
	if (!killer) {
		nanosleep(&moment, NULL);
		kill(getppid(), SIGUSR1);
		nanosleep(&moment, NULL);
		kill(holder, SIGKILL);
		_exit(0);
	}
	UNIT_EQ(image_fence(fd, share, frontend_id, 51712), 0);
	UNIT_OK(released);
	waitpid(killer, NULL, 0);
	waitpid(holder, NULL, 0);
}

static void check_fence(enum vbd_share share)
{
	const char *path = file("fenced", 4096);
	autoclose int fd = open_image(path, share), again = open_image(path, share);
	pid_t holder = hold_fence(path, share, 51712);

	UNIT_NEED(holder > 0);
	/* Another device's fence is another. */
	UNIT_EQ(image_fence(again, VBD_SHARED_WRITE, 1, 51728), 0);
	UNIT_EQ(image_fence(again, VBD_SHARED_WRITE, 2, 51712), 0);
	check_is_waited_for(holder, fd, share, 1);
}

static void test_fence(void)
{
	check_fence(VBD_EXCLUSIVE);
}

static void test_fence_read_only(void)
{
	check_fence(VBD_READ_ONLY);
}

/* Whose supervisor has died, so that nothing else keeps the image from another device. */
static void test_other_workers(void)
{
	static const struct {
		enum vbd_share first, second;
		bool waits;
	} table[] = {
		{ VBD_EXCLUSIVE, VBD_EXCLUSIVE, true },
		{ VBD_EXCLUSIVE, VBD_READ_ONLY, true },
		{ VBD_READ_ONLY, VBD_EXCLUSIVE, true },
		{ VBD_READ_ONLY, VBD_READ_ONLY, false },
		{ VBD_EXCLUSIVE, VBD_SHARED_WRITE, false },
		{ VBD_SHARED_WRITE, VBD_EXCLUSIVE, false },
	};
	const char *path = file("handed on", 4096);
	char who[64], expected[64];
	size_t i;

	for (i = 0; i < UNIT_LEN(table); i++) {
		autoclose int fd = open_image(path, table[i].second);
		pid_t holder = hold_fence(path, table[i].first, 51712);

		UNIT_NEED(holder > 0);
		snprintf(expected, sizeof(expected), "process %d (", (int)holder);
		UNIT_EQ(image_fence_holder(fd, table[i].second, 2, 51712, who, sizeof(who)),
			table[i].waits);
		if (table[i].waits) {
			UNIT_OK(!strncmp(who, expected, strlen(expected)));
			check_is_waited_for(holder, fd, table[i].second, 2);
			continue;
		}
		UNIT_EQ(image_fence(fd, table[i].second, 2, 51712), 0);
		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
	}
}

static const struct unit_test tests[] = {
	{ "size, sectors, flags", test_measure },
	{ "measuring leaves the contents alone", test_contents },
	{ "opened again", test_reopened },
	{ "which file it is, and its size", test_is },
	{ "what is refused, and in which words", test_refused },
	{ "odd, empty and strange files", test_odd_files },
	{ "other sectors than its own", test_other_sectors },
	{ "r shares with r, w is alone, w! overrides", test_sharing },
	{ "a fence is waited for", test_fence },
	{ "a reader's fence is waited for", test_fence_read_only },
	{ "another device's worker is waited for", test_other_workers },
};

int main(void)
{
	char command[64];
	int rc;

	if (!mkdtemp(dir))
		return 1;
	rc = unit_run("image", tests, UNIT_LEN(tests));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || rc;
}
