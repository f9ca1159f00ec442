/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture files, read back by the test, and by tcpdump where it is installed; with
 * readers that are slow, gone, and disks that are full.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pcap.h"
#include "unit.h"

#define NOW_NS 1700000000123456789ull

static const struct pcap_config config = { .snaplen = 1000, .buffer_bytes = 5000 };
static uint8_t frame[2000], got[1 << 20];
static struct pcap_writer *w;
static int ends[2];			/* read, write */

static void begin(const struct pcap_config *cfg)
{
	for (unsigned int i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	w = NULL;
	UNIT_EQ(pipe2(ends, O_CLOEXEC), 0);
	UNIT_EQ(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
	UNIT_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	UNIT_EQ(pcap_writer_open(ends[1], cfg, &w), 0);
}

static void end(void)
{
	pcap_writer_close(w);
	close(ends[0]);
	close(ends[1]);
}

static bool add(uint32_t bytes, uint64_t time_ns)
{
	return pcap_writer_frame(w, time_ns, &(struct iovec){ frame, bytes }, 1, bytes);
}

static struct pcap_counters counters(void)
{
	struct pcap_counters c;

	pcap_writer_counters(w, &c);
	return c;
}

/* Reads what is in the pipe behind the first at octets of got. */
static uint32_t drain(uint32_t at)
{
	ssize_t n;

	while ((n = read(ends[0], got + at, sizeof(got) - at)) > 0)
		at += (uint32_t)n;
	return at;
}

static uint32_t word(uint32_t at)
{
	uint32_t v;

	memcpy(&v, got + at, 4);
	return v;
}

/* Frame octets are right, and records follow one another up to the end. */
static uint32_t count_records(uint32_t bytes)
{
	uint32_t at = 24, nr = 0;

	while (at + 16 <= bytes) {
		UNIT_OK(word(at + 8) <= config.snaplen && word(at + 8) <= word(at + 12));
		UNIT_OK(at + 16 + word(at + 8) <= bytes);
		UNIT_OK(!memcmp(got + at + 16, frame, word(at + 8)));
		at += 16 + word(at + 8);
		nr++;
	}
	UNIT_EQ(at, bytes);
	return nr;
}

static void test_format(void)
{
	struct pcap_config c = config;

	begin(&c);
	UNIT_OK(add(60, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), 0);
	UNIT_EQ(drain(0), 24 + 16 + 60);
	UNIT_EQ(word(0), 0xa1b23c4d);
	UNIT_EQ(word(4), 2 | 4 << 16);
	UNIT_EQ(word(8), 0);
	UNIT_EQ(word(12), 0);
	UNIT_EQ(word(16), 1000);
	UNIT_EQ(word(20), 1);
	UNIT_EQ(word(24), 1700000000);
	UNIT_EQ(word(28), 123456789);
	UNIT_EQ(word(32), 60);
	UNIT_EQ(word(36), 60);
	UNIT_EQ(count_records(100), 1);
	end();
	c.microseconds = true;
	begin(&c);
	UNIT_OK(add(60, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), 0);
	drain(0);
	UNIT_EQ(word(0), 0xa1b2c3d4);
	UNIT_EQ(word(28), 123456);
	end();
}

static void test_odd_numbers(void)
{
	struct pcap_config c = config;

	c.snaplen = 0;
	UNIT_EQ(pcap_writer_open(1, &c, &w), -EINVAL);
	UNIT_OK(!w);
	c.snaplen = PCAP_SNAPLEN_MAX + 1;
	c.buffer_bytes = 1 << 20;
	UNIT_EQ(pcap_writer_open(1, &c, &w), -EINVAL);
	c.snaplen = 1000;
	c.buffer_bytes = 1039;
	UNIT_EQ(pcap_writer_open(1, &c, &w), -EINVAL);
	c.buffer_bytes = 999;
	UNIT_EQ(pcap_writer_open(1, &c, &w), -EINVAL);
	c.buffer_bytes = 1040;
	c.max_bytes = 23;
	UNIT_EQ(pcap_writer_open(1, &c, &w), -EINVAL);
	c.max_bytes = 0;
	UNIT_EQ(pcap_writer_open(-1, &c, &w), -EBADF);
	pcap_writer_close(NULL);
	/* The least buffer holds the file's header and one whole frame. */
	begin(&c);
	UNIT_OK(add(1000, NOW_NS));
	UNIT_OK(!add(0, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), 0);
	UNIT_EQ(count_records(drain(0)), 1);
	end();
	/* The largest snaplen; the smallest file, which has no frames. */
	c = (struct pcap_config){ .snaplen = PCAP_SNAPLEN_MAX, .buffer_bytes = 1 << 20,
				  .max_bytes = 24 };
	begin(&c);
	UNIT_OK(!add(0, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), 0);
	UNIT_EQ(drain(0), 24);
	end();
}

/* The descriptor does not block from then on, and keeps its other flags. */
static void test_flags(void)
{
	int fd = open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC);

	UNIT_NEED(fd >= 0);
	UNIT_EQ(pcap_writer_open(fd, &config, &w), 0);
	UNIT_EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE),
		O_APPEND | O_NONBLOCK | O_WRONLY);
	pcap_writer_close(w);
	close(fd);
}

