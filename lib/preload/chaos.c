// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Moves pages to VRAM all the time, and counts those that came home: from a
 * thread, and from the program's own calls that act on memory, just before them.
 *
 * The thread is a bare clone(): libc never hears of it, so the program stays as
 * single-threaded as it was, and fork() and exit() need no care. It has all
 * signals blocked, uses no thread-local storage and no libc function.
 *
 * Only pages that are there are moved: MIGRATE would fill holes, which a program
 * can see.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <linux/uffdvram.h>

#include "raw.h"
#include "shim.h"

#define STACK_SIZE	65536
#define REGIONS		16
#define TRIES		8
/* So much of a range is searched for pages in one step. */
#define WINDOW		(64UL << 20)

static uint64_t random_state;
static char stack[STACK_SIZE] __attribute__((aligned(64)));

/* Any thread may call: two that race get the same number, which harms nobody. */
static uint64_t random_below(uint64_t n)
{
	uint64_t z = __atomic_add_fetch(&random_state, 0x9e3779b97f4a7c15ULL, __ATOMIC_RELAXED);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) % n;
}

/* A random piece of present pages of a range; 0 when there is none. */
static unsigned int pick_pages(const struct table_entry *e, uint64_t *start)
{
	struct uffdvram_region vec[REGIONS];
	uint64_t at = e->start + random_below((e->end - e->start) / PAGE) * PAGE;
	unsigned int n, pick;

	for (int round = 0; round < 2; round++, at = e->start) {
		uint64_t end = e->end - at > WINDOW ? at + WINDOW : e->end;

		n = device_query(at, end, vec, REGIONS);
		pick = n ? random_below(n) : 0;
		for (unsigned int i = 0; i < n; i++, pick = (pick + 1) % n) {
			uint64_t pages = (vec[pick].end - vec[pick].start) / PAGE;
			uint64_t skip;

			if (vec[pick].state != UFFDVRAM_STATE_PRESENT)
				continue;
			skip = random_below(pages);
			*start = vec[pick].start + skip * PAGE;
			pages -= skip;
			skip = 1 + random_below(shim.step);
			return pages < skip ? pages : skip;
		}
	}
	return 0;
}

/*
 * Moves a piece of one of the ranges. Without the lock: a page that is forked
 * may have to wait for the program, which must not wait for us then.
 */
static bool move_some(const struct table_entry *e, unsigned int n)
{
	uint64_t start, moved;
	unsigned int i, pages = 0;

	for (i = 0; i < n && !pages; i++)
		pages = pick_pages(&e[i], &start);
	if (!pages)
		return false;
	moved = device_migrate(start, start + pages * PAGE);
	__atomic_fetch_add(&shim.n.migrations, moved, __ATOMIC_RELAXED);
	return moved;
}

/* Ranges to look for pages in; the lock is held. */
static unsigned int pick_ranges(struct table_entry *e)
{
	if (!table_size())
		return 0;
	for (unsigned int i = 0; i < TRIES; i++)
		e[i] = *table_nth(random_below(table_size()));
	return TRIES;
}

/* True when pages were moved. */
static bool step(void)
{
	struct table_entry e[TRIES];
	unsigned int n;

	if (!shim_lock())
		return false;
	if (shim.heap)
		shim_follow_heap();
	shim.n.fault_backs += device_fault_backs();
	n = pick_ranges(e);
	shim_unlock();
	return move_some(e, n);
}

void chaos_stir(uint64_t start, uint64_t end)
{
	struct table_entry e[TRIES];
	struct shim_guard g;
	unsigned int n;

	if (shim.mode != SHIM_CHAOS || random_below(100) >= shim.stir ||
	    !shim_enter(&g))
		return;
	n = pick_ranges(e);
	if (n && table_overlaps(start, end)) {
		e[0].start = start & -PAGE;
		e[0].end = (end + PAGE - 1) & -PAGE;
	}
	shim_leave(&g);
	move_some(e, n);
}

static uint64_t now_ns(void)
{
	struct timespec ts = { 0 };

	raw(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * The program is to get at least half of the time, however slow moving is. Where
 * there is nothing to move, it is left alone more and more.
 */
static void rest(uint64_t begin, unsigned int misses)
{
	uint64_t ns = shim.pause_us * 1000ULL;
	struct timespec ts;

	if (misses)
		ns <<= misses < 128 ? misses / 32 : 4;
	else if (now_ns() - begin > ns)
		ns = now_ns() - begin;
	ts.tv_sec = ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	raw(SYS_nanosleep, &ts, NULL);
}

static __attribute__((noreturn, used)) void chaos_main(void)
{
	unsigned int misses = 0;

	raw(SYS_prctl, PR_SET_NAME, "uffdvram-chaos");
	raw(SYS_prctl, PR_SET_TIMERSLACK, 1);
	while (shim.mode == SHIM_CHAOS) {
		uint64_t begin = now_ns();

		misses = step() ? 0 : misses + 1;
		report_update();
		rest(begin, misses);
	}
	while (1)
		raw(SYS_exit, 0);
}

/*
 * clone() by hand: the child returns on an empty stack, so it must not return at
 * all. All signals are blocked by the caller, which the child inherits.
 */
static long clone_thread(void *top)
{
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			   CLONE_THREAD | CLONE_SYSVSEM;
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call chaos_main\n\t"
			 "1:"
			 : "=a"(ret)
			 : "a"(SYS_clone), "D"(flags), "S"(top), "d"(0), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

void chaos_start(void)
{
	uint64_t all = ~0ULL, old;

	random_state = (now_ns() ^ ((uint64_t)shim.pid << 32)) | 1;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	if (raw_failed(clone_thread(stack + sizeof(stack))))
		shim.mode = SHIM_PLAIN;
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}
