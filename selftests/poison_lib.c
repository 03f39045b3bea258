// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * Poison through the library: marks, who waits for a page, lists, and their way to
 * another range.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

#define REPLACE		UFFDVRAM_POISON_REPLACE
#define MISSING		(UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH)

TEST_F(armed, pages_are_poison_and_not_any_more)
{
	uint64_t done = 7;

	EXPECT_EQ(-EEXIST, uffdvram_range_poison(self->range, 0, LEN, 0, &done));
	EXPECT_EQ(0, done);
	ASSERT_EQ(0, uffdvram_range_poison(self->range, PAGE, 4 * PAGE, REPLACE, &done));
	EXPECT_EQ(4 * PAGE, done);
	for (int i = 1; i < 5; i++)
		EXPECT_EQ(SIGBUS, read_byte(self->mem + i * PAGE).signo);
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, SEED));
	EXPECT_EQ(-1, check_pages(self->mem + 5 * PAGE, LEN - 5 * PAGE, SEED));
	ASSERT_EQ(0, uffdvram_range_unpoison(self->range, 0, LEN, &done));
	EXPECT_EQ(LEN, done);
	EXPECT_EQ(-1, not_zero(self->mem + PAGE, 4 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, SEED));
	/* Without a handle. */
	ASSERT_EQ(0, uffdvram_poison(self->ctx, ADDR(self->mem), LEN, REPLACE, &done));
	EXPECT_EQ(LEN, done);
	ASSERT_EQ(0, uffdvram_poison(self->ctx, ADDR(self->mem), LEN, UFFDVRAM_POISON_UNDO, NULL));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

TEST_F(armed, calls_that_fail)
{
	struct uffdvram_run run;
	uint64_t done = 7;
	size_t n = 7;

	EXPECT_EQ(-EINVAL, uffdvram_range_poison(self->range, PAGE, LEN, REPLACE, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EINVAL, uffdvram_range_poison(self->range, 1, PAGE, REPLACE, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_unpoison(self->range, PAGE, LEN, &done));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_poison(self->range, 0, PAGE, UFFDVRAM_POISON_UNDO,
						     NULL));
	EXPECT_EQ(-EINVAL, uffdvram_poison(self->ctx, ADDR(self->mem), PAGE,
					   REPLACE | UFFDVRAM_POISON_UNDO, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_poison_list(self->range, 0, LEN, &run, 0, &n, &done));
	EXPECT_EQ(0, n);
	EXPECT_EQ(-EINVAL, uffdvram_range_poison_list(self->range, PAGE, LEN, &run, 1, &n, &done));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_EQ(0, uffdvram_range_poison_apply(self->range, &run, 0, 0, &n));
	EXPECT_EQ(0, n);
}

struct asker {
	pthread_t thread;
	char *at;
	struct sigbus bus;
	_Atomic bool done;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	a->bus = read_byte(a->at);
	a->done = true;
	return NULL;
}

static bool asker_is_done(void *arg)
{
	return ((struct asker *)arg)->done;
}

/* false: it still waits after a minute */
static bool ask_ends(struct asker *a)
{
	if (!wait_until(asker_is_done, a, 60000))
		return false;
	pthread_join(a->thread, NULL);
	a->done = false;
	return true;
}

/* Who waits for a page when it becomes poison gets his signal. */
TEST_F(armed, who_waits_gets_the_signal)
{
	struct asker a = { .at = self->mem + 3 * PAGE };
	struct uffd_msg msg;

	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, pthread_create(&a.thread, NULL, ask, &a));
	ASSERT_TRUE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000));
	ASSERT_EQ(0, uffdvram_range_poison(self->range, 0, LEN, 0, NULL));
	ASSERT_TRUE(ask_ends(&a));
	EXPECT_EQ(SIGBUS, a.bus.signo);
	EXPECT_EQ(BUS_MCEERR_AR, a.bus.code);
	EXPECT_FALSE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 0));
	/* Also when the call ends at a page that is there. */
	ASSERT_EQ(0, uffdvram_range_unpoison(self->range, 0, LEN, NULL));
	ASSERT_EQ(0, uffdvram_range_install(self->range, 5 * PAGE, self->data, PAGE, 0, NULL));
	ASSERT_EQ(0, pthread_create(&a.thread, NULL, ask, &a));
	ASSERT_TRUE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000));
	EXPECT_EQ(-EEXIST, uffdvram_range_poison(self->range, 0, LEN, 0, NULL));
	ASSERT_TRUE(ask_ends(&a));
	EXPECT_EQ(SIGBUS, a.bus.signo);
}

