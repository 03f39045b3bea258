// SPDX-License-Identifier: GPL-2.0-only
/*
 * The COPY ioctl: reads and writes pages where they live.
 *
 * A batch of pages goes through bounce pages, so that no lock and no reference
 * is held while the caller's memory is touched. Within a batch, a step handles a
 * run of pages that live in the same place. Those in VRAM are copied in their
 * slots: a reference keeps the slot, its gate keeps others from copying it. All
 * others are left to get_user_pages(), which faults in what is missing, and
 * brings home what must not be written in place.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/userfaultfd_k.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "copy.h"
#include "inject.h"
#include "latency.h"
#include "lock.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "vram.h"
#include "walk.h"

#define COPY_PAGES	32

/**
 * struct copy - one COPY in progress
 * @arg: the caller's argument
 * @umm: address space
 * @mm: the same, with a reference on its users
 * @write: to the pages
 * @in_place: no userfaultfd waits for writes to this VMA: slots may be written
 * @err: what the device failed with, after pages that it copied
 * @bounce: contents of the batch
 * @look: the step
 * @pages: its pages, with references
 * @xfer: its copies
 */
struct copy {
	struct uffdvram_copy *arg;
	struct uffdvram_mm *umm;
	struct mm_struct *mm;
	bool write;
	bool in_place;
	int err;
	struct page *bounce[COPY_PAGES];
	struct uffdvram_look look[COPY_PAGES];
	struct page *pages[COPY_PAGES];
	struct uffdvram_xfer xfer[COPY_PAGES];
};

static bool copy_nofault(const struct copy *c)
{
	return c->arg->flags & UFFDVRAM_COPY_NOFAULT;
}

static bool copy_moving(const struct copy *c, unsigned int i)
{
	return c->look[i].entry == UFFDVRAM_ENTRY_MOVING;
}

/* Whether a page is to be copied in its slot. */
static bool copy_in_slot(const struct copy *c, unsigned int i)
{
	return c->pages[i] && (!c->write || (c->look[i].alone && c->in_place));
}

/* A page without a slot that shall not be left to a fault: 0 or an errno. */
static int copy_judge(const struct copy *c, struct uffdvram_look look)
{
	switch ((enum uffdvram_entry)look.entry) {
	case UFFDVRAM_ENTRY_POISON:
	case UFFDVRAM_ENTRY_LOST:
		return -EHWPOISON;
	case UFFDVRAM_ENTRY_NONE:
	case UFFDVRAM_ENTRY_MARKER:
	case UFFDVRAM_ENTRY_SWAP:
		return copy_nofault(c) ? -ENOENT : 0;
	case UFFDVRAM_ENTRY_VRAM:
		return look.private ? -EACCES : 0;
	default:
		return 0;
	}
}

/*
 * The slot whose gate a page is behind: a large folio has one. Our reference keeps it
 * from being taken apart.
 */
static unsigned long copy_gate(const struct copy *c, struct uffdvram_vram *v,
			       unsigned int i)
{
	return uffdvram_slot_of(v, folio_page(page_folio(c->pages[i]), 0));
}

static bool copy_shares_gate(const struct copy *c, unsigned int i)
{
	return i && page_folio(c->pages[i]) == page_folio(c->pages[i - 1]);
}

/* Enters the gate of one page of @v; -EAGAIN when somebody else is in it. */
static int copy_enter_one(struct copy *c, struct uffdvram_vram *v, unsigned int i)
{
	unsigned long slot = uffdvram_slot_of(v, c->pages[i]);
	bool shares = copy_shares_gate(c, i);
	int ret = 0, state;

	if (uffdvram_vram_of(c->pages[i]) != v ||
	    (!shares && !uffdvram_slot_gate_enter(&v->slots, copy_gate(c, v, i))))
		return -EAGAIN;
	state = uffdvram_vram_slot_state(v, slot);
	if (state & UFFDVRAM_SLOT_LOST)
		ret = -EHWPOISON;
	else if (state & UFFDVRAM_SLOT_PRIVATE)
		ret = -EACCES;
	if (ret && !shares)
		uffdvram_slot_gate_leave(&v->slots, copy_gate(c, v, i));
	c->xfer[i].off = uffdvram_slot_off(slot);
	return ret;
}

