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
#include <linux/types.h>

struct mm_struct;
struct uffdvram_events;
struct uffdvram_user;

/**
 * struct uffdvram_owner - who slots belong to
 * @refs: one for each slot, one for the living range
 * @dead: the range is no more: its pages are orphans
 * @fault_events: it wants to know of pages that come home
 * @range: number of the range in its context
 * @mm: its address space; only compared
 * @start: first byte of the range
 * @end: first byte after it
 * @events: of its context
 * @user: who pays
 * @prepaid: slots paid for in advance: the window of a linear range
 * @pool_link: among the owners that use a pool; protected by the pool's
 *	owners_lock
 * @rcu: freed after a grace period: slots are looked at without locks
 */
struct uffdvram_owner {
	atomic_long_t refs;
	bool dead;
	bool fault_events;
	u32 range;
	const struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	struct uffdvram_events *events;
	struct uffdvram_user *user;
	unsigned long prepaid;
	struct list_head pool_link;
	struct rcu_head rcu;
};

struct uffdvram_owner *uffdvram_owner_new(struct uffdvram_events *events,
					  struct uffdvram_user *user);
bool uffdvram_owner_prepay(struct uffdvram_owner *o, unsigned long n);
void uffdvram_owner_put(struct uffdvram_owner *o, unsigned long n);
unsigned long uffdvram_owner_charge(struct uffdvram_owner *o, unsigned long n);
void uffdvram_owner_uncharge(struct uffdvram_owner *o, unsigned long n);
void uffdvram_owner_fault_back(const struct uffdvram_owner *o,
			       const struct mm_struct *mm, unsigned long addr,
			       unsigned long len);
void uffdvram_owner_page_lost(const struct uffdvram_owner *o,
			      const struct mm_struct *mm, unsigned long addr);

#endif /* _UFFDVRAM_OWNER_H */
