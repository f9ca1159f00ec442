/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest's parts offer each other, file by file. Hides nothing itself; a
 * part knows of another what stands here. One CPU, one thread, no interrupt but
 * the event upcall, which comes only inside wait_until() (time.c).
 */
#ifndef BARE_H
#define BARE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#include "front.h"

#define PAGE_BYTES 4096ul
#define ARRAY_NR(a) (sizeof(a) / sizeof((a)[0]))
/* What Xen writes while we look. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
/* No access moves across; x86 keeps loads and stores in order among themselves. */
#define barrier() __asm__ volatile("" ::: "memory")

/* ---- memory.c: frames and addresses ---------------------------------------------- */

/* Before anything else; also maps the shared page. */
void memory_init(const struct start_info *si);
extern struct shared_info *shared_info;
/* The guest's own address of a page of which the builder gave the frame number. */
void *memory_of_mfn(unsigned long mfn);
unsigned long memory_mfn(const void *page);
/* Note that another frame is behind page now; 0: none. Maps nothing. */
void memory_set_mfn(const void *page, unsigned long mfn);
/* Puts frame mfn at page, whose own is no longer reachable. 0 or -errno. */
int memory_map(void *page, unsigned long mfn);
/* The entry that maps mfn read-write. */
uint64_t memory_pte(unsigned long mfn);

/* Runs of pages for sharing, of unknown content. NULL: no run so long. */
void *pages_get(unsigned int nr);
void pages_put(void *pages, unsigned int nr);
unsigned int pages_used(void);
unsigned int pages_total(void);

/* ---- heap.c: malloc, calloc, free ------------------------------------------------ */

size_t heap_used_bytes(void);

/* ---- events.c: event channels; also libxenevtchn --------------------------------- */

void events_init(void);
/* A port of the guest's own: its events only end wait_until(). */
void events_listen(uint32_t port);
void events_notify(uint32_t port);
/* Takes in what is pending; the upcall does it too. */
void events_collect(void);
/* Whether xenevtchn_pending() has a port. */
bool events_ready(void);
uint64_t events_upcalls(void);

/* ---- time.c: the clock, the timer, sleep ----------------------------------------- */

#define NEVER_NS UINT64_MAX

void time_init(void);
uint64_t time_ns(void);		/* since the host started */
/*
 * Sleeps until done(arg) or the time has come; done is asked after each event. True:
 * it is done.
 */
bool wait_until(bool (*done)(void *arg), void *arg, uint64_t deadline_ns);

/* ---- console.c ------------------------------------------------------------------- */

void console_init(const struct start_info *si);
/* %s %c %d %u %x with l and ll, width and 0; a line feed ends a line. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As vsnprintf(), and returns what it wrote. */
int vformat(char *buf, size_t bytes, const char *fmt, va_list args);
int format(char *buf, size_t bytes, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Waits until dom0 has read everything; not for ever. */
void console_flush(void);

/* ---- traps.c --------------------------------------------------------------------- */

void traps_init(void);
/* Ends the domain with a line that says why; what assert() is elsewhere. */
void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void shutdown(unsigned int reason) __attribute__((noreturn));

/* ---- store.c: libxenstore over the ring ------------------------------------------ */

void store_init(const struct start_info *si);
/* Whether xs_check_watch() may have something. */
bool store_ready(void);

/* ---- grants.c: the grant table; also libxengnttab's gntshr ----------------------- */

#define GRANTS_END 4096u
void grants_init(void);
struct grant_entry_v1 *grants_entry(uint32_t gref);
/* A free entry, 0: none. */
uint32_t grants_get(void);
void grants_put(uint32_t gref);
unsigned int grants_used(void);
/* Whether pages that are shared from now on can be copied and not be mapped. */
void grants_copied_alone(bool on);

/* ---- flip.c: struct front_flip --------------------------------------------------- */

#define FLIP_PAGES_MAX 1024u
/* Gives nr pages back to the hypervisor, so that as many can come. Returns how many. */
unsigned int flip_make_room(unsigned int nr);
/*
 * How the guest behaves from now on, makes room too: well; or as one that costs its
 * back end pages: without room, with entries that give access instead, that are for
 * another domain, that change all the time.
 */
enum flip_how { FLIP_WELL, FLIP_FULL, FLIP_ACCESS, FLIP_OTHER, FLIP_UNSTABLE };
/* "flip", or one of these in small letters; false: none of them. */
bool flip_how(const char *word, enum flip_how *out);
void flip_be(enum flip_how wanted);
/* Changes entries for some milliseconds, if that is how it behaves. */
void flip_disturb(void);
extern const struct front_flip flip_ops;
struct flip_counts {
	uint64_t offered, taken, none, given, hypercalls;
	unsigned int held;		/* pages taken and not given back */
};
void flip_counts(struct flip_counts *out);

/* ---- front.c: what the front ends are opened with -------------------------------- */

struct front_env *front_env(void);

/* ---- commands: main.c runs them -------------------------------------------------- */

struct words {
	unsigned int nr;
	char *word[16];
};

/* 0: passed; -errno: failed, after a line that says why. */
int cmd_disk(const struct words *w);
int cmd_net(const struct words *w);
int cmd_store(const struct words *w);
int cmd_events(const struct words *w);
int cmd_memory(const struct words *w);
int cmd_idle(const struct words *w);
int cmd_flip(const struct words *w);
int cmd_hostile(const struct words *w);
int cmd_trap(const struct words *w);
/* Says what is wrong with a command's words. Returns -EINVAL. */
int usage(const char *text);
/* A number that is all of word; false: it is none. */
bool number(const char *word, uint64_t *out);

#endif
