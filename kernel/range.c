// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "event.h"
#include "exclusive.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "object.h"
#include "owner.h"
#include "range.h"
#include "ucmd.h"
#include "vram.h"
#include "walk.h"
#include "watch.h"

unsigned int uffdvram_max_ranges = 65536;

static void range_free(struct kref *ref)
{
	struct uffdvram_range *r = container_of(ref, struct uffdvram_range, ref);

	uffdvram_exclusive_free(r->exclusive);
	if (r->linear)
		uffdvram_slots_unkeep(&r->v->slots, r->window,
				      (r->end - r->start) >> PAGE_SHIFT);
	if (r->owner)
		uffdvram_owner_put(r->owner, 1);
	if (r->v)
		uffdvram_vram_put(r->v);
	uffdvram_mm_put(r->umm);
	object_free_rcu(r, rcu);
}

void uffdvram_range_put(struct uffdvram_range *r)
{
	kref_put(&r->ref, range_free);
}

/**
 * uffdvram_range_find() - the range at an address, of whichever context
 * @umm: address space
 * @addr: any address
 * @end: out: how far it goes on from there; its end, unless the device was
 *	mapped anew over a part of it
 *
 * Return: the range with a reference, or NULL.
 */
struct uffdvram_range *uffdvram_range_find(struct uffdvram_mm *umm,
					   unsigned long addr,
					   unsigned long *end)
{
	struct uffdvram_range *r;
	MA_STATE(mas, &umm->ranges, addr, addr);

	mutex_lock(&umm->lock);
	rcu_read_lock();
	r = mas_walk(&mas);
	if (xa_is_zero(r))
		r = NULL;
	if (r) {
		kref_get(&r->ref);
		*end = mas.last + 1;
	}
	rcu_read_unlock();
	mutex_unlock(&umm->lock);
	return r;
}

/**
 * uffdvram_range_get() - a range by its number
 * @ctx: its context
 * @id: any number
 *
 * Return: the range with a reference, or NULL.
 */
struct uffdvram_range *uffdvram_range_get(struct uffdvram_ctx *ctx, u32 id)
{
	struct uffdvram_range *r;

	xa_lock(&ctx->ranges);
	r = xa_load(&ctx->ranges, id);
	if (r)
		kref_get(&r->ref);
	xa_unlock(&ctx->ranges);
	return r;
}

/**
 * uffdvram_range_pool() - where a range's pages go
 * @r: the range
 *
 * Memory mapped from the device names no pool: it gets one when it first needs
 * it.
 *
 * Return: the pool; NULL if there is none, or it is closed.
 */
struct uffdvram_vram *uffdvram_range_pool(struct uffdvram_range *r)
{
	struct uffdvram_vram *v = READ_ONCE(r->v);

	if (!v && r->node) {
		mutex_lock(&r->umm->lock);
		/* A range that has ended is not to join a pool any more. */
		if (!r->v && !r->owner->dead) {
			v = uffdvram_vram_any(r->ctx);
			if (v)
				uffdvram_vram_join(v, r->owner);
			WRITE_ONCE(r->v, v);
		}
		v = r->v;
		mutex_unlock(&r->umm->lock);
	}
	return v && !READ_ONCE(v->slots.closed) ? v : NULL;
}

/**
 * uffdvram_range_settle() - after placing or leasing pages for a range
 * @r: the range
 *
 * If it was unregistered meanwhile, what was placed are orphans that its pool's
 * worker may have come too early for.
 */
void uffdvram_range_settle(struct uffdvram_range *r)
{
	/* Pairs with the one in range_end(): one of the two sees the other. */
	smp_mb();
	if (READ_ONCE(r->owner->dead) && r->v) {
		uffdvram_lease_revoke_owner(r->owner, 0, ULONG_MAX, UFFDVRAM_REVOKED_GONE);
		uffdvram_vram_kick(r->v, 0);
	}
}

