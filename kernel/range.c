// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "event.h"
#include "lock.h"
#include "owner.h"
#include "range.h"
#include "ucmd.h"
#include "vram.h"
#include "walk.h"

static void range_free(struct kref *ref)
{
	struct uffdvram_range *r = container_of(ref, struct uffdvram_range, ref);

	if (r->owner)
		uffdvram_owner_put(r->owner, 1);
	if (r->v)
		uffdvram_vram_put(r->v);
	uffdvram_mm_put(r->umm);
	kfree_rcu(r, rcu);
}

void uffdvram_range_put(struct uffdvram_range *r)
{
	kref_put(&r->ref, range_free);
}

/**
 * uffdvram_range_find() - the range at an address, of whichever context
 * @umm: address space
 * @addr: any address
 *
 * Return: the range with a reference, or NULL.
 */
struct uffdvram_range *uffdvram_range_find(struct uffdvram_mm *umm,
					   unsigned long addr)
{
	struct uffdvram_range *r;

	mutex_lock(&umm->lock);
	r = mtree_load(&umm->ranges, addr);
	if (r)
		kref_get(&r->ref);
	mutex_unlock(&umm->lock);
	return r;
}

/**
 * uffdvram_range_settle() - after placing pages for a range
 * @r: the range
 *
 * If it was unregistered meanwhile, what was placed are orphans that its pool's
 * worker may have come too early for.
 */
void uffdvram_range_settle(struct uffdvram_range *r)
{
	/* Pairs with the one in range_end(): one of the two sees the other. */
	smp_mb();
	if (READ_ONCE(r->owner->dead) && r->v)
		uffdvram_vram_kick(r->v, 0);
}

/* Its slots are orphans from here on. */
static void range_end(struct uffdvram_range *r)
{
	WRITE_ONCE(r->owner->dead, true);
	/* Pairs with the one in uffdvram_range_settle(). */
	smp_mb();
	if (r->v) {
		uffdvram_vram_leave(r->v, r->owner);
		uffdvram_vram_kick(r->v, 0);
	}
}

/* Whether all of [start, end) is private anonymous memory: 0 or an errno. */
static int range_check_vmas(struct mm_struct *mm, unsigned long start,
			    unsigned long end)
{
	struct vm_area_struct *vma;
	int ret = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (!ret && start < end) {
		vma = find_vma(mm, start);
		if (!vma || vma->vm_start > start)
			ret = -ENOENT;
		else if (!uffdvram_vma_is_ours(vma))
			ret = -EINVAL;
		else
			start = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return ret;
}

/* Puts a range among those of its address space. */
static int range_insert(struct uffdvram_range *r)
{
	struct uffdvram_mm *umm = r->umm;
	int ret;

	mutex_lock(&umm->lock);
	ret = mtree_insert_range(&umm->ranges, r->start, r->end - 1, r,
				 GFP_KERNEL_ACCOUNT);
	if (ret == -EEXIST) {
		ret = -EBUSY;
	} else if (!ret && umm->nr_ranges == UFFDVRAM_MAX_RANGES) {
		mtree_erase(&umm->ranges, r->start);
		ret = -ENOSPC;
	} else if (!ret) {
		umm->nr_ranges++;
	}
	mutex_unlock(&umm->lock);
	return ret;
}

static void range_erase(struct uffdvram_range *r)
{
	struct uffdvram_mm *umm = r->umm;

	mutex_lock(&umm->lock);
	mtree_erase(&umm->ranges, r->start);
	umm->nr_ranges--;
	mutex_unlock(&umm->lock);
}

static int range_set_pool(struct uffdvram_range *r, u32 pool,
			  const struct uffdvram_ctx *ctx)
{
	if (!pool)
		return 0;
	r->v = uffdvram_vram_get(pool);
	if (!r->v)
		return -ENODEV;
	if (!uffdvram_vram_allowed(r->v, ctx) || READ_ONCE(r->v->slots.closed))
		return -ENODEV;
	return 0;
}

/* A range with everything but its places in the books. */
static struct uffdvram_range *
range_new(struct uffdvram_ctx *ctx, const struct uffdvram_range_register *arg)
{
	struct uffdvram_range *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!r)
		return ERR_PTR(-ENOMEM);
	kref_init(&r->ref);
	kref_get(&ctx->umm->ref);
	r->umm = ctx->umm;
	r->start = arg->addr;
	r->end = arg->addr + arg->len;
	ret = range_set_pool(r, arg->pool, ctx);
	if (ret)
		goto err_put;
	r->owner = uffdvram_owner_new(ctx->events, ctx->user);
	if (!r->owner) {
		ret = -ENOMEM;
		goto err_put;
	}
	r->owner->mm = ctx->umm->mm;
	r->owner->fault_events = arg->flags & UFFDVRAM_RANGE_FAULT_EVENTS;
	return r;

err_put:
	uffdvram_range_put(r);
	return ERR_PTR(ret);
}

