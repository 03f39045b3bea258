// SPDX-License-Identifier: GPL-2.0-only
/* What ranges have of a pool: slots with their pages, and word of how it fares. */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/module.h>

#include <linux/uffdvram.h>

#include "event.h"
#include "owner.h"
#include "stat.h"
#include "vram.h"

/**
 * uffdvram_vram_join() - a range will place its pages in a pool
 * @v: the pool
 * @o: the range's owner, of no other pool
 */
void uffdvram_vram_join(struct uffdvram_vram *v, struct uffdvram_owner *o)
{
	spin_lock(&v->owners_lock);
	list_add(&o->pool_link, &v->owners);
	spin_unlock(&v->owners_lock);
}

void uffdvram_vram_leave(struct uffdvram_vram *v, struct uffdvram_owner *o)
{
	spin_lock(&v->owners_lock);
	list_del_init(&o->pool_link);
	spin_unlock(&v->owners_lock);
}

/* Tells every context with a range in the pool. */
static void vram_tell(struct uffdvram_vram *v, u32 type, u32 cause, u64 len)
{
	static atomic64_t occasions;
	struct uffdvram_event event = {
		.type = type,
		.cause = cause,
		.range = v->id,
		.len = len,
	};
	u64 mark = atomic64_inc_return(&occasions);
	struct uffdvram_owner *o;

	spin_lock(&v->owners_lock);
	list_for_each_entry(o, &v->owners, pool_link)
		uffdvram_event_push_once(o->events, &event, mark);
	spin_unlock(&v->owners_lock);
}

/**
 * uffdvram_vram_tell_trouble() - tell of the device's trouble, of each kind once
 * @v: the caller is its worker
 */
void uffdvram_vram_tell_trouble(struct uffdvram_vram *v)
{
	unsigned long news = READ_ONCE(v->trouble) & ~v->told;
	unsigned int what;

	v->told |= news;
	for_each_set_bit(what, &news, BITS_PER_LONG)
		vram_tell(v, UFFDVRAM_EVENT_POOL_TROUBLE, what, 0);
}

/**
 * uffdvram_vram_page_lost() - note that a page cannot be read any more, and tell its owner
 * @page: the page in VRAM; the caller has a reference, which keeps its slot and its owner
 * @mm: where that was found out
 * @addr: its address there
 *
 * Of a pool that is lost as a whole all are told once. Does not sleep.
 */
void uffdvram_vram_page_lost(const struct page *page, const struct mm_struct *mm,
			     unsigned long addr)
{
	struct uffdvram_vram *v = uffdvram_vram_of(page);
	unsigned long slot = uffdvram_slot_of(v, page);

	if (uffdvram_slot_lose(&v->slots, slot) &&
	    !test_bit(UFFDVRAM_TROUBLE_LOST, &v->trouble))
		uffdvram_owner_page_lost(v->slots.owner[slot], mm, addr);
}

/**
 * uffdvram_vram_slot_state() - the state of a slot, as it is for who wants its page
 * @v: the pool
 * @slot: a slot whose page is mapped, or referenced, for as long as we look
 *
 * Return: UFFDVRAM_SLOT_*. What was private in a range that is no more, in an exclusive
 * one that was not left alone, or in a pool that goes, is lost: nobody is left who may
 * touch it. (Its worker makes it poison.)
 */
int uffdvram_vram_slot_state(struct uffdvram_vram *v, unsigned long slot)
{
	int state = uffdvram_slot_state(&v->slots, slot);
	const struct uffdvram_owner *o;

	if (likely(!(state & UFFDVRAM_SLOT_PRIVATE)))
		return state;
	o = READ_ONCE(v->slots.owner[slot]);
	if (!o || READ_ONCE(o->dead) || READ_ONCE(o->breached) || READ_ONCE(v->slots.closed))
		state |= UFFDVRAM_SLOT_LOST;
	return state;
}

static unsigned long vram_free_slots(struct uffdvram_vram *v)
{
	long taken = atomic_long_read(&v->slots.used) +
		     atomic_long_read(&v->slots.quarantined);

	return max((long)v->slots.nr - taken, 0L);
}

