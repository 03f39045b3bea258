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
#include "pin.h"

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

TEST_F(armed, leases)
{
	struct uffdvram_slot_run runs[PAGES];
	struct uffdvram_lease lease = { .number = 7 };
	uint64_t written[1] = { 1 }, revoked = 7;

	EXPECT_EQ(-EINVAL, uffdvram_access_begin(self->range, PAGE, LEN, 0, runs, 1, &lease));
	EXPECT_EQ(0, lease.number);
	EXPECT_EQ(-EINVAL, uffdvram_access_begin(self->range, 0, LEN, 0, runs, 0, &lease));
	EXPECT_EQ(-EINVAL, uffdvram_access_begin(self->range, 1, PAGE, 0, runs, 1, &lease));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_access_begin(self->range, 0, PAGE,
						     UFFDVRAM_ACCESS_WRITTEN_ALL, runs, 1, &lease));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_access_begin(self->range, PAGE, LEN - PAGE, UFFDVRAM_ACCESS_WRITE,
					   runs, PAGES, &lease));
	EXPECT_NE(0, lease.number);
	EXPECT_EQ(LEN - PAGE, lease.done);
	EXPECT_EQ(ADDR(self->mem + PAGE), runs[0].addr);
	EXPECT_LE(1, lease.n);
	EXPECT_EQ(-ENOENT, uffdvram_access_end(self->ctx, lease.number + 1, 0, NULL, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_access_end(self->ctx, lease.number, 0, written, PAGES, NULL));
	EXPECT_EQ(0, uffdvram_access_end(self->ctx, lease.number, 0, written, 1, &revoked));
	EXPECT_EQ(0, revoked);
	ASSERT_EQ(0, uffdvram_access_begin(self->range, 0, PAGE, 0, runs, 1, &lease));
	self->mem[0]++;
	EXPECT_EQ(-ESTALE, uffdvram_access_end(self->ctx, lease.number, 0, NULL, 0, &revoked));
	EXPECT_EQ(1, revoked);
	self->mem[0]--;
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_STREQ("lease_wanted", uffdvram_event_name(UFFDVRAM_EVENT_LEASE_WANTED));
	EXPECT_STREQ("lease_revoked", uffdvram_event_name(UFFDVRAM_EVENT_LEASE_REVOKED));
	EXPECT_STREQ("pool", uffdvram_revoked_name(UFFDVRAM_REVOKED_POOL));
	EXPECT_STREQ("unknown", uffdvram_revoked_name(99));
	EXPECT_STREQ("collapse", uffdvram_back_name(UFFDVRAM_BACK_COLLAPSE));
	EXPECT_STREQ("unknown", uffdvram_back_name(99));
}

TEST_F(armed, private_pages)
{
	struct uffdvram_obstacle bad;
	struct uffdvram_lease lease;
	struct uffdvram_slot_run run;
	const uint32_t private = UFFDVRAM_CONVERT_PRIVATE, wait = UFFDVRAM_CONVERT_WAIT;
	struct pin pin;
	char buf[PAGE];

	EXPECT_EQ(-EINVAL, uffdvram_range_convert(self->range, PAGE, LEN, private, 0, &bad));
	EXPECT_EQ(LEN, bad.off);
	EXPECT_EQ(-EINVAL, uffdvram_range_convert(self->range, 1, PAGE, private, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_convert(self->range, 0, LEN, private | wait, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_convert(self->range, 0, LEN, private, 1, NULL));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_convert(self->range, 0, LEN, 1U << 9, 0, &bad));
	/* Just written: pages are in some CPU's batch, perhaps. */
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
		fill_pages(self->mem, LEN, SEED);
		ASSERT_EQ(0, uffdvram_range_convert(self->range, 0, LEN, private, 0, &bad)) {
			TH_LOG("%llu: %u", (unsigned long long)bad.off, bad.cause);
		}
		EXPECT_EQ(LEN, bad.off);
		EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
		EXPECT_EQ(-EACCES, uffdvram_range_read(self->range, 0, buf, PAGE, 0, NULL));
		ASSERT_EQ(0, uffdvram_range_convert(self->range, 0, LEN, 0, 0, NULL));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	}
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_access_begin(self->range, 3 * PAGE, PAGE, 0, &run, 1, &lease));
	EXPECT_EQ(-EBUSY, uffdvram_range_convert(self->range, 0, LEN, private | wait, 50, &bad));
	EXPECT_EQ(3 * PAGE, bad.off);
	EXPECT_EQ(UFFDVRAM_STAY_LEASED, bad.cause);
	ASSERT_EQ(0, uffdvram_access_end(self->ctx, lease.number, 0, NULL, 0, NULL));
	/* What is held by more than such a batch stays held. */
	pin_page(&pin, self->mem + 5 * PAGE);
	EXPECT_EQ(-EBUSY, uffdvram_range_convert(self->range, 0, LEN, private, 0, &bad));
	EXPECT_EQ(5 * PAGE, bad.off);
	EXPECT_EQ(UFFDVRAM_STAY_PINNED, bad.cause);
	unpin(&pin);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
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
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 60000));
	EXPECT_EQ(1, got);
	EXPECT_STREQ("fault_back", uffdvram_event_name(ev[0].type));
	EXPECT_EQ(uffdvram_range_number(range), ev[0].range);
	ASSERT_EQ(0, uffdvram_find(self->ctx, ev[0].addr, &place));
	EXPECT_EQ(range, place.range);
	EXPECT_EQ(3 * PAGE, place.off);
	ASSERT_EQ(0, munmap(mem, LEN));
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 60000));
	EXPECT_STREQ("range_gone", uffdvram_event_name(ev[0].type));
	EXPECT_STREQ("unmapped", uffdvram_gone_name(ev[0].cause));
	EXPECT_STREQ("page_lost", uffdvram_event_name(UFFDVRAM_EVENT_PAGE_LOST));
	EXPECT_STREQ("unknown", uffdvram_event_name(99));
	EXPECT_STREQ("unknown", uffdvram_gone_name(0));
	uv_knob_set("trouble", "%u gone", uffdvram_pool_number(self->pool));
	ASSERT_EQ(0, uffdvram_event_read(self->ctx, ev, 4, &got, 60000));
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
