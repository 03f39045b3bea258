// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 600 */
/*
 * Races: each of our calls against what the kernel does to memory (see
 * races_rivals.c). Both begin at the same moment, round after round; then every
 * byte is checked. A pair whose calls never ran at the same time has shown
 * nothing, and fails.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "races.h"

#define SMALL		(48 * PAGE)
#define POOL		MIB(8)
#define MOST_ROUNDS	400
/*
 * Milliseconds for a pair: a busy host stops virtual CPUs that hold locks, and a
 * round takes seconds.
 */
#define LONG_ENOUGH	2000

/* One of our calls: 0, or -errno, or what is wrong in f->wrong. */
struct ours {
	const char *name;
	int (*prepare)(struct field *f);
	int (*act)(struct field *f);
	bool once;	/* it cannot be repeated while the rival is at work */
};

struct span {
	uint64_t begin, end;
};

struct round {
	struct field *f;
	const struct ours *ours;
	const struct rival *rival;
	pthread_barrier_t barrier;	/* a round's begin, and its end */
	bool stop;
	bool rival_first;
	bool begun, rival_done;
	struct span us, them;
};

/* A barrier may wake one of us long after the other, on a busy machine. */
static void begin(struct round *r, struct span *span, bool first)
{
	while (!first && !__atomic_load_n(&r->begun, __ATOMIC_ACQUIRE))
		sched_yield();
	span->begin = now_ns();
	__atomic_store_n(&r->begun, true, __ATOMIC_RELEASE);
}

/* Every other piece of eight pages is in VRAM, as far as it can be. */
static int some_in_vram(struct field *f)
{
	for (size_t at = 0; at < f->len; at += 16 * PAGE)
		uv_migrate(f->fd, f->mem + at, 8 * PAGE, 0, NULL);
	return 0;
}

static int in_and_out(struct field *f)
{
	struct uffdvram_migrate m;
	int ret = uv_migrate(f->fd, f->mem, f->len, 0, &m);

	if (!ret && !sum_ok(f->mem, f->len, &m))
		f->wrong = "the sum of MIGRATE to VRAM";
	if (!ret)
		ret = uv_migrate(f->fd, f->mem, f->len, UFFDVRAM_MIGRATE_TO_RAM, &m);
	return ret;
}

/* Reads, and writes what is there anyway. */
static int copies(struct field *f)
{
	static char mine[HUGE];
	int ret = uv_copy(f->fd, 0, f->mem, f->len, mine, NULL);

	fill_pages_as(mine, 16 * PAGE, f->mem, f->seed);
	return ret ? ret : uv_copy(f->fd, UFFDVRAM_COPY_WRITE, f->mem, 16 * PAGE, mine, NULL);
}

static int asks(struct field *f)
{
	struct uffdvram_query q = { 0 };
	uint64_t sum = 0;
	int ret = uv_query(f->fd, f->mem, f->len, &q);

	for (unsigned int i = 0; i < 8; i++)
		sum += q.count[i];
	if (!ret && sum != f->len / PAGE)
		f->wrong = "the sum of QUERY";
	return ret;
}

static int all_in_a_new_pool(struct field *f)
{
	int ret = uv_attach(f->fd, POOL, 0, &f->pool);

	if (ret)
		return ret;
	uv_unregister(f->fd, f->range);
	ret = uv_register(f->fd, f->mem, f->len, f->pool, &f->range);
	return ret ? ret : uv_migrate(f->fd, f->mem, f->len, 0, NULL);
}

static int detaches(struct field *f)
{
	return uv_detach(f->fd, f->pool, 0, NULL);
}

/* Memory may be gone, or not accessible, just then; a child may end (SIGCHLD). */
static bool allowed(int ret)
{
	return !ret || ret == -EFAULT || ret == -EACCES || ret == -EINVAL || ret == -ENOENT ||
	       ret == -EINTR;
}

static void *rival_thread(void *arg)
{
	struct round *r = arg;

	for (;;) {
		pthread_barrier_wait(&r->barrier);
		if (r->stop)
			return NULL;
		begin(r, &r->them, r->rival_first);
		r->rival->act(r->f);
		r->them.end = now_ns();
		__atomic_store_n(&r->rival_done, true, __ATOMIC_RELEASE);
		pthread_barrier_wait(&r->barrier);
	}
}

/* One begins, then the other, by turns; where ours is first, it goes on until both did. */
static int both(struct round *r)
{
	int ret;

	r->rival_first = !r->rival_first;
	r->begun = false;
	r->rival_done = false;
	pthread_barrier_wait(&r->barrier);
	begin(r, &r->us, !r->rival_first);
	do {
		ret = r->ours->act(r->f);
	} while (!r->ours->once && allowed(ret) &&
		 !__atomic_load_n(&r->rival_done, __ATOMIC_ACQUIRE));
	r->us.end = now_ns();
	pthread_barrier_wait(&r->barrier);
	return ret;
}

/* Pages that are neither whole nor, where allowed, empty. */
static size_t spoilt(struct field *f, enum after after)
{
	size_t bad = 0;

	for (size_t i = 0; i < f->len; i += PAGE)
		if (check_pages(f->mem + i, PAGE, f->seed) != -1)
			bad += after == KEPT || not_zero(f->mem + i, PAGE) != -1;
	if (after == ZEROED)
		fill_pages(f->mem, f->len, f->seed);
	return bad;
}

