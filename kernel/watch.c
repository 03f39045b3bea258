// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "event.h"
#include "inject.h"
#include "lock.h"
#include "object.h"
#include "range.h"
#include "watch.h"

/**
 * struct uffdvram_watch - a notifier of one address space
 * @mn: the core's; ends without waiting (mmu_notifier_put)
 * @umm: whom to tell; NULL for a moment at first. Freed with us
 */
struct uffdvram_watch {
	struct mmu_notifier mn;
	struct uffdvram_mm *umm;
};

static struct uffdvram_watch *watch_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct uffdvram_watch, mn);
}

static struct mmu_notifier *watch_alloc(struct mm_struct *mm)
{
	struct uffdvram_watch *w = object_new(w);

	return w ? &w->mn : ERR_PTR(-ENOMEM);
}

/* No callback runs any more. */
static void watch_free(struct mmu_notifier *mn)
{
	struct uffdvram_watch *w = watch_of(mn);

	if (w->umm)
		uffdvram_mm_free(w->umm);
	object_free(w);
}

/* Exit or exec: all memory goes, and nothing comes after it. */
static void watch_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct uffdvram_event event = {
		.type = UFFDVRAM_EVENT_RANGE_GONE,
		.cause = UFFDVRAM_GONE_EXIT,
	};
	struct uffdvram_mm *umm = READ_ONCE(watch_of(mn)->umm);
	struct uffdvram_ctx *ctx;

	if (!umm)
		return;
	spin_lock(&umm->ctxs_lock);
	list_for_each_entry(ctx, &umm->ctxs, link)
		uffdvram_event_push(ctx->events, &event);
	spin_unlock(&umm->ctxs_lock);
}

static int watch_invalidate(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct uffdvram_mm *umm = READ_ONCE(watch_of(mn)->umm);

	if (range->event == MMU_NOTIFY_UNMAP && umm)
		uffdvram_range_unmapped(umm, range->start, range->end);
	return 0;
}

static const struct mmu_notifier_ops watch_ops = {
	.release = watch_release,
	.invalidate_range_start = watch_invalidate,
	.alloc_notifier = watch_alloc,
	.free_notifier = watch_free,
};

/**
 * uffdvram_watch_begin() - have an address space watched
 * @umm: whose users the caller holds a reference on
 *
 * Takes mmap_lock for writing, killably, unless it is watched already.
 *
 * Return: 0, -ENOMEM or -EINTR.
 */
int uffdvram_watch_begin(struct uffdvram_mm *umm)
{
	struct mmu_notifier *mn;
	bool first;

	if (READ_ONCE(umm->watch))
		return 0;
	if (may_fail(kill, -EINTR, mmap_write_lock_killable(umm->mm)))
		return -EINTR;
	mn = may_fail(alloc, ERR_PTR(-ENOMEM), mmu_notifier_get_locked(&watch_ops, umm->mm));
	mmap_write_unlock(umm->mm);
	if (IS_ERR(mn))
		return PTR_ERR(mn);

	mutex_lock(&umm->lock);
	first = !umm->watch;
	if (first) {
		WRITE_ONCE(watch_of(mn)->umm, umm);
		WRITE_ONCE(umm->watch, watch_of(mn));
	}
	mutex_unlock(&umm->lock);
	/* Two contexts at once: there is one watch, and one reference is enough. */
	if (!first)
		mmu_notifier_put(mn);
	return 0;
}

/**
 * uffdvram_watch_end() - watch no longer
 * @w: nobody refers to its struct uffdvram_mm any more
 *
 * Does not wait. Frees that one, too, once no callback runs.
 */
void uffdvram_watch_end(struct uffdvram_watch *w)
{
	mmu_notifier_put(&w->mn);
}

/* Before the module's text goes: waits for what uffdvram_watch_end() began. */
void uffdvram_watch_exit(void)
{
	mmu_notifier_synchronize();
}
