/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the model of harvests: a range that is armed, a guest that has it as its
 * memory, swap; and what befalls the memory besides, that both tests have in common.
 */
#ifndef UFFDVRAM_SELFTESTS_MODEL_FIXTURE_H
#define UFFDVRAM_SELFTESTS_MODEL_FIXTURE_H

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uffdvram/uffdvram.h>

#include "util_mm.h"
#include "slots_fixture.h"
#include "vcpu_touch.h"

#define PAGES		1536
#define LEN		(PAGES * PAGE)
#define WORDS		(PAGES / 64)
#define WRITES		3000
#define WRITES_SLOW	800	/* with sanitizers */
#define LEASES		3	/* open at once, at most */
#define LEASE_PAGES	64
#define CHECKSUMS	"/sys/module/uffdvram/parameters/checksums"
#define WAIT_MS		"/sys/module/uffdvram/parameters/lease_wait_ms"
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/** struct model_lease - one that is open, or not: id 0 */
struct model_lease {
	uint64_t id;
	size_t first, n;
	bool harvested;		/* since it began */
	struct uffdvram_slot_run vec[LEASE_PAGES];
	size_t runs;
};

FIXTURE(model)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	int fd;
	uint32_t pool;
	char *mem;
	uint64_t rnd, limit;
	bool swap, huge;
	bool async;		/* writes go through unannounced; else @monitor lets them */
	pthread_t monitor;
	bool monitor_stop;
	bool vcpu;		/* there is KVM */
	struct touch guest;
	struct model_lease leases[LEASES];
	uint64_t got[WORDS], want[WORDS], maybe[WORDS], device[WORDS];
	/* What there was. */
	uint64_t writes, harvests, reported, excused, left, scanned;
	uint64_t guest_writes, leased, revoked, remapped, let;
	/* Of the threads. */
	bool stop;
	pthread_barrier_t round;
	char *shadow;
};

FIXTURE_VARIANT(model)
{
	uint32_t how;
	bool huge;
};

FIXTURE_VARIANT_ADD(model, async) { .how = UFFDVRAM_ARM_WP_ASYNC };
FIXTURE_VARIANT_ADD(model, async_huge) { .how = UFFDVRAM_ARM_WP_ASYNC, .huge = true };
FIXTURE_VARIANT_ADD(model, sync) { .how = UFFDVRAM_ARM_WP };
FIXTURE_VARIANT_ADD(model, sync_huge) { .how = UFFDVRAM_ARM_WP, .huge = true };

typedef FIXTURE_DATA(model) data;

/* Lets writers go on, as a monitor does. */
static void *let_write(void *arg)
{
	data *self = arg;
	int uffd = uffdvram_range_uffd(self->range);
	struct uffdio_writeprotect wp = { .range.len = PAGE };
	struct uffd_msg msg;

	while (!__atomic_load_n(&self->monitor_stop, __ATOMIC_ACQUIRE)) {
		if (!uffd_wait(uffd, &msg, 50))
			continue;
		wp.range.start = msg.arg.pagefault.address & ~(PAGE - 1);
		while (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) && errno == EAGAIN)
			;
		/* Also where it is not armed any more, and he would wait forever. */
		if (ioctl(uffd, UFFDIO_WAKE, &wp.range))
			give_up("UFFDIO_WAKE");
		self->let++;
	}
	return NULL;
}

FIXTURE_SETUP(model)
{
	struct uffdvram_arm_opts arm = { .size = sizeof(arm), .flags = variant->how };
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->rnd = env_number("DIRTY_SEED", 1);
	self->limit = env_number("DIRTY_WRITES", sanitizers() ? WRITES_SLOW : WRITES);
	self->huge = variant->huge;
	self->mem = map_aligned(LEN);
	if (variant->huge) {
		madvise(self->mem, LEN, MADV_HUGEPAGE);
		khugepaged_on();
	}
	memset(self->mem, 1, LEN);
	self->swap = swap_on();
	self->vcpu = !touch_new(&self->guest, self->mem, LEN);
	/* Who waits for the device shall not do so for long. */
	ASSERT_EQ(0, file_write(WAIT_MS, "2"));
	ASSERT_EQ(0, uffdvram_open(&self->ctx, NULL));
	self->fd = uffdvram_fd(self->ctx);
	/* With checksums: what a device writes must not be taken for damage. */
	ASSERT_EQ(0, file_write(CHECKSUMS, "1"));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &self->pool));
	ASSERT_EQ(0, file_write(CHECKSUMS, "-1"));
	ASSERT_EQ(0, uffdvram_pool_wrap(&opts.pool, self->ctx, self->pool));
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem), LEN, &opts));
	ASSERT_EQ(0, uffdvram_range_arm(self->range, &arm));
	self->async = variant->how == UFFDVRAM_ARM_WP_ASYNC;
	if (!self->async) {
		ASSERT_EQ(0, pthread_create(&self->monitor, NULL, let_write, self));
		/* Two threads take turns for each. */
		self->limit /= 3;
	}
}

