// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 200 */
/* FILES: lib/man/uffdvram.4 lib/man/uffdvram-poison.4 */
/*
 * The fuzzer of the ioctls. It makes FUZZ_CALLS calls in rounds; FUZZ_SEED is a
 * number or "random"; FUZZ_ROUND makes one round only, to repeat what failed.
 *
 * What it prints says what it exercised, and too little is a failure.
 */
#include "kselftest_harness.h"

#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

#define MANUAL		"/files/uffdvram.4"
#define MANUAL_POISON	"/files/uffdvram-poison.4"
#define CALLS		15000
#define CALLS_SLOW	6000	/* with sanitizers */
#define ROUND_CALLS	1500
#define PROGRESS_MS	60000

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value && !strcmp(value, "random") ? now_ms() * 2654435761U >> 8 :
						   env_number(name, otherwise);
}

FIXTURE(fuzz)
{
	struct fz_shared *shm;
	uint64_t rounds;
};

FIXTURE_SETUP(fuzz)
{
	ASSERT_EQ(0, fz_man_read(MANUAL));
	ASSERT_EQ(0, fz_man_read(MANUAL_POISON));
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->shm = mmap(NULL, sizeof(*self->shm), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shm);
	self->shm->last_pool = fz_pool_last();
	self->shm->before = fz_books();
}

/* Each round leaves nothing behind, or fails. */
FIXTURE_TEARDOWN(fuzz)
{
	EXPECT_EQ(0, uv_slots_in_use());
}

static void count_enough(struct __test_metadata *_metadata, const struct fz_shared *shm)
{
	uint64_t calls = 0, ok = 0;

	for (int nr = 0; nr < FZ_NR; nr++) {
		calls += shm->calls[nr];
		ok += shm->ok[nr];
	}
	printf("# %llu of %llu calls succeeded\n", (unsigned long long)ok,
	       (unsigned long long)calls);
	EXPECT_LE(calls * 3, ok * 10);
	for (int nr = 0; nr < FZ_NR; nr++) {
		EXPECT_LE(calls, shm->calls[nr] * 200)
			TH_LOG("%s is hardly called", fz_ops[nr].name);
		EXPECT_LT(shm->calls[nr], shm->ok[nr] * 10)
			TH_LOG("%s hardly succeeds", fz_ops[nr].name);
	}
	EXPECT_LT(calls, shm->flipped * 50);
	EXPECT_LT(shm->flipped, shm->flips);
	EXPECT_LT(0, shm->signalled);
	EXPECT_LT(calls / 2, shm->checked);
	EXPECT_LT(calls / 100, shm->events);
	EXPECT_LT(calls / 10, shm->memory_calls);
}

/* The time limit of this file is what ends it. */
TEST_F_TIMEOUT(fuzz, ioctls, 7 * 86400)
{
	uint64_t calls = number("FUZZ_CALLS", sanitizers() ? CALLS_SLOW : CALLS);
	uint64_t seed = number("FUZZ_SEED", 1), only = number("FUZZ_ROUND", ~0ULL);
	uint64_t begin = now_ms(), told = begin;

	printf("# FUZZ_SEED=%llu FUZZ_CALLS=%llu\n", (unsigned long long)seed,
	       (unsigned long long)calls);
	fflush(stdout);
	for (; self->shm->progress < calls && only == ~0ULL; self->rounds++) {
		ASSERT_EQ(0, fz_round(self->shm, seed, self->rounds, ROUND_CALLS))
			TH_LOG("%s", self->shm->text);
		if (now_ms() - told < PROGRESS_MS)
			continue;
		told = now_ms();
		printf("# %llu calls, %llu s\n", (unsigned long long)self->shm->progress,
		       (unsigned long long)(told - begin) / 1000);
		fflush(stdout);
	}
	if (only != ~0ULL) {
		EXPECT_EQ(0, fz_round(self->shm, seed, only, ROUND_CALLS))
			TH_LOG("%s", self->shm->text);
	}
	fz_report(self->shm);
	printf("# %llu rounds in %llu ms\n", (unsigned long long)self->rounds,
	       (unsigned long long)(now_ms() - begin));
	if (only == ~0ULL)
		count_enough(_metadata, self->shm);
}

TEST_HARNESS_MAIN
