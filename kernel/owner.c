// SPDX-License-Identifier: GPL-2.0-only

#include <linux/uffdvram.h>

#include "dirty.h"
#include "event.h"
#include "object.h"
#include "owner.h"
#include "user.h"

/**
 * uffdvram_owner_new() - make an owner for a range
 * @events: of its context
 * @user: who opened that
 *
 * Return: the owner, with the range's reference; NULL without memory.
 */
struct uffdvram_owner *uffdvram_owner_new(struct uffdvram_events *events,
					  struct uffdvram_user *user)
{
	struct uffdvram_owner *o = object_new(o);

	if (!o)
		return NULL;
	atomic_long_set(&o->refs, 1);
	INIT_LIST_HEAD(&o->pool_link);
	spin_lock_init(&o->leases_lock);
	INIT_LIST_HEAD(&o->leases);
	uffdvram_dmem_account_init(&o->dmem);
	kref_get(&events->ref);
	o->events = events;
	uffdvram_user_hold(user);
	o->user = user;
	return o;
}

static void owner_free(struct rcu_head *rcu)
{
	struct uffdvram_owner *o = container_of(rcu, struct uffdvram_owner, rcu);

	uffdvram_dirty_free(o->dirty);
	uffdvram_events_put(o->events);
	uffdvram_user_put(o->user);
	object_free(o);
}

/* The last reference is gone: see uffdvram_owner_put(). */
void uffdvram_owner_release(struct uffdvram_owner *o)
{
	/* At once, for who tries the same again. */
	uffdvram_user_uncharge(o->user, o->prepaid);
	uffdvram_dmem_uncharge(&o->dmem, o->prepaid);
	call_rcu(&o->rcu, owner_free);
}

/* The user first: only what the quota allows is charged to the cgroup. */
static int owner_pay(struct uffdvram_owner *o, struct uffdvram_dmem *d, unsigned long *n)
{
	unsigned long may = uffdvram_user_charge(o->user, *n);
	int ret = may < *n ? -EDQUOT : 0;
	int err;

	*n = may;
	err = uffdvram_dmem_charge(d, &o->dmem, n);
	uffdvram_user_uncharge(o->user, may - *n);
	return err ?: ret;
}

/**
 * uffdvram_owner_charge() - have an owner's user, and our cgroup, pay for slots
 * @o: the owner
 * @d: of its pool
 * @n: in: how many are wanted; out: how many are paid for; each takes a reference
 *
 * May sleep.
 *
 * Return: 0, or why there are fewer: -EDQUOT (the quota, or a limit of the cgroup) or
 * -ENOMEM.
 */
int uffdvram_owner_charge(struct uffdvram_owner *o, struct uffdvram_dmem *d,
			  unsigned long *n)
{
	int ret = o->prepaid ? 0 : owner_pay(o, d, n);

	atomic_long_add(*n, &o->refs);
	return ret;
}

/**
 * uffdvram_owner_prepay() - have them pay for a window
 * @o: an owner without slots
 * @d: of its pool
 * @n: slots of the window
 *
 * It is paid for until the last of its slots is free. May sleep.
 *
 * Return: 0, -EDQUOT or -ENOMEM.
 */
int uffdvram_owner_prepay(struct uffdvram_owner *o, struct uffdvram_dmem *d,
			  unsigned long n)
{
	unsigned long may = n;
	int ret = owner_pay(o, d, &may);

	if (!ret) {
		o->prepaid = n;
		return 0;
	}
	uffdvram_user_uncharge(o->user, may);
	uffdvram_dmem_uncharge(&o->dmem, may);
	return ret;
}

/*
 * uffdvram_owner_fault_back(), where it is wanted. Faults elsewhere are not told: of others
 * that share the page after a fork, or where mremap took it. Of an entry of 2 MiB, what
 * lies in the range is.
 */
void uffdvram_owner_tell_back(const struct uffdvram_owner *o,
			      const struct mm_struct *mm, unsigned long addr,
			      unsigned long len, u32 cause)
{
	unsigned long start = max(addr, o->start), end = min(addr + len, o->end);
	struct uffdvram_event event = {
		.type = UFFDVRAM_EVENT_FAULT_BACK,
		.cause = cause,
		.range = o->range,
		.addr = start,
		.len = end - start,
	};

	if (o->mm == mm && start < end && !READ_ONCE(o->dead))
		uffdvram_event_push(o->events, &event);
}

/**
 * uffdvram_owner_page_lost() - tell that a page could not be read
 * @o: who its slot belongs to; the caller sees to it that it lives
 * @mm: where that was found out
 * @addr: its address there
 *
 * Of a page that is not at its place in the range, no address is told.
 */
void uffdvram_owner_page_lost(const struct uffdvram_owner *o,
			      const struct mm_struct *mm, unsigned long addr)
{
	bool here = o->mm == mm && addr >= o->start && addr < o->end;
	struct uffdvram_event event = {
		.type = UFFDVRAM_EVENT_PAGE_LOST,
		.range = o->range,
		.addr = here ? addr : 0,
		.len = PAGE_SIZE,
	};

	if (!READ_ONCE(o->dead))
		uffdvram_event_push(o->events, &event);
}
