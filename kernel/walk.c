// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at page tables the way the core's pte_offset_map_lock() does, which is
 * not exported: a page table of PTEs can be freed under mmap_lock held for
 * reading (PT_RECLAIM), so the PMD is read once, the table locked under RCU, and
 * the PMD compared again. The levels above stay while mmap_lock is held and the
 * VMA exists.
 */
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/string.h>

#include "lock.h"
#include "vram.h"
#include "walk.h"

/**
 * uffdvram_vma_is_ours() - whether a VMA is of the kind that can be a range
 * @vma: any VMA, mmap_lock held
 *
 * Return: true for private anonymous memory with ordinary struct pages.
 */
bool uffdvram_vma_is_ours(const struct vm_area_struct *vma)
{
	return vma_is_anonymous((struct vm_area_struct *)vma) &&
	       !(vma->vm_flags & (VM_SPECIAL | VM_SHARED | VM_HUGETLB |
				  VM_DROPPABLE));
}

/*
 * More references than mappings and the swap cache account for. A page that
 * waits in another CPU's LRU batch looks like that, too, for a moment.
 */
static bool look_pinned(const struct folio *folio)
{
	long extra = folio_test_swapcache(folio) ? folio_nr_pages(folio) : 0;

	return folio_ref_count(folio) > folio_mapcount(folio) + extra;
}

static struct uffdvram_look look_present(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct uffdvram_look look = {};

	if (!folio_test_anon(folio)) {
		look.entry = UFFDVRAM_ENTRY_PRESENT;
		return look;
	}
	if (folio_test_ksm(folio))
		look.entry = UFFDVRAM_ENTRY_KSM;
	else if (PageAnonExclusive(page))
		look.entry = UFFDVRAM_ENTRY_EXCLUSIVE;
	else
		look.entry = UFFDVRAM_ENTRY_SHARED;
	look.large = folio_test_large(folio);
	look.pinned = look_pinned(folio);
	return look;
}

static enum uffdvram_entry look_device(const struct page *page)
{
	struct uffdvram_vram *v;

	if (!uffdvram_page_is_ours(page))
		return UFFDVRAM_ENTRY_MOVING;
	v = uffdvram_vram_of(page);
	return uffdvram_slot_is_lost(&v->slots, uffdvram_slot_of(v, page)) ?
		UFFDVRAM_ENTRY_LOST : UFFDVRAM_ENTRY_VRAM;
}

static enum uffdvram_entry look_softleaf(softleaf_t entry)
{
	if (softleaf_is_swap(entry))
		return UFFDVRAM_ENTRY_SWAP;
	if (softleaf_is_device_private(entry))
		return look_device(softleaf_to_page(entry));
	if (softleaf_is_hwpoison(entry))
		return UFFDVRAM_ENTRY_POISON;
	if (softleaf_is_marker(entry))
		return softleaf_is_poison_marker(entry) ?
			UFFDVRAM_ENTRY_POISON : UFFDVRAM_ENTRY_MARKER;
	return UFFDVRAM_ENTRY_MOVING;
}

static struct uffdvram_look look_pte(pte_t pte)
{
	struct uffdvram_look look = {};

	if (pte_none(pte)) {
		look.entry = UFFDVRAM_ENTRY_NONE;
	} else if (!pte_present(pte)) {
		look.entry = look_softleaf(softleaf_from_pte(pte));
	} else if (pte_special(pte) || is_zero_pfn(pte_pfn(pte))) {
		look.entry = is_zero_pfn(pte_pfn(pte)) ?
			UFFDVRAM_ENTRY_ZERO : UFFDVRAM_ENTRY_PRESENT;
	} else {
		look = look_present(pte_page(pte));
	}
	return look;
}

static struct uffdvram_look look_pmd(pmd_t pmd)
{
	struct uffdvram_look look = {};

	if (pmd_none(pmd)) {
		look.entry = UFFDVRAM_ENTRY_NONE;
		return look;
	}
	/* We put none of our pages into entries of this size. */
	if (!pmd_present(pmd)) {
		look.entry = UFFDVRAM_ENTRY_MOVING;
		return look;
	}
	look = look_present(pmd_page(pmd));
	/* The huge zero page is the only one in anonymous memory that is not. */
	if (look.entry == UFFDVRAM_ENTRY_PRESENT)
		look.entry = UFFDVRAM_ENTRY_ZERO;
	look.huge = true;
	return look;
}

static void walk_fill(struct uffdvram_look *look, unsigned long n,
		      struct uffdvram_look with)
{
	while (n--)
		*look++ = with;
}

static pmd_t *walk_to_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_leaf(*pud) || pud_bad(*pud))
		return NULL;
	return pmd_offset(pud, addr);
}

/* Locks the table below @pmd, if it is still the one that @pmdval names. */
static pte_t *walk_lock_ptes(struct mm_struct *mm, pmd_t *pmd, pmd_t pmdval,
			     unsigned long addr, spinlock_t **ptl)
	__acquires(RCU)
{
	rcu_read_lock();
	if (!pmd_same(pmdval, pmdp_get_lockless(pmd)))
		goto out_unlock;
	*ptl = pte_lockptr(mm, &pmdval);
	spin_lock(*ptl);
	if (pmd_same(pmdval, pmdp_get_lockless(pmd)))
		return pte_offset_kernel(&pmdval, addr);
	spin_unlock(*ptl);
out_unlock:
	rcu_read_unlock();
	return NULL;
}

/**
 * uffdvram_walk() - look at the entries of a piece of one VMA
 * @vma: private anonymous memory; its mmap_lock is held
 * @start: first byte
 * @end: first byte after it, at most where the next PMD begins
 * @look: out: one for each page
 *
 * What is exclusive stays so while mmap_lock is held, unless KSM merges it:
 * fork wants the lock for writing.
 */
void uffdvram_walk(struct vm_area_struct *vma, unsigned long start,
		   unsigned long end, struct uffdvram_look *look)
{
	unsigned long n = (end - start) >> PAGE_SHIFT;
	struct mm_struct *mm = vma->vm_mm;
	spinlock_t *ptl;	/* of the table, or the PMD */
	pmd_t *pmd, pmdval;
	pte_t *pte;

	mmap_assert_locked(mm);
	pmd = walk_to_pmd(mm, start);
	if (!pmd) {
		walk_fill(look, n, look_pmd(__pmd(0)));
		return;
	}
	do {
		pmdval = pmdp_get_lockless(pmd);
		if (pmd_none(pmdval) || !pmd_present(pmdval) ||
		    pmd_leaf(pmdval)) {
			ptl = pmd_lock(mm, pmd);
			pmdval = pmdp_get(pmd);
			if (pmd_none(pmdval) || !pmd_present(pmdval) ||
			    pmd_leaf(pmdval)) {
				walk_fill(look, n, look_pmd(pmdval));
				spin_unlock(ptl);
				return;
			}
			spin_unlock(ptl);
		}
		pte = walk_lock_ptes(mm, pmd, pmdval, start, &ptl);
	} while (!pte);

	while (n--)
		*look++ = look_pte(ptep_get(pte++));
	spin_unlock(ptl);
	rcu_read_unlock();
}
