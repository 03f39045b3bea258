/* SPDX-License-Identifier: GPL-2.0-only */
/* fail_nth.c's ways into the module that have to do with private pages. */
#ifndef UFFDVRAM_SELFTESTS_FAIL_CONVERT_H
#define UFFDVRAM_SELFTESTS_FAIL_CONVERT_H

#include "fail_access.h"

static long are_private(data *self)
{
	struct uffdvram_query q;

	return uv_query(self->fd, self->mem, LEN, &q) ? -1 : (long)q.count[UFFDVRAM_STATE_PRIVATE];
}

/* Half is in VRAM, a page is missing. */
static int run_private(data *self)
{
	return uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, LEN, 0, NULL);
}

/* All or nothing, and nothing but where only the answer could not be written. */
static void after_private(struct __test_metadata *_metadata, data *self, int ret)
{
	long n = are_private(self);

	if (ret != -EFAULT)
		EXPECT_EQ(ret ? 0 : PAGES, n);
	EXPECT_TRUE(!n || n == PAGES);
	EXPECT_EQ(0, uv_convert(self->fd, 0, self->mem, LEN, 0, NULL));
	/* The last one may be missing still. */
	EXPECT_LE(PAGES - 1, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, not_zero(self->mem + LEN - PAGE, PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN - PAGE, 1));
	half_in_vram(_metadata, self);
	EXPECT_EQ(0, madvise(self->mem + LEN - PAGE, PAGE, MADV_DONTNEED));
}

static int run_shared(data *self)
{
	return uv_convert(self->fd, 0, self->mem, LEN, 0, NULL);
}

static void after_shared(struct __test_metadata *_metadata, data *self, int ret)
{
	long n = are_private(self);

	if (ret != -EFAULT)
		EXPECT_EQ(ret ? PAGES : 0, n);
	EXPECT_TRUE(!n || n == PAGES);
	EXPECT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, LEN, 0, NULL));
	EXPECT_EQ(PAGES, are_private(self));
}

/* The zero page is to become one of its own. */
static int run_private_zero(data *self)
{
	return uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->map, PAGE, 0, NULL);
}

static void after_private_zero(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(0, uv_convert(self->fd, 0, self->map, PAGE, 0, NULL));
	zero_page(_metadata, self);
	EXPECT_EQ(0, uv_slots_in_use());
}

/* The worker does it, but who detaches can be told to fail. */
static int run_doomed(data *self)
{
	return uv_detach(self->fd, self->pool2, 0, NULL);
}

static void doomed_begin(struct __test_metadata *_metadata, data *self)
{
	self->map = map_small(LEN);
	fill_pages(self->map, LEN, 3);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &self->pool2));
	ASSERT_EQ(0, uv_register(self->fd, self->map, LEN, self->pool2, &self->range2));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->map, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->map, LEN, 0, NULL));
}

/* Whatever failed, nobody sees anything of it. */
static void after_doomed(struct __test_metadata *_metadata, data *self, int ret)
{
	struct sigbus s = read_byte(self->map + PAGE);
	int again = ret ? uv_detach(self->fd, self->pool2, 0, NULL) : 0;

	EXPECT_EQ(SIGBUS, s.signo);
	/* It may have been done, and the answer not been written. */
	EXPECT_TRUE(!again || again == -ENODEV);
	s = read_byte(self->map + PAGE);
	EXPECT_EQ(SIGBUS, s.signo);
	EXPECT_EQ(BUS_MCEERR_AR, s.code);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	munmap(self->map, LEN);
	doomed_begin(_metadata, self);
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_CONVERT_H */
