/* SPDX-License-Identifier: GPL-2.0-only */
/* fail_nth.c's ways into the module that have to do with exclusive ranges. */
#ifndef UFFDVRAM_SELFTESTS_FAIL_EXCLUSIVE_H
#define UFFDVRAM_SELFTESTS_FAIL_EXCLUSIVE_H

#include <errno.h>

#include "fail_fixture.h"

static int run_register_exclusive(data *self)
{
	return uv_register_flags(self->fd, self->buf, LEN, self->pool, UFFDVRAM_RANGE_EXCLUSIVE,
				 &self->range2);
}

static void after_register_exclusive(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_register_exclusive(self));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
}

/* All of it is private, and should stay so. */
static void exclusive_begin(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(0, madvise(self->buf, LEN, MADV_DONTFORK));
	ASSERT_EQ(0, run_register_exclusive(self));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->buf, LEN, 0, NULL));
}

static bool all_are_poison(void *arg)
{
	struct uffdvram_query q;
	data *self = arg;

	return !uv_query(self->fd, self->buf, LEN, &q) &&
	       q.count[UFFDVRAM_STATE_POISON] == PAGES;
}

/* It is for the worker to find out, sooner or later. Nobody touches the holes until then. */
static int run_discarded(data *self)
{
	if (madvise(self->buf, LEN, MADV_DONTNEED))
		return -errno;
	return wait_until(all_are_poison, self, 60000) ? 0 : -ETIMEDOUT;
}

static void after_discarded(struct __test_metadata *_metadata, data *self, int ret)
{
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, self->buf, LEN, NULL));
	EXPECT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->buf, LEN, 0, NULL));
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_EXCLUSIVE_H */
