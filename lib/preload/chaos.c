// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The thread that keeps moving pages to VRAM, and counts those that came home.
 *
 * It is a bare clone(): libc never hears of it, so the program stays as
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
/* So much of a range is searched for pages in one step. */
#define WINDOW		(64UL << 20)

static uint64_t random_state;
static char stack[STACK_SIZE] __attribute__((aligned(64)));

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
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

static void step(void)
{
	struct table_entry e;
	uint64_t start, moved;
	unsigned int pages;

	if (!shim_lock())
		return;
	if (shim.heap)
		shim_follow_heap();
	shim.n.fault_backs += device_fault_backs();
	if (!table_size()) {
		shim_unlock();
		return;
	}
	e = *table_nth(random_below(table_size()));
	shim_unlock();

	/*
	 * Without the lock: a page that is write-protected or forked may wait for
	 * the program, which must not wait for us then.
	 */
	pages = pick_pages(&e, &start);
	if (!pages)
		return;
	moved = device_migrate(start, start + pages * PAGE);
	__atomic_fetch_add(&shim.n.migrations, moved, __ATOMIC_RELAXED);
}

static uint64_t now_ns(void)
{
	struct timespec ts = { 0 };

	raw(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* The program is to get most of the time, however slow moving is. */
static void rest(uint64_t begin)
{
	uint64_t ns = (now_ns() - begin) * 4;
	struct timespec ts;

	if (ns < shim.pause_us * 1000ULL)
		ns = shim.pause_us * 1000ULL;
	ts.tv_sec = ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	raw(SYS_nanosleep, &ts, NULL);
}

static __attribute__((noreturn, used)) void chaos_main(void)
{
	raw(SYS_prctl, PR_SET_NAME, "uffdvram-chaos");
	while (shim.mode == SHIM_CHAOS) {
		uint64_t begin = now_ns();

		step();
		rest(begin);
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
