/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bit of an entry that userfaultfd protects is named after write protection
 * in kernels that know no other.
 */
#ifndef _UFFDVRAM_COMPAT_USERFAULTFD_K_H
#define _UFFDVRAM_COMPAT_USERFAULTFD_K_H

#include <linux/mm.h>
#include_next <linux/userfaultfd_k.h>

#ifndef HAVE_PTE_UFFD
static inline bool pte_uffd(pte_t pte)
{
	return pte_uffd_wp(pte);
}

static inline bool pmd_uffd(pmd_t pmd)
{
	return pmd_uffd_wp(pmd);
}

static inline bool pte_swp_uffd(pte_t pte)
{
	return pte_swp_uffd_wp(pte);
}

static inline pte_t pte_swp_clear_uffd(pte_t pte)
{
	return pte_swp_clear_uffd_wp(pte);
}

static inline bool pmd_swp_uffd(pmd_t pmd)
{
	return pmd_swp_uffd_wp(pmd);
}

static inline pmd_t pmd_swp_clear_uffd(pmd_t pmd)
{
	return pmd_swp_clear_uffd_wp(pmd);
}
#endif

/* Whether some userfaultfd is to be told of accesses to pages that are there. */
static inline bool uffdvram_uffd_protects(const struct vm_area_struct *vma)
{
	return vma->vm_flags & __VM_UFFD_FLAGS & ~(VM_UFFD_MISSING | VM_UFFD_MINOR);
}

/* Likewise, also of accesses that only read. Kernels that cannot have no such flag. */
static inline bool uffdvram_uffd_hides(const struct vm_area_struct *vma)
{
	return vma->vm_flags & __VM_UFFD_FLAGS &
	       ~(VM_UFFD_MISSING | VM_UFFD_MINOR | VM_UFFD_WP);
}

#endif /* _UFFDVRAM_COMPAT_USERFAULTFD_K_H */
