/* SPDX-License-Identifier: GPL-2.0-only */
/* The ways of 2 MiB at once into VRAM and home, for fail_nth.c; see fail_paths.h. */
#ifndef UFFDVRAM_SELFTESTS_FAIL_HUGE_H
#define UFFDVRAM_SELFTESTS_FAIL_HUGE_H

#include "fail_fixture.h"

#define FOLIO		(HUGE / PAGE)

/* self->map: one huge page in RAM, as filled with seed 1. */
static void huge_fresh(struct __test_metadata *_metadata, data *self)
{
	EXPECT_EQ(0, madvise(self->map, HUGE, MADV_DONTNEED));
	EXPECT_TRUE(uv_wait_slots(0));
	ASSERT_TRUE(fill_huge(self->fd, self->map, HUGE, 1));
}

/* And in VRAM. */
static void huge_in(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(FOLIO, uv_to_vram(self->fd, self->map, HUGE));
	ASSERT_EQ(FOLIO, huge_pages(self->fd, self->map, HUGE));
}

static void huge_begin(struct __test_metadata *_metadata, data *self, uint32_t pool)
{
	self->map = map_huge(HUGE);
	ASSERT_EQ(0, uv_register(self->fd, self->map, HUGE, pool, &self->range2));
	huge_fresh(_metadata, self);
}

static int run_huge_in(data *self)
{
	return uv_migrate(self->fd, self->map, HUGE, 0, &self->m);
}

static void after_huge_in(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_TRUE(sum_ok(self->map, HUGE, &self->m));
	EXPECT_EQ(FOLIO, uv_to_vram(self->fd, self->map, HUGE));
	EXPECT_EQ(-1, check_pages(self->map, HUGE, 1));
	huge_fresh(_metadata, self);
}

static void after_huge_hole(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_TRUE(sum_ok(self->map, HUGE, &self->m));
	EXPECT_EQ(FOLIO, uv_to_vram(self->fd, self->map, HUGE));
	EXPECT_EQ(-1, not_zero(self->map, HUGE));
	EXPECT_EQ(0, madvise(self->map, HUGE, MADV_DONTNEED));
	EXPECT_TRUE(uv_wait_slots(0));
}

static int run_huge_out(data *self)
{
	return uv_migrate(self->fd, self->map, HUGE, UFFDVRAM_MIGRATE_TO_RAM, &self->m);
}

static int run_huge_fault(data *self)
{
	return read_byte(self->map + 100 * PAGE).signo ? -EBADMSG : 0;
}

static void after_huge_home(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(-1, check_pages(self->map, HUGE, 1));
	huge_fresh(_metadata, self);
	huge_in(_metadata, self);
}

#define LOST		200	/* a page */

/* One page of it is lost: a write into its slot has failed. */
static void huge_lose(struct __test_metadata *_metadata, data *self)
{
	uv_knob_set("fail_to_vram", "1");
	EXPECT_GT(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->map + LOST * PAGE, PAGE,
			     self->buf, NULL));
	ASSERT_EQ(FOLIO, huge_pages(self->fd, self->map, HUGE));
}

static void after_huge_lost(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(-1, check_pages(self->map, LOST * PAGE, 1));
	EXPECT_EQ(SIGBUS, read_byte(self->map + LOST * PAGE).signo);
	EXPECT_EQ(-1, check_pages(self->map + (LOST + 1) * PAGE, HUGE - (LOST + 1) * PAGE, 1));
	munmap(self->map, HUGE);
	EXPECT_TRUE(uv_wait_slots(0));
	/* Its slot is not used again: a pool of one block has none any more. */
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool2, 0, NULL));
	EXPECT_EQ(0, uv_attach(self->fd, HUGE, 0, &self->pool2));
	huge_begin(_metadata, self, self->pool2);
	huge_in(_metadata, self);
	huge_lose(_metadata, self);
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_HUGE_H */
