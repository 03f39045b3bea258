/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: memory that only the device may touch.
 *
 * Overview
 * --------
 * uffdvram_range_convert() makes pages private, and shared again, with what they hold: all
 * of a piece, or nothing.
 */
#ifndef UFFDVRAM_CONVERT_H
#define UFFDVRAM_CONVERT_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct uffdvram_obstacle - what stood against it
 * @off: offset in the range of the page in the way; the range's length: none is named
 * @cause: -EBUSY: why, UFFDVRAM_STAY_*; else 0
 */
struct uffdvram_obstacle {
	uint64_t off;
	uint32_t cause;
};

/**
 * uffdvram_range_convert - make pages of a range private, or shared again
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_CONVERT_PRIVATE, UFFDVRAM_CONVERT_WAIT
 * @timeout_ms: with UFFDVRAM_CONVERT_WAIT: how long to wait at most, not 0; else 0
 * @in_the_way: out: after an error, which page; may be NULL
 *
 * A page that only waits in a CPU's batch for the LRU lists looks as if somebody held it:
 * before that is reported, all CPUs are made to empty theirs. Goes on after signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range, a time without
 * UFFDVRAM_CONVERT_WAIT or the reverse; no longer private anonymous memory), -ENOENT (in no
 * range any more), -EFAULT (not mapped, or it cannot be faulted in), -ENODATA (missing, and
 * userfaultfd watches for that), -ENODEV (the range has no pool), -EBUSY (somebody holds a
 * page), -EHWPOISON, -ENOSPC (no slot), -EDQUOT (the user's quota), -EIO (the device
 * failed), -EOPNOTSUPP (an unknown flag, or the module cannot do that), -ENOMEM, -ESRCH (the
 * address space is gone). Nothing was converted then.
 */
int uffdvram_range_convert(struct uffdvram_range *range, uint64_t off, uint64_t len,
			   uint32_t flags, uint32_t timeout_ms,
			   struct uffdvram_obstacle *in_the_way);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_CONVERT_H */
