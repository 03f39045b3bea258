// SPDX-License-Identifier: GPL-2.0-only
/* The operations of the table, one function each. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* A few words in each page, for who compresses; the same ones every time. */
void fill(char *mem, size_t len)
{
	uint64_t state = 1;
	size_t i;

	for (i = 0; i < len; i += 512)
		*(uint64_t *)(mem + i) = rnd(&state);
}

static void discard(char *mem, size_t len)
{
	if (madvise(mem, len, MADV_DONTNEED))
		give_up("MADV_DONTNEED");
}

static void touch_all(const volatile char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += PAGE)
		(void)mem[i];
}

static void bring_home(const struct round *r)
{
	if (r->s->out)
		r->s->out(r->mem, r->len);
	else
		touch_all(r->mem, r->len);
	check_home(r);
}

void row_migrate_in(const struct round *r)
{
	fill(r->mem, r->len);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->in(r->mem, r->len);
	measure_end(r->len / PAGE);
	check_in(r);
	bring_home(r);
}

/* All of it is one hole, in memory that was used before. */
static void make_hole(char *mem, size_t len)
{
	mem[0] = 1;
	discard(mem, len);
}

/* Holes; one page of each 2 MiB is there, so that nobody can fill them as a whole. */
static void make_holes(char *mem, size_t len)
{
	size_t i;

	discard(mem, len);
	for (i = 0; i < len; i += HUGE)
		mem[i] = 1;
}

void row_place(const struct round *r)
{
	if (r->huge)
		make_hole(r->mem, r->len);
	else
		make_holes(r->mem, r->len);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->in(r->mem, r->len);
	measure_end(r->len / PAGE);
	check_in(r);
	bring_home(r);
}

void row_back(const struct round *r)
{
	fill(r->mem, r->len);
	r->s->in(r->mem, r->len);
	check_in(r);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->out(r->mem, r->len);
	measure_end(r->len / PAGE);
	check_home(r);
}

void row_fault(const struct round *r)
{
	fill(r->mem, r->len);
	r->s->in(r->mem, r->len);
	check_in(r);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	touch_all(r->mem, r->len);
	measure_end(r->len / PAGE);
	check_home(r);
}

struct server {
	int uffd;
	size_t pages;
	const char *data;
};

/* Answers missing faults, as a VMM's postcopy thread does. */
static void *serve(void *arg)
{
	struct server *sv = arg;
	struct pollfd pfd = { .fd = sv->uffd, .events = POLLIN };
	struct uffd_msg msg;
	uint64_t page;
	size_t n = 0;

	while (n < sv->pages) {
		if (read(sv->uffd, &msg, sizeof(msg)) != sizeof(msg)) {
			if (errno != EAGAIN || poll(&pfd, 1, -1) < 0)
				give_up("read from userfaultfd");
			continue;
		}
		page = msg.arg.pagefault.address & ~(PAGE - 1);
		if (uffd_copy(sv->uffd, (void *)(uintptr_t)page, sv->data, PAGE, 0))
			give_up("UFFDIO_COPY");
		n++;
	}
	return NULL;
}

static int arm(const struct round *r, unsigned int modes)
{
	return r->s->arm(r->mem, r->len, modes);
}

/*
 * With SCHED_FIFO two threads take turns. Else the scheduler may stop the one who wakes the
 * other, or let it go on to where it waits: that is a poll() more for each page, or less.
 */
static void take_turns(int policy)
{
	struct sched_param param = { .sched_priority = policy == SCHED_FIFO };

	if (sched_setscheduler(0, policy, &param))
		give_up("sched_setscheduler");
}

void row_uffd_touch(const struct round *r)
{
	struct server sv = { .pages = r->len / PAGE };
	char *data = map_small(PAGE);
	pthread_t thread;

	memset(data, 1, PAGE);
	sv.data = data;
	discard(r->mem, r->len);
	sv.uffd = arm(r, UFFDIO_REGISTER_MODE_MISSING);
	take_turns(SCHED_FIFO);
	if (pthread_create(&thread, NULL, serve, &sv))
		give_up("pthread_create");
	measure_begin(CLOCK_PROCESS_CPUTIME_ID);
	touch_all(r->mem, r->len);
	measure_end(r->len / PAGE);
	pthread_join(thread, NULL);
	take_turns(SCHED_OTHER);
	munmap(data, PAGE);
}

