// SPDX-License-Identifier: GPL-2.0-only
/* Leases, as who harvests sees them: lease.h tells which pages count as written. */
#include <linux/bitmap.h>
#include <linux/mm.h>

#include "dirty.h"
#include "lease.h"
#include "lock.h"
#include "owner.h"

/**
 * uffdvram_lease_enter() - enter what the device wrote in the books of the range
 * @l: the lease
 * @addr: of the first page
 * @n: pages
 *
 * Any context but interrupts.
 */
void uffdvram_lease_enter(struct uffdvram_lease *l, unsigned long addr, unsigned long n)
{
	struct uffdvram_dirty *d;

	/* Pairs with the one in uffdvram_range_books(): new books say that all is written. */
	smp_mb();
	d = READ_ONCE(l->owner->dirty);
	if (d)
		uffdvram_dirty_write(d, addr, addr + n * PAGE_SIZE);
}

/**
 * uffdvram_lease_enter_all() - likewise for what was written at last, there or not
 * @l: the lease, which nobody else ends
 * @written: a bit for each page; NULL: all up to @n_written
 * @n_written: how many pages that tells of
 */
void uffdvram_lease_enter_all(struct uffdvram_lease *l, const unsigned long *written,
			      unsigned long n_written)
{
	unsigned long first = 0, from, to, stop;
	unsigned int i;

	for (i = 0; i < l->n_runs && first < n_written; first += l->runs[i++].n) {
		stop = min(n_written, first + l->runs[i].n);
		for (from = first; from < stop; from = to) {
			if (written)
				from = find_next_bit(written, stop, from);
			to = written ? find_next_zero_bit(written, stop, from) : stop;
			if (from < to)
				uffdvram_lease_enter(l, l->runs[i].addr +
						     (from - first) * PAGE_SIZE, to - from);
		}
	}
}

/* The part of a run that lies in [start, end) is written. */
static void lease_harvest_run(const struct uffdvram_lease_run *run, struct uffdvram_dirty *d,
			      unsigned long start, unsigned long end)
{
	unsigned long from = max(start, run->addr);
	unsigned long to = min(end, run->addr + run->n * PAGE_SIZE);

	if (from < to)
		uffdvram_dirty_write(d, from, to);
}

/**
 * uffdvram_lease_harvest() - enter what the device may be writing as written
 * @o: the owner of a range
 * @d: the range's books
 * @start: first byte
 * @end: first byte after the piece
 *
 * To be called before the books are read: a lease that ends meanwhile has entered what was
 * written before it is gone from here.
 */
void uffdvram_lease_harvest(struct uffdvram_owner *o, struct uffdvram_dirty *d,
			    unsigned long start, unsigned long end)
{
	struct uffdvram_lease *l;
	unsigned int i;

	spin_lock(&o->leases_lock);
	list_for_each_entry(l, &o->leases, link) {
		if (l->write)
			WRITE_ONCE(l->harvested, true);
		for (i = 0; l->write && i < l->n_runs; i++)
			lease_harvest_run(&l->runs[i], d, start, end);
	}
	spin_unlock(&o->leases_lock);
}
