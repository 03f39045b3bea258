// SPDX-License-Identifier: GPL-2.0-only
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "context.h"
#include "event.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "object.h"
#include "range.h"
#include "user.h"
#include "vram.h"
#include "watch.h"

/* Address spaces by their mm; rank 2. */
static DEFINE_MUTEX(uffdvram_mms_lock);
static DEFINE_XARRAY(uffdvram_mms);

/* Contexts by number; NULL while one is being made. */
static DEFINE_XARRAY_ALLOC1(uffdvram_ctxs);
static u32 uffdvram_ctxs_next;

static struct uffdvram_mm *mm_new(struct mm_struct *mm)
{
	struct uffdvram_mm *umm = object_new(umm);

	if (!umm)
		return NULL;
	umm->mm = mm;
	kref_init(&umm->ref);
	mutex_init(&umm->lock);
	mt_init_flags(&umm->ranges, MT_FLAGS_USE_RCU);
	spin_lock_init(&umm->ctxs_lock);
	INIT_LIST_HEAD(&umm->ctxs);
	return umm;
}

/* The one struct uffdvram_mm of @mm, with a reference; NULL without memory. */
static struct uffdvram_mm *mm_get(struct mm_struct *mm)
{
	unsigned long index = (unsigned long)mm;
	struct uffdvram_mm *umm;

	mutex_lock(&uffdvram_mms_lock);
	umm = xa_load(&uffdvram_mms, index);
	if (umm) {
		kref_get(&umm->ref);
		goto out_unlock;
	}
	umm = mm_new(mm);
	if (!umm)
		goto out_unlock;
	if (may_fail(alloc, true, xa_is_err(xa_store(&uffdvram_mms, index, umm,
						     GFP_KERNEL_ACCOUNT)))) {
		object_free(umm);
		umm = NULL;
		goto out_unlock;
	}
	mmgrab(mm);
out_unlock:
	mutex_unlock(&uffdvram_mms_lock);
	return umm;
}

static void mm_free(struct kref *ref)
{
	struct uffdvram_mm *umm = container_of(ref, struct uffdvram_mm, ref);
	struct mm_struct *mm = umm->mm;

	lockdep_assert_held(&uffdvram_mms_lock);
	xa_erase(&uffdvram_mms, (unsigned long)mm);
	/* Before another one is made for the same mm: it would find the watches. */
	uffdvram_watch_end(umm);
	mutex_unlock(&uffdvram_mms_lock);
	mmdrop(mm);
}

/**
 * uffdvram_mm_free() - free what nothing leads to any more
 * @umm: without references, and without a watch that may be running
 */
void uffdvram_mm_free(struct uffdvram_mm *umm)
{
	mtree_destroy(&umm->ranges);
	object_free(umm);
}

void uffdvram_mm_put(struct uffdvram_mm *umm)
{
	kref_put_mutex(&umm->ref, mm_free, &uffdvram_mms_lock);
}

static int ctx_reserve_id(struct uffdvram_ctx *ctx)
{
	int ret = may_fail(alloc, -ENOMEM,
			   xa_alloc_cyclic(&uffdvram_ctxs, &ctx->id, NULL,
					   XA_LIMIT(1, U32_MAX), &uffdvram_ctxs_next,
					   GFP_KERNEL_ACCOUNT));

	return ret == -EBUSY ? -ENFILE : min(ret, 0);
}

/**
 * uffdvram_ctx_new() - make a context
 * @mm: what it acts on; the caller holds a reference
 * @pid: of the process whose memory that is, in the initial namespace
 *
 * Takes mmap_lock of @mm for writing, when it is the first for @mm.
 *
 * Return: the context, or ERR_PTR() of -ENOMEM, -ENFILE (too many of them) or -EINTR.
 */
struct uffdvram_ctx *uffdvram_ctx_new(struct mm_struct *mm, pid_t pid)
{
	struct uffdvram_ctx *ctx = object_new(ctx);
	int ret;

	if (!ctx)
		return ERR_PTR(-ENOMEM);
	xa_init_flags(&ctx->ranges, XA_FLAGS_ALLOC1);
	xa_init_flags(&ctx->leases, XA_FLAGS_ALLOC1);
	ret = ctx_reserve_id(ctx);
	if (ret)
		goto err_ctx;
	ret = -ENOMEM;
	ctx->events = uffdvram_events_new(ctx->id, pid);
	if (!ctx->events)
		goto err_id;
	ctx->user = uffdvram_user_get(current_uid());
	if (!ctx->user)
		goto err_events;
	ctx->umm = mm_get(mm);
	if (!ctx->umm)
		goto err_user;
	ret = uffdvram_watch_begin(ctx->umm);
	if (ret)
		goto err_umm;
	spin_lock(&ctx->umm->ctxs_lock);
	list_add(&ctx->link, &ctx->umm->ctxs);
	spin_unlock(&ctx->umm->ctxs_lock);
	/* Its place is reserved: this allocates nothing and cannot fail. */
	xa_store(&uffdvram_ctxs, ctx->id, ctx, GFP_KERNEL);
	return ctx;

err_umm:
	uffdvram_mm_put(ctx->umm);
err_user:
	uffdvram_user_put(ctx->user);
err_events:
	uffdvram_events_put(ctx->events);
err_id:
	xa_erase(&uffdvram_ctxs, ctx->id);
err_ctx:
	object_free(ctx);
	return ERR_PTR(ret);
}

/* Nobody can end them any more. */
static void ctx_abandon_leases(struct uffdvram_ctx *ctx)
{
	struct uffdvram_lease *l;
	unsigned long id;

	xa_for_each(&ctx->leases, id, l)
		uffdvram_lease_abandon(l);
}

