// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "event.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "object.h"
#include "owner.h"
#include "stat.h"
#include "vram.h"
#include "walk.h"

/* Pages that are looked at together when a lease ends. */
#define LEASE_PAGES	32
/* How long its end waits for pages that move, in jiffies. */
#define LEASE_PATIENCE	1000

unsigned int uffdvram_lease_wait_ms = 1000;

static void lease_free(struct uffdvram_lease *l)
{
	uffdvram_vram_put(l->v);
	uffdvram_owner_put(l->owner, 1);
	uffdvram_events_put(l->events);
	put_pid(l->holder);
	mmdrop(l->mm);
	kvfree(l->runs);
	object_free(l);
}

/**
 * uffdvram_lease_new() - make a lease of nothing
 * @v: the pool
 * @owner: of the range; the caller has a reference on that
 * @events: of the context
 * @mm: address space
 * @max_runs: how many runs it may come to have
 *
 * Return: the lease, to be ended; NULL without memory.
 */
struct uffdvram_lease *uffdvram_lease_new(struct uffdvram_vram *v,
					  struct uffdvram_owner *owner,
					  struct uffdvram_events *events,
					  struct mm_struct *mm, unsigned int max_runs)
{
	struct uffdvram_lease *l = object_new(l);

	if (!l)
		return NULL;
	l->runs = may_fail(alloc, NULL, kvmalloc_array(max_runs, sizeof(*l->runs),
						       GFP_KERNEL_ACCOUNT));
	if (!l->runs) {
		object_free(l);
		return NULL;
	}
	l->max_runs = max_runs;
	kref_get(&v->ref);
	l->v = v;
	atomic_long_inc(&owner->refs);
	l->owner = owner;
	kref_get(&events->ref);
	l->events = events;
	mmgrab(mm);
	l->mm = mm;
	l->holder = get_pid(task_pid(current));
	spin_lock(&owner->leases_lock);
	list_add(&l->link, &owner->leases);
	spin_unlock(&owner->leases_lock);
	return l;
}

/* Enters the gates, and sets the state, for one page; as uffdvram_slot_lease(). */
static int lease_take_slot(struct uffdvram_lease *l, struct page *page, unsigned long slot)
{
	struct uffdvram_slots *s = &l->v->slots;
	unsigned long gate = uffdvram_slot_of(l->v, folio_page(page_folio(page), 0));
	int ret;

	/* A fault at a page of a folio that it takes apart is in the gate of that slot only. */
	if (!uffdvram_slot_gate_enter(s, gate))
		return -EAGAIN;
	ret = uffdvram_slot_lease(s, slot, gate, l->write);
	uffdvram_slot_gate_leave(s, gate);
	if (!ret && l->write)
		uffdvram_backend_forget(&l->v->backend, uffdvram_slot_off(slot));
	return ret;
}

/**
 * uffdvram_lease_take() - lease pages in VRAM
 * @l: the lease, whose pages end at @addr or before
 * @addr: of the first page
 * @pages: device pages, with references, exclusive and mapped there
 * @n: how many, at least one
 *
 * mmap_lock is held: no fork comes between the look at the page tables and this.
 *
 * Return: how many were taken; for none, -EBUSY (it is leased), -EAGAIN (somebody copies
 * it), -EHWPOISON, -EXDEV (it is not one of the owner's slots in the pool), or -ENOSPC:
 * there is no room for another run.
 */
int uffdvram_lease_take(struct uffdvram_lease *l, unsigned long addr,
			struct page *const *pages, unsigned int n)
{
	struct uffdvram_lease_run *run = l->n_runs ? &l->runs[l->n_runs - 1] : NULL;
	unsigned long slot;
	unsigned int i;
	int ret = 0;

