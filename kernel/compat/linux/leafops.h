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

/*
 * Point releases bring some of these names, as their backports need them: 6.12.117 has two,
 * as macros. Whichever are there, these count.
 */
#undef softleaf_from_pte
#undef softleaf_from_pmd
#undef softleaf_is_swap
#undef softleaf_is_device_private
#undef softleaf_is_hwpoison
#undef softleaf_is_marker
#undef softleaf_is_poison_marker
#undef softleaf_is_guard_marker
#undef softleaf_to_pfn
#undef softleaf_to_page

#define softleaf_t				swp_entry_t
#define softleaf_from_pte(pte)			pte_to_swp_entry(pte)
#define softleaf_from_pmd(pmd)			pmd_to_swp_entry(pmd)
#define softleaf_is_swap(entry)			(!non_swap_entry(entry))
#define softleaf_is_device_private(entry)	is_device_private_entry(entry)
#define softleaf_is_hwpoison(entry)		is_hwpoison_entry(entry)
#define softleaf_is_marker(entry)		is_pte_marker_entry(entry)
#define softleaf_is_poison_marker(entry)	is_poisoned_swp_entry(entry)
/* There are no guard regions. */
#define softleaf_is_guard_marker(entry)		((void)(entry), false)
#define softleaf_to_pfn(entry)			swp_offset_pfn(entry)
#define softleaf_to_page(entry)			pfn_swap_entry_to_page(entry)

#endif
#endif /* _UFFDVRAM_COMPAT_LEAFOPS_H */
