// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pressure: a pool that runs out of slots says so, once, to those who use it.
 */
#include <kselftest_harness.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "util_mm.h"

#define SLOTS	64
#define LEN	(2 * SLOTS * PAGE)
#define EVENT	sizeof(struct uffdvram_event)

FIXTURE(pressure)
{
	int fd, other, idle;	/* contexts: two with ranges in the pool, one without */
	uint32_t pool;
	char *mem, *more;
};

FIXTURE_SETUP(pressure)
{
	knobs_calm();
	/*
	 * So that all pages of a move take their slots at once: none looks pinned, and all
	 * are in one page table, that is in one step.
	 */
	on_one_cpu();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	self->other = uv_open();
	self->idle = uv_open();
	ASSERT_LE(0, self->idle);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->other, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->idle, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, uv_attach(self->fd, SLOTS * PAGE, UFFDVRAM_POOL_SHARED, &self->pool));
	self->mem = map_aligned(LEN);
	self->more = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN / 2, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, self->mem + LEN / 2, LEN / 2, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->other, self->more, LEN, self->pool, NULL));
}

FIXTURE_TEARDOWN(pressure)
{
	munmap(self->mem, LEN);
	munmap(self->more, LEN);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	close(self->fd);
	close(self->other);
	close(self->idle);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Pages [from, to) of the memory go to VRAM. */
static void fill_to(struct __test_metadata *_metadata, FIXTURE_DATA(pressure) *self, size_t from,
		    size_t to)
{
	ASSERT_EQ(to - from, uv_to_vram(self->fd, self->mem + from * PAGE, (to - from) * PAGE));
}

static void bring_home(struct __test_metadata *_metadata, FIXTURE_DATA(pressure) *self,
		       size_t from, size_t to)
{
	ASSERT_EQ(to - from, uv_to_ram(self->fd, self->mem + from * PAGE, (to - from) * PAGE));
}

static void expect_quiet(struct __test_metadata *_metadata, FIXTURE_DATA(pressure) *self)
{
	struct uffdvram_event e;

	EXPECT_EQ(-1, read(self->fd, &e, EVENT)) {
		TH_LOG("event %u cause %u: %llu pages free", e.type, e.cause, e.len / PAGE);
	}
	EXPECT_EQ(-1, read(self->other, &e, EVENT));
	EXPECT_EQ(-1, read(self->idle, &e, EVENT));
}

/* Both users of the pool are told, once; nobody else. */
static void expect_pressure(struct __test_metadata *_metadata, FIXTURE_DATA(pressure) *self,
			    size_t free)
{
	int fds[] = { self->fd, self->other };
	struct uffdvram_event e;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_EQ(EVENT, read(fds[i], &e, EVENT)) TH_LOG("context %zu", i);
		EXPECT_EQ(UFFDVRAM_EVENT_POOL_PRESSURE, e.type);
		EXPECT_EQ(!free, e.cause);
		EXPECT_EQ(self->pool, e.range);
		EXPECT_EQ(0, e.addr);
		EXPECT_EQ(free * PAGE, e.len);
	}
	expect_quiet(_metadata, self);
}

TEST_F(pressure, little_and_none)
{
	fill_to(_metadata, self, 0, SLOTS - SLOTS / 8);
	expect_quiet(_metadata, self);
	fill_to(_metadata, self, SLOTS - SLOTS / 8, SLOTS - SLOTS / 8 + 1);
	expect_pressure(_metadata, self, SLOTS / 8 - 1);
	fill_to(_metadata, self, SLOTS - SLOTS / 8 + 1, SLOTS - 1);
	expect_quiet(_metadata, self);
	fill_to(_metadata, self, SLOTS - 1, SLOTS);
	expect_pressure(_metadata, self, 0);
	/* It is full, still. */
	EXPECT_EQ(0, uv_to_vram(self->fd, self->mem + SLOTS * PAGE, 4 * PAGE));
	expect_quiet(_metadata, self);
}

/* Told again only after a quarter of it was free. */
TEST_F(pressure, over_and_again)
{
	const int again = SLOTS / 4 + 4, little = again - SLOTS / 8 + 1;
	int i;

	fill_to(_metadata, self, 0, SLOTS);
	expect_pressure(_metadata, self, 0);
	bring_home(_metadata, self, 0, SLOTS / 4 - 1);
	fill_to(_metadata, self, 0, SLOTS / 4 - 1);
	expect_quiet(_metadata, self);
	bring_home(_metadata, self, 0, again);
	for (i = 0; i < again; i++) {
		fill_to(_metadata, self, i, i + 1);
		if (i + 1 == little)
			expect_pressure(_metadata, self, SLOTS / 8 - 1);
		else if (i + 1 < again)
			expect_quiet(_metadata, self);
	}
	expect_pressure(_metadata, self, 0);
	/* All at once: there is no page at which it could be noticed. */
	bring_home(_metadata, self, 0, again);
	fill_to(_metadata, self, 0, again);
	expect_pressure(_metadata, self, 0);
	/* Slots come back by other ways, too. */
	ASSERT_EQ(0, madvise(self->mem, again * PAGE, MADV_DONTNEED));
	fill_to(_metadata, self, 0, again);
	expect_pressure(_metadata, self, 0);
}

/* Who has unregistered its ranges, or closed its context, is told no more. */
TEST_F(pressure, only_users_of_the_pool)
{
	struct uffdvram_event e;

	close(self->other);
	self->other = self->idle;
	self->idle = dup(self->fd);
	fill_to(_metadata, self, 0, SLOTS);
	ASSERT_EQ(EVENT, read(self->fd, &e, EVENT));
	EXPECT_EQ(UFFDVRAM_EVENT_POOL_PRESSURE, e.type);
	EXPECT_EQ(1, e.cause);
	expect_quiet(_metadata, self);
}

TEST_HARNESS_MAIN