static void range_register_finish(struct uffdvram_ucmd *ucmd, bool ok)
{
	struct uffdvram_range *r = ucmd->obj;
	struct uffdvram_ctx *ctx = ucmd->ctx;

	if (ok) {
		/* Its number is reserved: allocates nothing, cannot fail. */
		xa_store(&ctx->ranges, r->id, r, GFP_KERNEL);
		return;
	}
	xa_erase(&ctx->ranges, r->id);
	range_erase(r);
	range_end(r);
	uffdvram_range_put(r);
}

static int range_register_check(const struct uffdvram_range_register *arg,
				struct mm_struct *mm)
{
	u64 end;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    end > mm->task_size || arg->pool_off)
		return -EINVAL;
	return range_check_vmas(mm, arg->addr, end);
}

int uffdvram_ioctl_range_register(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_range_register *arg = ucmd->cmd;
	struct uffdvram_ctx *ctx = ucmd->ctx;
	struct uffdvram_range *r;
	struct mm_struct *mm;
	int ret;

	mm = uffdvram_ctx_mmget(ctx);
	if (!mm)
		return -ESRCH;
	ret = range_register_check(arg, mm);
	mmput(mm);
	if (ret)
		return ret;

	r = range_new(ctx, arg);
	if (IS_ERR(r))
		return PTR_ERR(r);
	ret = xa_alloc(&ctx->ranges, &r->id, NULL, XA_LIMIT(1, U32_MAX),
		       GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_put;
	r->owner->range = r->id;
	ret = range_insert(r);
	if (ret)
		goto err_id;
	if (r->v)
		uffdvram_vram_join(r->v, r->owner);
	arg->range = r->id;
	ucmd->obj = r;
	ucmd->finish = range_register_finish;
	return 0;

err_id:
	xa_erase(&ctx->ranges, r->id);
err_put:
	uffdvram_range_put(r);
	return ret;
}

int uffdvram_ioctl_range_unregister(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_range_unregister *arg = ucmd->cmd;
	struct uffdvram_range *r;

	if (arg->__reserved)
		return -EINVAL;
	/* Nothing while the range is being made: leave its place reserved. */
	xa_lock(&ucmd->ctx->ranges);
	r = xa_load(&ucmd->ctx->ranges, arg->range);
	if (r)
		__xa_erase(&ucmd->ctx->ranges, arg->range);
	xa_unlock(&ucmd->ctx->ranges);
	if (!r)
		return -ENOENT;
	range_erase(r);
	range_end(r);
	uffdvram_range_put(r);
	return 0;
}

/**
 * uffdvram_range_drop_all() - forget all ranges of a context
 * @ctx: a context that nobody uses any more
 */
void uffdvram_range_drop_all(struct uffdvram_ctx *ctx)
{
	struct uffdvram_range *r;
	unsigned long id;

	xa_for_each(&ctx->ranges, id, r) {
		range_erase(r);
		range_end(r);
		uffdvram_range_put(r);
	}
}

/**
 * uffdvram_range_unmapped() - memory of an address space is going
 * @umm: address space
 * @start: first byte
 * @end: first byte after it
 *
 * Tells the contexts whose ranges lose memory. Called by a notifier: takes no
 * mutex, needs no memory.
 */
void uffdvram_range_unmapped(struct uffdvram_mm *umm, unsigned long start,
			     unsigned long end)
{
	struct uffdvram_event event = {
		.type = UFFDVRAM_EVENT_RANGE_GONE,
		.cause = UFFDVRAM_GONE_UNMAPPED,
	};
	struct uffdvram_range *r;
	unsigned long index = start;

	rcu_read_lock();
	mt_for_each(&umm->ranges, r, index, end - 1) {
		event.range = r->id;
		event.addr = max(start, r->start);
		event.len = min(end, r->end) - event.addr;
		uffdvram_event_push(r->owner->events, &event);
	}
	rcu_read_unlock();
}