FIXTURE_TEARDOWN(model)
{
	khugepaged_off();
	EXPECT_EQ(0, file_write(WAIT_MS, "1000"));
	if (self->vcpu)
		touch_free(&self->guest);
	if (!self->async) {
		__atomic_store_n(&self->monitor_stop, true, __ATOMIC_RELEASE);
		pthread_join(self->monitor, NULL);
		EXPECT_LT(0, self->let);
	}
	uffdvram_close(self->ctx);
	munmap(self->mem, LEN);
	if (self->swap)
		swap_off();
	expect_no_slots(_metadata);
}

static inline void set_bits(uint64_t *bits, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		bits[i / 64] |= 1ULL << i % 64;
}

static inline bool bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static inline int harvest(data *self)
{
	struct uffdvram_harvested sum = { .size = sizeof(sum) };
	int ret;

	memset(self->got, 0, sizeof(self->got));
	ret = uffdvram_harvest(self->range, 0, LEN, -1, self->got, &sum);
	self->harvests++;
	self->reported += sum.written;
	self->left += sum.left;
	self->scanned += sum.scanned;
	return ret;
}

/* Moves pages away, leaving holes, and copies them back; false: they are several mappings. */
static inline bool remap_away(char *at, size_t len)
{
	char *moved = mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);

	if (moved == MAP_FAILED) {
		if (errno != EFAULT && errno != EINVAL)
			give_up("mremap, away");
		return false;
	}
	memcpy(at, moved, len);
	munmap(moved, len);
	return true;
}

/* Replaces pages by others from elsewhere, and arms these. */
static inline void remap_onto(data *self, char *at, size_t len)
{
	char *from = map_small(len);

	memset(from, 7, len);
	if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		give_up("mremap, onto");
	if (uffd_register(uffdvram_range_uffd(self->range), at, len, UFFDIO_REGISTER_MODE_WP))
		give_up("arming again");
}

/* The device wants to write pages. */
static inline void lease_begin(data *self, struct model_lease *l, size_t first, size_t n)
{
	struct uffdvram_access_begin b;
	uint32_t flags = UFFDVRAM_ACCESS_WRITE;
	int ret;

	if (self->async)
		flags |= UFFDVRAM_ACCESS_WP_ASYNC;
	n = n > LEASE_PAGES ? LEASE_PAGES : n;
	ret = uv_access_begin(self->fd, flags, self->mem + first * PAGE, n * PAGE, l->vec,
			      LEASE_PAGES, &b);
	/* Whoever let the device write, knows no more. */
	if (!self->async)
		set_bits(self->maybe, first, n);
	/* Pinned by who swaps, or leased. */
	if (ret == -EBUSY)
		return;
	if (ret) {
		errno = -ret;
		give_up("ACCESS_BEGIN");
	}
	l->id = b.lease;
	l->first = first;
	l->n = b.done / PAGE;
	l->runs = b.used;
	l->harvested = false;
	self->leased += l->n;
}

/* It has done so: @bits of its pages, or NULL: with @flags. */
static inline uint64_t lease_end(data *self, struct model_lease *l, uint32_t flags,
				 const uint64_t *bits)
{
	uint64_t revoked = 0;
	int ret = uv_access_end(self->fd, l->id, flags, bits, bits ? l->n : 0, &revoked);

	if (ret && ret != -ESTALE) {
		errno = -ret;
		give_up("ACCESS_END");
	}
	l->id = 0;
	self->revoked += revoked;
	return revoked;
}

#endif /* UFFDVRAM_SELFTESTS_MODEL_FIXTURE_H */
