// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves pages of an address space into VRAM and home.
 *
 * A step covers at most what one page table maps. It looks at the entries,
 * decides page by page, lets the core unmap the piece, copies, and lets the core
 * install what was copied. Whatever was not copied, or changed meanwhile, is
 * restored by the core as it was; a page that only changed is tried again, a few
 * times.
 *
 * Where a step is one entry of 2 MiB, or an empty one, it moves as one folio: the core
 * is asked for that (SELECT_COMPOUND), and a folio that it made ready so is never paired
 * with a small destination, nor the other way round. When something stands against that,
 * the next round moves single pages.
 *
 * Only pages that belong to this address space alone are moved in. Whether they
 * do must be seen in the page table before migrate_vma_setup(), which clears it.
 *
 * The core must not even look at a page that KSM merged: it replaces the entry
 * at hand, but finds it again by the reverse map, in which KSM's pages are
 * missing for as long as ksmd likes. The entry would stay a migration entry, and
 * whoever touches it would fault for ever. So the pieces given to the core leave
 * them out, and where KSM may merge at any time it is kept out by mmap_lock held
 * for writing.
 */
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/string.h>
#include <linux/userfaultfd_k.h>

#include "inject.h"
#include "latency.h"
#include "lock.h"
#include "stat.h"
#include "step.h"

/*
 * A hole may only be filled where nobody wants to know of it, and where no
 * write-protection would be lost with the zero page.
 */
static u8 fate_of_hole(const struct uffdvram_migrate_step *s)
{
	return s->to.populated || userfaultfd_armed(s->vma) ?
		UFFDVRAM_STAY_MISSING : UFFDVRAM_FATE_WANTED_HOLE;
}

static u8 fate_in(const struct uffdvram_migrate_step *s, struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_ZERO:
		return fate_of_hole(s);
	case UFFDVRAM_ENTRY_EXCLUSIVE:
		return UFFDVRAM_FATE_WANTED;
	case UFFDVRAM_ENTRY_SHARED:
	case UFFDVRAM_ENTRY_KSM:
		return UFFDVRAM_STAY_SHARED;
	case UFFDVRAM_ENTRY_PRESENT:
		return UFFDVRAM_STAY_NOT_ANON;
	case UFFDVRAM_ENTRY_SWAP:
		return UFFDVRAM_STAY_SWAPPED;
	case UFFDVRAM_ENTRY_MARKER:
		return UFFDVRAM_STAY_MISSING;
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STAY_POISONED;
	case UFFDVRAM_ENTRY_VRAM:
		return UFFDVRAM_DID_NOTHING;
	case UFFDVRAM_ENTRY_MOVING:
		break;
	}
	return UFFDVRAM_FATE_OPEN;
}

/* Whether a page may be moved in, now that the core has unmapped it. */
static __always_inline bool in_still_good(unsigned long src, u8 fate, bool huge)
{
	struct page *page = migrate_pfn_to_page(src);

	if (!(src & MIGRATE_PFN_MIGRATE) || !!(src & MIGRATE_PFN_COMPOUND) != huge)
		return false;
	if (fate == UFFDVRAM_FATE_WANTED_HOLE)
		return !page;
	/* KSM may have merged it since we looked; its pages never move. */
	return fate == UFFDVRAM_FATE_WANTED && page && !folio_test_ksm(page_folio(page));
}

/* Its lock keeps the page where it is, in the swap cache or not. */
static __always_inline bool in_may_leave_swap_cache(unsigned long src)
{
	struct page *page = migrate_pfn_to_page(src);

	return UFFDVRAM_SWAP_CACHE_MOVES || !page ||
	       !folio_test_swapcache(page_folio(page));
}

/* The slot, or block, becomes a folio, for the core's list. */
static __always_inline unsigned long in_use_slot(struct uffdvram_vram *v, u32 slot,
						 unsigned int order)
{
	unsigned long pfn = v->first_pfn + slot;

	uffdvram_device_folio_init(pfn_to_page(pfn), &v->pgmap, order);
	return migrate_pfn(pfn) | (order ? MIGRATE_PFN_COMPOUND : 0);
}

