/* SPDX-License-Identifier: GPL-2.0-only */
/* Older kernels zap a piece of a VMA by another name. */
#ifndef _UFFDVRAM_COMPAT_MM_H
#define _UFFDVRAM_COMPAT_MM_H

#include_next <linux/mm.h>

#ifndef HAVE_ZAP_VMA_RANGE
static inline void zap_vma_range(struct vm_area_struct *vma, unsigned long addr,
				 unsigned long size)
{
	zap_page_range_single(vma, addr, size, NULL);
}
#endif

#endif /* _UFFDVRAM_COMPAT_MM_H */
