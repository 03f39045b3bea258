/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_LINEAR_H
#define _UFFDVRAM_LINEAR_H

struct mm_struct;
struct uffdvram_migrate_step;
struct uffdvram_migrate_to;

int uffdvram_linear_clear(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			  const struct uffdvram_migrate_to *to,
			  unsigned long start, unsigned long end);

#endif /* _UFFDVRAM_LINEAR_H */