static uint64_t lost_races(void)
{
	return uv_stat("fault_retries") + uv_stat("migrate_raced") + uv_stat("copy_raced");
}

/*
 * Where sanitizers or slow memory make each round long, fewer must do: what races is
 * the same over each backend.
 */
static unsigned int least_rounds(void)
{
	const char *backend = getenv("UFFDVRAM_BACKEND");

	if (sanitizers())
		return 5;
	return backend && strcmp(backend, "sim") ? 10 : 20;
}

static void race(struct __test_metadata *_metadata, struct round *r, unsigned int ms)
{
	const unsigned int least = least_rounds();
	uint64_t begin = now_ms(), lost = lost_races(), took = 0;
	unsigned int rounds = 0, overlaps = 0;
	struct field *f = r->f;
	pthread_t thread;
	size_t bad = 0;
	int ret = 0;

	ASSERT_EQ(0, pthread_barrier_init(&r->barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, rival_thread, r));
	while (!bad && !f->wrong && allowed(ret) && rounds < MOST_ROUNDS) {
		took = now_ms() - begin;
		if (took >= ms && overlaps > 1 && rounds <= 100 * overlaps &&
		    (rounds >= least || took >= LONG_ENOUGH))
			break;
		ret = r->ours->prepare(f);
		if (ret)
			break;
		ret = both(r);
		rounds++;
		overlaps += r->us.begin < r->them.end && r->them.begin < r->us.end;
		bad = spoilt(f, r->rival->after);
	}
	r->stop = true;
	pthread_barrier_wait(&r->barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&r->barrier);
	printf("# %s, %s: %u rounds, %u overlapped, %llu races lost, %u ms\n", r->ours->name,
	       r->rival->name, rounds, overlaps, (unsigned long long)(lost_races() - lost),
	       (unsigned int)took);
	fflush(stdout);		/* should the next one hang */
	EXPECT_EQ(0, bad) TH_LOG("%s, %s: pages were spoilt", r->ours->name, r->rival->name);
	EXPECT_EQ(NULL, f->wrong) TH_LOG("%s, %s: %s", r->ours->name, r->rival->name, f->wrong);
	EXPECT_TRUE(allowed(ret)) TH_LOG("%s, %s: %d", r->ours->name, r->rival->name, ret);
	EXPECT_LE(rounds, 100 * overlaps) TH_LOG("%s, %s: no race", r->ours->name,
						 r->rival->name);
}

FIXTURE(races)
{
	struct field f;
	unsigned int ms;
};

FIXTURE_SETUP(races)
{
	struct field *f = &self->f;

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->ms = 100;
	f->fds[0] = f->fds[1] = -1;
	f->seed = 7;
	f->buf = map_small(HUGE);
	f->elsewhere = map_aligned(HUGE);
	f->mem = map_aligned(HUGE);
	f->fd = uv_open();
	ASSERT_LE(0, f->fd);
	ASSERT_EQ(0, uv_attach(f->fd, POOL, 0, &f->pool));
	ASSERT_EQ(0, uv_register(f->fd, f->mem, HUGE, f->pool, &f->range));
}

FIXTURE_TEARDOWN(races)
{
	close(self->f.fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* How many of them this kernel has. RACE=a,b in the environment: only those. */
static unsigned int against(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
			    const struct ours *ours, const struct rival *rival, unsigned int n)
{
	const char *only = getenv("RACE");
	struct field *f = &self->f;
	unsigned int ran = 0;

	for (; n; n--, rival++) {
		struct round r = { .f = f, .ours = ours, .rival = rival };

		if (only && !strstr(only, rival->name)) {
			ran++;
			continue;
		}
		f->len = rival->huge ? HUGE : SMALL;
		fill_pages(f->mem, f->len, f->seed);
		if (rival->begin && !rival->begin(f)) {
			printf("# %s, %s: not in this kernel\n", ours->name, rival->name);
			continue;
		}
		race(_metadata, &r, self->ms);
		if (rival->end)
			rival->end(f);
		ran++;
	}
	return ran;
}

static void against_all(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
			const struct ours *ours)
{
	EXPECT_LE(n_rivals - 2, against(_metadata, self, ours, rivals, n_rivals));
	EXPECT_EQ(n_more_rivals, against(_metadata, self, ours, more_rivals, n_more_rivals));
	EXPECT_EQ(NULL, self->f.wrong);
}

TEST_F(races, migrate)
{
	const struct ours ours = { "MIGRATE", some_in_vram, in_and_out, false };

	against_all(_metadata, self, &ours);
}

TEST_F(races, copy)
{
	const struct ours ours = { "COPY", some_in_vram, copies, false };

	against_all(_metadata, self, &ours);
}

TEST_F(races, query)
{
	const struct ours ours = { "QUERY", some_in_vram, asks, false };

	against_all(_metadata, self, &ours);
}

TEST_F(races, detach)
{
	const struct ours ours = { "POOL_DETACH", all_in_a_new_pool, detaches, true };

	ASSERT_EQ(0, uv_detach(self->f.fd, self->f.pool, 0, NULL));
	against_all(_metadata, self, &ours);
}

TEST_HARNESS_MAIN