/* Enters gates as far as the run goes: how many; for none, the errno. */
static int copy_enter(struct copy *c, struct uffdvram_vram *v, unsigned int n)
{
	unsigned int i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = copy_enter_one(c, v, i);
		if (ret)
			return i ?: ret;
	}
	return n;
}

/* Of what the device may write, too, there is no checksum that would hold. */
static void copy_slots_written(struct copy *c, struct vm_area_struct *vma,
			       unsigned long addr, unsigned int n)
{
	struct uffdvram_vram *v = uffdvram_vram_of(c->pages[0]);
	unsigned int i;

	uffdvram_walk_written(vma, addr, c->pages, n);
	uffdvram_range_written(c->umm, addr, addr + n * PAGE_SIZE);
	if (!atomic_long_read(&v->slots.leased))
		return;
	for (i = 0; i < n; i++)
		if (uffdvram_slot_state(&v->slots, uffdvram_slot_of(v, c->pages[i])) &
		    UFFDVRAM_SLOT_WRITING)
			uffdvram_backend_forget(&v->backend, c->xfer[i].off);
}

/*
 * Copies a run of @n pages in their slots, from or to the batch's bounce pages
 * from @first on. Returns how many.
 */
static int copy_slots(struct copy *c, struct vm_area_struct *vma,
		      unsigned long addr, unsigned int first, unsigned int n)
{
	struct uffdvram_vram *v = uffdvram_vram_of(c->pages[0]);
	u64 since = uffdvram_latency_now();
	unsigned int i, failed, good;
	int got = copy_enter(c, v, n);

	if (got <= 0)
		return got;
	for (i = 0; i < got; i++) {
		c->xfer[i].ram = c->bounce[first + i];
		c->xfer[i].order = 0;
	}
	if (c->write)
		failed = uffdvram_backend_to_vram(&v->backend, c->xfer, got);
	else
		failed = uffdvram_backend_to_ram(&v->backend, c->xfer, got);
	good = got;
	for (i = 0; failed && i < got; i++) {
		if (!c->xfer[i].err)
			continue;
		if (i < good)
			c->err = c->xfer[i].err;
		good = min(good, i);
		/* Nobody knows what it holds now, or what it should. */
		if (c->write || c->xfer[i].err == -EHWPOISON)
			uffdvram_vram_page_lost(c->pages[i], c->mm, addr + i * PAGE_SIZE);
	}
	if (c->write)
		copy_slots_written(c, vma, addr, got);
	for (i = 0; i < got; i++)
		if (!copy_shares_gate(c, i))
			uffdvram_slot_gate_leave(&v->slots, copy_gate(c, v, i));
	if (c->write)
		uffdvram_stat_add(copy_written, good);
	else
		uffdvram_stat_add(copy_read, good);
	if (good)
		uffdvram_latency_add(c->write ? UFFDVRAM_LATENCY_copy_write :
						UFFDVRAM_LATENCY_copy_read, since);
	return good ?: c->err;
}

/*
 * Writes @n pages that the caller has references on. Who tracks writes may have
 * protected them since they were looked up: returns how many were written, or
 * -EAGAIN.
 */
static int copy_store(struct copy *c, unsigned long addr, unsigned int first,
		      unsigned int n)
{
	unsigned int i;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(c->mm)))
		return -EINTR;
	for (i = 0; i < n; i++)
		if (!uffdvram_walk_store(c->mm, addr + i * PAGE_SIZE, c->pages[i],
					 c->bounce[first + i]))
			break;
	mmap_read_unlock(c->mm);
	return i ?: -EAGAIN;
}

/* The VMA at @addr, if it can be copied from or to; else ERR_PTR. */
static struct vm_area_struct *copy_vma(const struct copy *c, unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(c->mm, addr);

	if (!vma || !uffdvram_vma_is_ours(vma))
		return ERR_PTR(-EFAULT);
	if (!(vma->vm_flags & (c->write ? VM_WRITE : VM_READ)))
		return ERR_PTR(-EACCES);
	return vma;
}

