/* SPDX-License-Identifier: GPL-2.0-only */
/* What moving in and moving out have in common: see migrate_in.c. */
#ifndef _UFFDVRAM_STEP_H
#define _UFFDVRAM_STEP_H

#include <linux/migrate.h>
#include <linux/mm.h>

#include <linux/uffdvram.h>

#include "migrate.h"
#include "vram.h"
#include "walk.h"

#define UFFDVRAM_STEP_ROUNDS	4
#define UFFDVRAM_STEP_PAGES	UFFDVRAM_WALK_PAGES

/* Not decided yet; below UFFDVRAM_DID_MOVE, above all UFFDVRAM_STAY_*. */
#define UFFDVRAM_FATE_WANTED		0x80	/* move it */
#define UFFDVRAM_FATE_WANTED_HOLE	0x81	/* fill it */
#define UFFDVRAM_FATE_OPEN		0x82	/* look at it (again) */

/**
 * struct uffdvram_migrate_step - one step, and its working memory
 * @mm: address space
 * @vma: the VMA that holds the piece, while mmap_lock is held
 * @start: first byte
 * @npages: pages
 * @write: mmap_lock is held for writing
 * @huge: this round moves all of it as one folio of 2 MiB
 * @small: no round may do so any more
 * @to: in: where to
 * @fate: what became, or shall become, of each page
 * @look: how it was last seen
 * @wanted: how many were then to move
 * @apart: then, a small entry maps part of a large folio
 * @shared: then, a page is shared by fork
 * @ksm: then, a page is merged with others
 * @writing: then, a page is in a write lease that has not ended
 * @src: for the core
 * @dst: for the core
 * @slots: in: the slot taken for each page, or UFFDVRAM_NO_SLOT
 * @astray: in, linear: pages in VRAM, but not in their own slots
 * @placed: in, linear: pages in their own slots
 * @folio: out: the destination of 2 MiB; NULL once used
 * @pages: out: destinations; NULL once used. In: pages in VRAM, for a moment
 * @gated: out: pages whose slots' gates we are in
 * @xfer: the copies, in the order of the pages
 */
struct uffdvram_migrate_step {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned int npages;
	bool write;
	bool huge;
	bool small;
	struct uffdvram_migrate_to to;
	u8 fate[UFFDVRAM_STEP_PAGES];
	struct uffdvram_look look[UFFDVRAM_STEP_PAGES];
	unsigned int wanted;
	bool apart;
	bool shared;
	bool ksm;
	bool writing;
	unsigned long src[UFFDVRAM_STEP_PAGES];
	unsigned long dst[UFFDVRAM_STEP_PAGES];
	u32 slots[UFFDVRAM_STEP_PAGES];
	DECLARE_BITMAP(astray, UFFDVRAM_STEP_PAGES);
	DECLARE_BITMAP(placed, UFFDVRAM_STEP_PAGES);
	struct folio *folio;
	struct page *pages[UFFDVRAM_STEP_PAGES];
	DECLARE_BITMAP(gated, UFFDVRAM_STEP_PAGES);
	struct uffdvram_xfer xfer[UFFDVRAM_STEP_PAGES];
};

/* From how a page looks to what shall become of it. */
typedef u8 (*uffdvram_step_judge)(const struct uffdvram_migrate_step *s,
				  struct uffdvram_look look);

int uffdvram_step_lock(struct uffdvram_migrate_step *s, bool write);
void uffdvram_step_unlock(struct uffdvram_migrate_step *s);
bool uffdvram_step_begin(struct uffdvram_migrate_step *s, unsigned long start,
			 unsigned long end);
bool uffdvram_step_needs_lock(const struct uffdvram_migrate_step *s);
int uffdvram_step_lock_out(struct uffdvram_migrate_step *s, unsigned long start,
			   unsigned long end, bool *usable);
void uffdvram_step_look(struct uffdvram_migrate_step *s,
			uffdvram_step_judge judge);
bool uffdvram_step_next_piece(struct uffdvram_migrate_step *s,
			      unsigned int *from, struct migrate_vma *args,
			      unsigned long flags);
bool uffdvram_step_is_whole(const struct uffdvram_migrate_step *s);
void uffdvram_step_settle_all(struct uffdvram_migrate_step *s, u8 fate);
void uffdvram_step_find_astray(struct uffdvram_migrate_step *s);
bool uffdvram_step_reopen(struct uffdvram_migrate_step *s);
void uffdvram_step_give_up(struct uffdvram_migrate_step *s);
void uffdvram_step_tell(const struct uffdvram_migrate_step *s, bool out, u64 since);

static inline bool uffdvram_fate_wanted(u8 fate)
{
	return fate == UFFDVRAM_FATE_WANTED || fate == UFFDVRAM_FATE_WANTED_HOLE;
}

static inline unsigned long
uffdvram_step_addr(const struct uffdvram_migrate_step *s, unsigned int i)
{
	return s->start + ((unsigned long)i << PAGE_SHIFT);
}

/* Linear: the slot of page @i. */
static inline unsigned long
uffdvram_step_slot(const struct uffdvram_migrate_step *s, unsigned int i)
{
	return s->to.first +
	       ((uffdvram_step_addr(s, i) - s->to.base) >> PAGE_SHIFT);
}

/* Number of the first page of a piece. */
static inline unsigned int
uffdvram_step_first(const struct uffdvram_migrate_step *s,
		    const struct migrate_vma *args)
{
	return args->src - s->src;
}

#endif /* _UFFDVRAM_STEP_H */