/* The list of one range makes another one the same, in any pieces. */
TEST_F(armed, lists_travel)
{
	static const int bad[] = { 0, 1, 5, 9, 10, 11, 30, PAGES - 1 };
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };
	struct uffdvram_run runs[PAGES];
	struct uffdvram_range *there;
	char *mem = map_small(LEN);
	uint64_t done;
	size_t n, all;

	ASSERT_EQ(0, uffdvram_range_register(&there, self->ctx, ADDR(mem), LEN, &opts));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ASSERT_EQ(0, uffdvram_range_poison(self->range, bad[i] * PAGE, PAGE, REPLACE,
						   NULL));
	for (size_t room = 1; room < 8; room++) {
		all = 0;
		for (uint64_t off = 0; off < LEN; off += done) {
			ASSERT_EQ(0, uffdvram_range_poison_list(self->range, off, LEN - off,
								runs + all, room, &n, &done));
			ASSERT_LT(0, done);
			ASSERT_GE(room, n);
			all += n;
		}
		EXPECT_EQ(5, all) TH_LOG("room %zu", room);
	}
	EXPECT_EQ(9 * PAGE, runs[2].off);
	EXPECT_EQ(3 * PAGE, runs[2].len);
	for (int again = 0; again < 2; again++) {
		ASSERT_EQ(0, uffdvram_range_poison_apply(there, runs, all, 0, &n));
		EXPECT_EQ(all, n);
	}
	for (size_t i = 0, b = 0; i < PAGES; i++) {
		bool is = b < sizeof(bad) / sizeof(*bad) && bad[b] == (int)i;

		b += is;
		EXPECT_EQ(is ? SIGBUS : 0, read_byte(mem + i * PAGE).signo);
	}
	/* Where a page is there, and how far it came. */
	ASSERT_EQ(0, uffdvram_range_unpoison(there, 0, LEN, NULL));
	mem[9 * PAGE] = 1;
	EXPECT_EQ(-EEXIST, uffdvram_range_poison_apply(there, runs, all, 0, &n));
	EXPECT_EQ(2, n);
	EXPECT_EQ(0, uffdvram_range_poison_apply(there, runs, all, REPLACE, &n));
	EXPECT_EQ(all, n);
	munmap(mem, LEN);
}

/* More runs than fit into one call of the kernel's. */
TEST_F(armed, long_lists)
{
	const size_t len = MIB(4), n_runs = len / PAGE / 2;
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };
	struct uffdvram_run *runs = map_small(n_runs * sizeof(*runs));
	struct uffdvram_range *range;
	char *mem = map_small(len);
	uint64_t done;
	size_t n;

	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), len, &opts));
	for (size_t i = 0; i < n_runs; i++)
		runs[i] = (struct uffdvram_run){ (2 * i + 1) * PAGE, PAGE };
	ASSERT_EQ(0, uffdvram_range_poison_apply(range, runs, n_runs, 0, &n));
	memset(runs, 0, n_runs * sizeof(*runs));
	ASSERT_EQ(0, uffdvram_range_poison_list(range, 0, len, runs, n_runs, &n, &done));
	EXPECT_EQ(n_runs, n);
	EXPECT_EQ(len, done);
	EXPECT_EQ(len - PAGE, runs[n_runs - 1].off);
	ASSERT_EQ(0, uffdvram_range_poison_list(range, 0, len, runs, 300, &n, &done));
	EXPECT_EQ(300, n);
	EXPECT_EQ(601 * PAGE, done);
	munmap(mem, len);
	munmap(runs, n_runs * sizeof(*runs));
}

TEST_HARNESS_MAIN
