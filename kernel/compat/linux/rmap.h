/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where anonymous pages are in a VMA: newer kernels count that apart from the offset in
 * a file, which an anonymous VMA has, too, if it was mapped from a device. In older ones
 * both are one.
 */
#ifndef _UFFDVRAM_COMPAT_RMAP_H
#define _UFFDVRAM_COMPAT_RMAP_H

#include <linux/mm.h>
#include_next <linux/rmap.h>

#ifndef HAVE_VMA_ANON_PGOFF
static inline pgoff_t vma_start_anon_pgoff(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}
#endif

#endif /* _UFFDVRAM_COMPAT_RMAP_H */
