// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading and writing through the library, its events, and the options of ranges.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

TEST_F(armed, reads_and_writes_leave_pages_where_they_are)
{
	char *buf = map_small(LEN);
	uint64_t done = 7;

	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(0, uffdvram_range_read(self->range, 0, buf, LEN, 0, &done));
	EXPECT_EQ(LEN, done);
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, SEED));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	memset(buf, 'b', LEN);
	ASSERT_EQ(0, uffdvram_range_write(self->range, PAGE, buf, PAGE, 0, NULL));
	ASSERT_EQ(0, uffdvram_range_write(self->range, LEN - PAGE, buf, PAGE, 0, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, memcmp(self->mem + PAGE, buf, PAGE));
	EXPECT_EQ(0, memcmp(self->mem + LEN - PAGE, buf, PAGE));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * PAGE, LEN - 3 * PAGE, SEED));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, SEED));
	munmap(buf, LEN);
}

TEST_F(armed, copies_that_fail)
{
	char *buf = map_small(LEN);
	uint64_t done = 7;

	EXPECT_EQ(-EINVAL, uffdvram_range_read(self->range, PAGE, buf, LEN, 0, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EINVAL, uffdvram_range_read(self->range, 1, buf, PAGE, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_read(self->range, 0, buf, PAGE,
						   UFFDVRAM_COPY_WRITE, NULL));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_write(self->range, 0, buf, PAGE, 1U << 9, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	ASSERT_EQ(0, madvise(self->mem + 5 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(-ENOENT, uffdvram_range_read(self->range, 0, buf, LEN,
					       UFFDVRAM_COPY_NOFAULT, &done));
	EXPECT_EQ(5 * PAGE, done);
	EXPECT_EQ(0, uffdvram_range_read(self->range, 0, buf, LEN, 0, &done));
	EXPECT_EQ(LEN, done);
	munmap(buf, LEN);
}

TEST_F(armed, events)
{
	const struct uffdvram_range_opts opts = {
		.size = sizeof(opts), .pool = self->pool,
		.flags = UFFDVRAM_RANGE_FAULT_EVENTS,
	};
	struct uffdvram_event ev[4];
	struct uffdvram_place place;
	struct uffdvram_range *range;
	char *mem = map_small(LEN);
	size_t got = 7;

	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), LEN, &opts));
	EXPECT_EQ(-EAGAIN, uffdvram_event_read(self->ctx, ev, 4, &got, 0));
	EXPECT_EQ(0, got);
	EXPECT_EQ(-EINVAL, uffdvram_event_read(self->ctx, ev, 0, &got, 0));
	fill_pages(mem, LEN, SEED);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	/* Only this range asked to be told. */
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	self->mem[0]++;
	mem[3 * PAGE]++;
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 5000));
	EXPECT_EQ(1, got);
	EXPECT_STREQ("fault_back", uffdvram_event_name(ev[0].type));
	EXPECT_EQ(uffdvram_range_number(range), ev[0].range);
	ASSERT_EQ(0, uffdvram_find(self->ctx, ev[0].addr, &place));
	EXPECT_EQ(range, place.range);
	EXPECT_EQ(3 * PAGE, place.off);
	ASSERT_EQ(0, munmap(mem, LEN));
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 5000));
	EXPECT_STREQ("range_gone", uffdvram_event_name(ev[0].type));
	EXPECT_STREQ("unmapped", uffdvram_gone_name(ev[0].cause));
	EXPECT_STREQ("page_lost", uffdvram_event_name(UFFDVRAM_EVENT_PAGE_LOST));
	EXPECT_STREQ("unknown", uffdvram_event_name(99));
	EXPECT_STREQ("unknown", uffdvram_gone_name(0));
	uv_knob_set("trouble", "%u gone", uffdvram_pool_number(self->pool));
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 5000));
	EXPECT_EQ(1, got);
	EXPECT_STREQ("pool_trouble", uffdvram_event_name(ev[0].type));
	EXPECT_STREQ("gone", uffdvram_trouble_name(ev[0].cause));
	EXPECT_STREQ("unknown", uffdvram_trouble_name(0));
}

TEST_F(armed, windows)
{
	struct uffdvram_range_opts opts = {
		.size = sizeof(opts), .pool = self->pool,
		.flags = UFFDVRAM_RANGE_LINEAR, .pool_off = MIB(1),
	};
	struct uffdvram_range *range, *second;
	char *mem = map_small(LEN), *more = map_small(LEN);

	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), LEN, &opts));
	opts.pool_off += LEN - PAGE;
	EXPECT_EQ(-EBUSY, uffdvram_range_register(&second, self->ctx, ADDR(more), LEN, &opts));
	opts.pool_off += PAGE;
	EXPECT_EQ(0, uffdvram_range_register(&second, self->ctx, ADDR(more), LEN, &opts));
	opts.pool_off = MIB(4);
	EXPECT_EQ(0, uffdvram_range_unregister(second));
	EXPECT_EQ(-EINVAL, uffdvram_range_register(&second, self->ctx, ADDR(more), LEN, &opts));
	fill_pages(mem, LEN, SEED);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	EXPECT_EQ(-1, check_pages(mem, LEN, SEED));
	munmap(mem, LEN);
	munmap(more, LEN);
}

TEST_HARNESS_MAIN
