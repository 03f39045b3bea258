// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci */
/* TIMEOUT: 240 */
/*
 * Leases of memory that somebody watches: userfaultfd is asked for missing pages and told
 * of writes, as for a CPU; and who tracks writes sees those of the device.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "uffd_fixture.h"
#include "access_fixture.h"
#include "other_slot.h"

/* One ACCESS_BEGIN in a thread of its own; it waits for whoever answers. */
struct beginner {
	pthread_t thread;
	data *self;
	uint32_t flags;
	int ret;
};

static void *beginner_thread(void *arg)
{
	struct beginner *b = arg;

	b->ret = begin_all(b->self, b->flags);
	return NULL;
}

static void begin_start(struct beginner *b, data *self, uint32_t flags)
{
	*b = (struct beginner){ .self = self, .flags = flags };
	if (pthread_create(&b->thread, NULL, beginner_thread, b))
		give_up("a thread");
}

TEST_F(access, missing_pages_are_asked_for)
{
	char *gap = self->mem + 10 * PAGE, *from = map_small(PAGE);
	int uffd = uffd_open(0);
	struct beginner b;

	ASSERT_LE(0, uffd);
	fill_pages_as(from, PAGE, gap, 1);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(gap, PAGE, MADV_DONTNEED));
	/* Up to there, and there not at all. */
	EXPECT_EQ(-ENODATA, begin_all(self, UFFDVRAM_ACCESS_NOWAIT));
	EXPECT_EQ(10 * PAGE, self->b.done);
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-EAGAIN, uv_access_begin(self->fd, UFFDVRAM_ACCESS_NOWAIT, gap, PAGE, self->vec,
					   1, &self->b));
	expect_no_event(_metadata, uffd);

	begin_start(&b, self, 0);
	expect_fault(_metadata, uffd, gap, 0);
	/* It holds no lock meanwhile. */
	munmap(map_small(PAGE), PAGE);
	ASSERT_EQ(0, uffd_copy(uffd, gap, from, PAGE, 0));
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	EXPECT_EQ(PAGES, leased(self));
	EXPECT_EQ(0, end_all(self, 0));

	ASSERT_EQ(0, madvise(gap, PAGE, MADV_DONTNEED));
	begin_start(&b, self, WRITE);
	expect_fault(_metadata, uffd, gap, UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(0, uffd_copy(uffd, gap, from, PAGE, 0));
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	EXPECT_EQ(0, end_all(self, 0));
	/* The zero page becomes one of its own. */
	ASSERT_EQ(0, madvise(gap, PAGE, MADV_DONTNEED));
	begin_start(&b, self, 0);
	expect_fault(_metadata, uffd, gap, 0);
	ASSERT_EQ(0, uffd_zeropage(uffd, gap, PAGE));
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-1, not_zero(gap, PAGE));
	expect_no_event(_metadata, uffd);
	close(uffd);
	EXPECT_EQ(-1, check_pages(self->mem, 10 * PAGE, 1));
	munmap(from, PAGE);
}

/* Nobody answers, or may: it is as for a CPU. */
TEST_F(access, cannot_be_faulted_in)
{
	int uffd = uffd_open(UFFD_FEATURE_SIGBUS);

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_EQ(-EFAULT, begin_all(self, 0));
	EXPECT_EQ(-EFAULT, begin_all(self, WRITE));
	EXPECT_EQ(0, leased(self));
	ASSERT_EQ(0, uffd_zeropage(uffd, self->mem, PAGE));
	EXPECT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(0, end_all(self, 0));
	close(uffd);
}

/* Somebody waits for writes: he is told before the device may write; of reads he is not. */
TEST_F(access, writes_are_told)
{
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	struct beginner b;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, 2 * PAGE, true));
	ASSERT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(0, end_all(self, 0));
	expect_no_event(_metadata, uffd);
	begin_start(&b, self, WRITE);
	for (int i = 0; i < 2; i++) {
		expect_fault(_metadata, uffd, self->mem + i * PAGE,
			     UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
		ASSERT_EQ(0, uffd_wp(uffd, self->mem + i * PAGE, PAGE, false));
	}
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	EXPECT_EQ(PAGES, leased(self));
	EXPECT_EQ(0, end_all(self, 0));
	expect_no_event(_metadata, uffd);
	close(uffd);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Nobody waits: pages stay protected, but those that were written. */
TEST_F(access, writes_are_tracked)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t faults = uv_stat("faults"), bits[1] = { 1 << 3 | 1ULL << 63 };
	uint32_t flags = WRITE | UFFDVRAM_ACCESS_WP_ASYNC;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	ASSERT_EQ(0, begin_all(self, flags));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	EXPECT_EQ(0, uv_access_end(self->fd, self->b.lease, 0, NULL, 0, NULL));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));

	ASSERT_EQ(0, begin_all(self, flags));
	EXPECT_EQ(0, uv_access_end(self->fd, self->b.lease, 0, bits, PAGES, NULL));
	EXPECT_EQ(2, pages_written(pagemap, self->mem, LEN));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + 3 * PAGE, PAGE));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + 63 * PAGE, PAGE));
	EXPECT_EQ(faults, uv_stat("faults"));
	/* It shows at home, too; and can be protected again. */
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(2, pages_written(pagemap, self->mem, LEN));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, begin_all(self, flags));
	EXPECT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(PAGES, pages_written(pagemap, self->mem, LEN));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	close(pagemap);
	close(uffd);
}

