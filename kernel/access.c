// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls ACCESS_BEGIN and ACCESS_END: a device's fault, and its end. lease.h tells what
 * a lease is.
 *
 * A step covers at most what one page table maps. It takes what is there already, in the
 * right slots; if that is not even the first page, something is done about that one: it is
 * faulted in as for a CPU, moved in, or brought home from the wrong place; and then the
 * step is taken again. Between one thing and the next anything may happen to the page, so
 * this is done a few times and not for ever.
 *
 * No lock is held between steps: while userfaultfd's monitor answers, nothing waits for us.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/userfaultfd_k.h>

#include <linux/uffdvram.h>

#include "access.h"
#include "context.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "migrate.h"
#include "move.h"
#include "owner.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "vram.h"
#include "walk.h"

#define ACCESS_ROUNDS	16

/**
 * struct access - one ACCESS_BEGIN in progress
 * @arg: the caller's argument
 * @mm: address space, with a reference on its users
 * @r: the range
 * @end: how far that goes
 * @lease: what is leased so far
 * @write: the device may write
 * @s: for moves
 * @uffd_reads: of the VMA of the step: userfaultfd is told of all accesses to protected
 *	pages
 * @uffd_writes: likewise of writes, and somebody waits there
 * @look: the step
 * @pages: its pages in VRAM, with references
 */
struct access {
	struct uffdvram_access_begin *arg;
	struct mm_struct *mm;
	struct uffdvram_range *r;
	unsigned long end;
	struct uffdvram_lease *lease;
	bool write;
	struct uffdvram_migrate_step *s;
	bool uffd_reads;
	bool uffd_writes;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
	struct page *pages[UFFDVRAM_WALK_PAGES];
};

/* A write lease that waits for nobody dirties nothing: its faults are reads. */
static bool access_write_faults(const struct access *a)
{
	return a->write && !(a->arg->flags & UFFDVRAM_ACCESS_WP_ASYNC);
}

/* Whether somebody has to be told before the device touches the page. */
static bool access_protected(const struct access *a, struct uffdvram_look look)
{
	return look.uffd && (a->uffd_reads || a->uffd_writes);
}

/* Whether the device can have a page where it is. */
static bool access_ready(const struct access *a, unsigned int i)
{
	return a->pages[i] && a->look[i].alone && !access_protected(a, a->look[i]);
}

static bool access_sees_poison(const struct access *a)
{
	return a->look[0].entry == UFFDVRAM_ENTRY_POISON ||
	       a->look[0].entry == UFFDVRAM_ENTRY_LOST;
}

/* The VMA at @addr, if the device may access it; else ERR_PTR. */
static struct vm_area_struct *access_vma(struct access *a, unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(a->mm, addr);

	if (!vma)
		return ERR_PTR(-EFAULT);
	if (!uffdvram_vma_is_ours(vma))
		return ERR_PTR(-EINVAL);
	if (!(vma->vm_flags & (a->write ? VM_WRITE : VM_READ)))
		return ERR_PTR(-EACCES);
	a->uffd_reads = uffdvram_uffd_hides(vma);
	a->uffd_writes = access_write_faults(a) && uffdvram_uffd_protects(vma);
	return vma;
}

/*
 * Leases pages from @addr on, as far as they are where they should be. Returns how many;
 * 0: something has to be done about the first one, which has been looked at; or an errno.
 */
static int access_take(struct access *a, unsigned long addr, unsigned long end)
{
	struct vm_area_struct *vma;
	unsigned int i, n, ready;
	int ret = 0;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(a->mm)))
		return -EINTR;
	vma = access_vma(a, addr);
	if (IS_ERR(vma)) {
		mmap_read_unlock(a->mm);
		return PTR_ERR(vma);
	}
	end = min3(end, vma->vm_end, ALIGN(addr + 1, PMD_SIZE));
	n = (end - addr) >> PAGE_SHIFT;
	uffdvram_walk(vma, addr, end, a->look, a->pages);
	for (ready = 0; ready < n && access_ready(a, ready); ready++)
		;
	if (ready)
		ret = uffdvram_lease_take(a->lease, addr, a->pages, ready);
	else if (access_sees_poison(a))
		ret = -EHWPOISON;
	mmap_read_unlock(a->mm);
	for (i = 0; i < n; i++)
		if (a->pages[i])
			put_page(a->pages[i]);
	return ret;
}

