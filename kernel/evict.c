// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brings pages home by slot: everything of a pool that is given up, and orphans,
 * whose range has gone.
 *
 * The core's migrate_device_*() would do without an address space, but while it
 * has a page unmapped nothing keeps the anon_vma that the page names: munmap or
 * exit frees it, and the core goes on to walk it. So for each page one VMA is
 * looked up that may map it, and the page is moved as MIGRATE does, with that
 * address space's mmap_lock held. An address space that is exiting frees its
 * pages by itself.
 *
 * What is private does not come home: where its range or pool is no more it becomes
 * poison, in place, and its slot is free.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <linux/uffdvram.h>

#include "evict.h"
#include "inject.h"
#include "lease.h"
#include "lock.h"
#include "migrate.h"
#include "owner.h"
#include "stat.h"
#include "trace.h"
#include "vram.h"
#include "walk.h"

#define EVICT_BACKOFF_MAX	HZ
/* Places that a page is looked for at; others have it after a fork. */
#define EVICT_PLACES		64
/* The low bits of folio->mapping tell what it points to. */
#define EVICT_MAPPING_FLAGS	3UL

/*
 * The address space of the @nth VMA that may map the page at @index, with a reference on
 * its users, and the address there. NULL if there is none. Called under the lock of
 * @anon_vma's root.
 */
static struct mm_struct *evict_place(struct anon_vma *anon_vma, pgoff_t index,
				     unsigned int nth, unsigned long *addr)
{
	struct anon_vma_chain *avc;
	struct vm_area_struct *vma;
	struct rb_node *node;
	pgoff_t first;

	for (node = rb_first_cached(&anon_vma->rb_root); node;
	     node = rb_next(node)) {
		avc = rb_entry(node, struct anon_vma_chain, rb);
		vma = avc->vma;
		first = vma_start_anon_pgoff(vma);
		if (index < first || index >= first + vma_pages(vma))
			continue;
		if (nth) {
			nth--;
			continue;
		}
		if (!mmget_not_zero(vma->vm_mm))
			continue;
		*addr = vma->vm_start + ((index - first) << PAGE_SHIFT);
		return vma->vm_mm;
	}
	return NULL;
}

/*
 * As the core's folio_lock_anon_vma_read(): an anon_vma is typesafe by RCU, and
 * lives while its root is locked and the folio mapped.
 */
static struct mm_struct *evict_find(const struct folio *folio,
				    const struct page *page, unsigned int nth,
				    unsigned long *addr)
{
	struct mm_struct *mm = NULL;
	struct anon_vma *anon_vma, *root;
	unsigned long mapping;

	rcu_read_lock();
	mapping = (unsigned long)READ_ONCE(folio->mapping);
	anon_vma = (struct anon_vma *)(mapping & ~EVICT_MAPPING_FLAGS);
	if (!anon_vma || !folio_mapped(folio))
		goto out_rcu;
	root = READ_ONCE(anon_vma->root);
	if (!may_fail(core, false, down_read_trylock(&root->rwsem)))
		goto out_rcu;
	if (folio_mapped(folio))
		mm = evict_place(anon_vma, folio->index + folio_page_idx(folio, page),
				 nth, addr);
	up_read(&root->rwsem);
out_rcu:
	rcu_read_unlock();
	return mm;
}

/*
 * Where a page is mapped: the address space, or NULL, and the piece that is to move. That
 * is all that a large folio's entry of 2 MiB maps, unless something cut it off.
 */
static struct mm_struct *evict_where(struct page *page, unsigned int nth,
				     unsigned long *start, unsigned long *end)
{
	struct folio *folio = page_folio(page);
	struct mm_struct *mm = NULL;

	/* Only a reference keeps it from being taken apart, or freed and taken anew. */
	if (!folio_try_get(folio))
		return NULL;
	if (page_folio(page) == folio)
		mm = evict_find(folio, page, nth, start);
	if (mm && folio_test_large(folio)) {
		*start = ALIGN_DOWN(*start, PMD_SIZE);
		*end = *start + PMD_SIZE;
	} else if (mm) {
		*end = *start + PAGE_SIZE;
	}
	folio_put(folio);
	return mm;
}

/* Brings one page home, from wherever it is mapped: pages moved, or -EINTR. */
static int evict_page(struct uffdvram_migrate_step *s, struct page *page,
		      bool *no_memory)
{
	unsigned long start, end, from;
	unsigned int nth, moved = 0;
	struct mm_struct *mm;
	int ret;

	for (nth = 0; !moved && nth < EVICT_PLACES; nth++) {
		mm = evict_where(page, nth, &start, &end);
		if (!mm)
			break;
		for (from = start, ret = 0; ret >= 0 && from < end; from += ret << PAGE_SHIFT) {
			ret = uffdvram_migrate_out(s, mm, from, end);
			if (ret < 0)
				break;
			moved += uffdvram_migrate_count(s, UFFDVRAM_DID_MOVE);
			if (uffdvram_migrate_count(s, UFFDVRAM_STAY_NO_MEMORY))
				*no_memory = true;
		}
		/* Never the last one here: exit is not for us to wait for. */
		mmput_async(mm);
		if (ret < 0)
			return ret;
	}
	return moved;
}

