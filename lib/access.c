// SPDX-License-Identifier: LGPL-2.1-or-later
/* Leases: a device uses pages. */
#include <errno.h>

#include "range.h"

/* A module that does not know the ioctl. */
static int access_result(int ret)
{
	return ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

int uffdvram_access_begin(struct uffdvram_range *range, uint64_t off, uint64_t len,
			  uint32_t flags, struct uffdvram_slot_run *runs, size_t max,
			  struct uffdvram_lease *lease)
{
	struct uffdvram_access_begin arg;
	int ret = max ? uffdvram_range_pages(range, off, len) : -EINVAL;

	*lease = (struct uffdvram_lease){ 0 };
	if (ret)
		return ret;
	if (range->armed & UFFDVRAM_ARM_WP_ASYNC)
		flags |= UFFDVRAM_ACCESS_WP_ASYNC;
	do {
		arg = (struct uffdvram_access_begin){
			.size = sizeof(arg),
			.flags = flags,
			.addr = range->handle.addr + off,
			.len = len,
			.vec = (uintptr_t)runs,
			.vec_len = max,
		};
		ret = uffdvram_ctx_ioctl(range->handle.ctx, UFFDVRAM_ACCESS_BEGIN, &arg);
	} while (ret == -EINTR);
	if (!ret)
		*lease = (struct uffdvram_lease){
			.number = arg.lease,
			.done = arg.done,
			.n = arg.used,
		};
	return access_result(ret);
}

int uffdvram_access_end(struct uffdvram_ctx *ctx, uint64_t number, uint32_t flags,
			const uint64_t *written, uint64_t nbits, uint64_t *revoked)
{
	struct uffdvram_access_end arg = {
		.size = sizeof(arg),
		.flags = flags,
		.lease = number,
		.bitmap = (uintptr_t)written,
		.nbits = nbits,
	};
	int ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_ACCESS_END, &arg);

	if (revoked)
		*revoked = arg.revoked;
	return access_result(ret);
}
