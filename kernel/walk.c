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
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/string.h>
#include <linux/userfaultfd_k.h>

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
	if (softleaf_is_hwpoison(entry))
		return UFFDVRAM_ENTRY_POISON;
	if (softleaf_is_marker(entry))
		return softleaf_is_poison_marker(entry) ?
			UFFDVRAM_ENTRY_POISON : UFFDVRAM_ENTRY_MARKER;
	return UFFDVRAM_ENTRY_MOVING;
}

/* A page of ours, or of another driver's; @first: what the entry is exclusive by. */
static struct uffdvram_look look_private(const struct page *page,
					 const struct page *first)
{
	struct uffdvram_look look = { .entry = look_device(page) };

	look.alone = look.entry == UFFDVRAM_ENTRY_VRAM && PageAnonExclusive(first);
	return look;
}

static struct uffdvram_look look_pte(pte_t pte)
{
	struct uffdvram_look look = {};

	if (pte_none(pte)) {
		look.entry = UFFDVRAM_ENTRY_NONE;
	} else if (!pte_present(pte)) {
		softleaf_t entry = softleaf_from_pte(pte);
		struct page *page;

		if (!softleaf_is_device_private(entry)) {
			look.entry = look_softleaf(entry);
			look.guard = softleaf_is_guard_marker(entry);
			return look;
		}
		page = softleaf_to_page(entry);
		look = look_private(page, page);
	} else if (pte_special(pte) || is_zero_pfn(pte_pfn(pte))) {
		look.entry = is_zero_pfn(pte_pfn(pte)) ?
			UFFDVRAM_ENTRY_ZERO : UFFDVRAM_ENTRY_PRESENT;
	} else {
		look = look_present(pte_page(pte));
	}
	return look;
}

/* The first device page that a PMD names, if it is one of our entries of 2 MiB. */
static struct page *pmd_device_page(pmd_t pmd)
{
	softleaf_t entry;

	if (!UFFDVRAM_HUGE_FOLIOS || pmd_none(pmd) || pmd_present(pmd))
		return NULL;
	entry = softleaf_from_pmd(pmd);
	if (!softleaf_is_device_private(entry) ||
	    !uffdvram_page_is_ours(softleaf_to_page(entry)))
		return NULL;
	return softleaf_to_page(entry);
}

/* The entry as a whole; in one of ours, pages can differ: see walk_pmd(). */
static struct uffdvram_look look_pmd(pmd_t pmd)
{
	struct uffdvram_look look = { .whole = true };
	struct page *device;

	if (pmd_none(pmd)) {
		look.entry = UFFDVRAM_ENTRY_NONE;
		return look;
	}
	device = pmd_device_page(pmd);
	if (!device && !pmd_present(pmd)) {
		look.entry = UFFDVRAM_ENTRY_MOVING;
		return look;
	}
	look = device ? look_private(device, device) : look_present(pmd_page(pmd));
	/* The huge zero page is the only one in anonymous memory that is not. */
	if (look.entry == UFFDVRAM_ENTRY_PRESENT)
		look.entry = UFFDVRAM_ENTRY_ZERO;
	look.huge = true;
	look.whole = true;
	return look;
}

/* All pages of a piece, where no table of PTEs is. The PMD is locked. */
static void walk_pmd(pmd_t pmd, unsigned long start, unsigned long n,
		     struct uffdvram_look *look, struct page **pages)
{
	struct uffdvram_look with = look_pmd(pmd);
	struct page *device = pmd_device_page(pmd), *page;
	unsigned long i;

