// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 200 */
/* FILES: lib/man/uffdvram.4 lib/man/uffdvram-poison.4 lib/man/uffdvram-harvest.4 */
/* FILES: lib/man/uffdvram-access.4 lib/man/uffdvram-convert.4 */
/*
 * The fuzzer of the ioctls. It makes FUZZ_CALLS calls in rounds; FUZZ_SEED is a
 * number or "random"; FUZZ_ROUND makes one round only, to repeat what failed.
 *
 * What it prints says what it exercised, and too little is a failure.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

#define MANUAL		"/files/uffdvram.4"
#define MANUAL_POISON	"/files/uffdvram-poison.4"
#define MANUAL_HARVEST	"/files/uffdvram-harvest.4"
#define MANUAL_ACCESS	"/files/uffdvram-access.4"
#define MANUAL_CONVERT	"/files/uffdvram-convert.4"
#define WAIT_MS		"/sys/module/uffdvram/parameters/lease_wait_ms"
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
	ASSERT_EQ(0, fz_man_read(MANUAL_HARVEST));
	ASSERT_EQ(0, fz_man_read(MANUAL_ACCESS));
	ASSERT_EQ(0, fz_man_read(MANUAL_CONVERT));
	knobs_calm();
	/* Who does not wait for himself waits for us, who do not know of him. */
	ASSERT_EQ(0, file_write(WAIT_MS, "2"));
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
	EXPECT_EQ(0, file_write(WAIT_MS, "1000"));
	EXPECT_EQ(0, uv_slots_in_use());
}

/* What was exercised too little; empty: nothing. Some is a matter of luck in few calls. */
static const char *too_little(const struct fz_shared *shm)
{
	uint64_t calls = 0, ok = 0;
	static char text[100];

	for (int nr = 0; nr < FZ_NR; nr++) {
		calls += shm->calls[nr];
		ok += shm->ok[nr];
	}
	for (int nr = 0; nr < FZ_NR; nr++) {
		/* A lease has ended then, too. */
		uint64_t did = shm->ok[nr] + shm->err[nr][ESTALE];

		snprintf(text, sizeof(text), "%s: called %llu times, of %llu; did %llu",
			 fz_ops[nr].name, (unsigned long long)shm->calls[nr],
			 (unsigned long long)calls, (unsigned long long)did);
		if (calls > shm->calls[nr] * 200 || shm->calls[nr] >= did * 10)
			return text;
	}
	return calls * 3 > ok * 10		? "calls that succeed" :
	       calls >= shm->flipped * 50	? "calls with a word that changes" :
	       shm->flipped >= shm->flips	? "words that change" :
	       !shm->signalled			? "calls with signals" :
	       calls / 2 >= shm->checked	? "pages compared" :
	       calls / 100 >= shm->events	? "events" :
	       calls / 10 >= shm->memory_calls	? "changes to memory" : "";
}

static bool go_on(const struct fz_shared *shm, uint64_t calls)
{
	return shm->progress < calls || (shm->progress < 3 * calls && *too_little(shm));
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
	for (; go_on(self->shm, calls) && only == ~0ULL; self->rounds++) {
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
		EXPECT_STREQ("", too_little(self->shm));
}

TEST_HARNESS_MAIN
