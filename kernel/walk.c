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
#include <linux/swapops.h>
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

/* A look as the number that it is compared by: what is quick to put together. */
#define LOOK(...)	(((struct uffdvram_look){ __VA_ARGS__ }).bits)

static __always_inline u16 look_present(struct page *page)
{
	struct folio *folio = page_folio(page);
	u16 large = folio_test_large(folio) ? LOOK(.large = true) : 0;

	if (!folio_test_anon(folio))
		return LOOK(.entry = UFFDVRAM_ENTRY_PRESENT);
	if (folio_test_ksm(folio))
		return LOOK(.entry = UFFDVRAM_ENTRY_KSM) | large;
	if (PageAnonExclusive(page))
		return LOOK(.entry = UFFDVRAM_ENTRY_EXCLUSIVE) | large;
	return LOOK(.entry = UFFDVRAM_ENTRY_SHARED) | large;
}

static u16 look_uffd(bool protected)
{
	return protected ? LOOK(.uffd = true) : 0;
}

/* A page of ours, in a slot in that state. */
static u16 look_slot(int state)
{
	u16 bits = LOOK(.entry = UFFDVRAM_ENTRY_VRAM);

	if (state & UFFDVRAM_SLOT_LOST)
		return LOOK(.entry = UFFDVRAM_ENTRY_LOST);
	if (uffdvram_slot_state_leased(state))
		bits |= LOOK(.leased = true);
	if (state & UFFDVRAM_SLOT_WRITING)
		bits |= LOOK(.writing = true);
	if (state & UFFDVRAM_SLOT_PRIVATE)
		bits |= LOOK(.private = true);
	return bits;
}

/*
 * A page of ours, or of another driver's. Seldom it is lost, leased or private. @calm: the
 * pool of pages before it, if it was ours, and none in it was any of that.
 */
static __always_inline u16 look_device(const struct page *page,
				       const struct uffdvram_vram **calm)
{
	struct uffdvram_vram *v = uffdvram_vram_of(page);

	if (v == *calm)
		return LOOK(.entry = UFFDVRAM_ENTRY_VRAM);
	if (v->pgmap.owner != UFFDVRAM_PGMAP_OWNER)
		return LOOK(.entry = UFFDVRAM_ENTRY_MOVING);
	if (uffdvram_slots_differ(&v->slots))
		return look_slot(uffdvram_vram_slot_state(v, uffdvram_slot_of(v, page)));
	*calm = v;
	return LOOK(.entry = UFFDVRAM_ENTRY_VRAM);
}

static u16 look_softleaf(softleaf_t entry)
{
	if (softleaf_is_hwpoison(entry) || softleaf_is_poison_marker(entry))
		return LOOK(.entry = UFFDVRAM_ENTRY_POISON);
	if (softleaf_is_guard_marker(entry))
		return LOOK(.entry = UFFDVRAM_ENTRY_MARKER, .guard = true);
	/* A marker that is none of the others is in the place of such a page. */
	if (softleaf_is_marker(entry))
		return LOOK(.entry = UFFDVRAM_ENTRY_MARKER, .uffd = true);
	return LOOK(.entry = UFFDVRAM_ENTRY_MOVING);
}

static __always_inline u16 look_absent(pte_t pte, const struct uffdvram_vram **calm)
{
	softleaf_t entry = softleaf_from_pte(pte);

	if (softleaf_is_device_private(entry))
		return look_device(pfn_to_page(softleaf_to_pfn(entry)), calm) |
		       look_uffd(pte_swp_uffd(pte));
	if (softleaf_is_swap(entry))
		return LOOK(.entry = UFFDVRAM_ENTRY_SWAP) | look_uffd(pte_swp_uffd(pte));
	return look_softleaf(entry);
}

/* @closely: what kind of page is present, too. That of zeroes has a mark in its entry. */
static __always_inline u16 look_pte(pte_t pte, bool closely,
				    const struct uffdvram_vram **calm)
{
	if (pte_none(pte))
		return LOOK(.entry = UFFDVRAM_ENTRY_NONE);
	if (!pte_present(pte))
		return look_absent(pte, calm);
	if (pte_special(pte) && is_zero_pfn(pte_pfn(pte)))
		return LOOK(.entry = UFFDVRAM_ENTRY_ZERO) | look_uffd(pte_uffd(pte));
	if (pte_special(pte) || !closely)
		return LOOK(.entry = UFFDVRAM_ENTRY_PRESENT);
	return look_present(pte_page(pte)) | look_uffd(pte_uffd(pte));
}

