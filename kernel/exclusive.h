/* SPDX-License-Identifier: GPL-2.0-only */
/* Exclusive ranges: what is private there stays at its place, or is lost. */
#ifndef _UFFDVRAM_EXCLUSIVE_H
#define _UFFDVRAM_EXCLUSIVE_H

#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

struct uffdvram_range;

/**
 * struct uffdvram_exclusive - what an exclusive range has besides
 * @rcu: freed after a grace period, as the range: notifiers read it without locks
 * @range: the range
 * @pending: @work is queued, and has a reference on the range
 * @work: puts marks of poison where private pages were
 * @ask: a bit for each 2 MiB of the address space in which pages may have been discarded
 * @kept: a bit for each page: it is private, or should be. Changed with mmap_lock held:
 *	for writing, or by who unmaps
 */
struct uffdvram_exclusive {
	struct rcu_head rcu;
	struct uffdvram_range *range;
	atomic_t pending;
	struct work_struct work;
	unsigned long *ask;
	unsigned long kept[];
};

struct uffdvram_exclusive *uffdvram_exclusive_new(struct uffdvram_range *r);
void uffdvram_exclusive_free(struct uffdvram_exclusive *x);

bool uffdvram_exclusive_fits(const struct vm_area_struct *vma);
int uffdvram_exclusive_check(const struct uffdvram_range *r,
			     const struct vm_area_struct *vma);
bool uffdvram_exclusive_keeps(const struct uffdvram_range *r, unsigned long addr);
void uffdvram_exclusive_set(struct uffdvram_range *r, unsigned long start,
			    unsigned long end, bool private);

bool uffdvram_exclusive_protected(const struct uffdvram_range *r,
				  unsigned long start, unsigned long end);
void uffdvram_exclusive_cleared(struct uffdvram_range *r, unsigned long start,
				unsigned long end);
void uffdvram_exclusive_breach(struct uffdvram_range *r, unsigned long start,
			       unsigned long end, u32 cause);

#endif /* _UFFDVRAM_EXCLUSIVE_H */
