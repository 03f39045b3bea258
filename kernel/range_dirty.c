// SPDX-License-Identifier: GPL-2.0-only
/* What becomes of pages is entered in the books of the ranges that they are in. */
#include <linux/mm.h>

#include "context.h"
#include "dirty.h"
#include "owner.h"
#include "range.h"
#include "watch.h"

/**
 * uffdvram_range_books() - who wrote in a range
 * @r: the range
 *
 * They are made now if nobody has asked before, and departures counted from here on.
 * Sleeps; the first time it takes mmap_lock for writing, killably.
 *
 * Return: the books, as long as the range; ERR_PTR() of -ENOMEM or -EINTR.
 */
struct uffdvram_dirty *uffdvram_range_books(struct uffdvram_range *r)
{
	struct uffdvram_dirty *d = READ_ONCE(r->owner->dirty), *other;
	int ret;

	if (d)
		return d;
	ret = uffdvram_watch_departures(r->umm);
	if (ret)
		return ERR_PTR(ret);
	d = uffdvram_dirty_new(r->start, r->end);
	if (!d)
		return ERR_PTR(-ENOMEM);
	other = cmpxchg(&r->owner->dirty, NULL, d);
	if (other) {
		uffdvram_dirty_free(d);
		return other;
	}
	WRITE_ONCE(r->umm->harvested, true);
	/*
	 * Pairs with the one in watch_departure(): who is not counted there yet sees the
	 * books.
	 */
	smp_mb();
	return d;
}

/* What becomes of pages: see dirty.h for who calls, and when. */
enum range_note {
	RANGE_DEPARTED,
	RANGE_DEPARTED_ALONE,
	RANGE_ARRIVED,
	RANGE_WRITTEN,
};

/* Enters it in the books of all ranges that have some. Any context. */
static void range_note(struct uffdvram_mm *umm, unsigned long start,
		       unsigned long end, enum range_note note)
{
	unsigned long index = start, from, to;
	struct uffdvram_range *r;
	struct uffdvram_dirty *d;

	rcu_read_lock();
	mt_for_each(&umm->ranges, r, index, end - 1) {
		d = READ_ONCE(r->owner->dirty);
		if (!d)
			continue;
		from = max(start, r->start);
		to = min(end, r->end);
		if (note == RANGE_ARRIVED)
			uffdvram_dirty_arrive(d, from, to);
		else if (note == RANGE_WRITTEN)
			uffdvram_dirty_write(d, from, to);
		else
			uffdvram_dirty_depart(d, from, to, note == RANGE_DEPARTED_ALONE);
	}
	rcu_read_unlock();
}

/**
 * uffdvram_range_departed() - pages of an address space may be about to leave VRAM
 * @umm: address space
 * @start: first byte
 * @end: first byte after it
 * @alone: see uffdvram_dirty_depart()
 *
 * Called by a notifier, before the page tables change.
 */
void uffdvram_range_departed(struct uffdvram_mm *umm, unsigned long start,
			     unsigned long end, bool alone)
{
	range_note(umm, start, end, alone ? RANGE_DEPARTED_ALONE : RANGE_DEPARTED);
}

/**
 * uffdvram_range_arrived() - pages of an address space may be in VRAM by now
 * @umm: address space
 * @start: first byte
 * @end: first byte after it
 *
 * Who does not call it makes harvests slow, not wrong.
 */
void uffdvram_range_arrived(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end)
{
	if (READ_ONCE(umm->harvested))
		range_note(umm, start, end, RANGE_ARRIVED);
}

/**
 * uffdvram_range_written() - the device wrote to pages of an address space
 * @umm: address space
 * @start: first byte
 * @end: first byte after it
 *
 * Called after the write, and before its caller hears that it is done. Any context.
 */
void uffdvram_range_written(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end)
{
	/* Pairs with the one in uffdvram_range_books(): new books say that all is written. */
	smp_mb();
	if (READ_ONCE(umm->harvested))
		range_note(umm, start, end, RANGE_WRITTEN);
}
