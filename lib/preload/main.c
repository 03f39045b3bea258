// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libuffdvram-preload: start, fork and end of a program under the shim.
 *
 * See libuffdvram-preload(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw.h"
#include "shim.h"

struct shim shim = { .fd = -1, .follow = true, .pause_us = 200, .step = 64 };

static int lock;		/* 0 free, 1 taken, 2 taken and waited for */
static struct shim_guard fork_guard;
static bool fork_entered;
static uint64_t heap_start, heap_end;

static void lock_take(void)
{
	int was = 0;

	if (__atomic_compare_exchange_n(&lock, &was, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&lock, 2, __ATOMIC_ACQUIRE))
		raw(SYS_futex, &lock, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void lock_give(void)
{
	if (__atomic_exchange_n(&lock, 0, __ATOMIC_RELEASE) == 2)
		raw(SYS_futex, &lock, FUTEX_WAKE_PRIVATE, 1, NULL);
}

bool shim_lock(void)
{
	lock_take();
	if (shim.mode != SHIM_OFF)
		return true;
	lock_give();
	return false;
}

void shim_unlock(void)
{
	lock_give();
}

bool shim_enter(struct shim_guard *g)
{
	uint64_t all = ~0ULL;

	/* A child of vfork() or of a bare clone() is another process. */
	if (shim.mode == SHIM_OFF || raw(SYS_getpid) != shim.pid)
		return false;
	/* A signal handler must not come while its thread holds the lock. */
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &g->sigmask, sizeof(all));
	if (shim_lock())
		return true;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &g->sigmask, NULL, sizeof(all));
	return false;
}

void shim_leave(const struct shim_guard *g)
{
	shim_unlock();
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &g->sigmask, NULL, sizeof(g->sigmask));
}

/* Once per process: the last thing that the shim does. */
void shim_report(void)
{
	struct shim_guard g;

	if (!shim_enter(&g))
		return;
	shim.n.fault_backs += device_fault_backs();
	shim.mode = SHIM_OFF;
	report_end();
	shim_leave(&g);
}

void shim_follow_heap(void)
{
	uint64_t end = raw(SYS_brk, 0);

	if (end < heap_end)
		table_cut(end, heap_end);
	else
		table_add(heap_end, end);
	heap_end = end;
}

static void heap_find(void)
{
	uint64_t start, end;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[heap]") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			heap_start = start;
	if (f)
		fclose(f);
	if (!heap_start)
		heap_start = (raw(SYS_brk, 0) + PAGE - 1) & -PAGE;
	heap_end = heap_start;
}

void shim_fork_prepare(void)
{
	chaos_stir(0, 0);
	fork_entered = shim_enter(&fork_guard);
}

void shim_fork_parent(void)
{
	if (fork_entered)
		shim_leave(&fork_guard);
}

/* The child has its own address space: other ranges, another context. */
void shim_fork_child(void)
{
	if (!fork_entered)
		return;
	device_close();
	shim.n = (struct shim_counts){ 0 };
	shim.pid = raw(SYS_getpid);
	if (!shim.follow || device_open()) {
		shim.mode = SHIM_OFF;
	} else {
		table_register_anew();
		report_begin();
	}
	if (shim.mode == SHIM_CHAOS)
		chaos_start();
	shim_leave(&fork_guard);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t n;
	char *end;

	if (!text)
		return otherwise;
	n = strtoull(text, &end, 0);
	return n << (*end == 'G' ? 30 : *end == 'M' ? 20 : *end == 'K' ? 10 : 0);
}

static void settings(void)
{
	const char *mode = getenv("UFFDVRAM_PRELOAD");

	shim.pool_bytes = env_number("UFFDVRAM_PRELOAD_POOL", 0);
	shim.heap = env_number("UFFDVRAM_PRELOAD_HEAP", 0);
	shim.follow = env_number("UFFDVRAM_PRELOAD_FORK", 1);
	shim.pause_us = env_number("UFFDVRAM_PRELOAD_PAUSE", 200);
	shim.stir = env_number("UFFDVRAM_PRELOAD_STIR", 50);
	shim.step = env_number("UFFDVRAM_PRELOAD_STEP", 64);
	if (shim.step < 1 || shim.step > 64)
		shim.step = 64;
	shim.report = getenv("UFFDVRAM_PRELOAD_REPORT");
	if (shim.report && !*shim.report)
		shim.report = NULL;
	/* The program may rewrite its environment. */
	if (shim.report)
		shim.report = strdup(shim.report);
	if (!mode || !strcmp(mode, "plain") || !strcmp(mode, "1"))
		shim.mode_wanted = SHIM_PLAIN;
	else if (!strcmp(mode, "chaos"))
		shim.mode_wanted = SHIM_CHAOS;
	else if (!strcmp(mode, "node"))
		shim.mode_wanted = SHIM_NODE;
	else if (strcmp(mode, "off") && strcmp(mode, "0"))
		fprintf(stderr,
			"uffdvram-preload: UFFDVRAM_PRELOAD=%s: off, plain, chaos or node\n",
			mode);
}

static __attribute__((constructor)) void shim_start(void)
{
	int ret;

	settings();
	if (shim.mode_wanted == SHIM_OFF)
		return;
	shim.pid = raw(SYS_getpid);
	ret = device_open();
	if (ret) {
		fprintf(stderr, "uffdvram-preload: %s: %s\n",
			ret == -ENODEV ? "no pool to move pages to" : "/dev/uffdvram",
			strerror(-ret));
		return;
	}
	if (shim.heap)
		heap_find();
	pthread_atfork(shim_fork_prepare, shim_fork_parent, shim_fork_child);
	report_begin();
	shim.mode = shim.mode_wanted;
	if (shim.mode == SHIM_CHAOS)
		chaos_start();
}

static __attribute__((destructor)) void shim_end(void)
{
	shim_report();
}