/* Marks of poison in the place of pages that are lost: of @n from @addr on. How many? */
static unsigned int evict_mark(struct vm_area_struct *vma, unsigned long addr,
			       const struct uffdvram_look *look, unsigned int n)
{
	unsigned int i, first, marked = 0;
	unsigned long at;

	for (i = 0; i < n; i++) {
		if (look[i].entry != UFFDVRAM_ENTRY_LOST)
			continue;
		for (first = i; i < n && look[i].entry == UFFDVRAM_ENTRY_LOST; i++)
			;
		at = addr + first * PAGE_SIZE;
		/* Alone: the core takes an entry of 2 MiB apart, so there is a table. */
		zap_vma_range(vma, at, PAGE_SIZE);
		if (i - first > 1)
			zap_vma_range(vma, at + PAGE_SIZE, (i - first - 1) * PAGE_SIZE);
		uffdvram_walk_poison(vma, at, i - first);
		marked += i - first;
	}
	return marked;
}

/*
 * All that is lost below one PMD of one VMA becomes poison, from *@addr on; that goes on
 * to where the next piece begins. How many pages were marked, or -EINTR.
 */
static int evict_mark_piece(struct mm_struct *mm, unsigned long *addr, unsigned long end)
{
	struct uffdvram_look *look;
	struct vm_area_struct *vma;
	int ret = 0;

	end = min(end, ALIGN(*addr + 1, PMD_SIZE));
	look = may_fail(alloc, NULL, kvmalloc_array(UFFDVRAM_WALK_PAGES, sizeof(*look),
						    GFP_KERNEL));
	if (!look)
		return -ENOMEM;
	if (may_fail(kill, -EINTR, mmap_write_lock_killable(mm))) {
		kvfree(look);
		return -EINTR;
	}
	vma = find_vma(mm, *addr);
	if (vma && vma->vm_start < end && uffdvram_vma_is_ours(vma)) {
		*addr = max(*addr, vma->vm_start);
		end = min(end, vma->vm_end);
		vma_start_write(vma);
		uffdvram_walk_briefly(vma, *addr, end, look);
		ret = evict_mark(vma, *addr, look, (end - *addr) >> PAGE_SHIFT);
	}
	mmap_write_unlock(mm);
	kvfree(look);
	*addr = end;
	return ret;
}

/*
 * Destroys what a private slot holds that nobody may have any more, wherever that is
 * mapped, along with its neighbours: pages, or an errno. What is lost already may get
 * its mark, too.
 */
static int evict_destroy(struct page *page)
{
	unsigned int nth, marked = 0;
	unsigned long start, end;
	struct mm_struct *mm;
	int ret = 0;

	for (nth = 0; ret >= 0 && nth < EVICT_PLACES; nth++) {
		mm = evict_where(page, nth, &start, &end);
		if (!mm)
			break;
		end = ALIGN(end, PMD_SIZE);
		while (ret >= 0 && start < end) {
			ret = evict_mark_piece(mm, &start, end);
			marked += max(ret, 0);
		}
		/* As in evict_page(). */
		mmput_async(mm);
	}
	uffdvram_stat_add(private_destroyed, marked);
	return ret < 0 ? ret : marked;
}

/* Brings home, or destroys, what a slot holds: pages, or -EINTR. */
static int evict_slot(struct uffdvram_migrate_step *s, struct uffdvram_vram *v,
		      unsigned long slot, bool *no_memory)
{
	struct page *page = uffdvram_slot_page(v, slot);
	bool doomed;
	int ret;

	/* Its owner may go just now. */
	rcu_read_lock();
	doomed = uffdvram_vram_slot_state(v, slot) & UFFDVRAM_SLOT_LOST;
	rcu_read_unlock();
	if (!doomed)
		return evict_page(s, page, no_memory);
	ret = evict_destroy(page);
	*no_memory |= ret == -ENOMEM;
	return ret == -ENOMEM ? 0 : ret;
}

/* Nobody's, or lost for whose it was. */
static bool evict_is_orphan(struct uffdvram_vram *v, unsigned long slot, int state)
{
	struct uffdvram_owner *o;
	bool orphan;

	rcu_read_lock();
	o = READ_ONCE(v->slots.owner[slot]);
	orphan = o && (READ_ONCE(o->dead) ||
		       ((state & UFFDVRAM_SLOT_PRIVATE) && READ_ONCE(o->breached)));
	rcu_read_unlock();
	return orphan;
}

