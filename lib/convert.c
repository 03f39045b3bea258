// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that only the device may touch. */
#include <errno.h>
#include <time.h>

#include "range.h"

#define DRAINS	3

static uint64_t convert_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

/* Until @until, if @arg says to wait at all. */
static int convert_call(struct uffdvram_range *range, struct uffdvram_convert *arg,
			uint64_t until)
{
	uint64_t now;
	int ret;

	do {
		if (arg->flags & UFFDVRAM_CONVERT_WAIT) {
			now = convert_now_ms();
			arg->timeout_ms = now < until ? until - now : 1;
		}
		ret = uffdvram_ctx_ioctl(range->handle.ctx, UFFDVRAM_CONVERT, arg);
	} while (ret == -EINTR);
	return ret;
}

/* Whether it may be for the sake of such a batch. */
static bool convert_may_drain(const struct uffdvram_convert *arg, int ret)
{
	return ret == -EBUSY && (arg->flags & UFFDVRAM_CONVERT_PRIVATE) &&
	       (arg->cause == UFFDVRAM_STAY_PINNED || arg->cause == UFFDVRAM_STAY_BUSY);
}

int uffdvram_range_convert(struct uffdvram_range *range, uint64_t off, uint64_t len,
			   uint32_t flags, uint32_t timeout_ms,
			   struct uffdvram_obstacle *in_the_way)
{
	uint64_t until = convert_now_ms() + timeout_ms;
	struct uffdvram_convert arg = {
		.size = sizeof(arg),
		.flags = flags & ~UFFDVRAM_CONVERT_WAIT,
		.addr = range->handle.addr + off,
		.len = len,
	};
	int ret = uffdvram_range_pages(range, off, len), i;

	if (in_the_way)
		*in_the_way = (struct uffdvram_obstacle){ .off = range->handle.len };
	if (!ret && !(flags & UFFDVRAM_CONVERT_WAIT) != !timeout_ms)
		ret = -EINVAL;
	if (ret)
		return ret;
	ret = convert_call(range, &arg, until);
	for (i = 0; i < DRAINS && convert_may_drain(&arg, ret); i++) {
		uffdvram_lru_drain(range->handle.ctx);
		ret = convert_call(range, &arg, until);
	}
	if (ret == -EBUSY && (flags & UFFDVRAM_CONVERT_WAIT)) {
		arg.flags = flags;
		ret = convert_call(range, &arg, until);
	}
	if (ret && in_the_way && arg.bad_addr) {
		in_the_way->off = arg.bad_addr - range->handle.addr;
		in_the_way->cause = arg.cause;
	}
	return ret == -ENOTTY ? -EOPNOTSUPP : ret;
}