/* Whether that is why the core says EFAULT. */
static bool access_is_poison(struct access *a, unsigned long addr)
{
	struct vm_area_struct *vma;
	bool poison;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(a->mm)))
		return false;
	vma = access_vma(a, addr);
	if (!IS_ERR(vma))
		uffdvram_walk(vma, addr, addr + PAGE_SIZE, a->look, NULL);
	poison = !IS_ERR(vma) && access_sees_poison(a);
	mmap_read_unlock(a->mm);
	return poison;
}

/* Has the page faulted in, as a CPU would; whatever userfaultfd has to do with it. */
static int access_fault(struct access *a, unsigned long addr, unsigned int flags)
{
	bool unlocked = false;
	int ret;

	if (a->arg->flags & UFFDVRAM_ACCESS_NOWAIT)
		return -EAGAIN;
	if (a->mm != current->mm)
		flags |= FAULT_FLAG_REMOTE;
	if (may_fail(kill, -EINTR, mmap_read_lock_killable(a->mm)))
		return -EINTR;
	ret = may_fail(core, -ENOMEM, fixup_user_fault(a->mm, addr, flags, &unlocked));
	mmap_read_unlock(a->mm);
	return ret == -EFAULT && access_is_poison(a, addr) ? -EHWPOISON : ret;
}

/* A page in VRAM that cannot be leased as it is: @why as uffdvram_lease_take(). */
static int access_help_vram(struct access *a, unsigned long addr, int why)
{
	if (why == -EXDEV)
		return uffdvram_move_home(a->s, a->mm, addr);
	if (!a->look[0].alone)
		return access_fault(a, addr, FAULT_FLAG_UNSHARE);
	return 0;
}

/* A page that MIGRATE left where it was: 0: try again. */
static int access_judge_stay(struct access *a, unsigned long addr, u8 fate)
{
	unsigned int flags = access_write_faults(a) ? FAULT_FLAG_WRITE : 0;

	switch (fate) {
	case UFFDVRAM_STAY_MISSING:
		/* The zero page is to become one of its own: that is no write. */
		if (a->look[0].entry == UFFDVRAM_ENTRY_ZERO)
			flags = FAULT_FLAG_UNSHARE;
		return access_fault(a, addr, flags);
	case UFFDVRAM_STAY_SWAPPED:
		return access_fault(a, addr, flags);
	default:
		return uffdvram_migrate_errno(fate);
	}
}

/* Does what the first page of a step needs: 0: try again; else an errno. */
static int access_help(struct access *a, unsigned long addr, unsigned long end, int why)
{
	struct uffdvram_look look = a->look[0];
	int ret;

	if (access_protected(a, look))
		return access_fault(a, addr, a->uffd_writes ? FAULT_FLAG_WRITE : 0);
	if (look.entry == UFFDVRAM_ENTRY_VRAM)
		return access_help_vram(a, addr, why);
	ret = uffdvram_move_in(a->s, a->mm, a->r, addr, end, false);
	if (ret < 0)
		return ret;
	return access_judge_stay(a, addr, uffdvram_migrate_fate(a->s, 0));
}

/* Leases a few pages from @addr on: how many, at least one, or an errno. */
static int access_step(struct access *a, unsigned long addr, unsigned long end)
{
	unsigned int round;
	int ret;

	for (round = 0; round < ACCESS_ROUNDS; round++) {
		if (signal_pending(current))
			return -EINTR;
		ret = access_take(a, addr, end);
		if (ret > 0 || (ret && ret != -EXDEV && ret != -EAGAIN))
			return ret;
		ret = access_help(a, addr, end, ret);
		if (ret)
			return ret;
		cond_resched();
	}
	return -EBUSY;
}

