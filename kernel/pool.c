// SPDX-License-Identifier: GPL-2.0-only
/* The POOL_* ioctls. */
#include <linux/capability.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "context.h"
#include "evict.h"
#include "fault.h"
#include "inject.h"
#include "lock.h"
#include "pool.h"
#include "ucmd.h"
#include "vram.h"

#define POOL_BACKOFF_MAX	HZ
/* Those that no backend has to know. */
#define POOL_FLAGS_ALL		(UFFDVRAM_POOL_SHARED | UFFDVRAM_POOL_UNCHECKED)

/* Forgets the pool, and releases it: at once, or with its last lost slot. */
static void pool_release(struct uffdvram_vram *v)
{
	uffdvram_vram_retire(v);
	uffdvram_vram_quiesce(v);
	uffdvram_vram_reap(v);
}

static void pool_attach_finish(struct uffdvram_ucmd *ucmd, bool ok)
{
	struct uffdvram_vram *v = ucmd->obj;

	if (ok)
		uffdvram_vram_publish(v);
	else
		pool_release(v);
}

int uffdvram_ioctl_pool_attach(struct uffdvram_ucmd *ucmd)
{
	const struct uffdvram_backend_ops *ops;
	struct uffdvram_pool_attach *arg = ucmd->cmd;
	struct uffdvram_vram *v;
	int ret;

	ops = uffdvram_backend_get(arg->backend);
	if (!ops)
		return -EOPNOTSUPP;
	if (arg->flags & ~(ops->flags | POOL_FLAGS_ALL))
		v = ERR_PTR(-EOPNOTSUPP);
	else if ((arg->flags & UFFDVRAM_POOL_SHARED) && !capable(CAP_SYS_ADMIN))
		v = ERR_PTR(-EPERM);
	else
		v = uffdvram_vram_create(ops, arg, ucmd->ctx, &uffdvram_pagemap_ops);
	if (IS_ERR(v)) {
		uffdvram_backend_put(ops);
		return PTR_ERR(v);
	}
	ret = uffdvram_vram_reserve_id(v);
	if (ret) {
		pool_release(v);
		return ret;
	}
	arg->pool = v->id;
	ucmd->obj = v;
	ucmd->finish = pool_attach_finish;
	return 0;
}

/* Slots that can still come home. */
static unsigned long pool_left(struct uffdvram_vram *v)
{
	long left = atomic_long_read(&v->slots.used) -
		    atomic_long_read(&v->slots.lost);

	return max(left, 0L);
}

static int pool_evict_pass(struct uffdvram_vram *v, bool discard,
			   struct uffdvram_evict_result *res)
{
	int ret;

	if (may_fail(kill, -EINTR, mutex_lock_killable(&v->detach)))
		return -EINTR;
	if (discard) {
		uffdvram_evict_discard(v);
		ret = 0;
	} else {
		ret = uffdvram_evict(v, false, res);
	}
	mutex_unlock(&v->detach);
	return ret;
}

/*
 * Whether the only slots left are those that leases keep, whose pages are gone, and nobody
 * ends these leases unless he is asked to.
 */
static bool pool_only_leases(struct uffdvram_vram *v)
{
	unsigned long left;

	/* First of all: what one of them keeps may be free a moment later. */
	if (atomic_read_acquire(&v->leases_ending))
		return false;
	left = pool_left(v);
	return left && left <= (unsigned long)atomic_long_read(&v->slots.parked);
}

/*
 * Until no slot is left. What stays after a pass is held by somebody for a
 * moment, or the host is short of memory: only that is told to the caller.
 */
static int pool_drain(struct uffdvram_vram *v, bool discard)
{
	struct uffdvram_evict_result res = {};
	unsigned long backoff = 1;
	int ret;

	while (pool_left(v)) {
		ret = pool_evict_pass(v, discard, &res);
		if (ret)
			return ret;
		if (!pool_left(v))
			break;
		/* The caller may be the one who has to end them. */
		if (pool_only_leases(v))
			return -EBUSY;
		if (res.no_memory && !res.moved)
			return -ENOMEM;
		backoff = res.moved ? 1 : min(2 * backoff, (unsigned long)POOL_BACKOFF_MAX);
		ret = wait_event_killable_timeout(v->wait, !pool_left(v),
						  backoff);
		if (ret < 0)
			return -EINTR;
	}
	return 0;
}

static int pool_detach(struct uffdvram_vram *v,
		       struct uffdvram_pool_detach *arg)
{
	int ret;

	if (xchg(&v->detaching, true))
		return -EBUSY;
	uffdvram_slots_close(&v->slots);
	ret = pool_drain(v, arg->flags & UFFDVRAM_DETACH_DISCARD);
	arg->left = pool_left(v);
	if (!ret)
		pool_release(v);
	else
		WRITE_ONCE(v->detaching, false);
	return ret;
}

int uffdvram_ioctl_pool_detach(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_pool_detach *arg = ucmd->cmd;
	struct uffdvram_vram *v;
	int ret;

	if (arg->__reserved)
		return -EINVAL;
	v = uffdvram_vram_get(arg->pool);
	if (!v)
		return -ENODEV;
	if (!uffdvram_vram_allowed(v, ucmd->ctx))
		ret = -ENODEV;
	else if (v->shared && !capable(CAP_SYS_ADMIN))
		ret = -EPERM;
	else
		ret = pool_detach(v, arg);
	uffdvram_vram_put(v);
	return ret;
}
