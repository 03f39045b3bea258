// SPDX-License-Identifier: GPL-2.0-only
/* Moves pages of an address space home; migrate_in.c tells how a step goes. */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/pagemap.h>

#include "inject.h"
#include "latency.h"
#include "lock.h"
#include "stat.h"
#include "step.h"

static u8 fate_out(const struct uffdvram_migrate_step *s, struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_MARKER:
		return UFFDVRAM_STAY_MISSING;
	case UFFDVRAM_ENTRY_VRAM:
		return UFFDVRAM_FATE_WANTED;
	case UFFDVRAM_ENTRY_SWAP:
		return UFFDVRAM_STAY_SWAPPED;
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STAY_POISONED;
	case UFFDVRAM_ENTRY_MOVING:
		return UFFDVRAM_FATE_OPEN;
	default:
		return UFFDVRAM_DID_NOTHING;
	}
}

/*
 * Whether the step is to move as one folio. What is shared with another process after a
 * fork is not: the core takes such a folio apart in all of them.
 */
static bool out_may_be_huge(const struct uffdvram_migrate_step *s)
{
	return uffdvram_step_is_whole(s) && s->look[0].huge && s->look[0].alone;
}

static bool out_alloc_huge(struct uffdvram_migrate_step *s)
{
	if (!s->folio)
		s->folio = may_fail(alloc, NULL,
				    uffdvram_huge_folio_alloc(GFP_TRANSHUGE | __GFP_NORETRY,
							      s->vma, s->start));
	if (!s->folio)
		uffdvram_stat_inc(folios_small);
	return s->folio;
}

/* A destination for each page that is wanted; before any page is locked. */
static void out_alloc(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (s->fate[i] != UFFDVRAM_FATE_WANTED || s->pages[i])
			continue;
		s->pages[i] = may_fail(alloc, NULL,
				       alloc_page_vma(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
						      __GFP_RETRY_MAYFAIL, s->vma,
						      uffdvram_step_addr(s, i)));
		if (!s->pages[i])
			s->fate[i] = UFFDVRAM_STAY_NO_MEMORY;
	}
}

static void out_free(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (s->pages[i])
			__free_page(s->pages[i]);
		s->pages[i] = NULL;
	}
	if (s->folio)
		folio_put(s->folio);
	s->folio = NULL;
}

/* Pages of one step may live in several pools: copies the run of one. */
static void out_copy_run(struct uffdvram_migrate_step *s,
			 struct uffdvram_vram *v, unsigned int n)
{
	struct uffdvram_backend *b = &v->backend;
	unsigned int k, i;

	if (!n || !uffdvram_backend_to_ram(b, s->xfer, n))
		return;
	for (k = 0; k < n; k++) {
		if (!s->xfer[k].err)
			continue;
		i = s->xfer_page[k];
		uffdvram_vram_page_lost(migrate_pfn_to_page(s->src[i]), s->mm,
					uffdvram_step_addr(s, i));
		s->pages[i] = migrate_pfn_to_page(s->dst[i]);
		unlock_page(s->pages[i]);
		s->dst[i] = 0;
		s->fate[i] = UFFDVRAM_STAY_COPY_FAILED;
	}
}

static void out_copy(struct uffdvram_migrate_step *s,
		     const struct migrate_vma *args)
{
	unsigned int i, n = 0, first = uffdvram_step_first(s, args);
	struct uffdvram_vram *v = NULL, *last = NULL;
	unsigned long slot;
	struct page *page;

	for (i = first; i < first + args->npages; i++) {
		page = migrate_pfn_to_page(s->src[i]);
		if (!page || !(s->src[i] & MIGRATE_PFN_MIGRATE) ||
		    (s->src[i] & MIGRATE_PFN_COMPOUND) ||
		    s->fate[i] != UFFDVRAM_FATE_WANTED)
			continue;
		v = uffdvram_vram_of(page);
		slot = uffdvram_slot_of(v, page);
		if (uffdvram_slot_is_lost(&v->slots, slot))
			continue;
		/* Somebody copies it: in a fault, or the COPY ioctl. */
		if (!uffdvram_slot_gate_enter(&v->slots, slot))
			continue;
		__set_bit(i, s->gated);
		if (last && v != last) {
			out_copy_run(s, last, n);
			n = 0;
		}
		last = v;
		lock_page(s->pages[i]);
		s->dst[i] = migrate_pfn(page_to_pfn(s->pages[i]));
		s->xfer[n].off = uffdvram_slot_off(slot);
		s->xfer[n].ram = s->pages[i];
		s->xfer[n].order = 0;
		s->xfer_page[n++] = i;
		/* The core owns it from here on, whatever happens. */
		s->pages[i] = NULL;
	}
	out_copy_run(s, last, n);
}

