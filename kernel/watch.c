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
#include "vram.h"
#include "watch.h"

/**
 * struct uffdvram_watch - a notifier of one address space
 * @mn: the core's; ends without waiting (mmu_notifier_put)
 * @umm: whom to tell; NULL for a moment at first. Freed with the last of its watches
 * @departures: changes of page tables that are under way, and may take pages out of VRAM
 *
 * An address space has one, which hears of what comes seldom. With the first harvest, or
 * exclusive range, comes a second, which counts departures, and hears of their ends: every
 * page that comes home by itself pays for it. While the core adds a notifier it holds all
 * locks under which page tables change: whose end that one hears of, it has heard the
 * beginning of.
 */
struct uffdvram_watch {
	struct mmu_notifier mn;
	struct uffdvram_mm *umm;
	atomic_t departures;
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

	if (w->umm && atomic_dec_and_test(&w->umm->watches))
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
	uffdvram_range_revoke(umm, 0, 0, UFFDVRAM_REVOKED_GONE);
	spin_lock(&umm->ctxs_lock);
	list_for_each_entry(ctx, &umm->ctxs, link)
		uffdvram_event_push(ctx->events, &event);
	spin_unlock(&umm->ctxs_lock);
}

/* What exclusive ranges mind, besides. */
static void watch_changed(struct uffdvram_mm *umm, const struct mmu_notifier_range *range)
{
	if (range->event == MMU_NOTIFY_PROTECTION_PAGE)
		uffdvram_range_changed(umm, range->start, range->end, UFFDVRAM_GONE_FORKED);
	else if (range->event == MMU_NOTIFY_PROTECTION_VMA)
		uffdvram_range_changed(umm, range->start, range->end, UFFDVRAM_GONE_PROTECTED);
}

static int watch_invalidate(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct uffdvram_mm *umm = READ_ONCE(watch_of(mn)->umm);

	if (umm && range->event == MMU_NOTIFY_UNMAP)
		uffdvram_range_unmapped(umm, range->start, range->end);
	/* fork: what the device writes from here on, the child sees, too. */
	if (umm && range->event == MMU_NOTIFY_PROTECTION_PAGE)
		uffdvram_range_revoke(umm, range->start, range->end, UFFDVRAM_REVOKED_FORK);
	if (umm && READ_ONCE(umm->exclusive))
		watch_changed(umm, range);
	return 0;
}

static const struct mmu_notifier_ops watch_ops = {
	.release = watch_release,
	.invalidate_range_start = watch_invalidate,
	.alloc_notifier = watch_alloc,
	.free_notifier = watch_free,
};

/* Whether pages may leave VRAM. Says the same at the beginning and at the end. */
static bool watch_departs(const struct mmu_notifier_range *range)
{
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
	case MMU_NOTIFY_SOFT_DIRTY:
		return false;
	case MMU_NOTIFY_MIGRATE:
		/* Into VRAM: what is there already stays. */
		return range->owner != UFFDVRAM_ARRIVAL_OWNER;
	default:
		return true;
	}
}

/* A page that comes home by itself, as most do that are touched. */
static bool watch_is_alone(const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_MIGRATE && range->end - range->start == PAGE_SIZE;
}

static int watch_departure(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct uffdvram_watch *w = watch_of(mn);
	struct uffdvram_mm *umm;

	if (!watch_departs(range))
		return 0;
	atomic_inc(&w->departures);
	/* Pairs with the one in uffdvram_range_books(). */
	smp_mb__after_atomic();
	umm = READ_ONCE(w->umm);
	if (umm)
		uffdvram_range_departed(umm, range->start, range->end,
					watch_is_alone(range));
	return 0;
}

static void watch_departed(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct uffdvram_mm *umm = READ_ONCE(watch_of(mn)->umm);

	if (umm && range->event == MMU_NOTIFY_CLEAR && READ_ONCE(umm->exclusive))
		uffdvram_range_cleared(umm, range->start, range->end);
	if (!watch_departs(range))
		return;
	/* The page tables are changed before anybody sees that this is over. */
	smp_mb__before_atomic();
	atomic_dec(&watch_of(mn)->departures);
}

static const struct mmu_notifier_ops watch_departures_ops = {
	.invalidate_range_start = watch_departure,
	.invalidate_range_end = watch_departed,
	.alloc_notifier = watch_alloc,
	.free_notifier = watch_free,
};

/**
 * uffdvram_watch_quiet() - whether no pages may be leaving VRAM just now
 * @umm: address space; uffdvram_watch_departures() has been called
 *
 * What has been changed before that is to be seen in the page tables by now.
 */
bool uffdvram_watch_quiet(const struct uffdvram_mm *umm)
{
	return !atomic_read_acquire(&umm->departures->departures);
}

/* Has the address space watched by a notifier with these operations, named by @slot. */
static int watch_add(struct uffdvram_mm *umm, struct uffdvram_watch **slot,
		     const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier *mn;
	bool first;

	/* Pairs with the one below: who sees the watch sees whom it tells. */
	if (smp_load_acquire(slot))
		return 0;
	if (may_fail(kill, -EINTR, mmap_write_lock_killable(umm->mm)))
		return -EINTR;
	mn = may_fail(alloc, ERR_PTR(-ENOMEM), mmu_notifier_get_locked(ops, umm->mm));
	mmap_write_unlock(umm->mm);
	if (IS_ERR(mn))
		return PTR_ERR(mn);

	mutex_lock(&umm->lock);
	first = !*slot;
	if (first) {
		atomic_inc(&umm->watches);
		WRITE_ONCE(watch_of(mn)->umm, umm);
		/* Pairs with the one above. */
		smp_store_release(slot, watch_of(mn));
	}
	mutex_unlock(&umm->lock);
	/* Two at once: there is one watch, and one reference is enough. */
	if (!first)
		mmu_notifier_put(mn);
	return 0;
}

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
	return watch_add(umm, &umm->watch, &watch_ops);
}

/**
 * uffdvram_watch_departures() - from now on, have departures counted and told
 * @umm: whose users the caller holds a reference on; uffdvram_watch_begin() was called
 *
 * Likewise. None is under way that is not counted.
 *
 * Return: 0, -ENOMEM or -EINTR.
 */
int uffdvram_watch_departures(struct uffdvram_mm *umm)
{
	return watch_add(umm, &umm->departures, &watch_departures_ops);
}

/**
 * uffdvram_watch_end() - watch no longer
 * @umm: nobody refers to it any more
 *
 * Does not wait. Frees it, too, once no callback runs.
 */
void uffdvram_watch_end(struct uffdvram_mm *umm)
{
	struct uffdvram_watch *watch = umm->watch, *departures = umm->departures;

	if (!watch)
		uffdvram_mm_free(umm);
	/* The last one put may free @umm at once. */
	if (departures)
		mmu_notifier_put(&departures->mn);
	if (watch)
		mmu_notifier_put(&watch->mn);
}

/* Before the module's text goes: waits for what uffdvram_watch_end() began. */
void uffdvram_watch_exit(void)
{
	mmu_notifier_synchronize();
}
