// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exclusive ranges. Nobody asks us before memory is unmapped, moved, protected, discarded
 * or inherited: we are told, while it happens or afterwards. So it is not prevented, but
 * it costs what was private: where the address space changes, all that is private in the
 * range, wherever it is mapped; where pages are discarded, those. It is lost for everybody
 * at once, and a worker puts marks of poison in its place. Where pages were discarded a CPU
 * may come before the worker, and find zeroes there; CONVERT knows better, as it keeps
 * books of what should be private.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "event.h"
#include "exclusive.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "owner.h"
#include "range.h"
#include "stat.h"
#include "vram.h"
#include "walk.h"

/* How long to wait for host memory, in jiffies. */
#define EXCLUSIVE_PAUSE		((long)DIV_ROUND_UP(HZ, 50))

static unsigned long exclusive_bit(const struct uffdvram_range *r, unsigned long addr)
{
	return (addr - r->start) >> PAGE_SHIFT;
}

/* Which 2 MiB these are: what is below one PMD is looked at together. */
static unsigned long exclusive_block(const struct uffdvram_range *r, unsigned long addr)
{
	return (addr >> PMD_SHIFT) - (r->start >> PMD_SHIFT);
}

static unsigned long exclusive_blocks(const struct uffdvram_range *r)
{
	return exclusive_block(r, r->end - 1) + 1;
}

static bool exclusive_any(const struct uffdvram_range *r, unsigned long start,
			  unsigned long end)
{
	unsigned long last = exclusive_bit(r, end);

	return find_next_bit(r->exclusive->kept, last, exclusive_bit(r, start)) < last;
}

/* Has the worker look there, once it is queued. */
static void exclusive_ask(struct uffdvram_range *r, unsigned long start, unsigned long end)
{
	unsigned long i, last = exclusive_block(r, end - 1);

	for (i = exclusive_block(r, start); i <= last; i++)
		set_bit(i, r->exclusive->ask);
}

/* Any context. The range may be about to end: then there is nothing to do. */
static void exclusive_queue(struct uffdvram_range *r)
{
	struct uffdvram_exclusive *x = r->exclusive;

	if (atomic_xchg(&x->pending, 1))
		return;
	/* If not, it stays pending, and nobody asks again. */
	if (kref_get_unless_zero(&r->ref))
		uffdvram_vram_queue(&x->work);
}

static void exclusive_tell(const struct uffdvram_range *r, unsigned long start,
			   unsigned long end, u32 cause)
{
	const struct uffdvram_event event = {
		.type = UFFDVRAM_EVENT_RANGE_GONE,
		.cause = cause,
		.range = r->id,
		.addr = start,
		.len = end - start,
	};

	if (!READ_ONCE(r->owner->dead))
		uffdvram_event_push(r->owner->events, &event);
}

/**
 * uffdvram_exclusive_breach() - an address space changes where it must not
 * @r: a range; the caller keeps it from being freed
 * @start: first byte
 * @end: first byte after it
 * @cause: enum uffdvram_gone. What is UFFDVRAM_GONE_UNMAPPED has been told
 *
 * Costs what is private in the range, if some of that is in the piece. Called by notifiers,
 * with mmap_lock held: takes no mutex, needs no memory.
 */
void uffdvram_exclusive_breach(struct uffdvram_range *r, unsigned long start,
			       unsigned long end, u32 cause)
{
	start = max(start, r->start);
	end = min(end, r->end);
	if (!r->exclusive || start >= end || !exclusive_any(r, start, end))
		return;
	/* What may be mapped here from now on is not ours. */
	if (cause == UFFDVRAM_GONE_UNMAPPED)
		bitmap_clear(r->exclusive->kept, exclusive_bit(r, start),
			     (end - start) >> PAGE_SHIFT);
	if (xchg(&r->owner->breached, true))
		return;
	/* Lost from here on: see uffdvram_vram_slot_state(). */
	if (cause != UFFDVRAM_GONE_UNMAPPED)
		exclusive_tell(r, start, end, cause);
	exclusive_queue(r);
}

/**
 * uffdvram_exclusive_cleared() - pages may have been discarded
 * @r: a range; the caller keeps it from being freed
 * @start: first byte
 * @end: first byte after it
 *
 * Has somebody look, if some that are private should be in the piece. Called by notifiers,
 * with or without mmap_lock, in reclaim too.
 */
void uffdvram_exclusive_cleared(struct uffdvram_range *r, unsigned long start,
				unsigned long end)
{
	start = max(start, r->start);
	end = min(end, r->end);
	if (!r->exclusive || start >= end || !exclusive_any(r, start, end))
		return;
	exclusive_ask(r, start, end);
	exclusive_queue(r);
}

/**
 * uffdvram_exclusive_protected() - whether private pages are not for reading and writing
 * @r: a range; the caller keeps it from being freed
 * @start: first byte
 * @end: first byte after it
 *
 * Called by notifiers, when protections change: with mmap_lock held. mprotect() has changed
 * its VMA by then. Others, userfaultfd and PAGEMAP_SCAN among them, change none, and may
 * tell of many VMAs at once.
 */