/* All of the step at once; where that fails, a round for single pages finds out which. */
static void out_copy_huge(struct uffdvram_migrate_step *s)
{
	struct page *page = migrate_pfn_to_page(s->src[0]);
	struct uffdvram_xfer xfer = { .order = UFFDVRAM_BLOCK_ORDER };
	struct uffdvram_vram *v;
	unsigned long slot;

	if (!page || !(s->src[0] & MIGRATE_PFN_MIGRATE) ||
	    !(s->src[0] & MIGRATE_PFN_COMPOUND))
		return;
	v = uffdvram_vram_of(page);
	slot = uffdvram_slot_of(v, page);
	if (!uffdvram_slot_gate_enter(&v->slots, slot))
		return;
	__set_bit(0, s->gated);
	xfer.off = uffdvram_slot_off(slot);
	xfer.ram = folio_page(s->folio, 0);
	if (uffdvram_backend_to_ram(&v->backend, &xfer, 1)) {
		s->small = true;
		return;
	}
	folio_lock(s->folio);
	s->dst[0] = migrate_pfn(folio_pfn(s->folio)) | MIGRATE_PFN_COMPOUND;
	/* As with single pages. */
	s->folio = NULL;
}

/* While the core still holds the device pages: their slots are not reused. */
static void out_leave_gates(struct uffdvram_migrate_step *s)
{
	struct uffdvram_vram *v;
	struct page *page;
	unsigned int i;

	for_each_set_bit(i, s->gated, s->npages) {
		page = migrate_pfn_to_page(s->src[i]);
		v = uffdvram_vram_of(page);
		uffdvram_slot_gate_leave(&v->slots, uffdvram_slot_of(v, page));
	}
	bitmap_zero(s->gated, UFFDVRAM_STEP_PAGES);
}

static void out_account(struct uffdvram_migrate_step *s,
			const struct migrate_vma *args)
{
	unsigned int i, out = 0, first = uffdvram_step_first(s, args);

	for (i = first; i < first + args->npages; i++) {
		if (!s->dst[i] || !(s->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		s->fate[i] = UFFDVRAM_DID_MOVE;
		out++;
	}
	uffdvram_stat_add(pages_out, out);
}

static void out_account_huge(struct uffdvram_migrate_step *s)
{
	if (!s->dst[0] || !(s->src[0] & MIGRATE_PFN_MIGRATE))
		return;
	uffdvram_step_settle_all(s, UFFDVRAM_DID_MOVE);
	uffdvram_stat_add(pages_out, s->npages);
	uffdvram_stat_inc(folios_out);
}

static void out_round(struct uffdvram_migrate_step *s)
{
	unsigned long flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
	struct migrate_vma args;
	unsigned int from = 0;

	s->huge = out_may_be_huge(s) && out_alloc_huge(s);
	if (s->huge)
		flags |= MIGRATE_VMA_SELECT_COMPOUND;
	else
		out_alloc(s);
	while (uffdvram_step_next_piece(s, &from, &args, flags)) {
		if (may_fail(core, -EINVAL, migrate_vma_setup(&args)))
			break;
		if (s->huge)
			out_copy_huge(s);
		else
			out_copy(s, &args);
		migrate_vma_pages(&args);
		out_leave_gates(s);
		if (s->huge)
			out_account_huge(s);
		else
			out_account(s, &args);
		migrate_vma_finalize(&args);
	}
}

static void out_rounds(struct uffdvram_migrate_step *s)
{
	unsigned int round;

	for (round = 0; round < UFFDVRAM_STEP_ROUNDS; round++) {
		uffdvram_step_look(s, fate_out);
		if (uffdvram_migrate_count(s, UFFDVRAM_FATE_WANTED))
			out_round(s);
		if (!uffdvram_step_reopen(s))
			break;
	}
	uffdvram_step_give_up(s);
	out_free(s);
}

/**
 * uffdvram_migrate_out() - bring a piece home, as far as one step goes
 * @s: working memory; afterwards, what became of each page
 * @mm: address space, the caller holds a reference on its users
 * @start: first byte
 * @end: first byte after the piece
 *
 * Takes mmap_lock for reading, killably. Sleeps. A page that cannot be copied
 * becomes poison.
 *
 * Return: pages settled, at least one; -EINTR when killed.
 */
int uffdvram_migrate_out(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			 unsigned long start, unsigned long end)
{
	u64 since = uffdvram_latency_now();

	s->mm = mm;
	if (uffdvram_step_lock(s, false))
		return -EINTR;
	if (uffdvram_step_begin(s, start, end))
		out_rounds(s);
	uffdvram_step_unlock(s);
	uffdvram_step_tell(s, true, since);
	return s->npages;
}
