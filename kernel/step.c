// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "inject.h"
#include "latency.h"
#include "lock.h"
#include "stat.h"
#include "step.h"
#include "trace.h"

struct uffdvram_migrate_step *uffdvram_migrate_step_alloc(void)
{
	return may_fail(alloc, NULL, kvzalloc(sizeof(struct uffdvram_migrate_step),
					      GFP_KERNEL_ACCOUNT));
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

/**
 * uffdvram_migrate_errno() - what it means to who needs a page in VRAM
 * @fate: what became of it when it was to move in
 *
 * Return: an errno; 0: it is there, or what keeps it may pass or be helped.
 */
int uffdvram_migrate_errno(u8 fate)
{
	switch (fate) {
	case UFFDVRAM_STAY_POISONED:
		return -EHWPOISON;
	case UFFDVRAM_STAY_NO_SLOT:
		return -ENOSPC;
	case UFFDVRAM_STAY_QUOTA:
		return -EDQUOT;
	case UFFDVRAM_STAY_NO_MEMORY:
		return -ENOMEM;
	case UFFDVRAM_STAY_COPY_FAILED:
		return -EIO;
	default:
		return 0;
	}
}

/* Whether all pages of the step are at the fate of the first. That is quick to see. */
static bool step_is_uniform(const struct uffdvram_migrate_step *s)
{
	return !memchr_inv(s->fate, s->fate[0], s->npages);
}

/* How many pages of the last step are at one fate. */
unsigned int uffdvram_migrate_count(const struct uffdvram_migrate_step *s, u8 fate)
{
	unsigned int i, n = 0;

	if (step_is_uniform(s))
		return s->fate[0] == fate ? s->npages : 0;
	for (i = 0; i < s->npages; i++)
		n += s->fate[i] == fate;
	return n;
}

/* What the step has to know of one look, or of many alike. */
static void step_note(struct uffdvram_migrate_step *s, struct uffdvram_look look)
{
	s->apart |= look.large && !look.huge;
	s->shared |= look.entry == UFFDVRAM_ENTRY_SHARED;
	s->ksm |= look.entry == UFFDVRAM_ENTRY_KSM;
	s->writing |= look.writing;
}

/*
 * Looks at all pages, and says what to do with those that are not settled. Most look as
 * the one before.
 */
void uffdvram_step_look(struct uffdvram_migrate_step *s,
			uffdvram_step_judge judge)
{
	const struct uffdvram_look *look = s->look;
	struct uffdvram_look last;
	u8 *fate = s->fate, becomes;
	unsigned int i;
	bool alike;

	alike = uffdvram_walk(s->vma, s->start, uffdvram_step_addr(s, s->npages), s->look,
			      NULL);
	s->apart = false;
	s->shared = false;
	s->ksm = false;
	s->writing = false;
	s->wanted = 0;
	last = look[0];
	becomes = judge(s, last);
	step_note(s, last);
	if (alike && fate[0] == UFFDVRAM_FATE_OPEN && step_is_uniform(s)) {
		uffdvram_step_settle_all(s, becomes);
		s->wanted = uffdvram_fate_wanted(becomes) ? s->npages : 0;
		return;
	}
	for (i = 0; i < s->npages; i++) {
		if (look[i].bits != last.bits) {
			last = look[i];
			becomes = judge(s, last);
			step_note(s, last);
		}
		if (fate[i] != UFFDVRAM_FATE_OPEN)
			continue;
		fate[i] = becomes;
		s->wanted += uffdvram_fate_wanted(becomes);
	}
}

/*
 * Takes the VMA for a step, and cuts the step to it. Nothing is settled yet.
 * Without one, all pages up to the next VMA are settled.
 */
bool uffdvram_step_begin(struct uffdvram_migrate_step *s, unsigned long start,
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
	s->huge = false;
	s->small = false;
	memset(s->fate, usable ? UFFDVRAM_FATE_OPEN : UFFDVRAM_STAY_NOT_ANON,
	       s->npages);
	return usable;
}

/* Takes mmap_lock, for reading or writing: 0, or -EINTR when killed. */
int uffdvram_step_lock(struct uffdvram_migrate_step *s, bool write)
{
	s->write = write;
	return write ? may_fail(kill, -EINTR, mmap_write_lock_killable(s->mm)) :
		       may_fail(kill, -EINTR, mmap_read_lock_killable(s->mm));
}

void uffdvram_step_unlock(struct uffdvram_migrate_step *s)
{
	if (s->write)
		mmap_write_unlock(s->mm);
	else
		mmap_read_unlock(s->mm);
}

/*
 * What is large and mapped by small entries is taken apart by the core, also where it
 * only lies between pages that are to move. Before 7.3 the core lets go of the page table
 * before it takes its reference on the folio: nobody may unmap the last of it just then.
 * No header tells which kernel does. Is there such a page, and no lock against that?
 */
bool uffdvram_step_needs_lock(const struct uffdvram_migrate_step *s)
{
	return UFFDVRAM_LARGE_FOLIOS_MOVE && !s->write && s->apart;
}

/*
 * Begins the step anew, with everybody locked out of the VMA; also those who only
 * lock that. Returns 0, or -EINTR when killed: mmap_lock is not held then.
 */
int uffdvram_step_lock_out(struct uffdvram_migrate_step *s, unsigned long start,
			   unsigned long end, bool *usable)
{
	uffdvram_step_unlock(s);
	if (uffdvram_step_lock(s, true))
		return -EINTR;
	*usable = uffdvram_step_begin(s, start, end);
	if (*usable)
		uffdvram_vma_lock_out(s->vma);
	return 0;
}

/*
 * The next piece to give to the core: from the first page that is wanted, at
 * *@from or later, to the last one before a page of KSM's. False if none is. What moves as
 * one folio is one piece: there, all pages are wanted, and none is KSM's.
 */
bool uffdvram_step_next_piece(struct uffdvram_migrate_step *s,
			      unsigned int *from, struct migrate_vma *args,
			      unsigned long flags)
{
	unsigned int first, last, end = s->npages;

	for (first = *from; first < s->npages; first++)
		if (uffdvram_fate_wanted(s->fate[first]))
			break;
	if (s->ksm)
		for (end = first; end < s->npages; end++)
			if (s->look[end].entry == UFFDVRAM_ENTRY_KSM)
				break;
	for (last = end; last > first; last--)
		if (uffdvram_fate_wanted(s->fate[last - 1]))
			break;
	*from = end;
	*args = (struct migrate_vma) {
		.vma = s->vma,
		.start = uffdvram_step_addr(s, first),
		.end = uffdvram_step_addr(s, last),
		.src = s->src + first,
		.dst = s->dst + first,
		/* The core compares it with that of pages in VRAM, when these are to move. */
		.pgmap_owner = flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE ?
			UFFDVRAM_PGMAP_OWNER : UFFDVRAM_ARRIVAL_OWNER,
		.flags = flags,
	};
	return last > first;
}

/* Whether one entry of 2 MiB maps the step, or nothing yet, and all may move as one. */
bool uffdvram_step_is_whole(const struct uffdvram_migrate_step *s)
{
	return UFFDVRAM_HUGE_FOLIOS && !s->small && s->npages == UFFDVRAM_STEP_PAGES &&
	       s->look[0].whole && uffdvram_fate_wanted(s->fate[0]) && step_is_uniform(s);
}

void uffdvram_step_settle_all(struct uffdvram_migrate_step *s, u8 fate)
{
	memset(s->fate, fate, s->npages);
}

/* Linear: finds the pages that live in VRAM: in their own slots, or elsewhere. */
void uffdvram_step_find_astray(struct uffdvram_migrate_step *s)
{
	unsigned int i;
	struct page *page;

	bitmap_zero(s->astray, UFFDVRAM_STEP_PAGES);
	bitmap_zero(s->placed, UFFDVRAM_STEP_PAGES);
	uffdvram_walk(s->vma, s->start, uffdvram_step_addr(s, s->npages), s->look, s->pages);
	for (i = 0; i < s->npages; i++) {
		page = s->pages[i];
		s->pages[i] = NULL;
		if (!page)
			continue;
		if (uffdvram_vram_of(page) == s->to.v &&
		    uffdvram_slot_of(s->to.v, page) == uffdvram_step_slot(s, i))
			__set_bit(i, s->placed);
		else
			__set_bit(i, s->astray);
		put_page(page);
	}
}

/* After a round: what did not move is looked at again. False: all is settled. */
bool uffdvram_step_reopen(struct uffdvram_migrate_step *s)
{
	bool open = false;
	unsigned int i;

	if (s->fate[0] == UFFDVRAM_DID_MOVE && step_is_uniform(s))
		return false;
	for (i = 0; i < s->npages; i++) {
		if (uffdvram_fate_wanted(s->fate[i])) {
			s->fate[i] = UFFDVRAM_FATE_OPEN;
			uffdvram_stat_inc(migrate_raced);
		}
		open |= s->fate[i] == UFFDVRAM_FATE_OPEN;
	}
	return open;
}

/*
 * Names why pages stayed that were wanted in every round. Kernels that know of
 * no large device pages do not take a large folio apart that is mapped by PTEs.
 */
void uffdvram_step_give_up(struct uffdvram_migrate_step *s)
{
	unsigned int i;

	if (s->fate[0] == UFFDVRAM_DID_MOVE && step_is_uniform(s))
		return;
	for (i = 0; i < s->npages; i++) {
		if (s->fate[i] != UFFDVRAM_FATE_OPEN &&
		    !uffdvram_fate_wanted(s->fate[i]))
			continue;
		if (uffdvram_walk_pinned(s->vma, uffdvram_step_addr(s, i)))
			s->fate[i] = UFFDVRAM_STAY_PINNED;
		else if (s->look[i].large && !UFFDVRAM_LARGE_FOLIOS_MOVE)
			s->fate[i] = UFFDVRAM_STAY_LARGE_FOLIO;
		else
			s->fate[i] = UFFDVRAM_STAY_BUSY;
	}
}

/* Tells of a step that began at @since, whoever wants to know. */
void uffdvram_step_tell(const struct uffdvram_migrate_step *s, bool out, u64 since)
{
	unsigned int moved = uffdvram_migrate_count(s, UFFDVRAM_DID_MOVE);

	if (moved && out)
		uffdvram_latency_add(UFFDVRAM_LATENCY_out, since);
	else if (moved)
		uffdvram_latency_add(UFFDVRAM_LATENCY_in, since);
	trace_uffdvram_migrate(s->mm, s->start, uffdvram_step_addr(s, s->npages), out,
			       moved);
}
