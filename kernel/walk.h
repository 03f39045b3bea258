/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads page tables. Changes nothing but entries that do not let a CPU through, to
 * mark them (uffdvram_walk_written()), and holes, to poison them (uffdvram_walk_poison()).
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
 * @whole: no table of PTEs is below; so for all pages of this look
 * @large: present, and part of a large folio, whatever maps it
 * @alone: in VRAM, and ours alone; of small entries, where pages are asked for
 * @guard: a marker, of a guard region
 * @uffd: a page, which userfaultfd protects; or a marker in its place
 * @leased: in VRAM, and a lease keeps it there
 * @writing: in VRAM, and in a write lease that has not ended, revoked or not
 * @private: in VRAM, and only the device may touch it
 * @bits: all of that, to compare
 */
struct uffdvram_look {
	union {
		struct {
			u8 entry : 6;
			bool huge : 1;
			bool whole : 1;
			bool large : 1;
			bool alone : 1;
			bool guard : 1;
			bool uffd : 1;
			bool leased : 1;
			bool writing : 1;
			bool private : 1;
		};
		u16 bits;
	};
};

bool uffdvram_walk(struct vm_area_struct *vma, unsigned long start,
		   unsigned long end, struct uffdvram_look *look,
		   struct page **pages);
bool uffdvram_walk_briefly(struct vm_area_struct *vma, unsigned long start,
			   unsigned long end, struct uffdvram_look *look);
bool uffdvram_walk_pinned(struct vm_area_struct *vma, unsigned long addr);
unsigned int uffdvram_walk_poison(struct vm_area_struct *vma, unsigned long start,
				  unsigned int n);
void uffdvram_walk_written(struct vm_area_struct *vma, unsigned long start,
			   struct page *const *pages, unsigned int n);

bool uffdvram_walk_store(struct mm_struct *mm, unsigned long addr,
			 struct page *page, struct page *from);

bool uffdvram_vma_is_ours(const struct vm_area_struct *vma);

#endif /* _UFFDVRAM_WALK_H */