/* The core could not fault in a page that was moving: perhaps it is private. */
static int copy_refused(struct copy *c, unsigned long addr)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	if (mmap_read_lock_killable(c->mm))
		return -EINTR;
	vma = copy_vma(c, addr);
	if (!IS_ERR(vma)) {
		uffdvram_walk_briefly(vma, addr, addr + PAGE_SIZE, c->look);
		if (c->look[0].private)
			ret = -EACCES;
	}
	mmap_read_unlock(c->mm);
	return ret;
}

/*
 * Copies a run of @n pages that are not in VRAM, or must not be written there.
 * mmap_lock is held, and dropped. Returns how many.
 */
static int copy_ram(struct copy *c, unsigned long addr, unsigned int first,
		    unsigned int n)
{
	unsigned int flags = FOLL_HWPOISON | FOLL_INTERRUPTIBLE |
			     (c->write ? FOLL_WRITE : 0);
	int locked = 1, ret;
	long got, i;

	if (copy_nofault(c) && !copy_moving(c, 0))
		flags |= FOLL_NOFAULT;
	got = may_fail(core, -ENOMEM, get_user_pages_remote(c->mm, addr, n, flags, c->pages,
							    &locked));
	if (locked)
		mmap_read_unlock(c->mm);
	if (got == -EFAULT && copy_moving(c, 0))
		return copy_refused(c, addr);
	if (got <= 0)
		return got == -EFAULT && (flags & FOLL_NOFAULT) ? -ENOENT : got ?: -EFAULT;
	ret = got;
	if (c->write)
		ret = copy_store(c, addr, first, got);
	for (i = 0; i < got; i++) {
		if (c->write && i < ret)
			set_page_dirty_lock(c->pages[i]);
		else if (!c->write)
			copy_highpage(c->bounce[first + i], c->pages[i]);
		put_page(c->pages[i]);
	}
	uffdvram_stat_add(copy_ram, max(ret, 0));
	return ret;
}

/* Pages from the first on that are to be copied in the same way. */
static unsigned int copy_run_len(const struct copy *c, unsigned int n)
{
	unsigned int i;

	for (i = 1; i < n; i++) {
		if (copy_in_slot(c, i) != copy_in_slot(c, 0))
			break;
		if (!copy_in_slot(c, i) && (copy_judge(c, c->look[i]) ||
					    copy_moving(c, i) != copy_moving(c, 0)))
			break;
	}
	return i;
}

static void copy_put(struct copy *c, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (c->pages[i])
			put_page(c->pages[i]);
}

/*
 * Copies one run of the batch: up to @n pages from @addr on, whose bounce pages
 * begin with @first. Returns how many, or an errno; -EAGAIN: look again.
 */
static int copy_step(struct copy *c, unsigned long addr, unsigned int first,
		     unsigned int n)
{
	struct vm_area_struct *vma;
	unsigned long end;
	unsigned int seen;
	int ret;

	if (may_fail(kill, -EINTR, mmap_read_lock_killable(c->mm)))
		return -EINTR;
	vma = copy_vma(c, addr);
	if (IS_ERR(vma)) {
		mmap_read_unlock(c->mm);
		return PTR_ERR(vma);
	}
	end = min3(addr + n * PAGE_SIZE, vma->vm_end, ALIGN(addr + 1, PMD_SIZE));
	seen = (end - addr) >> PAGE_SHIFT;
	/* One that arms entries while we write could not be told any more. */
	c->in_place = !uffdvram_uffd_protects(vma);
	uffdvram_walk(vma, addr, end, c->look, c->pages);
	n = copy_run_len(c, seen);
	if (copy_in_slot(c, 0)) {
		ret = copy_slots(c, vma, addr, first, n);
		mmap_read_unlock(c->mm);
		copy_put(c, seen);
		return ret;
	}
	copy_put(c, seen);
	ret = copy_judge(c, c->look[0]);
	if (!ret && c->look[0].entry == UFFDVRAM_ENTRY_VRAM && copy_nofault(c))
		ret = -ENOENT;
	if (!ret)
		return copy_ram(c, addr, first, n);
	mmap_read_unlock(c->mm);
	return ret;
}

