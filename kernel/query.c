// SPDX-License-Identifier: GPL-2.0-only
/* The QUERY ioctl: where each page lives, as runs. */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "inject.h"
#include "lock.h"
#include "query.h"
#include "ucmd.h"
#include "walk.h"

/**
 * struct query - one QUERY in progress
 * @arg: the caller's argument
 * @run: the run that grows; empty at first
 * @full: the caller's array is
 * @look: one step
 */
struct query {
	struct uffdvram_query *arg;
	struct uffdvram_region run;
	bool full;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
};

static u32 query_state(struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_ZERO:
	case UFFDVRAM_ENTRY_EXCLUSIVE:
	case UFFDVRAM_ENTRY_SHARED:
	case UFFDVRAM_ENTRY_KSM:
	case UFFDVRAM_ENTRY_PRESENT:
		return UFFDVRAM_STATE_PRESENT;
	case UFFDVRAM_ENTRY_VRAM:
		return UFFDVRAM_STATE_VRAM;
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return UFFDVRAM_STATE_POISON;
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_SWAP:
	case UFFDVRAM_ENTRY_MOVING:
	case UFFDVRAM_ENTRY_MARKER:
		break;
	}
	return UFFDVRAM_STATE_OTHER;
}

/* Hands the run to the caller and counts it. No lock is held. */
static int query_flush(struct query *q)
{
	struct uffdvram_region __user *vec = u64_to_user_ptr(q->arg->vec);
	struct uffdvram_query *arg = q->arg;
	u64 pages = (q->run.end - q->run.start) >> PAGE_SHIFT;

	if (!pages)
		return 0;
	if (arg->vec) {
		if (arg->used == arg->vec_len) {
			q->full = true;
			return 0;
		}
		if (may_fail(user, true, copy_to_user(vec + arg->used, &q->run, sizeof(q->run))))
			return -EFAULT;
		arg->used++;
	}
	arg->count[q->run.state] += pages;
	if (q->run.flags & UFFDVRAM_REGION_HUGE)
		arg->count[UFFDVRAM_STATE_HUGE] += pages;
	arg->done = q->run.end - arg->addr;
	return 0;
}

/* Lets the run grow to @end, or begins a new one. */
static int query_add(struct query *q, u64 end, u32 state, u32 flags)
{
	int ret;

	if (q->run.state != state || q->run.flags != flags) {
		ret = query_flush(q);
		if (ret || q->full)
			return ret;
		q->run.start = q->run.end;
		q->run.state = state;
		q->run.flags = flags;
	}
	q->run.end = end;
	return 0;
}

/*
 * Looks at one step from @addr on. Returns where it ends; *@looked tells whether
 * q->look says what is there: else there is nothing.
 */
static unsigned long query_step(struct query *q, struct mm_struct *mm,
				unsigned long addr, unsigned long end,
				bool *looked)
{
	unsigned long next = min(end, ALIGN(addr + 1, PMD_SIZE));
	struct vm_area_struct *vma;

	*looked = false;
	if (may_fail(kill, -EINTR, mmap_read_lock_killable(mm)))
		return addr;
	vma = find_vma(mm, addr);
	if (!vma || vma->vm_start >= end) {
		next = end;
	} else if (vma->vm_start > addr) {
		next = vma->vm_start;
	} else {
		next = min(next, vma->vm_end);
		if (uffdvram_vma_is_ours(vma)) {
			uffdvram_walk(vma, addr, next, q->look, NULL);
			*looked = true;
		}
	}
	mmap_read_unlock(mm);
	return next;
}

static int query_run(struct query *q, struct mm_struct *mm)
{
	unsigned long addr = q->arg->addr, end = addr + q->arg->len, next;
	unsigned int i;
	bool looked;
	int ret = 0;

	q->run.start = addr;
	q->run.end = addr;
	while (addr < end && !q->full) {
		if (signal_pending(current))
			return -EINTR;
		next = query_step(q, mm, addr, end, &looked);
		if (next == addr)
			return -EINTR;
		if (!looked)
			ret = query_add(q, next, UFFDVRAM_STATE_OTHER, 0);
		for (i = 0; looked && !ret && !q->full && addr < next; i++) {
			addr += PAGE_SIZE;
			ret = query_add(q, addr, query_state(q->look[i]),
					q->look[i].huge ? UFFDVRAM_REGION_HUGE : 0);
		}
		if (ret)
			return ret;
		addr = next;
		cond_resched();
	}
	return q->full ? 0 : query_flush(q);
}

int uffdvram_ioctl_query(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_query *arg = ucmd->cmd;
	struct mm_struct *mm;
	struct query *q;
	u64 end;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    !arg->vec != !arg->vec_len)
		return -EINVAL;

	mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (!mm)
		return -ESRCH;
	q = may_fail(alloc, NULL, kvzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT));
	if (q) {
		q->arg = arg;
		ret = query_run(q, mm);
		kvfree(q);
	} else {
		ret = -ENOMEM;
	}
	mmput(mm);
	return ret;
}
