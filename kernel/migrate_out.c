// SPDX-License-Identifier: GPL-2.0-only
/* Moves pages of an address space home; migrate_in.c tells how a step goes. */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/pagemap.h>

#include "inject.h"
#include "latency.h"
#include "lease.h"
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
		if (look.private)
			return UFFDVRAM_STAY_PRIVATE;
		return look.leased ? UFFDVRAM_STAY_LEASED : UFFDVRAM_FATE_WANTED;
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
	gfp_t gfp = GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	struct page **ram = s->pages;
	u8 *fate = s->fate;
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (fate[i] != UFFDVRAM_FATE_WANTED || ram[i])
			continue;
		ram[i] = may_fail(alloc, NULL,
				  alloc_page_vma(gfp, s->vma, uffdvram_step_addr(s, i)));
		if (!ram[i])
			fate[i] = UFFDVRAM_STAY_NO_MEMORY;
	}
}

static void out_free(struct uffdvram_migrate_step *s)
{
	struct page **ram, **end = s->pages + s->npages;

	for (ram = s->pages; ram < end; ram++) {
		if (*ram)
			__free_page(*ram);
		*ram = NULL;
	}
	if (s->folio)
		folio_put(s->folio);
	s->folio = NULL;
}

/* Pages of one step may live in several pools: copies the run of one. */
static void out_copy_run(struct uffdvram_migrate_step *s,
			 const struct migrate_vma *args, struct uffdvram_vram *v,
			 unsigned int n)
{
	unsigned int k = 0, i;

	if (!n || !uffdvram_backend_to_ram(&v->backend, s->xfer, n))
		return;
	for (i = uffdvram_step_first(s, args); k < n; i++) {
		if (migrate_pfn_to_page(s->dst[i]) != s->xfer[k].ram)
			continue;
		if (!s->xfer[k++].err)
			continue;
		uffdvram_vram_page_lost(migrate_pfn_to_page(s->src[i]), s->mm,
					uffdvram_step_addr(s, i));
		s->pages[i] = migrate_pfn_to_page(s->dst[i]);
		unlock_page(s->pages[i]);
		s->dst[i] = 0;
		s->fate[i] = UFFDVRAM_STAY_COPY_FAILED;
	}
}

/* Whether the device may have written the page, and nothing tells of it yet. */
static bool out_unmarked(const struct uffdvram_migrate_step *s, struct uffdvram_vram *v,
			 unsigned long slot, unsigned int i)
{
	return (uffdvram_slot_state(&v->slots, slot) & UFFDVRAM_SLOT_WRITING) &&
	       !s->look[i].writing;
}

/*
 * The gate of a slot that is not as most are. False: somebody copies it, in a fault, or the
 * COPY ioctl; it is lost, or leased by now; or a lease that was not seen when the page was
 * looked at has come and gone.
 */
static noinline bool out_enter(const struct uffdvram_migrate_step *s, struct uffdvram_vram *v,
			       unsigned long slot, unsigned int i)
{
	if (!uffdvram_slot_gate_enter_good(&v->slots, slot))
		return false;
	if (!out_unmarked(s, v, slot, i))
		return true;
	uffdvram_slot_gate_leave(&v->slots, slot);
	return false;
}

/* Pages of revoked write leases, which are about to leave. */
static void out_mark(struct uffdvram_migrate_step *s)
{
	struct uffdvram_look look;
	unsigned long addr;
	struct page *page;
	unsigned int i;

	for (i = 0; s->writing && i < s->npages; i++) {
		if (!s->look[i].writing || s->fate[i] != UFFDVRAM_FATE_WANTED)
			continue;
		addr = uffdvram_step_addr(s, i);
		uffdvram_walk(s->vma, addr, addr + PAGE_SIZE, &look, &page);
		if (!page)
			continue;
		uffdvram_lease_leaves(s->vma, addr, page);
		put_page(page);
	}
}

static void out_copy(struct uffdvram_migrate_step *s,
		     const struct migrate_vma *args)
{
	unsigned int first = uffdvram_step_first(s, args);
	struct uffdvram_vram *v, *last = NULL;
	struct page **ram = s->pages + first, *page;
	struct uffdvram_xfer *x = s->xfer;
	const u8 *fate = s->fate + first;
	unsigned long slot, i;

	for (i = 0; i < args->npages; i++) {
		page = migrate_pfn_to_page(args->src[i]);
		if (!page || !(args->src[i] & MIGRATE_PFN_MIGRATE) ||
		    (args->src[i] & MIGRATE_PFN_COMPOUND) || fate[i] != UFFDVRAM_FATE_WANTED)
			continue;
		v = uffdvram_vram_of(page);
		slot = uffdvram_slot_of(v, page);
		if (!uffdvram_slot_gate_enter_plain(&v->slots, slot) &&
		    !out_enter(s, v, slot, first + i))
			continue;
		__set_bit(first + i, s->gated);
		if (v != last) {
			out_copy_run(s, args, last, x - s->xfer);
			x = s->xfer;
			last = v;
		}
		lock_page(ram[i]);
		args->dst[i] = migrate_pfn(page_to_pfn(ram[i]));
		x->off = uffdvram_slot_off(slot);
		x->ram = ram[i];
		x->order = 0;
		x++;
		/* The core owns it from here on, whatever happens. */
		ram[i] = NULL;
	}
	out_copy_run(s, args, last, x - s->xfer);
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
	/* Since all of it was looked at: the next round sees which pages, and marks. */
	if (uffdvram_slots_any_held(&v->slots, slot)) {
		s->small = true;
		return;
	}
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

/*
 * While the core still holds the device page: its slot is not reused. What has moved keeps
 * its gate: nobody copies it any more, and it opens when the slot is given back.
 */
static void out_leave_gate(struct uffdvram_migrate_step *s, unsigned int i)
{
	struct page *page = migrate_pfn_to_page(s->src[i]);
	struct uffdvram_vram *v;

	if (!test_bit(i, s->gated))
		return;
	v = uffdvram_vram_of(page);
	uffdvram_slot_gate_leave(&v->slots, uffdvram_slot_of(v, page));
}

static void out_account(struct uffdvram_migrate_step *s,
			const struct migrate_vma *args)
{
	unsigned int first = uffdvram_step_first(s, args);
	u8 *fate = s->fate + first;
	unsigned long i, out = 0;

	for (i = 0; i < args->npages; i++) {
		if (!args->dst[i] || !(args->src[i] & MIGRATE_PFN_MIGRATE)) {
			out_leave_gate(s, first + i);
			continue;
		}
		fate[i] = UFFDVRAM_DID_MOVE;
		out++;
	}
	bitmap_zero(s->gated, UFFDVRAM_STEP_PAGES);
	uffdvram_stat_add(pages_out, out);
}

static void out_account_huge(struct uffdvram_migrate_step *s)
{
	if (!s->dst[0] || !(s->src[0] & MIGRATE_PFN_MIGRATE)) {
		out_leave_gate(s, 0);
	} else {
		uffdvram_step_settle_all(s, UFFDVRAM_DID_MOVE);
		uffdvram_stat_add(pages_out, s->npages);
		uffdvram_stat_inc(folios_out);
	}
	bitmap_zero(s->gated, UFFDVRAM_STEP_PAGES);
}

static void out_round(struct uffdvram_migrate_step *s)
{
	unsigned long flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
	struct migrate_vma args;
	unsigned int from = 0;

	out_mark(s);
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
		if (s->wanted)
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