/* As many pages as can be had: 0, or why it is not even one. */
static int access_run(struct access *a)
{
	struct uffdvram_access_begin *arg = a->arg;
	unsigned long end = min_t(u64, arg->addr + arg->len, a->end);
	int ret = 0;

	while (arg->addr + arg->done < end) {
		ret = access_step(a, arg->addr + arg->done, end);
		if (ret < 0)
			break;
		arg->done += (u64)ret << PAGE_SHIFT;
	}
	/* The range, or the pool, has ended meanwhile: who did that saw not all of it. */
	uffdvram_range_settle(a->r);
	return arg->done ? 0 : ret;
}

/* Tells the caller of the runs. His memory may be part of the lease: that is his loss. */
static int access_tell(struct uffdvram_access_begin *arg, const struct uffdvram_lease *l)
{
	struct uffdvram_slot_run __user *vec = u64_to_user_ptr(arg->vec);
	struct uffdvram_slot_run run;
	unsigned int i;

	for (i = 0; i < l->n_runs; i++) {
		run = (struct uffdvram_slot_run){
			.addr = l->runs[i].addr,
			.off = uffdvram_slot_off(l->runs[i].slot),
			.len = (u64)l->runs[i].n << PAGE_SHIFT,
		};
		if (may_fail(user, true, copy_to_user(vec + i, &run, sizeof(run))))
			return -EFAULT;
	}
	arg->used = l->n_runs;
	return 0;
}

/* A lease that nobody has heard of: nothing was written. */
static void access_undo(struct uffdvram_lease *l)
{
	u64 revoked;

	uffdvram_lease_end(l, NULL, 0, &revoked);
}

static void access_begin_finish(struct uffdvram_ucmd *ucmd, bool ok)
{
	struct uffdvram_lease *l = ucmd->obj;

	if (ok) {
		/* Its number is reserved: allocates nothing, cannot fail. */
		xa_store(&ucmd->ctx->leases, l->id, l, GFP_KERNEL);
		uffdvram_stat_inc(leases_begun);
		return;
	}
	xa_erase(&ucmd->ctx->leases, l->id);
	access_undo(l);
}

static int access_begin(struct access *a, struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_access_begin *arg = a->arg;
	struct xarray *leases = &ucmd->ctx->leases;
	struct uffdvram_lease *l = a->lease;
	int ret;

	ret = may_fail(alloc, -ENOMEM, xa_alloc(leases, &l->id, NULL, XA_LIMIT(1, U32_MAX),
						GFP_KERNEL_ACCOUNT));
	if (ret) {
		access_undo(l);
		return -ENOMEM;
	}
	l->write = a->write;
	ret = access_run(a);
	if (!ret)
		ret = access_tell(arg, l);
	if (ret) {
		xa_erase(leases, l->id);
		access_undo(l);
		arg->done = 0;
		return ret;
	}
	arg->lease = l->id;
	ucmd->obj = l;
	ucmd->finish = access_begin_finish;
	return 0;
}

/* With room for what the caller has room for. */
static struct uffdvram_lease *access_lease(struct access *a, struct uffdvram_ctx *ctx)
{
	u64 most = min(a->arg->len >> PAGE_SHIFT, a->arg->vec_len);
	struct uffdvram_vram *v = uffdvram_range_pool(a->r);
	struct uffdvram_lease *l;

	if (!v)
		return ERR_PTR(-ENODEV);
	l = uffdvram_lease_new(v, a->r->owner, ctx->events, a->mm,
			       min(most, UFFDVRAM_LEASE_RUNS));
	return l ?: ERR_PTR(-ENOMEM);
}

