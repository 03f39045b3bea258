/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leases: the device may use slots just now, by their offsets in the pool.
 *
 * A lease holds slots, not pages: it takes no reference on a page, so that the core,
 * which counts references before it moves a page or takes a folio apart, never notices.
 * What it does is written in the slot's state:
 *
 *  LEASED	from BEGIN to END. No page leaves the slot to RAM, but those of ...
 *  REVOKED	... a lease that was revoked: its page may be had, but the device may be at
 *		the slot still. So the slot is not handed out again before END.
 *  PARKED	the page is gone (it came home, munmap, MADV_DONTNEED, exit) before END,
 *		which then gives the slot back. folio_free() leaves it at that.
 *
 * Between PARKED and END either the one or the other frees the slot: each changes the
 * state atomically and looks at what the other has done. LEASED is set by who is in the
 * gate of the folio and finds nobody in the gate of the slot; whoever copies a page out
 * looks for it after having entered the gate (uffdvram_slot_gate_enter_out()). So no
 * lease begins on a page that is leaving, and no page leaves that is leased.
 *
 * Who may revoke: a CPU that has waited long enough, or cannot wait (fault_lease.c); fork
 * and munmap, by a notifier, which does not wait (watch.c); the end of the range; a pool
 * that is detached, or in trouble. MIGRATE does not: the page stays, with a cause.
 *
 * A lease belongs to a context, by number, and is in the list of the range whose slots it
 * has (uffdvram_owner.leases): all its slots have that owner, so a fault finds the lease
 * by the slot. It ends once: by END, or with the context. Then a worker does it, since
 * close does not wait, and takes all pages of a write lease for written.
 *
 * What the device wrote is told by lease_mark() and uffdvram_lease_enter_all(), at END. What
 * it may have written of a revoked write lease, by uffdvram_lease_leaves(), before the page
 * comes home.
 *
 * For who harvests (dirty.h), all pages of a write lease count as written as long as it has
 * not ended, revoked or not, and wherever they are; and what END says was. If END says
 * nothing of pages that a harvest has reported meanwhile, they are reported once more.
 */
#ifndef _UFFDVRAM_LEASE_H
#define _UFFDVRAM_LEASE_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/workqueue.h>

#include <linux/uffdvram.h>

struct pid;
struct uffdvram_dirty;
struct uffdvram_events;
struct uffdvram_owner;
struct uffdvram_vram;

/* Longest wait of a CPU, in ms: module parameter, and what it may be at most. */
extern unsigned int uffdvram_lease_wait_ms;
#define UFFDVRAM_LEASE_WAIT_MAX	60000

/* The most runs that a lease can have. */
#define UFFDVRAM_LEASE_RUNS	8192

/**
 * struct uffdvram_lease_run - pages that are neighbours, and so are their slots
 * @addr: of the first page
 * @slot: its slot
 * @n: pages
 */
struct uffdvram_lease_run {
	unsigned long addr;
	u32 slot;
	u32 n;
};

/**
 * struct uffdvram_lease - a lease
 * @id: its number in its context
 * @write: the device may write
 * @harvested: a harvest met it; set under the owner's leases_lock
 * @v: the pool
 * @owner: whose slots
 * @events: of its context
 * @mm: its address space, held by mmgrab()
 * @holder: the thread that made it
 * @link: among the leases of @owner, under that one's lock
 * @work: ends it when its context is gone
 * @pages: in all runs
 * @n_runs: how many
 * @max_runs: room for so many
 * @runs: by address
 */
struct uffdvram_lease {
	u32 id;
	bool write;
	bool harvested;
	struct uffdvram_vram *v;
	struct uffdvram_owner *owner;
	struct uffdvram_events *events;
	struct mm_struct *mm;
	struct pid *holder;
	struct list_head link;
	struct work_struct work;
	unsigned long pages;
	unsigned int n_runs;
	unsigned int max_runs;
	struct uffdvram_lease_run *runs;
};

struct uffdvram_lease *uffdvram_lease_new(struct uffdvram_vram *v,
					  struct uffdvram_owner *owner,
					  struct uffdvram_events *events,
					  struct mm_struct *mm, unsigned int max_runs);
int uffdvram_lease_take(struct uffdvram_lease *l, unsigned long addr,
			struct page *const *pages, unsigned int n);
int uffdvram_lease_end(struct uffdvram_lease *l, const unsigned long *written,
		       unsigned long n, u64 *revoked);
void uffdvram_lease_abandon(struct uffdvram_lease *l);

void uffdvram_lease_leaves(struct vm_area_struct *vma, unsigned long addr,
			   struct page *page);
void uffdvram_lease_wrote(struct uffdvram_vram *v, unsigned long slot);
void uffdvram_lease_enter(struct uffdvram_lease *l, unsigned long addr, unsigned long n);
void uffdvram_lease_enter_all(struct uffdvram_lease *l, const unsigned long *written,
			      unsigned long n_written);
void uffdvram_lease_harvest(struct uffdvram_owner *o, struct uffdvram_dirty *d,
			    unsigned long start, unsigned long end);
bool uffdvram_lease_wanted(struct uffdvram_vram *v, unsigned long slot,
			   const struct mm_struct *mm);
void uffdvram_lease_revoke_slot(struct uffdvram_vram *v, unsigned long slot, u32 cause);
void uffdvram_lease_revoke_owner(struct uffdvram_owner *o, unsigned long start,
				 unsigned long end, u32 cause);
void uffdvram_lease_revoke_pool(struct uffdvram_vram *v);

#endif /* _UFFDVRAM_LEASE_H */
