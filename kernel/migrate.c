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
#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include <linux/uffdvram.h>

#include "lock.h"
#include "migrate.h"
#include "stat.h"
#include "trace.h"
#include "vram.h"
#include "walk.h"

#define MIGRATE_ROUNDS	4
#define MIGRATE_PAGES	UFFDVRAM_WALK_PAGES

/* Not decided yet; below UFFDVRAM_DID_MOVE, above all UFFDVRAM_STAY_*. */
#define FATE_WANTED	0x80	/* move it */
#define FATE_WANTED_HOLE 0x81	/* fill it */
#define FATE_OPEN	0x82	/* look at it (again) */

/**
 * struct uffdvram_migrate_step - one step, and its working memory
 * @mm: address space
 * @vma: the VMA that holds the piece, while mmap_lock is held
 * @start: first byte
 * @npages: pages
 * @write: mmap_lock is held for writing
 * @v: in: where to
 * @owner: in: tag of the range
 * @fate: what became, or shall become, of each page
 * @look: how it was last seen
 * @src: for the core
 * @dst: for the core
 * @slots: in: slots taken for pages that are wanted
 * @nslots: how many
 * @pages: out: destinations; NULL once used
 * @xfer: the copies
 * @xfer_page: which page a copy is for
 */
struct uffdvram_migrate_step {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned int npages;
	bool write;
	struct uffdvram_vram *v;
	u32 owner;
	u8 fate[MIGRATE_PAGES];
	struct uffdvram_look look[MIGRATE_PAGES];
	unsigned long src[MIGRATE_PAGES];
	unsigned long dst[MIGRATE_PAGES];
	u32 slots[MIGRATE_PAGES];
	unsigned int nslots;
	struct page *pages[MIGRATE_PAGES];
	struct uffdvram_xfer xfer[MIGRATE_PAGES];
	u16 xfer_page[MIGRATE_PAGES];
};

struct uffdvram_migrate_step *uffdvram_migrate_step_alloc(void)
{
	return kvzalloc(sizeof(struct uffdvram_migrate_step), GFP_KERNEL_ACCOUNT);
}

void uffdvram_migrate_step_free(struct uffdvram_migrate_step *s)
{
	kvfree(s);
}

/**
 * uffdvram_migrate_fate() - what became of a page of the last step
 * @s: the step
 * @page: number of the page in it
 *
 * Return: UFFDVRAM_STAY_*, UFFDVRAM_DID_MOVE or UFFDVRAM_DID_NOTHING.
 */
u8 uffdvram_migrate_fate(const struct uffdvram_migrate_step *s,
			 unsigned int page)
{
	return s->fate[page];
}

static bool fate_wanted(u8 fate)
{
	return fate == FATE_WANTED || fate == FATE_WANTED_HOLE;
}

static unsigned long step_addr(const struct uffdvram_migrate_step *s,
			       unsigned int i)
{
	return s->start + ((unsigned long)i << PAGE_SHIFT);
}

static unsigned int step_count(const struct uffdvram_migrate_step *s, u8 fate)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->npages; i++)
		n += s->fate[i] == fate;
	return n;
}

/*
 * A hole may only be filled where nobody wants to know of it, and where no
 * write-protection would be lost with the zero page.
 */
static u8 fate_of_hole(const struct vm_area_struct *vma)
{
	return userfaultfd_armed((struct vm_area_struct *)vma) ?
		UFFDVRAM_STAY_MISSING : FATE_WANTED_HOLE;
}

static u8 fate_in(const struct vm_area_struct *vma, struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_ZERO:
		return fate_of_hole(vma);
	case UFFDVRAM_ENTRY_EXCLUSIVE:
		return FATE_WANTED;
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
	return FATE_OPEN;
}

static u8 fate_out(struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_MARKER:
		return UFFDVRAM_STAY_MISSING;
	case UFFDVRAM_ENTRY_VRAM:
		return FATE_WANTED;
	case UFFDVRAM_ENTRY_SWAP:
		return UFFDVRAM_STAY_SWAPPED;
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STAY_POISONED;
	case UFFDVRAM_ENTRY_MOVING:
		return FATE_OPEN;
	default:
		return UFFDVRAM_DID_NOTHING;
	}
}

/* Looks at all pages that are not settled, and says what to do with them. */
static void step_look(struct uffdvram_migrate_step *s, bool out)
{
	unsigned int i;

	uffdvram_walk(s->vma, s->start, step_addr(s, s->npages), s->look);
	for (i = 0; i < s->npages; i++)
		if (s->fate[i] == FATE_OPEN)
			s->fate[i] = out ? fate_out(s->look[i]) :
					   fate_in(s->vma, s->look[i]);
}

/*
 * Takes the VMA for a step, and cuts the step to it. Nothing is settled yet.
 * Without one, all pages up to the next VMA are settled.
 */
