/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_COMPAT_MIGRATE_H
#define _UFFDVRAM_COMPAT_MIGRATE_H

#include_next <linux/migrate.h>

/* Whether the core takes a large folio apart that is mapped by PTEs. */
#ifdef MIGRATE_PFN_COMPOUND
#define UFFDVRAM_LARGE_FOLIOS_MOVE	true
#else
#define UFFDVRAM_LARGE_FOLIOS_MOVE	false
#endif

#endif /* _UFFDVRAM_COMPAT_MIGRATE_H */
