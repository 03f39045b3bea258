/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_UFFD_H
#define LIBUFFDVRAM_UFFD_H

#include <linux/userfaultfd.h>

#include "range.h"

/* What the headers of older distributions lack; the kernel that runs may have it. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW		_IO(0xAA, 0x00)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC		(1 << 15)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE		(1 << 16)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON		(1 << 14)
#define UFFDIO_POISON			_IOWR(UFFDIO, 0x08, struct uffdio_poison)
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#endif

/*
 * Whether a piece is made of pages of the range (-EINVAL), and the range is armed for
 * one of @modes (-ENOTCONN).
 */
int uffdvram_uffd_check(const struct uffdvram_range *range, uint64_t off, uint64_t len,
			uint32_t modes);

/*
 * Whether to try again after @err. EAGAIN without progress passes by itself, or not
 * before a message (fork, mremap, ...) was read, perhaps by our very caller: so
 * after some tries it is an error. Counts in @tries.
 */
bool uffdvram_uffd_retry(int err, unsigned int *tries);

#endif /* LIBUFFDVRAM_UFFD_H */
