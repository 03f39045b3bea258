/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_COMPAT_MIGRATE_H
#define _UFFDVRAM_COMPAT_MIGRATE_H

#include <linux/mm.h>
#include_next <linux/migrate.h>

/* Whether the core takes a large folio apart that is mapped by PTEs. */
#ifdef MIGRATE_PFN_COMPOUND
#define UFFDVRAM_LARGE_FOLIOS_MOVE	true
#else
#define UFFDVRAM_LARGE_FOLIOS_MOVE	false
#endif

/*
 * Keeps those out who lock only the VMA; mmap_lock is held for writing. Nobody needs it
 * where the core takes no large folio apart.
 */
static inline void uffdvram_vma_lock_out(struct vm_area_struct *vma)
{
#ifdef MIGRATE_PFN_COMPOUND
	vma_start_write(vma);
#endif
}

#endif /* _UFFDVRAM_COMPAT_MIGRATE_H */