static bool step_begin(struct uffdvram_migrate_step *s, unsigned long start,
		       unsigned long end)
{
	unsigned long next = min(end, ALIGN(start + 1, PMD_SIZE));
	bool usable;

	mmap_assert_locked(s->mm);
	s->start = start;
	s->vma = find_vma(s->mm, start);
	usable = s->vma && s->vma->vm_start <= start;
	if (usable) {
		next = min(next, s->vma->vm_end);
		usable = uffdvram_vma_is_ours(s->vma);
	} else if (s->vma) {
		next = min(next, s->vma->vm_start);
	}
	s->npages = (next - start) >> PAGE_SHIFT;
	memset(s->fate, usable ? FATE_OPEN : UFFDVRAM_STAY_NOT_ANON, s->npages);
	return usable;
}

static int step_lock(struct uffdvram_migrate_step *s, bool write)
{
	s->write = write;
	return write ? mmap_write_lock_killable(s->mm) :
		       mmap_read_lock_killable(s->mm);
}

static void step_unlock(struct uffdvram_migrate_step *s)
{
	if (s->write)
		mmap_write_unlock(s->mm);
	else
		mmap_read_unlock(s->mm);
}

/*
 * The next piece to give to the core: from the first page that is wanted, at
 * *@from or later, to the last one before a page of KSM's. False if none is.
 */
static bool step_next_piece(struct uffdvram_migrate_step *s, unsigned int *from,
			    struct migrate_vma *args, unsigned long flags)
{
	unsigned int i, first, last;

	for (first = *from; first < s->npages; first++)
		if (fate_wanted(s->fate[first]))
			break;
	last = first;
	for (i = first; i < s->npages; i++) {
		if (s->look[i].entry == UFFDVRAM_ENTRY_KSM)
			break;
		if (fate_wanted(s->fate[i]))
			last = i + 1;
	}
	*from = i;
	*args = (struct migrate_vma) {
		.vma = s->vma,
		.start = step_addr(s, first),
		.end = step_addr(s, last),
		.src = s->src + first,
		.dst = s->dst + first,
		.pgmap_owner = UFFDVRAM_PGMAP_OWNER,
		.flags = flags,
	};
	return last > first;
}

static unsigned int step_args_first(const struct uffdvram_migrate_step *s,
				    const struct migrate_vma *args)
{
	return args->src - s->src;
}

/* After a round: what did not move is looked at again. */
static void step_reopen(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (!fate_wanted(s->fate[i]))
			continue;
		s->fate[i] = FATE_OPEN;
		uffdvram_stat_inc(migrate_raced);
	}
}

/*
 * Names why pages stayed that were wanted in every round. Kernels that know of
 * no large device pages do not take a large folio apart that is mapped by PTEs.
 */
static void step_give_up(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (s->fate[i] != FATE_OPEN && !fate_wanted(s->fate[i]))
			continue;
		if (s->look[i].pinned)
			s->fate[i] = UFFDVRAM_STAY_PINNED;
		else if (s->look[i].large && !UFFDVRAM_LARGE_FOLIOS_MOVE)
			s->fate[i] = UFFDVRAM_STAY_LARGE_FOLIO;
		else
			s->fate[i] = UFFDVRAM_STAY_BUSY;
	}
}

/* Whether page @i may be moved in, now that the core has unmapped it. */
static bool in_still_good(const struct uffdvram_migrate_step *s, unsigned int i)
{
	struct page *page;

	if (!(s->src[i] & MIGRATE_PFN_MIGRATE))
		return false;
	page = migrate_pfn_to_page(s->src[i]);
	if (s->fate[i] == FATE_WANTED_HOLE)
		return !page;
	/* KSM may have merged it since we looked; its pages never move. */
	return s->fate[i] == FATE_WANTED && page &&
	       !folio_test_ksm(page_folio(page));
}

static struct page *in_take_slot(struct uffdvram_migrate_step *s, u64 *off)
{
	u32 slot = s->slots[--s->nslots];
	struct page *page = uffdvram_slot_page(s->v, slot);

	uffdvram_device_page_init(page, &s->v->pgmap);
	*off = uffdvram_slot_off(slot);
	return page;
}

static void in_drop_dst(struct uffdvram_migrate_step *s, unsigned int i)
{
	struct page *page = migrate_pfn_to_page(s->dst[i]);

	s->dst[i] = 0;
	unlock_page(page);
	put_page(page);
}