/* A page in an entry of 2 MiB, of which @first is the first page. */
static struct uffdvram_look look_private(const struct page *page,
					 const struct page *first)
{
	const struct uffdvram_vram *calm = NULL;
	struct uffdvram_look look = { .bits = look_device(page, &calm) };

	look.alone = look.entry == UFFDVRAM_ENTRY_VRAM && PageAnonExclusive(first);
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
	if (device)
		look = look_private(device, device);
	else
		look.bits = look_present(pmd_page(pmd));
	/* The huge zero page is the only one in anonymous memory that is not. */
	if (look.entry == UFFDVRAM_ENTRY_PRESENT)
		look.entry = UFFDVRAM_ENTRY_ZERO;
	look.uffd = device ? pmd_swp_uffd(pmd) : pmd_uffd(pmd);
	look.huge = true;
	look.whole = true;
	return look;
}

/* All pages of a piece, where no table of PTEs is. The PMD is locked. Are all alike? */
static bool walk_pmd(pmd_t pmd, unsigned long start, unsigned long n,
		     struct uffdvram_look *look, struct page **pages)
{
	struct uffdvram_look with = look_pmd(pmd);
	struct page *device = pmd_device_page(pmd), *page;
	u16 bits = with.bits;
	unsigned long i;

	for (i = 0; i < n; i++)
		look[i].bits = bits;
	/* All of them alike, if no page of the pool is lost, leased or private. */
	if (!device || (!pages && !uffdvram_slots_differ(&uffdvram_vram_of(device)->slots)))
		return true;
	for (i = 0; i < n; i++) {
		page = device + ((start & ~PMD_MASK) >> PAGE_SHIFT) + i;
		/* Its own data may be lost, or be all that is left. */
		look[i] = look_private(page, device);
		look[i].uffd = with.uffd;
		look[i].huge = true;
		look[i].whole = true;
		if (!pages || look[i].entry != UFFDVRAM_ENTRY_VRAM)
			continue;
		pages[i] = page;
		get_page(page);
	}
	return false;
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

/* Looks at @n entries of a table. Are all alike? */
static __always_inline bool walk_ptes(pte_t *pte, unsigned long n,
				      struct uffdvram_look *look, bool closely)
{
	const struct uffdvram_vram *calm = NULL;
	u16 bits, differ = 0, first = look_pte(ptep_get(pte), closely, &calm);
	unsigned long i;

	look[0].bits = first;
	for (i = 1; i < n; i++) {
		bits = look_pte(ptep_get(pte + i), closely, &calm);
		look[i].bits = bits;
		differ |= bits ^ first;
	}
	return !differ;
}

/* The device pages among them, with references, and whether they are ours alone. */
static void walk_get_pages(pte_t *pte, unsigned long n, struct uffdvram_look *look,
			   struct page **pages)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		if (look[i].entry != UFFDVRAM_ENTRY_VRAM)
			continue;
		pages[i] = softleaf_to_page(softleaf_from_pte(ptep_get(pte + i)));
		get_page(pages[i]);
		look[i].alone = PageAnonExclusive(pages[i]);
	}
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
 *
 * Return: true if all looks are the same; false: they may differ, or @pages was given.
 */
bool uffdvram_walk(struct vm_area_struct *vma, unsigned long start,
		   unsigned long end, struct uffdvram_look *look,
		   struct page **pages)
{
	unsigned long n = (end - start) >> PAGE_SHIFT;
	struct walk_at at;
	bool alike;

	if (pages)
		memset(pages, 0, n * sizeof(*pages));
	at = walk_begin(vma->vm_mm, start);
	if (at.pte)
		alike = walk_ptes(at.pte, n, look, true);
	else
		alike = walk_pmd(at.pmd ? pmdp_get(at.pmd) : __pmd(0), start, n, look, pages);
	if (at.pte && pages)
		walk_get_pages(at.pte, n, look, pages);
	walk_end(&at);
	return alike && !pages;
}

/**
 * uffdvram_walk_briefly() - likewise, for who does not care what is present
 * @vma: private anonymous memory; its mmap_lock is held
 * @start: first byte
 * @end: first byte after it, at most where the next PMD begins
 * @look: out: one for each page. What small entries have present is
 *	UFFDVRAM_ENTRY_PRESENT, or UFFDVRAM_ENTRY_ZERO
 *
 * Return: true if all looks are the same.
 */