static int access_in_range(struct access *a, struct uffdvram_ucmd *ucmd)
{
	int ret = -ENOMEM;

	a->lease = access_lease(a, ucmd->ctx);
	if (IS_ERR(a->lease))
		return PTR_ERR(a->lease);
	a->s = uffdvram_migrate_step_alloc();
	if (a->s)
		ret = access_begin(a, ucmd);
	else
		access_undo(a->lease);
	uffdvram_migrate_step_free(a->s);
	return ret;
}

int uffdvram_ioctl_access_begin(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_access_begin *arg = ucmd->cmd;
	struct access *a;
	u64 last;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &last) || !arg->vec || !arg->vec_len)
		return -EINVAL;

	a = may_fail(alloc, NULL, kvzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT));
	if (!a)
		return -ENOMEM;
	a->arg = arg;
	a->write = arg->flags & UFFDVRAM_ACCESS_WRITE;
	ret = -ESRCH;
	a->mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (!a->mm)
		goto out_free;
	ret = -ENOENT;
	a->r = uffdvram_range_find(ucmd->ctx->umm, arg->addr, &a->end);
	if (!a->r)
		goto out_mm;
	ret = access_in_range(a, ucmd);
	uffdvram_range_put(a->r);
out_mm:
	mmput(a->mm);
out_free:
	kvfree(a);
	return ret;
}

/* How many pages a lease has, if there is one, and what was written makes sense. */
static int access_end_check(struct uffdvram_ctx *ctx, const struct uffdvram_access_end *arg)
{
	bool all = arg->flags & UFFDVRAM_ACCESS_WRITTEN_ALL;
	struct uffdvram_lease *l;
	int ret = 0;

	if (!arg->bitmap != !arg->nbits || (all && arg->nbits))
		return -EINVAL;
	xa_lock(&ctx->leases);
	l = arg->lease <= U32_MAX ? xa_load(&ctx->leases, arg->lease) : NULL;
	if (!l)
		ret = -ENOENT;
	else if (arg->nbits > l->pages || ((all || arg->nbits) && !l->write))
		ret = -EINVAL;
	xa_unlock(&ctx->leases);
	return ret;
}

static unsigned long *access_bitmap(const struct uffdvram_access_end *arg)
{
	size_t bytes = BITS_TO_U64(arg->nbits) * sizeof(u64);
	unsigned long *map;

	map = may_fail(alloc, NULL, kvmalloc(bytes, GFP_KERNEL_ACCOUNT));
	if (!map)
		return ERR_PTR(-ENOMEM);
	if (may_fail(user, true, copy_from_user(map, u64_to_user_ptr(arg->bitmap), bytes))) {
		kvfree(map);
		return ERR_PTR(-EFAULT);
	}
	return map;
}

/* Takes a lease out of its context's list: now it is ours. NULL: somebody was faster. */
static struct uffdvram_lease *access_unpublish(struct uffdvram_ctx *ctx, u32 id)
{
	struct uffdvram_lease *l;

	xa_lock(&ctx->leases);
	l = xa_load(&ctx->leases, id);
	if (l)
		__xa_erase(&ctx->leases, id);
	xa_unlock(&ctx->leases);
	return l;
}

int uffdvram_ioctl_access_end(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_access_end *arg = ucmd->cmd;
	unsigned long *map = NULL;
	struct uffdvram_lease *l;
	unsigned long n;
	int ret;

	ret = access_end_check(ucmd->ctx, arg);
	if (ret)
		return ret;
	if (arg->nbits) {
		map = access_bitmap(arg);
		if (IS_ERR(map))
			return PTR_ERR(map);
	}
	l = access_unpublish(ucmd->ctx, arg->lease);
	ret = -ENOENT;
	if (l) {
		n = arg->flags & UFFDVRAM_ACCESS_WRITTEN_ALL ? l->pages : arg->nbits;
		ret = uffdvram_lease_end(l, map, n, &arg->revoked);
		if (!ret && arg->revoked)
			ret = -ESTALE;
	}
	kvfree(map);
	return ret;
}
