// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CONVERT ioctl: only the device may touch a piece of memory, or everybody may again.
 *
 * To make it private, all of it is moved to its slots first, step by step, with no lock
 * held in between: what moves stays there, whatever becomes of the call. Then mmap_lock is
 * taken for writing and all pages are looked at, and if every one of them is where it should
 * be, and ours alone, their slots become private. Nobody can be at these slots then: faults,
 * COPY, MIGRATE, evictions and leases that begin hold the lock of an address space that
 * maps the page, and there is only this one. A few pages that have come home meanwhile
 * move once more then, so that CPUs which touch them all the time do not win. Where
 * something else has changed, all begins again from there; a few times, or for as long as
 * the caller wants to wait.
 *
 * The way back needs the second half only.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/userfaultfd_k.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "convert.h"
#include "exclusive.h"
#include "inject.h"
#include "lock.h"
#include "migrate.h"
#include "move.h"
#include "owner.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "vram.h"
#include "walk.h"

/* How often one page is tried, and how often all begins again. */
#define CONVERT_TRIES		16
/* How many pages are moved at most while everybody else waits. */
#define CONVERT_LATE		2048
/* The longest pause of who waits, in jiffies. */
#define CONVERT_PAUSE_MAX	((long)DIV_ROUND_UP(HZ, 20))
/* A page is as it should be; else enum uffdvram_stay tells why not. */
#define CONVERT_GOOD		UFFDVRAM_DID_NOTHING

/**
 * struct convert - one CONVERT in progress
 * @arg: the caller's argument
 * @umm: address space
 * @mm: the same, with a reference on its users
 * @r: the range of the step
 * @private: to private
 * @at: the page that is not as it should be
 * @why: what stands against it: enum uffdvram_stay
 * @s: for moves
 * @look: the step
 * @pages: its pages in VRAM, with references
 */
struct convert {
	struct uffdvram_convert *arg;
	struct uffdvram_mm *umm;
	struct mm_struct *mm;
	struct uffdvram_range *r;
	bool private;
	unsigned long at;
	u8 why;
	struct uffdvram_migrate_step *s;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
	struct page *pages[UFFDVRAM_WALK_PAGES];
};

static unsigned long convert_end(const struct convert *c)
{
	return c->arg->addr + c->arg->len;
}

/* Whether a page of the range is where the range's pages should be. */
static bool convert_at_home(const struct convert *c, unsigned long addr,
			    struct uffdvram_vram *v, unsigned long slot)
{
	const struct uffdvram_range *r = c->r;

	if (v != READ_ONCE(r->v) || READ_ONCE(v->slots.owner[slot]) != r->owner)
		return false;
	return !r->linear || slot == r->window + ((addr - r->start) >> PAGE_SHIFT);
}

/* A page in VRAM that is to become private. */
static u8 convert_judge_vram(const struct convert *c, unsigned long addr, unsigned int i)
{
	struct uffdvram_vram *v = uffdvram_vram_of(c->pages[i]);
	unsigned long slot = uffdvram_slot_of(v, c->pages[i]);

	if (!convert_at_home(c, addr, v, slot))
		return c->look[i].private ? UFFDVRAM_STAY_PRIVATE : UFFDVRAM_STAY_SLOT_BUSY;
	if (!c->look[i].alone)
		return UFFDVRAM_STAY_SHARED;
	/* Revoked or not: the device had it under other terms. Once private, it may. */
	if (!c->look[i].private &&
	    (uffdvram_slot_state(&v->slots, slot) & UFFDVRAM_SLOT_LEASED))
		return UFFDVRAM_STAY_LEASED;
	return CONVERT_GOOD;
}

/* Any page that is to become private. */
static u8 convert_judge_private(const struct convert *c, unsigned long addr, unsigned int i)
{
	switch ((enum uffdvram_entry)c->look[i].entry) {
	case UFFDVRAM_ENTRY_VRAM:
		return convert_judge_vram(c, addr, i);
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STAY_POISONED;
	default:
		return UFFDVRAM_STAY_BUSY;
	}
}

/*
 * Any page that is to be shared. What a child shared for a while, and does no longer, is
 * not marked as ours alone; but if nothing else maps it, it is.
 */
static u8 convert_judge_shared(const struct convert *c, unsigned int i)
{
	switch ((enum uffdvram_entry)c->look[i].entry) {
	case UFFDVRAM_ENTRY_VRAM:
		if (!c->look[i].private || c->look[i].alone ||
		    folio_mapcount(page_folio(c->pages[i])) == 1)
			return CONVERT_GOOD;
		return UFFDVRAM_STAY_SHARED;
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STAY_POISONED;
	case UFFDVRAM_ENTRY_MOVING:
		return UFFDVRAM_STAY_BUSY;
	default:
		return CONVERT_GOOD;
	}
}