static void in_drop_dst(struct uffdvram_migrate_step *s, unsigned int i)
{
	struct page *page = migrate_pfn_to_page(s->dst[i]);

	s->dst[i] = 0;
	unlock_page(page);
	put_page(page);
}

/* So many pages were not copied. */
static void in_drop_run(struct uffdvram_migrate_step *s, unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = first; i < first + n; i++) {
		in_drop_dst(s, i);
		s->fate[i] = UFFDVRAM_STAY_COPY_FAILED;
	}
}

/* Clears what shall fill holes, runs of slots at once. */
static void in_clear(struct uffdvram_migrate_step *s, const struct migrate_vma *args)
{
	struct uffdvram_vram *v = s->to.v;
	const u8 *fate = s->fate + uffdvram_step_first(s, args);
	unsigned long i, n, slot;

	for (i = 0; i < args->npages; i += n) {
		n = 1;
		if (fate[i] != UFFDVRAM_FATE_WANTED_HOLE || !args->dst[i])
			continue;
		slot = uffdvram_slot_of(v, migrate_pfn_to_page(args->dst[i]));
		while (i + n < args->npages && fate[i + n] == UFFDVRAM_FATE_WANTED_HOLE &&
		       args->dst[i + n] == args->dst[i] + (n << MIGRATE_PFN_SHIFT))
			n++;
		if (uffdvram_backend_clear(&v->backend, uffdvram_slot_off(slot), n))
			in_drop_run(s, args->dst + i - s->dst, n);
	}
}

static void in_copy_list(struct uffdvram_migrate_step *s,
			 const struct migrate_vma *args, unsigned int n)
{
	unsigned int i, k;

	if (!n || !uffdvram_backend_to_vram(&s->to.v->backend, s->xfer, n))
		return;
	for (i = 0, k = 0; k < n; i++) {
		if (migrate_pfn_to_page(args->src[i]) != s->xfer[k].ram)
			continue;
		if (s->xfer[k++].err)
			in_drop_run(s, uffdvram_step_first(s, args) + i, 1);
	}
}

/*
 * Fills slots for all pages that are still wanted. Not inline, and by pointers: in the
 * loop, the compiler has registers then, and no bounds to check.
 */
static noinline void in_copy(struct uffdvram_migrate_step *s,
			     const struct migrate_vma *args)
{
	unsigned int first = uffdvram_step_first(s, args);
	const unsigned long *src = args->src, *end = src + args->npages;
	unsigned long *dst = args->dst;
	u8 *fate = s->fate + first;
	u32 *slot = s->slots + first;
	struct uffdvram_vram *v = s->to.v;
	struct uffdvram_xfer *x = s->xfer;
	bool holes = false;

	for (; src < end; src++, dst++, fate++, slot++) {
		if (!in_still_good(*src, *fate, false))
			continue;
		if (!in_may_leave_swap_cache(*src)) {
			*fate = UFFDVRAM_STAY_SWAPPED;
			continue;
		}
		*dst = in_use_slot(v, *slot, 0);
		if (*fate == UFFDVRAM_FATE_WANTED) {
			x->off = uffdvram_slot_off(*slot);
			x->ram = migrate_pfn_to_page(*src);
			x->order = 0;
			x++;
		} else {
			holes = true;
		}
		*slot = UFFDVRAM_NO_SLOT;
	}
	if (holes)
		in_clear(s, args);
	in_copy_list(s, args, x - s->xfer);
}

/* Fills a block. What cannot be copied so is left to a round for single pages. */
static void in_copy_huge(struct uffdvram_migrate_step *s)
{
	struct uffdvram_backend *b = &s->to.v->backend;
	struct uffdvram_xfer xfer = { .order = UFFDVRAM_BLOCK_ORDER };
	bool failed;

	if (!in_still_good(s->src[0], s->fate[0], true))
		return;
	s->dst[0] = in_use_slot(s->to.v, s->slots[0], UFFDVRAM_BLOCK_ORDER);
	xfer.off = uffdvram_slot_off(s->slots[0]);
	s->slots[0] = UFFDVRAM_NO_SLOT;
	xfer.ram = migrate_pfn_to_page(s->src[0]);
	if (xfer.ram)
		failed = uffdvram_backend_to_vram(b, &xfer, 1);
	else
		failed = uffdvram_backend_clear(b, xfer.off, UFFDVRAM_BLOCK_SLOTS);
	if (failed) {
		in_drop_dst(s, 0);
		s->small = true;
	}
}

