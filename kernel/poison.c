// SPDX-License-Identifier: GPL-2.0-only
/*
 * The POISON ioctl: puts the kernel's own marker in place of pages, and takes it away.
 *
 * A step is a piece of one VMA below one PMD. Throughout it mmap_lock is held for
 * writing and the VMA is locked: a fault, get_user_pages() and KVM wait for it, and
 * who looks without a lock (get_user_pages_fast()) finds the old page, or nothing and
 * waits, too, or the mark. Nobody can put a page where one was just dropped. Only this
 * address space's mapping of a page is dropped: others keep theirs.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>

#include <linux/leafops.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "exclusive.h"
#include "inject.h"
#include "lock.h"
#include "poison.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "walk.h"

/**
 * struct poison - one POISON in progress
 * @arg: the caller's argument
 * @mm: address space, with a reference on its users
 * @r: the range of the step
 * @vma: the VMA of the step, locked
 * @addr: first byte of the step
 * @look: the step
 * @alike: all looks of it are the same, as most often
 */
struct poison {
	struct uffdvram_poison *arg;
	struct mm_struct *mm;
	struct uffdvram_range *r;
	struct vm_area_struct *vma;
	unsigned long addr;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
	bool alike;
};

static bool poison_replaces(const struct poison *p)
{
	return p->arg->flags & UFFDVRAM_POISON_REPLACE;
}

static bool poison_is_there(struct uffdvram_look look)
{
	return look.entry == UFFDVRAM_ENTRY_POISON ||
	       look.entry == UFFDVRAM_ENTRY_LOST;
}

/* Nothing is here that a process would miss. */
static bool poison_is_hole(struct uffdvram_look look)
{
	return look.entry == UFFDVRAM_ENTRY_NONE ||
	       (look.entry == UFFDVRAM_ENTRY_MARKER && !look.guard);
}

/*
 * Whether a page may become poison. A guard region is its owner's: taking the mark away
 * would not bring it back.
 */
static bool poison_may(const struct poison *p, struct uffdvram_look look)
{
	if (look.guard)
		return false;
	return poison_replaces(p) || poison_is_there(look) || poison_is_hole(look);
}

/* How many pages of the step, from its first on, may. */
static unsigned int poison_reach(const struct poison *p, unsigned int n)
{
	unsigned int i;

	if (p->alike)
		return poison_may(p, p->look[0]) ? n : 0;
	for (i = 0; i < n && poison_may(p, p->look[i]); i++)
		;
	return i;
}

static void poison_zap(struct poison *p, unsigned int first, unsigned int n)
{
	if (n)
		zap_vma_range(p->vma, p->addr + first * PAGE_SIZE, n * PAGE_SIZE);
}

/* Has the core take a fault that must not wait: nobody is told of it. */
static void poison_fault(struct poison *p, unsigned long addr, unsigned int flags)
{
	flags |= FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
	if (!p->vma->anon_vma)
		may_fail(core, 0, handle_mm_fault(p->vma, addr, flags, NULL));
}

/*
 * fork() copies the entries only of VMAs that have an anon_vma: in a child's copy of
 * one without, the marks would be missing, and pages of zeroes in their place. What
 * gives a VMA its anon_vma is not exported, but a fault that needs one does that
 * before all else.
 *
 * Where userfaultfd waits for missing pages, a write fault that must not wait is told
 * to come again, with nothing done. Elsewhere the zero page is mapped and then unshared,
 * which fills one page and no more. As there is a table of PTEs, neither fault makes a
 * huge page.
 */
static int poison_give_anon_vma(struct poison *p, unsigned int i)
{
	unsigned long addr = p->addr + i * PAGE_SIZE;

	if (p->look[i].entry == UFFDVRAM_ENTRY_ZERO) {
		poison_fault(p, addr, FAULT_FLAG_UNSHARE);
		if (p->vma->anon_vma)
			return 0;
		/* Of that, too, userfaultfd may want to be told: then it has to go. */
		if (!uffdvram_uffd_protects(p->vma))
			return -ENOMEM;
		poison_zap(p, i, 1);
	}
	poison_fault(p, addr, userfaultfd_missing(p->vma) ? FAULT_FLAG_WRITE : 0);
	poison_fault(p, addr, FAULT_FLAG_UNSHARE);
	poison_zap(p, i, 1);
	return p->vma->anon_vma ? 0 : -ENOMEM;
}

/*
 * Whatever can fail, before anything is dropped: 0 or -ENOMEM. Only where the first page
 * is a hole may there be no table of PTEs: a huge page keeps one for when it is split.
 */
static int poison_prepare(struct poison *p, unsigned int n)
{
	unsigned int i;
	int ret = 0;

	if (poison_is_hole(p->look[0]))
		ret = may_fail(alloc, -ENOMEM,
			       apply_to_page_range(p->mm, p->addr, PAGE_SIZE, NULL, NULL));
	/* Without an anon_vma there is nothing but holes, zero pages and markers. */
	for (i = 0; !ret && !p->vma->anon_vma && i < n; i++)
		if (!poison_is_there(p->look[i]))
			ret = poison_give_anon_vma(p, i);
	return ret;
}