static void test_snaplen(void)
{
	struct iovec pieces[] = { { frame, 3 }, { frame + 3, 0 }, { frame + 3, 500 },
				  { frame + 503, 1000 } };

	begin(&config);
	UNIT_OK(pcap_writer_frame(w, NOW_NS, pieces, 4, 1503));
	/* Of a large frame only the first octets may be at hand; or none. */
	UNIT_OK(pcap_writer_frame(w, NOW_NS, pieces, 3, 60000));
	UNIT_OK(pcap_writer_frame(w, NOW_NS, NULL, 0, 60000));
	/* Pieces may hold more than the frame. */
	UNIT_OK(pcap_writer_frame(w, NOW_NS, pieces, 4, 100));
	UNIT_EQ(pcap_writer_flush(w), 0);
	UNIT_EQ(count_records(drain(0)), 4);
	UNIT_EQ(word(24 + 8), 1000);
	UNIT_EQ(word(24 + 12), 1503);
	UNIT_EQ(word(24 + 1016 + 8), 503);
	UNIT_EQ(word(24 + 1016 + 12), 60000);
	UNIT_EQ(word(24 + 1016 + 519 + 8), 0);
	UNIT_EQ(word(24 + 1016 + 519 + 16 + 8), 100);
	UNIT_EQ(counters().frames, 4);
	UNIT_EQ(counters().bytes, 24 + 1016 + 519 + 16 + 116);
	end();
}

/* A reader that reads now and then loses frames, whole ones, and no octet else. */
static void test_slow_reader(void)
{
	uint32_t taken = 0, bytes = 0, waited = 0;
	int ret;

	begin(&config);
	for (uint32_t i = 0; i < 3000; i++) {
		taken += add(i % 1200, NOW_NS + i);
		ret = pcap_writer_flush(w);
		UNIT_OK(ret == 0 || ret == 1);
		waited += ret == 1;
		if (i % 17 == 0)
			bytes = drain(bytes);
	}
	while (pcap_writer_flush(w) == 1)
		bytes = drain(bytes);
	bytes = drain(bytes);
	UNIT_EQ(count_records(bytes), taken);
	UNIT_EQ(counters().frames, taken);
	UNIT_EQ(counters().dropped, 3000 - taken);
	UNIT_EQ(counters().bytes, bytes);
	UNIT_OK(taken > 100 && taken < 2900 && waited > 100);
	end();
}

static void test_no_reader(void)
{
	begin(&config);
	UNIT_OK(add(60, NOW_NS));
	close(ends[0]);
	UNIT_EQ(pcap_writer_flush(w), -EPIPE);
	UNIT_OK(!add(60, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), -EPIPE);
	UNIT_EQ(counters().dropped, 1);
	ends[0] = -1;
	end();
}

static void test_full_disk(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint32_t taken = 0;

	UNIT_NEED(fd >= 0);
	UNIT_EQ(pcap_writer_open(fd, &config, &w), 0);
	for (int i = 0; i < 100; i++) {
		taken += add(60, NOW_NS);
		UNIT_EQ(pcap_writer_flush(w), 1);
	}
	UNIT_EQ(taken, (5000 - 24) / 76);
	UNIT_EQ(counters().dropped, 100 - taken);
	pcap_writer_close(w);
	close(fd);
}

static void test_largest_file(void)
{
	struct pcap_config c = config;

	c.max_bytes = 24 + 3 * 76;
	begin(&c);
	for (int i = 0; i < 5; i++) {
		UNIT_EQ(add(60, NOW_NS), i < 3);
		UNIT_EQ(pcap_writer_flush(w), 0);
	}
	UNIT_EQ(drain(0), c.max_bytes);
	UNIT_EQ(counters().dropped, 2);
	end();
}

static int tcpdump(const char *path)
{
	char command[200];
	int ret;

	snprintf(command, sizeof(command),
		 "command -v tcpdump >/dev/null || exit 77; "
		 "n=$(tcpdump -w - -r %s | wc -c); exit $((n == 24 + 3 * 76 ? 0 : 1))", path);
	ret = system(command);
	return WIFEXITED(ret) ? WEXITSTATUS(ret) : -1;
}

static void test_tcpdump(void)
{
	char path[] = "/tmp/test-pcap.XXXXXX";
	int fd = mkstemp(path), ret;

	UNIT_NEED(fd >= 0);
	UNIT_EQ(pcap_writer_open(fd, &config, &w), 0);
	for (int i = 0; i < 3; i++)
		UNIT_OK(add(60, NOW_NS));
	UNIT_EQ(pcap_writer_flush(w), 0);
	ret = tcpdump(path);
	if (ret == UNIT_SKIP)
		printf("(tcpdump is not installed: read by the test alone) ");
	else
		UNIT_EQ(ret, 0);
	pcap_writer_close(w);
	close(fd);
	unlink(path);
}

static const struct unit_test tests[] = {
	{ "the format", test_format },
	{ "numbers that cannot be", test_odd_numbers },
	{ "the descriptor's flags", test_flags },
	{ "snaplen", test_snaplen },
	{ "a slow reader", test_slow_reader },
	{ "a reader that has gone", test_no_reader },
	{ "a full disk", test_full_disk },
	{ "the largest file", test_largest_file },
	{ "tcpdump", test_tcpdump },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return unit_run("pcap", tests, UNIT_LEN(tests));
}