/* As postcopy does: into RAM, and from there on, where that is asked for. */
void row_install(const struct round *r)
{
	char *data = map_small(r->len);

	fill(data, r->len);
	discard(r->mem, r->len);
	arm(r, UFFDIO_REGISTER_MODE_MISSING);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->install(r->mem, data, r->len);
	measure_end(r->len / PAGE);
	if (r->s->in)
		check_in(r);
	munmap(data, r->len);
}

void row_rearm(const struct round *r)
{
	fill(r->mem, r->len);
	arm(r, UFFDIO_REGISTER_MODE_WP);
	r->s->rearm(r->mem, r->len);
	/* All of them are written again. */
	if (r->s->dirty)
		r->s->dirty(r->mem, r->len);
	else
		fill(r->mem, r->len);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->rearm(r->mem, r->len);
	measure_end(r->len / PAGE);
	if (r->s->written && r->s->written(r->mem, r->len) != r->len / PAGE)
		give_up("not all pages are told as written");
}

static void poison(const struct round *r, bool there)
{
	size_t i;

	/* We need none. */
	if (r->s->bit == UFFD)
		arm(r, UFFDIO_REGISTER_MODE_MISSING);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->poison(r->mem, r->len, there);
	measure_end(r->len / PAGE);
	for (i = 0; i < r->len; i += 16 * PAGE)
		if (read_byte(r->mem + i).code != BUS_MCEERR_AR)
			give_up("what should be poison is none");
}

void row_poison_replace(const struct round *r)
{
	fill(r->mem, r->len);
	poison(r, true);
}

/* Where nothing is. The tables are there, as in memory that was used before. */
void row_poison_marker(const struct round *r)
{
	fill(r->mem, r->len);
	discard(r->mem, r->len);
	poison(r, false);
}

static void convert(const struct round *r)
{
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->convert(r->mem, r->len);
	measure_end(r->len / PAGE);
	/* Shared pages stay where they are until somebody touches them. */
	if (r->s->in)
		check_in(r);
}

/* There and back, as when a guest shares memory with its host for a while. */
void row_convert(const struct round *r)
{
	fill(r->mem, r->len);
	if (r->s->in) {
		r->s->in(r->mem, r->len);
		check_in(r);
	}
	convert(r);
}

/* The same after CPUs had it: it has to be moved first. */
void row_convert_ram(const struct round *r)
{
	fill(r->mem, r->len);
	convert(r);
}

/* Two threads, each on its own CPU and its own half of the memory. */

struct pair {
	const struct round *r;
	void (*work)(const struct subject *s, char *mem, size_t len);
	pthread_barrier_t *start, *end;
	int cpu;
};

static void *pair_thread(void *arg)
{
	struct pair *p = arg;
	size_t half = p->r->len / 2;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(p->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		give_up("sched_setaffinity");
	pthread_barrier_wait(p->start);
	p->work(p->r->s, p->r->mem + p->cpu * half, half);
	pthread_barrier_wait(p->end);
	return NULL;
}

static void pair_run(const struct round *r, size_t ops,
		     void (*work)(const struct subject *s, char *mem, size_t len))
{
	pthread_barrier_t start, end;
	pthread_t thread[2];
	struct pair p[2];
	int i;

	pthread_barrier_init(&start, NULL, 3);
	pthread_barrier_init(&end, NULL, 3);
	for (i = 0; i < 2; i++) {
		p[i] = (struct pair){ r, work, &start, &end, i };
		if (pthread_create(&thread[i], NULL, pair_thread, &p[i]))
			give_up("pthread_create");
	}
	measure_begin(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	measure_end(ops);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&start);
	pthread_barrier_destroy(&end);
}

#define POOL_TURNS	4

/* Slots are taken for holes, and given back when they are discarded. */
static void pool_work(const struct subject *s, char *mem, size_t len)
{
	int i;

	for (i = 0; i < POOL_TURNS; i++) {
		s->in(mem, len);
		make_holes(mem, len);
	}
}

void row_pool_2threads(const struct round *r)
{
	make_holes(r->mem, r->len);
	pair_run(r, POOL_TURNS * r->len / PAGE, pool_work);
}

static void fault_work(const struct subject *s, char *mem, size_t len)
{
	(void)s;
	touch_all(mem, len);
}

void row_fault_2threads(const struct round *r)
{
	fill(r->mem, r->len);
	r->s->in(r->mem, r->len);
	check_in(r);
	pair_run(r, r->len / PAGE, fault_work);
	check_home(r);
}