/* Its slots are orphans from here on, which no lease keeps from coming home. */
static void range_end(struct uffdvram_range *r)
{
	/* Under the lock: uffdvram_range_pool() does nothing from here on. */
	mutex_lock(&r->umm->lock);
	WRITE_ONCE(r->owner->dead, true);
	mutex_unlock(&r->umm->lock);
	/* Pairs with the one in uffdvram_range_settle(). */
	smp_mb();
	uffdvram_lease_revoke_owner(r->owner, 0, ULONG_MAX, UFFDVRAM_REVOKED_GONE);
	if (r->v) {
		uffdvram_vram_leave(r->v, r->owner);
		uffdvram_vram_kick(r->v, 0);
	}
}

/* Whether all of [start, end) is private anonymous memory, as it should be: 0 or an errno. */
static int range_check_vmas(struct mm_struct *mm, unsigned long start,
			    unsigned long end, bool exclusive)
{
	struct vm_area_struct *vma;
	int ret = 0;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(mm)))
		return -EINTR;
	while (!ret && start < end) {
		vma = find_vma(mm, start);
		if (!vma || vma->vm_start > start)
			ret = -ENOENT;
		else if (!uffdvram_vma_is_ours(vma) ||
			 (exclusive && !uffdvram_exclusive_fits(vma)))
			ret = -EINVAL;
		else
			start = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return ret;
}

/*
 * Where the device is just being mapped nothing else is: what is in the books
 * there from an earlier mapping of it is past, and is written over.
 */
static bool range_may_be_at(const struct uffdvram_range *r)
{
	unsigned long index = r->start;
	struct uffdvram_range *old;

	lockdep_assert_held(&r->umm->lock);
	mt_for_each(&r->umm->ranges, old, index, r->end - 1)
		if (!r->node || !old->node)
			return false;
	return true;
}

/* Puts a range among those of its address space. */
static int range_insert(struct uffdvram_range *r)
{
	struct uffdvram_mm *umm = r->umm;
	int ret;

	mutex_lock(&umm->lock);
	if (!range_may_be_at(r))
		ret = -EBUSY;
	else if (umm->nr_ranges >= READ_ONCE(uffdvram_max_ranges))
		ret = -ENOSPC;
	else
		ret = may_fail(alloc, -ENOMEM,
			       mtree_store_range(&umm->ranges, r->start, r->end - 1,
						 r, GFP_KERNEL_ACCOUNT));
	if (!ret)
		umm->nr_ranges++;
	mutex_unlock(&umm->lock);
	return ret;
}

/*
 * Takes the entry at @addr out. That may need memory, and closing must not fail:
 * then a mark that stands for nothing takes its place, which needs none.
 */
static void range_erase_piece(struct uffdvram_mm *umm, unsigned long addr)
{
	MA_STATE(mas, &umm->ranges, addr, addr);

	lockdep_assert_held(&umm->lock);
	rcu_read_lock();
	mas_walk(&mas);
	rcu_read_unlock();
	if (may_fail(alloc, -ENOMEM, mtree_store_range(&umm->ranges, mas.index, mas.last,
						       NULL, GFP_KERNEL)))
		WARN_ON_ONCE(mtree_store_range(&umm->ranges, mas.index, mas.last,
					       XA_ZERO_ENTRY, GFP_KERNEL));
}