	mmap_assert_locked(l->mm);
	/* A fault that finds one leased finds it in the lease, too. */
	spin_lock(&l->owner->leases_lock);
	for (i = 0; i < n; i++, addr += PAGE_SIZE) {
		slot = uffdvram_slot_of(l->v, pages[i]);
		ret = -EXDEV;
		if (uffdvram_vram_of(pages[i]) != l->v ||
		    READ_ONCE(l->v->slots.owner[slot]) != l->owner)
			break;
		if (!run || run->addr + run->n * PAGE_SIZE != addr ||
		    run->slot + run->n != slot) {
			ret = -ENOSPC;
			if (l->n_runs == l->max_runs)
				break;
			run = NULL;
		}
		ret = lease_take_slot(l, pages[i], slot);
		if (ret)
			break;
		if (!run) {
			run = &l->runs[l->n_runs++];
			*run = (struct uffdvram_lease_run){ .addr = addr, .slot = slot };
		}
		run->n++;
		l->pages++;
	}
	spin_unlock(&l->owner->leases_lock);
	uffdvram_stat_add(leases_pages, i);
	return i ?: ret;
}

/**
 * struct lease_marks - what the end of a lease has to mark
 * @l: the lease
 * @mm: its address space, or NULL: that is gone
 * @written: a bit for each page; NULL: all
 * @n: how many pages that tells of
 * @patience: how often pages that are moving are waited for
 */
struct lease_marks {
	struct uffdvram_lease *l;
	struct mm_struct *mm;
	const unsigned long *written;
	unsigned long n;
	unsigned int patience;
};

/*
 * Whether some page has no entry just now, but may have it again: the core unmaps what
 * lies between pages that move, and large folios that it takes apart.
 */
static bool lease_moves(const struct uffdvram_lease *l, const struct uffdvram_lease_run *at,
			const struct uffdvram_look *look)
{
	unsigned int i;

	for (i = 0; i < at->n; i++)
		if (look[i].entry == UFFDVRAM_ENTRY_MOVING &&
		    !(uffdvram_slot_state(&l->v->slots, at->slot + i) & UFFDVRAM_SLOT_PARKED))
			return true;
	return false;
}

/*
 * Marks what was written of a few neighbouring pages, and revokes those that are not
 * there any more. mmap_lock is held. @first: number of the first page in the lease.
 * False: some are moving: try again.
 */
static bool lease_mark(const struct lease_marks *m, struct vm_area_struct *vma,
		       const struct uffdvram_lease_run *at, unsigned long first)
{
	struct uffdvram_look look[LEASE_PAGES];
	struct page *pages[LEASE_PAGES], *wrote[LEASE_PAGES] = {};
	bool any = false, moves;
	unsigned int i;

	uffdvram_walk(vma, at->addr, at->addr + at->n * PAGE_SIZE, look, pages);
	moves = m->patience && lease_moves(m->l, at, look);
	for (i = 0; !moves && i < at->n; i++) {
		if (pages[i] != uffdvram_slot_page(m->l->v, at->slot + i)) {
			uffdvram_slot_revoke(&m->l->v->slots, at->slot + i);
			continue;
		}
		if (first + i >= m->n || (m->written && !test_bit(first + i, m->written)))
			continue;
		wrote[i] = pages[i];
		any = true;
	}
	if (any)
		uffdvram_walk_written(vma, at->addr, wrote, at->n);
	for (i = 0; i < at->n; i++)
		if (pages[i])
			put_page(pages[i]);
	return !moves;
}

/* A few pages of a run: as many as were looked at; 0: try again. */
static unsigned int lease_mark_next(const struct lease_marks *m,
				    const struct uffdvram_lease_run *run, unsigned int from,
				    unsigned long first)
{
	struct uffdvram_lease_run at = {
		.addr = run->addr + from * PAGE_SIZE,
		.slot = run->slot + from,
		.n = min(run->n - from, LEASE_PAGES),
	};
	struct vm_area_struct *vma = m->mm ? vma_lookup(m->mm, at.addr) : NULL;
	unsigned long end = at.addr + at.n * PAGE_SIZE;
	unsigned int i;

	if (vma && uffdvram_vma_is_ours(vma)) {
		end = min3(end, vma->vm_end, ALIGN(at.addr + 1, PMD_SIZE));
		at.n = (end - at.addr) >> PAGE_SHIFT;
		return lease_mark(m, vma, &at, first + from) ? at.n : 0;
	}
	for (i = 0; i < at.n; i++)
		uffdvram_slot_revoke(&m->l->v->slots, at.slot + i);
	return at.n;
}

