/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_CONTEXT_H
#define _UFFDVRAM_CONTEXT_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/maple_tree.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

struct uffdvram_ucmd;

/**
 * struct uffdvram_mm - an address space that contexts act on
 * @mm: held by mmgrab(), not by its users: exit and exec go on without us
 * @ref: contexts and ranges
 * @lock: rank 3; protects @ranges and @nr_ranges
 * @ranges: struct uffdvram_range by address, of all contexts
 * @nr_ranges: how many
 */
struct uffdvram_mm {
	struct mm_struct *mm;
	struct kref ref;
	struct mutex lock;	/* rank 3 */
	struct maple_tree ranges;
	unsigned int nr_ranges;
};

/**
 * struct uffdvram_ctx - one open file
 * @umm: what it acts on
 * @ranges: struct uffdvram_range by number; NULL while one is being made
 */
struct uffdvram_ctx {
	struct uffdvram_mm *umm;
	struct xarray ranges;
};

void uffdvram_mm_put(struct uffdvram_mm *umm);

struct uffdvram_ctx *uffdvram_ctx_new(struct mm_struct *mm);
void uffdvram_ctx_free(struct uffdvram_ctx *ctx);
struct mm_struct *uffdvram_ctx_mmget(struct uffdvram_ctx *ctx);
struct mm_struct *uffdvram_ctx_mm_of_pidfd(int pidfd);

#endif /* _UFFDVRAM_CONTEXT_H */