/* What is left of it: parts may have been written over. */
static void range_erase(struct uffdvram_range *r)
{
	struct uffdvram_mm *umm = r->umm;
	unsigned long index = r->start;
	struct uffdvram_range *found;

	mutex_lock(&umm->lock);
	/* @index is behind the entry that was found. */
	mt_for_each(&umm->ranges, found, index, r->end - 1)
		if (found == r)
			range_erase_piece(umm, index - 1);
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

/* Keeps the window of a linear range, and has its user pay for it. */
static int range_set_window(struct uffdvram_range *r, u64 off)
{
	u64 len = r->end - r->start, bytes = r->v->backend.bytes;
	int ret;

	if (off > bytes || len > bytes - off)
		return -EINVAL;
	ret = uffdvram_owner_prepay(r->owner, &r->v->dmem, len >> PAGE_SHIFT);
	if (ret)
		return ret;
	r->window = off >> PAGE_SHIFT;
	ret = uffdvram_slots_keep(&r->v->slots, r->window, len >> PAGE_SHIFT);
	r->linear = !ret;
	return ret;
}

/* A range with everything but its places in the books. */
static struct uffdvram_range *
range_new(struct uffdvram_ctx *ctx, const struct uffdvram_range_register *arg)
{
	struct uffdvram_range *r = object_new(r);
	int ret;

	if (!r)
		return ERR_PTR(-ENOMEM);
	kref_init(&r->ref);
	kref_get(&ctx->umm->ref);
	r->umm = ctx->umm;
	r->ctx = ctx;
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
	r->owner->start = r->start;
	r->owner->end = r->end;
	r->owner->fault_events = arg->flags & UFFDVRAM_RANGE_FAULT_EVENTS;
	if (arg->flags & UFFDVRAM_RANGE_EXCLUSIVE) {
		r->exclusive = uffdvram_exclusive_new(r);
		ret = -ENOMEM;
		if (!r->exclusive)
			goto err_put;
	}
	ret = arg->flags & UFFDVRAM_RANGE_LINEAR ?
		range_set_window(r, arg->pool_off) : 0;
	if (ret)
		goto err_put;
	return r;

err_put:
	uffdvram_range_put(r);
	return ERR_PTR(ret);
}

/* Makes a range, and puts it everywhere but into its context's list. */
static struct uffdvram_range *
range_add(struct uffdvram_ctx *ctx, const struct uffdvram_range_register *arg,
	  bool node)
{
	struct uffdvram_range *r = range_new(ctx, arg);
	int ret;

	if (IS_ERR(r))
		return r;
	r->node = node;
	ret = may_fail(alloc, -ENOMEM,
		       xa_alloc(&ctx->ranges, &r->id, NULL, XA_LIMIT(1, U32_MAX),
				GFP_KERNEL_ACCOUNT));
	if (ret)
		goto err_put;
	r->owner->range = r->id;
	ret = range_insert(r);
	if (ret)
		goto err_id;
	if (r->v)
		uffdvram_vram_join(r->v, r->owner);
	return r;

err_id:
	xa_erase(&ctx->ranges, r->id);
err_put:
	uffdvram_range_put(r);
	return ERR_PTR(ret);
}

static void range_publish(struct uffdvram_range *r)
{
	/* Its number is reserved: allocates nothing, cannot fail. */
	xa_store(&r->ctx->ranges, r->id, r, GFP_KERNEL);
}

static void range_register_finish(struct uffdvram_ucmd *ucmd, bool ok)
{
	struct uffdvram_range *r = ucmd->obj;

	if (ok) {
		range_publish(r);
		return;
	}
	xa_erase(&r->ctx->ranges, r->id);
	range_erase(r);
	range_end(r);
	uffdvram_range_put(r);
}

static int range_register_check(const struct uffdvram_range_register *arg,
				struct mm_struct *mm)
{
	bool linear = arg->flags & UFFDVRAM_RANGE_LINEAR;
	u64 end;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    end > mm->task_size)
		return -EINVAL;
	if (linear ? !arg->pool || !PAGE_ALIGNED(arg->pool_off) : arg->pool_off)
		return -EINVAL;
	return range_check_vmas(mm, arg->addr, end, arg->flags & UFFDVRAM_RANGE_EXCLUSIVE);
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
	/* These hear of what is discarded when that is done. */
	if (!ret && (arg->flags & UFFDVRAM_RANGE_EXCLUSIVE))
		ret = uffdvram_watch_departures(ctx->umm);
	mmput(mm);
	if (ret)
		return ret;
	/* Before CONVERT can find it. */
	if (arg->flags & UFFDVRAM_RANGE_EXCLUSIVE)
		WRITE_ONCE(ctx->umm->exclusive, true);

	r = range_add(ctx, arg, false);
	if (IS_ERR(r))
		return PTR_ERR(r);
	arg->range = r->id;
	ucmd->obj = r;
	ucmd->finish = range_register_finish;
	return 0;
}

/**
 * uffdvram_range_add_node() - register what is being mapped from the device
 * @ctx: the context
 * @start: first byte
 * @end: first byte after it
 *
 * mmap_lock is held.
 *
 * Return: the range, with a reference for uffdvram_range_drop(); ERR_PTR() of
 * -EBUSY, -ENOSPC or -ENOMEM.
 */