/* Returns 0, or -EINTR when killed. */
static int lease_mark_all(struct lease_marks *m)
{
	unsigned int i, n, from, stop;
	unsigned long first = 0;

	for (i = 0; i < m->l->n_runs; first += m->l->runs[i++].n) {
		for (from = 0; from < m->l->runs[i].n;) {
			/* Not for long at a time: writers wait for the lock. */
			stop = min_t(u64, m->l->runs[i].n, (u64)from + UFFDVRAM_WALK_PAGES);
			if (m->mm && may_fail(kill, -EINTR, mmap_read_lock_killable(m->mm)))
				return -EINTR;
			do {
				n = lease_mark_next(m, &m->l->runs[i], from, first);
				from += n;
			} while (n && from < stop);
			if (m->mm)
				mmap_read_unlock(m->mm);
			cond_resched();
			if (n)
				continue;
			m->patience--;
			schedule_timeout_killable(1);
			if (fatal_signal_pending(current))
				return -EINTR;
		}
	}
	return 0;
}

/* A few slots, the last first: what is in a run is leased. Returns how many were revoked. */
static unsigned int lease_release_some(struct uffdvram_lease *l)
{
	struct uffdvram_lease_run *run = &l->runs[l->n_runs - 1];
	unsigned int n = min(run->n, LEASE_PAGES), revoked = 0;
	unsigned long slot;
	int state;

	lockdep_assert_held(&l->owner->leases_lock);
	while (n--) {
		slot = run->slot + --run->n;
		state = uffdvram_slot_unlease(&l->v->slots, slot);
		revoked += !!(state & UFFDVRAM_SLOT_REVOKED);
		/* Its page is gone. */
		if (state & UFFDVRAM_SLOT_PARKED)
			uffdvram_vram_free(l->v, slot);
	}
	if (!run->n)
		l->n_runs--;
	return revoked;
}

/* Gives all slots back, and frees the lease. Returns how many were revoked. */
static u64 lease_release(struct uffdvram_lease *l)
{
	struct uffdvram_owner *o = l->owner;
	u64 revoked = 0;

	spin_lock(&o->leases_lock);
	while (l->n_runs) {
		revoked += lease_release_some(l);
		spin_unlock(&o->leases_lock);
		cond_resched();
		spin_lock(&o->leases_lock);
	}
	list_del(&l->link);
	spin_unlock(&o->leases_lock);
	wake_up_all(&l->v->lease_wait);
	/* What nobody wants any more was kept from coming home. */
	if (READ_ONCE(o->dead) || READ_ONCE(l->v->slots.closed))
		uffdvram_vram_kick(l->v, 0);
	lease_free(l);
	return revoked;
}

/**
 * uffdvram_lease_end() - end a lease, and free it
 * @l: the lease; nobody else ends it
 * @written: a bit for each page: the device wrote it. NULL: all up to @n
 * @n: how many pages that tells of; 0: nothing was written
 * @revoked: out: pages that were not under the lease any more, at its end
 *
 * Takes mmap_lock for reading, killably. Needs no memory. A read lease has written nothing.
 *
 * Return: 0; -EINTR when killed: then a worker ends it, as uffdvram_lease_abandon().
 */
int uffdvram_lease_end(struct uffdvram_lease *l, const unsigned long *written,
		       unsigned long n, u64 *revoked)
{
	struct lease_marks m = {
		.l = l,
		.mm = mmget_not_zero(l->mm) ? l->mm : NULL,
		.written = written,
		.n = l->write ? n : 0,
		.patience = LEASE_PATIENCE,
	};
	int ret = lease_mark_all(&m);

	if (ret) {
		uffdvram_lease_abandon(l);
	} else {
		/* What a harvest has reported as being written is, once more, if nobody knows. */
		uffdvram_lease_enter_all(l, written,
					 !m.n && READ_ONCE(l->harvested) ? ULONG_MAX : m.n);
		*revoked = lease_release(l);
	}
	/* Never the last one here: exit is not for us to wait for. */
	if (m.mm)
		mmput_async(m.mm);
	return ret;
}

