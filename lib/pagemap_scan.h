/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ioctl PAGEMAP_SCAN, where the headers of older distributions lack it. */
#ifndef LIBUFFDVRAM_PAGEMAP_SCAN_H
#define LIBUFFDVRAM_PAGEMAP_SCAN_H

#include <linux/fs.h>

#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN		(1 << 1)
#define PAGE_IS_PRESENT		(1 << 3)
#define PAGE_IS_SWAPPED		(1 << 4)
#define PM_SCAN_WP_MATCHING	(1 << 0)
#define PM_SCAN_CHECK_WPASYNC	(1 << 1)
struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};
#endif

#endif /* LIBUFFDVRAM_PAGEMAP_SCAN_H */
