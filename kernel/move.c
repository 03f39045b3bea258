// SPDX-License-Identifier: GPL-2.0-only
/* The MIGRATE ioctl: steps through ranges, and keeps the accounts. */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "linear.h"
#include "migrate.h"
#include "move.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "vram.h"

static void move_account(struct uffdvram_migrate *arg,
			 const struct uffdvram_migrate_step *s, unsigned int n)
{
	unsigned int i;
	u8 fate;

	if (uffdvram_migrate_count(s, UFFDVRAM_DID_MOVE) == n) {
		arg->moved += n;
		arg->done += (u64)n << PAGE_SHIFT;
		return;
	}
	for (i = 0; i < n; i++) {
		fate = uffdvram_migrate_fate(s, i);
		if (fate == UFFDVRAM_DID_MOVE) {
			arg->moved++;
		} else if (fate == UFFDVRAM_DID_NOTHING) {
			arg->already++;
		} else if (!WARN_ON_ONCE(fate >= UFFDVRAM_STAY_MAX_)) {
			if (!arg->stayed[fate]++)
				arg->first[fate] = arg->addr + arg->done;
		}
		arg->done += PAGE_SIZE;
	}
}

static struct uffdvram_migrate_to move_to(struct uffdvram_range *r, bool populated)
{
	return (struct uffdvram_migrate_to){
		.v = uffdvram_range_pool(r),
		.owner = r->owner,
		.populated = populated,
		.linear = r->linear,
		.base = r->start,
		.first = r->window,
	};
}

/**
 * uffdvram_move_in() - move a piece of a range to its pool, as far as one step goes
 * @s: working memory; afterwards, what became of each page
 * @mm: address space, with a reference on its users
 * @r: the range
 * @addr: first byte
 * @end: first byte after the piece
 * @populated: holes stay holes
 *
 * Return: pages settled; -EINTR, -ENOMEM, or -ENODEV: the range has no pool.
 */
int uffdvram_move_in(struct uffdvram_migrate_step *s, struct mm_struct *mm,
		     struct uffdvram_range *r, unsigned long addr, unsigned long end,
		     bool populated)
{
	struct uffdvram_migrate_to to = move_to(r, populated);
	int n = 0;

	if (!to.v)
		return -ENODEV;
	if (to.linear)
		n = uffdvram_linear_clear(s, mm, &to, addr, end);
	if (!n)
		n = uffdvram_migrate_in(s, mm, &to, addr, end);
	if (n > 0)
		uffdvram_range_arrived(r->umm, addr, addr + n * PAGE_SIZE);
	return n;
}

/**
 * uffdvram_move_in_locked() - likewise, while nobody else may touch any page
 * @s: working memory; afterwards, what became of each page
 * @mm: address space; its mmap_lock is held for writing, and so is the VMA's
 * @r: the range
 * @addr: first byte
 * @end: first byte after the piece
 *
 * Holes stay holes, and nobody is brought home to make room.
 *
 * Return: pages settled; -ENODEV: the range has no pool.
 */
int uffdvram_move_in_locked(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			    struct uffdvram_range *r, unsigned long addr, unsigned long end)
{
	struct uffdvram_migrate_to to = move_to(r, true);
	int n;

	if (!to.v)
		return -ENODEV;
	n = uffdvram_migrate_in_locked(s, mm, &to, addr, end);
	uffdvram_range_arrived(r->umm, addr, addr + n * PAGE_SIZE);
	return n;
}

/**
 * uffdvram_move_home() - bring a page home that is to go to another slot
 * @s: working memory
 * @mm: address space, with a reference on its users
 * @addr: the page
 *
 * Return: 0: look at it again; -EINTR, or -ENOMEM: it cannot come home.
 */
int uffdvram_move_home(struct uffdvram_migrate_step *s, struct mm_struct *mm,
		       unsigned long addr)
{
	int ret = uffdvram_migrate_out(s, mm, addr, addr + PAGE_SIZE);

	if (ret < 0)
		return ret;
	return uffdvram_migrate_fate(s, 0) == UFFDVRAM_STAY_NO_MEMORY ? -ENOMEM : 0;
}

/* The part of one range, from addr + done to @end. */
static int move_range(struct uffdvram_migrate *arg, struct mm_struct *mm,
		      struct uffdvram_range *r, unsigned long end,
		      struct uffdvram_migrate_step *s)
{
	unsigned long addr;
	int n;

	while ((addr = arg->addr + arg->done) < end) {
		if (signal_pending(current))
			return -EINTR;
		if (arg->flags & UFFDVRAM_MIGRATE_TO_RAM)
			n = uffdvram_migrate_out(s, mm, addr, end);
		else
			n = uffdvram_move_in(s, mm, r, addr, end,
					     arg->flags & UFFDVRAM_MIGRATE_POPULATED);
		uffdvram_range_settle(r);
		if (n < 0)
			return n;
		move_account(arg, s, n);
		cond_resched();
	}
	return 0;
}

static int move_ranges(struct uffdvram_ctx *ctx, struct uffdvram_migrate *arg,
		       struct mm_struct *mm)
{
	struct uffdvram_migrate_step *s;
	struct uffdvram_range *r;
	unsigned long end;
	int ret = 0;

	s = uffdvram_migrate_step_alloc();
	if (!s)
		return -ENOMEM;
	while (!ret && arg->done < arg->len) {
		r = uffdvram_range_find(ctx->umm, arg->addr + arg->done, &end);
		if (!r) {
			ret = -ENOENT;
			break;
		}
		end = min_t(u64, end, arg->addr + arg->len);
		ret = move_range(arg, mm, r, end, s);
		uffdvram_range_put(r);
	}
	uffdvram_migrate_step_free(s);
	return ret;
}

int uffdvram_ioctl_migrate(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_migrate *arg = ucmd->cmd;
	struct mm_struct *mm;
	u64 end;
	int ret;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end))
		return -EINVAL;

	uffdvram_stat_inc(migrate_calls);
	mm = uffdvram_ctx_mmget(ucmd->ctx);
	if (!mm)
		return -ESRCH;
	ret = move_ranges(ucmd->ctx, arg, mm);
	mmput(mm);
	return ret;
}
