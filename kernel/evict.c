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
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include <linux/uffdvram.h>

#include "evict.h"
#include "inject.h"
#include "lock.h"
#include "migrate.h"
#include "owner.h"
#include "stat.h"
#include "trace.h"
#include "vram.h"

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

static bool evict_is_orphan(struct uffdvram_vram *v, unsigned long slot)
{
	struct uffdvram_owner *o;
	bool orphan;

	rcu_read_lock();
	o = READ_ONCE(v->slots.owner[slot]);
	orphan = o && READ_ONCE(o->dead);
	rcu_read_unlock();
	return orphan;
}

static bool evict_wanted(struct uffdvram_vram *v, unsigned long slot,
			 bool orphans_only)
{
	int state = uffdvram_slot_state(&v->slots, slot);

	if (!(state & UFFDVRAM_SLOT_USED) || (state & UFFDVRAM_SLOT_LOST))
		return false;
	return !orphans_only || evict_is_orphan(v, slot);
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
	struct uffdvram_slots *slots = &v->slots;
	struct uffdvram_migrate_step *s;
	unsigned long slot, tried = 0;
	int ret = 0;

	lockdep_assert_held(&v->detach);
	memset(res, 0, sizeof(*res));
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
		ret = evict_page(s, uffdvram_slot_page(v, slot),
				 &res->no_memory);
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
		ret = evict_page(s, uffdvram_slot_page(v, slot + i), &no_memory);
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