/*
 * After slots were taken, of which @before were free, or too few (@full): what is
 * free may be in windows. Few are left (1), or none (2). That is told once, and
 * again only after a quarter was free.
 */
static void vram_check_pressure(struct uffdvram_vram *v, unsigned long before,
				bool full)
{
	unsigned long free = vram_free_slots(v);
	int now = full || !free ? 2 : free < v->slots.nr / 8 ? 1 : 0;
	int was;

	if (!full && before >= v->slots.nr / 4 && READ_ONCE(v->pressure))
		WRITE_ONCE(v->pressure, 0);
	was = READ_ONCE(v->pressure);
	if (now > was && try_cmpxchg(&v->pressure, &was, now))
		vram_tell(v, UFFDVRAM_EVENT_POOL_PRESSURE, !free,
			  (u64)free << PAGE_SHIFT);
}

/**
 * uffdvram_vram_alloc() - take slots
 * @v: the pool
 * @o: who for
 * @slots: out: their numbers
 * @n: how many are wanted
 * @err: out: why there are fewer: -ENOSPC, or what uffdvram_owner_charge() says
 *
 * While any slot is in use the module stays loaded. May sleep.
 *
 * Return: how many there were.
 */
unsigned int uffdvram_vram_alloc(struct uffdvram_vram *v,
				 struct uffdvram_owner *o, u32 *slots,
				 unsigned int n, int *err)
{
	unsigned long before = vram_free_slots(v), may = n;
	unsigned int got;
	bool first;

	*err = uffdvram_owner_charge(o, &v->dmem, &may);
	got = uffdvram_slots_alloc(&v->slots, o, slots, may, &first);
	if (got < may) {
		*err = -ENOSPC;
		uffdvram_owner_uncharge(o, may - got);
	}
	if (first)
		__module_get(THIS_MODULE);
	vram_check_pressure(v, before, got < may);
	return got;
}

/**
 * uffdvram_vram_alloc_at() - take certain slots of a window
 * @v: the pool
 * @o: whose window it is
 * @slots: in: their numbers; out: UFFDVRAM_NO_SLOT for those that are taken
 * @n: how many
 *
 * Return: how many were taken.
 */
unsigned int uffdvram_vram_alloc_at(struct uffdvram_vram *v,
				    struct uffdvram_owner *o, u32 *slots,
				    unsigned int n)
{
	unsigned long before = vram_free_slots(v), paid = n;
	unsigned int got;
	bool first;

	/* As a window, long ago. */
	uffdvram_owner_charge(o, &v->dmem, &paid);
	got = uffdvram_slots_alloc_at(&v->slots, o, slots, n, &first);
	if (got < n)
		uffdvram_owner_uncharge(o, n - got);
	if (first)
		__module_get(THIS_MODULE);
	vram_check_pressure(v, before, false);
	return got;
}

/* A block, any one (*slot out) or that at *slot. Pays for all of it, or takes nothing. */
static bool vram_take_block(struct uffdvram_vram *v, struct uffdvram_owner *o,
			    u32 *slot, bool any)
{
	unsigned long before = vram_free_slots(v), may = UFFDVRAM_BLOCK_SLOTS;
	bool first, got = false;

	if (!uffdvram_owner_charge(o, &v->dmem, &may))
		got = any ? uffdvram_slots_alloc_block(&v->slots, o, slot, &first) :
			    uffdvram_slots_alloc_block_at(&v->slots, o, *slot, &first);
	if (!got) {
		uffdvram_owner_uncharge(o, may);
		return false;
	}
	if (first)
		__module_get(THIS_MODULE);
	vram_check_pressure(v, before, false);
	return true;
}

/**
 * uffdvram_vram_alloc_block() - take a block of slots
 * @v: the pool
 * @o: who for
 * @slot: out: the first
 *
 * Return: false if no block is free, or the user's quota does not reach: single slots
 * may be had.
 */
