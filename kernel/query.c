// SPDX-License-Identifier: GPL-2.0-only
/* The QUERY ioctl: where each page lives, as runs. And POISON_LIST: only the poison. */
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
 * struct query - one QUERY or POISON_LIST in progress
 * @addr: first byte
 * @len: bytes
 * @vec: where regions go; NULL: they are only counted
 * @vec_len: how many there is room for
 * @poison: only poison makes regions
 * @used: regions written
 * @done: bytes handled
 * @count: pages by state
 * @run: the run that grows; empty at first
 * @full: the caller's array is
 * @look: one step
 */
struct query {
	u64 addr;
	u64 len;
	struct uffdvram_region __user *vec;
	u64 vec_len;
	bool poison;
	u64 used;
	u64 done;
	u64 count[UFFDVRAM_STATE_MAX_];
	struct uffdvram_region run;
	bool full;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
};

/* enum uffdvram_state of a page that was looked at */
u32 uffdvram_query_state(struct uffdvram_look look)
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

static u32 query_flags(struct uffdvram_look look)
{
	return (look.huge ? UFFDVRAM_REGION_HUGE : 0) |
	       (look.leased ? UFFDVRAM_REGION_LEASED : 0) |
	       (look.private ? UFFDVRAM_REGION_PRIVATE : 0);
}

/* Whether the run is one that the caller wants to have. */
static bool query_wanted(const struct query *q)
{
	return q->vec && (!q->poison || q->run.state == UFFDVRAM_STATE_POISON);
}

/* Hands the run to the caller and counts it. No lock is held. */
static int query_flush(struct query *q)
{
	u64 pages = (q->run.end - q->run.start) >> PAGE_SHIFT;

	if (!pages)
		return 0;
	if (query_wanted(q)) {
		if (q->used == q->vec_len) {
			q->full = true;
			return 0;
		}
		if (may_fail(user, true, copy_to_user(q->vec + q->used, &q->run,
						      sizeof(q->run))))
			return -EFAULT;
		q->used++;
	}
	q->count[q->run.state] += pages;
	if (q->run.flags & UFFDVRAM_REGION_HUGE)
		q->count[UFFDVRAM_STATE_HUGE] += pages;
	if (q->run.flags & UFFDVRAM_REGION_LEASED)
		q->count[UFFDVRAM_STATE_LEASED] += pages;
	if (q->run.flags & UFFDVRAM_REGION_PRIVATE)
		q->count[UFFDVRAM_STATE_PRIVATE] += pages;
	q->done = q->run.end - q->addr;
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

/**
 * uffdvram_query_step() - look at one step
 * @mm: address space, with a reference on its users
 * @addr: first byte
 * @end: how far to look at most
 * @look: out: UFFDVRAM_WALK_PAGES, what each page is
 * @looked: out: false: there is nothing, and @look says nothing
 *
 * Return: where the step ends; @addr if the task was killed.
 */
unsigned long uffdvram_query_step(struct mm_struct *mm, unsigned long addr,
				  unsigned long end, struct uffdvram_look *look,
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
			uffdvram_walk_briefly(vma, addr, next, look);
			*looked = true;
		}
	}
	mmap_read_unlock(mm);
	return next;
}

static int query_run(struct query *q, struct mm_struct *mm)
{
	unsigned long addr = q->addr, end = addr + q->len, next;
	unsigned int i;
	bool looked;
	int ret = 0;

	q->run.start = addr;
	q->run.end = addr;
	while (addr < end && !q->full) {
		if (signal_pending(current))
			return -EINTR;
		next = uffdvram_query_step(mm, addr, end, q->look, &looked);
		if (next == addr)
			return -EINTR;
		if (!looked)
			ret = query_add(q, next, UFFDVRAM_STATE_OTHER, 0);
		for (i = 0; looked && !ret && !q->full && addr < next; i++) {
			addr += PAGE_SIZE;
			ret = query_add(q, addr, uffdvram_query_state(q->look[i]),
					query_flags(q->look[i]));
		}
		if (ret)
			return ret;
		addr = next;
		cond_resched();
	}
	return q->full ? 0 : query_flush(q);
}

/* Answers about a piece of an address space, and fills in what came of it. */
static int query_answer(struct uffdvram_ctx *ctx, struct query *q)
{
	struct mm_struct *mm;
	u64 end;
	int ret;

	if (!q->len || !PAGE_ALIGNED(q->addr) || !PAGE_ALIGNED(q->len) ||
	    check_add_overflow(q->addr, q->len, &end) || !q->vec != !q->vec_len)
		return -EINVAL;
	mm = uffdvram_ctx_mmget(ctx);
	if (!mm)
		return -ESRCH;
	ret = query_run(q, mm);
	mmput(mm);
	return ret;
}

static struct query *query_new(u64 addr, u64 len, u64 vec, u64 vec_len)
{
	struct query *q;

	q = may_fail(alloc, NULL, kvzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT));
	if (q) {
		q->addr = addr;
		q->len = len;
		q->vec = u64_to_user_ptr(vec);
		q->vec_len = vec_len;
	}
	return q;
}

int uffdvram_ioctl_query(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_query *arg = ucmd->cmd;
	struct query *q = query_new(arg->addr, arg->len, arg->vec, arg->vec_len);
	int ret;

	if (!q)
		return -ENOMEM;
	ret = query_answer(ucmd->ctx, q);
	arg->used = q->used;
	arg->done = q->done;
	memcpy(arg->count, q->count, sizeof(arg->count));
	kvfree(q);
	return ret;
}

int uffdvram_ioctl_poison_list(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_poison_list *arg = ucmd->cmd;
	struct query *q;
	int ret;

	if (!arg->vec)
		return -EINVAL;
	q = query_new(arg->addr, arg->len, arg->vec, arg->vec_len);
	if (!q)
		return -ENOMEM;
	q->poison = true;
	ret = query_answer(ucmd->ctx, q);
	arg->used = q->used;
	arg->done = q->done;
	kvfree(q);
	return ret;
}
