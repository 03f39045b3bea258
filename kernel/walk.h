/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads page tables. Changes nothing but the marks of entries that do not let a
 * CPU through (uffdvram_walk_written()).
 */
#ifndef _UFFDVRAM_WALK_H
#define _UFFDVRAM_WALK_H

#include <linux/mm.h>

/* The most that one look covers: what one page table of PTEs maps. */
#define UFFDVRAM_WALK_PAGES	(PMD_SIZE / PAGE_SIZE)

/* enum uffdvram_entry - what a page table entry of anonymous memory says */
enum uffdvram_entry {
	UFFDVRAM_ENTRY_NONE,		/* a hole */
	UFFDVRAM_ENTRY_ZERO,		/* the zero page, 4 KiB or huge */
	UFFDVRAM_ENTRY_EXCLUSIVE,	/* an anonymous page, ours alone */
	UFFDVRAM_ENTRY_SHARED,		/* an anonymous page, shared by fork */
	UFFDVRAM_ENTRY_KSM,		/* merged with others */
	UFFDVRAM_ENTRY_PRESENT,		/* present, but no anonymous page */
	UFFDVRAM_ENTRY_SWAP,		/* swapped out */
	UFFDVRAM_ENTRY_MOVING,		/* migrating; or another driver's device page */
	UFFDVRAM_ENTRY_MARKER,		/* a marker for the fault handler: a hole too */
	UFFDVRAM_ENTRY_POISON,		/* poisoned */
	UFFDVRAM_ENTRY_VRAM,		/* one of our device pages */
	UFFDVRAM_ENTRY_LOST,		/* likewise, its data is lost */
};

/**
 * struct uffdvram_look - one page, as last seen
 * @entry: enum uffdvram_entry
 * @huge: mapped by an entry of 2 MiB
 * @large: present, and part of a large folio, whatever maps it
 * @pinned: present, and with more references than mappings account for
 * @alone: in VRAM, and ours alone
 * @guard: a marker, of a guard region
 */
struct uffdvram_look {
	u8 entry;
	bool huge : 1;
	bool large : 1;
	bool pinned : 1;
	bool alone : 1;
	bool guard : 1;
};

void uffdvram_walk(struct vm_area_struct *vma, unsigned long start,
		   unsigned long end, struct uffdvram_look *look,
		   struct page **pages);
void uffdvram_walk_written(struct vm_area_struct *vma, unsigned long start,
			   struct page *const *pages, unsigned int n);

bool uffdvram_walk_store(struct mm_struct *mm, unsigned long addr,
			 struct page *page, struct page *from);

bool uffdvram_vma_is_ours(const struct vm_area_struct *vma);

#endif /* _UFFDVRAM_WALK_H */
