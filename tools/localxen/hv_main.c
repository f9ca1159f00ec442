/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_main.c - the hypervisor process: its loop, and its beginning and end.
 *
 * Hides how clients and their deaths are waited for, and the end: when
 * the parent that started it dies, by whatever means, it ends every process of
 * the instance and removes its directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hv.h"
#include "kill.h"

#define LOOK_AGAIN_MS 50	/* while something waits that no event tells of */
#define END_TIMEOUT_MS 10000

/*
 * What an epoll event is about: a client, or one of these. Process slots' death watches
 * are tagged by being inside the array.
 */
static char listen_source, signal_source, death[LX_MAX_PROCS];

/* False: there was no descriptor for a new client, who waits. */
static bool listens = true;

static void watch(int fd, void *source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = source };

	epoll_ctl(hv.epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static void set_listening(bool on)
{
	struct epoll_event ev = { .events = on ? EPOLLIN : 0, .data.ptr = &listen_source };

	epoll_ctl(hv.epoll_fd, EPOLL_CTL_MOD, hv.listen_fd, &ev);
	listens = on;
}

/* ---- clients ---- */

static void serve(struct hv_client *c)
{
	bool was_process = c->proc >= 0;

	if (!hv_serve(c)) {
		hv_client_gone(c);
		free(c);
	} else if (!was_process && c->proc >= 0) {
		watch(hv.proc[c->proc].pidfd, &death[c->proc]);
	}
}

static void accept_client(void)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct hv_client *c;
	int fd = accept4(hv.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		set_listening(false);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		free(c);
		close(fd);
		return;
	}
	*c = (struct hv_client){ .fd = fd, .pid = cred.pid, .proc = -1 };
	watch(fd, c);
}

/* ---- start and end ---- */

static int make_shm(void)
{
	struct lx_shm *shm;

	hv.shm_fd = memfd_create("localxen-hypervisor", MFD_CLOEXEC);
	if (hv.shm_fd < 0 || ftruncate(hv.shm_fd, sizeof(*shm)))
		return -errno;
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE, hv.shm_fd, 0);
	if (shm == MAP_FAILED)
		return -errno;
	shm->magic = LX_MAGIC;
	shm->version = LX_VERSION;
	shm->size_bytes = sizeof(*shm);
	shm->hv_pid = getpid();
	shm->nr_threads = LX_HV_THREAD + 1;
	hv.shm = shm;
	if (hv_heap_init())
		return -ENOMEM;
	for (unsigned i = 0; i < LX_MAX_DOMS; i++)
		hv.dom[i].mem_fd = -1;
	return 0;
}

static int make_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" LX_SOCKET_NAME,
		     hv.dir) >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	hv.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (hv.listen_fd < 0 ||
	    bind(hv.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(hv.listen_fd, 128))
		return -errno;
	return 0;
}

static int make_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	hv.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return hv.signal_fd < 0 ? -errno : 0;
}

/* Two descriptors a process and one a handle; the usual soft limit is for select(2)'s sake. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* OPTION=VALUE, for Xen and for dom0; cli_run.c has checked them. */
static void parse_option(const char *text, struct lx_create *dom0)
{
	const char *eq = strchr(text, '=');
	uint32_t value = eq ? strtoul(eq + 1, NULL, 10) : 0;

	if (!strncmp(text, "maptrack=", 9)) {
		dom0->maptrack_frames = value;
	} else if (!strncmp(text, "extra-pages=", 12)) {
		dom0->extra_pages = value;
		dom0->has_extra_pages = 1;
	} else if (!strncmp(text, "pvh=", 4)) {
		dom0->not_pv = value;
	} else if (!strncmp(text, "no-transfer=", 12)) {
		hv.shm->no_transfer = value;
	}
}

static int start(int nr_options, char **options)
{
	struct lx_create dom0 = { .name = "Domain-0" };
	struct lx_rep rep;
	int rc = make_shm();

	raise_fd_limit();
	for (int i = 0; !rc && i < nr_options; i++)
		parse_option(options[i], &dom0);
	hv.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!rc && hv.epoll_fd < 0)
		rc = -errno;
	if (!rc)
		rc = hv_domain_create(&dom0, &rep);
	if (!rc)
		rc = make_signals();
	if (!rc)
		rc = make_socket();
	if (rc)
		return rc;
	watch(hv.listen_fd, &listen_source);
	watch(hv.signal_fd, &signal_source);
	return 0;
}

static void handle(void *ptr)
{
	if (ptr == &listen_source)
		accept_client();
	else if (ptr == &signal_source)
		hv.ending = true;
	else if ((char *)ptr >= death && (char *)ptr < death + LX_MAX_PROCS)
		hv_proc_release((char *)ptr - death);
	else
		serve(ptr);
}

static void run(void)
{
	struct epoll_event ev;
	bool waits = false;
	int n;

	while (!hv.ending) {
		n = epoll_wait(hv.epoll_fd, &ev, 1, waits || !listens ? LOOK_AGAIN_MS : -1);
		if (!listens)
			set_listening(true);
		if (n > 0)
			handle(ev.data.ptr);
		waits = hv_reap();
	}
}

/*
 * hypervisor DIR PARENT READY_FD [OPTION=VALUE]...: serves until told to end, or
 * until PARENT is gone. Writes one byte to READY_FD when clients may come.
 */
int hv_main(int argc, char **argv)
{
	int rc, ready;
	pid_t parent;

	if (argc < 4)
		return 2;
	hv.dir = argv[1];
	parent = atoi(argv[2]);
	ready = atoi(argv[3]);
	prctl(PR_SET_NAME, "localxen-hv");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	rc = start(argc - 4, argv + 4);
	if (rc) {
		fprintf(stderr, "localxen: hypervisor in %s: %s\n", hv.dir, strerror(-rc));
		return 1;
	}
	if (write(ready, "", 1) != 1)
		return 1;
	close(ready);
	if (getppid() == parent)
		run();
	hv_kill_processes(LX_ALL_DOMAINS, getppid() == parent ? parent : 0, END_TIMEOUT_MS);
	lx_remove_tree(hv.dir);
	_exit(0);
}