bool uffdvram_exclusive_protected(const struct uffdvram_range *r,
				  unsigned long start, unsigned long end)
{
	const vm_flags_t access = VM_READ | VM_WRITE;
	VMA_ITERATOR(vmi, r->umm->mm, max(start, r->start));
	struct vm_area_struct *vma;

	if (!r->exclusive)
		return false;
	end = min(end, r->end);
	mmap_assert_locked(r->umm->mm);
	for_each_vma_range(vmi, vma, end)
		if ((vma->vm_flags & access) != access &&
		    exclusive_any(r, max3(start, r->start, vma->vm_start),
				  min(end, vma->vm_end)))
			return true;
	return false;
}

/* Whether what is where a private page should be says by itself that this is lost. */
static bool exclusive_is_lost(struct uffdvram_look look)
{
	return look.entry == UFFDVRAM_ENTRY_LOST || look.entry == UFFDVRAM_ENTRY_POISON;
}

/* Whether something else is there. */
static bool exclusive_is_gone(struct uffdvram_look look)
{
	return !exclusive_is_lost(look) &&
	       (look.entry != UFFDVRAM_ENTRY_VRAM || !look.private);
}

/* Marks @n pages from @addr on, which are below one PMD, whatever is there: 0 or -ENOMEM. */
static int exclusive_mark(struct uffdvram_range *r, struct vm_area_struct *vma,
			  unsigned long addr, unsigned int n, bool hole)
{
	/* As in poison.c: where there is a page there is a table, once it is dropped alone. */
	if (hole && may_fail(alloc, -ENOMEM, apply_to_page_range(vma->vm_mm, addr, PAGE_SIZE,
								 NULL, NULL)))
		return -ENOMEM;
	/* Before our own notifier hears of it. */
	bitmap_clear(r->exclusive->kept, exclusive_bit(r, addr), n);
	zap_vma_range(vma, addr, PAGE_SIZE);
	if (n > 1)
		zap_vma_range(vma, addr + PAGE_SIZE, (n - 1) * PAGE_SIZE);
	uffdvram_walk_poison(vma, addr, n);
	return 0;
}

/* Marks what is gone in a piece of one VMA below one PMD: 0 or -ENOMEM. */
static int exclusive_mark_gone(struct uffdvram_range *r, struct vm_area_struct *vma,
			       unsigned long addr, unsigned long end,
			       const struct uffdvram_look *look)
{
	unsigned long first = exclusive_bit(r, addr), at;
	unsigned int i, n, all = (end - addr) >> PAGE_SHIFT;
	int ret;

	for (i = 0; i < all; i += n) {
		for (n = 0; i + n < all && test_bit(first + i + n, r->exclusive->kept) &&
			    exclusive_is_gone(look[i + n]); n++)
			;
		if (!n) {
			if (exclusive_is_lost(look[i]))
				clear_bit(first + i, r->exclusive->kept);
			n = 1;
			continue;
		}
		at = addr + i * PAGE_SIZE;
		ret = exclusive_mark(r, vma, at, n, look[i].entry == UFFDVRAM_ENTRY_NONE ||
						 look[i].entry == UFFDVRAM_ENTRY_MARKER);
		if (ret)
			return ret;
		uffdvram_stat_add(private_destroyed, n);
		exclusive_tell(r, at, at + n * PAGE_SIZE, UFFDVRAM_GONE_DISCARDED);
	}
	return 0;
}

/* Likewise in what is mapped from @addr on, up to where the next PMD begins. */
static int exclusive_audit_piece(struct uffdvram_range *r, struct mm_struct *mm,
				 unsigned long addr, struct uffdvram_look *look)
{
	unsigned long end = min(r->end, ALIGN(addr + 1, PMD_SIZE)), stop;
	struct vm_area_struct *vma;
	int ret = 0;

	if (!exclusive_any(r, addr, end))
		return 0;
	mmap_write_lock(mm);
	/* What is there after it has ended is none of its business. */
	while (!ret && addr < end && !READ_ONCE(r->owner->dead)) {
		vma = find_vma(mm, addr);
		if (!vma || vma->vm_start >= end)
			break;
		addr = max(addr, vma->vm_start);
		stop = min(end, vma->vm_end);
		if (uffdvram_vma_is_ours(vma)) {
			vma_start_write(vma);
			uffdvram_walk_briefly(vma, addr, stop, look);
			ret = exclusive_mark_gone(r, vma, addr, stop, look);
		}
		addr = stop;
	}
	mmap_write_unlock(mm);
	return ret;
}

