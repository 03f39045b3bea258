/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/* Part of uffdvram.h, which includes it: memory that only the device may touch. */
#ifndef _UAPI_LINUX_UFFDVRAM_CONVERT_H
#define _UAPI_LINUX_UFFDVRAM_CONVERT_H

#include <linux/types.h>

/**
 * struct uffdvram_convert - make pages of ranges private, or shared again
 * @size: sizeof(struct uffdvram_convert)
 * @flags: UFFDVRAM_CONVERT_*
 * @addr: first byte
 * @len: bytes
 * @timeout_ms: with WAIT: how long to wait at most, not 0; else 0
 * @cause: out: EBUSY: why, as enum uffdvram_stay
 * @bad_addr: out: after most errors, the page that stands against it
 *
 * With PRIVATE the pages move to their ranges' pools, as by MIGRATE, and from then on only
 * the device may touch them: a CPU that does gets SIGBUS (BUS_ADRERR), a system call or
 * KVM_RUN on its behalf EFAULT, COPY EACCES, and at once; the pages stay in their slots
 * until they are shared again, or unmapped. Without PRIVATE they are shared again: as any
 * page in VRAM. What they hold is kept, both ways. All of the piece is converted, or
 * nothing; what has moved stays in VRAM, though. Pages that are so already are fine.
 *
 * Missing pages become zeroed ones; not where userfaultfd watches for them: ENODATA.
 *
 * A child of fork(2) inherits private pages, which it cannot touch either; they cannot be
 * shared again while it has them. MADV_DONTNEED, munmap(2) and POISON with REPLACE drop
 * private pages. A page that is leased cannot become private, but private pages can be
 * leased.
 *
 * Private pages become poison, and what they hold is lost, when their range is unregistered,
 * its context closed, or their pool is detached or has trouble; in an exclusive range, when
 * its memory is not left alone.
 *
 * Errors: EINVAL (alignment, overflow, @timeout_ms without WAIT or the reverse, no longer
 * private anonymous memory), ENOENT (in no range), EFAULT (nothing is mapped there, or it
 * cannot be faulted in), ENODATA, ENODEV (the range has no pool, or that is being
 * detached), ESTALE (an exclusive range that was not left alone), EBUSY (see @cause:
 * somebody holds a page, or it is leased, or shared by fork, or it changed all the time;
 * if WAIT is given, until the end), EHWPOISON (a page is poisoned), ENOSPC (no slot left),
 * EDQUOT (the user's quota), EIO (the device failed), ENOMEM, ESRCH, EINTR, EOPNOTSUPP.
 */
struct uffdvram_convert {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u32 timeout_ms;
	__u32 cause;
	__u64 bad_addr;
};
#define UFFDVRAM_CONVERT		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_CONVERT)

/** UFFDVRAM_CONVERT_PRIVATE - only the device may touch them; without it: everybody. */
#define UFFDVRAM_CONVERT_PRIVATE	(1U << 0)
/** UFFDVRAM_CONVERT_WAIT - try again instead of EBUSY, for @timeout_ms. */
#define UFFDVRAM_CONVERT_WAIT		(1U << 1)

#endif /* _UAPI_LINUX_UFFDVRAM_CONVERT_H */
