/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device-private pages: newer kernels free folios, and take large ones apart; older
 * ones free pages, and find the pagemap in them.
 */
#ifndef _UFFDVRAM_COMPAT_MEMREMAP_H
#define _UFFDVRAM_COMPAT_MEMREMAP_H

#include <linux/mm_types.h>
#include_next <linux/memremap.h>

#ifndef HAVE_PAGE_PGMAP
static inline struct dev_pagemap *page_pgmap(const struct page *page)
{
	return page->pgmap;
}
#endif

#ifdef HAVE_PGMAP_FOLIO_FREE
#define UFFDVRAM_PGMAP_FREE_OPS(page_free_fn, folio_free_fn, folio_split_fn)	\
	.folio_free = folio_free_fn, .folio_split = folio_split_fn
#else
#define UFFDVRAM_PGMAP_FREE_OPS(page_free_fn, folio_free_fn, folio_split_fn)	\
	.page_free = page_free_fn
#endif

#endif /* _UFFDVRAM_COMPAT_MEMREMAP_H */