/*
 * The core puts a page that fills a hole behind an entry that may be written to
 * later without a fault. Who tracks soft-dirty pages would never see that, so the
 * page is marked at once, as it is when a fault fills a hole. It is still locked:
 * nobody takes it home before.
 */
static void in_mark_new(struct uffdvram_migrate_step *s,
			const struct migrate_vma *args)
{
	unsigned int i, first = uffdvram_step_first(s, args), n = 0;

	if (!IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) || (s->vma->vm_flags & VM_SOFTDIRTY))
		return;
	for (i = first; i < first + args->npages; i++) {
		if (s->fate[i] != UFFDVRAM_FATE_WANTED_HOLE || !s->dst[i])
			continue;
		s->pages[i] = migrate_pfn_to_page(s->dst[i]);
		n++;
	}
	if (n)
		uffdvram_walk_written(s->vma, args->start, s->pages + first,
				      args->npages);
	memset(s->pages + first, 0, args->npages * sizeof(*s->pages));
}

/* Counts what the core has really installed. */
static void in_account(struct uffdvram_migrate_step *s,
		       const struct migrate_vma *args)
{
	u8 *fate = s->fate + uffdvram_step_first(s, args);
	const unsigned long *src = args->src, *dst = args->dst;
	unsigned long i, moved = 0, placed = 0;

	for (i = 0; i < args->npages; i++) {
		if (!dst[i] || !(src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		placed += fate[i] == UFFDVRAM_FATE_WANTED_HOLE;
		moved++;
		fate[i] = UFFDVRAM_DID_MOVE;
	}
	uffdvram_stat_add(pages_in, moved - placed);
	uffdvram_stat_add(pages_placed, placed);
}

static void in_account_huge(struct uffdvram_migrate_step *s)
{
	bool hole = s->fate[0] == UFFDVRAM_FATE_WANTED_HOLE;

	if (!s->dst[0] || !(s->src[0] & MIGRATE_PFN_MIGRATE)) {
		/* The host, or the memory cgroup, has no 2 MiB to spare, perhaps. */
		s->small |= hole;
		return;
	}
	uffdvram_step_settle_all(s, UFFDVRAM_DID_MOVE);
	if (hole)
		uffdvram_stat_add(pages_placed, s->npages);
	else
		uffdvram_stat_add(pages_in, s->npages);
	uffdvram_stat_inc(folios_in);
}

/* There are slots for the first @got pages that are wanted: what becomes of the rest. */
static void in_go_without(struct uffdvram_migrate_step *s, unsigned int got, u8 fate)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (!uffdvram_fate_wanted(s->fate[i]))
			continue;
		if (got)
			got--;
		else
			s->fate[i] = fate;
	}
}

/* What it means for pages that there are no more slots. */
static u8 in_no_slot(int err)
{
	switch (err) {
	case -EDQUOT:
		return UFFDVRAM_STAY_QUOTA;
	case -ENOMEM:
		return UFFDVRAM_STAY_NO_MEMORY;
	default:
		return UFFDVRAM_STAY_NO_SLOT;
	}
}

/* Takes a slot for each page that is wanted, or for the first of them. */
static void in_take_any(struct uffdvram_migrate_step *s)
{
	const u8 *fate = s->fate;
	u32 *slots = s->slots;
	unsigned int got, i;
	int err;

	got = uffdvram_vram_alloc(s->to.v, s->to.owner, slots, s->wanted, &err);
	if (got < s->wanted)
		in_go_without(s, got, in_no_slot(err));
	/* From the list to the pages: none is before its place in the list. */
	for (i = s->npages; i-- > got;)
		slots[i] = uffdvram_fate_wanted(fate[i]) ? slots[--got] : UFFDVRAM_NO_SLOT;
}

