/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose slots: a range as the layers below it know it. It lives as long as a
 * slot bears it, so that a page which outlives its range is still paid for by
 * its user, and its range still found to be dead.
 */
#ifndef _UFFDVRAM_OWNER_H
#define _UFFDVRAM_OWNER_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "dmem.h"
#include "user.h"

struct mm_struct;
struct uffdvram_dirty;
struct uffdvram_events;

/**
 * struct uffdvram_owner - who slots belong to
 * @refs: one for each slot, one for the living range
 * @dead: the range is no more: its pages are orphans
 * @breached: an exclusive range, whose memory was not left alone: what is private is lost
 * @fault_events: it wants to know of pages that come home
 * @range: number of the range in its context
 * @mm: its address space; only compared
 * @start: first byte of the range
 * @end: first byte after it
 * @events: of its context
 * @user: who pays
 * @prepaid: slots paid for in advance: the window of a linear range
 * @dmem: what cgroups pay
 * @pool_link: among the owners that use a pool; protected by the pool's
 *	owners_lock
 * @leases_lock: rank 7; protects @leases, and the runs of those
 * @leases: leases of its slots that have not ended
 * @dirty: who wrote; NULL until the range is harvested. Read under RCU, too; ends with us
 * @rcu: freed after a grace period: slots are looked at without locks
 */
struct uffdvram_owner {
	atomic_long_t refs;
	bool dead;
	bool breached;
	bool fault_events;
	u32 range;
	const struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	struct uffdvram_events *events;
	struct uffdvram_user *user;
	unsigned long prepaid;
	struct uffdvram_dmem_account dmem;
	struct list_head pool_link;
	spinlock_t leases_lock;	/* rank 7 */
	struct list_head leases;
	struct uffdvram_dirty *dirty;
	struct rcu_head rcu;
};

struct uffdvram_owner *uffdvram_owner_new(struct uffdvram_events *events,
					  struct uffdvram_user *user);
int uffdvram_owner_prepay(struct uffdvram_owner *o, struct uffdvram_dmem *d,
			  unsigned long n);
void uffdvram_owner_release(struct uffdvram_owner *o);
int uffdvram_owner_charge(struct uffdvram_owner *o, struct uffdvram_dmem *d,
			  unsigned long *n);
void uffdvram_owner_tell_back(const struct uffdvram_owner *o,
			      const struct mm_struct *mm, unsigned long addr,
			      unsigned long len, u32 cause);
void uffdvram_owner_page_lost(const struct uffdvram_owner *o,
			      const struct mm_struct *mm, unsigned long addr);

/**
 * uffdvram_owner_fault_back() - tell that a fault brought pages home
 * @o: who their slots belonged to; the caller sees to it that it lives
 * @mm: where the fault was
 * @addr: first byte
 * @len: bytes
 * @cause: enum uffdvram_back
 *
 * Few want to be told.
 */
static inline void uffdvram_owner_fault_back(const struct uffdvram_owner *o,
					     const struct mm_struct *mm, unsigned long addr,
					     unsigned long len, u32 cause)
{
	if (unlikely(o->fault_events))
		uffdvram_owner_tell_back(o, mm, addr, len, cause);
}

/* Drops @n references. Any context. */
static inline void uffdvram_owner_put(struct uffdvram_owner *o, unsigned long n)
{
	if (atomic_long_sub_and_test(n, &o->refs))
		uffdvram_owner_release(o);
}

/* Undoes the charge of @n slots, and drops their references. Any context. */
static inline void uffdvram_owner_uncharge(struct uffdvram_owner *o, unsigned long n)
{
	if (!o->prepaid) {
		uffdvram_user_uncharge(o->user, n);
		uffdvram_dmem_uncharge(&o->dmem, n);
	}
	uffdvram_owner_put(o, n);
}

#endif /* _UFFDVRAM_OWNER_H */