/* Fills slots for all pages that are still wanted. */
static void in_copy(struct uffdvram_migrate_step *s,
		    const struct migrate_vma *args)
{
	struct uffdvram_backend *b = &s->v->backend;
	unsigned int i, n = 0, first = step_args_first(s, args);
	u64 off;

	for (i = first; i < first + args->npages; i++) {
		if (!in_still_good(s, i))
			continue;
		s->dst[i] = migrate_pfn(page_to_pfn(in_take_slot(s, &off)));
		if (s->fate[i] == FATE_WANTED_HOLE) {
			if (b->ops->clear(b, off, 0)) {
				in_drop_dst(s, i);
				s->fate[i] = UFFDVRAM_STAY_COPY_FAILED;
			}
			continue;
		}
		s->xfer[n].off = off;
		s->xfer[n].ram = migrate_pfn_to_page(s->src[i]);
		s->xfer[n].order = 0;
		s->xfer_page[n++] = i;
	}
	if (!n || !b->ops->to_vram(b, s->xfer, n))
		return;
	for (i = 0; i < n; i++) {
		if (!s->xfer[i].err)
			continue;
		in_drop_dst(s, s->xfer_page[i]);
		s->fate[s->xfer_page[i]] = UFFDVRAM_STAY_COPY_FAILED;
	}
}