/* Takes the slot of each page that is wanted. */
static void in_take_own(struct uffdvram_migrate_step *s)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->npages; i++)
		if (uffdvram_fate_wanted(s->fate[i]))
			s->slots[n++] = uffdvram_step_slot(s, i);
	uffdvram_vram_alloc_at(s->to.v, s->to.owner, s->slots, n);
	while (i--) {
		s->slots[i] = uffdvram_fate_wanted(s->fate[i]) ?
			s->slots[--n] : UFFDVRAM_NO_SLOT;
		if (uffdvram_fate_wanted(s->fate[i]) && s->slots[i] == UFFDVRAM_NO_SLOT)
			s->fate[i] = UFFDVRAM_STAY_SLOT_BUSY;
	}
}

/* Whether the step may move as one folio, for all that concerns the page tables. */
static bool in_may_be_huge(const struct uffdvram_migrate_step *s)
{
	if (!uffdvram_step_is_whole(s))
		return false;
	if (s->to.linear && uffdvram_step_slot(s, 0) % UFFDVRAM_BLOCK_SLOTS)
		return false;
	if (s->fate[0] == UFFDVRAM_FATE_WANTED_HOLE)
		return !(s->vma->vm_flags & VM_NOHUGEPAGE);
	return s->look[0].huge;
}

/* Takes a block for all of the step: false: there is none, or its own is not free. */
static bool in_take_block(struct uffdvram_migrate_step *s)
{
	bool got;

	if (s->to.linear) {
		s->slots[0] = uffdvram_step_slot(s, 0);
		got = uffdvram_vram_alloc_block_at(s->to.v, s->to.owner, s->slots[0]);
	} else {
		got = uffdvram_vram_alloc_block(s->to.v, s->to.owner, &s->slots[0]);
	}
	if (!got)
		uffdvram_stat_inc(folios_small);
	return got;
}

static void in_take(struct uffdvram_migrate_step *s)
{
	s->huge = in_may_be_huge(s) && in_take_block(s);
	if (s->huge)
		return;
	if (s->to.linear)
		in_take_own(s);
	else
		in_take_any(s);
}

/* Gives back what was not used. */
static void in_give_back(struct uffdvram_migrate_step *s)
{
	const u32 *slot, *end = s->slots + s->npages;

	if (s->huge) {
		if (s->slots[0] != UFFDVRAM_NO_SLOT)
			uffdvram_vram_free_block(s->to.v, s->slots[0]);
		return;
	}
	for (slot = s->slots; slot < end; slot++)
		if (*slot != UFFDVRAM_NO_SLOT)
			uffdvram_vram_free(s->to.v, *slot);
}

static void in_round(struct uffdvram_migrate_step *s)
{
	struct migrate_vma args;
	unsigned int from = 0;
	unsigned long flags;

	in_take(s);
	flags = MIGRATE_VMA_SELECT_SYSTEM | (s->huge ? MIGRATE_VMA_SELECT_COMPOUND : 0);
	while (uffdvram_step_next_piece(s, &from, &args, flags)) {
		if (may_fail(core, -EINVAL, migrate_vma_setup(&args)))
			break;
		if (s->huge)
			in_copy_huge(s);
		else
			in_copy(s, &args);
		migrate_vma_pages(&args);
		in_mark_new(s, &args);
		if (s->huge)
			in_account_huge(s);
		else
			in_account(s, &args);
		migrate_vma_finalize(&args);
	}
	in_give_back(s);
}

/*
 * Makes pages that are shared by fork our own: another process's mapping must
 * not be touched. May drop mmap_lock, and then stops: begin anew.
 *
 * Not where userfaultfd tells of every access: that would be one, and we would wait
 * for an answer, perhaps the caller's own.
 *
 * Return: true if nothing was to do: the look that showed it is as good as another one,
 * since mmap_lock has been held all the time.
 */
