// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading and writing pages where they live.
 */
#include <errno.h>

#include "range.h"

static int copy(struct uffdvram_range *range, uint64_t off, uint64_t buf,
		uint64_t len, uint32_t flags, uint64_t *done)
{
	struct uffdvram_copy c;
	uint64_t sum = 0;
	int ret;

	if (done)
		*done = 0;
	ret = uffdvram_range_within(range, off, len);
	if (ret)
		return ret;
	do {
		c = (struct uffdvram_copy){
			.size = sizeof(c),
			.flags = flags,
			.addr = range->handle.addr + off + sum,
			.len = len - sum,
			.buf = buf + sum,
		};
		ret = uffdvram_ctx_ioctl(range->handle.ctx, UFFDVRAM_COPY, &c);
		sum += c.done;
	} while (sum < len && uffdvram_again(&ret, c.done, false));
	if (done)
		*done = sum;
	return ret;
}

int uffdvram_range_read(struct uffdvram_range *range, uint64_t off, void *buf,
			uint64_t len, uint32_t flags, uint64_t *done)
{
	if (flags & ~UFFDVRAM_COPY_NOFAULT)
		return -EOPNOTSUPP;
	return copy(range, off, (uintptr_t)buf, len, flags, done);
}

int uffdvram_range_write(struct uffdvram_range *range, uint64_t off,
			 const void *buf, uint64_t len, uint32_t flags,
			 uint64_t *done)
{
	if (flags & ~UFFDVRAM_COPY_NOFAULT)
		return -EOPNOTSUPP;
	return copy(range, off, (uintptr_t)buf, len, flags | UFFDVRAM_COPY_WRITE, done);
}
