// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 400 */
/*
 * What uffdvram_harvest() says of memory that a vCPU writes is what KVM says of it
 * (KVM_GET_DIRTY_LOG), page for page, wherever the pages live meanwhile.
 *
 * DIRTY_ROUNDS changes how often both are asked; DIRTY_SEED repeats what failed.
 */
#include "kselftest_harness.h"

#include <string.h>
#include <sys/mman.h>
#include <uffdvram/uffdvram.h>

#include "util_mm.h"
#include "slots_fixture.h"
#include "vcpu_touch.h"

#define PAGES		1536
#define LEN		(PAGES * PAGE)
#define WORDS		(PAGES / 64)
#define ROUNDS		120
#define ROUNDS_SLOW	20	/* with sanitizers */

FIXTURE(dirty_kvm)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	int fd;
	uint32_t pool;
	char *mem;
	struct touch guest;
	uint64_t rnd, rounds;
	/* The bits of a round: of KVM, of the harvest; and what the guest was told to write. */
	uint64_t kvm[WORDS], got[WORDS], want[WORDS];
	uint32_t added[PAGES];	/* to the first word of each */
	/* What there was. */
	uint64_t writes, reads, moved, left, excused;
	volatile bool stop;
	bool huge;
};

FIXTURE_VARIANT(dirty_kvm)
{
	bool huge;
};

FIXTURE_VARIANT_ADD(dirty_kvm, small) { };
FIXTURE_VARIANT_ADD(dirty_kvm, huge) { .huge = true };

typedef FIXTURE_DATA(dirty_kvm) data;

FIXTURE_SETUP(dirty_kvm)
{
	const struct uffdvram_arm_opts arm = {
		.size = sizeof(arm), .flags = UFFDVRAM_ARM_WP_ASYNC,
	};
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->rnd = env_number("DIRTY_SEED", 1);
	self->rounds = env_number("DIRTY_ROUNDS", sanitizers() ? ROUNDS_SLOW : ROUNDS);
	self->mem = map_aligned(LEN);
	self->huge = variant->huge;
	if (self->huge)
		madvise(self->mem, LEN, MADV_HUGEPAGE);
	memset(self->mem, 0, LEN);
	if (touch_new(&self->guest, self->mem, LEN))
		SKIP(return, "no /dev/kvm");
	ASSERT_EQ(0, uffdvram_open(&self->ctx, NULL));
	self->fd = uffdvram_fd(self->ctx);
	/* Not all of it fits. */
	ASSERT_EQ(0, uv_attach(self->fd, LEN / 4 * 3, 0, &self->pool));
	ASSERT_EQ(0, uffdvram_pool_wrap(&opts.pool, self->ctx, self->pool));
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem), LEN, &opts));
	ASSERT_EQ(0, uffdvram_range_arm(self->range, &arm));
}

FIXTURE_TEARDOWN(dirty_kvm)
{
	touch_free(&self->guest);
	uffdvram_close(self->ctx);
	munmap(self->mem, LEN);
	expect_no_slots(_metadata);
}

static bool bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* Asks both what was written; the guest stands still. 0 or -errno. */
static int ask(data *self)
{
	struct uffdvram_harvested sum = { .size = sizeof(sum) };
	int ret;

	memset(self->got, 0, sizeof(self->got));
	memset(self->kvm, 0, sizeof(self->kvm));
	ret = vcpu_dirty_log(&self->guest.vcpu, self->guest.slot, self->kvm) ?:
	      uffdvram_harvest(self->range, 0, LEN, -1, self->got, &sum);
	self->left += sum.left;
	return ret;
}

/* The guest reads or writes each of some pages, near to each other or not. 0 or -errno. */
static int guest_touches(data *self)
{
	size_t n = 1 + rnd(&self->rnd) % 60, near = rnd(&self->rnd) % 2 ? PAGES : 80;
	size_t base = rnd(&self->rnd) % (PAGES - near + 1);

	for (size_t i = 0; i < n; i++) {
		size_t page = base + rnd(&self->rnd) % near;
		bool write = rnd(&self->rnd) % 2;

		touch_word(&self->guest, page * PAGE, write);
		self->writes += write;
		self->reads += !write;
		self->added[page] += write;
		self->want[page / 64] |= (uint64_t)write << page % 64;
	}
	return touch_run(&self->guest);
}

static int move_some(data *self, uint64_t *state)
{
	size_t n = 1 + rnd(state) % (rnd(state) % 4 ? 32 : 768);
	size_t first = rnd(state) % (PAGES - n + 1);
	struct uffdvram_migrate m = {};
	int ret = uv_migrate(self->fd, self->mem + first * PAGE, n * PAGE,
			     rnd(state) % 3 ? 0 : UFFDVRAM_MIGRATE_TO_RAM, &m);

	__atomic_fetch_add(&self->moved, m.moved, __ATOMIC_RELAXED);
	return ret;
}