static bool evict_wanted(struct uffdvram_vram *v, unsigned long slot,
			 bool orphans_only)
{
	int state = uffdvram_slot_state(&v->slots, slot);

	/* A slot that is parked has no page: it is free when its lease ends. */
	if (!(state & UFFDVRAM_SLOT_USED) ||
	    (state & (UFFDVRAM_SLOT_LOST | UFFDVRAM_SLOT_PARKED)))
		return false;
	return !orphans_only || evict_is_orphan(v, slot, state);
}

/**
 * uffdvram_evict() - one pass over a pool
 * @v: a pool that is not reaped meanwhile: the caller holds v->detach
 * @orphans_only: leave what a living range owns
 * @res: out: what happened
 *
 * May sleep. What cannot be read becomes poison, and so does what is private. Unless
 * @orphans_only, leases are revoked.
 *
 * Return: 0; -ENOMEM when not even the books could be kept; -EINTR.
 */
int uffdvram_evict(struct uffdvram_vram *v, bool orphans_only,
		   struct uffdvram_evict_result *res)
{
	struct uffdvram_slots *slots = &v->slots;
	struct uffdvram_migrate_step *s;
	unsigned long slot, tried = 0;
	int ret = 0;

	lockdep_assert_held(&v->detach);
	memset(res, 0, sizeof(*res));
	if (!orphans_only)
		uffdvram_lease_revoke_pool(v);
	s = uffdvram_migrate_step_alloc();
	if (!s) {
		res->no_memory = true;
		res->left = atomic_long_read(&slots->used);
		return -ENOMEM;
	}
	for_each_set_bit(slot, slots->taken, slots->nr) {
		if (!evict_wanted(v, slot, orphans_only))
			continue;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		tried++;
		ret = evict_slot(s, v, slot, &res->no_memory);
		if (ret < 0)
			break;
		res->moved += ret;
		/* It may be gone, lost, or somebody else's by now. */
		if (evict_wanted(v, slot, orphans_only))
			res->left++;
		cond_resched();
	}
	uffdvram_migrate_step_free(s);
	uffdvram_stat_add(evicted, res->moved);
	trace_uffdvram_evict(v->id, tried, res->moved);
	return min(ret, 0);
}

/**
 * uffdvram_evict_window() - bring home who is in the way of a linear range
 * @v: its pool
 * @slot: first slot of the piece
 * @n: how many
 * @keep: a bit for each: its page is the right one
 *
 * May sleep; takes v->detach, killably.
 *
 * Return: 0, -EINTR or -ENOMEM.
 */
int uffdvram_evict_window(struct uffdvram_vram *v, unsigned long slot,
			  unsigned long n, const unsigned long *keep)
{
	struct uffdvram_migrate_step *s;
	unsigned long i, moved = 0;
	bool no_memory = false;
	int ret = 0;

	s = uffdvram_migrate_step_alloc();
	if (!s)
		return -ENOMEM;
	if (may_fail(kill, -EINTR, mutex_lock_killable(&v->detach))) {
		uffdvram_migrate_step_free(s);
		return -EINTR;
	}
	for (i = 0; !v->reaped && i < n && ret >= 0; i++) {
		if (test_bit(i, keep) || !evict_wanted(v, slot + i, false))
			continue;
		ret = evict_slot(s, v, slot + i, &no_memory);
		moved += max(ret, 0);
	}
	mutex_unlock(&v->detach);
	uffdvram_migrate_step_free(s);
	uffdvram_stat_add(evicted, moved);
	return min(ret, 0);
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

	if (!READ_ONCE(v->published)) {
		uffdvram_vram_put(v);
		return;
	}
	uffdvram_vram_heed(v);
	mutex_lock(&v->detach);
	if (!v->reaped)
		uffdvram_evict(v, !READ_ONCE(v->slots.closed), &res);
	mutex_unlock(&v->detach);

	if (READ_ONCE(v->retired))
		uffdvram_vram_reap(v);
	/* Once no slot is in use, nobody would wait for a timer before the module goes. */
	if (res.left && atomic_long_read(&v->slots.used)) {
		v->backoff = res.moved ? 1 : min(2 * v->backoff + 1,
						 (unsigned long)EVICT_BACKOFF_MAX);
		uffdvram_vram_kick(v, v->backoff);
		/* The last one may have gone just now, and its kick been put off by ours. */
		if (!atomic_long_read(&v->slots.used))
			uffdvram_vram_kick(v, 0);
	} else {
		v->backoff = 0;
	}
	uffdvram_vram_put(v);
}
