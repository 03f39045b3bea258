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

/* The part of one range, from addr + done to @end. */
static int move_range(struct uffdvram_migrate *arg, struct mm_struct *mm,
		      struct uffdvram_range *r, unsigned long end,
		      struct uffdvram_migrate_step *s)
{
	bool out = arg->flags & UFFDVRAM_MIGRATE_TO_RAM;
	struct uffdvram_migrate_to to = {
		.owner = r->owner,
		.populated = arg->flags & UFFDVRAM_MIGRATE_POPULATED,
		.linear = r->linear,
		.base = r->start,
		.first = r->window,
	};
	unsigned long addr;
	int n;

	while ((addr = arg->addr + arg->done) < end) {
		if (signal_pending(current))
			return -EINTR;
		to.v = out ? NULL : uffdvram_range_pool(r);
		if (!out && !to.v)
			return -ENODEV;
		n = 0;
		if (to.v && to.linear)
			n = uffdvram_linear_clear(s, mm, &to, addr, end);
		if (!n && out)
			n = uffdvram_migrate_out(s, mm, addr, end);
		else if (!n)
			n = uffdvram_migrate_in(s, mm, &to, addr, end);
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