/* Counts what the core has really installed. */
static void in_account(struct uffdvram_migrate_step *s,
		       const struct migrate_vma *args)
{
	unsigned int i, in = 0, placed = 0, first = step_args_first(s, args);

	for (i = first; i < first + args->npages; i++) {
		if (!s->dst[i] || !(s->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		if (s->fate[i] == FATE_WANTED_HOLE)
			placed++;
		else
			in++;
		s->fate[i] = UFFDVRAM_DID_MOVE;
	}
	uffdvram_stat_add(pages_in, in);
	uffdvram_stat_add(pages_placed, placed);
}

/* Takes a slot for each page that is wanted; those left over get none. */
static void in_take_slots(struct uffdvram_migrate_step *s)
{
	unsigned int i, left, want = step_count(s, FATE_WANTED) +
				     step_count(s, FATE_WANTED_HOLE);

	s->nslots = uffdvram_vram_alloc(s->v, s->owner, s->slots, want);
	/* in_take_slot() takes from the end: first page, lowest slot. */
	for (i = 0; i < s->nslots / 2; i++)
		swap(s->slots[i], s->slots[s->nslots - 1 - i]);
	left = s->nslots;
	for (i = 0; i < s->npages; i++) {
		if (!fate_wanted(s->fate[i]))
			continue;
		if (left)
			left--;
		else
			s->fate[i] = UFFDVRAM_STAY_NO_SLOT;
	}
}

static void in_round(struct uffdvram_migrate_step *s)
{
	struct migrate_vma args;
	unsigned int from = 0;

	in_take_slots(s);
	while (step_next_piece(s, &from, &args, MIGRATE_VMA_SELECT_SYSTEM)) {
		if (migrate_vma_setup(&args))
			break;
		in_copy(s, &args);
		migrate_vma_pages(&args);
		in_account(s, &args);
		migrate_vma_finalize(&args);
	}
	while (s->nslots)
		uffdvram_vram_free(s->v, s->slots[--s->nslots]);
}

/*
 * Makes pages that are shared by fork our own: another process's mapping must
 * not be touched. May drop mmap_lock, and then stops: begin anew.
 */
static void in_unshare(struct uffdvram_migrate_step *s)
{
	bool unlocked = false, remote = s->mm != current->mm;
	unsigned int flags = FAULT_FLAG_UNSHARE | (remote ? FAULT_FLAG_REMOTE : 0);
	unsigned int i;

	step_look(s, false);
	for (i = 0; i < s->npages && !unlocked; i++)
		if (s->look[i].entry == UFFDVRAM_ENTRY_SHARED)
			/* Whatever goes wrong, the page just stays shared. */
			fixup_user_fault(s->mm, step_addr(s, i), flags,
					 &unlocked);
}

static void in_rounds(struct uffdvram_migrate_step *s)
{
	unsigned int round;

	for (round = 0; round < MIGRATE_ROUNDS; round++) {
		step_look(s, false);
		if (step_count(s, FATE_WANTED) || step_count(s, FATE_WANTED_HOLE))
			in_round(s);
		else if (!step_count(s, FATE_OPEN))
			break;
		step_reopen(s);
	}
	step_give_up(s);
}

/**
 * uffdvram_migrate_in() - move a piece into VRAM, as far as one step goes
 * @s: working memory; afterwards, what became of each page
 * @mm: address space, the caller holds a reference on its users
 * @v: pool
 * @owner: tag of the range
 * @start: first byte
 * @end: first byte after the piece
 *
 * Takes mmap_lock for reading, where KSM is at work for writing, killably.
 * Sleeps.
 *
 * Return: pages settled, at least one; -EINTR when killed.
 */
int uffdvram_migrate_in(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			struct uffdvram_vram *v, u32 owner,
			unsigned long start, unsigned long end)
{
	bool usable;

	s->mm = mm;
	s->v = v;
	s->owner = owner;
	if (step_lock(s, false))
		return -EINTR;
	usable = step_begin(s, start, end);
	if (usable) {
		in_unshare(s);
		usable = step_begin(s, start, end);
	}
	if (usable && (s->vma->vm_flags & VM_MERGEABLE)) {
		step_unlock(s);
		if (step_lock(s, true))
			return -EINTR;
		usable = step_begin(s, start, end);
	}
	if (usable)
		in_rounds(s);
	step_unlock(s);
	trace_uffdvram_migrate(mm, s->start, step_addr(s, s->npages), false,
			       step_count(s, UFFDVRAM_DID_MOVE));
	return s->npages;
}

/* A destination for each page that is wanted; before any page is locked. */
static void out_alloc(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	for (i = 0; i < s->npages; i++) {
		if (s->fate[i] != FATE_WANTED || s->pages[i])
			continue;
		s->pages[i] = alloc_page_vma(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
					     __GFP_RETRY_MAYFAIL, s->vma,
					     step_addr(s, i));
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
}

/* Pages of one step may live in several pools: copies the run of one. */
static void out_copy_run(struct uffdvram_migrate_step *s,
			 struct uffdvram_vram *v, unsigned int n)
{
	struct uffdvram_backend *b = &v->backend;
	unsigned int k, i;

	if (!n || !b->ops->to_ram(b, s->xfer, n))
		return;
	for (k = 0; k < n; k++) {
		if (!s->xfer[k].err)
			continue;
		i = s->xfer_page[k];
		uffdvram_slot_lose(&v->slots, uffdvram_slot_of(v,
					migrate_pfn_to_page(s->src[i])));
		s->pages[i] = migrate_pfn_to_page(s->dst[i]);
		unlock_page(s->pages[i]);
		s->dst[i] = 0;
		s->fate[i] = UFFDVRAM_STAY_COPY_FAILED;
	}
}

static void out_copy(struct uffdvram_migrate_step *s,
		     const struct migrate_vma *args)
{
	unsigned int i, n = 0, first = step_args_first(s, args);
	struct uffdvram_vram *v = NULL, *last = NULL;
	struct page *page;

	for (i = first; i < first + args->npages; i++) {
		page = migrate_pfn_to_page(s->src[i]);
		if (!page || !(s->src[i] & MIGRATE_PFN_MIGRATE) ||
		    s->fate[i] != FATE_WANTED)
			continue;
		v = uffdvram_vram_of(page);
		if (uffdvram_slot_is_lost(&v->slots, uffdvram_slot_of(v, page)))
			continue;
		if (last && v != last) {
			out_copy_run(s, last, n);
			n = 0;
		}
		last = v;
		lock_page(s->pages[i]);
		s->dst[i] = migrate_pfn(page_to_pfn(s->pages[i]));
		s->xfer[n].off = uffdvram_slot_off(uffdvram_slot_of(v, page));
		s->xfer[n].ram = s->pages[i];
		s->xfer[n].order = 0;
		s->xfer_page[n++] = i;
		/* The core owns it from here on, whatever happens. */
		s->pages[i] = NULL;
	}
	out_copy_run(s, last, n);
}

static void out_account(struct uffdvram_migrate_step *s,
			const struct migrate_vma *args)
{
	unsigned int i, out = 0, first = step_args_first(s, args);

	for (i = first; i < first + args->npages; i++) {
		if (!s->dst[i] || !(s->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		s->fate[i] = UFFDVRAM_DID_MOVE;
		out++;
	}
	uffdvram_stat_add(pages_out, out);
}

static void out_round(struct uffdvram_migrate_step *s)
{
	struct migrate_vma args;
	unsigned int from = 0;

	out_alloc(s);
	while (step_next_piece(s, &from, &args,
			       MIGRATE_VMA_SELECT_DEVICE_PRIVATE)) {
		if (migrate_vma_setup(&args))
			break;
		out_copy(s, &args);
		migrate_vma_pages(&args);
		out_account(s, &args);
		migrate_vma_finalize(&args);
	}
}

static void out_rounds(struct uffdvram_migrate_step *s)
{
	unsigned int round;

	for (round = 0; round < MIGRATE_ROUNDS; round++) {
		step_look(s, true);
		if (step_count(s, FATE_WANTED))
			out_round(s);
		else if (!step_count(s, FATE_OPEN))
			break;
		step_reopen(s);
	}
	step_give_up(s);
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
	s->mm = mm;
	if (step_lock(s, false))
		return -EINTR;
	if (step_begin(s, start, end))
		out_rounds(s);
	step_unlock(s);
	trace_uffdvram_migrate(mm, s->start, step_addr(s, s->npages), true,
			       step_count(s, UFFDVRAM_DID_MOVE));
	return s->npages;
}