/* Its contents were private, and it is not there any more: whatever is there is another. */
static bool convert_is_gone(const struct convert *c, unsigned long addr, unsigned int i)
{
	return c->r->exclusive && uffdvram_exclusive_keeps(c->r, addr) &&
	       c->look[i].entry != UFFDVRAM_ENTRY_MOVING &&
	       (c->look[i].entry != UFFDVRAM_ENTRY_VRAM || !c->look[i].private);
}

static void convert_put(struct convert *c, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (c->pages[i])
			put_page(c->pages[i]);
}

/* The VMA at @addr, if it can be converted; else ERR_PTR. */
static struct vm_area_struct *convert_vma(const struct convert *c, unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(c->mm, addr);
	int ret;

	if (!vma)
		return ERR_PTR(-EFAULT);
	if (!uffdvram_vma_is_ours(vma))
		return ERR_PTR(-EINVAL);
	ret = c->private ? uffdvram_exclusive_check(c->r, vma) : 0;
	return ret ? ERR_PTR(ret) : vma;
}

/*
 * Looks at a few pages from @addr on: how many are as they should be, from the first on;
 * 0: the first is not, see @at and @why; or an errno.
 */
static int convert_look(struct convert *c, unsigned long addr, unsigned long end)
{
	struct vm_area_struct *vma = convert_vma(c, addr);
	unsigned int i, n;
	u8 why = CONVERT_GOOD;

	mmap_assert_locked(c->mm);
	c->at = addr;
	if (IS_ERR(vma)) {
		c->why = UFFDVRAM_STAY_NOT_ANON;
		return PTR_ERR(vma);
	}
	end = min3(end, vma->vm_end, ALIGN(addr + 1, PMD_SIZE));
	n = (end - addr) >> PAGE_SHIFT;
	uffdvram_walk(vma, addr, end, c->look, c->pages);
	for (i = 0; i < n; i++, addr += PAGE_SIZE) {
		why = convert_is_gone(c, addr, i) ? UFFDVRAM_STAY_POISONED :
		      c->private ? convert_judge_private(c, addr, i) :
				   convert_judge_shared(c, i);
		if (why != CONVERT_GOOD)
			break;
	}
	c->why = why;
	convert_put(c, n);
	return i ?: why == UFFDVRAM_STAY_POISONED ? -EHWPOISON : 0;
}

static int convert_look_alone(struct convert *c, unsigned long addr, unsigned long end)
{
	int ret;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(c->mm)))
		return -EINTR;
	ret = convert_look(c, addr, end);
	mmap_read_unlock(c->mm);
	return ret;
}

/*
 * Has a page faulted in, or made our own. Never where userfaultfd would be asked: the
 * answer might be the caller's.
 */
static int convert_fault(struct convert *c, unsigned long addr, unsigned int flags)
{
	bool unlocked = false, hole = c->look[0].entry == UFFDVRAM_ENTRY_NONE ||
				      c->look[0].entry == UFFDVRAM_ENTRY_MARKER;
	struct vm_area_struct *vma;
	int ret;

	if (c->mm != current->mm)
		flags |= FAULT_FLAG_REMOTE;
	if (may_fail(kill, -EINTR, mmap_read_lock_killable(c->mm)))
		return -EINTR;
	vma = convert_vma(c, addr);
	if (IS_ERR(vma))
		ret = PTR_ERR(vma);
	else if (hole && userfaultfd_missing(vma))
		ret = -ENODATA;
	else if (uffdvram_uffd_hides(vma))
		ret = -EBUSY;
	else
		ret = may_fail(core, -ENOMEM, fixup_user_fault(c->mm, addr, flags, &unlocked));
	mmap_read_unlock(c->mm);
	if (ret == -EFAULT &&
	    convert_look_alone(c, addr, addr + PAGE_SIZE) == -EHWPOISON)
		ret = -EHWPOISON;
	return ret;
}

/* A page that did not move: 0: try again. */
static int convert_judge_stay(struct convert *c, unsigned long addr, u8 fate)
{
	if (fate < UFFDVRAM_STAY_MAX_)
		c->why = fate;
	switch (fate) {
	case UFFDVRAM_STAY_MISSING:
		return convert_fault(c, addr, c->look[0].entry == UFFDVRAM_ENTRY_ZERO ?
					      FAULT_FLAG_UNSHARE : 0);
	case UFFDVRAM_STAY_SWAPPED:
		return convert_fault(c, addr, 0);
	case UFFDVRAM_STAY_SHARED:
		return convert_fault(c, addr, FAULT_FLAG_UNSHARE);
	case UFFDVRAM_STAY_PINNED:
	case UFFDVRAM_STAY_LARGE_FOLIO:
	case UFFDVRAM_STAY_SLOT_BUSY:
		return -EBUSY;
	default:
		return uffdvram_migrate_errno(fate);
	}
}