/* Copies @n pages from @addr on, from or to the bounce pages. */
static int copy_batch(struct copy *c, unsigned long addr, unsigned int n,
		      unsigned int *done)
{
	int ret;

	for (*done = 0; *done < n; *done += max(ret, 0)) {
		if (signal_pending(current))
			return -EINTR;
		ret = copy_step(c, addr + *done * PAGE_SIZE, *done, n - *done);
		if (ret == -EAGAIN)
			uffdvram_stat_inc(copy_raced);
		else if (ret < 0)
			return ret;
		cond_resched();
		if (c->err) {
			*done += ret;
			return c->err;
		}
	}
	return 0;
}

/* Between the caller's buffer and the bounce pages; no lock is held. */
static int copy_user(struct copy *c, unsigned int n)
{
	void __user *buf = u64_to_user_ptr(c->arg->buf + c->arg->done);
	unsigned long left = 0;
	unsigned int i;
	void *p;

	for (i = 0; i < n && !left; i++, buf += PAGE_SIZE) {
		p = kmap_local_page(c->bounce[i]);
		if (c->write)
			left = may_fail(user, PAGE_SIZE, copy_from_user(p, buf, PAGE_SIZE));
		else
			left = may_fail(user, PAGE_SIZE, copy_to_user(buf, p, PAGE_SIZE));
		kunmap_local(p);
	}
	return left ? -EFAULT : 0;
}

/* Pages of the next batch: as far as the range at its beginning goes. */
static int copy_next(const struct copy *c, struct uffdvram_ctx *ctx)
{
	u64 addr = c->arg->addr + c->arg->done;
	unsigned long end;
	struct uffdvram_range *r = uffdvram_range_find(ctx->umm, addr, &end);

	if (!r)
		return -ENOENT;
	end = min_t(u64, end, c->arg->addr + c->arg->len);
	uffdvram_range_put(r);
	return min_t(u64, (end - addr) >> PAGE_SHIFT, COPY_PAGES);
}

static int copy_run(struct copy *c, struct uffdvram_ctx *ctx)
{
	struct uffdvram_copy *arg = c->arg;
	int n, ret, user = 0;
	unsigned int done;

	while (arg->done < arg->len) {
		n = copy_next(c, ctx);
		if (n < 0)
			return n;
		if (c->write && copy_user(c, n))
			return -EFAULT;
		ret = copy_batch(c, arg->addr + arg->done, n, &done);
		if (!c->write)
			user = copy_user(c, done);
		if (user)
			return user;
		arg->done += (u64)done << PAGE_SHIFT;
		if (ret)
			return ret;
	}
	return 0;
}

static void copy_free(struct copy *c)
{
	unsigned int i;

	for (i = 0; i < COPY_PAGES; i++)
		if (c->bounce[i])
			__free_page(c->bounce[i]);
	kfree(c);
}

static struct copy *copy_alloc(struct uffdvram_copy *arg, struct uffdvram_mm *umm)
{
	struct copy *c = may_fail(alloc, NULL, kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT));
	unsigned int i;

	if (!c)
		return NULL;
	c->arg = arg;
	c->umm = umm;
	c->mm = umm->mm;
	c->write = arg->flags & UFFDVRAM_COPY_WRITE;
	for (i = 0; i < min_t(u64, COPY_PAGES, arg->len >> PAGE_SHIFT); i++) {
		c->bounce[i] = may_fail(alloc, NULL, alloc_page(GFP_KERNEL_ACCOUNT));
		if (!c->bounce[i]) {
			copy_free(c);
			return NULL;
		}
	}
	return c;
}

int uffdvram_ioctl_copy(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_copy *arg = ucmd->cmd;
	struct mm_struct *mm;
	struct copy *c;
	u64 end;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    check_add_overflow(arg->buf, arg->len, &end))
		return -EINVAL;

	mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (!mm)
		return -ESRCH;
	c = copy_alloc(arg, ucmd->ctx->umm);
	ret = c ? copy_run(c, ucmd->ctx) : -ENOMEM;
	if (c)
		copy_free(c);
	mmput(mm);
	return ret;
}
