/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device-private pages: newer kernels free folios and initialise pages with
 * their pagemap, older ones free pages and find the pagemap in them.
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
#define UFFDVRAM_PGMAP_FREE_OP(page_fn, folio_fn)	.folio_free = folio_fn
#else
#define UFFDVRAM_PGMAP_FREE_OP(page_fn, folio_fn)	.page_free = page_fn
#endif

/* Makes @page a locked folio of one page, with one reference. */
static inline void uffdvram_device_page_init(struct page *page,
					     struct dev_pagemap *pgmap)
{
#ifdef HAVE_PAGE_INIT_PGMAP
	zone_device_page_init(page, pgmap, 0);
#else
	zone_device_page_init(page);
#endif
}

#endif /* _UFFDVRAM_COMPAT_MEMREMAP_H */