/* A kernel thread is not killed. */
static void lease_work(struct work_struct *work)
{
	struct uffdvram_lease *l = container_of(work, struct uffdvram_lease, work);
	struct uffdvram_vram *v = l->v;
	u64 revoked;

	kref_get(&v->ref);
	uffdvram_lease_end(l, NULL, ULONG_MAX, &revoked);
	/* Its slots are free before nobody ends it any more; see pool_only_leases(). */
	smp_mb__before_atomic();
	atomic_dec(&v->leases_ending);
	uffdvram_vram_put(v);
}

/**
 * uffdvram_lease_abandon() - have a worker end a lease whose context is gone
 * @l: the lease; nobody else ends it
 *
 * Does not wait. Nobody knows what the device wrote: all that it could.
 */
void uffdvram_lease_abandon(struct uffdvram_lease *l)
{
	atomic_inc(&l->v->leases_ending);
	INIT_WORK(&l->work, lease_work);
	uffdvram_vram_queue(&l->work);
}

/* The lease of its owner's that has a slot, and the address there; NULL: none has. */
static struct uffdvram_lease *lease_find(struct uffdvram_owner *o, unsigned long slot,
					 unsigned long *addr)
{
	struct uffdvram_lease *l;
	unsigned int i;

	lockdep_assert_held(&o->leases_lock);
	list_for_each_entry(l, &o->leases, link) {
		for (i = 0; i < l->n_runs; i++) {
			if (slot < l->runs[i].slot || slot - l->runs[i].slot >= l->runs[i].n)
				continue;
			*addr = l->runs[i].addr + ((slot - l->runs[i].slot) << PAGE_SHIFT);
			return l;
		}
	}
	return NULL;
}

/**
 * uffdvram_lease_wrote() - enter in the range's books what a write lease may have written
 * @v: the pool
 * @slot: of a page that is about to leave it, wherever that is mapped; the caller has a
 *	reference on the page
 */
void uffdvram_lease_wrote(struct uffdvram_vram *v, unsigned long slot)
{
	struct uffdvram_owner *o = v->slots.owner[slot];
	struct uffdvram_lease *l;
	unsigned long addr;

	spin_lock(&o->leases_lock);
	l = lease_find(o, slot, &addr);
	if (l && l->write)
		uffdvram_lease_enter(l, addr, 1);
	spin_unlock(&o->leases_lock);
}

/**
 * uffdvram_lease_leaves() - a page of a revoked write lease is about to leave its slot
 * @vma: where it is mapped; mmap_lock is held
 * @addr: its address there
 * @page: the page, with a reference
 *
 * The device may have written it, and at the end of the lease its entry is no more.
 */
void uffdvram_lease_leaves(struct vm_area_struct *vma, unsigned long addr, struct page *page)
{
	struct uffdvram_vram *v = uffdvram_vram_of(page);

	uffdvram_walk_written(vma, addr, &page, 1);
	uffdvram_lease_wrote(v, uffdvram_slot_of(v, page));
}

/* Tells the holder of one page. */
static void lease_tell(struct uffdvram_lease *l, u32 type, u32 cause, unsigned long addr)
{
	struct uffdvram_event event = {
		.type = type,
		.cause = cause,
		.range = l->id,
		.addr = addr,
		.len = PAGE_SIZE,
	};

	uffdvram_event_push(l->events, &event);
}

/**
 * uffdvram_lease_wanted() - a CPU wants the page of a leased slot
 * @v: the pool
 * @slot: the slot; the caller has a reference on its page
 * @mm: the CPU's address space
 *
 * Return: whether it is to wait; then the holder has been told. Not if the lease is of
 * another address space, or the caller's own: he would wait for himself.
 */