/* Pages of which @what says otherwise than what the guest was told to write. */
static size_t differ(data *self, const uint64_t *what, const char *name, uint64_t round)
{
	size_t n = 0;

	for (size_t i = 0; i < PAGES; i++) {
		if (bit(what, i) == bit(self->want, i))
			continue;
		if (!n++)
			printf("# round %llu: page %zu was%s written, %s says otherwise\n",
			       (unsigned long long)round, i, bit(self->want, i) ? "" : " not",
			       name);
	}
	return n;
}

/*
 * Pages that came to VRAM just when PAGEMAP_SCAN protected them, where it may: they stay
 * writable, so they are told once more when they have left, and KVM takes one that the
 * guest only reads for written. That is no difference.
 */
static void excuse(data *self)
{
	for (size_t i = 0; i < WORDS; i++) {
		self->excused += __builtin_popcountll(self->got[i] & ~self->want[i]);
		self->got[i] &= self->want[i];
		self->kvm[i] &= self->want[i];
	}
}

static bool much_has_moved(void *arg)
{
	data *self = arg;

	return __atomic_load_n(&self->moved, __ATOMIC_RELAXED) > PAGES;
}

/* Rounds, with what each of them has between its writes; some more, until much has moved. */
static void compare(struct __test_metadata *_metadata, data *self, bool moves)
{
	uint64_t round;

	/* Nobody knows what was before. */
	ASSERT_EQ(0, ask(self));
	self->left = 0;
	for (round = 0; round < self->rounds ||
	     (moves && !much_has_moved(self) && round < 5 * self->rounds); round++) {
		memset(self->want, 0, sizeof(self->want));
		for (int i = rnd(&self->rnd) % 8; i > 0; i--) {
			ASSERT_EQ(0, guest_touches(self));
			for (int k = rnd(&self->rnd) % 3; moves && k > 0; k--)
				ASSERT_EQ(0, move_some(self, &self->rnd));
		}
		ASSERT_EQ(0, ask(self));
		if (!moves && uv_scan_wp(self->fd))
			excuse(self);
		ASSERT_EQ(0, differ(self, self->kvm, "KVM", round));
		ASSERT_EQ(0, differ(self, self->got, "the harvest", round));
		ASSERT_EQ(0, memcmp(self->got, self->kvm, sizeof(self->got)));
	}
	self->rounds = round;
}

static void check(struct __test_metadata *_metadata, data *self)
{
	size_t wrong = 0;

	printf("# %llu words written, %llu read by the guest; %llu pages moved, %llu had left\n",
	       (unsigned long long)self->writes, (unsigned long long)self->reads,
	       (unsigned long long)self->moved, (unsigned long long)self->left);
	EXPECT_LT(self->rounds, self->writes);
	/* On 6.12, parts of huge pages may stay where they are. */
	if (!self->huge || huge_in_vram(self->fd)) {
		EXPECT_LT(PAGES, self->moved);
		/* There were pages that nobody had to look at. */
		EXPECT_LT(self->left, self->rounds * PAGES);
	}
	for (size_t i = 0; i < PAGES; i++)
		wrong += *(uint32_t *)(self->mem + i * PAGE) != self->added[i];
	EXPECT_EQ(0, wrong);
}

TEST_F_TIMEOUT(dirty_kvm, equal, 86400)
{
	compare(_metadata, self, true);
	check(_metadata, self);
}

static void *keep_moving(void *arg)
{
	data *self = arg;
	uint64_t state = self->rnd + 1, errors = 0;

	while (!self->stop) {
		errors += move_some(self, &state) != 0;
		sleep_ms(1);
	}
	return (void *)errors;
}

/* Pages move while the guest runs, and while both are asked. */
TEST_F_TIMEOUT(dirty_kvm, equal_while_moving, 86400)
{
	pthread_t mover;
	void *errors;

	ASSERT_EQ(0, pthread_create(&mover, NULL, keep_moving, self));
	compare(_metadata, self, false);
	/* How far it came meanwhile is up to the scheduler. */
	wait_until(much_has_moved, self, 60000);
	self->stop = true;
	pthread_join(mover, &errors);
	EXPECT_EQ(NULL, errors);
	check(_metadata, self);
	printf("# %llu pages told once more\n", (unsigned long long)self->excused);
	EXPECT_LE(self->excused, self->moved);
}

TEST_HARNESS_MAIN