/* Does what the first page of a step needs: 0: look again; else an errno. */
static int convert_help(struct convert *c, unsigned long addr, unsigned long end)
{
	int ret;

	if (c->look[0].entry == UFFDVRAM_ENTRY_VRAM) {
		switch (c->why) {
		case UFFDVRAM_STAY_SLOT_BUSY:
			return uffdvram_move_home(c->s, c->mm, addr);
		case UFFDVRAM_STAY_SHARED:
			/* Nor does it come home to be unshared, if it is private already. */
			return c->look[0].private ? -EBUSY :
			       convert_fault(c, addr, FAULT_FLAG_UNSHARE);
		default:
			return -EBUSY;
		}
	}
	ret = uffdvram_move_in(c->s, c->mm, c->r, addr, end, false);
	if (ret < 0)
		return ret;
	return convert_judge_stay(c, addr, uffdvram_migrate_fate(c->s, 0));
}

/* Moves the part of a range in, up to @end: 0, or what stands against it. */
static int convert_fill_range(struct convert *c, unsigned long addr, unsigned long end)
{
	unsigned int tries = 0;
	int ret;

	while (addr < end) {
		if (signal_pending(current))
			return -EINTR;
		ret = convert_look_alone(c, addr, end);
		if (ret < 0)
			return ret;
		if (ret)
			tries = 0;
		addr += (unsigned long)ret << PAGE_SHIFT;
		cond_resched();
		if (ret)
			continue;
		if (++tries > CONVERT_TRIES)
			return -EBUSY;
		ret = convert_help(c, addr, end);
		if (ret)
			return ret;
	}
	return 0;
}

/* Likewise all of it from @addr on. */
static int convert_fill(struct convert *c, unsigned long addr)
{
	unsigned long end, stop = convert_end(c);
	int ret = 0;

	while (!ret && addr < stop) {
		c->at = addr;
		c->r = uffdvram_range_find(c->umm, addr, &end);
		if (!c->r)
			return -ENOENT;
		end = min(end, stop);
		ret = convert_fill_range(c, addr, end);
		/* It may have ended meanwhile: who did that saw not all of it. */
		uffdvram_range_settle(c->r);
		uffdvram_range_put(c->r);
		addr = end;
	}
	return ret;
}

/* A page that has come home meanwhile moves once more: 1; 0: it does not; or an errno. */
static int convert_late(struct convert *c, unsigned long addr, unsigned long end, int *late)
{
	int ret;

	if (!c->private || c->look[0].entry != UFFDVRAM_ENTRY_EXCLUSIVE || *late <= 0)
		return 0;
	end = min(end, addr + *late * PAGE_SIZE);
	ret = uffdvram_move_in_locked(c->s, c->mm, c->r, addr, end);
	if (ret < 0)
		return ret;
	*late -= ret;
	return uffdvram_migrate_fate(c->s, 0) == UFFDVRAM_DID_MOVE;
}

/* Pages that are as they should be now, from the first on; 0: none; or an errno. */
static int convert_look_late(struct convert *c, unsigned long addr, unsigned long end,
			     int *late)
{
	struct vm_area_struct *vma = vma_lookup(c->mm, addr);
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (vma)
		vma_start_write(vma);
	ret = convert_look(c, addr, end);
	if (ret)
		return ret;
	ret = convert_late(c, addr, end, late);
	return ret > 0 ? convert_look(c, addr, end) : ret;
}

/* Whether all of it is as it should be: 0; -EAGAIN: not now; or an errno. */
static int convert_check(struct convert *c)
{
	unsigned long addr = c->arg->addr, end, stop = convert_end(c);
	int ret = 0, late = CONVERT_LATE;

	mmap_assert_write_locked(c->mm);
	while (ret >= 0 && addr < stop) {
		c->at = addr;
		c->r = uffdvram_range_find(c->umm, addr, &end);
		if (!c->r)
			return -ENOENT;
		end = min(end, stop);
		while (addr < end) {
			ret = convert_look_late(c, addr, end, &late);
			if (ret <= 0)
				break;
			addr += (unsigned long)ret << PAGE_SHIFT;
			cond_resched();
		}
		uffdvram_range_settle(c->r);
		uffdvram_range_put(c->r);
		if (!ret)
			ret = -EAGAIN;
	}
	return min(ret, 0);
}

