/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzz target as a plain program: every file of tests/fuzz/corpus/TARGET and
 * tests/fuzz/found/TARGET, then mutations of them, the same ones every time.
 * Needs no clang. TARGET is the program's name after "fuzz-"; or the arguments
 * are files, to be run as they are.
 *
 * FUZZ_RUNS: how many mutations. When one of them ends the program, its input is
 * left in the current directory as TARGET.crash.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "fuzz.h"

#define SEEDS_MAX 1024u
#define RUNS 2000u
#define SECONDS_MAX 8		/* of CPU; what comes then is left out, and said */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
/* The address sanitizer's, when it is there. */
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

struct input {
	uint8_t data[FUZZ_INPUT_MAX];
	size_t bytes;
	const char *path;
};

static struct input now, *seeds[SEEDS_MAX];
static uint32_t nr_seeds;
static char crash_path[256];
static bool from_file;

/* ---- what is left of a crash -------------------------------------------------------- */

static void say(const char *text)
{
	if (write(2, text, strlen(text)) < 0)
		return;
}

static void keep_input(void)
{
	int fd;

	if (from_file) {
		say("the input is ");
		say(now.path);
		say("\n");
		return;
	}
	fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd >= 0 && write(fd, now.data, now.bytes) == (ssize_t)now.bytes) {
		say("the input is in ");
		say(crash_path);
		say("\n");
	}
}

static void on_signal(int signal)
{
	keep_input();
	raise(signal);	/* SA_RESETHAND: now it ends us */
}

static void watch_for_crashes(void)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &act, NULL);
}

/* ---- inputs ----------------------------------------------------------------------------- */

static void read_input(const char *path)
{
	struct input *in = calloc(1, sizeof(*in));
	FILE *f = fopen(path, "rb");

	FUZZ_NEED(in && nr_seeds < SEEDS_MAX);
	if (!f) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	in->bytes = fread(in->data, 1, sizeof(in->data), f);
	in->path = strdup(path);
	fclose(f);
	seeds[nr_seeds++] = in;
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void read_inputs(const char *kind, const char *target)
{
	const char *top = getenv("abs_top_srcdir");
	struct dirent **list;
	char path[1024];
	int n, used;

	used = snprintf(path, sizeof(path), "%s/tests/fuzz/%s/%s", top ? top : ".", kind, target);
	n = scandir(path, &list, no_dots, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path + used, sizeof(path) - (size_t)used, "/%s", list[i]->d_name);
		read_input(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static uint64_t random_state = 1;

/* splitmix64; always the same sequence */
static uint32_t rnd(uint32_t end)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return end ? (uint32_t)((z ^ z >> 31) >> 16) % end : 0;
}

static void overwrite(void)
{
	static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, 12, 64 };
	uint32_t at = rnd((uint32_t)now.bytes);

	now.data[at] = rnd(2) ? telling[rnd(8)] : (uint8_t)rnd(256);
}

static void move_part(void)
{
	uint32_t bytes = (uint32_t)now.bytes, from = rnd(bytes), to = rnd(bytes);
	uint32_t n = rnd(32), most = bytes - (from > to ? from : to);

	memmove(now.data + to, now.data + from, n < most ? n : most);
}

static void take_from_another(void)
{
	const struct input *other = seeds[rnd(nr_seeds)];
	uint32_t from = rnd((uint32_t)other->bytes), n = rnd(64), at = rnd((uint32_t)now.bytes);

	if (n > other->bytes - from)
		n = (uint32_t)other->bytes - from;
	if (n > sizeof(now.data) - at)
		n = (uint32_t)sizeof(now.data) - at;
	memcpy(now.data + at, other->data + from, n);
	if (at + n > now.bytes)
		now.bytes = at + n;
}

static void mutate(void)
{
	now = *seeds[rnd(nr_seeds)];
	for (uint32_t n = 1 + rnd(8); n && now.bytes; n--)
		switch (rnd(6)) {
		case 0: move_part(); break;
		case 1: take_from_another(); break;
		case 2: now.bytes -= rnd((uint32_t)now.bytes / 4); break;
		default: overwrite();
		}
}

/* ---- runs ------------------------------------------------------------------------------- */

static void run(void)
{
	/* Of its own, so that a sanitizer sees what is read past its end. */
	uint8_t *copy = malloc(now.bytes ? now.bytes : 1);

	memcpy(copy, now.data, now.bytes);
	alarm(60);
	LLVMFuzzerTestOneInput(copy, now.bytes);
	alarm(0);
	free(copy);
}

static void run_seeds(void)
{
	from_file = true;
	for (uint32_t i = 0; i < nr_seeds; i++) {
		now = *seeds[i];
		run();
	}
	from_file = false;
}

static uint32_t run_mutations(uint32_t wanted)
{
	uint32_t done = 0;

	for (; done < wanted && clock() < (clock_t)SECONDS_MAX * CLOCKS_PER_SEC; done++) {
		mutate();
		run();
	}
	return done;
}

int main(int argc, char **argv)
{
	const char *target = strrchr(argv[0], '/'), *set = getenv("FUZZ_RUNS");
	uint32_t wanted = set ? (uint32_t)atoi(set) : RUNS, done = 0;

	target = target ? target + 1 : argv[0];
	target += strncmp(target, "fuzz-", 5) ? 0 : 5;
	snprintf(crash_path, sizeof(crash_path), "%s.crash", target);
	watch_for_crashes();
	for (int i = 1; i < argc; i++)
		read_input(argv[i]);
	if (argc < 2) {
		read_inputs("corpus", target);
		read_inputs("found", target);
		if (!nr_seeds) {
			fprintf(stderr, "fuzz-%s: no corpus in tests/fuzz/corpus/%s\n", target, target);
			return 1;
		}
	}
	run_seeds();
	if (argc < 2)
		done = run_mutations(wanted);
	printf("fuzz-%s: %u files, %u of %u mutations%s\n", target, nr_seeds, done,
	       argc < 2 ? wanted : 0, argc < 2 && done < wanted ? " (no time for more)" : "");
	for (uint32_t i = 0; i < nr_seeds; i++) {
		free((char *)seeds[i]->path);
		free(seeds[i]);
	}
	return 0;
}