/* The pools that the context attached for itself end with it. */
static void ctx_retire_pools(struct uffdvram_ctx *ctx)
{
	struct uffdvram_vram *v;
	u32 id = 0;

	while ((v = uffdvram_vram_next(&id))) {
		if (!v->shared && v->owner == ctx) {
			uffdvram_vram_retire(v);
			uffdvram_vram_kick(v, 0);
		}
		uffdvram_vram_put(v);
	}
}

/**
 * uffdvram_ctx_free() - the last reference on the file is gone
 * @ctx: the context; nobody else uses it
 *
 * Drops bookkeeping only: does not wait, needs no memory. Pages in VRAM are
 * orphans from here on; the workers of their pools bring them home.
 */
void uffdvram_ctx_free(struct uffdvram_ctx *ctx)
{
	/* Who finds it by its number is done with it from here on. */
	xa_erase(&uffdvram_ctxs, ctx->id);
	spin_lock(&ctx->umm->ctxs_lock);
	list_del(&ctx->link);
	spin_unlock(&ctx->umm->ctxs_lock);
	ctx_abandon_leases(ctx);
	uffdvram_range_drop_all(ctx);
	ctx_retire_pools(ctx);
	xa_destroy(&ctx->leases);
	xa_destroy(&ctx->ranges);
	uffdvram_mm_put(ctx->umm);
	uffdvram_user_put(ctx->user);
	uffdvram_events_put(ctx->events);
	object_free(ctx);
}

/**
 * uffdvram_ctx_mmget() - keep the context's address space for one call
 * @ctx: the context
 *
 * Return: the mm, to be given back by mmput(); NULL if it is gone.
 */
struct mm_struct *uffdvram_ctx_mmget(struct uffdvram_ctx *ctx)
{
	struct mm_struct *mm = ctx->umm->mm;

	return mmget_not_zero(mm) ? mm : NULL;
}

/*
 * The core's pidfd_pid() is not exported. A pidfd is what lives on pidfs; its
 * inode names the process and holds a reference on it.
 */
static struct pid *ctx_pid_of_file(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (inode->i_sb->s_magic != PID_FS_MAGIC || !S_ISREG(inode->i_mode))
		return ERR_PTR(-EBADF);
	return get_pid(inode->i_private);
}

/* Its mm; not while an exec is about to change it and its credentials. */
static struct mm_struct *ctx_mm_of_task(struct task_struct *task)
{
	struct mm_struct *mm;

	if (may_fail(kill, -EINTR, down_read_killable(&task->signal->exec_update_lock)))
		return ERR_PTR(-EINTR);
	mm = get_task_mm(task);
	up_read(&task->signal->exec_update_lock);
	return mm ?: ERR_PTR(-ESRCH);
}

/**
 * uffdvram_ctx_mm_of_pidfd() - the address space of a running process
 * @pidfd: a descriptor of the caller's
 * @number: out: its number in the initial namespace
 *
 * The caller has CAP_SYS_PTRACE in the initial user namespace, and with it over
 * every process, whatever namespace that lives in.
 *
 * Return: the mm, to be given back by mmput(); ERR_PTR() of -EBADF (not a
 * pidfd), -ESRCH (gone, or without an address space), -EINTR.
 */
struct mm_struct *uffdvram_ctx_mm_of_pidfd(int pidfd, pid_t *number)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct file *file = fget(pidfd);
	struct pid *pid;

	if (!file)
		return ERR_PTR(-EBADF);
	pid = ctx_pid_of_file(file);
	fput(file);
	if (IS_ERR(pid))
		return ERR_CAST(pid);
	task = get_pid_task(pid, PIDTYPE_TGID);
	put_pid(pid);
	if (!task)
		return ERR_PTR(-ESRCH);
	*number = task_tgid_nr(task);
	mm = ctx_mm_of_task(task);
	put_task_struct(task);
	return mm;
}

/**
 * uffdvram_ctx_next() - the next context, by number
 * @id: in: number of the last one, 0 to begin; out: number of this one
 * @facts: out: what there is to tell of it
 *
 * Return: false after the last.
 */
bool uffdvram_ctx_next(u32 *id, struct uffdvram_ctx_facts *facts)
{
	struct uffdvram_ctx *ctx;
	unsigned long index = *id;

	xa_lock(&uffdvram_ctxs);
	ctx = xa_find_after(&uffdvram_ctxs, &index, U32_MAX, XA_PRESENT);
	if (ctx) {
		facts->id = ctx->id;
		facts->pid = ctx->events->pid;
		facts->uid = ctx->user->uid;
		facts->gone = !atomic_read(&ctx->umm->mm->mm_users);
		facts->seq = READ_ONCE(ctx->events->seq);
		facts->waiting = READ_ONCE(ctx->events->n);
	}
	xa_unlock(&uffdvram_ctxs);
	*id = index;
	return ctx;
}

/**
 * uffdvram_ctx_range() - the next range of a context, by number
 * @id: number of the context
 * @range: in: number of the last range, 0 to begin; out: number of this one
 *
 * Return: the range with a reference; NULL after the last, or without the context.
 */
struct uffdvram_range *uffdvram_ctx_range(u32 id, u32 *range)
{
	struct uffdvram_range *r = NULL;
	struct uffdvram_ctx *ctx;
	unsigned long index = *range;

	xa_lock(&uffdvram_ctxs);
	ctx = xa_load(&uffdvram_ctxs, id);
	if (ctx) {
		/* Under its lock what is found has a reference of the list's. */
		xa_lock(&ctx->ranges);
		r = xa_find_after(&ctx->ranges, &index, U32_MAX, XA_PRESENT);
		if (r)
			kref_get(&r->ref);
		xa_unlock(&ctx->ranges);
	}
	xa_unlock(&uffdvram_ctxs);
	*range = index;
	return r;
}
