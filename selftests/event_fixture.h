/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of events share, by read and over netlink: pages that tell of their faults. */
#ifndef UFFDVRAM_SELFTESTS_EVENT_FIXTURE_H
#define UFFDVRAM_SELFTESTS_EVENT_FIXTURE_H

#include <fcntl.h>

#include "util_mm.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)

/**
 * told_begin - a pool that fills up soon, and a range that tells of faults
 * @fd: out: the context; reading it does not wait
 * @pool: out: of 2 MiB
 * @range: out: LEN bytes, filled with seed 1, in VRAM
 *
 * Returns the memory.
 */
static inline char *told_begin(struct __test_metadata *_metadata, int *fd, uint32_t *pool,
			       uint32_t *range)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg), .len = LEN,
					       .flags = UFFDVRAM_RANGE_FAULT_EVENTS };
	char *mem;

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	*fd = uv_open();
	ASSERT_LE(0, *fd);
	ASSERT_EQ(0, fcntl(*fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, uv_attach(*fd, MIB(2), 0, pool));
	mem = map_small(LEN);
	arg.pool = *pool;
	arg.addr = ADDR(mem);
	ASSERT_EQ(0, uv_ioctl(*fd, UFFDVRAM_RANGE_REGISTER, &arg));
	*range = arg.range;
	fill_pages(mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(*fd, mem, LEN, 0, NULL));
	return mem;
}

/* An event for each of these pages: from the last to the first, so that no two join. */
static inline void touch_down(char *mem, size_t pages)
{
	while (pages--)
		*(volatile char *)(mem + pages * PAGE) ^= 1;
}

#endif /* UFFDVRAM_SELFTESTS_EVENT_FIXTURE_H */
