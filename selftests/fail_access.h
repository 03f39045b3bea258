/* SPDX-License-Identifier: GPL-2.0-only */
/* fail_nth.c's ways into the module that have to do with leases. */
#ifndef UFFDVRAM_SELFTESTS_FAIL_ACCESS_H
#define UFFDVRAM_SELFTESTS_FAIL_ACCESS_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fail_paths.h"

/* A lease of all, half of which is at home, and its end. */
static int run_access(data *self)
{
	static const uint64_t written[1] = { 1 << 3 };
	struct uffdvram_access_begin b;
	int ret;

	ret = uv_access_begin(self->fd, UFFDVRAM_ACCESS_WRITE, self->mem, LEN,
			      (struct uffdvram_slot_run *)self->buf, PAGES, &b);
	self->lease = ret ? 0 : b.lease;
	return ret ? ret : uv_access_end(self->fd, b.lease, 0, written,
					 b.done < 4 * PAGE ? 1 : 4, NULL);
}

static bool none_is_leased(void *arg)
{
	struct uffdvram_query q;
	data *self = arg;

	return !uv_query(self->fd, self->mem, LEN, &q) && !q.count[UFFDVRAM_STATE_LEASED];
}

/* It goes on where END fails for want of memory; where it is killed it ends by itself. */
static void after_access(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret && self->lease)
		uv_access_end(self->fd, self->lease, 0, NULL, 0, NULL);
	EXPECT_TRUE(wait_until(none_is_leased, self, 60000));
	EXPECT_EQ(-ENOENT, uv_access_end(self->fd, self->lease, 0, NULL, 0, NULL));
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	half_in_vram(_metadata, self);
}

/* One page that has to be unshared, then one that cannot be had: nobody answers. */
static int run_access_fault(data *self)
{
	struct uffdvram_access_begin b;
	int ret = uv_access_begin(self->fd, 0, self->map, 2 * PAGE,
				  (struct uffdvram_slot_run *)self->buf, 2, &b);

	self->lease = ret ? 0 : b.lease;
	return ret;
}

static void zero_page(struct __test_metadata *_metadata, data *self)
{
	EXPECT_EQ(0, madvise(self->map, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, uffd_zeropage(self->fd2, self->map, PAGE));
}

static void after_access_fault(struct __test_metadata *_metadata, data *self, int ret)
{
	if (!ret)
		EXPECT_EQ(0, uv_access_end(self->fd, self->lease, 0, NULL, 0, NULL));
	zero_page(_metadata, self);
	EXPECT_EQ(0, uv_slots_in_use());
}

static void access_fault_begin(struct __test_metadata *_metadata, data *self)
{
	struct uffdio_api api = { .api = UFFD_API };

	self->fd2 = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	ASSERT_LE(0, self->fd2);
	ASSERT_EQ(0, ioctl(self->fd2, UFFDIO_API, &api));
	self->map = map_small(2 * PAGE);
	ASSERT_EQ(0, uffd_register(self->fd2, self->map, 2 * PAGE,
				   UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, uv_register(self->fd, self->map, 2 * PAGE, self->pool, &self->range2));
	zero_page(_metadata, self);
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_ACCESS_H */
