/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_COMPAT_MIGRATE_H
#define _UFFDVRAM_COMPAT_MIGRATE_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include_next <linux/migrate.h>

/*
 * Whether the core takes a large folio apart that is mapped by PTEs, and whether large
 * folios can live in VRAM. Kernels that name the option differently can do that, too, but
 * take folios apart there while somebody else may free them.
 */
#ifdef MIGRATE_PFN_COMPOUND
#define UFFDVRAM_LARGE_FOLIOS_MOVE	1
#define UFFDVRAM_HUGE_FOLIOS		IS_ENABLED(CONFIG_ARCH_HAS_PMD_SOFTLEAVES)
#else
#define UFFDVRAM_LARGE_FOLIOS_MOVE	0
#define UFFDVRAM_HUGE_FOLIOS		0
#define MIGRATE_PFN_COMPOUND		0
#define MIGRATE_VMA_SELECT_COMPOUND	0
#endif

/*
 * Whether the core may be given what is in the swap cache. Kernels that know of no large
 * device folios take it out of there, and then migrate it as if it were still in: should
 * anybody hold a reference for a moment, a page without references comes of it.
 */
#define UFFDVRAM_SWAP_CACHE_MOVES	UFFDVRAM_LARGE_FOLIOS_MOVE

/*
 * Whether a fault's page is locked when migrate_to_ram() is called. No header tells; this
 * came with page_pgmap(). An older kernel to which it was brought back is taken for one
 * that does not: who waits there makes others wait, but for no longer than he does.
 */
#ifdef HAVE_PAGE_PGMAP
#define UFFDVRAM_FAULTS_LOCK_PAGE	1
#else
#define UFFDVRAM_FAULTS_LOCK_PAGE	0
#endif

/*
 * Keeps those out who lock only the VMA; mmap_lock is held for writing. Nobody needs it
 * where the core takes no large folio apart.
 */
static inline void uffdvram_vma_lock_out(struct vm_area_struct *vma)
{
#if UFFDVRAM_LARGE_FOLIOS_MOVE
	vma_start_write(vma);
#endif
}

/*
 * Makes @page the first of a locked folio of @order, with one reference. Kernels that
 * know of no large device folios take 0 only.
 */
static inline void uffdvram_device_folio_init(struct page *page,
					      struct dev_pagemap *pgmap,
					      unsigned int order)
{
#ifdef HAVE_PAGE_INIT_PGMAP
	zone_device_page_init(page, pgmap, order);
	if (order)
		folio_set_large_rmappable(page_folio(page));
#else
	zone_device_page_init(page);
#endif
}

/* A folio of 2 MiB for a VMA, or NULL. */
static inline struct folio *uffdvram_huge_folio_alloc(gfp_t gfp,
						      struct vm_area_struct *vma,
						      unsigned long addr)
{
#if UFFDVRAM_HUGE_FOLIOS
	return vma_alloc_folio(gfp, HPAGE_PMD_ORDER, vma, addr);
#else
	return NULL;
#endif
}

/* Makes a large folio without references so many pages on their own, free as it was. */
static inline void uffdvram_device_folio_dissolve(struct folio *folio)
{
#ifdef HAVE_PAGE_INIT_PGMAP
	struct page *page = folio_page(folio, 0);
	unsigned long i, n = folio_nr_pages(folio);

	folio_reset_order(folio);
	page[1].flags.f &= ~PAGE_FLAGS_SECOND;
	set_page_private(page + 1, 0);
	ClearPageHead(page);
	for (i = 1; i < n; i++) {
		page[i].mapping = NULL;
		/* In the place of what led to the first page. */
		((struct folio *)(page + i))->pgmap = folio->pgmap;
	}
#endif
}

/* @part of a large folio becomes one of its own. */
static inline void uffdvram_device_folio_part(const struct folio *folio,
					      struct folio *part)
{
#ifdef HAVE_PAGE_INIT_PGMAP
	part->pgmap = folio->pgmap;
	part->mapping = folio->mapping;
#endif
}

#endif /* _UFFDVRAM_COMPAT_MIGRATE_H */