/* Looks whether all is there that should be, where that was asked for: 0 or -ENOMEM. */
static int exclusive_audit(struct uffdvram_range *r, struct mm_struct *mm)
{
	unsigned long n = exclusive_blocks(r), i = 0, addr;
	struct uffdvram_exclusive *x = r->exclusive;
	struct uffdvram_look *look;
	int ret = 0;

	look = may_fail(alloc, NULL, kvmalloc_array(UFFDVRAM_WALK_PAGES, sizeof(*look),
						    GFP_KERNEL));
	if (!look)
		return -ENOMEM;
	while (!ret && (i = find_next_bit(x->ask, n, i)) < n) {
		/* Who asks again from here on is not missed. */
		if (!test_and_clear_bit(i, x->ask))
			continue;
		addr = (r->start & PMD_MASK) + (i << PMD_SHIFT);
		ret = exclusive_audit_piece(r, mm, max(addr, r->start), look);
		if (ret)
			set_bit(i, x->ask);
		cond_resched();
	}
	kvfree(look);
	return ret;
}

static void exclusive_work(struct work_struct *work)
{
	struct uffdvram_exclusive *x = container_of(work, struct uffdvram_exclusive, work);
	struct uffdvram_range *r = x->range;
	struct mm_struct *mm = NULL;
	int ret = 0;

	/* Who tells of more from here on queues us again: what he told of before we see. */
	atomic_xchg(&x->pending, 0);
	if (READ_ONCE(r->owner->dead))
		goto out_put;
	if (READ_ONCE(r->owner->breached)) {
		exclusive_ask(r, r->start, r->end);
		uffdvram_lease_revoke_owner(r->owner, 0, ULONG_MAX, UFFDVRAM_REVOKED_GONE);
		if (r->v)
			uffdvram_vram_kick(r->v, 0);
	}
	if (mmget_not_zero(r->umm->mm))
		mm = r->umm->mm;
	if (mm) {
		ret = exclusive_audit(r, mm);
		/* Never the last one here: exit is not for us to wait for. */
		mmput_async(mm);
	}
	if (ret) {
		schedule_timeout_uninterruptible(EXCLUSIVE_PAUSE);
		exclusive_queue(r);
	}
out_put:
	uffdvram_range_put(r);
}

/**
 * uffdvram_exclusive_new() - make a range exclusive
 * @r: a range with its owner, that nobody knows yet
 *
 * Return: what it needs for that, or NULL without memory.
 */
struct uffdvram_exclusive *uffdvram_exclusive_new(struct uffdvram_range *r)
{
	size_t kept = BITS_TO_LONGS(exclusive_bit(r, r->end));
	size_t words = kept + BITS_TO_LONGS(exclusive_blocks(r));
	struct uffdvram_exclusive *x;

	/* kvmalloc() warns above INT_MAX. */
	if (words > (INT_MAX - sizeof(*x)) / sizeof(long))
		return NULL;
	x = may_fail(alloc, NULL, kvzalloc(struct_size(x, kept, words),
					   GFP_KERNEL_ACCOUNT | __GFP_NOWARN));
	if (!x)
		return NULL;
	x->range = r;
	x->ask = x->kept + kept;
	INIT_WORK(&x->work, exclusive_work);
	return x;
}

/* The range has no reference any more; NULL is none. */
void uffdvram_exclusive_free(struct uffdvram_exclusive *x)
{
	kvfree_rcu(x, rcu);
}

/**
 * uffdvram_exclusive_fits() - whether memory may be in an exclusive range
 * @vma: private anonymous memory; mmap_lock is held
 *
 * Return: true if children do not inherit it, KSM leaves it alone, and it is for
 * reading and writing.
 */
bool uffdvram_exclusive_fits(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_DONTCOPY | VM_MERGEABLE | VM_READ | VM_WRITE)) ==
	       (VM_DONTCOPY | VM_READ | VM_WRITE);
}

/**
 * uffdvram_exclusive_check() - whether memory of a range may become private
 * @r: any range
 * @vma: memory of it; mmap_lock is held
 *
 * Return: 0; -EINVAL: it does not fit an exclusive range any more; -ESTALE: what was
 * private in the range has been lost.
 */
int uffdvram_exclusive_check(const struct uffdvram_range *r,
			     const struct vm_area_struct *vma)
{
	if (!r->exclusive)
		return 0;
	if (READ_ONCE(r->owner->breached))
		return -ESTALE;
	return uffdvram_exclusive_fits(vma) ? 0 : -EINVAL;
}

/* Whether a page of a range should be private, for all that its books say. */
bool uffdvram_exclusive_keeps(const struct uffdvram_range *r, unsigned long addr)
{
	return test_bit(exclusive_bit(r, addr), r->exclusive->kept);
}

/**
 * uffdvram_exclusive_set() - pages of a range become private, or shared
 * @r: any range
 * @start: first byte
 * @end: first byte after it
 * @private: what they become
 *
 * mmap_lock is held for writing.
 */
void uffdvram_exclusive_set(struct uffdvram_range *r, unsigned long start,
			    unsigned long end, bool private)
{
	unsigned long n = (end - start) >> PAGE_SHIFT;

	mmap_assert_write_locked(r->umm->mm);
	if (!r->exclusive)
		return;
	if (private)
		bitmap_set(r->exclusive->kept, exclusive_bit(r, start), n);
	else
		bitmap_clear(r->exclusive->kept, exclusive_bit(r, start), n);
}
