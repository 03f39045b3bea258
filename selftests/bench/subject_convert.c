// SPDX-License-Identifier: GPL-2.0-only
/* Memory that becomes private, and is shared again: with its contents, or without any. */
#include <errno.h>
#include <sys/mman.h>

#include <uffdvram/convert.h>

#include "bench.h"

/* More than any batch of the LRU lists needs. */
#define LIMIT_MS	10000

void ours_convert(char *mem, size_t len)
{
	(void)mem;
	must(uffdvram_range_convert(ours_range, 0, len,
				    UFFDVRAM_CONVERT_PRIVATE | UFFDVRAM_CONVERT_WAIT, LIMIT_MS,
				    NULL), "make it private");
	must(uffdvram_range_convert(ours_range, 0, len, 0, 0, NULL), "share it again");
}

/*
 * Pages that are given up, and new ones, which are empty: the host's part of what a VMM does
 * without us.
 */
void plain_convert(char *mem, size_t len)
{
	size_t i;

	must(madvise(mem, len, MADV_DONTNEED) ? -errno : 0, "MADV_DONTNEED");
	for (i = 0; i < len; i += PAGE)
		*(volatile char *)(mem + i) = 1;
}