bool uffdvram_vram_alloc_block(struct uffdvram_vram *v,
			       struct uffdvram_owner *o, u32 *slot)
{
	return vram_take_block(v, o, slot, true);
}

/**
 * uffdvram_vram_alloc_block_at() - take a certain block of a window
 * @v: the pool
 * @o: whose window it is
 * @slot: the first, a multiple of UFFDVRAM_BLOCK_SLOTS
 *
 * Return: false if one of them is taken.
 */
bool uffdvram_vram_alloc_block_at(struct uffdvram_vram *v,
				  struct uffdvram_owner *o, u32 slot)
{
	return vram_take_block(v, o, &slot, false);
}

static void vram_freed(struct uffdvram_vram *v, bool last)
{
	if (!last)
		return;
	if (READ_ONCE(v->retired))
		uffdvram_vram_kick(v, 0);
	wake_up_all(&v->wait);
	module_put(THIS_MODULE);
}

static __always_inline void vram_free(struct uffdvram_vram *v, unsigned long slot)
{
	struct uffdvram_owner *o = v->slots.owner[slot];
	bool last = uffdvram_slots_free(&v->slots, slot);

	uffdvram_owner_uncharge(o, 1);
	vram_freed(v, last);
}

/**
 * uffdvram_vram_free() - give a slot back
 * @v: the pool
 * @slot: a slot in use whose page has no reference
 *
 * Any context. After the last slot @v may be gone, unless the caller has a
 * reference on it or on its pagemap.
 */
void uffdvram_vram_free(struct uffdvram_vram *v, unsigned long slot)
{
	vram_free(v, slot);
}

/* Likewise a whole block, whose slots have one owner. */
void uffdvram_vram_free_block(struct uffdvram_vram *v, unsigned long slot)
{
	struct uffdvram_owner *o = v->slots.owner[slot];
	bool last = uffdvram_slots_free_block(&v->slots, slot);

	uffdvram_owner_uncharge(o, UFFDVRAM_BLOCK_SLOTS);
	vram_freed(v, last);
}

/* The page of a slot is gone: gives it back, or leaves that to the lease that has it. */
static __always_inline void vram_leave(struct uffdvram_vram *v, unsigned long slot)
{
	if (likely(!atomic_long_read(&v->slots.leased)) || !uffdvram_slot_park(&v->slots, slot))
		vram_free(v, slot);
}

/**
 * uffdvram_vram_page_free() - the last reference on a device page is gone
 * @page: the page
 *
 * The core's callback, in atomic context. It still holds a reference on the
 * pagemap, so that uffdvram_vram_reap() waits for us to return. A slot that a lease
 * has is given back when that ends.
 */
void uffdvram_vram_page_free(struct page *page)
{
	struct uffdvram_vram *v = uffdvram_vram_of(page);

	vram_leave(v, uffdvram_slot_of(v, page));
}

/*
 * Likewise. A large folio is made single pages first: who looks up the folio of a slot
 * that is taken anew must not be led to where the old one began.
 */
void uffdvram_vram_folio_free(struct folio *folio)
{
	struct page *page = folio_page(folio, 0);
	struct uffdvram_vram *v = uffdvram_vram_of(page);
	unsigned long slot = uffdvram_slot_of(v, page);
	unsigned int i;

	if (!folio_test_large(folio)) {
		vram_leave(v, slot);
		return;
	}
	uffdvram_device_folio_dissolve(folio);
	if (likely(!atomic_long_read(&v->slots.leased))) {
		uffdvram_vram_free_block(v, slot);
		return;
	}
	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++)
		vram_leave(v, slot + i);
}

/**
 * uffdvram_vram_folio_split() - a large device folio is taken apart
 * @folio: the folio, of which the first page remains; locked, its reference frozen
 * @part: what becomes a folio of its own; NULL: that was all
 *
 * The core's callback, with interrupts off. Each slot has books of its own already.
 */
void uffdvram_vram_folio_split(struct folio *folio, struct folio *part)
{
	if (!part) {
		uffdvram_stat_inc(folios_split);
		return;
	}
	uffdvram_device_folio_part(folio, part);
}
