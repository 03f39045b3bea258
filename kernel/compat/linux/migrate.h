/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_COMPAT_MIGRATE_H
#define _UFFDVRAM_COMPAT_MIGRATE_H

#include_next <linux/migrate.h>

#ifndef HAVE_MIGRATE_DEVICE_PFNS
static inline int migrate_device_pfns(unsigned long *src_pfns,
				      unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++)
		migrate_device_range(&src_pfns[i], src_pfns[i], 1);
	return 0;
}
#endif

/* Whether the core takes a large folio apart that is mapped by PTEs. */
#ifdef MIGRATE_PFN_COMPOUND
#define UFFDVRAM_LARGE_FOLIOS_MOVE	true
#else
#define UFFDVRAM_LARGE_FOLIOS_MOVE	false
#endif

#endif /* _UFFDVRAM_COMPAT_MIGRATE_H */