struct uffdvram_range *uffdvram_range_add_node(struct uffdvram_ctx *ctx,
					       unsigned long start,
					       unsigned long end)
{
	const struct uffdvram_range_register arg = {
		.addr = start,
		.len = end - start,
	};
	struct uffdvram_range *r = range_add(ctx, &arg, true);

	if (IS_ERR(r))
		return r;
	kref_get(&r->ref);
	range_publish(r);
	return r;
}

/*
 * Takes range @id out of its context's list; with @only, if it is that one. NULL
 * if it is not there, or while it is being made: its place stays reserved.
 */
static struct uffdvram_range *range_unpublish(struct uffdvram_ctx *ctx, u32 id,
					      const struct uffdvram_range *only)
{
	struct uffdvram_range *r;

	xa_lock(&ctx->ranges);
	r = xa_load(&ctx->ranges, id);
	if (only && r != only)
		r = NULL;
	if (r)
		__xa_erase(&ctx->ranges, id);
	xa_unlock(&ctx->ranges);
	return r;
}

static void range_forget(struct uffdvram_range *r)
{
	range_erase(r);
	range_end(r);
	uffdvram_range_put(r);
}

/**
 * uffdvram_range_drop() - the last of a mapping of the device is gone
 * @r: from uffdvram_range_add_node(); its context is alive. The reference goes
 *
 * Its user may have unregistered it, and another range may have its number.
 */
void uffdvram_range_drop(struct uffdvram_range *r)
{
	if (range_unpublish(r->ctx, r->id, r))
		range_forget(r);
	uffdvram_range_put(r);
}

int uffdvram_ioctl_range_unregister(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_range_unregister *arg = ucmd->cmd;
	struct uffdvram_range *r;

	if (arg->__reserved)
		return -EINVAL;
	r = range_unpublish(ucmd->ctx, arg->range, NULL);
	if (!r)
		return -ENOENT;
	range_forget(r);
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

	xa_for_each(&ctx->ranges, id, r)
		range_forget(r);
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
		uffdvram_lease_revoke_owner(r->owner, start, end, UFFDVRAM_REVOKED_GONE);
		uffdvram_exclusive_breach(r, start, end, UFFDVRAM_GONE_UNMAPPED);
	}
	rcu_read_unlock();
}

/**
 * uffdvram_range_revoke() - revoke leases of a piece of an address space
 * @umm: address space
 * @start: first byte
 * @end: first byte after it; 0: to the end
 * @cause: UFFDVRAM_REVOKED_*
 *
 * Likewise.
 */
void uffdvram_range_revoke(struct uffdvram_mm *umm, unsigned long start,
			   unsigned long end, u32 cause)
{
	struct uffdvram_range *r;
	unsigned long index = start, last = end - 1;

	rcu_read_lock();
	mt_for_each(&umm->ranges, r, index, last)
		uffdvram_lease_revoke_owner(r->owner, start, last, cause);
	rcu_read_unlock();
}

/**
 * uffdvram_range_changed() - exclusive memory is inherited, or may be protected
 * @umm: address space
 * @start: first byte
 * @end: first byte after it
 * @cause: enum uffdvram_gone
 *
 * Likewise.
 */
void uffdvram_range_changed(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end, u32 cause)
{
	struct uffdvram_range *r;
	unsigned long index = start;

	rcu_read_lock();
	mt_for_each(&umm->ranges, r, index, end - 1)
		if (cause != UFFDVRAM_GONE_PROTECTED ||
		    uffdvram_exclusive_protected(r, start, end))
			uffdvram_exclusive_breach(r, start, end, cause);
	rcu_read_unlock();
}

/* Likewise: pages there may have been discarded. */
void uffdvram_range_cleared(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end)
{
	struct uffdvram_range *r;
	unsigned long index = start;

	rcu_read_lock();
	mt_for_each(&umm->ranges, r, index, end - 1)
		uffdvram_exclusive_cleared(r, start, end);
	rcu_read_unlock();
}