bool uffdvram_walk_briefly(struct vm_area_struct *vma, unsigned long start,
			   unsigned long end, struct uffdvram_look *look)
{
	unsigned long n = (end - start) >> PAGE_SHIFT;
	struct walk_at at = walk_begin(vma->vm_mm, start);
	bool alike;

	if (at.pte)
		alike = walk_ptes(at.pte, n, look, false);
	else
		alike = walk_pmd(at.pmd ? pmdp_get(at.pmd) : __pmd(0), start, n, look, NULL);
	walk_end(&at);
	return alike;
}

/**
 * uffdvram_walk_pinned() - whether a page is pinned
 * @vma: private anonymous memory; its mmap_lock is held
 * @addr: of the page
 *
 * Return: true for a page in RAM with more references than mappings account for.
 */
bool uffdvram_walk_pinned(struct vm_area_struct *vma, unsigned long addr)
{
	struct walk_at at = walk_begin(vma->vm_mm, addr);
	struct page *page = NULL;
	bool pinned;

	if (at.pte && pte_present(ptep_get(at.pte)) && !pte_special(ptep_get(at.pte)))
		page = pte_page(ptep_get(at.pte));
	else if (!at.pte && at.pmd && pmd_present(pmdp_get(at.pmd)))
		page = pmd_page(pmdp_get(at.pmd));
	pinned = page && PageAnon(page) && look_pinned(page_folio(page));
	walk_end(&at);
	return pinned;
}

/**
 * uffdvram_walk_poison() - put marks of poison where nothing is
 * @vma: private anonymous memory; its mmap_lock is held for writing, and it is locked
 * @start: first byte
 * @n: pages; they are below one PMD, and there is a table of PTEs
 *
 * Return: how many pages have something else, and have it still: present, in VRAM,
 * swapped, poison of another kind.
 */
unsigned int uffdvram_walk_poison(struct vm_area_struct *vma, unsigned long start,
				  unsigned int n)
{
	struct walk_at at = walk_begin(vma->vm_mm, start);
	pte_t old, mark = make_pte_marker(PTE_MARKER_POISONED);
	unsigned int i, others = WARN_ON_ONCE(!at.pte) ? n : 0;

	mmap_assert_write_locked(vma->vm_mm);
	for (i = 0; at.pte && i < n; i++) {
		old = ptep_get(at.pte + i);
		if (pte_none(old) || (!pte_present(old) &&
				      softleaf_is_marker(softleaf_from_pte(old))))
			set_pte_at(vma->vm_mm, start + i * PAGE_SIZE, at.pte + i, mark);
		else
			others++;
	}
	walk_end(&at);
	return others;
}

/* Likewise for an entry of 2 MiB: it has one mark for all its pages. */
static void walk_pmd_written(struct vm_area_struct *vma, unsigned long start, pmd_t *pmd,
			     struct page *const *pages, unsigned int n)
{
	struct page *device = pmd_device_page(pmdp_get(pmd));
	unsigned long first = (start & ~PMD_MASK) >> PAGE_SHIFT;
	unsigned int i;
	pmd_t new;

	for (i = 0; device && i < n; i++) {
		if (pages[i] != device + first + i)
			continue;
		new = pmd_swp_mksoft_dirty(pmdp_get(pmd));
		if (userfaultfd_wp(vma))
			new = pmd_swp_clear_uffd(new);
		set_pmd_at(vma->vm_mm, start & PMD_MASK, pmd, new);
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
 * Sets the soft-dirty mark, and clears the one by which userfaultfd protects pages
 * against writes, for who tracks writes by one of these. To be called after the
 * write and before anyone may take the pages home, so that who put the marks as they
 * were meanwhile sees it. The entries let no CPU through, so there is nothing to flush.
 */
void uffdvram_walk_written(struct vm_area_struct *vma, unsigned long start,
			   struct page *const *pages, unsigned int n)
{
	struct walk_at at = walk_begin(vma->vm_mm, start);
	pte_t old, new;
	unsigned int i;

	if (at.pmd && !at.pte)
		walk_pmd_written(vma, start, at.pmd, pages, n);
	for (i = 0; at.pte && i < n; i++) {
		old = ptep_get(at.pte + i);
		if (pte_none(old) || pte_present(old) ||
		    !softleaf_is_device_private(softleaf_from_pte(old)) ||
		    softleaf_to_page(softleaf_from_pte(old)) != pages[i])
			continue;
		new = pte_swp_mksoft_dirty(old);
		if (userfaultfd_wp(vma))
			new = pte_swp_clear_uffd(new);
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
