/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * softleaf_t names what a non-present page table entry says. Kernels without
 * it say the same with swp_entry_t.
 */
#ifndef _UFFDVRAM_COMPAT_LEAFOPS_H
#define _UFFDVRAM_COMPAT_LEAFOPS_H

#if __has_include_next(<linux/leafops.h>)
#include_next <linux/leafops.h>
#else

#include <linux/swap.h>
#include <linux/swapops.h>

typedef swp_entry_t softleaf_t;

static inline softleaf_t softleaf_from_pte(pte_t pte)
{
	return pte_to_swp_entry(pte);
}

static inline softleaf_t softleaf_from_pmd(pmd_t pmd)
{
	return pmd_to_swp_entry(pmd);
}

static inline bool softleaf_is_swap(softleaf_t entry)
{
	return !non_swap_entry(entry);
}

static inline bool softleaf_is_device_private(softleaf_t entry)
{
	return is_device_private_entry(entry);
}

static inline bool softleaf_is_hwpoison(softleaf_t entry)
{
	return is_hwpoison_entry(entry);
}

static inline bool softleaf_is_marker(softleaf_t entry)
{
	return is_pte_marker_entry(entry);
}

static inline bool softleaf_is_poison_marker(softleaf_t entry)
{
	return is_poisoned_swp_entry(entry);
}

/* There are no guard regions. */
static inline bool softleaf_is_guard_marker(softleaf_t entry)
{
	return false;
}

static inline unsigned long softleaf_to_pfn(softleaf_t entry)
{
	return swp_offset_pfn(entry);
}

static inline struct page *softleaf_to_page(softleaf_t entry)
{
	return pfn_swap_entry_to_page(entry);
}

#endif
#endif /* _UFFDVRAM_COMPAT_LEAFOPS_H */
