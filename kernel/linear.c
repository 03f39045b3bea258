// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linear ranges: before pages can go to their own slots, these must be free, and
 * the pages not elsewhere in VRAM. Both are brought home first: pages of the
 * range that are astray, and strangers in its window, which came there before the
 * range did, or have become strangers by fork or mremap.
 */
#include <linux/mutex.h>

#include "evict.h"
#include "linear.h"
#include "lock.h"
#include "step.h"

/* Brings pages of the step home that live in others' slots. */
static int linear_recall(struct uffdvram_migrate_step *s)
{
	DECLARE_BITMAP(astray, UFFDVRAM_STEP_PAGES);
	unsigned int first, last, npages = s->npages;
	unsigned long start = s->start, addr, end;
	int ret;

	/* Each run of them moves as a step of its own, or several. */
	bitmap_copy(astray, s->astray, UFFDVRAM_STEP_PAGES);
	for_each_set_bitrange(first, last, astray, npages) {
		addr = start + ((unsigned long)first << PAGE_SHIFT);
		end = start + ((unsigned long)last << PAGE_SHIFT);
		for (; addr < end; addr += (unsigned long)ret << PAGE_SHIFT) {
			ret = uffdvram_migrate_out(s, s->mm, addr, end);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

/**
 * uffdvram_linear_clear() - make room for a piece of a linear range
 * @s: working memory
 * @mm: address space
 * @to: where to
 * @start: first byte
 * @end: first byte after it
 *
 * As far as the next step goes. What cannot be cleared stays: the pages that
 * want those slots are told so when they move. Takes mmap_lock of @mm and of
 * others, one after the other.
 *
 * Return: 0; -EINTR, -ENOMEM.
 */
int uffdvram_linear_clear(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			  const struct uffdvram_migrate_to *to,
			  unsigned long start, unsigned long end)
{
	unsigned long slot, n;
	int ret;

	s->mm = mm;
	s->to = *to;
	if (uffdvram_step_lock(s, false))
		return -EINTR;
	if (!uffdvram_step_begin(s, start, end)) {
		uffdvram_step_unlock(s);
		return 0;
	}
	uffdvram_step_find_astray(s);
	uffdvram_step_unlock(s);

	slot = uffdvram_step_slot(s, 0);
	n = s->npages;
	ret = linear_recall(s);
	if (ret || uffdvram_slots_taken(&to->v->slots, slot, n) ==
		   bitmap_weight(s->placed, n))
		return ret;
	return uffdvram_evict_window(to->v, slot, n, s->placed);
}