/*
 * Marks up to @n pages: how many, or an errno. The first page is dropped alone, which
 * makes the core take an entry of 2 MiB apart: so there is a table for the marks.
 */
static int poison_mark(struct poison *p, unsigned int n)
{
	unsigned int others;
	int ret;

	n = poison_reach(p, n);
	if (!n)
		return -EEXIST;
	/* An entry of 2 MiB has no table for marks, and what is lost in it needs none. */
	if (!poison_replaces(p) && p->look[0].huge)
		return n;
	ret = poison_prepare(p, n);
	if (ret)
		return ret;
	/* What was private goes on request. */
	uffdvram_exclusive_set(p->r, p->addr, p->addr + n * PAGE_SIZE, false);
	if (poison_replaces(p)) {
		poison_zap(p, 0, 1);
		poison_zap(p, 1, n - 1);
	}
	/* What is poison in another way stays so. */
	others = uffdvram_walk_poison(p->vma, p->addr, n);
	uffdvram_stat_add(poison_marked, n);
	return WARN_ON_ONCE(others && poison_replaces(p)) ? -EBUSY : n;
}

/* Makes holes of what is poison among @n pages; the others stay. Returns @n. */
static int poison_undo(struct poison *p, unsigned int n)
{
	unsigned int i, first;

	for (i = 0; i < n; i++) {
		for (first = i; i < n && poison_is_there(p->look[i]); i++)
			;
		uffdvram_exclusive_set(p->r, p->addr + first * PAGE_SIZE,
				       p->addr + i * PAGE_SIZE, false);
		poison_zap(p, first, i - first);
		uffdvram_stat_add(poison_undone, i - first);
	}
	return n;
}

/* The VMA at @addr, if its pages may be dropped; else ERR_PTR. */
static struct vm_area_struct *poison_vma(const struct poison *p, unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(p->mm, addr);

	if (!vma)
		return ERR_PTR(-ENOENT);
	if (!uffdvram_vma_is_ours(vma))
		return ERR_PTR(-EINVAL);
	/* As MADV_DONTNEED has it. */
	if ((vma->vm_flags & VM_SEALED) && !(vma->vm_flags & VM_WRITE))
		return ERR_PTR(-EPERM);
	return vma;
}

/* From @addr to @end at most: how many pages were handled, or an errno. */
static int poison_step(struct poison *p, unsigned long addr, unsigned long end)
{
	int ret;

	if (may_fail(kill, -EINTR, mmap_write_lock_killable(p->mm)))
		return -EINTR;
	p->vma = poison_vma(p, addr);
	if (IS_ERR(p->vma)) {
		ret = PTR_ERR(p->vma);
	} else {
		vma_start_write(p->vma);
		end = min3(end, p->vma->vm_end, ALIGN(addr + 1, PMD_SIZE));
		p->addr = addr;
		p->alike = uffdvram_walk_briefly(p->vma, addr, end, p->look);
		if (p->arg->flags & UFFDVRAM_POISON_UNDO)
			ret = poison_undo(p, (end - addr) >> PAGE_SHIFT);
		else
			ret = poison_mark(p, (end - addr) >> PAGE_SHIFT);
	}
	mmap_write_unlock(p->mm);
	return ret;
}

/* The part of one range, from addr + done to @end. */
static int poison_range(struct poison *p, unsigned long end)
{
	struct uffdvram_poison *arg = p->arg;
	unsigned long addr;
	int n;

	while ((addr = arg->addr + arg->done) < end) {
		if (signal_pending(current))
			return -EINTR;
		n = poison_step(p, addr, end);
		if (n == -EEXIST)
			arg->bad_addr = addr;
		if (n < 0)
			return n;
		arg->done += n * PAGE_SIZE;
		cond_resched();
	}
	return 0;
}

static int poison_ranges(struct uffdvram_ctx *ctx, struct poison *p)
{
	struct uffdvram_poison *arg = p->arg;
	struct uffdvram_range *r;
	unsigned long end;
	int ret = 0;

	while (!ret && arg->done < arg->len) {
		r = uffdvram_range_find(ctx->umm, arg->addr + arg->done, &end);
		if (!r)
			return -ENOENT;
		p->r = r;
		ret = poison_range(p, min_t(u64, end, arg->addr + arg->len));
		uffdvram_range_put(r);
	}
	return ret;
}

int uffdvram_ioctl_poison(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_poison *arg = ucmd->cmd;
	struct poison *p;
	u64 end;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    (arg->flags & UFFDVRAM_POISON_REPLACE &&
	     arg->flags & UFFDVRAM_POISON_UNDO))
		return -EINVAL;

	p = may_fail(alloc, NULL, kvzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT));
	if (!p)
		return -ENOMEM;
	p->arg = arg;
	p->mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (p->mm) {
		ret = poison_ranges(ucmd->ctx, p);
		mmput(p->mm);
	} else {
		ret = -ESRCH;
	}
	kvfree(p);
	return ret;
}