/* One page that was found to be good. */
static void convert_set(struct convert *c, struct page *page)
{
	struct uffdvram_vram *v = uffdvram_vram_of(page);
	unsigned long slot = uffdvram_slot_of(v, page);

	if (!c->private) {
		if (uffdvram_slot_make_shared(&v->slots, slot))
			uffdvram_stat_inc(convert_shared);
		return;
	}
	if (uffdvram_slot_make_private(&v->slots, slot))
		uffdvram_stat_inc(convert_private);
	/* Its range, or its pool, has ended meanwhile: who did that may have been too early. */
	if (uffdvram_vram_slot_state(v, slot) & UFFDVRAM_SLOT_LOST)
		uffdvram_vram_kick(v, 0);
}

/* What the books of exclusive ranges say. One that has ended meanwhile has none. */
static void convert_enter(struct convert *c)
{
	unsigned long addr = c->arg->addr, end, stop = convert_end(c);
	struct uffdvram_range *r;

	if (!READ_ONCE(c->umm->exclusive))
		return;
	for (; addr < stop; addr = end) {
		end = addr + PAGE_SIZE;
		r = uffdvram_range_find(c->umm, addr, &end);
		if (!r)
			continue;
		end = min(end, stop);
		uffdvram_exclusive_set(r, addr, end, c->private);
		uffdvram_range_put(r);
	}
}

/* All of it has been found to be good, and nothing can have changed. */
static void convert_set_all(struct convert *c)
{
	unsigned long addr = c->arg->addr, end, stop = convert_end(c);
	struct vm_area_struct *vma;
	unsigned int i, n;

	for (; addr < stop; addr = end) {
		vma = vma_lookup(c->mm, addr);
		end = min3(stop, vma->vm_end, ALIGN(addr + 1, PMD_SIZE));
		n = (end - addr) >> PAGE_SHIFT;
		uffdvram_walk(vma, addr, end, c->look, c->pages);
		for (i = 0; i < n; i++)
			if (c->pages[i])
				convert_set(c, c->pages[i]);
		convert_put(c, n);
		cond_resched();
	}
}

/* All at once, or nothing: 0; -EAGAIN: something has changed; or an errno. */
static int convert_flip(struct convert *c)
{
	int ret;

	if (may_fail(kill, -EINTR, mmap_write_lock_killable(c->mm)))
		return -EINTR;
	ret = convert_check(c);
	if (!ret) {
		convert_enter(c);
		convert_set_all(c);
	}
	mmap_write_unlock(c->mm);
	return ret;
}

/* As often as seems reasonable, without waiting. */
static int convert_try(struct convert *c)
{
	unsigned long from = c->arg->addr;
	unsigned int tries = 0;
	int ret;

	do {
		if (signal_pending(current))
			return -EINTR;
		if (tries)
			uffdvram_stat_inc(convert_raced);
		ret = c->private ? convert_fill(c, from) : 0;
		if (!ret)
			ret = convert_flip(c);
		from = c->at;
	} while (ret == -EAGAIN && ++tries < CONVERT_TRIES);
	return ret == -EAGAIN ? -EBUSY : ret;
}

static int convert_run(struct convert *c)
{
	u64 until = ktime_get_ns() + (u64)c->arg->timeout_ms * NSEC_PER_MSEC;
	long pause = 1;
	int ret;

	for (;;) {
		ret = convert_try(c);
		if (ret != -EBUSY || !(c->arg->flags & UFFDVRAM_CONVERT_WAIT) ||
		    ktime_get_ns() >= until)
			return ret;
		schedule_timeout_interruptible(pause);
		pause = min(2 * pause, CONVERT_PAUSE_MAX);
	}
}

static int convert_in_mm(struct convert *c)
{
	int ret = -ENOMEM;

	c->s = uffdvram_migrate_step_alloc();
	if (c->s)
		ret = convert_run(c);
	uffdvram_migrate_step_free(c->s);
	switch (ret) {
	case -EBUSY:
		c->arg->cause = c->why;
		fallthrough;
	case -ENODATA:
	case -ENOENT:
	case -EHWPOISON:
	case -EFAULT:
	case -EINVAL:
	case -ENOSPC:
	case -EDQUOT:
	case -EIO:
	case -ESTALE:
		c->arg->bad_addr = c->at;
	}
	return ret;
}

int uffdvram_ioctl_convert(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_convert *arg = ucmd->cmd;
	struct convert *c;
	int ret = -ESRCH;
	u64 end;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    !(arg->flags & UFFDVRAM_CONVERT_WAIT) != !arg->timeout_ms)
		return -EINVAL;

	c = may_fail(alloc, NULL, kvzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT));
	if (!c)
		return -ENOMEM;
	c->arg = arg;
	c->private = arg->flags & UFFDVRAM_CONVERT_PRIVATE;
	c->umm = ucmd->ctx->umm;
	c->mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (c->mm) {
		ret = convert_in_mm(c);
		mmput(c->mm);
	}
	kvfree(c);
	return ret;
}