/* A page that is taken from the device was written, for all that anybody knows. */
TEST_F(access, revoked_pages_are_tracked)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint32_t flags = WRITE | UFFDVRAM_ACCESS_WP_ASYNC;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	ASSERT_EQ(0, begin_all(self, flags));
	EXPECT_EQ(0, read_byte(self->mem + PAGE).signo);
	EXPECT_EQ(1, pages_written(pagemap, self->mem, LEN));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + PAGE, PAGE));
	EXPECT_EQ(-ESTALE, uv_access_end(self->fd, self->b.lease, 0, NULL, 0, NULL));
	EXPECT_EQ(1, pages_written(pagemap, self->mem, LEN));
	/* So when MIGRATE, or a pool that goes, takes it. */
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	ASSERT_EQ(0, begin_all(self, flags));
	EXPECT_EQ(-EBUSY, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(PAGES, pages_written(pagemap, self->mem, LEN));
	EXPECT_EQ(-ESTALE, end_all(self, 0));
	/* A lease to read takes nothing with it. */
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	close(pagemap);
	close(uffd);
}

static bool none_is_leased(void *self)
{
	return !leased(self);
}

/* Of a context that is closed nobody knows what was written. */
TEST_F(access, closed_contexts_are_tracked)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY), fd = uv_open();
	struct uffdvram_access_begin b;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	ASSERT_EQ(0, uv_access_begin(fd, WRITE | UFFDVRAM_ACCESS_WP_ASYNC, self->mem, LEN,
				     self->vec, PAGES, &b));
	ASSERT_EQ(LEN, b.done);
	close(fd);
	EXPECT_TRUE(wait_until(none_is_leased, self, 60000));
	EXPECT_EQ(PAGES, pages_written(pagemap, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	close(pagemap);
	close(uffd);
}

TEST_F(access, soft_dirty)
{
	uint64_t bits[1] = { 1 << 5 };

	if (!soft_dirty(self->mem, PAGES))
		SKIP(return, "no soft-dirty marks on this kernel");
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, file_write("/proc/self/clear_refs", "4"));
	EXPECT_EQ(0, soft_dirty(self->mem, PAGES));
	EXPECT_EQ(0, uv_access_end(self->fd, self->b.lease, 0, bits, 6, NULL));
	EXPECT_EQ(1, soft_dirty(self->mem, PAGES));
	EXPECT_EQ(1, soft_dirty(self->mem + 5 * PAGE, 1));
}

TEST_F(access, linear)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = self->pool,
		.addr = ADDR(self->mem), .len = LEN, .pool_off = MIB(1),
	};

	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	ASSERT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(1, self->b.used);
	EXPECT_EQ(MIB(1), self->vec[0].off);
	EXPECT_EQ(0, end_all(self, 0));
}

/* What lives in a slot of another range is placed anew. */
TEST_F(access, pages_of_another_range)
{
	char *to = map_small(LEN);
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, to, LEN, pool, NULL));
	ASSERT_EQ(to, mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, to, LEN, self->vec, PAGES, &self->b));
	EXPECT_EQ(LEN, self->b.done);
	EXPECT_EQ(PAGES, pool_value(pool, "used"));
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	munmap(to, LEN);
}

static int begin_one(void *arg, char *page)
{
	data *self = arg;

	return uv_access_begin(self->fd, 0, page, PAGE, self->vec, 1, &self->b);
}

/* For that they have to come home, and the host may have no memory. */
TEST_F(access, no_memory_for_the_way)
{
	uint32_t pool;
	char *to = without_memory(_metadata, self->fd, self->mem, &pool, begin_one, self);

	EXPECT_EQ(1, pool_value(pool, "used"));
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-1, check_pages_as(to, PAGE, self->mem, 1));
	munmap(to, PAGE);
}

TEST_HARNESS_MAIN