bool uffdvram_lease_wanted(struct uffdvram_vram *v, unsigned long slot,
			   const struct mm_struct *mm)
{
	struct uffdvram_owner *o = v->slots.owner[slot];
	struct uffdvram_lease *l;
	unsigned long addr;
	bool wait;

	spin_lock(&o->leases_lock);
	l = lease_find(o, slot, &addr);
	wait = l && l->mm == mm && l->holder != task_pid(current);
	if (wait && uffdvram_slot_want(&v->slots, slot))
		lease_tell(l, UFFDVRAM_EVENT_LEASE_WANTED, 0, addr);
	spin_unlock(&o->leases_lock);
	return wait;
}

/**
 * uffdvram_lease_revoke_slot() - let a page go that is leased
 * @v: the pool
 * @slot: the slot; its owner lives
 * @cause: UFFDVRAM_REVOKED_*
 *
 * Any context but interrupts. Who waits for it comes again.
 */
void uffdvram_lease_revoke_slot(struct uffdvram_vram *v, unsigned long slot, u32 cause)
{
	struct uffdvram_owner *o = READ_ONCE(v->slots.owner[slot]);
	struct uffdvram_lease *l;
	unsigned long addr;

	if (!o)
		return;
	spin_lock(&o->leases_lock);
	if (uffdvram_slot_revoke(&v->slots, slot)) {
		uffdvram_stat_inc(leases_revoked);
		l = lease_find(o, slot, &addr);
		if (l)
			lease_tell(l, UFFDVRAM_EVENT_LEASE_REVOKED, cause, addr);
	}
	spin_unlock(&o->leases_lock);
	wake_up_all(&v->lease_wait);
}

/* The part of a run that lies in [start, end). */
static void lease_revoke_run(struct uffdvram_lease *l, const struct uffdvram_lease_run *run,
			     unsigned long start, unsigned long end, u32 cause)
{
	unsigned long addr = max(start, run->addr);
	unsigned long stop = min(end, run->addr + run->n * PAGE_SIZE);

	for (; addr < stop; addr += PAGE_SIZE) {
		if (!uffdvram_slot_revoke(&l->v->slots,
					  run->slot + ((addr - run->addr) >> PAGE_SHIFT)))
			continue;
		uffdvram_stat_inc(leases_revoked);
		lease_tell(l, UFFDVRAM_EVENT_LEASE_REVOKED, cause, addr);
	}
}

/**
 * uffdvram_lease_revoke_owner() - revoke what is leased of a piece of a range
 * @o: its owner; lives, or the caller is an RCU reader
 * @start: first byte
 * @end: first byte after it
 * @cause: UFFDVRAM_REVOKED_*
 *
 * Does not sleep, needs no memory.
 */
void uffdvram_lease_revoke_owner(struct uffdvram_owner *o, unsigned long start,
				 unsigned long end, u32 cause)
{
	struct uffdvram_lease *l;
	unsigned int i;

	if (list_empty_careful(&o->leases))
		return;
	spin_lock(&o->leases_lock);
	list_for_each_entry(l, &o->leases, link) {
		for (i = 0; i < l->n_runs; i++)
			lease_revoke_run(l, &l->runs[i], start, end, cause);
		wake_up_all(&l->v->lease_wait);
	}
	spin_unlock(&o->leases_lock);
}

/**
 * uffdvram_lease_revoke_pool() - revoke all leases in a pool
 * @v: the caller holds v->detach, so that it is not reaped
 */
void uffdvram_lease_revoke_pool(struct uffdvram_vram *v)
{
	unsigned long slot;

	lockdep_assert_held(&v->detach);
	if (!atomic_long_read(&v->slots.leased))
		return;
	for_each_set_bit(slot, v->slots.taken, v->slots.nr) {
		if (!uffdvram_slot_is_leased(&v->slots, slot))
			continue;
		rcu_read_lock();
		uffdvram_lease_revoke_slot(v, slot, UFFDVRAM_REVOKED_POOL);
		rcu_read_unlock();
		cond_resched();
	}
}
