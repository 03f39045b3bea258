// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brings pages home by slot, without an address space: everything of a pool that
 * is given up, and orphans, whose range has gone. The core finds and replaces
 * every mapping of such a page by its reverse map.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "evict.h"
#include "lock.h"
#include "stat.h"
#include "trace.h"
#include "vram.h"

#define EVICT_BATCH		64
#define EVICT_BACKOFF_MAX	HZ

/**
 * struct evict_batch - slots emptied together
 * @v: the pool
 * @n: how many
 * @src: pfns, then what the core makes of them
 * @dst: for the core
 * @page: destinations; NULL once used
 * @xfer: the copies
 * @index: which entry a copy is for
 */
struct evict_batch {
	struct uffdvram_vram *v;
	unsigned int n;
	unsigned long src[EVICT_BATCH];
	unsigned long dst[EVICT_BATCH];
	struct page *page[EVICT_BATCH];
	struct uffdvram_xfer xfer[EVICT_BATCH];
	u8 index[EVICT_BATCH];
};

/* Cuts the batch to the destinations that there are. */
static bool evict_alloc(struct evict_batch *b)
{
	unsigned int i;

	for (i = 0; i < b->n; i++) {
		b->page[i] = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
					__GFP_RETRY_MAYFAIL);
		if (!b->page[i]) {
			b->n = i;
			return false;
		}
	}
	return true;
}

static void evict_copy(struct evict_batch *b)
{
	struct uffdvram_vram *v = b->v;
	unsigned int i, k, n = 0;
	struct page *page;

	for (i = 0; i < b->n; i++) {
		page = migrate_pfn_to_page(b->src[i]);
		if (!page || !(b->src[i] & MIGRATE_PFN_MIGRATE) ||
		    uffdvram_slot_is_lost(&v->slots, uffdvram_slot_of(v, page)))
			continue;
		lock_page(b->page[i]);
		b->dst[i] = migrate_pfn(page_to_pfn(b->page[i]));
		b->xfer[n].off = uffdvram_slot_off(uffdvram_slot_of(v, page));
		b->xfer[n].ram = b->page[i];
		b->xfer[n].order = 0;
		b->index[n++] = i;
		/* The core owns it from here on, whatever happens. */
		b->page[i] = NULL;
	}
	if (!n || !v->backend.ops->to_ram(&v->backend, b->xfer, n))
		return;
	for (k = 0; k < n; k++) {
		if (!b->xfer[k].err)
			continue;
		i = b->index[k];
		page = migrate_pfn_to_page(b->src[i]);
		uffdvram_slot_lose(&v->slots, uffdvram_slot_of(v, page));
		b->page[i] = migrate_pfn_to_page(b->dst[i]);
		unlock_page(b->page[i]);
		b->dst[i] = 0;
	}
}

/* Returns how many came home. */
static unsigned int evict_run(struct evict_batch *b, bool *no_memory)
{
	unsigned int i, moved = 0, tried = b->n;

	if (!evict_alloc(b))
		*no_memory = true;
	memset(b->dst, 0, sizeof(b->dst));
	if (b->n) {
		migrate_device_pfns(b->src, b->n);
		evict_copy(b);
		migrate_device_pages(b->src, b->dst, b->n);
		for (i = 0; i < b->n; i++)
			moved += b->dst[i] && (b->src[i] & MIGRATE_PFN_MIGRATE);
		migrate_device_finalize(b->src, b->dst, b->n);
	}
	for (i = 0; i < b->n; i++)
		if (b->page[i])
			__free_page(b->page[i]);
	uffdvram_stat_add(evicted, moved);
	trace_uffdvram_evict(b->v->id, tried, moved);
	b->n = 0;
	return moved;
}

static bool evict_wanted(struct uffdvram_vram *v, unsigned long slot,
			 bool orphans_only)
{
	int state = uffdvram_slot_state(&v->slots, slot);

	if (!(state & UFFDVRAM_SLOT_USED) || (state & UFFDVRAM_SLOT_LOST))
		return false;
	return !orphans_only ||
	       !uffdvram_owner_lives(READ_ONCE(v->slots.owner[slot]));
}

/**
 * uffdvram_evict() - one pass over a pool
 * @v: a pool that is not reaped meanwhile: the caller holds v->detach
 * @orphans_only: leave what a living range owns
 * @res: out: what happened
 *
 * May sleep. What cannot be read becomes poison.
 *
 * Return: 0; -ENOMEM when not even the books could be kept; -EINTR.
 */
int uffdvram_evict(struct uffdvram_vram *v, bool orphans_only,
		   struct uffdvram_evict_result *res)
{
	struct uffdvram_slots *s = &v->slots;
	unsigned long slot, wanted = 0;
	struct evict_batch *b;

	lockdep_assert_held(&v->detach);
	memset(res, 0, sizeof(*res));
	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (!b) {
		res->no_memory = true;
		res->left = atomic_long_read(&s->used);
		return -ENOMEM;
	}
	b->v = v;
	for_each_set_bit(slot, s->taken, s->nr) {
		if (!evict_wanted(v, slot, orphans_only))
			continue;
		wanted++;
		b->src[b->n++] = v->first_pfn + slot;
		if (b->n < EVICT_BATCH)
			continue;
		res->moved += evict_run(b, &res->no_memory);
		cond_resched();
		if (fatal_signal_pending(current))
			break;
	}
	if (b->n)
		res->moved += evict_run(b, &res->no_memory);
	res->left = wanted - res->moved;
	kfree(b);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * uffdvram_evict_discard() - give up the data of all slots in use
 * @v: closed
 *
 * Every page of the pool is poison afterwards.
 */
void uffdvram_evict_discard(struct uffdvram_vram *v)
{
	struct uffdvram_slots *s = &v->slots;
	unsigned long slot;

	lockdep_assert_held(&v->detach);
	for_each_set_bit(slot, s->taken, s->nr)
		if (uffdvram_slot_state(s, slot) & UFFDVRAM_SLOT_USED)
			uffdvram_slot_lose(s, slot);
}

/*
 * A pool's worker. A closed pool loses all its pages, another one the orphans.
 * What does not come at once is tried again, ever more slowly: somebody holds a
 * reference for a moment, or the host is short of memory.
 */
void uffdvram_evict_work(struct work_struct *work)
{
	struct uffdvram_vram *v = container_of(to_delayed_work(work),
					       struct uffdvram_vram, work);
	struct uffdvram_evict_result res = {};

	mutex_lock(&v->detach);
	if (!v->reaped)
		uffdvram_evict(v, !READ_ONCE(v->slots.closed), &res);
	mutex_unlock(&v->detach);

	if (READ_ONCE(v->retired))
		uffdvram_vram_reap(v);
	if (res.left) {
		v->backoff = res.moved ? 1 : min(2 * v->backoff + 1,
						 (unsigned long)EVICT_BACKOFF_MAX);
		uffdvram_vram_kick(v, v->backoff);
	} else {
		v->backoff = 0;
	}
	uffdvram_vram_put(v);
}