static bool in_unshare(struct uffdvram_migrate_step *s)
{
	bool unlocked = false, remote = s->mm != current->mm;
	unsigned int flags = FAULT_FLAG_UNSHARE | (remote ? FAULT_FLAG_REMOTE : 0);
	unsigned int i;

	if (uffdvram_uffd_hides(s->vma))
		return false;
	uffdvram_step_look(s, fate_in);
	for (i = 0; s->shared && i < s->npages && !unlocked; i++) {
		if (s->look[i].entry != UFFDVRAM_ENTRY_SHARED)
			continue;
		/* Whatever goes wrong, the page just stays shared. */
		may_fail(core, -ENOMEM,
			 fixup_user_fault(s->mm, uffdvram_step_addr(s, i), flags, &unlocked));
	}
	return !s->shared;
}

/* A page that lives in another slot than its own has not arrived. */
static void in_judge_places(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	uffdvram_step_find_astray(s);
	for_each_set_bit(i, s->astray, s->npages)
		if (s->fate[i] == UFFDVRAM_DID_NOTHING)
			s->fate[i] = UFFDVRAM_STAY_SLOT_BUSY;
}

/*
 * Whoever has looked already need not do it again. False: nothing was done yet, and
 * others have to be locked out.
 */
static bool in_rounds(struct uffdvram_migrate_step *s, bool looked)
{
	unsigned int round;

	for (round = 0; round < UFFDVRAM_STEP_ROUNDS; round++) {
		if (round || !looked)
			uffdvram_step_look(s, fate_in);
		if (s->wanted && uffdvram_step_needs_lock(s)) {
			if (!round)
				return false;
			break;
		}
		if (s->wanted)
			in_round(s);
		if (!uffdvram_step_reopen(s))
			break;
	}
	uffdvram_step_give_up(s);
	if (s->to.linear)
		in_judge_places(s);
	return true;
}

/**
 * uffdvram_migrate_in() - move a piece into VRAM, as far as one step goes
 * @s: working memory; afterwards, what became of each page
 * @mm: address space, the caller holds a reference on its users
 * @to: where to
 * @start: first byte
 * @end: first byte after the piece
 *
 * Takes mmap_lock for reading, killably; where KSM is at work, and for large folios
 * that are mapped by small entries, for writing, and the VMA's lock. Sleeps.
 *
 * Return: pages settled, at least one; -EINTR when killed.
 */
int uffdvram_migrate_in(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			const struct uffdvram_migrate_to *to,
			unsigned long start, unsigned long end)
{
	u64 since = uffdvram_latency_now();
	bool usable, looked = false;

	s->mm = mm;
	s->to = *to;
	if (uffdvram_step_lock(s, false))
		return -EINTR;
	usable = uffdvram_step_begin(s, start, end);
	if (usable) {
		looked = in_unshare(s);
		if (!looked)
			usable = uffdvram_step_begin(s, start, end);
	}
	if (usable && ((s->vma->vm_flags & VM_MERGEABLE) || !in_rounds(s, looked))) {
		if (uffdvram_step_lock_out(s, start, end, &usable))
			return -EINTR;
		if (usable)
			in_rounds(s, false);
	}
	uffdvram_step_unlock(s);
	uffdvram_step_tell(s, false, since);
	return s->npages;
}

/**
 * uffdvram_migrate_in_locked() - likewise, while nobody else may touch any page
 * @s: working memory; afterwards, what became of each page
 * @mm: address space; its mmap_lock is held for writing, and so is the VMA's
 * @to: where to
 * @start: first byte
 * @end: first byte after the piece
 *
 * What is shared by fork stays so: that would take a fault. Sleeps.
 *
 * Return: pages settled, at least one.
 */
int uffdvram_migrate_in_locked(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			       const struct uffdvram_migrate_to *to,
			       unsigned long start, unsigned long end)
{
	u64 since = uffdvram_latency_now();

	mmap_assert_write_locked(mm);
	s->mm = mm;
	s->to = *to;
	s->write = true;
	if (uffdvram_step_begin(s, start, end))
		in_rounds(s, false);
	uffdvram_step_tell(s, false, since);
	return s->npages;
}