	for (i = 0; i < n; i++)
		look[i] = with;
	/* All of them alike, if no page of the pool is lost. */
	if (!device || (!pages && !atomic_long_read(&uffdvram_vram_of(device)->slots.lost)))
		return;
	for (i = 0; i < n; i++) {
		page = device + ((start & ~PMD_MASK) >> PAGE_SHIFT) + i;
		/* Its own data may be lost, or be all that is left. */
		look[i] = look_private(page, device);
		look[i].huge = true;
		look[i].whole = true;
		if (!pages || look[i].entry != UFFDVRAM_ENTRY_VRAM)
			continue;
		pages[i] = page;
		get_page(page);
	}
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

/* Whether there is no table of PTEs below. */
static bool walk_is_whole(pmd_t pmd)
{
	return pmd_none(pmd) || !pmd_present(pmd) || pmd_leaf(pmd);
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
 * struct walk_at - the entry, or entries, for an address; locked until walk_end()
 * @pte: in a table of PTEs, under RCU; NULL if there is none
 * @pmd: where else the entry is; NULL: not even a table of PMDs is there
 * @ptl: its lock
 */
struct walk_at {
	pte_t *pte;
	pmd_t *pmd;
	spinlock_t *ptl;	/* of the table, or the PMD */
};

static struct walk_at walk_begin(struct mm_struct *mm, unsigned long addr)
{
	struct walk_at at = {};
	pmd_t pmdval;

	mmap_assert_locked(mm);
	at.pmd = walk_to_pmd(mm, addr);
	while (at.pmd && !at.pte) {
		pmdval = pmdp_get_lockless(at.pmd);
		if (walk_is_whole(pmdval)) {
			at.ptl = pmd_lock(mm, at.pmd);
			if (walk_is_whole(pmdp_get(at.pmd)))
				break;
			spin_unlock(at.ptl);
			continue;
		}
		at.pte = walk_lock_ptes(mm, at.pmd, pmdval, addr, &at.ptl);
	}
	return at;
}

static void walk_end(const struct walk_at *at)
{
	if (at->pmd)
		spin_unlock(at->ptl);
	if (at->pte)
		rcu_read_unlock();
}

/**
 * uffdvram_walk() - look at the entries of a piece of one VMA
 * @vma: private anonymous memory; its mmap_lock is held
 * @start: first byte
 * @end: first byte after it, at most where the next PMD begins
 * @look: out: one for each page
 * @pages: out, if not NULL: for each page in VRAM its device page, with a
 *	reference; NULL for the others
 *
 * What is exclusive stays so while mmap_lock is held, unless KSM merges it:
 * fork wants the lock for writing.
 */
void uffdvram_walk(struct vm_area_struct *vma, unsigned long start,
		   unsigned long end, struct uffdvram_look *look,
		   struct page **pages)
{
	unsigned long i, n = (end - start) >> PAGE_SHIFT;
	struct walk_at at;
	pte_t pteval;

	if (pages)
		memset(pages, 0, n * sizeof(*pages));
	at = walk_begin(vma->vm_mm, start);
	if (!at.pte)
		walk_pmd(at.pmd ? pmdp_get(at.pmd) : __pmd(0), start, n, look, pages);
	for (i = 0; at.pte && i < n; i++) {
		pteval = ptep_get(at.pte + i);
		look[i] = look_pte(pteval);
		if (!pages || look[i].entry != UFFDVRAM_ENTRY_VRAM)
			continue;
		pages[i] = softleaf_to_page(softleaf_from_pte(pteval));
		get_page(pages[i]);
	}
	walk_end(&at);
}

/* Likewise for an entry of 2 MiB: it has one mark for all its pages. */
static void walk_pmd_written(struct mm_struct *mm, unsigned long start, pmd_t *pmd,
			     struct page *const *pages, unsigned int n)
{
	struct page *device = pmd_device_page(pmdp_get(pmd));
	unsigned long first = (start & ~PMD_MASK) >> PAGE_SHIFT;
	unsigned int i;

	for (i = 0; device && i < n; i++) {
		if (pages[i] != device + first + i)
			continue;
		set_pmd_at(mm, start & PMD_MASK, pmd, pmd_swp_mksoft_dirty(pmdp_get(pmd)));
		return;
	}
}

/**
 * uffdvram_walk_written() - slots were written without a CPU
 * @vma: private anonymous memory; its mmap_lock is held
 * @start: first byte
 * @pages: the device pages that were written, with references; NULL: not this one
 * @n: how many; they are below one PMD
 *
 * Sets the soft-dirty mark, for who tracks writes by that. To be called after the
 * write and before anyone may take the pages home, so that who cleared the marks
 * meanwhile sees it. The entries let no CPU through, so there is nothing to flush.
 */
void uffdvram_walk_written(struct vm_area_struct *vma, unsigned long start,
			   struct page *const *pages, unsigned int n)
{
	struct walk_at at = walk_begin(vma->vm_mm, start);
	pte_t old, new;
	unsigned int i;

	if (at.pmd && !at.pte)
		walk_pmd_written(vma->vm_mm, start, at.pmd, pages, n);
	for (i = 0; at.pte && i < n; i++) {
		old = ptep_get(at.pte + i);
		if (pte_none(old) || pte_present(old) ||
		    !softleaf_is_device_private(softleaf_from_pte(old)) ||
		    softleaf_to_page(softleaf_from_pte(old)) != pages[i])
			continue;
		new = pte_swp_mksoft_dirty(old);
		if (pte_val(new) != pte_val(old))
			set_pte_at(vma->vm_mm, start + i * PAGE_SIZE, at.pte + i, new);
	}
	walk_end(&at);
}

/* Whether a CPU may write to @page by this entry now, untracked. */
static bool walk_pte_takes(pte_t pte, const struct page *page)
{
	return pte_present(pte) && pte_write(pte) && !pte_uffd(pte) &&
	       !pte_special(pte) && pte_page(pte) == page;
}

static bool walk_pmd_takes(pmd_t pmd, unsigned long addr, const struct page *page)
{
	unsigned long i = (addr & ~PMD_MASK) >> PAGE_SHIFT;

	return pmd_present(pmd) && pmd_leaf(pmd) && pmd_write(pmd) &&
	       !pmd_uffd(pmd) && pmd_page(pmd) + i == page;
}

/**
 * uffdvram_walk_store() - write a page in RAM as a CPU would
 * @mm: address space; its mmap_lock is held
 * @addr: of the page, in private anonymous memory
 * @page: what the caller found there, with a reference
 * @from: new contents
 *
 * Who write-protects the entry, to track writes, does so under its lock: either
 * he comes later, or nothing is written.
 *
 * Return: false if the entry does not let a write through, or names another page.
 */
bool uffdvram_walk_store(struct mm_struct *mm, unsigned long addr,
			 struct page *page, struct page *from)
{
	struct walk_at at = walk_begin(mm, addr);
	bool takes = false;

	if (at.pte)
		takes = walk_pte_takes(ptep_get(at.pte), page);
	else if (at.pmd)
		takes = walk_pmd_takes(pmdp_get(at.pmd), addr, page);
	if (takes)
		copy_highpage(page, from);
	walk_end(&at);
	return takes;
}
